#include "client/cli/completion.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace bitquake {
namespace {

// What a value is, as far as a shell can complete it.
enum class Values { kNone, kChoices, kFiles, kFolders };

Values ValuesOf(const OptionSpec& option) {
  if (!option.choices.empty()) {
    return Values::kChoices;
  }
  if (option.value == "FILE" || option.value == "[FILE]") {
    return Values::kFiles;
  }
  const bool folder =
      option.value == "DIR" || option.value == "MODEL" || option.value == "CAMPAIGN";
  return folder ? Values::kFolders : Values::kNone;
}

// In single quotes of a shell.
std::string Quoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

std::string Names(const std::vector<OptionSpec>& options) {
  std::vector<std::string> names;
  for (const OptionSpec& option : options) {
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return absl::StrJoin(names, " ");
}

std::string CommandNames(const ProgramSpec& program) {
  return absl::StrJoin(program.commands, " ", [](std::string* out, const CommandSpec& command) {
    out->append(command.name);
  });
}

// The body of a case of bash: what may stand here.
std::string BashReply(const OptionSpec& option) {
  switch (ValuesOf(option)) {
    case Values::kChoices:
      return absl::StrCat("COMPREPLY=($(compgen -W '", absl::StrJoin(option.choices, " "),
                          "' -- \"$word\"))");
    case Values::kFiles:
      return "COMPREPLY=($(compgen -f -- \"$word\")); compopt -o filenames";
    case Values::kFolders:
      return "COMPREPLY=($(compgen -d -- \"$word\")); compopt -o filenames";
    case Values::kNone:
      break;
  }
  return "COMPREPLY=()";
}

std::string BashCommand(const CommandSpec& command) {
  std::string text = absl::StrCat("    ", command.name, ")\n      case $before in\n");
  for (const OptionSpec& option : command.options) {
    if (!option.value.empty()) {
      absl::StrAppend(&text, "        ", absl::StrJoin(option.names, "|"), ") ", BashReply(option),
                      "; return ;;\n");
    }
  }
  absl::StrAppend(&text, "      esac\n      if [[ $word == -* ]]; then\n",
                  "        COMPREPLY=($(compgen -W '", Names(command.options),
                  "' -- \"$word\"))\n      else\n        ",
                  command.arguments.empty() ? "COMPREPLY=()" : BashReply(command.arguments[0]),
                  "\n      fi ;;\n");
  return text;
}

// A text within [...] of zsh's _arguments.
std::string ZshText(const std::string& text) {
  return absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"[", "\\["}, {"]", "\\]"}, {":", "\\:"}});
}

std::string ZshAction(const OptionSpec& option) {
  switch (ValuesOf(option)) {
    case Values::kChoices:
      return absl::StrCat("(", absl::StrJoin(option.choices, " "), ")");
    case Values::kFiles:
      return "_files";
    case Values::kFolders:
      return "_files -/";
    case Values::kNone:
      break;
  }
  return " ";
}

std::string ZshCommand(const CommandSpec& command) {
  std::string text = absl::StrCat("    ", command.name, ")\n      _arguments");
  for (const OptionSpec& option : command.options) {
    for (const std::string& name : option.names) {
      std::string spec =
          absl::StrCat(option.repeatable ? "*" : "", name, "[", ZshText(option.doc), "]");
      if (!option.value.empty()) {
        absl::StrAppend(&spec, ":", option.value, ":", ZshAction(option));
      }
      absl::StrAppend(&text, " \\\n        ", Quoted(spec));
    }
  }
  for (const OptionSpec& argument : command.arguments) {
    absl::StrAppend(&text, " \\\n        ",
                    Quoted(absl::StrCat(":", argument.value, ":", ZshAction(argument))));
  }
  return absl::StrCat(text, " ;;\n");
}

// What fish's `complete` is told of a value, with -x (exclusive) or -r (files, too).
std::string FishValues(const OptionSpec& option) {
  switch (ValuesOf(option)) {
    case Values::kChoices:
      return absl::StrCat(" -xa ", Quoted(absl::StrJoin(option.choices, " ")));
    case Values::kFiles:
      return " -rF";
    case Values::kFolders:
      return " -xa '(__fish_complete_directories (commandline -ct))'";
    case Values::kNone:
      break;
  }
  return " -x";
}

std::string FishCommand(const CommandSpec& command) {
  const std::string when =
      absl::StrCat("complete -c bitquake -n ",
                   Quoted(absl::StrCat("__fish_seen_subcommand_from ", command.name)));
  std::string text;
  for (const OptionSpec& option : command.options) {
    absl::StrAppend(&text, when);
    for (const std::string& name : option.names) {
      absl::StrAppend(&text, name[1] == '-' ? " -l " + name.substr(2) : " -s " + name.substr(1));
    }
    absl::StrAppend(&text, option.value.empty() ? "" : FishValues(option), " -d ",
                    Quoted(option.doc), "\n");
  }
  if (!command.arguments.empty()) {
    const Values values = ValuesOf(command.arguments[0]);
    absl::StrAppend(&text, when,
                    values == Values::kFiles ? " -F" : FishValues(command.arguments[0]), "\n");
  }
  return text;
}

}  // namespace

std::string BashCompletion(const ProgramSpec& program) {
  std::string text = absl::StrCat(
      "# bash completion of bitquake; try it: source <(bitquake completion bash)\n"
      "# To keep it: bitquake completion bash > "
      "~/.local/share/bash-completion/completions/bitquake\n"
      "_bitquake() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
      "  COMPREPLY=()\n"
      "  if ((COMP_CWORD == 1)); then\n"
      "    COMPREPLY=($(compgen -W '",
      CommandNames(program), " ", Names(program.options),
      "' -- \"$word\"))\n    return\n  fi\n  case ${COMP_WORDS[1]} in\n");
  for (const CommandSpec& command : program.commands) {
    absl::StrAppend(&text, BashCommand(command));
  }
  return absl::StrCat(text, "  esac\n}\ncomplete -F _bitquake bitquake\n");
}

std::string ZshCompletion(const ProgramSpec& program) {
  std::string text =
      "#compdef bitquake\n"
      "# zsh completion of bitquake; try it, after compinit: source <(bitquake completion zsh)\n"
      "# To keep it, as _bitquake in a folder of $fpath: bitquake completion zsh > "
      "FOLDER/_bitquake\n"
      "_bitquake() {\n"
      "  local -a subcommands=(\n";
  for (const CommandSpec& command : program.commands) {
    absl::StrAppend(&text, "    ",
                    Quoted(absl::StrCat(command.name, ":", ZshText(command.summary))), "\n");
  }
  absl::StrAppend(&text,
                  "  )\n"
                  "  if ((CURRENT == 2)); then\n"
                  "    if [[ $words[2] == -* ]]; then\n"
                  "      compadd -- ",
                  Names(program.options),
                  "\n    else\n      _describe command subcommands\n    fi\n    return\n  fi\n"
                  "  local command=$words[2]\n"
                  "  shift words\n"
                  "  ((CURRENT--))\n"
                  "  case $command in\n");
  for (const CommandSpec& command : program.commands) {
    absl::StrAppend(&text, ZshCommand(command));
  }
  return absl::StrCat(text,
                      "  esac\n}\n"
                      "if [[ $funcstack[1] == _bitquake ]]; then\n  _bitquake \"$@\"\nelse\n"
                      "  compdef _bitquake bitquake\nfi\n");
}

std::string FishCompletion(const ProgramSpec& program) {
  std::string text =
      "# fish completion of bitquake; try it: bitquake completion fish | source\n"
      "# To keep it: bitquake completion fish > ~/.config/fish/completions/bitquake.fish\n"
      "complete -c bitquake -f\n";
  for (const CommandSpec& command : program.commands) {
    absl::StrAppend(&text, "complete -c bitquake -n __fish_use_subcommand -a ", command.name,
                    " -d ", Quoted(command.summary), "\n");
  }
  for (const CommandSpec& command : program.commands) {
    absl::StrAppend(&text, FishCommand(command));
  }
  return text;
}

}  // namespace bitquake
