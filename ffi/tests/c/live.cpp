// A C++17 program that replaces models under a series through tickfuse_live.hpp, on one thread, and checks its answers
// against streams that saw every row: what live.c does with two threads, with handles that free themselves.
//
//     live MODEL MODEL_OF_THE_SAME_ROWS MODEL_OF_OTHER_OUTPUTS
#include "tickfuse_live.hpp"
#include "tickfuse_live.hpp" // twice: it is guarded

#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using tickfuse::Live;
using tickfuse::Model;
using tickfuse::Stream;

static_assert(std::is_nothrow_move_constructible_v<Live> && std::is_nothrow_move_assignable_v<Live>);
static_assert(!std::is_copy_constructible_v<Live> && sizeof(Live) == sizeof(void *));
static_assert(noexcept(std::declval<Live &>().take()) && noexcept(std::declval<Live &>().prepare()));

void expect(bool holds, const char *what) {
    if (!holds) {
        throw std::runtime_error(std::string("expected ") + what + "; last error: " + tickfuse::last_error());
    }
}

// A series and a stream that answers as it should.
struct Pair {
    Live live;
    std::size_t width;
    std::vector<float> row;
    std::vector<float> out;
    std::vector<float> expected;
    std::size_t n_rows = 0;

    Pair(Live &&begun, const Model &model)
        : live(std::move(begun)), width(model.n_features()), row(width), out(model.n_outputs()),
          expected(model.n_outputs()) {}

    void next_row() {
        for (std::size_t j = 0; j < width; j++) {
            row[j] = static_cast<float>((n_rows * 7 + j * 5) % 11) - 5.0F;
        }
        n_rows++;
    }

    void expect_alike(const tickfuse::Step &found, const tickfuse::Step &wanted) const {
        expect(found.status == TICKFUSE_OK && found.kind == wanted.kind, "the same step");
        expect(found.remaining == wanted.remaining, "as many rows to come");
        expect(!wanted || std::memcmp(out.data(), expected.data(), out.size() * sizeof(float)) == 0, "the same bits");
    }

    void push(std::size_t n, Stream &same, Stream *other) {
        for (std::size_t i = 0; i < n; i++) {
            next_row();
            expect_alike(live.peek(row, out), same.peek(row, expected));
            const std::vector<double> wide(row.begin(), row.end());
            const tickfuse::Step found = i % 2 == 0 ? live.push(row, out) : live.push(wide, out);
            expect_alike(found, same.push(row, expected));
            if (other != nullptr) {
                expect(other->push(row, expected).status == TICKFUSE_OK, "a row taken");
            }
            expect(live.prepare() == TICKFUSE_OK, "preparation");
        }
    }
};

void swap(const Model &first, const Model &second) {
    Pair pair(Live(first, Stream(first), {TICKFUSE_LIVE_ROWS, 3, 64}), first);
    Stream same(first);
    Stream other(second);
    pair.push(40, same, &other);
    pair.live.offer(second, 1);
    expect(pair.live.try_offer(second, 1).number == TICKFUSE_ERR_LIVE_OFFERED, "one offer at a time");
    expect(pair.live.withdraw() && !pair.live.take(), "no offer");
    pair.live.offer(second, Stream(second), 5);
    expect(pair.live.poll().is_offered() && pair.live.tag() == 0, "an offer");
    expect(pair.live.take() && pair.live.tag() == 5, "another model");
    expect(pair.live.poll().is_taken() && !pair.live.poll().is_offered(), "the old stream back");
    pair.push(20, other, nullptr);
    expect(static_cast<bool>(pair.live.reset()) && static_cast<bool>(other.reset()), "a series that begins anew");
    pair.push(20, other, nullptr);
    expect(static_cast<bool>(pair.live.prepare_some(1000)), "nothing left to prepare");
    expect(pair.live.push_bar({}, pair.out).status == TICKFUSE_ERR_LIVE_KIND, "no bars");
}

void swap_several(const Model &first, const Model &second) {
    std::vector<Live> lives;
    lives.emplace_back(first);
    lives.push_back(std::move(*Live::try_new(first)));
    const auto make = [](const Model &model, std::size_t) noexcept { return Stream::try_new(model); };
    Live::offer_all(lives, second, make, 1);
    expect(lives[0].take() && Live::poll_all(lives).is_offered(), "one of two");
    expect(lives[1].take() && !Live::poll_all(lives).is_offered(), "both");
    const auto fail = [](const Model &, std::size_t) noexcept {
        return tickfuse::Expected<Stream>(tickfuse::Failure{TICKFUSE_ERR_RUN_CATEGORY, "no such label"});
    };
    expect(Live::try_offer_all(lives, first, fail, 2).number == TICKFUSE_ERR_RUN_CATEGORY, "why there is no stream");
}

void be_refused(const Model &first, const Model &other_outputs) {
    Live live(first);
    try {
        live.offer(other_outputs, 1);
        expect(false, "an exception");
    } catch (const tickfuse::Error &error) {
        expect(error.status() == TICKFUSE_ERR_LIVE_OUTPUTS, "its number");
        expect(std::strcmp(error.what(), tickfuse_live_status_text(error.status())) == 0, "its text");
    }
    const auto none = Live::try_new(first, {TICKFUSE_LIVE_BARS});
    expect(!none && none.error().status == TICKFUSE_ERR_RUN_NO_BARS, "no series of bars");
}

} // namespace

int main(int argc, char **argv) {
    try {
        expect(argc == 4, "three models");
        const Model first = Model::open(argv[1]);
        const Model second = Model::open(argv[2]);
        swap(first, second);
        swap_several(first, second);
        be_refused(first, Model::open(argv[3]));
        std::printf("swapped\n");
        return 0;
    } catch (const std::exception &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
