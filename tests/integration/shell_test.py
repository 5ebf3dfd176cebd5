"""Help that fits a screen, man page, completion in bash, zsh and fish: all made of the commands as they are parsed."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import unittest

import bitquake

USAGE = 2
SCREEN = (24, 80)


class Case(bitquake.Case):
    def commands(self):
        lines = self.call("help")[0].splitlines()
        names = [match.group(1) for match in (re.match(r"  ([a-z-]+)  ", line) for line in lines) if match]
        self.assertIn("run", names)
        return names

    def options(self, command):
        """As its help names them."""
        return set(re.findall(r"(?m)^  (?:-\w, )?(--[a-z-]+)", self.call("help", command)[0]))


class Help(Case):
    def test_fits_a_screen_and_has_an_example(self):
        rows, columns = SCREEN
        for command in [None, *self.commands()]:
            with self.subTest(command):
                text = self.call(*(["help", command] if command else ["help"]))[0]
                lines = text.splitlines()
                self.assertLess(len(lines), rows, text)  # the prompt comes below
                self.assertLess(max(map(len, lines)), columns, text)
                flag = self.call(*([command] if command else []), "--help")[0]
                self.assertEqual(flag.strip(), text.strip())
                if command:
                    self.assertRegex(lines[-1], f"^Example: .*bitquake {command}")

    def test_examples_are_parsed(self):
        """With options that the commands have: of what they name, nothing is there."""
        for command in self.commands():
            example = self.call("help", command)[0].splitlines()[-1].removeprefix("Example: ")
            words = re.split(r" [|>] ", example.removeprefix("source <(").rstrip(")"))[0].split()[1:]
            if command in ("doctor", "fetch-help", "completion", "help", "schema", "version"):
                continue  # run as they stand, or below
            done = subprocess.run([str(bitquake.BIN / "bitquake"), *words], capture_output=True, text=True,
                                  env=dict(self.environment, BITQUAKE_SERVER="unix:/nowhere"), cwd=self.folder)
            self.assertNotEqual(done.returncode, 0, example)
            self.assertNotIn("--help`", done.stderr, example)

    def test_json_is_one_document(self):
        socket = f"unix:{self.folder}/server.sock"
        self.serve("--db", self.folder / "a.db", "--listen", socket)
        self.environment["BITQUAKE_SERVER"] = socket
        file = self.write("campaign.yaml", bitquake.campaign(models=["m"], dataset="d"))
        campaign = json.loads(self.call("submit", file, "--json")[0])["id"]
        for command in (["validate", file], ["schema"], ["list"], ["show", campaign], ["pause", campaign],
                        ["resume", campaign], ["workers"], ["version"], ["results", campaign],
                        ["results", campaign, "--trials"], ["results", campaign, "--thresholds"],
                        ["inspect", bitquake.MODEL], ["doctor"]):
            with self.subTest(command):
                json.loads(self.call(*command, "--json")[0])
        self.call("cancel", campaign, "--json")
        lines = self.call("watch", campaign, "--json", code=1)[0].splitlines()
        self.assertEqual(json.loads(lines[-1])["state"], "cancelled")


class Output(Case):
    """What is printed and does not arrive is an error."""

    def lost(self, *command, **options):
        done = subprocess.run([str(bitquake.BIN / "bitquake"), *map(str, command)], stderr=subprocess.PIPE, text=True,
                              env=self.environment, **options)
        self.assertEqual(done.returncode, 1, done.stderr)
        last = done.stderr.splitlines()[-1]
        self.assertRegex(last, "^bitquake: stdout: .*; what was printed is incomplete$")
        return last

    def test_to_a_full_disk(self):
        for command in (["version"], ["--version"], ["help"], ["schema"], ["help", "--man"],
                        ["inspect", bitquake.MODEL, "--json"]):
            with self.subTest(command), open("/dev/full", "w") as full:
                self.assertIn("No space left on device", self.lost(*command, stdout=full))

    def test_to_a_closed_stdout(self):
        self.assertIn("Bad file descriptor", self.lost("schema", preexec_fn=lambda: os.close(1)))
        # No file is printed into instead.
        file = self.write("campaign.yaml", bitquake.campaign())
        self.lost("validate", file, preexec_fn=lambda: os.close(1))
        self.assertEqual(file.read_text(), bitquake.campaign())

    def test_results_of_a_run(self):
        file = self.write("campaign.yaml", bitquake.campaign(images={"first": 20}))
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as nobody:
            self.assertIn("Broken pipe", self.lost("run", file, "--out", self.folder / "run", stdout=nobody))
        for command in (["results", self.folder / "run", "--format", "csv"],
                        ["replay", self.folder / "run", 0, 0, "--print"]):
            with self.subTest(command), open("/dev/full", "w") as full:
                done = subprocess.run([str(bitquake.BIN / "bitquake"), *map(str, command)], stdout=full,
                                      stderr=subprocess.PIPE, text=True, env=self.environment)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("stdout: No space left on device; free some space; what was printed is incomplete", done.stderr)


class ManPage(Case):
    def test_is_clean_and_complete(self):
        page = self.write("bitquake.1", self.call("help", "--man")[0])
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True)
        # A date would be that of the build, which then is another each time.
        self.assertEqual([line for line in lint.stdout.splitlines() if "missing date" not in line], [])
        text = subprocess.run(["mandoc", "-T", "ascii", str(page)], capture_output=True, text=True, check=True).stdout
        text = re.sub(".\b", "", text)
        for command in self.commands():
            self.assertIn(f"bitquake {command}", text)
            for option in self.options(command) - {"--help"}:
                self.assertIn(option, text)

    def test_is_what_the_build_made(self):
        built = bitquake.BIN.parent / "share" / "man" / "bitquake.1"
        self.assertEqual(built.read_text(), self.call("help", "--man")[0])


class Bash(Case):
    def complete(self, *words):
        """What bash offers for the last of the words."""
        script = ('source <(bitquake completion bash)\nCOMP_WORDS=(bitquake "$@")\nCOMP_CWORD=$#\n'
                  '_bitquake 2>/dev/null\nprintf "%s\\n" "${COMPREPLY[@]}"\n')
        environment = dict(self.environment, PATH=f"{bitquake.BIN}:{os.environ['PATH']}")
        done = subprocess.run(["bash", "--norc", "-c", script, "bash", *words], capture_output=True, text=True,
                              env=environment, cwd=self.folder, check=True)
        self.assertEqual(done.stderr, "")
        return set(done.stdout.split())

    def test_commands_options_choices_and_files(self):
        self.assertLessEqual(set(self.commands()), self.complete(""))
        self.assertEqual(self.complete("resu"), {"resume", "results"})
        for command in self.commands():
            self.assertLessEqual(self.options(command), self.complete(command, "--"))
        self.assertEqual(self.complete("results", "--format", ""), {"table", "csv", "json"})
        self.assertEqual(self.complete("completion", ""), {"bash", "zsh", "fish"})
        self.assertEqual(self.complete("help", "re"), {"resume", "results", "replay"} & set(self.commands()) |
                         {name for name in self.commands() if name.startswith("re")})
        self.write("campaign.yaml", "")
        (self.folder / "runs").mkdir()
        self.assertEqual(self.complete("validate", "ca"), {"campaign.yaml"})
        self.assertEqual(self.complete("run", "--resume", ""), {"runs"})


class Fish(Case):
    def complete(self, line):
        environment = dict(self.environment, PATH=f"{bitquake.BIN}:{os.environ['PATH']}", HOME=str(self.folder))
        done = subprocess.run(["fish", "--no-config", "-c", "bitquake completion fish | source; complete -C $argv[1]",
                               line], capture_output=True, text=True, env=environment, cwd=self.folder, check=True)
        self.assertEqual(done.stderr, "")
        return {offer.split("\t")[0] for offer in done.stdout.splitlines()}

    def test_commands_options_choices_and_files(self):
        self.assertEqual(self.complete("bitquake "), set(self.commands()))
        for command in ("run", "protect", "results"):
            self.assertLessEqual(self.options(command), self.complete(f"bitquake {command} --"))
        self.assertEqual(self.complete("bitquake results --format "), {"table", "csv", "json"})
        self.write("campaign.yaml", "")
        (self.folder / "runs").mkdir()
        self.assertIn("campaign.yaml", self.complete("bitquake validate ca"))
        self.assertEqual(self.complete("bitquake run --resume "), {"runs/"})


class Zsh(Case):
    def complete(self, line):
        """What an interactive zsh shows for a line and two tabs, on a terminal of its own."""
        environment = dict(self.environment, PATH=f"{bitquake.BIN}:{os.environ['PATH']}", HOME=str(self.folder),
                           TERM="dumb", PS1="ready> ")
        pid, master = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execvpe("zsh", ["zsh", "-f", "-i"], environment)
        try:
            def until(mark):
                text = ""
                while not re.search(mark, text, re.DOTALL):
                    if not select.select([master], [], [], 60)[0]:
                        raise AssertionError(f"no {mark!r} in {text!r}")
                    text += os.read(master, 65536).decode()
                return text

            os.write(master, b"autoload -Uz compinit; compinit -u; LISTMAX=1000; setopt autolist; "
                             b"bindkey '^I' complete-word; source <(bitquake completion zsh); echo so''urced\n")
            until("sourced\r\n.*ready> ")
            # What is typed behind the tabs is shown when zsh has written all of its offers.
            os.write(master, line.encode() + b"\t\tQQ")
            return until("QQ")
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(master)

    def test_commands_options_and_choices(self):
        self.assertIn("bitquake validate", self.complete("bitquake vali"))
        offers = self.complete("bitquake run --")
        for option in self.options("run"):
            self.assertIn(option, offers)
        for choice in ("table", "csv", "json"):
            self.assertIn(choice, self.complete("bitquake results --format "))


if __name__ == "__main__":
    unittest.main()
