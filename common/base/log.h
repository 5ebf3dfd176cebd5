// Logging for programs: one line an event, on stderr or in a file. Libraries log
// through spdlog's default logger; secrets are never logged.
#pragma once

#include <string>

namespace bitquake {

// Call once in main. `program` names the lines; an empty `file` means stderr only.
void StartLogging(const std::string& program, const std::string& file = "");

}  // namespace bitquake
