// A C++17 program that shares one model between threads and prints each thread's answers.
//
//     consumer MODEL WINDOWS N_WINDOWS
//
// WINDOWS holds N_WINDOWS windows of raw 32-bit floats. Answers are printed as the hexadecimal digits of their bits.
#include "tickfuse.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

static_assert(std::is_standard_layout_v<tickfuse_open_options> && std::is_trivial_v<tickfuse_open_options>);
static_assert(noexcept(tickfuse_abi_version()));

namespace {

struct Free {
    void operator()(tickfuse_model *model) const noexcept { tickfuse_model_free(model); }
    void operator()(tickfuse_session *session) const noexcept { tickfuse_session_free(session); }
};
using Model = std::unique_ptr<tickfuse_model, Free>;
using Session = std::unique_ptr<tickfuse_session, Free>;

void check(tickfuse_status status) {
    if (status == TICKFUSE_OK) {
        return;
    }
    std::string text(tickfuse_last_error(nullptr, 0), '\0');
    tickfuse_last_error(text.data(), text.size());
    throw std::runtime_error(std::string(tickfuse_status_text(status)) + ": " + text);
}

std::vector<char> read_file(const char *path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Model open(const std::vector<char> &bytes) {
    tickfuse_model *model = nullptr;
    check(tickfuse_model_open_memory(bytes.data(), bytes.size(), nullptr, &model));
    return Model(model);
}

Session session(const tickfuse_model *model) {
    tickfuse_session *made = nullptr;
    check(tickfuse_session_new(model, 1, &made));
    return Session(made);
}

// The answers of all windows, one by one.
std::vector<float> answers(const tickfuse_model *model, const std::vector<float> &windows) {
    const std::size_t n_values = tickfuse_model_n_rows(model) * tickfuse_model_n_features(model);
    const std::size_t n_outputs = tickfuse_model_n_outputs(model);
    const Session own = session(model);
    std::vector<float> out(windows.size() / n_values * n_outputs);
    for (std::size_t i = 0; i < windows.size() / n_values; i++) {
        std::uint32_t flags = 0;
        check(tickfuse_session_run(own.get(), windows.data() + i * n_values, n_values, out.data() + i * n_outputs,
                                   n_outputs, &flags));
    }
    return out;
}

void print(const std::vector<float> &out) {
    std::printf("thread");
    for (const float value : out) {
        std::uint32_t bits = 0;
        std::memcpy(&bits, &value, sizeof bits);
        std::printf(" %08x", static_cast<unsigned>(bits));
    }
    std::printf("\n");
}

void run(const char *model_path, const char *windows_path, std::size_t n) {
    const Model model = open(read_file(model_path));
    const std::vector<char> bytes = read_file(windows_path);
    std::vector<float> windows(bytes.size() / sizeof(float));
    std::memcpy(windows.data(), bytes.data(), windows.size() * sizeof(float));
    if (windows.size() != n * tickfuse_model_n_rows(model.get()) * tickfuse_model_n_features(model.get())) {
        throw std::runtime_error("unexpected number of values");
    }
    std::vector<std::vector<float>> found(4);
    std::vector<std::thread> threads;
    for (auto &own : found) {
        threads.emplace_back([&] { own = answers(model.get(), windows); });
    }
    for (auto &thread : threads) {
        thread.join();
    }
    for (const auto &own : found) {
        print(own);
    }
}

} // namespace

int main(int argc, char **argv) {
    try {
        if (argc != 4) {
            throw std::runtime_error("expected MODEL WINDOWS N_WINDOWS");
        }
        run(argv[1], argv[2], std::strtoul(argv[3], nullptr, 10));
        return 0;
    } catch (const std::exception &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
