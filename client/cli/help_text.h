// Help that fits a screen of 24 lines and 80 columns.
#pragma once

#include <string>

#include "client/cli/command_spec.h"

namespace bitquake {

inline constexpr size_t kHelpColumns = 80;

std::string HelpText(const ProgramSpec& program);
std::string HelpText(const CommandSpec& command);

// Lines of at most `width` columns, broken at spaces.
std::vector<std::string> WrapWords(const std::string& text, size_t width);

}  // namespace bitquake
