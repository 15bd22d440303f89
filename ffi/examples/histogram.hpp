// histogram.hpp - what the examples time with: a histogram of nanoseconds, and a clock around a call.
#ifndef TICKFUSE_EXAMPLES_HISTOGRAM_HPP
#define TICKFUSE_EXAMPLES_HISTOGRAM_HPP

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>

// A histogram of nanoseconds to three significant digits: counts by value below 2048, then 1024 counts per doubling.
class Histogram {
  public:
    static void print_head() {
        std::printf("%-36s %9s %9s %9s %9s %9s\n", "ns", "p50", "p90", "p99", "p99.9", "max");
    }

    void record(std::uint64_t ns) noexcept {
        counts_[index(ns)]++;
        n_++;
        max_ = ns > max_ ? ns : max_;
    }

    // The value that this share of all values does not exceed.
    std::uint64_t percentile(double share) const noexcept {
        const double wanted = share * static_cast<double>(n_);
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < counts_.size(); i++) {
            seen += counts_[i];
            if (seen > 0 && static_cast<double>(seen) >= wanted) {
                return value(i);
            }
        }
        return max_;
    }

    std::uint64_t n() const noexcept { return n_; }

    void print(const char *name) const {
        std::printf("%-36s", name);
        for (const double share : {0.5, 0.9, 0.99, 0.999}) {
            std::printf(" %9llu", static_cast<unsigned long long>(percentile(share)));
        }
        std::printf(" %9llu\n", static_cast<unsigned long long>(max_));
    }

  private:
    static constexpr std::size_t half = 1024;

    static std::size_t index(std::uint64_t ns) noexcept {
        std::size_t shift = 0;
        while (ns >> shift >= 2 * half) {
            shift++;
        }
        return shift * half + static_cast<std::size_t>(ns >> shift);
    }

    // The smallest value of a count.
    static std::uint64_t value(std::size_t index) noexcept {
        const std::size_t shift = index < 2 * half ? 0 : index / half - 1;
        return static_cast<std::uint64_t>(index - shift * half) << shift;
    }

    std::array<std::uint64_t, 56 * half> counts_{};
    std::uint64_t n_ = 0;
    std::uint64_t max_ = 0;
};

// How long a call takes, and reading the clock with it.
template <class Call> std::uint64_t nanoseconds(Call &&call) {
    const auto begin = std::chrono::steady_clock::now();
    call();
    const auto end = std::chrono::steady_clock::now();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(end - begin).count());
}

#endif
