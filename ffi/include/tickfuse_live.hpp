// tickfuse_live.hpp - tickfuse_live.h for C++17 and later: a series whose model is replaced while it answers, as a
// handle that frees itself.
//
// The C header is the document: which thread calls what, what a swap costs, what is refused.
//
//     tickfuse::Live live(model, {TICKFUSE_LIVE_BARS});
//     const tickfuse::Step step = live.push_bar(bar, out);              (the hot thread)
//     ... act on out ...
//     live.take();
//     live.prepare();
//
//     live.offer(tickfuse::Model::open(path), 7);                       (the control thread)
//     while (live.poll().is_offered()) { ... pause ... }
//
// A Live may be moved while no other thread uses it. One that was moved from must not be called.
#ifndef TICKFUSE_LIVE_HPP
#define TICKFUSE_LIVE_HPP

#include "tickfuse.hpp"
#include "tickfuse_live.h"

namespace tickfuse {
#if TICKFUSE_HPP_THROWS
inline namespace that_throws {
#else
inline namespace that_never_throws {
#endif
#if defined(__cpp_lib_span)
inline namespace of_std_span {
#else
inline namespace of_own_span {
#endif

// As tickfuse_live_options.
struct LiveOptions {
    std::uint32_t kind = TICKFUSE_LIVE_ROWS; // TICKFUSE_LIVE_*
    std::uint32_t max_missing = 0;           // rows that the hot thread replays itself; 0: the default
    std::size_t capacity = 0;                // rows or bars to keep; 0: the default

    tickfuse_live_options in_c() const noexcept { return {kind, max_missing, capacity}; }
};

// What a call of the control thread came to; true where it succeeded.
struct [[nodiscard]] LiveStatus {
    tickfuse_status number = TICKFUSE_OK;

    explicit operator bool() const noexcept { return number == TICKFUSE_OK; }
    const char *text() const noexcept { return tickfuse_live_status_text(number); }

    // With the text of the call that just failed on this thread, where the library made it.
    Failure failure() const { return number / 100 == 8 ? Failure{number, text()} : Failure::of(number); }
};

// What came of an offer.
struct [[nodiscard]] LiveState {
    LiveStatus status;                         // why there is none any more
    std::uint32_t state = TICKFUSE_LIVE_IDLE; // TICKFUSE_LIVE_*

    bool is_offered() const noexcept { return state == TICKFUSE_LIVE_OFFERED; }
    bool is_taken() const noexcept { return state == TICKFUSE_LIVE_TAKEN; }
};

// One series.
class Live {
  public:
    static Expected<Live> try_new(const Model &model, const LiveOptions &options = {}) noexcept {
        return begun(model, nullptr, options);
    }
    // The stream is of the model, set up, and has seen nothing.
    static Expected<Live> try_new(const Model &model, Stream &&stream, const LiveOptions &options = {}) noexcept {
        return begun(model, stream.release(), options);
    }

    static Live own(tickfuse_live *handle) noexcept { return Live(handle); }

    tickfuse_live *get() const noexcept { return handle_.get(); }

#if TICKFUSE_HPP_THROWS
    explicit Live(const Model &model, const LiveOptions &options = {}) : Live(try_new(model, options).value()) {}
    Live(const Model &model, Stream &&stream, const LiveOptions &options = {})
        : Live(try_new(model, std::move(stream), options).value()) {}
#endif

    // ---- The hot thread

    Step push(Span<const float> row, Span<float> out) noexcept {
        return detail::step_of_row(get(), tickfuse_live_push, row, out);
    }
    Step push(Span<const double> row, Span<float> out) noexcept {
        return detail::step_of_row(get(), tickfuse_live_push_f64, row, out);
    }
    Step peek(Span<const float> row, Span<float> out) noexcept {
        return detail::step_of_row(get(), tickfuse_live_peek, row, out);
    }
    Step peek(Span<const double> row, Span<float> out) noexcept {
        return detail::step_of_row(get(), tickfuse_live_peek_f64, row, out);
    }
    Step push_bar(const Bar &bar, Span<float> out) noexcept {
        return detail::step_of_bar(get(), tickfuse_live_push_bar, bar, out);
    }
    Step peek_bar(const Bar &bar, Span<float> out) noexcept {
        return detail::step_of_bar(get(), tickfuse_live_peek_bar, bar, out);
    }

    // Whether another stream answers from here on.
    bool take() noexcept { return tickfuse_live_take(get()) != 0; }

    // May be left unread: after a failure the next push says the same.
    tickfuse_status prepare() noexcept { return tickfuse_live_prepare(get()); }

    Prepared prepare_some(std::size_t budget) noexcept {
        std::uint32_t is_done = 0;
        const tickfuse_status status = tickfuse_live_prepare_some(get(), budget, &is_done);
        return {status, is_done != 0};
    }

    Status reset() noexcept { return {tickfuse_live_reset(get())}; }

    // Of the stream that answers.
    std::uint64_t tag() const noexcept { return tickfuse_live_tag(get()); }

    // ---- The control thread

    LiveStatus try_offer(const Model &model, std::uint64_t tag) noexcept {
        return {tickfuse_live_offer(get(), model.get(), nullptr, tag)};
    }
    LiveStatus try_offer(const Model &model, Stream &&stream, std::uint64_t tag) noexcept {
        return {tickfuse_live_offer(get(), model.get(), stream.release(), tag)};
    }

    // To all series or, after a failure, to none. make(model, i) gives the stream of number i as Expected<Stream>, and
    // does not throw.
    template <class Make>
    static LiveStatus try_offer_all(Span<const Live> lives, const Model &model, Make &&make,
                                    std::uint64_t tag) noexcept {
        std::vector<tickfuse_live *> handles = all_of(lives);
        Making<std::remove_reference_t<Make>> making{&model, &make};
        return {tickfuse_live_offer_all(handles.data(), handles.size(), model.get(), making.call, &making, tag)};
    }

    LiveState poll() noexcept {
        LiveState found;
        found.status.number = tickfuse_live_poll(get(), &found.state);
        return found;
    }

    // Polls all; the state is offered while one of them has an offer.
    static LiveState poll_all(Span<const Live> lives) noexcept {
        std::vector<tickfuse_live *> handles = all_of(lives);
        std::size_t n_offered = 0;
        const tickfuse_status status = tickfuse_live_poll_all(handles.data(), handles.size(), &n_offered);
        return {{status}, n_offered > 0 ? std::uint32_t{TICKFUSE_LIVE_OFFERED} : std::uint32_t{TICKFUSE_LIVE_IDLE}};
    }

    // Whether no offer is under way any more.
    bool withdraw() noexcept { return tickfuse_live_withdraw(get()) != 0; }

#if TICKFUSE_HPP_THROWS
    void offer(const Model &model, std::uint64_t tag) { expect(try_offer(model, tag)); }
    void offer(const Model &model, Stream &&stream, std::uint64_t tag) {
        expect(try_offer(model, std::move(stream), tag));
    }
    template <class Make>
    static void offer_all(Span<const Live> lives, const Model &model, Make &&make, std::uint64_t tag) {
        expect(try_offer_all(lives, model, std::forward<Make>(make), tag));
    }
#endif

  private:
    explicit Live(tickfuse_live *handle) noexcept : handle_(handle) {}

    static Expected<Live> begun(const Model &model, tickfuse_stream *stream, const LiveOptions &options) noexcept {
        const tickfuse_live_options given = options.in_c();
        tickfuse_live *handle = nullptr;
        const LiveStatus status{tickfuse_live_new(model.get(), stream, &given, &handle)};
        if (!status) {
            return status.failure();
        }
        return Live(handle);
    }

    static std::vector<tickfuse_live *> all_of(Span<const Live> lives) {
        std::vector<tickfuse_live *> handles;
        for (std::size_t i = 0; i < lives.size(); i++) {
            handles.push_back(lives.data()[i].get());
        }
        return handles;
    }

    // A maker of streams as C calls it.
    template <class Make> struct Making {
        const Model *model;
        Make *make;

        static tickfuse_status call(void *user, const tickfuse_model *, std::size_t index,
                                    tickfuse_stream **out) noexcept {
            const Making &self = *static_cast<const Making *>(user);
            Expected<Stream> made = (*self.make)(*self.model, index);
            if (!made) {
                return made.error().status;
            }
            *out = made->release();
            return TICKFUSE_OK;
        }
    };

#if TICKFUSE_HPP_THROWS
    static void expect(const LiveStatus &status) {
        if (!status) {
            throw Error(status.failure());
        }
    }
#endif

    detail::Handle<tickfuse_live, tickfuse_live_free> handle_;
};

} // namespace of_std_span or of_own_span
} // namespace that_throws or that_never_throws
} // namespace tickfuse

#endif
