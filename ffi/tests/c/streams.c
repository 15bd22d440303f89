/*
 * A C11 program that pushes, peeks and prepares as tickfuse.h has it, and prints what it was told.
 *
 *     streams rows MODEL FILE      FILE holds rows of raw 32-bit floats
 *     streams bars MODEL FILE      FILE holds bars: a 64-bit time, then open, high, low, close, volume as doubles
 */
#include "common.h"

/* A stream and the place of its answers. */
struct series {
    tickfuse_stream *stream;
    float *out;
    size_t n_features;
    size_t n_outputs;
};

static struct series new_series(const tickfuse_model *model) {
    struct series s;
    s.stream = NULL;
    s.n_features = tickfuse_model_n_features(model);
    s.n_outputs = tickfuse_model_n_outputs(model);
    s.out = room(s.n_outputs, sizeof *s.out);
    EXPECT(tickfuse_stream_new(model, &s.stream) == TICKFUSE_OK);
    return s;
}

static void free_series(struct series *s) {
    tickfuse_stream_free(s->stream);
    free(s->out);
}

static void print_layout(void) {
    printf("layout bar %zu %zu %zu %zu %zu %zu %zu\n", sizeof(tickfuse_bar), offsetof(tickfuse_bar, ts_ns),
           offsetof(tickfuse_bar, open), offsetof(tickfuse_bar, high), offsetof(tickfuse_bar, low),
           offsetof(tickfuse_bar, close), offsetof(tickfuse_bar, volume));
    printf("layout step %zu %zu %zu %zu %zu\n", sizeof(tickfuse_step), offsetof(tickfuse_step, kind),
           offsetof(tickfuse_step, flags), offsetof(tickfuse_step, remaining), offsetof(tickfuse_step, ts_ns));
}

static void print_step(const char *name, const tickfuse_step *step, const struct series *s) {
    EXPECT(step->size == sizeof *step);
    if (step->kind == TICKFUSE_STEP_ANSWER) {
        EXPECT(step->remaining == 0 && tickfuse_stream_remaining(s->stream) == 1);
        print_answer(name, s->out, s->n_outputs, step->flags);
    } else {
        EXPECT(step->kind == TICKFUSE_STEP_WARMING_UP && step->flags == 0 && step->remaining > 0);
        printf("%s waits %zu\n", name, step->remaining);
    }
}

/* Every row is peeked at and pushed, as floats by one stream that prepares and as doubles by one that does not. */
static void take_rows(const tickfuse_model *model, const float *rows, size_t n) {
    struct series narrow = new_series(model);
    struct series wide = new_series(model);
    size_t width = narrow.n_features;
    double *doubles = widened(rows, n * width);
    for (size_t i = 0; i < n; i++) {
        tickfuse_step step = TICKFUSE_STEP_INIT;
        uint32_t is_done = 77;
        const float *row = rows + i * width;
        const double *same = doubles + i * width;
        EXPECT(tickfuse_stream_peek(narrow.stream, row, width, narrow.out, narrow.n_outputs, &step) == TICKFUSE_OK);
        print_step("peek", &step, &narrow);
        EXPECT(tickfuse_stream_prepare_some(narrow.stream, 1, &is_done) == TICKFUSE_OK && is_done <= 1);
        EXPECT(tickfuse_stream_prepare(narrow.stream) == TICKFUSE_OK);
        EXPECT(tickfuse_stream_prepare_some(narrow.stream, 1, &is_done) == TICKFUSE_OK && is_done == 1);
        EXPECT(tickfuse_stream_push(narrow.stream, row, width, narrow.out, narrow.n_outputs, &step) == TICKFUSE_OK);
        EXPECT(step.ts_ns == 0);
        print_step("push", &step, &narrow);
        EXPECT(tickfuse_stream_peek_f64(wide.stream, same, width, wide.out, wide.n_outputs, &step) == TICKFUSE_OK);
        print_step("peek_f64", &step, &wide);
        EXPECT(tickfuse_stream_push_f64(wide.stream, same, width, wide.out, wide.n_outputs, &step) == TICKFUSE_OK);
        print_step("push_f64", &step, &wide);
    }
    EXPECT(tickfuse_stream_reset(wide.stream) == TICKFUSE_OK);
    EXPECT(tickfuse_stream_remaining(wide.stream) == tickfuse_model_lookback(model));
    free(doubles);
    free_series(&narrow);
    free_series(&wide);
}

/* A stream that was shown the past and asked now and then, beside what was said to one that was asked always. */
static void expect_alike(const struct series *past, const tickfuse_step *step, const struct series *s,
                         const tickfuse_step *expected) {
    EXPECT(step->kind == expected->kind && step->flags == expected->flags && step->remaining == expected->remaining);
    EXPECT(step->kind != TICKFUSE_STEP_ANSWER || memcmp(past->out, s->out, s->n_outputs * sizeof *s->out) == 0);
}

/* Rows of the past, as floats and doubles in turn, and every third one pushed. */
static void replay_rows(const tickfuse_model *model, const float *rows, size_t n) {
    struct series past = new_series(model);
    struct series s = new_series(model);
    size_t width = s.n_features;
    double *doubles = widened(rows, n * width);
    for (size_t i = 0; i < n; i++) {
        tickfuse_step expected = TICKFUSE_STEP_INIT;
        tickfuse_step step = TICKFUSE_STEP_INIT;
        const float *row = rows + i * width;
        EXPECT(tickfuse_stream_push(s.stream, row, width, s.out, s.n_outputs, &expected) == TICKFUSE_OK);
        if (i % 3 == 0) {
            EXPECT(tickfuse_stream_replay(past.stream, row, width) == TICKFUSE_OK);
        } else if (i % 3 == 1) {
            EXPECT(tickfuse_stream_replay_f64(past.stream, doubles + i * width, width) == TICKFUSE_OK);
        } else {
            EXPECT(tickfuse_stream_push(past.stream, row, width, past.out, past.n_outputs, &step) == TICKFUSE_OK);
            expect_alike(&past, &step, &s, &expected);
        }
    }
    free(doubles);
    free_series(&past);
    free_series(&s);
}

/* A refusal leaves step and output alone. */
static void be_refused(const tickfuse_model *model) {
    struct series s = new_series(model);
    tickfuse_step step = TICKFUSE_STEP_INIT;
    tickfuse_bar bar = TICKFUSE_BAR_INIT;
    step.flags = 77;
    EXPECT(tickfuse_stream_push_bar(s.stream, &bar, s.out, s.n_outputs, &step) == TICKFUSE_ERR_RUN_NO_BARS);
    step.size = 1;
    EXPECT(tickfuse_stream_push(s.stream, s.out, 1, s.out, s.n_outputs, &step) == TICKFUSE_ERR_STRUCTURE);
    EXPECT(step.flags == 77 && step.size == 1);
    EXPECT(tickfuse_stream_replay_bar(s.stream, &bar) == TICKFUSE_ERR_RUN_NO_BARS);
    EXPECT(tickfuse_stream_replay(s.stream, s.out, s.n_features + 1) == TICKFUSE_ERR_RUN_INPUT_LENGTH);
    EXPECT(tickfuse_stream_replay_f64(s.stream, NULL, s.n_features) == TICKFUSE_ERR_NULL);
    EXPECT(tickfuse_stream_set_max_missing_bars(s.stream, 1) == TICKFUSE_OK);
    EXPECT(tickfuse_stream_max_missing_bars(s.stream) == 0 && tickfuse_stream_max_missing_bars(NULL) == 0);
    EXPECT(tickfuse_stream_remaining(s.stream) == tickfuse_model_lookback(model));
    free_series(&s);
}

static tickfuse_bar bar_at(const char *bytes) {
    tickfuse_bar bar = TICKFUSE_BAR_INIT;
    memcpy(&bar.ts_ns, bytes, sizeof bar.ts_ns);
    memcpy(&bar.open, bytes + 8, 5 * sizeof(double));
    return bar;
}

/* Every bar is peeked at and pushed; one missing bar is accepted. Another stream is shown most of them only. */
static void take_bars(const tickfuse_model *model, const char *bytes, size_t n) {
    struct series s = new_series(model);
    struct series past = new_series(model);
    EXPECT(tickfuse_stream_max_missing_bars(s.stream) == 0);
    EXPECT(tickfuse_stream_set_max_missing_bars(s.stream, 1) == TICKFUSE_OK);
    EXPECT(tickfuse_stream_max_missing_bars(s.stream) == 1);
    EXPECT(tickfuse_stream_set_max_missing_bars(past.stream, 1) == TICKFUSE_OK);
    uint32_t is_known = 7;
    EXPECT(tickfuse_stream_set_category(s.stream, "symbol", "AAA", &is_known) == TICKFUSE_ERR_RUN_CATEGORY);
    EXPECT(tickfuse_stream_set_category(s.stream, NULL, "AAA", &is_known) == TICKFUSE_ERR_NULL && is_known == 7);
    for (size_t i = 0; i < n; i++) {
        tickfuse_step step = TICKFUSE_STEP_INIT;
        tickfuse_bar bar = bar_at(bytes + i * 48);
        EXPECT(tickfuse_stream_peek_bar(s.stream, &bar, s.out, s.n_outputs, &step) == TICKFUSE_OK);
        EXPECT(step.ts_ns == bar.ts_ns);
        print_step("peek_bar", &step, &s);
        EXPECT(tickfuse_stream_push_bar(s.stream, &bar, s.out, s.n_outputs, &step) == TICKFUSE_OK);
        EXPECT(step.ts_ns == bar.ts_ns);
        print_step("push_bar", &step, &s);
        if (i % 5 < 3) {
            EXPECT(tickfuse_stream_replay_bar(past.stream, &bar) == TICKFUSE_OK);
        } else {
            tickfuse_step same = TICKFUSE_STEP_INIT;
            EXPECT(tickfuse_stream_push_bar(past.stream, &bar, past.out, past.n_outputs, &same) == TICKFUSE_OK);
            expect_alike(&past, &same, &s, &step);
        }
        EXPECT(tickfuse_stream_replay_bar(past.stream, &bar) == TICKFUSE_ERR_RUN_BAR_TIME);
        EXPECT(tickfuse_stream_push_bar(s.stream, &bar, s.out, s.n_outputs, &step) == TICKFUSE_ERR_RUN_BAR_TIME);
        bar.high = bar.low - 1.0;
        EXPECT(tickfuse_stream_push_bar(s.stream, &bar, s.out, s.n_outputs, &step) == TICKFUSE_ERR_RUN_BAR);
    }
    free_series(&past);
    free_series(&s);
}

int main(int argc, char **argv) {
    tickfuse_model *model = NULL;
    size_t size = 0;
    EXPECT(argc == 4);
    print_layout();
    EXPECT(tickfuse_model_open(argv[2], NULL, &model) == TICKFUSE_OK);
    void *bytes = read_file(argv[3], &size);
    if (strcmp(argv[1], "rows") == 0) {
        size_t n_rows = size / sizeof(float) / tickfuse_model_n_features(model);
        take_rows(model, bytes, n_rows);
        replay_rows(model, bytes, n_rows);
        be_refused(model);
    } else {
        take_bars(model, bytes, size / 48);
    }
    free(bytes);
    tickfuse_model_free(model);
    return 0;
}
