// bitquake(1), in man's macros.
#pragma once

#include <string>

#include "client/cli/command_spec.h"

namespace bitquake {

std::string ManPage(const ProgramSpec& program);

}  // namespace bitquake
