/*
 * A C11 program that takes the rows of several symbols at once and one by one, expects the same of both, and prints what it
 * was told.
 *
 *     symbols symbols MODEL FILE      FILE holds rows of raw 32-bit floats
 *
 * Symbol k begins at row k of the file and goes round. Rows of the future are those that follow in the file.
 */
#include "common.h"

enum { N_SYMBOLS = 7 };

/* The streams of all symbols, in the caller's memory, and one stream of each. */
struct symbols {
    tickfuse_streams *all;
    void *memory;
    tickfuse_stream *each[N_SYMBOLS];
    size_t width; /* of a row with its rows of the future */
    size_t n_out;
};

static struct symbols new_symbols(const tickfuse_model *model) {
    struct symbols s;
    size_t align = tickfuse_streams_align();
    size_t size = tickfuse_streams_size(model, N_SYMBOLS);
    s.all = NULL;
    size_t n_ahead = tickfuse_model_n_rows(model) - tickfuse_model_lookback(model);
    s.width = (1 + n_ahead) * tickfuse_model_n_features(model);
    s.n_out = tickfuse_model_n_outputs(model);
    EXPECT(size > 0 && tickfuse_streams_size(model, 0) == 0);
    s.memory = aligned_alloc(align, (size + align - 1) / align * align);
    EXPECT(s.memory != NULL);
    EXPECT(tickfuse_streams_init(model, N_SYMBOLS, s.memory, size - 1, &s.all) == TICKFUSE_ERR_BUFFER);
    EXPECT(tickfuse_streams_init(model, N_SYMBOLS, s.memory, size, &s.all) == TICKFUSE_OK);
    EXPECT(tickfuse_streams_n_symbols(s.all) == N_SYMBOLS && tickfuse_streams_n_symbols(NULL) == 0);
    for (size_t k = 0; k < N_SYMBOLS; k++) {
        EXPECT(tickfuse_stream_new(model, &s.each[k]) == TICKFUSE_OK);
    }
    return s;
}

static void free_symbols(struct symbols *s) {
    tickfuse_streams_free(s->all);
    free(s->memory);
    for (size_t k = 0; k < N_SYMBOLS; k++) {
        tickfuse_stream_free(s->each[k]);
    }
}

/* The same of every symbol as of its own stream; printed. */
static void expect_same(const struct symbols *s, const float *rows, const float *out, const tickfuse_step *steps) {
    float *own = room(s->n_out, sizeof *own);
    for (size_t k = 0; k < N_SYMBOLS; k++) {
        tickfuse_step step = TICKFUSE_STEP_INIT;
        EXPECT(tickfuse_stream_push(s->each[k], rows + k * s->width, s->width, own, s->n_out, &step) == TICKFUSE_OK);
        EXPECT(memcmp(&step, &steps[k], sizeof step) == 0);
        EXPECT(tickfuse_streams_remaining(s->all, k) == tickfuse_stream_remaining(s->each[k]));
        if (step.kind == TICKFUSE_STEP_ANSWER) {
            EXPECT(memcmp(own, out + k * s->n_out, s->n_out * sizeof *own) == 0);
            print_answer("push", own, s->n_out, step.flags);
        } else {
            printf("push waits %zu\n", step.remaining);
        }
    }
    free(own);
}

static void take_all(const struct symbols *s, const float *rows, float *out, tickfuse_step *steps) {
    size_t n_values = N_SYMBOLS * s->width;
    size_t n_out = N_SYMBOLS * s->n_out;
    uint32_t is_done = 7;
    double *wide = widened(rows, n_values);
    float *peeked = room(n_out, sizeof *peeked);
    EXPECT(tickfuse_streams_prepare_some(s->all, 1, &is_done) == TICKFUSE_OK && is_done <= 1);
    EXPECT(tickfuse_streams_prepare(s->all) == TICKFUSE_OK);
    EXPECT(tickfuse_streams_peek_all(s->all, rows, n_values, peeked, n_out, steps, N_SYMBOLS) == TICKFUSE_OK);
    EXPECT(tickfuse_streams_peek_all_f64(s->all, wide, n_values, peeked, n_out, steps, N_SYMBOLS) == TICKFUSE_OK);
    EXPECT(tickfuse_streams_push_all(s->all, rows, n_values, out, n_out, steps, N_SYMBOLS) == TICKFUSE_OK);
    if (steps[0].kind == TICKFUSE_STEP_ANSWER) {
        EXPECT(memcmp(peeked, out, n_out * sizeof *out) == 0);
    }
    free(peeked);
    free(wide);
}

/* Symbol by symbol, the odd ones from doubles. */
static void take_each(const struct symbols *s, const float *rows, float *out, tickfuse_step *steps) {
    double *wide = widened(rows, N_SYMBOLS * s->width);
    for (size_t k = 0; k < N_SYMBOLS; k++) {
        float *to = out + k * s->n_out;
        const float *row = rows + k * s->width;
        const double *same = wide + k * s->width;
        if (k % 2 == 0) {
            EXPECT(tickfuse_streams_peek_f64(s->all, k, same, s->width, to, s->n_out, steps + k) == TICKFUSE_OK);
            EXPECT(tickfuse_streams_push(s->all, k, row, s->width, to, s->n_out, steps + k) == TICKFUSE_OK);
        } else {
            EXPECT(tickfuse_streams_peek(s->all, k, row, s->width, to, s->n_out, steps + k) == TICKFUSE_OK);
            EXPECT(tickfuse_streams_push_f64(s->all, k, same, s->width, to, s->n_out, steps + k) == TICKFUSE_OK);
        }
    }
    free(wide);
}

/* Refusals leave outputs alone and take no row. */
static void be_refused(const struct symbols *s, const float *rows) {
    size_t n_values = N_SYMBOLS * s->width;
    size_t n_out = N_SYMBOLS * s->n_out;
    float *out = room(n_out, sizeof *out);
    tickfuse_step steps[N_SYMBOLS];
    uint32_t is_known = 7;
    memset(steps, 0, sizeof steps);
    EXPECT(tickfuse_streams_push_all(s->all, rows, n_values, out, n_out, steps, N_SYMBOLS) == TICKFUSE_ERR_STRUCTURE);
    for (size_t k = 0; k < N_SYMBOLS; k++) {
        steps[k].size = sizeof steps[k];
        steps[k].flags = 77;
    }
    steps[3].size += 8;
    EXPECT(tickfuse_streams_push_all(s->all, rows, n_values, out, n_out, steps, N_SYMBOLS) == TICKFUSE_ERR_STRUCTURE);
    steps[3].size -= 8;
    EXPECT(tickfuse_streams_push_all(s->all, rows, n_values, out, n_out, steps, 3) == TICKFUSE_ERR_RUN_OUTPUT_LENGTH);
    EXPECT(tickfuse_streams_push_all(s->all, rows, n_values - 1, out, n_out, steps, N_SYMBOLS)
           == TICKFUSE_ERR_RUN_INPUT_LENGTH);
    EXPECT(tickfuse_streams_push_all(s->all, rows, n_values, out, n_out + 1, steps, N_SYMBOLS)
           == TICKFUSE_ERR_RUN_OUTPUT_LENGTH);
    EXPECT(tickfuse_streams_push_all_f64(NULL, NULL, 0, out, n_out, steps, N_SYMBOLS) == TICKFUSE_ERR_NULL);
    EXPECT(tickfuse_streams_push(s->all, N_SYMBOLS, rows, s->width, out, s->n_out, steps) == TICKFUSE_ERR_RUN_SYMBOL);
    EXPECT(tickfuse_streams_reset(s->all, N_SYMBOLS) == TICKFUSE_ERR_RUN_SYMBOL);
    EXPECT(tickfuse_streams_set_category(s->all, 0, "no such", "label", &is_known) == TICKFUSE_ERR_RUN_CATEGORY);
    EXPECT(tickfuse_streams_set_contexts(NULL, NULL) == TICKFUSE_ERR_NULL && is_known == 7);
    EXPECT(tickfuse_streams_set_max_missing_bars(s->all, 1) == TICKFUSE_OK);
    EXPECT(tickfuse_streams_saved_len(s->all, N_SYMBOLS) == 0 && tickfuse_streams_remaining(s->all, N_SYMBOLS) == 0);
    for (size_t k = 0; k < N_SYMBOLS; k++) {
        EXPECT(steps[k].flags == 77);
    }
    free(out);
}

/* A model of rows takes no bars, and says so before it looks at one. */
static void refuse_bars(const struct symbols *s) {
    float *out = room(s->n_out, sizeof *out);
    tickfuse_step step = TICKFUSE_STEP_INIT;
    tickfuse_bar bar = TICKFUSE_BAR_INIT;
    EXPECT(tickfuse_streams_push_bar(s->all, 0, &bar, out, s->n_out, &step) == TICKFUSE_ERR_RUN_NO_BARS);
    EXPECT(tickfuse_streams_peek_bar(s->all, 0, &bar, out, s->n_out, &step) == TICKFUSE_ERR_RUN_NO_BARS);
    EXPECT(tickfuse_streams_push_bar(s->all, 0, NULL, out, s->n_out, &step) == TICKFUSE_ERR_NULL);
    free(out);
}

/* What one symbol remembers goes to a stream and to another symbol. */
static void hand_over(const struct symbols *s) {
    size_t len = tickfuse_streams_saved_len(s->all, 2);
    unsigned char *bytes = room(len, 1);
    EXPECT(tickfuse_streams_save(s->all, 2, bytes, len - 1) == TICKFUSE_ERR_BUFFER);
    EXPECT(tickfuse_streams_save(s->all, 2, bytes, len) == TICKFUSE_OK);
    EXPECT(tickfuse_stream_restore(s->each[5], bytes, len) == TICKFUSE_OK);
    EXPECT(tickfuse_streams_reset(s->all, 5) == TICKFUSE_OK);
    EXPECT(tickfuse_streams_restore(s->all, 5, bytes, len) == TICKFUSE_OK);
    free(bytes);
}

int main(int argc, char **argv) {
    tickfuse_model *model = NULL;
    tickfuse_streams *heap = NULL;
    size_t size = 0;
    EXPECT(argc == 4);
    EXPECT(tickfuse_model_open(argv[2], NULL, &model) == TICKFUSE_OK);
    EXPECT(tickfuse_streams_new(model, 0, &heap) == TICKFUSE_ERR_LENGTH && heap == NULL);
    EXPECT(tickfuse_streams_new(model, 2, &heap) == TICKFUSE_OK);
    tickfuse_streams_free(heap);
    float *file = read_file(argv[3], &size);
    struct symbols s = new_symbols(model);
    size_t n_features = tickfuse_model_n_features(model);
    size_t n_rows = (size / sizeof(float) - s.width) / n_features + 1;
    float *rows = room(N_SYMBOLS * s.width, sizeof *rows);
    float *out = room(N_SYMBOLS * s.n_out, sizeof *out);
    tickfuse_step steps[N_SYMBOLS];
    for (size_t t = 0; t < n_rows; t++) {
        for (size_t k = 0; k < N_SYMBOLS; k++) {
            steps[k] = (tickfuse_step)TICKFUSE_STEP_INIT;
            memcpy(rows + k * s.width, file + (t + k) % n_rows * n_features, s.width * sizeof *rows);
        }
        if (t == n_rows / 2) {
            be_refused(&s, rows);
            refuse_bars(&s);
            hand_over(&s);
        }
        (t % 3 == 2 ? take_each : take_all)(&s, rows, out, steps);
        expect_same(&s, rows, out, steps);
    }
    EXPECT(tickfuse_streams_reset_all(s.all) == TICKFUSE_OK);
    EXPECT(tickfuse_streams_remaining(s.all, 0) == tickfuse_model_lookback(model));
    free(rows);
    free(out);
    free(file);
    free_symbols(&s);
    tickfuse_model_free(model);
    return 0;
}
