/* Opens a model file and answers one window of zeros. Build: see README. */
#include "tickfuse.h"
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    tickfuse_model *model = NULL;
    tickfuse_session *session = NULL;
    char why[512];
    if (argc != 2 || tickfuse_model_open(argv[1], NULL, &model) != TICKFUSE_OK) {
        tickfuse_last_error(why, sizeof why);
        return fprintf(stderr, "%s\n", why), 1;
    }
    size_t n = tickfuse_model_n_rows(model) * tickfuse_model_n_features(model);
    size_t n_out = tickfuse_model_n_outputs(model);
    float *window = calloc(n, sizeof *window), *out = calloc(n_out, sizeof *out);
    uint32_t flags = 0;
    int32_t status = tickfuse_session_new(model, 1, &session);
    if (status == TICKFUSE_OK)
        status = tickfuse_session_run(session, window, n, out, n_out, &flags);
    printf("%s: %f on %s\n", tickfuse_status_text(status), (double)out[0], tickfuse_model_level(model));
    tickfuse_session_free(session);
    tickfuse_model_free(model);
    free(window);
    free(out);
    return status != TICKFUSE_OK;
}
