// The commands as they are parsed, as plain values. Help, man page and shell completion are made of
// these, so that none of them can differ from what the program takes.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace bitquake {

// An option, or an argument by place.
struct OptionSpec {
  std::vector<std::string> names;  // "--out", "-o"; of an argument one, "FILE"
  std::string value;               // what it takes: "DIR"; empty for a flag
  std::string doc;
  std::string default_value;  // empty: none that could be stated
  std::string variable;       // the environment variable that gives it, too
  std::vector<std::string> choices;
  bool required = false;
  bool repeatable = false;
  bool connection = false;  // says how to reach a coordinator
};

struct CommandSpec {
  std::string name;
  std::string summary;
  std::string example;  // a whole command line
  std::vector<OptionSpec> arguments;
  std::vector<OptionSpec> options;
};

struct ProgramSpec {
  std::string name;
  std::string summary;
  std::vector<OptionSpec> options;
  std::vector<CommandSpec> commands;
};

// The group of the options that say how to reach a coordinator.
inline constexpr char kConnectionGroup[] = "Connection";

CommandSpec DescribeCommand(const CLI::App& command);
ProgramSpec DescribeProgram(const CLI::App& program);

// "--out DIR", "-o, --output FILE", "FILE".
std::string Signature(const OptionSpec& option);
// "bitquake run [OPTIONS] FILE"
std::string UsageLine(const CommandSpec& command);

}  // namespace bitquake
