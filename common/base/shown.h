// What others wrote, in a line that people read.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace bitquake {

// Escaped, so that no control character reaches a terminal or a log, and cut to a readable length.
// UTF-8 text stays as it is.
std::string Shown(absl::string_view text);

// Control characters (C0, DEL, C1) as '?': a terminal must not obey what others wrote, nor a log
// have lines of theirs.
std::string Printable(absl::string_view text);
// The same, but with the lines that it has.
std::string PrintableLines(absl::string_view text);

}  // namespace bitquake
