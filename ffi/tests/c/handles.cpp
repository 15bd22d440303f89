// A C++17 program that does what streams.c, contexts.c, memory.c, series.c and symbols.c do, through tickfuse.hpp, and prints the same.
//
//     handles rows MODEL FILE
//     handles bars MODEL FILE
//     handles memory MODEL FILE
//     handles series MODEL FILE
//     handles symbols MODEL FILE
//     handles attend MODEL WINDOW ROWS
//     handles lengths MODEL WINDOW N_ENCODER N_DECODER
#include "tickfuse.hpp"
#include "tickfuse.hpp" // twice: it is guarded

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace {

using tickfuse::Model;
using tickfuse::Session;
using tickfuse::Span;
using tickfuse::Stream;
using tickfuse::StreamSet;

template <class T>
constexpr bool is_handle = std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>
                           && !std::is_copy_constructible_v<T> && sizeof(T) == sizeof(void *);
static_assert(is_handle<Model> && is_handle<Session> && is_handle<Stream> && is_handle<tickfuse::Contexts>
              && is_handle<tickfuse::Sliding> && is_handle<StreamSet>);

template <class T> using Given = const std::vector<T> &;
static_assert(noexcept(std::declval<Stream &>().push(std::declval<Given<float>>(), std::declval<Span<float>>())));
static_assert(noexcept(std::declval<Stream &>().peek(std::declval<Given<double>>(), std::declval<Span<float>>())));
static_assert(noexcept(std::declval<Stream &>().push_bar({}, std::declval<Span<float>>())));
static_assert(noexcept(std::declval<Stream &>().prepare()));
static_assert(noexcept(std::declval<Session &>().run(std::declval<Given<float>>(), std::declval<Span<float>>())));
static_assert(noexcept(Model::try_open("")));

void expect(bool holds, const char *what) {
    if (!holds) {
        throw std::runtime_error(std::string("expected ") + what + "; last error: " + tickfuse::last_error());
    }
}

template <class T> std::vector<T> read_file(const char *path) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    return values;
}

void print(const char *name, const std::vector<float> &out, std::uint32_t flags) {
    std::printf("%s %u", name, static_cast<unsigned>(flags));
    for (const float value : out) {
        std::uint32_t bits = 0;
        std::memcpy(&bits, &value, sizeof bits);
        std::printf(" %08x", static_cast<unsigned>(bits));
    }
    std::printf("\n");
}

void print(const char *name, const tickfuse::Step &step, const std::vector<float> &out) {
    if (step) {
        print(name, out, step.flags);
    } else {
        expect(step.is_warming_up(), "a step that warms up");
        std::printf("%s waits %zu\n", name, step.remaining);
    }
}

void take_rows(const Model &model, const std::vector<float> &rows) {
    const std::size_t width = model.n_features();
    Stream narrow(model);
    Stream wide(model);
    std::vector<float> out(model.n_outputs());
    for (std::size_t i = 0; i < rows.size(); i += width) {
        const Span<const float> row(rows.data() + i, width);
        const std::vector<double> same(row.data(), row.data() + width);
        print("peek", narrow.peek(row, out), out);
        const tickfuse::Prepared some = narrow.prepare_some(1);
        expect(some.status == TICKFUSE_OK && narrow.prepare() == TICKFUSE_OK, "preparation");
        expect(static_cast<bool>(narrow.prepare_some(1)), "nothing left to prepare");
        print("push", narrow.push(row, out), out);
        print("peek_f64", wide.peek(same, out), out);
        print("push_f64", wide.push(same, out), out);
    }
    expect(static_cast<bool>(wide.reset()) && wide.remaining() == model.lookback(), "a stream that begins anew");
}

// What was moved from, and what is no stream of bars, refuses without a word on out.
void be_refused(const Model &model) {
    std::vector<float> out(model.n_outputs(), 42.0F);
    Stream stream(model);
    expect(stream.push_bar(tickfuse::Bar(), out).status == TICKFUSE_ERR_RUN_NO_BARS, "no bars");
    expect(stream.push(out, Span<float>(out.data(), 1)).status != TICKFUSE_OK, "a refused length");
    const Stream moved = std::move(stream);
    expect(moved.remaining() == model.lookback(), "a stream that moved");
    expect(out.front() == 42.0F, "an output left alone");
    const auto none = Model::try_open("no such file");
    expect(!none && none.error().status == TICKFUSE_ERR_OPEN_IO, "no model");
    expect(none.error().text.find("no such file") != std::string::npos, "its path in the text");
    try {
        Model::open("no such file");
        expect(false, "an exception");
    } catch (const tickfuse::Error &error) {
        expect(error.status() == TICKFUSE_ERR_OPEN_IO && error.what() == none.error().text, "the same in it");
    }
    expect(model.hash().size() + 1 == TICKFUSE_HASH_SIZE && model.schema_json().back() == '}', "whole texts");
    expect(!model.level().empty() && tickfuse::is_served(), "a level and a library that serves");
}

void take_bars(const Model &model, const std::vector<double> &values) {
    Stream stream = std::move(*Stream::try_new(model));
    expect(static_cast<bool>(stream.set_max_missing_bars(1)) && stream.max_missing_bars() == 1, "a stream of bars");
    std::vector<float> out(model.n_outputs());
    for (std::size_t i = 0; i < values.size(); i += 6) {
        const double *v = values.data() + i;
        tickfuse::Bar bar{0, v[1], v[2], v[3], v[4], v[5]};
        std::memcpy(&bar.ts_ns, v, sizeof bar.ts_ns);
        print("peek_bar", stream.peek_bar(bar, out), out);
        const tickfuse::Step step = stream.push_bar(bar, out);
        expect(step.ts_ns == bar.ts_ns, "the bar's time");
        print("push_bar", step, out);
    }
}

void print_interpretation(const Session &session) {
    const std::vector<tickfuse::Interpretation> all = session.interpret();
    std::printf("interpretations %zu\n", all.size());
    for (const auto &found : all) {
        std::printf("shape");
        for (const std::size_t n : found.shape) {
            std::printf(" %zu", n);
        }
        std::printf("\n");
        print(found.name.c_str(), found.values, 0);
    }
}

void run(Session &session, const std::vector<float> &window, std::vector<float> &out, const char *name) {
    const tickfuse::Answer answer = session.run(window, out);
    expect(static_cast<bool>(answer), "an answer");
    print(name, out, answer.flags);
}

// The answer for the window's last row.
void push_all(Stream stream, std::size_t width, const std::vector<float> &window, std::vector<float> &out,
              const char *name) {
    for (std::size_t i = 0; i < window.size(); i += width) {
        const tickfuse::Step step = stream.push(Span<const float>(window.data() + i, width), out);
        expect(step.status == TICKFUSE_OK, "a row taken");
        if (step) {
            print(name, out, step.flags);
        }
    }
}

void attend(const Model &model, const std::vector<float> &window, const std::vector<float> &rows) {
    const tickfuse::ContextShape shape = model.context_shape();
    std::printf("context_shape %zu %zu %zu\n", shape.n_contexts, shape.n_rows, shape.n_columns);
    const std::vector<std::uint32_t> entities(rows.size() / shape.n_rows / shape.n_columns, 1);
    const std::vector<double> wide(rows.begin(), rows.end());
    Session session(model);
    std::vector<float> out(model.n_outputs());
    run(session, window, out, "own");
    expect(static_cast<bool>(session.set_contexts(tickfuse::Contexts(model, rows, entities))), "contexts set");
    run(session, window, out, "set");
    expect(static_cast<bool>(session.set_own_contexts()), "the file's contexts");
    push_all(Stream(model), model.n_features(), window, out, "own");
    run(session, window, out, "own");
    tickfuse::Contexts contexts = std::move(*tickfuse::Contexts::try_encode(model, wide, entities));
    expect(static_cast<bool>(session.set_contexts(contexts)), "contexts set");
    Stream stream(model);
    expect(static_cast<bool>(stream.set_contexts(contexts)), "contexts set");
    const tickfuse::Contexts moved = std::move(contexts);
    expect(stream.set_contexts(contexts).number == TICKFUSE_ERR_NULL, "contexts that are gone");
    expect(moved.get() != nullptr, "contexts that moved");
    run(session, window, out, "set");
    push_all(std::move(stream), model.n_features(), window, out, "set");
    print_interpretation(session);
}

void run_lengths(const Model &model, const std::vector<float> &all, std::size_t n_encoder, std::size_t n_decoder) {
    const std::size_t n_values = (n_encoder + n_decoder) * model.n_features();
    const Span<const float> window(all.data(), n_values);
    const std::vector<double> wide(window.data(), window.data() + n_values);
    std::vector<float> out(model.n_outputs() / (model.n_rows() - model.lookback()) * n_decoder);
    Session session(model);
    const tickfuse::Answer narrow = session.run_lengths(window, n_encoder, n_decoder, out);
    print("lengths", out, narrow.flags);
    const tickfuse::Answer same = session.run_lengths(wide, n_encoder, n_decoder, out);
    print("lengths", out, same.flags);
    expect(narrow && same, "two answers");
    print_interpretation(session);
}

void print_columns(const Model &model) {
    for (const tickfuse::Input &input : model.inputs()) {
        std::printf("input %s %u %u %zu %d\n", input.name.c_str(), static_cast<unsigned>(input.role),
                    static_cast<unsigned>(input.missing), input.n_categories, input.is_of_bars ? 1 : 0);
    }
    for (const tickfuse::Output &output : model.outputs()) {
        std::printf("output %s %s %u %u %.0f\n", output.name.c_str(), output.unit.c_str(),
                    static_cast<unsigned>(output.kind), static_cast<unsigned>(output.step), output.tau * 1e6);
    }
    std::printf("arrival %u\n", static_cast<unsigned>(model.arrival()));
}

// Values of a row with the rows of the future behind it.
std::size_t row_with_future(const Model &model) {
    return (1 + model.n_rows() - model.lookback()) * model.n_features();
}

// A block of the caller's that is aligned as is asked.
class Block {
  public:
    Block(std::size_t size, std::size_t align) : bytes_(size + align), size_(size) {
        void *at = bytes_.data();
        std::size_t room = bytes_.size();
        at_ = std::align(align, size, at, room);
    }

    void *at() const noexcept { return at_; }
    std::size_t size() const noexcept { return size_; }

  private:
    std::vector<unsigned char> bytes_;
    void *at_ = nullptr;
    std::size_t size_;
};

// Handles in the caller's memory.
void keep(const Model &model, const std::vector<float> &rows) {
    print_columns(model);
    std::vector<float> out(model.n_outputs());
    const Block of_session(Session::size(model, 2), Session::align());
    Session session = Session::try_new_in(of_session.at(), of_session.size(), model, 2).value();
    const Span<const float> window(rows.data(), model.n_rows() * model.n_features());
    expect(static_cast<bool>(session.run(window, out)), "an answer");
    {
        const tickfuse::FlushDenormals guard;
#ifdef __x86_64__
        const volatile float smallest = 1.17549435e-38F;
        expect(!(smallest * 0.25F > 0.0F), "a denormal number flushed");
#endif
        std::vector<float> same(out.size());
        expect(static_cast<bool>(session.run(window, same)), "an answer");
        expect(std::memcmp(same.data(), out.data(), out.size() * sizeof(float)) == 0, "the same answer");
    }
    const tickfuse::Status locked = model.lock();
    const tickfuse::Status advised = model.advise_huge_pages();
    expect(locked || locked.number == TICKFUSE_ERR_SYSTEM, "a locked model, or one that the system does not lock");
    expect(advised || advised.number == TICKFUSE_ERR_SYSTEM, "large pages, or none");
    expect(model.prefault() > 0, "pages");
    const Block block(Stream::size(model), Stream::align());
    const auto refused = Stream::try_new_in(block.at(), block.size() - 1, model);
    expect(!refused && refused.error().status == TICKFUSE_ERR_BUFFER, "a block too short");
    Stream stream = Stream::try_new_in(block.at(), block.size(), model).value();
    tickfuse::Step step;
    const std::size_t width = row_with_future(model);
    for (std::size_t i = 0; i + width <= rows.size(); i += model.n_features()) {
        step = stream.push(Span<const float>(rows.data() + i, width), out);
        expect(step.status == TICKFUSE_OK, "a row taken");
    }
    print("last", out, step.flags);
}

// Windows that begin `stride` rows apart.
void slide(const Model &model, const std::vector<float> &rows, std::size_t stride) {
    const std::size_t n_out = model.n_outputs();
    tickfuse::Sliding sliding(model, stride);
    const std::size_t n = sliding.n_windows(rows.size() / model.n_features());
    std::vector<float> out(n * n_out);
    std::vector<std::uint32_t> flags(n);
    const std::vector<double> wide(rows.begin(), rows.end());
    expect(static_cast<bool>(sliding.run(wide, out, flags)), "answers");
    std::vector<float> same(n * n_out);
    expect(static_cast<bool>(sliding.run(rows, same, flags)), "answers");
    expect(std::memcmp(out.data(), same.data(), out.size() * sizeof(float)) == 0, "the same from doubles");
    Session session(model, n);
    expect(static_cast<bool>(session.run_strided(rows, n, stride * model.n_features(), model.n_features(), same)),
           "answers of views");
    expect(std::memcmp(out.data(), same.data(), out.size() * sizeof(float)) == 0, "the same from views");
    for (std::size_t i = 0; i < n; i++) {
        const auto at = out.begin() + static_cast<std::ptrdiff_t>(i * n_out);
        print("window", std::vector<float>(at, at + static_cast<std::ptrdiff_t>(n_out)), flags[i]);
    }
}

// A stream that is saved, restored and copied after every row.
void hand_over(const Model &model, const std::vector<float> &rows) {
    Stream streams[] = {Stream(model), Stream(model)};
    std::vector<float> out(model.n_outputs());
    std::vector<unsigned char> bytes;
    const std::size_t width = row_with_future(model);
    for (std::size_t i = 0; i * model.n_features() + width <= rows.size(); i++) {
        Stream &now = streams[i % 2];
        const Span<const float> row(rows.data() + i * model.n_features(), width);
        const tickfuse::Step step = now.push(row, out);
        if (step) {
            print("push", out, step.flags);
        } else {
            expect(step.is_warming_up(), "a row taken");
            std::printf("push waits %zu\n", step.remaining);
        }
        bytes.resize(now.saved_len());
        expect(static_cast<bool>(now.save(bytes.data(), bytes.size())), "a stream saved");
        Stream &next = streams[(i + 1) % 2];
        const tickfuse::Status status =
            i % 3 == 0 ? next.clone_from(now.clone()) : next.restore(bytes.data(), bytes.size());
        expect(static_cast<bool>(status), "a stream handed over");
    }
}

void run_series(const Model &model, const std::vector<float> &rows) {
    slide(model, rows, 1);
    slide(model, rows, 3);
    hand_over(model, rows);
}

// The rows of seven symbols, of which symbol k begins at row k of the file.
void take_symbols(const Model &model, const std::vector<float> &file) {
    constexpr std::size_t n = 7;
    const std::size_t width = row_with_future(model);
    const std::size_t n_rows = (file.size() - width) / model.n_features() + 1;
    const Block block(StreamSet::size(model, n), StreamSet::align());
    StreamSet streams = StreamSet::try_new_in(block.at(), block.size(), model, n).value();
    expect(streams.n_symbols() == n, "seven symbols");
    std::vector<float> rows(n * width);
    std::vector<float> out(n * model.n_outputs());
    for (std::size_t t = 0; t < n_rows; t++) {
        for (std::size_t k = 0; k < n; k++) {
            std::memcpy(rows.data() + k * width, file.data() + (t + k) % n_rows * model.n_features(), width * sizeof(float));
        }
        if (t == n_rows / 2) {
            std::vector<unsigned char> bytes(streams.saved_len(2));
            expect(static_cast<bool>(streams.save(2, bytes.data(), bytes.size())), "a symbol saved");
            expect(static_cast<bool>(streams.reset(5)), "a symbol reset");
            expect(static_cast<bool>(streams.restore(5, bytes.data(), bytes.size())), "a symbol restored");
        }
        std::vector<tickfuse_step> steps(n, TICKFUSE_STEP_INIT);
        streams.prepare();
        expect(static_cast<bool>(streams.peek_all(rows, out, steps)), "rows looked at");
        expect(static_cast<bool>(streams.push_all(rows, out, steps)), "rows taken");
        for (std::size_t k = 0; k < n; k++) {
            const auto at = out.begin() + static_cast<std::ptrdiff_t>(k * model.n_outputs());
            if (steps[k].kind == TICKFUSE_STEP_ANSWER) {
                const std::vector<float> own(at, at + static_cast<std::ptrdiff_t>(model.n_outputs()));
                print("push", own, steps[k].flags);
            } else {
                std::printf("push waits %zu\n", steps[k].remaining);
            }
        }
    }
    expect(static_cast<bool>(streams.reset_all()) && streams.remaining(0) == model.lookback(), "nothing left");
    expect(streams.push(n, Span<const float>(rows.data(), width), out).status == TICKFUSE_ERR_RUN_SYMBOL, "no symbol");
}

void run_kind(const std::string &kind, char **arguments) {
    const Model model = Model::open(arguments[0]);
    if (kind == "rows") {
        take_rows(model, read_file<float>(arguments[1]));
        be_refused(model);
    } else if (kind == "bars") {
        take_bars(model, read_file<double>(arguments[1]));
    } else if (kind == "memory") {
        keep(model, read_file<float>(arguments[1]));
    } else if (kind == "series") {
        run_series(model, read_file<float>(arguments[1]));
    } else if (kind == "symbols") {
        take_symbols(model, read_file<float>(arguments[1]));
    } else if (kind == "attend") {
        attend(model, read_file<float>(arguments[1]), read_file<float>(arguments[2]));
    } else {
        run_lengths(model, read_file<float>(arguments[1]), std::strtoul(arguments[2], nullptr, 10),
                    std::strtoul(arguments[3], nullptr, 10));
    }
}

} // namespace

int main(int argc, char **argv) {
    try {
        expect(argc >= 4, "KIND MODEL FILE");
        run_kind(argv[1], argv + 2);
        return 0;
    } catch (const std::exception &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
