// One file of a program of several, each compiled its own way: HALF names its function. The first, HALF 0, calls them.
#include "tickfuse.hpp"

#include <cstdio>
#include <vector>

#define JOINED(name, number) name##number
#define NAMED(name, number) JOINED(name, number)

// Rows that a new stream of the model waits for; 0 if there is no model.
std::size_t NAMED(half, HALF)(const char *path);
std::size_t half0(const char *path);
std::size_t half1(const char *path);
std::size_t half2(const char *path);

std::size_t NAMED(half, HALF)(const char *path) {
    const auto model = tickfuse::Model::try_open(path);
    if (!model) {
        return 0;
    }
    auto stream = tickfuse::Stream::try_new(*model);
    const std::vector<float> row(model->n_features());
    std::vector<float> out(model->n_outputs());
    const tickfuse::Step step = stream->push(row, out);
    return step.is_warming_up() ? stream->remaining() : 0;
}

#if HALF == 0
int main(int argc, char **argv) {
    const char *path = argc == 2 ? argv[1] : "";
    std::printf("%zu %zu %zu\n", half0(path), half1(path), half2(path));
    return 0;
}
#endif
