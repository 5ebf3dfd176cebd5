#include "common/report/csv.h"

#include <charconv>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/report/results.h"

namespace bitquake {

std::string CsvField(absl::string_view text) {
  if (text.find_first_of(",\"\r\n") == absl::string_view::npos) {
    return std::string(text);
  }
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

void AppendCsvRow(const std::vector<std::string>& fields, std::string* out) {
  for (size_t i = 0; i < fields.size(); ++i) {
    absl::StrAppend(out, i > 0 ? "," : "", CsvField(fields[i]));
  }
  out->push_back('\n');
}

std::string FormatNumber(double value) {
  if (std::isnan(value)) {
    return "";
  }
  constexpr double kExact =
      9007199254740992.0;  // 2^53: up to here every whole double is one integer
  if (value == std::floor(value) && std::fabs(value) <= kExact) {
    return absl::StrCat(static_cast<int64_t>(value));
  }
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof(text), value);
  return std::string(text, end);
}

}  // namespace bitquake
