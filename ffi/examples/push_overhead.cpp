// The loop in C++ whose pushes push_overhead.rs times beside its own: see there.
#include "tickfuse.hpp"

#include <chrono>
#include <cstdint>
#include <vector>

namespace {

struct Loop {
    tickfuse::Stream stream;
    tickfuse::Fast<double> fast; // of the stream; freed before it
    std::size_t width;
    std::vector<float> out;
};

template <class Push>
std::int32_t timed(Loop &own, const double *rows, std::size_t n_rows, std::uint64_t *ns, Push &&push) {
    for (std::size_t i = 0; i < n_rows; i++) {
        own.stream.prepare();
        const auto begin = std::chrono::steady_clock::now();
        const tickfuse_status status = push(rows + i * own.width);
        const auto end = std::chrono::steady_clock::now();
        if (status != TICKFUSE_OK) {
            return status;
        }
        ns[i] = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(end - begin).count());
    }
    return 0;
}

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
    tickfuse::Expected<tickfuse::Fast<double>> fast = tickfuse::Fast<double>::try_push_of(*stream);
    if (!fast) {
        return nullptr;
    }
    return new Loop{std::move(*stream), std::move(*fast), model->n_features(),
                    std::vector<float>(model->n_outputs())};
}

// Prepares for, and times the push of, each of `n_rows` rows. Returns 0, or the status of the row that was refused.
extern "C" std::int32_t push_overhead_round(void *loop, const double *rows, std::size_t n_rows, std::uint64_t *ns) {
    Loop &own = *static_cast<Loop *>(loop);
    return timed(own, rows, n_rows, ns, [&](const double *row) {
        return own.stream.push(tickfuse::Span<const double>(row, own.width), own.out).status;
    });
}

// The same by the fast call.
extern "C" std::int32_t push_overhead_fast_round(void *loop, const double *rows, std::size_t n_rows,
                                                 std::uint64_t *ns) {
    Loop &own = *static_cast<Loop *>(loop);
    return timed(own, rows, n_rows, ns, [&](const double *row) {
        const tickfuse::FastStep step = own.fast(row, own.out.data());
        return step.is_warming_up() ? TICKFUSE_OK : step.status;
    });
}

// Peeks at each of `n_rows` rows, `ns[0]` for all of them. Returns 0, or the status of the row that was refused.
extern "C" std::int32_t push_overhead_peeks(void *loop, const double *rows, std::size_t n_rows, std::uint64_t *ns) {
    Loop &own = *static_cast<Loop *>(loop);
    own.stream.prepare();
    const auto begin = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < n_rows; i++) {
        const auto step = own.stream.peek(tickfuse::Span<const double>(rows + i * own.width, own.width), own.out);
        if (step.status != TICKFUSE_OK) {
            return step.status;
        }
    }
    const auto end = std::chrono::steady_clock::now();
    ns[0] = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(end - begin).count());
    return 0;
}

extern "C" void push_overhead_free(void *loop) { delete static_cast<Loop *>(loop); }
