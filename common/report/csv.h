// Comma-separated values as RFC 4180 has them, but with '\n' at each line's end.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace bitquake {

// The field as it stands in a file: in quotes if it holds a comma, a quote or a line end.
std::string CsvField(absl::string_view text);

// Appends a row.
void AppendCsvRow(const std::vector<std::string>& fields, std::string* out);

}  // namespace bitquake
