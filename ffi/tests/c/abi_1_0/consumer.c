/*
 * The program that used every function of the first tickfuse.h, which lies beside it, and prints what it was told.
 *
 *     consumer MODEL WINDOWS N_WINDOWS
 *
 * WINDOWS holds N_WINDOWS windows of raw 32-bit floats. Answers are printed as the hexadecimal digits of their bits.
 */
#include "tickfuse.h"
#include "tickfuse.h" /* twice: it is guarded */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(condition)                                                                                            \
    do {                                                                                                             \
        if (!(condition)) {                                                                                          \
            char error[1024];                                                                                        \
            (void)tickfuse_last_error(error, sizeof error);                                                          \
            fprintf(stderr, "%s:%d: expected %s; last error: %s\n", __FILE__, __LINE__, #condition, error);           \
            exit(1);                                                                                                 \
        }                                                                                                            \
    } while (0)

struct windows {
    float *narrow;
    double *wide;
    size_t n;
    size_t n_values;
    size_t n_outputs;
};

static void *room(size_t n, size_t size) {
    void *memory = calloc(n, size);
    EXPECT(memory != NULL);
    return memory;
}

static void *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    EXPECT(file != NULL);
    EXPECT(fseek(file, 0, SEEK_END) == 0);
    long end = ftell(file);
    EXPECT(end > 0);
    rewind(file);
    *size = (size_t)end;
    void *bytes = room(*size, 1);
    EXPECT(fread(bytes, 1, *size, file) == *size);
    fclose(file);
    return bytes;
}

static struct windows read_windows(const char *path, size_t n, const tickfuse_model *model) {
    struct windows w;
    size_t size = 0;
    w.n = n;
    w.n_outputs = tickfuse_model_n_outputs(model);
    w.n_values = tickfuse_model_lookback(model) * tickfuse_model_n_features(model);
    w.narrow = read_file(path, &size);
    EXPECT(size == n * w.n_values * sizeof(float));
    w.wide = room(n * w.n_values, sizeof(double));
    for (size_t i = 0; i < n * w.n_values; i++) {
        w.wide[i] = (double)w.narrow[i];
    }
    return w;
}

static void print_answer(const char *name, const float *out, size_t n, uint32_t flags) {
    printf("%s %u", name, (unsigned)flags);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &out[i], sizeof bits);
        printf(" %08x", (unsigned)bits);
    }
    printf("\n");
}

static void describe(const tickfuse_model *model) {
    char hash[TICKFUSE_HASH_SIZE];
    size_t needed = 0;
    size_t written = 0;
    printf("abi %u\n", (unsigned)tickfuse_abi_version());
    printf("options_size %zu\n", sizeof(tickfuse_open_options));
    printf("options_offsets %zu %zu %zu %zu\n", offsetof(tickfuse_open_options, size),
           offsetof(tickfuse_open_options, level), offsetof(tickfuse_open_options, flags),
           offsetof(tickfuse_open_options, reserved));
    printf("lookback %zu\n", tickfuse_model_lookback(model));
    printf("n_features %zu\n", tickfuse_model_n_features(model));
    printf("n_outputs %zu\n", tickfuse_model_n_outputs(model));
    printf("level %s\n", tickfuse_model_level(model));
    EXPECT(tickfuse_model_hash(model, hash, sizeof hash) == TICKFUSE_OK);
    printf("hash %s\n", hash);
    EXPECT(tickfuse_model_schema_json(model, NULL, 0, &needed) == TICKFUSE_OK);
    char *json = room(needed, 1);
    EXPECT(tickfuse_model_schema_json(model, json, needed, &written) == TICKFUSE_OK);
    EXPECT(written == needed && strlen(json) + 1 == needed);
    printf("schema %s\n", json);
    free(json);
}

static void run_one_by_one(tickfuse_session *session, const struct windows *w) {
    float *out = room(w->n_outputs, sizeof *out);
    for (size_t i = 0; i < w->n; i++) {
        uint32_t flags = 77;
        const float *narrow = w->narrow + i * w->n_values;
        const double *wide = w->wide + i * w->n_values;
        EXPECT(tickfuse_session_run(session, narrow, w->n_values, out, w->n_outputs, &flags) == TICKFUSE_OK);
        print_answer("run", out, w->n_outputs, flags);
        EXPECT(tickfuse_session_run_f64(session, wide, w->n_values, out, w->n_outputs, &flags) == TICKFUSE_OK);
        print_answer("run_f64", out, w->n_outputs, flags);
    }
    free(out);
}

static void run_together(tickfuse_session *session, const struct windows *w) {
    uint32_t flags = 77;
    size_t n_values = w->n * w->n_values;
    size_t n_out = w->n * w->n_outputs;
    float *out = room(n_out, sizeof *out);
    EXPECT(tickfuse_session_run_batch(session, w->narrow, n_values, w->n, out, n_out, &flags) == TICKFUSE_OK);
    print_answer("run_batch", out, n_out, flags);
    EXPECT(tickfuse_session_run_batch_f64(session, w->wide, n_values, w->n, out, n_out, &flags) == TICKFUSE_OK);
    print_answer("run_batch_f64", out, n_out, flags);
    free(out);
}

static void be_refused(const char *path, tickfuse_session *session, const struct windows *w) {
    tickfuse_open_options options = TICKFUSE_OPEN_OPTIONS_INIT;
    tickfuse_model *none = NULL;
    uint32_t flags = 77;
    float out[1] = {42.0F};
    char text[256];
    options.level = "sse2";
    EXPECT(tickfuse_model_open(path, &options, &none) == TICKFUSE_ERR_OPTIONS && none == NULL);
    EXPECT(tickfuse_model_open("no such file", NULL, &none) == TICKFUSE_ERR_OPEN_IO && none == NULL);
    EXPECT(tickfuse_last_error(text, sizeof text) == strlen(text) + 1);
    EXPECT(strstr(text, "no such file") != NULL);
    EXPECT(tickfuse_session_run(session, w->narrow, w->n_values - 1, out, w->n_outputs, &flags)
           == TICKFUSE_ERR_RUN_INPUT_LENGTH);
    EXPECT(flags == 77 && memcmp(&out[0], &(float){42.0F}, sizeof out[0]) == 0);
    EXPECT(strcmp(tickfuse_status_text(TICKFUSE_ERR_RUN_INPUT_LENGTH), "the number of input values is wrong") == 0);
}

int main(int argc, char **argv) {
    tickfuse_open_options options = TICKFUSE_OPEN_OPTIONS_INIT;
    tickfuse_model *model = NULL;
    tickfuse_model *copy = NULL;
    tickfuse_session *session = NULL;
    size_t size = 0;
    EXPECT(argc == 4);
    EXPECT(tickfuse_abi_version() >> 16 == TICKFUSE_ABI_VERSION >> 16);
    EXPECT(tickfuse_model_open(argv[1], NULL, &model) == TICKFUSE_OK);
    describe(model);

    struct windows w = read_windows(argv[2], (size_t)strtoul(argv[3], NULL, 10), model);
    EXPECT(tickfuse_session_new(model, w.n, &session) == TICKFUSE_OK);
    tickfuse_model_free(model);
    run_one_by_one(session, &w);
    run_together(session, &w);
    be_refused(argv[1], session, &w);
    tickfuse_session_free(session);

    void *bytes = read_file(argv[1], &size);
    options.flags = TICKFUSE_OPEN_COPIED | TICKFUSE_OPEN_DECLINE_HASH | TICKFUSE_OPEN_DECLINE_GOLDEN;
    EXPECT(tickfuse_model_open(argv[1], &options, &copy) == TICKFUSE_OK);
    tickfuse_model_free(copy);
    EXPECT(tickfuse_model_open_memory(bytes, size, &options, &copy) == TICKFUSE_OK);
    free(bytes);
    EXPECT(tickfuse_session_new(copy, w.n, &session) == TICKFUSE_OK);
    run_together(session, &w);
    tickfuse_session_free(session);
    tickfuse_model_free(copy);
    free(w.narrow);
    free(w.wide);
    return 0;
}
