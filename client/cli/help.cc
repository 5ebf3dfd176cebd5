// `help` and `completion`: both are made of the commands as they are parsed.
#include <CLI/CLI.hpp>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/command_spec.h"
#include "client/cli/completion.h"
#include "client/cli/help_text.h"
#include "client/cli/man_page.h"
#include "common/base/suggest.h"

namespace bitquake {
namespace {

absl::Status Help(const ProgramSpec& program, const std::string& name) {
  if (name.empty()) {
    std::cout << HelpText(program);
    return absl::OkStatus();
  }
  std::vector<std::string> names;
  for (const CommandSpec& command : program.commands) {
    if (command.name == name) {
      std::cout << HelpText(command);
      return absl::OkStatus();
    }
    names.push_back(command.name);
  }
  return absl::InvalidArgumentError(absl::StrCat("there is no command '", name, "'",
                                                 DidYouMean(name, names),
                                                 "; `bitquake --help` lists them"));
}

// CLI11 asks it for the help of a command and of the program.
class ScreenFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string, CLI::AppFormatMode) const override {
    return app->get_parent() == nullptr ? HelpText(DescribeProgram(*app))
                                        : HelpText(DescribeCommand(*app));
  }
};

}  // namespace

void AddHelp(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("help", "Print this, a command's help, or the man page");
  struct Flags {
    std::string name;
    bool man = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::Option* name = command->add_option("COMMAND", flags->name, "whose help to print");
  command->add_flag("--man", flags->man, "print the man page of all commands, for man(1)")
      ->excludes(name);
  command->footer("Example: bitquake help --man | man -l -");
  command->callback([flags, &app, &session] {
    const ProgramSpec program = DescribeProgram(app);
    if (flags->man) {
      std::cout << ManPage(program);
    } else {
      session.Finish(Help(program, flags->name));
    }
  });
}

void AddCompletion(CLI::App& app, Session&) {
  CLI::App* command = app.add_subcommand("completion", "Print a completion script for a shell");
  auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->footer("Example: source <(bitquake completion bash)");
  command->callback([shell, &app] {
    const ProgramSpec program = DescribeProgram(app);
    std::cout << (*shell == "bash"  ? BashCompletion(program)
                  : *shell == "zsh" ? ZshCompletion(program)
                                    : FishCompletion(program));
  });
}

void UseScreenHelp(CLI::App& app) { app.formatter(std::make_shared<ScreenFormatter>()); }

}  // namespace bitquake
