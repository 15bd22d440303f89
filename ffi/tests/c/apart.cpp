// A C++17 program in which one session is called by several threads at once, and a child goes on where its parent left off.
//
//     apart MODEL WINDOWS N_WINDOWS
//
// WINDOWS holds windows of raw 32-bit floats. Prints the answer to the first and what became of the others.
#include "tickfuse.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

std::vector<float> read_floats(const char *path) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
    return values;
}

bool is_same(const std::vector<float> &a, const std::vector<float> &b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<float> answer_of(tickfuse::Session &session, const std::vector<float> &window, std::size_t n_out) {
    std::vector<float> out(n_out);
    if (!session.run(window, out)) {
        throw std::runtime_error("a window was not answered");
    }
    return out;
}

struct Counts {
    std::atomic<std::size_t> right{0};
    std::atomic<std::size_t> busy{0};
    std::atomic<std::size_t> wrong{0};
};

// Every call is answered right or refused, whatever the others do; what is refused leaves its output alone.
void hammer(tickfuse_session *session, const std::vector<float> &window, const std::vector<float> &expected,
            std::atomic<bool> &begins, Counts &counts) {
    const std::vector<float> untouched(expected.size(), 42.5F);
    while (!begins.load()) {
        std::this_thread::yield();
    }
    for (int i = 0; i < 250; i++) {
        std::vector<float> out = untouched;
        std::uint32_t flags = 77;
        const tickfuse_status status =
            tickfuse_session_run(session, window.data(), window.size(), out.data(), out.size(), &flags);
        if (status == TICKFUSE_OK && is_same(out, expected)) {
            counts.right++;
        } else if (status == TICKFUSE_ERR_BUSY && is_same(out, untouched) && flags == 77) {
            counts.busy++;
        } else {
            counts.wrong++;
        }
    }
}

void from_threads(tickfuse::Session &session, const std::vector<float> &window, const std::vector<float> &expected) {
    Counts counts;
    std::atomic<bool> begins{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([&] { hammer(session.get(), window, expected, begins, counts); });
    }
    begins.store(true);
    for (auto &thread : threads) {
        thread.join();
    }
    std::printf("threads %zu of 1000, %zu wrong, %s\n", counts.right + counts.busy, counts.wrong.load(),
                counts.right > 0 ? "some right" : "none right");
}

// A child made by fork() uses what its parent opened, and the parent goes on undisturbed.
void from_a_child(const tickfuse::Model &model, tickfuse::Session &session, const std::vector<float> &window,
                  const std::vector<float> &expected) {
    const pid_t child = fork();
    if (child == 0) {
        tickfuse::Session own(model);
        const bool is_right = is_same(answer_of(session, window, expected.size()), expected)
                              && is_same(answer_of(own, window, expected.size()), expected);
        _exit(is_right ? 7 : 8);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child) {
        throw std::runtime_error("no child");
    }
    std::printf("child %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    std::printf("parent %s\n", is_same(answer_of(session, window, expected.size()), expected) ? "right" : "wrong");
}

void run(const char *model_path, const char *windows_path) {
    const tickfuse::Model model = tickfuse::Model::open(model_path);
    std::vector<float> window = read_floats(windows_path);
    window.resize(model.n_rows() * model.n_features());
    tickfuse::Session session(model);
    const std::vector<float> expected = answer_of(session, window, model.n_outputs());
    std::printf("answer");
    for (const float value : expected) {
        std::uint32_t bits = 0;
        std::memcpy(&bits, &value, sizeof bits);
        std::printf(" %08x", static_cast<unsigned>(bits));
    }
    std::printf("\n");
    from_threads(session, window, expected);
    std::fflush(stdout);
    from_a_child(model, session, window, expected);
}

} // namespace

int main(int argc, char **argv) {
    try {
        if (argc != 4) {
            throw std::runtime_error("expected MODEL WINDOWS N_WINDOWS");
        }
        run(argv[1], argv[2]);
        return 0;
    } catch (const std::exception &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
