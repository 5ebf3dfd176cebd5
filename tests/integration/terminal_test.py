"""What a person at a terminal sees: a progress line that is redrawn in place, Ctrl-C, a server that goes away."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import termios
import time
import unittest

import bitquake

FAILED = 1
QUIET = 60  # seconds after which a test says that it hangs; a progress line is redrawn each second
NAME = "a-campaign-with-a-long-name-for-a-narrow-terminal"


class Terminal:
    """A program on a terminal of its own; `text` is all that it wrote."""

    def __init__(self, command, environment, columns=80):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, environment)
        self.text = ""
        self.resize(columns)

    def resize(self, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def press(self, keys):
        os.write(self.master, keys)

    def read(self):
        """More of what it writes; False when it has ended."""
        if not select.select([self.master], [], [], QUIET)[0]:
            raise AssertionError(f"wrote nothing for {QUIET} s: {self.text!r}")
        try:
            piece = os.read(self.master, 65536)
        except OSError:  # the other end is closed
            piece = b""
        self.text += piece.decode()
        return bool(piece)

    def read_until(self, pattern):
        end = time.monotonic() + QUIET
        while not re.search(pattern, self.text):
            if not self.read() or time.monotonic() > end:
                raise AssertionError(f"no {pattern!r} in {self.text!r}")

    def wait(self):
        """Reads to the end; returns the exit code."""
        while self.read():
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.master)
        self.pid = None
        return os.waitstatus_to_exitcode(status)

    def end(self):
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def rows(self):
        """The screen's rows in the end, without what a terminal of any width would not keep."""
        rows = [""]
        for piece in re.split(r"(\r\n|\r|\x1b\[K)", re.sub(r"\x1b\[\d*m", "", self.text)):
            if piece == "\r\n":
                rows.append("")
            elif piece == "\r":
                cursor = 0
                rows[-1] = (rows[-1], cursor)
            elif piece == "\x1b[K":
                if isinstance(rows[-1], tuple):
                    rows[-1] = rows[-1][0][:rows[-1][1]]
            elif isinstance(rows[-1], tuple):
                old, cursor = rows[-1]
                rows[-1] = (old[:cursor] + piece + old[cursor + len(piece):], cursor + len(piece))
            else:
                rows[-1] += piece
        return [row[0] if isinstance(row, tuple) else row for row in rows]


class Case(bitquake.Case):
    def setUp(self):
        super().setUp()
        self.environment["TERM"] = "xterm-256color"
        self.environment.pop("NO_COLOR", None)

    def terminal(self, *arguments, columns=80):
        terminal = Terminal([str(bitquake.BIN / "bitquake"), *map(str, arguments)],
                            self.environment, columns)
        self.addCleanup(terminal.end)
        return terminal

    def campaign_file(self, **fields):
        return self.write("campaign.yaml", bitquake.campaign(**{
            "name": NAME, "images": {"first": 200}, "ber": [1e-3, 1e-2], "trials": 4, **fields}))


class ProgressLine(Case):
    def frames(self, text):
        """What was drawn over and over, each time from the row's start."""
        return [re.sub(r"\x1b\[\d*m", "", frame)
                for frame in re.findall(r"\r([^\r\n]*)\x1b\[K", text)]

    def test_is_redrawn_in_place_at_80_columns(self):
        run = self.terminal("run", self.campaign_file(), "--out", self.folder / "run")
        self.assertEqual(run.wait(), 0, run.text)
        frames = self.frames(run.text)
        self.assertGreater(len(frames), 2, run.text)
        for frame in frames:
            self.assertLess(len(frame), 80)
            self.assertNotIn("\x1b", frame)  # no other escape than colours
        counted = [frame for frame in frames if re.search(r"\d+/\d+ \d+%", frame)]
        self.assertTrue(any(re.search(r"\d+ worker", frame) for frame in counted), frames)
        self.assertRegex(frames[-1], r"a-campaig.* done  \d+/\d+ 100%")
        # On the screen one row is left of them all: the last.
        rows = [row for row in run.rows() if row.startswith("a-campaig")]
        self.assertEqual(len([row for row in rows if "100%" in row]), 1, rows)
        self.assertFalse([row for row in rows if re.search(r"[^0]%", row)], rows)

    def test_follows_the_terminals_width(self):
        socket = f"unix:{self.folder}/server.sock"
        self.serve("--db", self.folder / "a.db", "--listen", socket)
        file = self.campaign_file(models=["m"], dataset="d")
        campaign = self.call("submit", file, "--server", socket)[0].strip()
        watch = self.terminal("watch", campaign, "--server", socket, columns=80)
        watch.read_until(r"probing\S*\x1b\[K")
        before = len(watch.text)
        watch.resize(20)
        watch.read_until(r"\ra-campaig\.\.\.  pr\.\.\.\x1b\[K")
        for frame in self.frames(watch.text[before:])[1:]:
            self.assertLess(len(frame), 20)
        self.assertLess(len(self.frames(watch.text[before:])), 4)  # at once, not with the next second

    def test_has_no_colour_where_none_is_wanted(self):
        def colours():
            run = self.terminal("run", self.campaign_file(), "--out", self.folder / "run")
            self.assertEqual(run.wait(), 0, run.text)
            (self.folder / "run").rename(self.folder / f"run-{len(list(self.folder.iterdir()))}")
            return re.findall(r"\x1b\[\d*m", run.text)

        self.assertTrue(colours())
        self.environment["NO_COLOR"] = "1"
        self.assertFalse(colours())

    def test_a_pipe_gets_plain_lines(self):
        _, error = self.call("run", self.campaign_file(), "--out", self.folder / "run")
        self.assertNotRegex(error, r"[\r\x1b]")
        self.assertRegex(error, rf"(?m)^{NAME}: done (\d+)/\1 jobs")


class Interruption(Case):
    def test_run_says_how_to_go_on(self):
        run = self.terminal("run", self.campaign_file(trials=4000), "--out", self.folder / "run")
        run.read_until(r"\d+/\d+ \d+%")
        run.press(b"\x03")
        self.assertEqual(run.wait(), FAILED)
        self.assertIn("stopping: workers hand back what they hold", run.text)
        self.assertTrue(run.rows()[-2].endswith(
            f"interrupted; go on with: bitquake run --resume {self.folder}/run"), run.rows())

    def test_watch_says_that_the_campaign_goes_on(self):
        socket = f"unix:{self.folder}/server.sock"
        self.serve("--db", self.folder / "a.db", "--listen", socket)
        file = self.campaign_file(models=["m"], dataset="d")
        submit = self.terminal("submit", file, "--watch", "--server", socket)
        submit.read_until("probing")
        submit.press(b"\x03")
        self.assertEqual(submit.wait(), FAILED)
        campaign = json.loads(self.call("list", "--json", "--server", socket)[0])[0]
        self.assertEqual(campaign["state"], "probing")
        self.assertIn(f"interrupted; the campaign goes on; watch it again with: "
                      f"bitquake watch {campaign['id']} --server {socket}", submit.text)


class ServerAway(Case):
    def serve_again(self):
        return self.serve("--db", self.folder / "a.db", "--listen", self.socket)

    def setUp(self):
        super().setUp()
        self.socket = f"unix:{self.folder}/server.sock"
        self.server = self.serve_again()
        file = self.campaign_file(models=["m"], dataset="d")
        self.campaign = self.call("submit", file, "--server", self.socket)[0].strip()

    def kill_server(self):
        self.server.kill()
        self.server.wait()

    def test_is_waited_for_with_one_clear_line(self):
        watch = self.terminal("watch", self.campaign, "--server", self.socket)
        watch.read_until("probing")
        self.kill_server()
        watch.read_until(r"waiting for the server, 3s; Ctrl-C ends the wait")
        self.serve_again()
        watch.read_until(r"the server is back after \d+s")
        self.call("cancel", self.campaign, "--server", self.socket)
        self.assertEqual(watch.wait(), FAILED)
        rows = watch.rows()
        self.assertEqual(len([row for row in rows if "is away; waiting for it for up to 10 minutes" in row]), 1, rows)
        self.assertEqual(len([row for row in rows if "waiting for the server" in row]), 0, rows)
        self.assertEqual(len([row for row in rows if "is back after" in row]), 1, rows)
        self.assertIn("was cancelled", rows[-2])

    def test_is_told_in_a_pipe_too(self):
        watch = self.start("bitquake", "watch", self.campaign, "--server", self.socket)
        while "probing" not in self.output(watch):
            pass
        self.kill_server()
        while "is away" not in self.output(watch):
            pass
        self.serve_again()
        while "is back" not in self.output(watch):
            pass
        self.call("cancel", self.campaign, "--server", self.socket)
        text = self.finish(watch, FAILED)
        self.assertEqual(len(re.findall("away", text)), 1, text)
        self.assertNotIn("\x1b", text)


if __name__ == "__main__":
    unittest.main()
