#include "client/cli/help_text.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace bitquake {
namespace {

constexpr size_t kIndent = 2;

// Two columns, the second wrapped.
class Columns {
 public:
  explicit Columns(size_t left) : left_(left) {}

  // With default and environment variable, where they cost no line of their own: the man page has
  // them all.
  void Add(const OptionSpec& option) {
    std::string doc = option.doc;
    for (const std::string& more :
         {option.default_value.empty() ? "" : absl::StrCat(" (", option.default_value, ")"),
          option.variable.empty() ? "" : absl::StrCat(" [", option.variable, "]")}) {
      const bool fits = Wrap(doc + more).size() == Wrap(doc).size();
      absl::StrAppend(&doc, fits ? more : "");
    }
    Add(Signature(option), doc);
  }

  void Add(const std::string& left, const std::string& right) {
    const std::vector<std::string> lines = Wrap(right);
    std::string line = std::string(kIndent, ' ') + left;
    for (size_t i = 0; i < std::max<size_t>(lines.size(), 1); ++i) {
      line.resize(std::max(line.size() + (i == 0 ? kIndent : 0), kIndent + left_ + kIndent), ' ');
      absl::StrAppend(&text_, line, i < lines.size() ? lines[i] : "", "\n");
      line.clear();
    }
  }

  const std::string& text() const { return text_; }

 private:
  std::vector<std::string> Wrap(const std::string& text) const {
    return WrapWords(text, kHelpColumns - 1 - kIndent - left_ - kIndent);
  }

  const size_t left_;
  std::string text_;
};

// What reaches a coordinator is alike in all commands; the man page explains it.
std::string OtherConnectionOptions(const CommandSpec& command) {
  std::vector<std::string> signatures;
  for (const OptionSpec& option : command.options) {
    if (option.connection && option.names[0] != "--server") {
      signatures.push_back(Signature(option));
    }
  }
  return absl::StrJoin(signatures, ", ");
}

}  // namespace

std::vector<std::string> WrapWords(const std::string& text, size_t width) {
  std::vector<std::string> lines;
  for (const absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    if (lines.empty() || lines.back().size() + 1 + word.size() > width) {
      lines.emplace_back(word);
    } else {
      absl::StrAppend(&lines.back(), " ", word);
    }
  }
  return lines;
}

std::string HelpText(const ProgramSpec& program) {
  size_t left = 0;
  for (const CommandSpec& command : program.commands) {
    left = std::max(left, command.name.size());
  }
  Columns columns(left);
  for (const CommandSpec& command : program.commands) {
    columns.Add(command.name, command.summary);
  }
  return absl::StrCat(
      program.summary, "\n", columns.text(),
      "`bitquake COMMAND --help` says more; `bitquake help --man | man -l -` all.\n");
}

std::string HelpText(const CommandSpec& command) {
  size_t left = 0;
  const auto measure = [&left](const OptionSpec& option) {
    left = std::max(left, Signature(option).size());
  };
  std::for_each(command.arguments.begin(), command.arguments.end(), measure);
  for (const OptionSpec& option : command.options) {
    if (!option.connection || option.names[0] == "--server") {
      measure(option);
    }
  }
  Columns columns(left);
  for (const OptionSpec& argument : command.arguments) {
    columns.Add(argument);
  }
  for (const OptionSpec& option : command.options) {
    if (!option.connection || option.names[0] == "--server") {
      columns.Add(option);
    }
  }
  std::string text =
      absl::StrCat("Usage: ", UsageLine(command), "\n", command.summary, "\n", columns.text());
  if (const std::string others = OtherConnectionOptions(command); !others.empty()) {
    for (const std::string& line :
         WrapWords(absl::StrCat("Security (see the man page): ", others), kHelpColumns - 1)) {
      absl::StrAppend(&text, line, "\n");
    }
  }
  return absl::StrCat(text, "Example: ", command.example, "\n");
}

}  // namespace bitquake
