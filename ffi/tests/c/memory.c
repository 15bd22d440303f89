/*
 * A C11 program that asks for columns, keeps sessions and streams in its own memory and calls them by fast handles. It
 * expects the bits of handles on the heap and prints what it was told.
 *
 *     memory memory MODEL FILE      FILE holds rows of raw 32-bit floats
 */
#include "common.h"

enum { CANARY = 0xcd, BEHIND = 64 };

/* Memory of the caller's that knows when the library writes behind it. */
struct block {
    unsigned char *bytes;
    size_t size;
};

static struct block new_block(size_t align, size_t size) {
    struct block block = {NULL, size};
    EXPECT(size > 0 && align > 0);
    block.bytes = aligned_alloc(align, (size + BEHIND + align - 1) / align * align);
    EXPECT(block.bytes != NULL);
    memset(block.bytes, CANARY, size + BEHIND);
    return block;
}

static void free_block(struct block block) {
    for (size_t i = 0; i < BEHIND; i++) {
        EXPECT(block.bytes[block.size + i] == CANARY);
    }
    free(block.bytes);
}

static void print_layout(void) {
    printf("layout input %zu %zu %zu %zu %zu %zu\n", sizeof(tickfuse_input), offsetof(tickfuse_input, n_categories),
           offsetof(tickfuse_input, role), offsetof(tickfuse_input, missing), offsetof(tickfuse_input, is_of_bars),
           offsetof(tickfuse_input, name));
    printf("layout output %zu %zu %zu %zu %zu %zu\n", sizeof(tickfuse_output), offsetof(tickfuse_output, kind),
           offsetof(tickfuse_output, step), offsetof(tickfuse_output, tau), offsetof(tickfuse_output, name),
           offsetof(tickfuse_output, unit));
}

static void print_columns(const tickfuse_model *model) {
    tickfuse_input input = TICKFUSE_INPUT_INIT;
    tickfuse_output output = TICKFUSE_OUTPUT_INIT;
    size_t n_inputs = tickfuse_model_n_features(model);
    size_t n_outputs = tickfuse_model_n_outputs(model);
    for (size_t i = 0; i < n_inputs; i++) {
        EXPECT(tickfuse_model_input(model, i, &input) == TICKFUSE_OK);
        printf("input %s %u %u %zu %u\n", input.name, (unsigned)input.role, (unsigned)input.missing,
               input.n_categories, (unsigned)input.is_of_bars);
    }
    for (size_t i = 0; i < n_outputs; i++) {
        EXPECT(tickfuse_model_output(model, i, &output) == TICKFUSE_OK);
        printf("output %s %s %u %u %.0f\n", output.name, output.unit, (unsigned)output.kind, (unsigned)output.step,
               output.tau * 1e6);
    }
    input.size = 1;
    EXPECT(tickfuse_model_input(model, 0, &input) == TICKFUSE_ERR_STRUCTURE);
    EXPECT(tickfuse_model_output(model, n_outputs, &output) == TICKFUSE_ERR_LENGTH);
    EXPECT(tickfuse_model_output(NULL, 0, &output) == TICKFUSE_ERR_NULL);
    printf("arrival %u\n", (unsigned)tickfuse_model_arrival(model));
    EXPECT(tickfuse_model_arrival(NULL) == TICKFUSE_ARRIVAL_NONE);
}

/* Pages of the weights, and a thread that flushes denormal numbers: neither changes an answer. */
static void ask_the_machine(const char *path, const tickfuse_model *model) {
    uint64_t before = 7;
    uint64_t inner = 7;
    size_t size = 0;
    tickfuse_model *from_memory = NULL;
    tickfuse_status locked = tickfuse_model_lock(model);
    tickfuse_status advised = tickfuse_model_advise_huge_pages(model);
    EXPECT(tickfuse_model_prefault(model) > 0 && tickfuse_model_prefault(NULL) == 0);
    EXPECT(locked == TICKFUSE_OK || locked == TICKFUSE_ERR_SYSTEM);
    EXPECT(advised == TICKFUSE_OK || advised == TICKFUSE_ERR_SYSTEM);
    EXPECT(tickfuse_model_lock(NULL) == TICKFUSE_ERR_NULL);
    EXPECT(tickfuse_model_advise_huge_pages(NULL) == TICKFUSE_ERR_NULL);
    void *bytes = read_file(path, &size);
    EXPECT(tickfuse_model_open_memory(bytes, size, NULL, &from_memory) == TICKFUSE_OK);
    EXPECT(tickfuse_model_lock(from_memory) == TICKFUSE_ERR_SYSTEM);
    tickfuse_model_free(from_memory);
    free(bytes);

    EXPECT(tickfuse_flush_denormals_begin(NULL) == TICKFUSE_ERR_NULL);
    EXPECT(tickfuse_flush_denormals_begin(&before) == TICKFUSE_OK);
    EXPECT(tickfuse_flush_denormals_begin(&inner) == TICKFUSE_OK);
    tickfuse_flush_denormals_end(inner);
    tickfuse_flush_denormals_end(before);
}

/* A window is answered alike from the heap, from a block used twice, and by a fast handle. */
static void run_windows(const tickfuse_model *model, const float *rows) {
    tickfuse_session *heap = NULL;
    size_t n_values = tickfuse_model_n_rows(model) * tickfuse_model_n_features(model);
    size_t n_out = tickfuse_model_n_outputs(model);
    float *expected = room(n_out, sizeof *expected);
    float *out = room(n_out, sizeof *out);
    uint32_t expected_flags = 7;
    EXPECT(tickfuse_session_new(model, 3, &heap) == TICKFUSE_OK);
    EXPECT(tickfuse_session_run(heap, rows, n_values, expected, n_out, &expected_flags) == TICKFUSE_OK);

    struct block block = new_block(tickfuse_session_align(), tickfuse_session_size(model, 3));
    EXPECT(tickfuse_session_size(model, 0) == 0 && tickfuse_session_size(NULL, 3) == 0);
    for (int turn = 0; turn < 2; turn++) {
        tickfuse_session *own = NULL;
        tickfuse_fast *fast = NULL;
        uint32_t flags = 7;
        EXPECT(tickfuse_session_init(model, 3, block.bytes, block.size - 1, &own) == TICKFUSE_ERR_BUFFER);
        EXPECT(tickfuse_session_init(model, 3, block.bytes + 1, block.size, &own) == TICKFUSE_ERR_ALIGNMENT);
        EXPECT(tickfuse_session_init(model, 3, NULL, block.size, &own) == TICKFUSE_ERR_NULL && own == NULL);
        EXPECT(tickfuse_session_init(model, 3, block.bytes, block.size, &own) == TICKFUSE_OK);
        EXPECT((unsigned char *)own >= block.bytes && (unsigned char *)own < block.bytes + block.size);
        EXPECT(tickfuse_session_run(own, rows, n_values, out, n_out, &flags) == TICKFUSE_OK);
        EXPECT(flags == expected_flags && memcmp(out, expected, n_out * sizeof *out) == 0);
        EXPECT(tickfuse_fast_of_session(own, TICKFUSE_FAST_PUSH, &fast) == TICKFUSE_ERR_CHOICE && fast == NULL);
        EXPECT(tickfuse_fast_of_session(own, TICKFUSE_FAST_RUN, &fast) == TICKFUSE_OK);
        memset(out, 0, n_out * sizeof *out);
        EXPECT(tickfuse_fast_flags(fast) == 0);
        EXPECT(tickfuse_fast_call(fast, rows, out) == TICKFUSE_OK);
        EXPECT(tickfuse_fast_flags(fast) == flags && memcmp(out, expected, n_out * sizeof *out) == 0);
        tickfuse_fast_free(fast);
        tickfuse_session_free(own);
    }
    free_block(block);
    tickfuse_session_free(heap);
    free(expected);
    free(out);
}

/* The same row by row: three streams that must say the same. */
static void push_rows(const tickfuse_model *model, const float *rows, size_t n) {
    tickfuse_stream *heap = NULL;
    tickfuse_stream *own = NULL;
    tickfuse_stream *other = NULL;
    tickfuse_fast *fast = NULL;
    tickfuse_fast *peek = NULL;
    size_t width = tickfuse_model_n_features(model);
    size_t n_ahead = tickfuse_model_n_rows(model) - tickfuse_model_lookback(model);
    size_t n_values = (1 + n_ahead) * width;
    size_t n_out = tickfuse_model_n_outputs(model);
    float *expected = room(n_out, sizeof *expected);
    float *out = room(n_out, sizeof *out);
    struct block block = new_block(tickfuse_stream_align(), tickfuse_stream_size(model));
    EXPECT(tickfuse_stream_size(NULL) == 0);
    EXPECT(tickfuse_stream_new(model, &heap) == TICKFUSE_OK && tickfuse_stream_new(model, &other) == TICKFUSE_OK);
    EXPECT(tickfuse_stream_init(model, block.bytes, 0, &own) == TICKFUSE_ERR_BUFFER && own == NULL);
    EXPECT(tickfuse_stream_init(model, block.bytes, block.size, &own) == TICKFUSE_OK);
    EXPECT(tickfuse_fast_of_stream(other, TICKFUSE_FAST_PUSH | TICKFUSE_FAST_F64, &fast) == TICKFUSE_OK);
    EXPECT(tickfuse_fast_of_stream(other, TICKFUSE_FAST_PEEK, &peek) == TICKFUSE_OK);
    EXPECT(tickfuse_fast_call(NULL, rows, out) == TICKFUSE_ERR_NULL && tickfuse_fast_flags(NULL) == 0);
    double *wide = widened(rows, n * width);
    for (size_t i = 0; i + n_ahead < n; i++) {
        tickfuse_step told = TICKFUSE_STEP_INIT;
        tickfuse_step step = TICKFUSE_STEP_INIT;
        const float *row = rows + i * width;
        EXPECT(tickfuse_stream_push(heap, row, n_values, expected, n_out, &told) == TICKFUSE_OK);
        EXPECT(tickfuse_stream_prepare(own) == TICKFUSE_OK);
        EXPECT(tickfuse_stream_push(own, row, n_values, out, n_out, &step) == TICKFUSE_OK);
        EXPECT(memcmp(&step, &told, sizeof step) == 0 && memcmp(out, expected, n_out * sizeof *out) == 0);
        tickfuse_status status = told.kind == TICKFUSE_STEP_ANSWER ? TICKFUSE_OK : TICKFUSE_WARMING_UP;
        EXPECT(tickfuse_fast_call(peek, row, out) == status);
        EXPECT(tickfuse_fast_call(fast, wide + i * width, out) == status);
        EXPECT(memcmp(out, expected, n_out * sizeof *out) == 0 && tickfuse_fast_flags(fast) == told.flags);
    }
    EXPECT(tickfuse_fast_call(fast, NULL, out) == TICKFUSE_ERR_NULL);
    if (n_ahead > 0) {
        tickfuse_step step = TICKFUSE_STEP_INIT;
        float *nearest = room(n_out / n_ahead, sizeof *nearest);
        EXPECT(tickfuse_stream_peek(heap, rows, width, expected, n_out, &step) == TICKFUSE_ERR_RUN_AHEAD);
        EXPECT(tickfuse_stream_peek(heap, rows, n_values + width, expected, n_out, &step) == TICKFUSE_ERR_RUN_ROWS);
        EXPECT(tickfuse_stream_peek(heap, rows, 2 * width, expected, n_out + 1, &step)
               == TICKFUSE_ERR_RUN_OUTPUT_LENGTH);
        EXPECT(tickfuse_stream_peek(heap, rows, 2 * width, nearest, n_out / n_ahead, &step) == TICKFUSE_OK);
        EXPECT(step.kind == TICKFUSE_STEP_ANSWER);
        free(nearest);
    }
    print_answer("last", out, n_out, tickfuse_fast_flags(fast));
    tickfuse_fast_free(fast);
    tickfuse_fast_free(peek);
    tickfuse_fast_free(NULL);
    tickfuse_stream_free(own);
    free_block(block);
    tickfuse_stream_free(heap);
    tickfuse_stream_free(other);
    free(wide);
    free(expected);
    free(out);
}

int main(int argc, char **argv) {
    tickfuse_model *model = NULL;
    size_t size = 0;
    EXPECT(argc == 4);
    print_layout();
    EXPECT(tickfuse_model_open(argv[2], NULL, &model) == TICKFUSE_OK);
    print_columns(model);
    float *rows = read_file(argv[3], &size);
    ask_the_machine(argv[2], model);
    run_windows(model, rows);
    uint64_t before = 0;
    EXPECT(tickfuse_flush_denormals_begin(&before) == TICKFUSE_OK);
    run_windows(model, rows);
    tickfuse_flush_denormals_end(before);
    push_rows(model, rows, size / sizeof(float) / tickfuse_model_n_features(model));
    free(rows);
    tickfuse_model_free(model);
    return 0;
}
