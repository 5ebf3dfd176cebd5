// Files that are part of the program: the plotting library, and the page's own script and style.
#pragma once

#include "absl/strings/string_view.h"

namespace bitquake {

absl::string_view PlotlyScript();   // plotly.min.js, with its licence at the top
absl::string_view PlotlyLicence();  // its text
absl::string_view PageScript();     // ours, as one
absl::string_view PageStyle();

}  // namespace bitquake
