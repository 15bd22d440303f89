/*
 * A C11 program in which the control thread of tickfuse_live.h is stopped before each of its loads in turn, while the hot
 * thread goes on to each word of the row that overwrites the first one: a row that is read half before and half after
 * must not count. Both roles are played by one thread, so that every run is the same.
 *
 *     lapped MODEL MODEL_OF_A_LOOKBACK_ABOVE_64
 */
static void before_load(void);

/* Control reads every word that both threads touch so. */
#define __atomic_load_n(place, order) (before_load(), __atomic_load_n(place, order))

#include "tickfuse_live.h"
#include "common.h"

/* A ring, and rows in it before control is stopped. */
enum { CAPACITY = 64, N_BEFORE = 40, N_MAX = 64 };

struct series {
    tickfuse_live *live;
    tickfuse_model *longer;  /* is offered */
    tickfuse_stream *always; /* a stream of it that sees everything */
    size_t width;
    size_t n_outputs;
    uint64_t n_rows;
};

/* Control is stopped before load number n_loads from now on, until hot has laid n_words of the overwriting row. */
static struct {
    struct series *series;
    size_t n_loads;
    size_t n_words;
} stop;

static float value(uint64_t i, size_t j) {
    return (float)((i * 7 + j * 5) % 11) - 5.0F;
}

static void next_row(struct series *s, float *row) {
    for (size_t j = 0; j < s->width; j++) {
        row[j] = value(s->n_rows, j);
    }
    s->n_rows++;
}

static void push(struct series *s) {
    float row[N_MAX];
    float out[N_MAX];
    tickfuse_step step = TICKFUSE_STEP_INIT;
    next_row(s, row);
    EXPECT(tickfuse_stream_push(s->always, row, s->width, out, s->n_outputs, &step) == TICKFUSE_OK);
    EXPECT(tickfuse_live_push(s->live, row, s->width, out, s->n_outputs, &step) == TICKFUSE_OK);
}

/* The last row but for its recording, as tickfuse_live_push() does it: what it is, and some of its words. */
static void push_in_part(struct series *s, size_t n_words) {
    float row[N_MAX];
    float out[N_MAX];
    tickfuse_step step = TICKFUSE_STEP_INIT;
    next_row(s, row);
    EXPECT(tickfuse_stream_push(s->always, row, s->width, out, s->n_outputs, &step) == TICKFUSE_OK);
    EXPECT(tickfuse_stream_push(s->live->stream, row, s->width, out, s->n_outputs, &step) == TICKFUSE_OK);
    uint64_t *words = tickfuse_live_record_(s->live, TICKFUSE_LIVE_EVENT_ROW_);
    for (size_t j = 0; j < n_words; j++) {
        tickfuse_live_store_(words + j, (double)row[j]);
    }
}

/* The words that are left, and that they are there. */
static void push_the_rest(struct series *s, size_t n_words) {
    uint64_t *words = tickfuse_live_slot_(s->live, s->live->n_events) + 1;
    for (size_t j = n_words; j < s->width; j++) {
        tickfuse_live_store_(words + j, (double)value(s->n_rows - 1, j));
    }
    tickfuse_live_recorded_(s->live);
}

static void before_load(void) {
    if (stop.n_loads > 0 && --stop.n_loads == 0) {
        while (stop.series->n_rows < CAPACITY) {
            push(stop.series);
        }
        push_in_part(stop.series, stop.n_words);
    }
}

static tickfuse_model *open_model(const char *path) {
    tickfuse_model *model = NULL;
    EXPECT(tickfuse_model_open(path, NULL, &model) == TICKFUSE_OK);
    return model;
}

static struct series begin(char **paths, uint64_t n_rows) {
    struct series s;
    tickfuse_live_options options = {TICKFUSE_LIVE_ROWS, CAPACITY, CAPACITY};
    tickfuse_model *first = open_model(paths[0]);
    memset(&s, 0, sizeof s);
    s.longer = open_model(paths[1]);
    s.width = tickfuse_model_n_features(first);
    s.n_outputs = tickfuse_model_n_outputs(first);
    EXPECT(s.width <= N_MAX && s.n_outputs <= N_MAX && tickfuse_model_lookback(s.longer) > CAPACITY);
    EXPECT(tickfuse_live_new(first, NULL, &options, &s.live) == TICKFUSE_OK && s.live->capacity == CAPACITY);
    EXPECT(tickfuse_stream_new(s.longer, &s.always) == TICKFUSE_OK);
    tickfuse_model_free(first);
    while (s.n_rows < n_rows) {
        push(&s);
    }
    return s;
}

static void end(struct series *s) {
    tickfuse_live_free(s->live);
    tickfuse_stream_free(s->always);
    tickfuse_model_free(s->longer);
}

/* The stream that was offered says what one says that saw everything, to the first answer, which all rows are in. */
static void expect_alike(struct series *s) {
    float row[N_MAX];
    float out[N_MAX];
    float expected[N_MAX];
    tickfuse_step step = TICKFUSE_STEP_INIT;
    tickfuse_step wanted = TICKFUSE_STEP_INIT;
    uint32_t state = 0;
    EXPECT(tickfuse_live_take(s->live) == 1 && tickfuse_live_tag(s->live) == 1);
    EXPECT(tickfuse_live_poll(s->live, &state) == TICKFUSE_OK && state == TICKFUSE_LIVE_TAKEN);
    while (wanted.kind != TICKFUSE_STEP_ANSWER) {
        next_row(s, row);
        EXPECT(tickfuse_stream_push(s->always, row, s->width, expected, s->n_outputs, &wanted) == TICKFUSE_OK);
        EXPECT(tickfuse_live_push(s->live, row, s->width, out, s->n_outputs, &step) == TICKFUSE_OK);
        EXPECT(step.kind == wanted.kind && step.remaining == wanted.remaining);
    }
    EXPECT(memcmp(out, expected, s->n_outputs * sizeof *out) == 0);
}

/* Whether a torn row was noticed, so that too few are left; without one, the offer is as good as any. */
static int is_torn(struct series *s, tickfuse_status status) {
    EXPECT(status == TICKFUSE_OK || status == TICKFUSE_ERR_LIVE_HISTORY);
    if (status == TICKFUSE_OK) {
        expect_alike(s);
    }
    return status == TICKFUSE_ERR_LIVE_HISTORY;
}

/* Stops before as many loads as an offer has; how often a row was torn. */
static size_t stop_everywhere(char **paths, size_t n_words) {
    size_t n_torn = 0;
    for (size_t n = 1;; n++) {
        struct series s = begin(paths, N_BEFORE);
        stop.series = &s;
        stop.n_loads = n;
        stop.n_words = n_words;
        tickfuse_status status = tickfuse_live_offer(s.live, s.longer, NULL, 1);
        int was_stopped = stop.n_loads == 0;
        stop.n_loads = 0;
        if (was_stopped) {
            push_the_rest(&s, n_words);
        }
        n_torn += (size_t)is_torn(&s, status);
        end(&s);
        if (!was_stopped) {
            return n_torn;
        }
    }
}

int main(int argc, char **argv) {
    EXPECT(argc == 3);
    struct series s = begin(argv + 1, 0);
    size_t width = s.width;
    end(&s);
    printf("torn");
    for (size_t n_words = 0; n_words <= width; n_words++) {
        printf(" %zu", stop_everywhere(argv + 1, n_words));
    }
    printf("\n");
    return 0;
}
