#include "client/cli/command_spec.h"

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace bitquake {
namespace {

// What CLI11 calls a type, "TEXT:{table,csv,json}": its name, and its choices if it has some.
void ReadType(const std::string& type, OptionSpec* option) {
  option->value = type.substr(0, type.find(':'));
  const size_t open = type.find('{');
  const size_t close = type.find('}');
  if (open != std::string::npos && close != std::string::npos && open < close) {
    option->choices = absl::StrSplit(type.substr(open + 1, close - open - 1), ',');
  }
}

OptionSpec DescribeOption(const CLI::Option& from) {
  OptionSpec option;
  for (const std::string& name : from.get_snames()) {
    option.names.push_back("-" + name);
  }
  for (const std::string& name : from.get_lnames()) {
    option.names.push_back("--" + name);
  }
  if (from.get_type_size() != 0) {
    ReadType(from.get_type_name(), &option);
  }
  if (from.get_positional()) {
    option.names = {from.get_name(true, false)};
    option.value = option.names[0];
  }
  option.doc = from.get_description();
  // Empty lists and texts are no defaults that help anybody.
  const std::string given = from.get_default_str();
  option.default_value = given == "[]" || given == "\"\"" ? "" : given;
  option.variable = from.get_envname();
  option.required = from.get_required();
  option.repeatable = from.get_expected_max() == CLI::detail::expected_max_vector_size;
  option.connection = from.get_group() == kConnectionGroup;
  return option;
}

void AddOptions(const CLI::App& app, std::vector<OptionSpec>* arguments,
                std::vector<OptionSpec>* options) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) {
      arguments->push_back(DescribeOption(*option));
    } else if (!option->get_group().empty() && option != app.get_help_ptr()) {
      options->push_back(DescribeOption(*option));
    }
  }
  // Groups of options are commands without a name.
  for (const CLI::App* group :
       app.get_subcommands([](const CLI::App* sub) { return sub->get_name().empty(); })) {
    AddOptions(*group, arguments, options);
  }
}

}  // namespace

CommandSpec DescribeCommand(const CLI::App& command) {
  CommandSpec spec;
  spec.name = command.get_name();
  spec.summary = command.get_description();
  spec.example = std::string(absl::StripPrefix(command.get_footer(), "Example: "));
  AddOptions(command, &spec.arguments, &spec.options);
  if (const CLI::Option* help = command.get_help_ptr(); help != nullptr) {
    spec.options.push_back(DescribeOption(*help));
  }
  return spec;
}

ProgramSpec DescribeProgram(const CLI::App& program) {
  ProgramSpec spec;
  spec.name = "bitquake";
  spec.summary = program.get_description();
  std::vector<OptionSpec> none;
  AddOptions(program, &none, &spec.options);
  if (const CLI::Option* help = program.get_help_ptr(); help != nullptr) {
    spec.options.push_back(DescribeOption(*help));
  }
  for (const CLI::App* command :
       program.get_subcommands([](const CLI::App* sub) { return !sub->get_name().empty(); })) {
    spec.commands.push_back(DescribeCommand(*command));
  }
  for (CommandSpec& command : spec.commands) {
    for (OptionSpec& argument : command.arguments) {
      if (argument.value == "COMMAND") {
        for (const CommandSpec& other : spec.commands) {
          argument.choices.push_back(other.name);
        }
      }
    }
  }
  return spec;
}

std::string Signature(const OptionSpec& option) {
  const std::string names = absl::StrJoin(option.names, ", ");
  const bool argument = option.names.size() == 1 && option.names[0] == option.value;
  return argument || option.value.empty() ? names : absl::StrCat(names, " ", option.value);
}

std::string UsageLine(const CommandSpec& command) {
  std::string usage = absl::StrCat("bitquake ", command.name, " [OPTIONS]");
  for (const OptionSpec& option : command.options) {
    if (option.required) {
      absl::StrAppend(&usage, " ", Signature(option));
    }
  }
  for (const OptionSpec& argument : command.arguments) {
    absl::StrAppend(&usage, argument.required ? " " : " [", argument.value,
                    argument.required ? "" : "]");
  }
  return usage;
}

}  // namespace bitquake
