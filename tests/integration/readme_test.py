"""Every command of README.md's fenced blocks is run, and its pandas snippet, as they stand there.

The demo is the repository's, with fewer trials. R is not among the packages that the build installs: with
BITQUAKE_TEST_R=1 its snippet runs too.
"""

import os
import re
import shutil
import signal
import subprocess
import unittest

import bitquake

README = (bitquake.SOURCE / "README.md").read_text()

# Commands that stand for what else runs them, each by its first words.
ELSEWHERE = {
    "bash deploy/quickstart.sh": "builds, then runs the demo, as a block below does",
    "bash tests/run.sh": "runs this test",
    "tar xzf bitquake-": "bundle_test.py unpacks the bundle",
    "bitquake-0.1.0-linux-x86_64/bin/bitquake run": "bundle_test.py runs it",
}


def blocks(language):
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", README)


class Readme(bitquake.Case):
    @classmethod
    def setUpClass(cls):
        """A folder as a clone is, with a run in it that the other blocks read."""
        cls.clone = bitquake.Case("setUp")
        cls.clone.setUp()
        cls.addClassCleanup(cls.clone.doCleanups)
        cls.place = cls.clone.folder / "clone"
        shutil.copytree(bitquake.DEMO, cls.place / "deploy" / "demo")
        for file in ("campaign.yaml",):
            path = cls.place / "deploy" / "demo" / file
            text, replaced = re.subn(r"(?m)^trials: 10\b", "trials: 2", path.read_text())
            assert replaced == 1
            path.write_text(text)
        cls.clone.environment["PATH"] = f"{bitquake.BIN}:{os.environ['PATH']}"

    def run_block(self, block):
        """Runs it line by line in bash, to the first that fails; ends what it leaves running."""
        environment = dict(self.clone.environment)
        if "bitquake-server" in block:  # not on the port that everybody's coordinator has
            environment["BITQUAKE_SERVER"] = f"unix:{self.place}/server.sock"
        script = re.sub(r"bitquake-server --db bitquake.db", "\\g<0> --listen $BITQUAKE_SERVER", block)
        log = open(self.folder / "log", "w+b")
        self.addCleanup(log.close)
        shell = subprocess.Popen(["bash", "-e", "-u", "-o", "pipefail", "-c",
                                  # What is started behind may need a moment before it answers.
                                  f"bitquake() {{ until [ ! -v waits ] || command bitquake list >/dev/null 2>&1; do :; done; "
                                  f"unset waits; command bitquake \"$@\"; }}\n"
                                  + ("waits=1\n" if "bitquake-server" in block else "") + script],
                                 cwd=self.place, env=environment, stdout=log, stderr=subprocess.STDOUT,
                                 start_new_session=True)
        try:
            code = shell.wait(bitquake.PATIENCE)
        finally:
            try:
                os.killpg(shell.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        log.seek(0)
        text = log.read().decode()
        self.assertEqual(code, 0, f"{block}\n{text}")
        return text

    def test_commands_run(self):
        """In the order of the README: what one writes the next may read."""
        ran = 0
        for block in blocks("sh"):
            lines = [line for line in block.splitlines()
                     if not any(line.startswith(start) for start in ELSEWHERE)]
            if lines:
                self.run_block("\n".join(lines))
                ran += len(lines)
        self.assertGreater(ran, 10)
        for left in ("runs/first/cells.csv", "cells.csv", "faults.csv", "results-of-demo/cells.csv"):
            self.assertTrue((self.place / left).exists(), left)
        self.snippets()

    def snippets(self):
        """Those that read the run of the commands."""
        [pandas] = blocks("python")
        # Debian's interpreter, which has Debian's pandas.
        done = subprocess.run(["/usr/bin/python3", "-W", "error", "-c", pandas], cwd=self.place,
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for figure in ("top1_mean", "loss_mean", "blocks."):
            self.assertIn(figure, done.stdout)
        if os.environ.get("BITQUAKE_TEST_R"):
            [r] = blocks("r")
            done = subprocess.run(["Rscript", "-e", r], cwd=self.place, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("top1.mean", done.stdout)

    def test_every_command_and_option_that_is_named_exists(self):
        """Those in running text and tables: with what they name, nothing is there to do."""
        spans = re.findall(r"(?<!`)`((?:bitquake|build/release/bin/bitquake) [a-z][^`\n]*)`", README)
        self.assertGreater(len(spans), 5)
        known = self.call("help")[0]
        for span in spans:
            words = span.split()[1:]
            if words[0] == "COMMAND":
                continue
            self.assertIn(f"\n  {words[0]} ", known, span)
            text = self.call("help", words[0])[0]
            for option in re.findall(r"--[a-z-]+", span):
                self.assertIn(option, text, span)

    def test_quickstart_runs_the_demo(self):
        script = (bitquake.SOURCE / "deploy" / "quickstart.sh").read_text()
        self.assertIn("\nbuild/release/bin/bitquake run deploy/demo/campaign.yaml", script)
        subprocess.run(["bash", "-n", str(bitquake.SOURCE / "deploy" / "quickstart.sh")], check=True)


if __name__ == "__main__":
    unittest.main()
