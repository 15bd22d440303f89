// bar_file.hpp - reads a CSV of one symbol's bars strictly: what is wrong is said with the file and the line.
//
// The first line names the columns, in any order: ts (open time in milliseconds since 1970, UTC), open, high, low,
// close, volume and, where the file says whose bars they are, symbol. Other columns are an error, and so is a bar that
// is not later than the one before.
#ifndef TICKFUSE_EXAMPLES_BAR_FILE_HPP
#define TICKFUSE_EXAMPLES_BAR_FILE_HPP

#include "tickfuse.hpp"

#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

struct Series {
    std::string symbol;
    std::vector<tickfuse::Bar> bars;
};

class BarFile {
  public:
    static Series read(const std::string &path) { return BarFile(path).all(); }

  private:
    enum Column { in_ts, in_open, in_high, in_low, in_close, in_volume, in_symbol, n_columns };
    static constexpr std::array<const char *, n_columns> names = {"ts",  "open",   "high",  "low",
                                                                  "close", "volume", "symbol"};

    explicit BarFile(const std::string &path) : path_(path), file_(path) {
        if (!file_) {
            throw std::runtime_error(path + ": " + std::strerror(errno));
        }
        if (!next_line()) {
            throw std::runtime_error(path + ": expected a line of column names, found an empty file");
        }
        places_.fill(absent);
        const std::vector<std::string> found = fields();
        n_fields_ = found.size();
        for (std::size_t place = 0; place < found.size(); place++) {
            places_[column_named(found[place])] = place;
        }
        for (std::size_t column = 0; column < in_symbol; column++) {
            if (places_[column] == absent) {
                wrong(std::string("expected a column ") + names[column] + ", found " + line_);
            }
        }
    }

    Series all() {
        Series series;
        series.symbol = name_of(path_);
        while (next_line()) {
            const std::vector<std::string> found = fields();
            if (found.size() != n_fields_) {
                wrong("expected " + std::to_string(n_fields_) + " fields, found " + std::to_string(found.size()));
            }
            take_symbol(found, series);
            series.bars.push_back(bar(found));
            const std::size_t n = series.bars.size();
            if (n > 1 && series.bars[n - 1].ts_ns <= series.bars[n - 2].ts_ns) {
                wrong("ts: expected a bar later than the one before, found " + found[places_[in_ts]]);
            }
        }
        if (series.bars.empty()) {
            throw std::runtime_error(path_ + ": expected bars, found none");
        }
        return series;
    }

    std::size_t column_named(const std::string &name) const {
        for (std::size_t column = 0; column < n_columns; column++) {
            if (name == names[column]) {
                if (places_[column] != absent) {
                    wrong("column " + name + " is there twice");
                }
                return column;
            }
        }
        wrong("column " + name + " is none of ts, symbol, open, high, low, close, volume");
    }

    void take_symbol(const std::vector<std::string> &found, Series &series) const {
        if (places_[in_symbol] == absent) {
            return;
        }
        const std::string &name = found[places_[in_symbol]];
        if (series.bars.empty()) {
            series.symbol = name;
        } else if (name != series.symbol) {
            wrong("symbol: expected " + series.symbol + " as in the lines before, found " + name);
        }
    }

    tickfuse::Bar bar(const std::vector<std::string> &found) const {
        const std::string &time = found[places_[in_ts]];
        char *end = nullptr;
        errno = 0;
        const long long ms = std::strtoll(time.c_str(), &end, 10);
        constexpr long long most_ms = INT64_MAX / 1000000;
        if (time.empty() || *end != '\0' || errno != 0 || ms > most_ms || ms < -most_ms) {
            wrong("ts: expected milliseconds since 1970, found " + time);
        }
        tickfuse::Bar bar{ms * 1000000,         number(found, in_open),  number(found, in_high),
                          number(found, in_low),   number(found, in_close), number(found, in_volume)};
        if (!(bar.low > 0.0 && bar.low <= bar.open && bar.low <= bar.close && bar.high >= bar.open
              && bar.high >= bar.close && bar.volume >= 0.0)) {
            wrong("expected 0 < low <= open, close <= high and volume >= 0");
        }
        return bar;
    }

    double number(const std::vector<std::string> &found, Column column) const {
        const std::string &text = found[places_[column]];
        char *end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        if (text.empty() || *end != '\0' || !std::isfinite(value)) {
            wrong(std::string(names[column]) + ": expected a number, found \"" + text + "\"");
        }
        return value;
    }

    bool next_line() {
        n_lines_++;
        if (!std::getline(file_, line_)) {
            return false;
        }
        if (!line_.empty() && line_.back() == '\r') {
            line_.pop_back();
        }
        return true;
    }

    std::vector<std::string> fields() const {
        std::vector<std::string> found(1);
        for (const char c : line_) {
            if (c == ',') {
                found.emplace_back();
            } else {
                found.back() += c;
            }
        }
        return found;
    }

    [[noreturn]] void wrong(const std::string &what) const {
        throw std::runtime_error(path_ + ":" + std::to_string(n_lines_) + ": " + what);
    }

    // "BTCUSDT" of "bars/BTCUSDT.typ.csv".
    static std::string name_of(const std::string &path) {
        const std::string file = path.substr(path.find_last_of('/') + 1);
        return file.substr(0, file.find('.'));
    }

    static constexpr std::size_t absent = SIZE_MAX;

    std::string path_;
    std::ifstream file_;
    std::string line_;
    std::size_t n_lines_ = 0;
    std::size_t n_fields_ = 0;
    std::array<std::size_t, n_columns> places_{};
};

#endif
