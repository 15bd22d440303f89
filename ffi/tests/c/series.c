/*
 * A C11 program that slides windows over a series in every way there is, saves, restores and copies a stream on its way
 * through it, expects the same bits from all, and prints them.
 *
 *     series series MODEL FILE      FILE holds rows of raw 32-bit floats
 */
#include "common.h"

struct series {
    float *rows;
    double *wide;
    size_t n_rows;
    size_t width;
    size_t n_window;
    size_t n_row;     /* values of a row with its rows of the future */
    size_t n_arrived; /* rows that have all of theirs behind them */
    size_t n_out;
};

static struct series read_series(const char *path, const tickfuse_model *model) {
    struct series s;
    size_t size = 0;
    s.rows = read_file(path, &size);
    s.width = tickfuse_model_n_features(model);
    s.n_rows = size / sizeof(float) / s.width;
    s.wide = widened(s.rows, s.n_rows * s.width);
    s.n_window = tickfuse_model_n_rows(model) * s.width;
    size_t n_ahead = tickfuse_model_n_rows(model) - tickfuse_model_lookback(model);
    s.n_row = (1 + n_ahead) * s.width;
    s.n_arrived = s.n_rows - n_ahead;
    s.n_out = tickfuse_model_n_outputs(model);
    return s;
}

/* Every stride-th window by a session alone. */
static void run_each(const tickfuse_model *model, const struct series *s, size_t stride, size_t n, float *out,
                     uint32_t *flags) {
    tickfuse_session *session = NULL;
    EXPECT(tickfuse_session_new(model, 1, &session) == TICKFUSE_OK);
    for (size_t i = 0; i < n; i++) {
        const float *window = s->rows + i * stride * s->width;
        EXPECT(tickfuse_session_run(session, window, s->n_window, out + i * s->n_out, s->n_out, flags + i)
               == TICKFUSE_OK);
    }
    tickfuse_session_free(session);
}

static void run_strided(const tickfuse_model *model, const struct series *s, size_t stride, size_t n, float *out) {
    tickfuse_session *session = NULL;
    uint32_t flags = 77;
    size_t n_values = s->n_rows * s->width;
    EXPECT(tickfuse_session_new(model, n, &session) == TICKFUSE_OK);
    EXPECT(tickfuse_session_run_strided(session, s->rows, n_values, n, stride * s->width, s->width, out, n * s->n_out,
                                        &flags) == TICKFUSE_OK);
    float *same = room(n * s->n_out, sizeof *same);
    EXPECT(tickfuse_session_run_strided_f64(session, s->wide, n_values, n, stride * s->width, s->width, same,
                                            n * s->n_out, &flags) == TICKFUSE_OK);
    EXPECT(memcmp(same, out, n * s->n_out * sizeof *out) == 0);
    flags = 77;
    EXPECT(tickfuse_session_run_strided(session, s->rows, n_values, n, n_values, s->width, same, n * s->n_out, &flags)
           == (n > 1 ? TICKFUSE_ERR_RUN_INPUT_LENGTH : TICKFUSE_OK));
    EXPECT(tickfuse_session_run_strided(session, s->rows, n_values, 0, 1, 1, same, 0, &flags)
           == TICKFUSE_ERR_RUN_BATCH);
    EXPECT(tickfuse_session_run_strided(session, s->rows, n_values, n, SIZE_MAX, SIZE_MAX, same, n * s->n_out, &flags)
           == TICKFUSE_ERR_RUN_INPUT_LENGTH);
    free(same);
    tickfuse_session_free(session);
}

static void slide(const tickfuse_model *model, const struct series *s, size_t stride, size_t n, float *out,
                  uint32_t *flags) {
    tickfuse_sliding *sliding = NULL;
    size_t n_values = s->n_rows * s->width;
    EXPECT(tickfuse_sliding_new(model, 0, &sliding) == TICKFUSE_ERR_LENGTH && sliding == NULL);
    EXPECT(tickfuse_sliding_new(model, stride, &sliding) == TICKFUSE_OK);
    EXPECT(tickfuse_sliding_n_windows(sliding, s->n_rows) == n && tickfuse_sliding_n_windows(NULL, 9) == 0);
    EXPECT(tickfuse_sliding_run_f64(sliding, s->wide, n_values, out, n * s->n_out, flags, n) == TICKFUSE_OK);
    memset(out, 0, n * s->n_out * sizeof *out);
    EXPECT(tickfuse_sliding_run(sliding, s->rows, n_values, out, n * s->n_out, flags, n + 1)
           == TICKFUSE_ERR_RUN_OUTPUT_LENGTH);
    EXPECT(tickfuse_sliding_set_contexts(NULL, NULL) == TICKFUSE_ERR_NULL);
    EXPECT(tickfuse_sliding_run(sliding, s->rows, n_values, out, n * s->n_out, flags, n) == TICKFUSE_OK);
    tickfuse_sliding_free(sliding);
}

/* Windows that begin `stride` rows apart, in three ways. */
static void take_windows(const tickfuse_model *model, const struct series *s, size_t stride) {
    size_t n = (s->n_rows - s->n_window / s->width) / stride + 1;
    float *each = room(n * s->n_out, sizeof *each);
    float *out = room(n * s->n_out, sizeof *out);
    uint32_t *each_flags = room(n, sizeof *each_flags);
    uint32_t *flags = room(n, sizeof *flags);
    run_each(model, s, stride, n, each, each_flags);
    run_strided(model, s, stride, n, out);
    EXPECT(memcmp(out, each, n * s->n_out * sizeof *out) == 0);
    memset(out, 0, n * s->n_out * sizeof *out);
    slide(model, s, stride, n, out, flags);
    EXPECT(memcmp(out, each, n * s->n_out * sizeof *out) == 0 && memcmp(flags, each_flags, n * sizeof *flags) == 0);
    for (size_t i = 0; i < n; i++) {
        print_answer("window", out + i * s->n_out, s->n_out, flags[i]);
    }
    free(each);
    free(out);
    free(each_flags);
    free(flags);
}

/* What a stream remembers, in a block that ends where it should. */
static unsigned char *save(const tickfuse_stream *stream, size_t *len) {
    *len = tickfuse_stream_saved_len(stream);
    unsigned char *bytes = room(*len + 1, 1);
    EXPECT(*len > 0 && tickfuse_stream_save(stream, bytes, *len - 1) == TICKFUSE_ERR_BUFFER && bytes[0] == 0);
    EXPECT(tickfuse_stream_save(stream, bytes + 1, *len) == TICKFUSE_OK);
    memmove(bytes, bytes + 1, *len);
    return bytes;
}

/* Pushes the same row to all and expects the same of all. */
static void push_to_all(tickfuse_stream *const *streams, size_t n, const struct series *s, size_t row) {
    float *expected = room(s->n_out, sizeof *expected);
    float *out = room(s->n_out, sizeof *out);
    tickfuse_step first = TICKFUSE_STEP_INIT;
    for (size_t i = 0; i < n; i++) {
        tickfuse_step step = TICKFUSE_STEP_INIT;
        float *to = i == 0 ? expected : out;
        EXPECT(tickfuse_stream_push(streams[i], s->rows + row * s->width, s->n_row, to, s->n_out, &step)
               == TICKFUSE_OK);
        first = i == 0 ? step : first;
        EXPECT(memcmp(&step, &first, sizeof step) == 0 && memcmp(to, expected, s->n_out * sizeof *to) == 0);
    }
    if (first.kind == TICKFUSE_STEP_ANSWER) {
        print_answer("push", expected, s->n_out, first.flags);
    } else {
        printf("push waits %zu\n", first.remaining);
    }
    free(expected);
    free(out);
}

/* A stream, one restored from it half-way and two copies of it go on together. */
static void take_rows(const tickfuse_model *model, const struct series *s) {
    tickfuse_stream *streams[4] = {NULL, NULL, NULL, NULL};
    size_t len = 0;
    for (int i = 0; i < 3; i++) {
        EXPECT(tickfuse_stream_new(model, &streams[i]) == TICKFUSE_OK);
    }
    for (size_t row = 0; row < s->n_arrived / 2; row++) {
        push_to_all(streams, 1, s, row);
    }
    unsigned char *bytes = save(streams[0], &len);
    EXPECT(tickfuse_stream_restore(streams[1], bytes, len - 1) == TICKFUSE_ERR_RUN_STATE);
    bytes[len / 2] ^= 1;
    EXPECT(tickfuse_stream_restore(streams[1], bytes, len) == TICKFUSE_ERR_RUN_STATE);
    bytes[len / 2] ^= 1;
    EXPECT(tickfuse_stream_restore(streams[1], NULL, len) == TICKFUSE_ERR_NULL);
    EXPECT(tickfuse_stream_restore(streams[1], bytes, len) == TICKFUSE_OK);
    EXPECT(tickfuse_stream_clone_from(streams[2], streams[2]) == TICKFUSE_ERR_BUSY);
    EXPECT(tickfuse_stream_clone_from(streams[2], NULL) == TICKFUSE_ERR_NULL);
    EXPECT(tickfuse_stream_clone_from(streams[2], streams[0]) == TICKFUSE_OK);
    EXPECT(tickfuse_stream_clone(streams[0], &streams[3]) == TICKFUSE_OK);
    for (size_t row = s->n_arrived / 2; row < s->n_arrived; row++) {
        push_to_all(streams, 4, s, row);
    }
    free(bytes);
    for (int i = 0; i < 4; i++) {
        tickfuse_stream_free(streams[i]);
    }
}

/* The same file opened twice: two models, whose streams are no copies of each other. */
static void refuse_foreign(const char *path, const tickfuse_model *model) {
    tickfuse_model *again = NULL;
    tickfuse_stream *stream = NULL;
    tickfuse_stream *other = NULL;
    EXPECT(tickfuse_model_open(path, NULL, &again) == TICKFUSE_OK);
    EXPECT(tickfuse_stream_new(model, &stream) == TICKFUSE_OK && tickfuse_stream_new(again, &other) == TICKFUSE_OK);
    EXPECT(tickfuse_stream_clone_from(stream, other) == TICKFUSE_ERR_RUN_FOREIGN_STATE);
    tickfuse_stream_free(stream);
    tickfuse_stream_free(other);
    tickfuse_model_free(again);
}

int main(int argc, char **argv) {
    tickfuse_model *model = NULL;
    EXPECT(argc == 4);
    EXPECT(tickfuse_model_open(argv[2], NULL, &model) == TICKFUSE_OK);
    struct series s = read_series(argv[3], model);
    take_windows(model, &s, 1);
    take_windows(model, &s, 3);
    take_rows(model, &s);
    refuse_foreign(argv[2], model);
    free(s.rows);
    free(s.wide);
    tickfuse_model_free(model);
    return 0;
}
