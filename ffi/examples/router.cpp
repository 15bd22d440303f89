// An order router in small: bars of several symbols through a queue to a pinned thread that answers and decides, while
// a control thread follows the registry and replaces the model without a stall.
//
//     router [OPTIONS] MODELS BARS.csv...
//
// MODELS is a model's folder in a registry, such as tickfuse-home/models/quickstart, whose alias is followed, or a
// model file. Each file holds the bars of one symbol (bar_file.hpp). The model makes its rows from bars.
//
//     --alias NAME        the alias to follow: best
//     --speed N           bars a second; 0, the default: as fast as they are taken
//     --peeks N           ask N times about every bar while it forms: 0
//     --rounds N          replay the files so often, one behind the other: 1
//     --orders FILE       write orders there as CSV; otherwise they are counted
//     --output NAME       the output to follow, where a model has several probabilities or positions
//     --long P            probability above which to be long: 0.55; a position goes by its sign
//     --short P           probability below which to be short: 0.45
//     --category NAME     the model's category that tells symbols apart, such as symbol
//     --missing N         bars that may be missing before a series begins anew: 0
//     --keep N            bars to keep for the next model, per symbol: twice what the first one needs
//     --cpu N             pin the thread that answers
//
// From the top of the repository:
//
//     cargo build --release -p tickfuse-ffi
//     c++ -std=c++17 -O2 -Iffi/include -o router ffi/examples/router.cpp target/release/libtickfuse.a -pthread -ldl -lm
//     ./router --cpu 1 --speed 2000 --peeks 2 tickfuse-home/models/quickstart SP500.csv NASDAQ.csv
//
// Three threads. FEED merges the files by time and puts bars into a queue. HOT takes them out, pushes or peeks, and
// turns answers into orders, which it puts into another queue; it prepares what comes next while the queue is empty,
// and never allocates, locks or writes. CONTROL, the main thread, writes orders, looks at the alias and offers the
// model it leads to (tickfuse_live.hpp). A model that cannot be opened or does not suit is reported and the one before
// goes on.
//
// The table at the end has the time of each call of HOT, reading the clock included. Steps while CONTROL opens,
// replays and frees have a line of their own, and so have those for which the queue left no time to prepare, and the
// first one that a new model answers.
#include "histogram.hpp"
#include "router_feed.hpp"
#include "tickfuse_live.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif
#include <sys/stat.h>
#include <unistd.h>

namespace {

// ---- Policy ---------------------------------------------------------------------------------------------------------

// What to do with an answer.
struct Policy {
    std::size_t output = 0; // its place in the answer
    double long_above = 0.0;
    double short_below = 0.0;

    int position(float value) const noexcept {
        const double v = static_cast<double>(value);
        return v > long_above ? 1 : v < short_below ? -1 : 0;
    }
};

// By the output that was named, or the only probability or position there is.
Policy policy_of(const tickfuse::Model &model, const Settings &settings) {
    Policy policy;
    std::string candidates;
    std::size_t n_found = 0;
    for (std::size_t i = 0; i < model.n_outputs(); i++) {
        tickfuse_output output = TICKFUSE_OUTPUT_INIT;
        const tickfuse_status status = tickfuse_model_output(model.get(), i, &output);
        if (status != TICKFUSE_OK) {
            throw tickfuse::Error(tickfuse::Failure::of(status));
        }
        const bool is_position = output.kind == TICKFUSE_OUTPUT_POSITION;
        if (!is_position && output.kind != TICKFUSE_OUTPUT_PROBABILITY) {
            continue;
        }
        candidates += std::string(candidates.empty() ? "" : ", ") + output.name;
        if (settings.output.empty() || settings.output == output.name) {
            n_found++;
            policy.output = i;
            policy.long_above = is_position ? 0.0 : settings.long_above;
            policy.short_below = is_position ? 0.0 : settings.short_below;
        }
    }
    if (n_found != 1) {
        throw std::runtime_error("expected one probability or position, or one of them as --output; the model has: "
                                 + (candidates.empty() ? "none" : candidates));
    }
    return policy;
}

// ---- Hot ------------------------------------------------------------------------------------------------------------

struct Order {
    std::int64_t ts_ns = 0;
    std::uint32_t series = 0;
    bool is_forming = false;
    int position = 0;
    float value = 0.0F;
    double price = 0.0;
    std::uint64_t tag = 0;
};

constexpr std::size_t max_models = 64;

// What HOT counted, to be read when it has ended.
struct Counted {
    Histogram push;
    Histogram push_while_swapping;
    Histogram peek;
    Histogram peek_while_swapping;
    Histogram unprepared;
    Histogram first;
    Histogram swap;
    Histogram prepare;
    std::uint64_t n_answers[max_models] = {};
    std::uint64_t n_orders = 0;
    std::uint64_t n_swaps = 0;
    std::uint64_t n_refused = 0;
    std::uint64_t n_out_of_range = 0;
    tickfuse_status first_refusal = TICKFUSE_OK;
};

class Hot {
  public:
    Hot(std::vector<tickfuse::Live> &lives, Policy policy, std::size_t n_outputs, Queue<Event> &from,
        Queue<Order> &to)
        : lives_(lives), policy_(policy), from_(from), to_(to), books_(lives.size()), out_(n_outputs),
          counted_(std::make_unique<Counted>()) {}

    // Until the feed is over and all of it is answered.
    void run(const Feed &feed) noexcept {
        Event event;
        while (true) {
            const bool is_over = feed.is_over();
            if (from_.pop(event)) {
                handle(event);
            } else if (is_over) {
                break;
            } else {
                prepare_one();
            }
        }
        is_done_.store(true, std::memory_order_release);
    }

    bool is_done() const noexcept { return is_done_.load(std::memory_order_acquire); }
    void say_swapping(bool is_swapping) noexcept { is_swapping_.store(is_swapping, std::memory_order_relaxed); }
    const Counted &counted() const noexcept { return *counted_; }

  private:
    struct Book {
        int position = 0;
        bool is_prepared = false; // prepare() was called since the last push
        bool is_ready = false;    // or a peek was, which left the next answer little to do
        bool is_new = false;      // another model answers, and has not answered yet
    };

    void handle(const Event &event) noexcept {
        tickfuse::Live &live = lives_[event.series];
        Book &book = books_[event.series];
        tickfuse::Step step;
        const std::uint64_t ns = nanoseconds(
            [&] { step = event.is_forming ? live.peek_bar(event.bar, out_) : live.push_bar(event.bar, out_); });
        histogram(event, book).record(ns);
        book.is_new = false;
        book.is_ready = event.is_forming;
        if (step.status != TICKFUSE_OK) {
            counted_->first_refusal = counted_->n_refused == 0 ? step.status : counted_->first_refusal;
            counted_->n_refused++;
        }
        if (step) {
            decide(event, step, live.tag(), book);
        }
        if (!event.is_forming) {
            book.is_prepared = false;
            take(live, book);
        }
    }

    Histogram &histogram(const Event &event, const Book &book) noexcept {
        const bool is_swapping = is_swapping_.load(std::memory_order_relaxed);
        if (book.is_new) {
            return counted_->first;
        }
        if (!book.is_ready) {
            return counted_->unprepared;
        }
        if (event.is_forming) {
            return is_swapping ? counted_->peek_while_swapping : counted_->peek;
        }
        return is_swapping ? counted_->push_while_swapping : counted_->push;
    }

    // An order where the position is to be another one.
    void decide(const Event &event, const tickfuse::Step &step, std::uint64_t tag, Book &book) noexcept {
        counted_->n_answers[tag]++;
        if ((step.flags & TICKFUSE_FLAG_OVERFLOW) != 0) {
            counted_->n_out_of_range++;
            return;
        }
        const float value = out_[policy_.output];
        const int position = policy_.position(value);
        if (position == book.position) {
            return;
        }
        book.position = position;
        counted_->n_orders++;
        while (!to_.push({event.bar.ts_ns, event.series, event.is_forming, position, value, event.bar.close, tag})) {
            std::this_thread::yield(); // an order is not lost, also where control is slow to write
        }
    }

    void take(tickfuse::Live &live, Book &book) noexcept {
        bool is_taken = false;
        const std::uint64_t ns = nanoseconds([&] { is_taken = live.take(); });
        if (is_taken) {
            counted_->swap.record(ns);
            counted_->n_swaps++;
            book.is_new = true;
            book.is_prepared = false;
            book.is_ready = false;
        }
    }

    // The next symbol in turn: an offer for it may have come, and its next bar may be prepared.
    void prepare_one() noexcept {
        turn_ = turn_ + 1 < lives_.size() ? turn_ + 1 : 0;
        Book &book = books_[turn_];
        take(lives_[turn_], book);
        if (!book.is_prepared) {
            const std::uint64_t ns = nanoseconds([&] { lives_[turn_].prepare(); });
            counted_->prepare.record(ns);
            book.is_prepared = true;
            book.is_ready = true;
        }
    }

    std::vector<tickfuse::Live> &lives_;
    Policy policy_;
    Queue<Event> &from_;
    Queue<Order> &to_;
    std::vector<Book> books_;
    std::vector<float> out_;
    std::unique_ptr<Counted> counted_;
    std::size_t turn_ = 0;
    std::atomic<bool> is_swapping_{false};
    std::atomic<bool> is_done_{false};
};

void pin(std::thread &thread, int cpu) {
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(cpu), &set);
    const int error = pthread_setaffinity_np(thread.native_handle(), sizeof set, &set);
    if (error != 0) {
        std::fprintf(stderr, "--cpu %d: %s; the thread runs where it may\n", cpu, std::strerror(error));
    }
#else
    (void)thread;
    std::fprintf(stderr, "--cpu %d: not on this system; the thread runs where it may\n", cpu);
#endif
}

// ---- Control --------------------------------------------------------------------------------------------------------

// Where models come from: a file, or an alias that moves.
class Source {
  public:
    explicit Source(const Settings &settings) : path_(settings.models), alias_(settings.alias) {
        struct stat found;
        if (stat(path_.c_str(), &found) != 0) {
            throw std::runtime_error(path_ + ": " + std::strerror(errno));
        }
        is_folder_ = S_ISDIR(found.st_mode);
    }

    // The version that the alias leads to now, whose folder never changes.
    std::string version() const {
        if (!is_folder_) {
            return path_;
        }
        const std::string link = path_ + "/" + alias_;
        char target[4096];
        const ssize_t n = readlink(link.c_str(), target, sizeof target);
        if (n < 0 || static_cast<std::size_t>(n) == sizeof target) {
            throw std::runtime_error(link + ": expected a symlink to a version: " + std::strerror(errno));
        }
        const std::string version(target, static_cast<std::size_t>(n));
        return (version.front() == '/' ? version : path_ + "/" + version) + "/model.safetensors";
    }

  private:
    std::string path_;
    std::string alias_;
    bool is_folder_ = false;
};

class Control {
  public:
    Control(const Settings &settings, std::vector<Series> all)
        : settings_(settings), all_(std::move(all)), source_(settings), path_(source_.version()),
          model_(tickfuse::Model::open(path_)), policy_(policy_of(model_, settings)), events_(4096), orders_(65536) {
        tag_of(model_);
        level_ = std::string(model_.level());
        const tickfuse::LiveOptions options{TICKFUSE_LIVE_BARS, 0, settings.n_kept};
        for (std::size_t i = 0; i < all_.size(); i++) {
            lives_.emplace_back(model_, stream(model_, i).value(), options);
        }
        if (!settings.orders.empty()) {
            file_.reset(std::fopen(settings.orders.c_str(), "w"));
            if (!file_) {
                throw std::runtime_error(settings.orders + ": " + std::strerror(errno));
            }
            std::fprintf(file_.get(), "ts,symbol,bar,position,value,price,model\n");
        }
    }

    void run() {
        Feed feed(all_, settings_, events_);
        Hot hot(lives_, policy_, model_.n_outputs(), events_, orders_);
        std::printf("%s, level %s, %zu symbols\n", path_.c_str(), level_.c_str(), all_.size());
        std::fflush(stdout);
        std::thread hot_thread([&] { hot.run(feed); });
        if (settings_.cpu >= 0) {
            pin(hot_thread, settings_.cpu);
        }
        std::thread feed_thread([&] { feed.run(); });
        while (!hot.is_done()) {
            write_orders();
            follow(hot);
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        feed_thread.join();
        hot_thread.join();
        write_orders();
        print(hot.counted());
    }

  private:
    struct Close {
        void operator()(std::FILE *file) const noexcept { std::fclose(file); }
    };

    tickfuse::Expected<tickfuse::Stream> stream(const tickfuse::Model &model, std::size_t i) const noexcept {
        tickfuse::Expected<tickfuse::Stream> made = tickfuse::Stream::try_new(model);
        if (!made) {
            return made;
        }
        tickfuse::Status status = made->set_max_missing_bars(settings_.n_missing);
        bool is_known = false;
        if (status && !settings_.category.empty()) {
            status = made->set_category(settings_.category.c_str(), all_[i].symbol.c_str(), is_known);
        }
        if (!status) {
            return tickfuse::Failure::of(status.number);
        }
        return made;
    }

    // Number of a model among those seen.
    std::size_t tag_of(const tickfuse::Model &model) {
        const std::string hash = model.hash();
        const auto found = std::find(hashes_.begin(), hashes_.end(), hash);
        if (found != hashes_.end()) {
            return static_cast<std::size_t>(found - hashes_.begin());
        }
        if (hashes_.size() == max_models) {
            throw std::runtime_error("more than " + std::to_string(max_models) + " models");
        }
        hashes_.push_back(hash);
        return hashes_.size() - 1;
    }

    // Looks after offers, or else whether the alias has moved.
    void follow(Hot &hot) {
        try {
            if (is_offered_) {
                const tickfuse::LiveState state = tickfuse::Live::poll_all(lives_);
                is_offered_ = state.is_offered();
                hot.say_swapping(is_offered_);
                if (!state.status) {
                    throw std::runtime_error(state.status.text());
                }
                return;
            }
            const std::string version = source_.version();
            if (version != path_) {
                path_ = version;
                hot.say_swapping(true);
                offer();
            }
        } catch (const std::exception &e) {
            hot.say_swapping(is_offered_);
            n_failed_++;
            std::fprintf(stderr, "%s is not taken: %s\n", path_.c_str(), e.what());
        }
    }

    void offer() {
        tickfuse::Model model = tickfuse::Model::open(path_);
        const auto make = [this](const tickfuse::Model &of, std::size_t i) noexcept { return stream(of, i); };
        tickfuse::Live::offer_all(lives_, model, make, tag_of(model));
        is_offered_ = true;
        model_ = std::move(model);
    }

    void write_orders() {
        static constexpr const char *positions[] = {"short", "flat", "long"};
        Order order;
        while (orders_.pop(order)) {
            if (file_) {
                std::fprintf(file_.get(), "%lld,%s,%s,%s,%.9g,%.17g,%.8s\n",
                             static_cast<long long>(order.ts_ns / 1000000), all_[order.series].symbol.c_str(),
                             order.is_forming ? "forming" : "whole", positions[order.position + 1],
                             static_cast<double>(order.value), order.price, hashes_[order.tag].c_str());
            }
        }
    }

    void print(const Counted &counted) const {
        for (std::size_t i = 0; i < hashes_.size(); i++) {
            std::printf("model %s: %llu answers\n", hashes_[i].c_str(),
                        static_cast<unsigned long long>(counted.n_answers[i]));
        }
        std::printf("orders %llu, swaps %llu, models not taken %llu, refused %llu, out of range %llu\n",
                    static_cast<unsigned long long>(counted.n_orders), static_cast<unsigned long long>(counted.n_swaps),
                    static_cast<unsigned long long>(n_failed_), static_cast<unsigned long long>(counted.n_refused),
                    static_cast<unsigned long long>(counted.n_out_of_range));
        if (counted.n_refused > 0) {
            std::printf("first refusal: %s\n", tickfuse_live_status_text(counted.first_refusal));
        }
        Histogram::print_head();
        print("push", counted.push);
        print("push while swapping", counted.push_while_swapping);
        print("peek", counted.peek);
        print("peek while swapping", counted.peek_while_swapping);
        print("step not prepared", counted.unprepared);
        print("first step after a swap", counted.first);
        print("swap", counted.swap);
        print("prepare", counted.prepare);
    }

    static void print(const char *name, const Histogram &histogram) {
        if (histogram.n() > 0) {
            histogram.print((std::string(name) + " (" + std::to_string(histogram.n()) + ")").c_str());
        }
    }

    const Settings &settings_;
    std::vector<Series> all_;
    Source source_;
    std::string path_; // of the version that answers or is offered
    tickfuse::Model model_;
    Policy policy_;
    std::string level_;
    std::vector<std::string> hashes_; // by tag
    std::vector<tickfuse::Live> lives_;
    Queue<Event> events_;
    Queue<Order> orders_;
    std::unique_ptr<std::FILE, Close> file_;
    bool is_offered_ = false;
    std::uint64_t n_failed_ = 0;
};

} // namespace

int main(int argc, char **argv) {
    try {
        const Settings settings = settings_of(argc, argv);
        std::vector<Series> all;
        for (const std::string &file : settings.files) {
            all.push_back(BarFile::read(file));
        }
        Control(settings, std::move(all)).run();
        return 0;
    } catch (const Usage &e) {
        std::fprintf(stderr, "router: %s\nusage: router [OPTIONS] MODELS BARS.csv...\n", e.what());
    } catch (const std::exception &e) {
        std::fprintf(stderr, "router: %s\n", e.what());
    }
    return 2;
}
