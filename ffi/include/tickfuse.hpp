// tickfuse.hpp - Tickfuse for C++17 and later: tickfuse.h with handles that free themselves, spans and results.
//
// The C header is the document: shapes, units, threads, what may allocate. This one adds nothing but types, is header
// only, and can be included in any number of files of a program, of C++17 and of later standards together.
//
//     tickfuse::Model model = tickfuse::Model::open("tiny.safetensors");
//     tickfuse::Stream stream(model);
//     stream.prepare();                                             (while nothing arrives)
//     if (const tickfuse::Step step = stream.push(row, out)) { ... out holds the answer ... }
//
// Cold calls (opening, making, encoding, interpreting) throw tickfuse::Error, and each has a form try_... that returns
// an Expected instead; with exceptions switched off only those are there. Hot calls (run, push, peek, prepare, set, Fast)
// are noexcept, allocate nothing and return a small result. Where memory for a handle or a text cannot be had in a try_...
// form, the program ends.
//
// Handles are moved, not copied. One that was moved from answers every call with TICKFUSE_ERR_NULL. tickfuse_model and
// tickfuse_contexts may be used by several threads at once, a Session and a Stream by one at a time.
//
// How long a push takes on a machine: examples/push_latency.cpp, which prints its percentiles.
#ifndef TICKFUSE_HPP
#define TICKFUSE_HPP

#include "tickfuse.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define TICKFUSE_HPP_THROWS 1
#include <stdexcept>
#else
#define TICKFUSE_HPP_THROWS 0
#endif

#if __cplusplus >= 202002L || (defined(_MSVC_LANG) && _MSVC_LANG >= 202002L)
#include <version>
#endif
#if defined(__cpp_lib_span)
#include <span>
#endif

namespace tickfuse {

// Classes whose functions differ are other classes: files of all four kinds may meet in one program.
#if TICKFUSE_HPP_THROWS
inline namespace that_throws {
#else
inline namespace that_never_throws {
#endif
#if defined(__cpp_lib_span)
inline namespace of_std_span {
template <class T> using Span = std::span<T>;
#else
inline namespace of_own_span {

// As much of std::span as is needed.
template <class T> class Span {
  public:
    constexpr Span() noexcept = default;
    constexpr Span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <std::size_t N> constexpr Span(T (&array)[N]) noexcept : data_(array), size_(N) {}
    template <class C, class E = std::remove_pointer_t<decltype(std::declval<C &>().data())>,
              class = std::enable_if_t<std::is_convertible_v<E (*)[], T (*)[]>
                                       && std::is_convertible_v<decltype(std::declval<C &>().size()), std::size_t>>>
    constexpr Span(C &&container) noexcept : data_(container.data()), size_(container.size()) {}

    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }

  private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};
#endif

// ---- Status and errors ----------------------------------------------------------------------------------------------

// Whether the library that is loaded serves a program compiled with this header.
inline bool is_served() noexcept {
    const std::uint32_t loaded = tickfuse_abi_version();
    const std::uint32_t compiled = TICKFUSE_ABI_VERSION;
    return loaded >> 16 == compiled >> 16 && (loaded & 0xffffU) >= (compiled & 0xffffU);
}

// The last failure on this thread in full.
inline std::string last_error() {
    std::string text(tickfuse_last_error(nullptr, 0), '\0');
    tickfuse_last_error(text.data(), text.size());
    text.pop_back();
    return text;
}

// What a hot call without an answer came to; true where it succeeded.
struct [[nodiscard]] Status {
    tickfuse_status number = TICKFUSE_OK;

    explicit operator bool() const noexcept { return number == TICKFUSE_OK; }
    const char *text() const noexcept { return tickfuse_status_text(number); }
};

// Why a cold call failed.
struct Failure {
    tickfuse_status status = TICKFUSE_OK;
    std::string text;

    // That of the call that just failed on this thread.
    static Failure of(tickfuse_status status) { return {status, last_error()}; }
};

#if TICKFUSE_HPP_THROWS
class Error : public std::runtime_error {
  public:
    explicit Error(const Failure &failure) : std::runtime_error(failure.text), status_(failure.status) {}

    tickfuse_status status() const noexcept { return status_; }

  private:
    tickfuse_status status_;
};
#endif

// A value, or why there is none. Asking for the one that is not there is undefined, but for value(), which throws.
template <class T> class [[nodiscard]] Expected {
  public:
    Expected(T &&value) : held_(std::move(value)) {}
    Expected(Failure failure) : held_(std::move(failure)) {}

    bool has_value() const noexcept { return std::holds_alternative<T>(held_); }
    explicit operator bool() const noexcept { return has_value(); }

    T &operator*() & noexcept { return *std::get_if<T>(&held_); }
    const T &operator*() const & noexcept { return *std::get_if<T>(&held_); }
    T &&operator*() && noexcept { return std::move(*std::get_if<T>(&held_)); }
    T *operator->() noexcept { return std::get_if<T>(&held_); }
    const T *operator->() const noexcept { return std::get_if<T>(&held_); }
    const Failure &error() const noexcept { return *std::get_if<Failure>(&held_); }

#if TICKFUSE_HPP_THROWS
    T value() && {
        if (!has_value()) {
            throw Error(error());
        }
        return std::move(**this);
    }
#endif

  private:
    std::variant<T, Failure> held_;
};

namespace detail {

template <auto Free> struct Freeing {
    template <class T> void operator()(T *handle) const noexcept { Free(handle); }
};

template <class T, auto Free> using Handle = std::unique_ptr<T, Freeing<Free>>;

// What `make` hands out through its last parameter, as an `Owner`, or why not.
template <class Owner, class T, class Make> Expected<Owner> made(Make &&make) {
    T *handle = nullptr;
    const tickfuse_status status = make(&handle);
    if (status != TICKFUSE_OK) {
        return Failure::of(status);
    }
    return Owner::own(handle);
}

} // namespace detail

// ---- Model ----------------------------------------------------------------------------------------------------------

// How to open a model.
struct OpenOptions {
    const char *level = nullptr; // as in tickfuse_open_options
    std::uint32_t flags = 0;     // TICKFUSE_OPEN_*

    tickfuse_open_options in_c() const noexcept { return {sizeof(tickfuse_open_options), level, flags, 0}; }
};

// At most `n_contexts` contexts of `n_rows` rows of `n_columns` values.
struct ContextShape {
    std::size_t n_contexts = 0;
    std::size_t n_rows = 0;
    std::size_t n_columns = 0;
};

// One column of a row, as tickfuse_input describes it.
struct Input {
    std::string name;
    std::size_t n_categories = 0; // 0 for a real
    std::uint32_t role = 0;       // TICKFUSE_ROLE_*
    std::uint32_t missing = 0;    // TICKFUSE_MISSING_*
    bool is_of_bars = false;
};

// One number of an answer, as tickfuse_output describes it.
struct Output {
    std::string name;
    std::string unit;
    std::uint32_t kind = 0; // TICKFUSE_OUTPUT_*
    std::uint32_t step = 0; // from 1
    double tau = 0.0;       // level of a quantile; 0 for all else
};

// An opened model file. Immutable: any number of threads may use one.
class Model {
  public:
    static Expected<Model> try_open(const char *path, const OpenOptions &options = {}) noexcept {
        const tickfuse_open_options given = options.in_c();
        return detail::made<Model, tickfuse_model>(
            [&](tickfuse_model **out) { return tickfuse_model_open(path, &given, out); });
    }

    static Expected<Model> try_open_memory(const void *bytes, std::size_t size,
                                           const OpenOptions &options = {}) noexcept {
        const tickfuse_open_options given = options.in_c();
        return detail::made<Model, tickfuse_model>(
            [&](tickfuse_model **out) { return tickfuse_model_open_memory(bytes, size, &given, out); });
    }

    // Takes over a handle of the C interface.
    static Model own(tickfuse_model *handle) noexcept { return Model(handle); }

    tickfuse_model *get() const noexcept { return handle_.get(); }

    std::size_t lookback() const noexcept { return tickfuse_model_lookback(get()); }
    std::size_t n_rows() const noexcept { return tickfuse_model_n_rows(get()); }
    std::size_t n_features() const noexcept { return tickfuse_model_n_features(get()); }
    std::size_t n_outputs() const noexcept { return tickfuse_model_n_outputs(get()); }

    // TICKFUSE_ARRIVAL_*.
    std::uint32_t arrival() const noexcept { return tickfuse_model_arrival(get()); }

    // Empty for a handle that was moved from.
    std::string_view level() const noexcept {
        const char *name = tickfuse_model_level(get());
        return name == nullptr ? std::string_view() : std::string_view(name);
    }

    // Pages of the weights; what the system refuses is a status, and the model serves as before.
    std::size_t prefault() const noexcept { return tickfuse_model_prefault(get()); }
    Status lock() const noexcept { return {tickfuse_model_lock(get())}; }
    Status advise_huge_pages() const noexcept { return {tickfuse_model_advise_huge_pages(get())}; }

    Expected<std::string> try_hash() const noexcept {
        std::string text(TICKFUSE_HASH_SIZE, '\0');
        const tickfuse_status status = tickfuse_model_hash(get(), text.data(), text.size());
        return finished(status, std::move(text));
    }

    Expected<std::string> try_schema_json() const noexcept {
        std::size_t needed = 0;
        tickfuse_status status = tickfuse_model_schema_json(get(), nullptr, 0, &needed);
        if (status != TICKFUSE_OK) {
            return Failure::of(status);
        }
        std::string text(needed, '\0');
        status = tickfuse_model_schema_json(get(), text.data(), text.size(), &needed);
        return finished(status, std::move(text));
    }

    Expected<std::vector<Input>> try_inputs() const noexcept {
        tickfuse_input found = TICKFUSE_INPUT_INIT;
        return columns<Input>(n_features(), tickfuse_model_input, found, [&] {
            return Input{found.name, found.n_categories, found.role, found.missing, found.is_of_bars != 0};
        });
    }

    Expected<std::vector<Output>> try_outputs() const noexcept {
        tickfuse_output found = TICKFUSE_OUTPUT_INIT;
        return columns<Output>(n_outputs(), tickfuse_model_output, found, [&] {
            return Output{found.name, found.unit, found.kind, found.step, found.tau};
        });
    }

    Expected<ContextShape> try_context_shape() const noexcept {
        ContextShape shape;
        const tickfuse_status status =
            tickfuse_model_context_shape(get(), &shape.n_contexts, &shape.n_rows, &shape.n_columns);
        if (status != TICKFUSE_OK) {
            return Failure::of(status);
        }
        return shape;
    }

#if TICKFUSE_HPP_THROWS
    static Model open(const char *path, const OpenOptions &options = {}) { return try_open(path, options).value(); }
    static Model open(const std::string &path, const OpenOptions &options = {}) {
        return open(path.c_str(), options);
    }
    static Model open_memory(const void *bytes, std::size_t size, const OpenOptions &options = {}) {
        return try_open_memory(bytes, size, options).value();
    }
    std::string hash() const { return try_hash().value(); }
    std::string schema_json() const { return try_schema_json().value(); }
    std::vector<Input> inputs() const { return try_inputs().value(); }
    std::vector<Output> outputs() const { return try_outputs().value(); }
    ContextShape context_shape() const { return try_context_shape().value(); }
#endif

  private:
    explicit Model(tickfuse_model *handle) noexcept : handle_(handle) {}

    // `n` columns, which `call` writes to `found` and `in_cpp` reads there.
    template <class T, class Call, class C, class InCpp>
    Expected<std::vector<T>> columns(std::size_t n, Call call, C &found, InCpp &&in_cpp) const {
        std::vector<T> all;
        for (std::size_t i = 0; i < n; i++) {
            const tickfuse_status status = call(get(), i, &found);
            if (status != TICKFUSE_OK) {
                return Failure::of(status);
            }
            all.push_back(in_cpp());
        }
        return all;
    }

    // A text without its zero.
    static Expected<std::string> finished(tickfuse_status status, std::string text) {
        if (status != TICKFUSE_OK) {
            return Failure::of(status);
        }
        text.pop_back();
        return text;
    }

    detail::Handle<tickfuse_model, tickfuse_model_free> handle_;
};

// The CPU takes denormal numbers of this thread for zeros while one of these lives: see tickfuse_flush_denormals_begin().
class FlushDenormals {
  public:
    FlushDenormals() noexcept : began_(tickfuse_flush_denormals_begin(&before_) == TICKFUSE_OK) {}
    FlushDenormals(const FlushDenormals &) = delete;
    FlushDenormals &operator=(const FlushDenormals &) = delete;
    ~FlushDenormals() {
        if (began_) {
            tickfuse_flush_denormals_end(before_);
        }
    }

  private:
    std::uint64_t before_ = 0;
    bool began_;
};

// ---- Contexts -------------------------------------------------------------------------------------------------------

// What the answers of an X-Trend attend to. Immutable: any number of threads may use one.
class Contexts {
  public:
    static Expected<Contexts> try_encode(const Model &model, Span<const float> rows,
                                         Span<const std::uint32_t> entities) noexcept {
        return encode(tickfuse_contexts_encode, model, rows, entities);
    }
    static Expected<Contexts> try_encode(const Model &model, Span<const double> rows,
                                         Span<const std::uint32_t> entities) noexcept {
        return encode(tickfuse_contexts_encode_f64, model, rows, entities);
    }

    static Contexts own(tickfuse_contexts *handle) noexcept { return Contexts(handle); }

    tickfuse_contexts *get() const noexcept { return handle_.get(); }

#if TICKFUSE_HPP_THROWS
    Contexts(const Model &model, Span<const float> rows, Span<const std::uint32_t> entities)
        : Contexts(try_encode(model, rows, entities).value()) {}
    Contexts(const Model &model, Span<const double> rows, Span<const std::uint32_t> entities)
        : Contexts(try_encode(model, rows, entities).value()) {}
#endif

  private:
    explicit Contexts(tickfuse_contexts *handle) noexcept : handle_(handle) {}

    template <class Call, class T>
    static Expected<Contexts> encode(Call call, const Model &model, Span<const T> rows,
                                     Span<const std::uint32_t> entities) {
        return detail::made<Contexts, tickfuse_contexts>([&](tickfuse_contexts **out) {
            return call(model.get(), rows.data(), rows.size(), entities.data(), entities.size(), out);
        });
    }

    detail::Handle<tickfuse_contexts, tickfuse_contexts_free> handle_;
};

// ---- Session --------------------------------------------------------------------------------------------------------

// What a window came to; true where the output holds the answer.
struct [[nodiscard]] Answer {
    tickfuse_status status = TICKFUSE_OK;
    std::uint32_t flags = 0; // TICKFUSE_FLAG_*

    explicit operator bool() const noexcept { return status == TICKFUSE_OK; }
};

// One array of weights, as tickfuse_interpretation describes them.
struct Interpretation {
    std::string name;
    std::vector<std::size_t> shape;
    std::vector<float> values;
};

// The working memory for whole windows: one per thread.
class Session {
  public:
    static Expected<Session> try_new(const Model &model, std::size_t max_batch = 1) noexcept {
        return detail::made<Session, tickfuse_session>(
            [&](tickfuse_session **out) { return tickfuse_session_new(model.get(), max_batch, out); });
    }

    // Bytes of a block for try_new_in(), and to whose multiple its address must be aligned; 0 where there is no such session.
    static std::size_t size(const Model &model, std::size_t max_batch = 1) noexcept {
        return tickfuse_session_size(model.get(), max_batch);
    }
    static std::size_t align() noexcept { return tickfuse_session_align(); }

    // A session in a block of the caller's, which must outlive it.
    static Expected<Session> try_new_in(void *memory, std::size_t len, const Model &model,
                                        std::size_t max_batch = 1) noexcept {
        return detail::made<Session, tickfuse_session>([&](tickfuse_session **out) {
            return tickfuse_session_init(model.get(), max_batch, memory, len, out);
        });
    }

    static Session own(tickfuse_session *handle) noexcept { return Session(handle); }

    tickfuse_session *get() const noexcept { return handle_.get(); }

    Answer run(Span<const float> window, Span<float> out) noexcept {
        return answer(tickfuse_session_run, window, out);
    }
    Answer run(Span<const double> window, Span<float> out) noexcept {
        return answer(tickfuse_session_run_f64, window, out);
    }

    Answer run_batch(Span<const float> windows, std::size_t n_windows, Span<float> out) noexcept {
        return answer(tickfuse_session_run_batch, windows, out, n_windows);
    }
    Answer run_batch(Span<const double> windows, std::size_t n_windows, Span<float> out) noexcept {
        return answer(tickfuse_session_run_batch_f64, windows, out, n_windows);
    }

    // Windows that are views of a longer array; strides are in values.
    Answer run_strided(Span<const float> values, std::size_t n_windows, std::size_t window_stride,
                       std::size_t row_stride, Span<float> out) noexcept {
        return answer(tickfuse_session_run_strided, values, out, n_windows, window_stride, row_stride);
    }
    Answer run_strided(Span<const double> values, std::size_t n_windows, std::size_t window_stride,
                       std::size_t row_stride, Span<float> out) noexcept {
        return answer(tickfuse_session_run_strided_f64, values, out, n_windows, window_stride, row_stride);
    }

    Answer run_lengths(Span<const float> window, std::size_t n_encoder, std::size_t n_decoder,
                       Span<float> out) noexcept {
        return answer(tickfuse_session_run_lengths, window, out, n_encoder, n_decoder);
    }
    Answer run_lengths(Span<const double> window, std::size_t n_encoder, std::size_t n_decoder,
                       Span<float> out) noexcept {
        return answer(tickfuse_session_run_lengths_f64, window, out, n_encoder, n_decoder);
    }

    // Contexts that were moved from are a mistake, not a wish for the file's.
    Status set_contexts(const Contexts &contexts) noexcept {
        return contexts.get() == nullptr ? Status{TICKFUSE_ERR_NULL}
                                         : Status{tickfuse_session_set_contexts(get(), contexts.get())};
    }
    Status set_own_contexts() noexcept { return {tickfuse_session_set_contexts(get(), nullptr)}; }

    Expected<std::vector<Interpretation>> try_interpret() const noexcept {
        std::vector<Interpretation> all(tickfuse_session_n_interpretations(get()));
        for (std::size_t i = 0; i < all.size(); i++) {
            const tickfuse_status status = interpretation(i, all[i]);
            if (status != TICKFUSE_OK) {
                return Failure::of(status);
            }
        }
        return all;
    }

#if TICKFUSE_HPP_THROWS
    explicit Session(const Model &model, std::size_t max_batch = 1) : Session(try_new(model, max_batch).value()) {}
    std::vector<Interpretation> interpret() const { return try_interpret().value(); }
#endif

  private:
    explicit Session(tickfuse_session *handle) noexcept : handle_(handle) {}

    template <class Call, class T, class... N>
    Answer answer(Call call, Span<const T> values, Span<float> out, N... n) noexcept {
        Answer found;
        found.status = call(get(), values.data(), values.size(), n..., out.data(), out.size(), &found.flags);
        return found;
    }

    tickfuse_status interpretation(std::size_t index, Interpretation &out) const {
        tickfuse_interpretation found = TICKFUSE_INTERPRETATION_INIT;
        const tickfuse_status status = tickfuse_session_interpretation(get(), index, &found, nullptr, 0);
        if (status != TICKFUSE_OK) {
            return status;
        }
        out.name = found.name;
        out.shape.assign(found.shape, found.shape + found.n_dims);
        out.values.resize(found.n_values);
        return tickfuse_session_interpretation(get(), index, &found, out.values.data(), out.values.size());
    }

    detail::Handle<tickfuse_session, tickfuse_session_free> handle_;
};

// ---- Stream ---------------------------------------------------------------------------------------------------------

// One record of one symbol's prices, as tickfuse_bar has it.
struct Bar {
    std::int64_t ts_ns = 0;
    double open = 0.0;
    double high = 0.0;
    double low = 0.0;
    double close = 0.0;
    double volume = 0.0;

    tickfuse_bar in_c() const noexcept { return {sizeof(tickfuse_bar), ts_ns, open, high, low, close, volume}; }
};

// What a row or bar came to; true where the output holds the answer.
struct [[nodiscard]] Step {
    tickfuse_status status = TICKFUSE_OK;
    std::uint32_t kind = TICKFUSE_STEP_WARMING_UP; // TICKFUSE_STEP_*; of use where the status is TICKFUSE_OK
    std::uint32_t flags = 0;                       // TICKFUSE_FLAG_* of the answer
    std::size_t remaining = 0;                     // rows or bars still to come
    std::int64_t ts_ns = 0;                        // the bar's own open time

    explicit operator bool() const noexcept { return status == TICKFUSE_OK && kind == TICKFUSE_STEP_ANSWER; }
    bool is_warming_up() const noexcept { return status == TICKFUSE_OK && kind == TICKFUSE_STEP_WARMING_UP; }
};

namespace detail {

inline Step in_cpp(tickfuse_status status, const tickfuse_step &step) noexcept {
    return {status, step.kind, step.flags, step.remaining, step.ts_ns};
}

template <class Handle, class Call, class T>
Step step_of_row(Handle *handle, Call call, Span<const T> row, Span<float> out) noexcept {
    tickfuse_step step = TICKFUSE_STEP_INIT;
    const tickfuse_status status = call(handle, row.data(), row.size(), out.data(), out.size(), &step);
    return in_cpp(status, step);
}

template <class Handle, class Call>
Step step_of_bar(Handle *handle, Call call, const Bar &bar, Span<float> out) noexcept {
    tickfuse_step step = TICKFUSE_STEP_INIT;
    const tickfuse_bar given = bar.in_c();
    const tickfuse_status status = call(handle, &given, out.data(), out.size(), &step);
    return in_cpp(status, step);
}

} // namespace detail

// What prepare_some() came to; true where nothing is left to prepare.
struct [[nodiscard]] Prepared {
    tickfuse_status status = TICKFUSE_OK;
    bool is_done = false;

    explicit operator bool() const noexcept { return status == TICKFUSE_OK && is_done; }
};

// A window that slides over one series: one per symbol.
class Stream {
  public:
    static Expected<Stream> try_new(const Model &model) noexcept {
        return detail::made<Stream, tickfuse_stream>(
            [&](tickfuse_stream **out) { return tickfuse_stream_new(model.get(), out); });
    }

    // As of a Session.
    static std::size_t size(const Model &model) noexcept { return tickfuse_stream_size(model.get()); }
    static std::size_t align() noexcept { return tickfuse_stream_align(); }
    static Expected<Stream> try_new_in(void *memory, std::size_t len, const Model &model) noexcept {
        return detail::made<Stream, tickfuse_stream>(
            [&](tickfuse_stream **out) { return tickfuse_stream_init(model.get(), memory, len, out); });
    }

    static Stream own(tickfuse_stream *handle) noexcept { return Stream(handle); }

    tickfuse_stream *get() const noexcept { return handle_.get(); }

    // Gives the handle away.
    tickfuse_stream *release() noexcept { return handle_.release(); }

    // A row, rows of the future behind it where the model reads any.
    Step push(Span<const float> row, Span<float> out) noexcept { return of_row(tickfuse_stream_push, row, out); }
    Step push(Span<const double> row, Span<float> out) noexcept { return of_row(tickfuse_stream_push_f64, row, out); }
    Step peek(Span<const float> row, Span<float> out) noexcept { return of_row(tickfuse_stream_peek, row, out); }
    Step peek(Span<const double> row, Span<float> out) noexcept { return of_row(tickfuse_stream_peek_f64, row, out); }

    Step push_bar(const Bar &bar, Span<float> out) noexcept { return of_bar(tickfuse_stream_push_bar, bar, out); }
    Step peek_bar(const Bar &bar, Span<float> out) noexcept { return of_bar(tickfuse_stream_peek_bar, bar, out); }

    // Rows and bars of the past: taken, not answered.
    Status replay(Span<const float> row) noexcept {
        return {tickfuse_stream_replay(get(), row.data(), row.size())};
    }
    Status replay(Span<const double> row) noexcept {
        return {tickfuse_stream_replay_f64(get(), row.data(), row.size())};
    }
    Status replay_bar(const Bar &bar) noexcept {
        const tickfuse_bar given = bar.in_c();
        return {tickfuse_stream_replay_bar(get(), &given)};
    }

    // May be left unread: after a failure the next push says the same.
    tickfuse_status prepare() noexcept { return tickfuse_stream_prepare(get()); }

    Prepared prepare_some(std::size_t budget) noexcept {
        std::uint32_t is_done = 0;
        const tickfuse_status status = tickfuse_stream_prepare_some(get(), budget, &is_done);
        return {status, is_done != 0};
    }

    Status reset() noexcept { return {tickfuse_stream_reset(get())}; }

    // What the stream remembers: as many bytes as saved_len() says now.
    std::size_t saved_len() const noexcept { return tickfuse_stream_saved_len(get()); }
    Status save(void *to, std::size_t len) const noexcept { return {tickfuse_stream_save(get(), to, len)}; }
    Status restore(const void *from, std::size_t len) noexcept {
        return {tickfuse_stream_restore(get(), from, len)};
    }

    // Becomes a copy of another stream of the same model, without allocating.
    Status clone_from(const Stream &source) noexcept { return {tickfuse_stream_clone_from(get(), source.get())}; }

    Expected<Stream> try_clone() const noexcept {
        return detail::made<Stream, tickfuse_stream>(
            [&](tickfuse_stream **out) { return tickfuse_stream_clone(get(), out); });
    }

    std::size_t remaining() const noexcept { return tickfuse_stream_remaining(get()); }

    Status set_max_missing_bars(std::uint32_t max_missing_bars) noexcept {
        return {tickfuse_stream_set_max_missing_bars(get(), max_missing_bars)};
    }
    std::uint32_t max_missing_bars() const noexcept { return tickfuse_stream_max_missing_bars(get()); }

    // is_known says whether the model knows the label; otherwise it stands for an unknown series.
    Status set_category(const char *name, const char *label, bool &is_known) noexcept {
        std::uint32_t found = 0;
        const tickfuse_status status = tickfuse_stream_set_category(get(), name, label, &found);
        is_known = found != 0;
        return {status};
    }

    Status set_contexts(const Contexts &contexts) noexcept {
        return contexts.get() == nullptr ? Status{TICKFUSE_ERR_NULL}
                                         : Status{tickfuse_stream_set_contexts(get(), contexts.get())};
    }
    Status set_own_contexts() noexcept { return {tickfuse_stream_set_contexts(get(), nullptr)}; }

#if TICKFUSE_HPP_THROWS
    explicit Stream(const Model &model) : Stream(try_new(model).value()) {}
    Stream clone() const { return try_clone().value(); }
#endif

  private:
    explicit Stream(tickfuse_stream *handle) noexcept : handle_(handle) {}

    template <class Call, class T> Step of_row(Call call, Span<const T> row, Span<float> out) noexcept {
        return detail::step_of_row(get(), call, row, out);
    }

    template <class Call> Step of_bar(Call call, const Bar &bar, Span<float> out) noexcept {
        return detail::step_of_bar(get(), call, bar, out);
    }

    detail::Handle<tickfuse_stream, tickfuse_stream_free> handle_;
};

// ---- Streams of many symbols ----------------------------------------------------------------------------------------

// The streams of many symbols, numbered from 0: one handle for one thread.
class StreamSet {
  public:
    static Expected<StreamSet> try_new(const Model &model, std::size_t n_symbols) noexcept {
        return detail::made<StreamSet, tickfuse_streams>(
            [&](tickfuse_streams **out) { return tickfuse_streams_new(model.get(), n_symbols, out); });
    }

    // As of a Session.
    static std::size_t size(const Model &model, std::size_t n_symbols) noexcept {
        return tickfuse_streams_size(model.get(), n_symbols);
    }
    static std::size_t align() noexcept { return tickfuse_streams_align(); }
    static Expected<StreamSet> try_new_in(void *memory, std::size_t len, const Model &model,
                                          std::size_t n_symbols) noexcept {
        return detail::made<StreamSet, tickfuse_streams>([&](tickfuse_streams **out) {
            return tickfuse_streams_init(model.get(), n_symbols, memory, len, out);
        });
    }

    static StreamSet own(tickfuse_streams *handle) noexcept { return StreamSet(handle); }

    tickfuse_streams *get() const noexcept { return handle_.get(); }

    std::size_t n_symbols() const noexcept { return tickfuse_streams_n_symbols(get()); }

    Step push(std::size_t symbol, Span<const float> row, Span<float> out) noexcept {
        return of_row(tickfuse_streams_push, symbol, row, out);
    }
    Step push(std::size_t symbol, Span<const double> row, Span<float> out) noexcept {
        return of_row(tickfuse_streams_push_f64, symbol, row, out);
    }
    Step peek(std::size_t symbol, Span<const float> row, Span<float> out) noexcept {
        return of_row(tickfuse_streams_peek, symbol, row, out);
    }
    Step peek(std::size_t symbol, Span<const double> row, Span<float> out) noexcept {
        return of_row(tickfuse_streams_peek_f64, symbol, row, out);
    }

    Step push_bar(std::size_t symbol, const Bar &bar, Span<float> out) noexcept {
        return of_bar(tickfuse_streams_push_bar, symbol, bar, out);
    }
    Step peek_bar(std::size_t symbol, const Bar &bar, Span<float> out) noexcept {
        return of_bar(tickfuse_streams_peek_bar, symbol, bar, out);
    }

    // Rows of all symbols. Each of the steps has its size set, as TICKFUSE_STEP_INIT does.
    Status push_all(Span<const float> rows, Span<float> out, Span<tickfuse_step> steps) noexcept {
        return of_rows(tickfuse_streams_push_all, rows, out, steps);
    }
    Status push_all(Span<const double> rows, Span<float> out, Span<tickfuse_step> steps) noexcept {
        return of_rows(tickfuse_streams_push_all_f64, rows, out, steps);
    }
    Status peek_all(Span<const float> rows, Span<float> out, Span<tickfuse_step> steps) noexcept {
        return of_rows(tickfuse_streams_peek_all, rows, out, steps);
    }
    Status peek_all(Span<const double> rows, Span<float> out, Span<tickfuse_step> steps) noexcept {
        return of_rows(tickfuse_streams_peek_all_f64, rows, out, steps);
    }

    // May be left unread: after a failure the next push says the same.
    tickfuse_status prepare() noexcept { return tickfuse_streams_prepare(get()); }

    Prepared prepare_some(std::size_t budget) noexcept {
        std::uint32_t is_done = 0;
        const tickfuse_status status = tickfuse_streams_prepare_some(get(), budget, &is_done);
        return {status, is_done != 0};
    }

    Status reset(std::size_t symbol) noexcept { return {tickfuse_streams_reset(get(), symbol)}; }
    Status reset_all() noexcept { return {tickfuse_streams_reset_all(get())}; }

    std::size_t remaining(std::size_t symbol) const noexcept { return tickfuse_streams_remaining(get(), symbol); }

    Status set_max_missing_bars(std::uint32_t max_missing_bars) noexcept {
        return {tickfuse_streams_set_max_missing_bars(get(), max_missing_bars)};
    }

    // As of a Stream.
    Status set_category(std::size_t symbol, const char *name, const char *label, bool &is_known) noexcept {
        std::uint32_t found = 0;
        const tickfuse_status status = tickfuse_streams_set_category(get(), symbol, name, label, &found);
        is_known = found != 0;
        return {status};
    }

    Status set_contexts(const Contexts &contexts) noexcept {
        return contexts.get() == nullptr ? Status{TICKFUSE_ERR_NULL}
                                         : Status{tickfuse_streams_set_contexts(get(), contexts.get())};
    }
    Status set_own_contexts() noexcept { return {tickfuse_streams_set_contexts(get(), nullptr)}; }

    std::size_t saved_len(std::size_t symbol) const noexcept { return tickfuse_streams_saved_len(get(), symbol); }
    Status save(std::size_t symbol, void *to, std::size_t len) const noexcept {
        return {tickfuse_streams_save(get(), symbol, to, len)};
    }
    Status restore(std::size_t symbol, const void *from, std::size_t len) noexcept {
        return {tickfuse_streams_restore(get(), symbol, from, len)};
    }

#if TICKFUSE_HPP_THROWS
    StreamSet(const Model &model, std::size_t n_symbols) : StreamSet(try_new(model, n_symbols).value()) {}
#endif

  private:
    explicit StreamSet(tickfuse_streams *handle) noexcept : handle_(handle) {}

    static Step in_cpp(tickfuse_status status, const tickfuse_step &step) noexcept {
        return {status, step.kind, step.flags, step.remaining, step.ts_ns};
    }

    template <class Call, class T>
    Step of_row(Call call, std::size_t symbol, Span<const T> row, Span<float> out) noexcept {
        tickfuse_step step = TICKFUSE_STEP_INIT;
        const tickfuse_status status = call(get(), symbol, row.data(), row.size(), out.data(), out.size(), &step);
        return in_cpp(status, step);
    }

    template <class Call> Step of_bar(Call call, std::size_t symbol, const Bar &bar, Span<float> out) noexcept {
        tickfuse_step step = TICKFUSE_STEP_INIT;
        const tickfuse_bar given = bar.in_c();
        const tickfuse_status status = call(get(), symbol, &given, out.data(), out.size(), &step);
        return in_cpp(status, step);
    }

    template <class Call, class T>
    Status of_rows(Call call, Span<const T> rows, Span<float> out, Span<tickfuse_step> steps) noexcept {
        return {call(get(), rows.data(), rows.size(), out.data(), out.size(), steps.data(), steps.size())};
    }

    detail::Handle<tickfuse_streams, tickfuse_streams_free> handle_;
};

// ---- Sliding windows ------------------------------------------------------------------------------------------------

// The working memory for every window of a long series: one per thread.
class Sliding {
  public:
    static Expected<Sliding> try_new(const Model &model, std::size_t stride = 1) noexcept {
        return detail::made<Sliding, tickfuse_sliding>(
            [&](tickfuse_sliding **out) { return tickfuse_sliding_new(model.get(), stride, out); });
    }

    static Sliding own(tickfuse_sliding *handle) noexcept { return Sliding(handle); }

    tickfuse_sliding *get() const noexcept { return handle_.get(); }

    std::size_t n_windows(std::size_t n_rows) const noexcept { return tickfuse_sliding_n_windows(get(), n_rows); }

    // Allocates where a series has more windows than any before it.
    Status run(Span<const float> series, Span<float> out, Span<std::uint32_t> flags) noexcept {
        return answer(tickfuse_sliding_run, series, out, flags);
    }
    Status run(Span<const double> series, Span<float> out, Span<std::uint32_t> flags) noexcept {
        return answer(tickfuse_sliding_run_f64, series, out, flags);
    }

    Status set_contexts(const Contexts &contexts) noexcept {
        return contexts.get() == nullptr ? Status{TICKFUSE_ERR_NULL}
                                         : Status{tickfuse_sliding_set_contexts(get(), contexts.get())};
    }
    Status set_own_contexts() noexcept { return {tickfuse_sliding_set_contexts(get(), nullptr)}; }

#if TICKFUSE_HPP_THROWS
    explicit Sliding(const Model &model, std::size_t stride = 1) : Sliding(try_new(model, stride).value()) {}
#endif

  private:
    explicit Sliding(tickfuse_sliding *handle) noexcept : handle_(handle) {}

    template <class Call, class T>
    Status answer(Call call, Span<const T> series, Span<float> out, Span<std::uint32_t> flags) noexcept {
        return {call(get(), series.data(), series.size(), out.data(), out.size(), flags.data(), flags.size())};
    }

    detail::Handle<tickfuse_sliding, tickfuse_sliding_free> handle_;
};

// ---- Fast calls -----------------------------------------------------------------------------------------------------

// What a fast call came to; true where the answer was written.
struct [[nodiscard]] FastStep {
    tickfuse_status status = TICKFUSE_OK;

    explicit operator bool() const noexcept { return status == TICKFUSE_OK; }
    bool is_warming_up() const noexcept { return status == TICKFUSE_WARMING_UP; }
    const char *text() const noexcept { return tickfuse_status_text(status); }
};

// One hot call of a Stream or Session, of rows or windows of `T`, float or double, whose lengths were said beforehand: the
// least that a call costs. The stream or session outlives it, but may be moved.
template <class T> class Fast {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "values are floats or doubles");

  public:
    static Expected<Fast> try_push_of(Stream &stream) noexcept {
        return of(tickfuse_fast_of_stream, stream.get(), TICKFUSE_FAST_PUSH);
    }
    static Expected<Fast> try_peek_of(Stream &stream) noexcept {
        return of(tickfuse_fast_of_stream, stream.get(), TICKFUSE_FAST_PEEK);
    }
    static Expected<Fast> try_run_of(Session &session) noexcept {
        return of(tickfuse_fast_of_session, session.get(), TICKFUSE_FAST_RUN);
    }

    static Fast own(tickfuse_fast *handle) noexcept { return Fast(handle); }

    tickfuse_fast *get() const noexcept { return handle_.get(); }

    // values: as many as a row, or a window, has; out: as many as an answer has.
    FastStep operator()(const T *values, float *out) noexcept { return {tickfuse_fast_call(get(), values, out)}; }

    // TICKFUSE_FLAG_* of its last answer.
    std::uint32_t flags() const noexcept { return tickfuse_fast_flags(get()); }

#if TICKFUSE_HPP_THROWS
    static Fast push_of(Stream &stream) { return try_push_of(stream).value(); }
    static Fast peek_of(Stream &stream) { return try_peek_of(stream).value(); }
    static Fast run_of(Session &session) { return try_run_of(session).value(); }
#endif

  private:
    explicit Fast(tickfuse_fast *handle) noexcept : handle_(handle) {}

    template <class Make, class Subject>
    static Expected<Fast> of(Make make, Subject *subject, std::uint32_t action) noexcept {
        const std::uint32_t width = std::is_same_v<T, double> ? TICKFUSE_FAST_F64 : 0;
        return detail::made<Fast, tickfuse_fast>(
            [&](tickfuse_fast **out) { return make(subject, action | width, out); });
    }

    detail::Handle<tickfuse_fast, tickfuse_fast_free> handle_;
};

} // namespace of_std_span or of_own_span
} // namespace that_throws or that_never_throws
} // namespace tickfuse

#endif
