// router_settings.hpp - the command line of router.cpp, which documents it.
#ifndef TICKFUSE_EXAMPLES_ROUTER_SETTINGS_HPP
#define TICKFUSE_EXAMPLES_ROUTER_SETTINGS_HPP

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

struct Settings {
    std::string models;
    std::vector<std::string> files;
    std::string alias = "best";
    std::string orders;
    std::string output;
    std::string category;
    double bars_per_second = 0.0;
    double long_above = 0.55;
    double short_below = 0.45;
    std::size_t n_peeks = 0;
    std::size_t n_rounds = 1;
    std::size_t n_kept = 0;
    std::uint32_t n_missing = 0;
    int cpu = -1;
};

// A wrong command line.
struct Usage : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline double number(const std::string &option, const std::string &text, double least, double most) {
    char *end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !(value >= least && value <= most)) {
        throw Usage(option + ": expected a number from " + std::to_string(least) + " to " + std::to_string(most)
                    + ", found " + text);
    }
    return value;
}

inline void set(Settings &settings, const std::string &option, const std::string &value) {
    const auto count = [&](double least) { return static_cast<std::size_t>(number(option, value, least, 1e9)); };
    if (option == "--alias") {
        settings.alias = value;
    } else if (option == "--orders") {
        settings.orders = value;
    } else if (option == "--output") {
        settings.output = value;
    } else if (option == "--category") {
        settings.category = value;
    } else if (option == "--speed") {
        settings.bars_per_second = number(option, value, 0.0, 1e9);
    } else if (option == "--long") {
        settings.long_above = number(option, value, 0.0, 1.0);
    } else if (option == "--short") {
        settings.short_below = number(option, value, 0.0, 1.0);
    } else if (option == "--peeks") {
        settings.n_peeks = count(0.0);
    } else if (option == "--rounds") {
        settings.n_rounds = count(1.0);
    } else if (option == "--keep") {
        settings.n_kept = count(0.0);
    } else if (option == "--missing") {
        settings.n_missing = static_cast<std::uint32_t>(count(0.0));
    } else if (option == "--cpu") {
        settings.cpu = static_cast<int>(number(option, value, 0.0, 4095.0));
    } else {
        throw Usage("no option " + option);
    }
}

inline Settings settings_of(int argc, char **argv) {
    Settings settings;
    int i = 1;
    for (; i < argc && std::strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (i + 1 == argc) {
            throw Usage(std::string(argv[i]) + ": expected a value behind it");
        }
        set(settings, argv[i], argv[i + 1]);
    }
    if (argc - i < 2) {
        throw Usage("expected MODELS and a file of bars");
    }
    settings.models = argv[i];
    settings.files.assign(argv + i + 1, argv + argc);
    return settings;
}

#endif
