// router_feed.hpp - the thread that replays bars: merged by time, at a speed, with what was known of each while it
// formed.
#ifndef TICKFUSE_EXAMPLES_ROUTER_FEED_HPP
#define TICKFUSE_EXAMPLES_ROUTER_FEED_HPP

#include "bar_file.hpp"
#include "queue.hpp"
#include "router_settings.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

struct Event {
    std::uint32_t series = 0;
    bool is_forming = false;
    tickfuse::Bar bar;
};

// The bar when k of n parts of it are over, on a straight way from open to close.
inline tickfuse::Bar forming(const tickfuse::Bar &bar, std::size_t k, std::size_t n) {
    const double share = static_cast<double>(k) / static_cast<double>(n);
    tickfuse::Bar so_far = bar;
    so_far.close = std::min(std::max(bar.open + (bar.close - bar.open) * share, bar.low), bar.high);
    so_far.high = std::max(bar.open, so_far.close);
    so_far.low = std::min(bar.open, so_far.close);
    so_far.volume = bar.volume * share;
    return so_far;
}

class Feed {
  public:
    Feed(const std::vector<Series> &all, const Settings &settings, Queue<Event> &to)
        : all_(all), settings_(settings), to_(to), next_(all.size(), 0) {}

    void run() {
        begin_ = std::chrono::steady_clock::now();
        std::int64_t shift_ns = 0;
        for (std::size_t round = 0; round < settings_.n_rounds; round++) {
            std::fill(next_.begin(), next_.end(), 0);
            for (std::size_t i = earliest(); i < all_.size(); i = earliest()) {
                put(i, shift_ns);
            }
            shift_ns += span_ns();
        }
        is_over_.store(true, std::memory_order_release);
    }

    bool is_over() const noexcept { return is_over_.load(std::memory_order_acquire); }

  private:
    // The series whose next bar is the earliest; their number when all are at their end.
    std::size_t earliest() const {
        std::size_t found = all_.size();
        for (std::size_t i = 0; i < all_.size(); i++) {
            if (next_[i] < all_[i].bars.size() && (found == all_.size() || time(i) < time(found))) {
                found = i;
            }
        }
        return found;
    }

    std::int64_t time(std::size_t i) const { return all_[i].bars[next_[i]].ts_ns; }

    // From the first bar of all to one bar behind the last.
    std::int64_t span_ns() const {
        std::int64_t first = INT64_MAX;
        std::int64_t behind = INT64_MIN;
        for (const Series &series : all_) {
            const std::int64_t last = series.bars.back().ts_ns;
            const std::int64_t step = series.bars.size() > 1 ? series.bars[1].ts_ns - series.bars[0].ts_ns : 1;
            first = std::min(first, series.bars.front().ts_ns);
            behind = std::max(behind, last + step);
        }
        return behind - first;
    }

    void put(std::size_t i, std::int64_t shift_ns) {
        Event event;
        event.series = static_cast<std::uint32_t>(i);
        tickfuse::Bar bar = all_[i].bars[next_[i]++];
        bar.ts_ns += shift_ns;
        const std::size_t n_parts = settings_.n_peeks + 1;
        for (std::size_t k = 1; k <= n_parts; k++) {
            wait_until_due(static_cast<double>(n_bars_) + static_cast<double>(k) / static_cast<double>(n_parts));
            event.is_forming = k < n_parts;
            event.bar = event.is_forming ? forming(bar, k, n_parts) : bar;
            while (!to_.push(event)) {
                std::this_thread::yield();
            }
        }
        n_bars_++;
    }

    void wait_until_due(double bars) const {
        if (settings_.bars_per_second > 0.0) {
            const std::chrono::duration<double> since(bars / settings_.bars_per_second);
            std::this_thread::sleep_until(begin_ + std::chrono::duration_cast<std::chrono::nanoseconds>(since));
        }
    }

    const std::vector<Series> &all_;
    const Settings &settings_;
    Queue<Event> &to_;
    std::vector<std::size_t> next_;
    std::size_t n_bars_ = 0;
    std::chrono::steady_clock::time_point begin_;
    std::atomic<bool> is_over_{false};
};

#endif
