// The loop in C++ whose pushes push_overhead.rs times beside its own: see there.
#include "tickfuse.hpp"

#include <chrono>
#include <cstdint>
#include <vector>

namespace {

struct Loop {
    tickfuse::Stream stream;
    std::size_t width;
    std::vector<float> out;
};

} // namespace

// A stream of the model in a file; NULL where there is none.
extern "C" void *push_overhead_new(const char *path) {
    tickfuse::Expected<tickfuse::Model> model = tickfuse::Model::try_open(path);
    if (!model) {
        return nullptr;
    }
    tickfuse::Expected<tickfuse::Stream> stream = tickfuse::Stream::try_new(*model);
    if (!stream) {
        return nullptr;
    }
    return new Loop{std::move(*stream), model->n_features(), std::vector<float>(model->n_outputs())};
}

// Prepares for, and times the push of, each of `n_rows` rows. Returns 0, or the status of the row that was refused.
extern "C" std::int32_t push_overhead_round(void *loop, const double *rows, std::size_t n_rows, std::uint64_t *ns) {
    Loop &own = *static_cast<Loop *>(loop);
    for (std::size_t i = 0; i < n_rows; i++) {
        const tickfuse::Span<const double> row(rows + i * own.width, own.width);
        own.stream.prepare();
        const auto begin = std::chrono::steady_clock::now();
        const tickfuse::Step step = own.stream.push(row, own.out);
        const auto end = std::chrono::steady_clock::now();
        if (step.status != TICKFUSE_OK) {
            return step.status;
        }
        ns[i] = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(end - begin).count());
    }
    return 0;
}

extern "C" void push_overhead_free(void *loop) { delete static_cast<Loop *>(loop); }
