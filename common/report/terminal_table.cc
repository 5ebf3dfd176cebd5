#include "common/report/terminal_table.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace bitquake {
namespace {

// On a terminal: characters, of which UTF-8's continuation bytes are none.
size_t Width(absl::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

}  // namespace

std::string Aligned(const std::vector<std::vector<std::string>>& rows, size_t text_columns) {
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const std::vector<std::string>& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], Width(row[i]));
    }
  }
  std::string out;
  for (const std::vector<std::string>& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - Width(row[i]), ' ');
      const bool numeric = i >= text_columns;
      absl::StrAppend(&line, i > 0 ? "  " : "", numeric ? padding : "", row[i],
                      numeric ? "" : padding);
    }
    absl::StripTrailingAsciiWhitespace(&line);
    absl::StrAppend(&out, line, "\n");
  }
  return out;
}

std::string Fixed(double value) { return std::isnan(value) ? "-" : absl::StrFormat("%.2f", value); }

std::string FixedInterval(double low, double high) {
  return std::isnan(low) || std::isnan(high) ? "-" : absl::StrFormat("[%.2f, %.2f]", low, high);
}

}  // namespace bitquake
