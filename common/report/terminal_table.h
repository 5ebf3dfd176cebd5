// Text for a terminal.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace bitquake {

// Columns aligned, two spaces between them: the first `text_columns` to the left, the rest, which
// are numbers, to the right. All rows have as many fields as the first, the heading.
std::string Aligned(const std::vector<std::vector<std::string>>& rows, size_t text_columns);

// Two decimals; "-" for NaN.
std::string Fixed(double value);
// "[0.50, 1.20]"; "-" if an end is NaN.
std::string FixedInterval(double low, double high);

}  // namespace bitquake
