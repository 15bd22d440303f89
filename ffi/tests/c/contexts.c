/*
 * A C11 program that sets contexts, runs shorter windows, asks what answers attended to, and prints what it was told.
 *
 *     contexts attend MODEL WINDOW ROWS                  ROWS: raw contexts, as many as fit, all of entity 1
 *     contexts lengths MODEL WINDOW N_ENCODER N_DECODER
 *
 * WINDOW and ROWS hold raw 32-bit floats.
 */
#include "common.h"

/* An opened model, a session for one window, and the place of its answer. */
struct running {
    tickfuse_model *model;
    tickfuse_session *session;
    float *window;
    double *wide;
    size_t n_values;
    float *out;
    size_t n_out;
};

static struct running start(const char *model_path, const char *window_path) {
    struct running r;
    size_t size = 0;
    r.model = NULL;
    r.session = NULL;
    EXPECT(tickfuse_model_open(model_path, NULL, &r.model) == TICKFUSE_OK);
    EXPECT(tickfuse_session_new(r.model, 1, &r.session) == TICKFUSE_OK);
    r.window = read_file(window_path, &size);
    r.n_values = size / sizeof(float);
    r.wide = widened(r.window, r.n_values);
    r.n_out = tickfuse_model_n_outputs(r.model);
    r.out = room(r.n_out, sizeof *r.out);
    return r;
}

static void stop(struct running *r) {
    tickfuse_session_free(r->session);
    tickfuse_model_free(r->model);
    free(r->window);
    free(r->wide);
    free(r->out);
}

static void run(struct running *r, const char *name) {
    uint32_t flags = 77;
    EXPECT(tickfuse_session_run(r->session, r->window, r->n_values, r->out, r->n_out, &flags) == TICKFUSE_OK);
    print_answer(name, r->out, r->n_out, flags);
}

/* The answer for the window's last row, by a stream that attends to `contexts`. */
static void push_all(struct running *r, const tickfuse_contexts *contexts, const char *name) {
    tickfuse_stream *stream = NULL;
    tickfuse_step step = TICKFUSE_STEP_INIT;
    size_t width = tickfuse_model_n_features(r->model);
    EXPECT(tickfuse_stream_new(r->model, &stream) == TICKFUSE_OK);
    EXPECT(tickfuse_stream_set_contexts(stream, contexts) == TICKFUSE_OK);
    for (size_t i = 0; i < r->n_values; i += width) {
        EXPECT(tickfuse_stream_push(stream, r->window + i, width, r->out, r->n_out, &step) == TICKFUSE_OK);
    }
    EXPECT(step.kind == TICKFUSE_STEP_ANSWER);
    print_answer(name, r->out, r->n_out, step.flags);
    tickfuse_stream_free(stream);
}

static void print_interpretation(tickfuse_session *session) {
    size_t n = tickfuse_session_n_interpretations(session);
    tickfuse_interpretation what = TICKFUSE_INTERPRETATION_INIT;
    printf("interpretations %zu\n", n);
    printf("layout interpretation %zu %zu %zu %zu %zu\n", sizeof what, offsetof(tickfuse_interpretation, n_dims),
           offsetof(tickfuse_interpretation, shape), offsetof(tickfuse_interpretation, n_values),
           offsetof(tickfuse_interpretation, name));
    for (size_t i = 0; i < n; i++) {
        EXPECT(tickfuse_session_interpretation(session, i, &what, NULL, 0) == TICKFUSE_OK);
        EXPECT(what.n_dims <= TICKFUSE_MAX_DIMS && strlen(what.name) < TICKFUSE_NAME_SIZE);
        float *values = room(what.n_values, sizeof *values);
        EXPECT(tickfuse_session_interpretation(session, i, &what, values, what.n_values - 1)
               == TICKFUSE_ERR_BUFFER);
        EXPECT(tickfuse_session_interpretation(session, i, &what, values, what.n_values) == TICKFUSE_OK);
        printf("shape");
        for (size_t d = 0; d < what.n_dims; d++) {
            printf(" %zu", what.shape[d]);
        }
        printf("\n");
        print_answer(what.name, values, what.n_values, 0);
        free(values);
    }
    EXPECT(tickfuse_session_interpretation(session, n, &what, NULL, 0) == TICKFUSE_ERR_LENGTH);
}

static void attend(struct running *r, const char *rows_path) {
    tickfuse_contexts *contexts = NULL;
    tickfuse_contexts *same = NULL;
    size_t n_most = 0;
    size_t n_rows = 0;
    size_t n_columns = 0;
    size_t size = 0;
    EXPECT(tickfuse_model_context_shape(r->model, &n_most, &n_rows, &n_columns) == TICKFUSE_OK);
    printf("context_shape %zu %zu %zu\n", n_most, n_rows, n_columns);
    float *rows = read_file(rows_path, &size);
    size_t n_values = size / sizeof *rows;
    size_t n = n_values / n_rows / n_columns;
    double *wide = widened(rows, n_values);
    uint32_t *entities = room(n, sizeof *entities);
    for (size_t i = 0; i < n; i++) {
        entities[i] = 1;
    }
    EXPECT(tickfuse_contexts_encode(r->model, rows, n_values, entities, n, &contexts) == TICKFUSE_OK);
    EXPECT(tickfuse_contexts_encode_f64(r->model, wide, n_values, entities, n, &same) == TICKFUSE_OK);
    EXPECT(tickfuse_contexts_encode(r->model, rows, n_values - 1, entities, n, &same)
           == TICKFUSE_ERR_RUN_INPUT_LENGTH);
    free(rows);
    free(wide);
    free(entities);
    EXPECT(tickfuse_session_n_interpretations(r->session) == 0);
    run(r, "own");
    EXPECT(tickfuse_session_set_contexts(r->session, contexts) == TICKFUSE_OK);
    tickfuse_contexts_free(contexts);
    run(r, "set");
    EXPECT(tickfuse_session_set_contexts(r->session, NULL) == TICKFUSE_OK);
    push_all(r, NULL, "own");
    run(r, "own");
    EXPECT(tickfuse_session_set_contexts(r->session, same) == TICKFUSE_OK);
    run(r, "set");
    push_all(r, same, "set");
    print_interpretation(r->session);
    tickfuse_contexts_free(same);
}

static void run_lengths(struct running *r, size_t n_encoder, size_t n_decoder) {
    uint32_t flags = 77;
    size_t n_features = tickfuse_model_n_features(r->model);
    size_t n_values = (n_encoder + n_decoder) * n_features;
    size_t n_ahead = tickfuse_model_n_rows(r->model) - tickfuse_model_lookback(r->model);
    size_t n_out = r->n_out / n_ahead * n_decoder;
    EXPECT(tickfuse_session_run_lengths(r->session, r->window, n_values, n_encoder, n_decoder, r->out, n_out, &flags)
           == TICKFUSE_OK);
    print_answer("lengths", r->out, n_out, flags);
    EXPECT(tickfuse_session_run_lengths_f64(r->session, r->wide, n_values, n_encoder, n_decoder, r->out, n_out,
                                            &flags)
           == TICKFUSE_OK);
    print_answer("lengths", r->out, n_out, flags);
    EXPECT(tickfuse_session_run_lengths(r->session, r->window, n_values, n_encoder, n_decoder, r->out, n_out + 1,
                                        &flags)
           == TICKFUSE_ERR_RUN_OUTPUT_LENGTH);
    EXPECT(tickfuse_session_run_lengths(r->session, r->window, 0, 0, n_ahead + 1, r->out, r->n_out, &flags)
           == TICKFUSE_ERR_RUN_ROWS);
    EXPECT(tickfuse_session_set_contexts(r->session, NULL) == TICKFUSE_ERR_RUN_NO_CONTEXTS);
    print_interpretation(r->session);
}

int main(int argc, char **argv) {
    EXPECT(argc >= 5);
    struct running r = start(argv[2], argv[3]);
    if (strcmp(argv[1], "attend") == 0) {
        attend(&r, argv[4]);
    } else {
        EXPECT(argc == 6);
        run_lengths(&r, (size_t)strtoul(argv[4], NULL, 10), (size_t)strtoul(argv[5], NULL, 10));
    }
    stop(&r);
    return 0;
}
