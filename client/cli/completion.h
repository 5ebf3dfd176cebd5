// Completion scripts for shells: commands, options, their choices, files and folders.
#pragma once

#include <string>

#include "client/cli/command_spec.h"

namespace bitquake {

// To be sourced, or put where the shell looks: its head says where.
std::string BashCompletion(const ProgramSpec& program);
std::string ZshCompletion(const ProgramSpec& program);
std::string FishCompletion(const ProgramSpec& program);

}  // namespace bitquake
