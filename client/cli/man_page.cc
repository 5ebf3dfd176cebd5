#include "client/cli/man_page.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/base/build_info.h"

namespace bitquake {
namespace {

// As text: no requests, no escapes, hyphens that can be copied.
std::string Escaped(const std::string& text) {
  std::string escaped = absl::StrReplaceAll(text, {{"\\", "\\e"}, {"-", "\\-"}, {"\n", "\n.br\n"}});
  return escaped.empty() || (escaped[0] != '.' && escaped[0] != '\'') ? escaped : "\\&" + escaped;
}

std::string Option(const OptionSpec& option) {
  std::string text = absl::StrCat(".TP\n\\fB", Escaped(absl::StrJoin(option.names, ", ")), "\\fR");
  if (!option.value.empty() && option.names[0] != option.value) {
    absl::StrAppend(&text, " \\fI", Escaped(option.value), "\\fR");
  }
  absl::StrAppend(&text, "\n", Escaped(option.doc.empty() ? "See above." : option.doc));
  if (!option.choices.empty() && option.value != "COMMAND") {
    absl::StrAppend(&text, "; one of ", Escaped(absl::StrJoin(option.choices, ", ")));
  }
  if (!option.default_value.empty()) {
    absl::StrAppend(&text, ". Default: ", Escaped(option.default_value));
  }
  if (!option.variable.empty()) {
    absl::StrAppend(&text, ". Also by the environment variable ", Escaped(option.variable));
  }
  return absl::StrCat(text, ".\n");
}

std::string Command(const CommandSpec& command) {
  std::string text =
      absl::StrCat(".SS ", Escaped(UsageLine(command)), "\n", Escaped(command.summary), ".\n");
  for (const OptionSpec& argument : command.arguments) {
    absl::StrAppend(&text, Option(argument));
  }
  for (const OptionSpec& option : command.options) {
    if (!option.connection && option.names.back() != "--help") {
      absl::StrAppend(&text, Option(option));
    }
  }
  return absl::StrCat(text, ".PP\nExample:\n.PP\n.RS\n.EX\n", Escaped(command.example),
                      "\n.EE\n.RE\n");
}

// Those of the first command that has them: they are alike in all.
std::string Connection(const ProgramSpec& program) {
  for (const CommandSpec& command : program.commands) {
    std::string text;
    for (const OptionSpec& option : command.options) {
      absl::StrAppend(&text, option.connection ? Option(option) : "");
    }
    if (!text.empty()) {
      return absl::StrCat(".SH CONNECTION OPTIONS\nOf all commands that ask a coordinator.\n",
                          text);
    }
  }
  return "";
}

constexpr char kExitCodes[] = R"(.SH EXIT STATUS
.TP
\fB0\fR
Done.
.TP
\fB1\fR
Failed, or was interrupted.
.TP
\fB2\fR
Wrong usage, or an invalid campaign file.
.TP
\fB3\fR
The coordinator cannot be reached.
.TP
\fB4\fR
The campaign finished, but some jobs were set aside after repeated failures.
.SH ENVIRONMENT
.TP
\fBNO_COLOR\fR
If set and not empty, nothing is coloured.
)";

}  // namespace

std::string ManPage(const ProgramSpec& program) {
  std::string text = absl::StrCat(".TH BITQUAKE 1 \"\" \"bitquake ", kVersion,
                                  "\" \"Bitquake\"\n.SH NAME\nbitquake \\- measure what bit flips "
                                  "in stored weights do to a vision transformer\n.SH SYNOPSIS\n"
                                  ".B bitquake\n.I COMMAND\n[\\fIOPTIONS\\fR]\n.SH DESCRIPTION\n",
                                  Escaped(program.summary), "\n.SH COMMANDS\n");
  for (const CommandSpec& command : program.commands) {
    absl::StrAppend(&text, Command(command));
  }
  return absl::StrCat(text, Connection(program), kExitCodes);
}

}  // namespace bitquake
