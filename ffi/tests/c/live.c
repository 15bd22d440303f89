/*
 * A C11 program that replaces models under series of bars or rows, and checks every answer against two streams, one of
 * each model, that saw everything.
 *
 *     live swap KIND MODEL MODEL N_SWAPS WATCH      two threads; WATCH: "flat" memory, a "sealed" hot thread, or "none"
 *     live ends KIND MODEL MODEL                    offers that are not taken, fall behind, come late, or are too many
 *     live refuse MODEL_OF_ROWS MODEL_OF_BARS MODEL_OF_OTHER_OUTPUTS
 *
 * KIND is rows or bars. Under ThreadSanitizer the library is not instrumented; that is enough, for the threads meet in
 * tickfuse_live.h alone, which is compiled here.
 */
#define _GNU_SOURCE
#include "tickfuse_live.h"
#include "tickfuse_live.h" /* twice: it is guarded */
#include "common.h"
#include "heap.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>
#if defined(__linux__)
#include <dirent.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#endif

enum { N_MAX = 64 };

/* ---- What happens: rows or bars that depend on their number alone ------------------------------------------------ */

static double noise(uint64_t i, uint64_t j) {
    uint64_t z = (i * 64 + j + 1) * 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (double)((z ^ (z >> 31)) >> 11) / 4503599627370496.0 - 1.0;
}

/* A bar a minute, now and then after a gap, with which the series begins anew. */
static tickfuse_bar bar_number(uint64_t i) {
    tickfuse_bar bar = TICKFUSE_BAR_INIT;
    bar.ts_ns = (int64_t)(i + i / 3001 * 5) * 60;
    bar.open = 100.0 + noise(i, 0);
    bar.close = 100.0 + noise(i, 1);
    bar.high = 102.0 + noise(i, 2);
    bar.low = 98.0 + noise(i, 3);
    bar.volume = 2.0 + noise(i, 4);
    return bar;
}

/* One side of the comparison: a live series, or a stream that sees everything. */
struct side {
    tickfuse_live *live;
    tickfuse_stream *stream;
    float out[N_MAX];
    tickfuse_status status;
    tickfuse_step step;
};

struct setting {
    int of_bars;
    size_t width;
    size_t n_outputs;
};

static void take_bar(struct side *side, const struct setting *s, const tickfuse_bar *bar, int is_kept) {
    size_t n = s->n_outputs;
    if (side->live != NULL) {
        side->status = is_kept ? tickfuse_live_push_bar(side->live, bar, side->out, n, &side->step)
                               : tickfuse_live_peek_bar(side->live, bar, side->out, n, &side->step);
    } else {
        side->status = is_kept ? tickfuse_stream_push_bar(side->stream, bar, side->out, n, &side->step)
                               : tickfuse_stream_peek_bar(side->stream, bar, side->out, n, &side->step);
    }
}

/* Rows go in as floats and as doubles in turn: they are the same numbers. Some are imputed, some refused. */
static void take_row(struct side *side, const struct setting *s, uint64_t i, int is_kept) {
    float row[N_MAX];
    double wide[N_MAX];
    size_t n = s->n_outputs;
    for (size_t j = 0; j < s->width; j++) {
        row[j] = (float)(3.0 * noise(i, j));
        row[j] = (i % 9 == 4 && j == 1) || (i % 13 == 12 && j == 0) ? NAN : row[j];
        wide[j] = (double)row[j];
    }
    if (side->live == NULL) {
        side->status = is_kept ? tickfuse_stream_push(side->stream, row, s->width, side->out, n, &side->step)
                               : tickfuse_stream_peek(side->stream, row, s->width, side->out, n, &side->step);
    } else if (i % 2 == 0) {
        side->status = is_kept ? tickfuse_live_push(side->live, row, s->width, side->out, n, &side->step)
                               : tickfuse_live_peek(side->live, row, s->width, side->out, n, &side->step);
    } else {
        side->status = is_kept ? tickfuse_live_push_f64(side->live, wide, s->width, side->out, n, &side->step)
                               : tickfuse_live_peek_f64(side->live, wide, s->width, side->out, n, &side->step);
    }
}

/* Number i: a reset now and then, a bar that comes twice and is refused, mostly a row or bar. */
static void take(struct side *side, const struct setting *s, uint64_t i, int is_kept) {
    if (is_kept && i % 5003 == 5002) {
        side->status = side->live != NULL ? tickfuse_live_reset(side->live) : tickfuse_stream_reset(side->stream);
        side->step.kind = TICKFUSE_STEP_WARMING_UP;
        side->step.remaining = 0;
    } else if (s->of_bars) {
        tickfuse_bar bar = bar_number(i % 11 == 10 ? i - 1 : i);
        take_bar(side, s, &bar, is_kept);
        if (i % 11 == 10) {
            bar = bar_number(i);
            take_bar(side, s, &bar, is_kept);
        }
    } else {
        take_row(side, s, i, is_kept);
    }
}

/* ---- The hot thread --------------------------------------------------------------------------------------------- */

struct hot {
    struct setting setting;
    struct side live;
    struct side models[2]; /* a stream of each model, which sees everything */
    uint64_t n_events;
    uint64_t n_answers[2];
    uint64_t n_taken;
    uint32_t is_sealed;
    uint32_t is_over; /* the only words that this program's threads share: control stores */
    uint32_t is_done; /* hot stores */
};

static void expect_alike(const struct side *a, const struct side *b, const struct setting *s) {
    EXPECT(a->status == b->status);
    if (a->status == TICKFUSE_OK) {
        EXPECT(a->step.kind == b->step.kind && a->step.remaining == b->step.remaining);
        if (a->step.kind == TICKFUSE_STEP_ANSWER) {
            EXPECT(a->step.flags == b->step.flags);
            EXPECT(memcmp(a->out, b->out, s->n_outputs * sizeof *a->out) == 0);
        }
    }
}

/* The series answers as the one stream does whose model its tag names: odd tags are the second model's. */
static void compare(struct hot *hot, int is_kept) {
    size_t which = (size_t)(tickfuse_live_tag(hot->live.live) % 2);
    take(&hot->live, &hot->setting, hot->n_events, is_kept);
    take(&hot->models[0], &hot->setting, hot->n_events, is_kept);
    take(&hot->models[1], &hot->setting, hot->n_events, is_kept);
    expect_alike(&hot->live, &hot->models[which], &hot->setting);
    hot->n_answers[which] +=
        hot->live.status == TICKFUSE_OK && hot->live.step.kind == TICKFUSE_STEP_ANSWER;
}

static void advance(struct hot *hot) {
    uint64_t tag = tickfuse_live_tag(hot->live.live);
    if (hot->n_events % 3 == 0) {
        compare(hot, 0);
        EXPECT(tickfuse_live_take(hot->live.live) == 0); /* a bar is forming */
    }
    compare(hot, 1);
    hot->n_events++;
    EXPECT(tickfuse_live_tag(hot->live.live) == tag);
    if (hot->n_events % 4 == 0) {
        hot->n_taken += tickfuse_live_take(hot->live.live);
    } else if (hot->n_events % 4 == 1) {
        EXPECT(tickfuse_live_prepare(hot->live.live) == TICKFUSE_OK);
    } else if (hot->n_events % 4 == 2) {
        uint32_t is_done = 0;
        EXPECT(tickfuse_live_prepare_some(hot->live.live, 1, &is_done) == TICKFUSE_OK);
    }
}

/* From here on the kernel ends the process when this thread calls it for anything but read and write. */
static void seal(void) {
#if defined(__linux__)
    EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
#endif
}

static void *be_hot(void *argument) {
    struct hot *hot = argument;
    (void)tickfuse_last_error(NULL, 0);
    if (hot->is_sealed) {
        seal();
    }
    while (!__atomic_load_n(&hot->is_over, __ATOMIC_ACQUIRE)) {
        is_hot = 1;
        advance(hot);
        is_hot = 0;
        for (volatile int i = 0; i < 300; i = i + 1) {
        }
        if (!hot->is_sealed && hot->n_events % 8 == 0) {
            sched_yield();
        }
    }
    __atomic_store_n(&hot->is_done, 1, __ATOMIC_RELEASE);
    while (hot->is_sealed) { /* it may not even end */
    }
    return NULL;
}

/* ---- The control thread ----------------------------------------------------------------------------------------- */

static tickfuse_model *open_model(const char *path) {
    tickfuse_model *model = NULL;
    EXPECT(tickfuse_model_open(path, NULL, &model) == TICKFUSE_OK);
    return model;
}

static tickfuse_live *new_live(const tickfuse_model *model, int of_bars, size_t capacity) {
    tickfuse_live *live = NULL;
    tickfuse_live_options options = {of_bars ? TICKFUSE_LIVE_BARS : TICKFUSE_LIVE_ROWS, 6, capacity};
    EXPECT(tickfuse_live_new(model, NULL, &options, &live) == TICKFUSE_OK);
    return live;
}

/* A series that begins with the first model, and streams of both. */
static struct hot begin(int of_bars, char **paths) {
    struct hot hot;
    memset(&hot, 0, sizeof hot);
    for (size_t i = 0; i < 2; i++) {
        tickfuse_model *model = open_model(paths[i]);
        hot.models[i].step.size = sizeof(tickfuse_step);
        EXPECT(tickfuse_stream_new(model, &hot.models[i].stream) == TICKFUSE_OK);
        if (i == 0) {
            hot.setting.of_bars = of_bars;
            hot.setting.width = tickfuse_model_n_features(model);
            hot.setting.n_outputs = tickfuse_model_n_outputs(model);
            hot.live.live = new_live(model, of_bars, 64);
            hot.live.step.size = sizeof(tickfuse_step);
        }
        tickfuse_model_free(model);
    }
    EXPECT(hot.setting.width <= N_MAX && hot.setting.n_outputs <= N_MAX);
    return hot;
}

static void end(struct hot *hot) {
    tickfuse_live_free(hot->live.live);
    tickfuse_stream_free(hot->models[0].stream);
    tickfuse_stream_free(hot->models[1].stream);
}

static tickfuse_status offer(tickfuse_live *live, const char *path, uint64_t tag) {
    tickfuse_model *model = open_model(path);
    tickfuse_status status = tickfuse_live_offer(live, model, NULL, tag);
    tickfuse_model_free(model);
    return status;
}

/* Until the offer has come to its end. */
static uint32_t polled(tickfuse_live *live) {
    uint32_t state = 0;
    for (;;) {
        tickfuse_status status = tickfuse_live_poll(live, &state);
        EXPECT(status == TICKFUSE_OK || (status == TICKFUSE_ERR_LIVE_LAPPED && state == TICKFUSE_LIVE_IDLE));
        if (state != TICKFUSE_LIVE_OFFERED) {
            return state;
        }
        sched_yield();
    }
}

/* Offers until that is not in vain: a hot thread that does nothing but push laps every replay now and then. */
static void offer_in_time(tickfuse_live *live, const char *path, uint64_t tag) {
    tickfuse_status status = offer(live, path, tag);
    while (status == TICKFUSE_ERR_LIVE_LAPPED) {
        sched_yield();
        status = offer(live, path, tag);
    }
    EXPECT(status == TICKFUSE_OK);
}

/* Every hundredth offer is withdrawn, if hot was not quicker, and made again. */
static void swap_once(tickfuse_live *live, char **paths, uint64_t tag) {
    offer_in_time(live, paths[tag % 2], tag);
    EXPECT(tag % 100 != 50 || offer(live, paths[tag % 2], tag) == TICKFUSE_ERR_LIVE_OFFERED);
    if (tag % 100 == 0 && tickfuse_live_withdraw(live)) {
        EXPECT(polled(live) == TICKFUSE_LIVE_IDLE);
        offer_in_time(live, paths[tag % 2], tag);
    }
    while (polled(live) != TICKFUSE_LIVE_TAKEN) {
        offer_in_time(live, paths[tag % 2], tag);
    }
    EXPECT(polled(live) == TICKFUSE_LIVE_IDLE);
}

/* What a process holds. */
struct held {
    long rss_kib;
    long n_mappings;
    long n_descriptors;
};

#if defined(__linux__)
static struct held held(void) {
    struct held found = {0, 0, 0};
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    EXPECT(file != NULL && fscanf(file, "%*s %ld", &pages) == 1);
    fclose(file);
    found.rss_kib = pages * (sysconf(_SC_PAGESIZE) / 1024);
    file = fopen("/proc/self/maps", "r");
    EXPECT(file != NULL);
    for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
        found.n_mappings += c == '\n';
    }
    fclose(file);
    DIR *folder = opendir("/proc/self/fd");
    EXPECT(folder != NULL);
    while (readdir(folder) != NULL) {
        found.n_descriptors++;
    }
    closedir(folder);
    return found;
}
#else
static struct held held(void) {
    struct held nothing = {0, 0, 0};
    return nothing;
}
#endif

/* Slack for what allocators keep of pages they have seen: 1 MiB and 4 mappings; none for descriptors. */
static void expect_flat(struct held before, struct held after) {
    printf("rss_kib %ld %ld\nmappings %ld %ld\ndescriptors %ld %ld\n", before.rss_kib, after.rss_kib,
           before.n_mappings, after.n_mappings, before.n_descriptors, after.n_descriptors);
    EXPECT(after.rss_kib <= before.rss_kib + 1024);
    EXPECT(after.n_mappings <= before.n_mappings + 4);
    EXPECT(after.n_descriptors == before.n_descriptors);
}

static void swap(int of_bars, char **paths, uint64_t n_swaps, const char *watch) {
    struct hot hot = begin(of_bars, paths);
    struct held warm = {0, 0, 0};
    pthread_t thread;
    hot.is_sealed = strcmp(watch, "sealed") == 0;
    alarm(600); /* a sealed thread that is ended takes no more offers */
    EXPECT(pthread_create(&thread, NULL, be_hot, &hot) == 0);
    for (uint64_t tag = 1; tag <= n_swaps; tag++) {
        if (tag == n_swaps / 5) {
            warm = held();
        }
        swap_once(hot.live.live, paths, tag);
    }
    struct held last = held();
    __atomic_store_n(&hot.is_over, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&hot.is_done, __ATOMIC_ACQUIRE)) {
        sched_yield();
    }
    EXPECT(hot.n_answers[0] > 0 && hot.n_answers[1] > 0);
    printf("swaps %lu\n", (unsigned long)n_swaps);
    fprintf(stderr, "%lu events, %lu and %lu answers\n", (unsigned long)hot.n_events,
            (unsigned long)hot.n_answers[0], (unsigned long)hot.n_answers[1]);
    if (strcmp(watch, "flat") == 0) {
        expect_flat(warm, last);
    }
#if defined(WATCHED_HEAP)
    EXPECT(n_watched > 10 * n_swaps); /* all of them control's */
#endif
    if (hot.is_sealed) {
        fflush(NULL);
        _exit(0);
    }
    pthread_join(thread, NULL);
    end(&hot);
}

/* ---- Ends and refusals, on one thread ---------------------------------------------------------------------------- */

static void advance_by(struct hot *hot, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        compare(hot, 1);
        hot->n_events++;
    }
}

/* Offers are freed wherever they are when the series ends. */
static void end_early(int of_bars, char **paths) {
    struct hot never = begin(of_bars, paths);
    advance_by(&never, 20);
    EXPECT(offer(never.live.live, paths[1], 1) == TICKFUSE_OK);
    end(&never);
    struct hot taken = begin(of_bars, paths);
    EXPECT(offer(taken.live.live, paths[1], 1) == TICKFUSE_OK);
    EXPECT(tickfuse_live_take(taken.live.live) == 1);
    advance_by(&taken, 20);
    end(&taken);
    struct hot withdrawn = begin(of_bars, paths);
    EXPECT(offer(withdrawn.live.live, paths[1], 1) == TICKFUSE_OK);
    EXPECT(tickfuse_live_withdraw(withdrawn.live.live) == 1 && tickfuse_live_withdraw(withdrawn.live.live) == 1);
    EXPECT(tickfuse_live_take(withdrawn.live.live) == 0);
    end(&withdrawn);
}

/* An offer that missed as much as hot replays itself is taken; one that missed more is made again. */
static void fall_behind(int of_bars, char **paths) {
    struct hot hot = begin(of_bars, paths);
    uint32_t state = 0;
    advance_by(&hot, 100);
    EXPECT(offer(hot.live.live, paths[1], 1) == TICKFUSE_OK);
    advance_by(&hot, 6);
    EXPECT(tickfuse_live_take(hot.live.live) == 1 && tickfuse_live_tag(hot.live.live) == 1);
    EXPECT(tickfuse_live_withdraw(hot.live.live) == 0);
    EXPECT(polled(hot.live.live) == TICKFUSE_LIVE_TAKEN);
    advance_by(&hot, 20);
    EXPECT(offer(hot.live.live, paths[0], 2) == TICKFUSE_OK);
    advance_by(&hot, 8);
    EXPECT(tickfuse_live_take(hot.live.live) == 0 && tickfuse_live_tag(hot.live.live) == 1);
    EXPECT(tickfuse_live_poll(hot.live.live, &state) == TICKFUSE_OK && state == TICKFUSE_LIVE_OFFERED);
    advance_by(&hot, 1000); /* the ring has come round: nothing that was replayed counts */
    EXPECT(tickfuse_live_poll(hot.live.live, &state) == TICKFUSE_OK && state == TICKFUSE_LIVE_OFFERED);
    EXPECT(tickfuse_live_take(hot.live.live) == 1 && tickfuse_live_tag(hot.live.live) == 2);
    advance_by(&hot, 20);
    EXPECT(polled(hot.live.live) == TICKFUSE_LIVE_TAKEN);
    end(&hot);
}

/* A series that began anew is replayed from there, by control and by hot. */
static void begin_anew(int of_bars, char **paths) {
    struct hot hot = begin(of_bars, paths);
    advance_by(&hot, 5000);
    for (uint64_t tag = 1; tag <= 2; tag++) {
        hot.n_events = 5000;
        EXPECT(tickfuse_live_reset(hot.live.live) == TICKFUSE_OK);
        EXPECT(tickfuse_stream_reset(hot.models[0].stream) == TICKFUSE_OK);
        EXPECT(tickfuse_stream_reset(hot.models[1].stream) == TICKFUSE_OK);
        advance_by(&hot, tag);
        EXPECT(offer(hot.live.live, paths[tag % 2], tag) == TICKFUSE_OK);
        advance_by(&hot, 5 - tag); /* number 5002 begins it anew once more */
        EXPECT(tickfuse_live_take(hot.live.live) == 1);
        EXPECT(polled(hot.live.live) == TICKFUSE_LIVE_TAKEN);
        advance_by(&hot, 30);
    }
    end(&hot);
}

struct maker {
    size_t n_made;
    size_t n_allowed;
};

static tickfuse_status make(void *user, const tickfuse_model *model, size_t index, tickfuse_stream **out) {
    struct maker *maker = user;
    EXPECT(index == maker->n_made);
    return maker->n_made++ < maker->n_allowed ? tickfuse_stream_new(model, out) : TICKFUSE_ERR_RUN_CATEGORY;
}

/* Several series: all are offered the model, or none; each takes it at its own next bar. */
static void swap_several(int of_bars, char **paths) {
    struct hot hots[3];
    tickfuse_live *lives[3];
    size_t n_offered = 0;
    for (size_t i = 0; i < 3; i++) {
        hots[i] = begin(of_bars, paths);
        lives[i] = hots[i].live.live;
        advance_by(&hots[i], 40 + 70 * i);
    }
    tickfuse_model *model = open_model(paths[1]);
    struct maker two = {0, 2};
    EXPECT(tickfuse_live_offer_all(lives, 3, model, make, &two, 1) == TICKFUSE_ERR_RUN_CATEGORY);
    EXPECT(tickfuse_live_poll_all(lives, 3, &n_offered) == TICKFUSE_OK && n_offered == 0);
    struct maker all = {0, 3};
    EXPECT(tickfuse_live_offer_all(lives, 3, model, make, &all, 1) == TICKFUSE_OK && all.n_made == 3);
    EXPECT(tickfuse_live_offer_all(lives, 3, model, NULL, NULL, 3) == TICKFUSE_ERR_LIVE_OFFERED);
    tickfuse_model_free(model);
    for (size_t i = 0; i < 3; i++) {
        EXPECT(tickfuse_live_poll_all(lives, 3, &n_offered) == TICKFUSE_OK && n_offered == 3 - i);
        EXPECT(tickfuse_live_take(lives[i]) == 1);
        EXPECT(tickfuse_live_poll_all(lives, 3, &n_offered) == TICKFUSE_OK && n_offered == 2 - i);
    }
    for (size_t i = 0; i < 3; i++) {
        advance_by(&hots[i], 20);
        end(&hots[i]);
    }
}

/* What models are compared by. */
static void print_interface(const tickfuse_model *model) {
    size_t needed = 0;
    EXPECT(tickfuse_model_inputs_json(model, NULL, 0, &needed) == TICKFUSE_OK);
    char *text = room(needed, 1);
    EXPECT(tickfuse_model_inputs_json(model, text, needed - 1, &needed) == TICKFUSE_ERR_BUFFER);
    EXPECT(tickfuse_model_inputs_json(model, text, needed, &needed) == TICKFUSE_OK);
    EXPECT(strlen(text) + 1 == needed);
    printf("%zu %s\n", tickfuse_model_n_bars(model), text);
    free(text);
}

static void push_bars(tickfuse_live *live, uint64_t from, uint64_t to) {
    float out[N_MAX];
    tickfuse_step step = TICKFUSE_STEP_INIT;
    for (uint64_t i = from; i < to; i++) {
        tickfuse_bar bar = bar_number(i);
        EXPECT(tickfuse_live_push_bar(live, &bar, out, live->n_outputs, &step) == TICKFUSE_OK);
    }
}

/* What a series does not take. */
static void refuse(char **paths) {
    tickfuse_model *of_rows = open_model(paths[0]);
    tickfuse_model *of_bars = open_model(paths[1]);
    tickfuse_live *live = NULL;
    tickfuse_live_options bars = {TICKFUSE_LIVE_BARS, 0, 8};
    tickfuse_live_options neither = {7, 0, 0};
    print_interface(of_rows);
    print_interface(of_bars);
    EXPECT(tickfuse_live_new(of_rows, NULL, &bars, &live) == TICKFUSE_ERR_RUN_NO_BARS);
    EXPECT(tickfuse_live_new(of_rows, NULL, &neither, &live) == TICKFUSE_ERR_LIVE_KIND);
    EXPECT(tickfuse_live_new(NULL, NULL, NULL, &live) == TICKFUSE_ERR_NULL);
    EXPECT(live == NULL && tickfuse_model_n_bars(of_rows) == 0 && tickfuse_model_n_bars(of_bars) > 8);
    EXPECT(tickfuse_live_new(of_bars, NULL, &bars, &live) == TICKFUSE_OK);
    float out[N_MAX];
    tickfuse_step step = TICKFUSE_STEP_INIT;
    EXPECT(tickfuse_live_push(live, out, 1, out, 1, &step) == TICKFUSE_ERR_LIVE_KIND);
    EXPECT(tickfuse_live_offer(live, of_rows, NULL, 1) == TICKFUSE_ERR_RUN_NO_BARS);
    EXPECT(offer(live, paths[2], 1) == TICKFUSE_ERR_LIVE_OUTPUTS);
    EXPECT(offer(live, paths[1], 1) == TICKFUSE_OK); /* a series that begins is known in full */
    EXPECT(tickfuse_live_take(live) == 1 && polled(live) == TICKFUSE_LIVE_TAKEN);
    push_bars(live, 0, 7);
    EXPECT(offer(live, paths[1], 2) == TICKFUSE_OK && tickfuse_live_withdraw(live) == 1); /* all of it in the ring */
    tickfuse_stream *foreign = NULL;
    EXPECT(tickfuse_stream_new(of_rows, &foreign) == TICKFUSE_OK);
    EXPECT(tickfuse_live_offer(live, of_bars, foreign, 2) == TICKFUSE_ERR_RUN_NO_BARS);
    push_bars(live, 7, 50);
    EXPECT(offer(live, paths[1], 2) == TICKFUSE_ERR_LIVE_HISTORY);
    tickfuse_live_free(live);
    EXPECT(tickfuse_live_new(of_rows, NULL, NULL, &live) == TICKFUSE_OK);
    tickfuse_bar bar = bar_number(0);
    EXPECT(tickfuse_live_push_bar(live, &bar, out, 1, &step) == TICKFUSE_ERR_LIVE_KIND);
    EXPECT(tickfuse_live_offer(live, of_bars, NULL, 1) == TICKFUSE_ERR_LIVE_INPUTS);
    tickfuse_live_free(live);
    tickfuse_live_free(NULL);
    tickfuse_model_free(of_rows);
    tickfuse_model_free(of_bars);
}

static void expect_texts(void) {
    for (tickfuse_status status = 800; status <= 806; status++) {
        EXPECT(strcmp(tickfuse_live_status_text(status), tickfuse_status_text(status)) != 0);
    }
    EXPECT(strcmp(tickfuse_live_status_text(TICKFUSE_OK), tickfuse_status_text(TICKFUSE_OK)) == 0);
}

int main(int argc, char **argv) {
    EXPECT(argc >= 5);
    int of_bars = strcmp(argv[2], "bars") == 0;
    if (strcmp(argv[1], "swap") == 0) {
        EXPECT(argc == 7);
        swap(of_bars, argv + 3, strtoul(argv[5], NULL, 10), argv[6]);
    } else if (strcmp(argv[1], "ends") == 0) {
        end_early(of_bars, argv + 3);
        fall_behind(of_bars, argv + 3);
        begin_anew(of_bars, argv + 3);
        swap_several(of_bars, argv + 3);
        printf("ended\n");
    } else {
        expect_texts();
        refuse(argv + 2);
        printf("refused\n");
    }
    return 0;
}
