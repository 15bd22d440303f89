/*
 * A C11 program that pushes a hundred thousand rows between two lines on standard error, to be watched from outside:
 *
 *     strace -f -o calls quiet MODEL
 *     sed -n '/begin/,/end/p' calls      the two lines, and every system call between them
 *
 * Rows go in by push, peek and fast call, and what comes next is prepared. Built with -DWATCHED_HEAP (heap.h), it ends
 * where one of these calls allocates, frees or locks.
 */
#include "common.h"
#include "heap.h"

#include <unistd.h>

enum { N_PUSHES = 100000 };

static void say(const char *line) {
    EXPECT(write(STDERR_FILENO, line, strlen(line)) == (ssize_t)strlen(line));
}

int main(int argc, char **argv) {
    tickfuse_model *model = NULL;
    tickfuse_stream *stream = NULL;
    tickfuse_fast *fast = NULL;
    EXPECT(argc == 2);
    EXPECT(tickfuse_model_open(argv[1], NULL, &model) == TICKFUSE_OK);
    EXPECT(tickfuse_stream_new(model, &stream) == TICKFUSE_OK);
    EXPECT(tickfuse_fast_of_stream(stream, TICKFUSE_FAST_PUSH, &fast) == TICKFUSE_OK);
    size_t width = tickfuse_model_n_features(model);
    size_t n_out = tickfuse_model_n_outputs(model);
    float *row = room(width, sizeof *row);
    float *out = room(n_out, sizeof *out);
    tickfuse_step step = TICKFUSE_STEP_INIT;
    size_t n_answers = 0;
    int all_are_fine = 1;
    say("begin\n");
    is_hot = 1;
    for (size_t i = 0; i < N_PUSHES; i++) {
        for (size_t j = 0; j < width; j++) {
            row[j] = (float)((i * 7 + j * 5) % 11) - 5.0F;
        }
        all_are_fine &= tickfuse_stream_peek(stream, row, width, out, n_out, &step) == TICKFUSE_OK;
        if (i % 2 == 0) {
            all_are_fine &= tickfuse_stream_push(stream, row, width, out, n_out, &step) == TICKFUSE_OK;
            n_answers += step.kind == TICKFUSE_STEP_ANSWER;
        } else {
            tickfuse_status status = tickfuse_fast_call(fast, row, out);
            all_are_fine &= status == TICKFUSE_OK || status == TICKFUSE_WARMING_UP;
            n_answers += status == TICKFUSE_OK;
        }
        all_are_fine &= tickfuse_stream_prepare(stream) == TICKFUSE_OK;
    }
    is_hot = 0;
    say("end\n");
    EXPECT(all_are_fine);
    printf("%zu answers of %d rows\n", n_answers, N_PUSHES);
    tickfuse_fast_free(fast);
    tickfuse_stream_free(stream);
    tickfuse_model_free(model);
    free(row);
    free(out);
    return 0;
}
