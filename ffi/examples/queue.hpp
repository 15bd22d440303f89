// queue.hpp - a bounded queue from one thread to one other, without locks: what the router's threads talk through.
#ifndef TICKFUSE_EXAMPLES_QUEUE_HPP
#define TICKFUSE_EXAMPLES_QUEUE_HPP

#include <atomic>
#include <cstddef>
#include <vector>

// Each side keeps a copy of the other's count and looks again only when that says full or empty, so that the cores
// seldom pass the counts to each other.
template <class T> class Queue {
  public:
    // Room for so many items, rounded up to a power of two.
    explicit Queue(std::size_t room) {
        std::size_t size = 2;
        while (size < room) {
            size *= 2;
        }
        items_.resize(size);
    }

    // The writer's: whether there was room.
    bool push(const T &item) noexcept {
        const std::size_t n = n_pushed_.load(std::memory_order_relaxed);
        if (n - n_popped_seen_ == items_.size()) {
            n_popped_seen_ = n_popped_.load(std::memory_order_acquire);
            if (n - n_popped_seen_ == items_.size()) {
                return false;
            }
        }
        items_[n & (items_.size() - 1)] = item;
        n_pushed_.store(n + 1, std::memory_order_release);
        return true;
    }

    // The reader's: whether there was an item.
    bool pop(T &item) noexcept {
        const std::size_t n = n_popped_.load(std::memory_order_relaxed);
        if (n == n_pushed_seen_) {
            n_pushed_seen_ = n_pushed_.load(std::memory_order_acquire);
            if (n == n_pushed_seen_) {
                return false;
            }
        }
        item = items_[n & (items_.size() - 1)];
        n_popped_.store(n + 1, std::memory_order_release);
        return true;
    }

  private:
    std::vector<T> items_;
    alignas(64) std::atomic<std::size_t> n_pushed_{0}; // the writer's
    std::size_t n_popped_seen_ = 0;
    alignas(64) std::atomic<std::size_t> n_popped_{0}; // the reader's
    std::size_t n_pushed_seen_ = 0;
};

#endif
