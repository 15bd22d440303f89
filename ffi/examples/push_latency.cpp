// How long an arriving row waits for its answer: percentiles of push() after prepare(), beside push() alone.
//
//     push_latency MODEL [N]          N timed rows of each kind, 100000 unless said
//
// From the top of the repository, pinned to one core as the thread that answers would be:
//
//     cargo build --release -p tickfuse-ffi
//     c++ -std=c++17 -O2 -Iffi/include -o push_latency ffi/examples/push_latency.cpp target/release/libtickfuse.a
//         -pthread -ldl -lm
//     taskset -c 1 ./push_latency model.safetensors
//
// `tickfuse latency MODEL --mode arrival` measures the same from Rust. Every call is timed alone; the time of reading
// the clock is stated, and contained in every figure. Rows are synthetic, which no figure depends on.
#include "histogram.hpp"
#include "tickfuse.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <vector>

namespace {

// Rows of synthetic values in -1 to 1, or of zeros where the model has categories and refuses others.
std::vector<double> synthetic_rows(const tickfuse::Model &model, std::size_t n) {
    std::vector<double> rows(n * model.n_features());
    std::uint32_t state = 1;
    for (double &value : rows) {
        state = state * 1664525U + 1013904223U;
        value = static_cast<double>(state >> 8) / 8388608.0 - 1.0;
    }
    tickfuse::Stream stream(model);
    std::vector<float> out(model.n_outputs());
    const tickfuse::Span<const double> first(rows.data(), model.n_features());
    if (stream.push(first, out).status == TICKFUSE_ERR_RUN_CATEGORY) {
        rows.assign(rows.size(), 0.0);
    }
    return rows;
}

struct Timed {
    Histogram prepare;
    Histogram push;
};

// Pushes `n` rows in turn once the stream answers and is warm.
void measure(const tickfuse::Model &model, std::size_t n, bool prepares, Timed &timed) {
    constexpr std::size_t n_rows = 1000;
    const std::vector<double> rows = synthetic_rows(model, n_rows);
    const std::size_t n_warm = model.lookback() + n_rows;
    const std::size_t width = model.n_features();
    tickfuse::Stream stream(model);
    std::vector<float> out(model.n_outputs());
    for (std::size_t i = 0; i < n + n_warm; i++) {
        const tickfuse::Span<const double> row(rows.data() + i % n_rows * width, width);
        tickfuse::Step step;
        const std::uint64_t prepare_ns = nanoseconds([&] {
            if (prepares) {
                stream.prepare();
            }
        });
        const std::uint64_t push_ns = nanoseconds([&] { step = stream.push(row, out); });
        if (step.status != TICKFUSE_OK) {
            throw tickfuse::Error(tickfuse::Failure::of(step.status));
        }
        if (i >= n_warm) {
            timed.prepare.record(prepare_ns);
            timed.push.record(push_ns);
        }
    }
}

void run(const char *path, std::size_t n) {
    const tickfuse::Model model = tickfuse::Model::open(path);
    const auto prepared = std::make_unique<Timed>();
    const auto alone = std::make_unique<Timed>();
    measure(model, n, true, *prepared);
    measure(model, n, false, *alone);
    std::printf("hash %s, level %s, lookback %zu, %zu features, %zu rows\n", model.hash().c_str(),
                std::string(model.level()).c_str(), model.lookback(), model.n_features(), n);
    Histogram::print_head();
    prepared->push.print("push after prepare");
    prepared->prepare.print("prepare");
    alone->push.print("push without prepare");
    alone->prepare.print("reading the clock");
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 2 && argc != 3) {
        std::fprintf(stderr, "usage: push_latency MODEL [N]\n");
        return 2;
    }
    try {
        run(argv[1], argc == 3 ? std::strtoul(argv[2], nullptr, 10) : 100000);
        return 0;
    } catch (const std::exception &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
