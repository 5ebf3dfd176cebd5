// What is wrong with a command line, in one line that says what to do.
#pragma once

#include <string>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace bitquake {

// `program` is what was parsed when `error` was thrown.
std::string UsageError(const CLI::App& program, const CLI::ParseError& error);

}  // namespace bitquake
