#include "client/cli/usage_error.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/cli/command_spec.h"
#include "common/base/suggest.h"

namespace bitquake {
namespace {

std::vector<std::string> OptionNames(const std::vector<OptionSpec>& options) {
  std::vector<std::string> names;
  for (const OptionSpec& option : options) {
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return names;
}

std::string UnknownOption(const std::string& word, const std::vector<OptionSpec>& options) {
  const std::string name = word.substr(0, word.find('='));
  return absl::StrCat("unknown option '", name, "'", DidYouMean(name, OptionNames(options)));
}

// Of words that belong to nothing, in CLI11's "... not expected: 2 --worker": the last is the first
// that was given. An option matters more than what may be its value.
std::string Unexpected(const std::string& said, const CommandSpec& command) {
  const std::vector<std::string> words = absl::StrSplit(said.substr(said.rfind(": ") + 2), ' ');
  std::string word = words.back();
  for (const std::string& other : words) {
    word = absl::StartsWith(other, "-") ? other : word;
  }
  if (absl::StartsWith(word, "-") && word.size() > 1) {
    return UnknownOption(word, command.options);
  }
  return absl::StrCat("'", word, "' is one argument too many; usage: ", UsageLine(command));
}

std::string AtTheStart(const ProgramSpec& program, const std::vector<std::string>& words) {
  if (words.empty()) {
    return "no command is given; to begin: bitquake run deploy/demo/campaign.yaml";
  }
  if (absl::StartsWith(words[0], "-")) {
    return UnknownOption(words[0], program.options);
  }
  std::vector<std::string> names;
  for (const CommandSpec& command : program.commands) {
    names.push_back(command.name);
  }
  return absl::StrCat("there is no command '", words[0], "'", DidYouMean(words[0], names));
}

const OptionSpec* Named(const CommandSpec& command, absl::string_view name) {
  for (const std::vector<OptionSpec>* list : {&command.arguments, &command.options}) {
    for (const OptionSpec& option : *list) {
      for (const std::string& known : option.names) {
        if (known == name) {
          return &option;
        }
      }
    }
  }
  return nullptr;
}

// CLI11 says "--format: tabel not in {table,csv,json}", "FILE is required", "--out: 1 required DIR
// missing", "Could not convert: --workers = many", "--resume excludes FILE".
std::string Explained(const CommandSpec& command, const CLI::ParseError& error) {
  const std::string kind = error.get_name();
  std::string what = error.what();
  constexpr absl::string_view kNotConverted = "Could not convert: ";
  const bool converting = absl::StartsWith(what, kNotConverted);
  const std::string said = converting ? what.substr(kNotConverted.size()) : what;
  const OptionSpec* option = Named(command, said.substr(0, said.find_first_of(": ")));
  if (option == nullptr) {
    return what;
  }
  const std::string signature = Signature(*option);
  const std::string rest = said.substr(std::min(said.find_first_of(": "), said.size()));
  absl::string_view value = rest;
  if (converting) {
    return absl::StrCat("'", absl::StripPrefix(rest, " = "), "' is no value for ", signature, ", ",
                        option->doc);
  }
  if (kind == "RequiredError") {
    return absl::StrCat(signature, " is missing: ", option->doc);
  }
  if (kind == "ArgumentMismatch") {
    return absl::StrCat(option->names.back(), " needs a value: ", signature, ", ", option->doc);
  }
  if (kind == "ExcludesError") {
    return absl::StrCat(what, "; give one of the two");
  }
  double number;
  if (absl::ConsumePrefix(&value, ": Value ") &&
      !absl::SimpleAtod(value.substr(0, value.find(' ')), &number)) {
    return absl::StrCat("'", value.substr(0, value.find(' ')), "' is no value for ", signature,
                        ", ", option->doc);
  }
  if (kind == "ValidationError" && absl::StrContains(rest, " not in {")) {
    const std::string given(absl::StripPrefix(rest.substr(0, rest.find(" not in ")), ": "));
    const std::string near = DidYouMean(given, option->choices);
    return absl::StrCat(option->names.back(), ": '", given, "' is not one of ",
                        absl::StrJoin(option->choices, ", "), near);
  }
  return what;
}

}  // namespace

std::string UsageError(const CLI::App& program, const CLI::ParseError& error) {
  const std::vector<CLI::App*> parsed = program.get_subcommands();
  const std::vector<std::string> left = program.remaining(/*recurse=*/true);
  if (parsed.empty()) {
    return absl::StrCat(AtTheStart(DescribeProgram(program), left),
                        "; `bitquake --help` lists all commands");
  }
  const CommandSpec command = DescribeCommand(*parsed.front());
  // Its get_name() is the command's, not "ExtrasError".
  const bool extra = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  return absl::StrCat(command.name, ": ",
                      extra ? Unexpected(error.what(), command) : Explained(command, error),
                      "; see `bitquake ", command.name, " --help`");
}

}  // namespace bitquake
