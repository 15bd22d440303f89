// A C++17 program, with exceptions or without, in which the fast calls of a stream and a session, and a stream that is
// shown the past, are held against Stream::push and Session::run.
//
//     fast MODEL      a model of rows without missing values; prints the answers it compared
#include "tickfuse.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using tickfuse::Fast;
using tickfuse::FastStep;
using tickfuse::Model;
using tickfuse::Session;
using tickfuse::Span;
using tickfuse::Step;
using tickfuse::Stream;

static_assert(std::is_nothrow_move_constructible_v<Fast<float>> && std::is_nothrow_move_assignable_v<Fast<double>>);
static_assert(!std::is_copy_constructible_v<Fast<float>> && sizeof(Fast<double>) == sizeof(void *));
static_assert(noexcept(std::declval<Fast<float> &>()(nullptr, nullptr)));
static_assert(noexcept(Fast<float>::try_push_of(std::declval<Stream &>())));
static_assert(noexcept(std::declval<Stream &>().replay(Span<const float>())));

void expect(bool holds, const char *what) {
    if (!holds) {
        std::fprintf(stderr, "expected %s; last error: %s\n", what, tickfuse::last_error().c_str());
        std::exit(1);
    }
}

bool is_same(const std::vector<float> &a, const std::vector<float> &b) {
    return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<double> row_number(std::size_t i, std::size_t width) {
    std::vector<double> row(width);
    for (std::size_t j = 0; j < width; j++) {
        row[j] = static_cast<double>((i * 7 + j * 5) % 11) - 5.0;
    }
    return row;
}

// Three streams see the same rows: one is pushed, one is called fast, one is shown most of them only.
std::size_t stream(const Model &model, std::size_t n_rows) {
    Stream pushed = std::move(*Stream::try_new(model));
    Stream called = std::move(*Stream::try_new(model));
    Stream shown = std::move(*Stream::try_new(model));
    Fast<float> peek = std::move(*Fast<float>::try_peek_of(called));
    Fast<double> push = std::move(*Fast<double>::try_push_of(called));
    const Stream moved = std::move(called); // a fast call follows the handle, not its place
    std::vector<float> out(model.n_outputs()), expected(model.n_outputs());
    std::size_t n_answers = 0;
    for (std::size_t i = 0; i < n_rows; i++) {
        const std::vector<double> wide = row_number(i, model.n_features());
        const std::vector<float> row(wide.begin(), wide.end());
        const Step step = pushed.push(row, expected);
        const FastStep looked = peek(row.data(), out.data());
        expect(!looked || is_same(out, expected), "a look with the same bits");
        const FastStep found = push(wide.data(), out.data());
        expect(static_cast<bool>(found) == static_cast<bool>(step) && looked.status == found.status, "the same step");
        expect(found.is_warming_up() == step.is_warming_up(), "a step that warms up");
        expect(!found || (is_same(out, expected) && push.flags() == step.flags), "the same bits");
        n_answers += static_cast<bool>(found);
        if (i % 4 < 3) {
            expect(static_cast<bool>(i % 2 == 0 ? shown.replay(row) : shown.replay(wide)), "a row of the past");
        } else {
            const Step same = shown.push(row, out);
            expect(same.remaining == step.remaining && same.kind == step.kind, "a series that was shown");
            expect(!same || is_same(out, expected), "the bits of a series that was shown");
        }
    }
    expect(shown.replay_bar({}).number == TICKFUSE_ERR_RUN_NO_BARS, "no bars");
    expect(moved.remaining() == 1 && moved.max_missing_bars() == 0, "a stream that has seen them all");
    return n_answers;
}

void window(const Model &model) {
    Session session = std::move(*Session::try_new(model, 1));
    std::vector<float> window;
    for (std::size_t i = 0; i < model.n_rows(); i++) {
        const std::vector<double> row = row_number(i, model.n_features());
        window.insert(window.end(), row.begin(), row.end());
    }
    std::vector<float> out(model.n_outputs()), expected(model.n_outputs());
    const auto run = session.run(window, expected);
    Fast<float> fast = std::move(*Fast<float>::try_run_of(session));
    const FastStep found = fast(window.data(), out.data());
    expect(run && found && is_same(out, expected) && fast.flags() == run.flags, "the window's answer");
}

void be_refused(const Model &model) {
    Stream stream = std::move(*Stream::try_new(model));
    std::vector<float> out(model.n_outputs(), 42.0F);
    Fast<float> fast = std::move(*Fast<float>::try_push_of(stream));
    const FastStep found = fast(nullptr, out.data());
    expect(found.status == TICKFUSE_ERR_NULL && !found && out.front() == 42.0F, "a refusal");
    expect(std::strcmp(found.text(), tickfuse_status_text(TICKFUSE_ERR_NULL)) == 0, "its text");
    Fast<float> other = std::move(fast);
    expect(fast(out.data(), out.data()).status == TICKFUSE_ERR_NULL && other.get() != nullptr, "a call that moved");
    Stream gone = std::move(stream);
    const auto none = Fast<double>::try_peek_of(stream);
    expect(!none && none.error().status == TICKFUSE_ERR_NULL && !none.error().text.empty(), "no call of a stream moved from");
#if TICKFUSE_HPP_THROWS
    expect(Fast<double>::peek_of(gone).get() != nullptr, "a fast call");
    try {
        Fast<double>::push_of(stream);
        expect(false, "an exception");
    } catch (const tickfuse::Error &error) {
        expect(error.status() == TICKFUSE_ERR_NULL && error.what() == none.error().text, "the same in it");
    }
#endif
}

} // namespace

int main(int argc, char **argv) {
    expect(argc == 2, "a model");
    const auto model = Model::try_open(argv[1]);
    expect(model.has_value(), "a model that opens");
    const std::size_t n = stream(*model, 40);
    window(*model);
    be_refused(*model);
    std::printf("compared %zu\n", n);
    return 0;
}
