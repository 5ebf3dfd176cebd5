"""Starts and watches Bitquake's programs for the integration tests. Every wait is for a condition."""

import json
import os
import pathlib
import re
import signal
import subprocess
import tarfile
import tempfile
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("BITQUAKE_BIN_DIR", SOURCE / "build" / "release" / "bin"))
DEMO = SOURCE / "deploy" / "demo"
MODEL = DEMO / "models" / "vit_tiny_patch4_28.fashion_mnist"
DATA = DEMO / "data" / "fashion-mnist"
PATIENCE = 300  # seconds after which a test says that it hangs


def campaign(**fields):
    """A campaign file's text; JSON is YAML."""
    base = {"name": "test", "models": [str(MODEL)], "dataset": str(DATA), "ber": [1e-3],
            "trials": 2, "images": {"first": 400}}
    base.update(fields)
    return json.dumps({key: value for key, value in base.items() if value is not None})


def write_data(folder, images):
    """A data set of the first images of the bundled one's first tar."""
    folder.mkdir()
    (first, *_) = sorted(DATA.glob("*.tar"))
    with tarfile.open(first) as shard, tarfile.open(folder / first.name, "w") as tar:
        for member in shard.getmembers()[:2 * images]:  # of each image, itself and its label
            tar.addfile(member, shard.extractfile(member))
    (folder / "_info.json").write_text(json.dumps({"splits": {"validation": {
        "name": "validation", "filenames": [first.name], "shard_lengths": [images],
        "num_samples": images}}}))
    return folder


def on_one_core():
    """For `preexec_fn`: what is started takes as long however many cores there are."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def children(pid):
    """The pids of a process's children, by program name."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            name = pathlib.Path(f"/proc/{child}/comm").read_text().strip()
            found.setdefault(name, []).append(int(child))
    return found


class Case(unittest.TestCase):
    """Has a temporary folder, and ends whatever a test leaves running."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="bitquake-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.environment = dict(os.environ, XDG_CACHE_HOME=str(self.folder / "cache"),
                                XDG_STATE_HOME=str(self.folder / "state"))
        self.environment.pop("BITQUAKE_SERVER", None)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def start(self, program, *arguments, **options):
        log = open(self.folder / f"{program}-{len(list(self.folder.iterdir()))}.out", "w+b")
        self.addCleanup(log.close)
        process = subprocess.Popen([str(BIN / program), *map(str, arguments)], stdout=log,
                                   stderr=subprocess.STDOUT, env=self.environment, **options)
        process.log = log
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def output(self, process):
        process.log.seek(0)
        return process.log.read().decode()

    def serve(self, *arguments):
        """Starts a server; returns when it serves. Its `port` is what it bound."""
        reader, writer = os.pipe()
        with os.fdopen(reader) as ready:
            try:
                server = self.start("bitquake-server", *arguments, "--ready-fd", writer,
                                    pass_fds=[writer])
            finally:
                os.close(writer)
            line = ready.readline()  # empty if it ended
        self.assertTrue(line.strip(), self.output(server))
        server.port = int(line)
        return server

    def await_output(self, process, pattern, after=0):
        """Waits for a line that a running program prints; returns the match."""
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            found = re.compile(pattern).search(self.output(process), after)
            if found:
                return found
            self.assertIsNone(process.poll(), self.output(process))
            time.sleep(0.005)
        self.fail(f"{pattern!r} does not come: {self.output(process)}")

    def finish(self, process, code=0):
        """Waits for the end and checks the exit code; returns what was printed."""
        process.wait(PATIENCE)
        self.assertEqual(process.returncode, code, self.output(process))
        return self.output(process)

    def call(self, *arguments, code=0, program="bitquake", patience=PATIENCE):
        """Runs a program to its end; returns (stdout, stderr)."""
        done = subprocess.run([str(BIN / program), *map(str, arguments)], capture_output=True,
                              text=True, env=self.environment, timeout=patience)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout, done.stderr

    def await_jobs(self, address, done):
        """Follows the only campaign of a server until `done` jobs are done; returns its state then.

        Asks again for as long as the server does not answer yet.
        """
        while True:
            listed = subprocess.run([str(BIN / "bitquake"), "list", "--json", "--server", address],
                                    capture_output=True, text=True, env=self.environment,
                                    timeout=PATIENCE)
            if listed.returncode == 0 and json.loads(listed.stdout):
                break
        name = json.loads(listed.stdout)[0]["id"]
        watch = subprocess.Popen([str(BIN / "bitquake"), "watch", name, "--json", "--server",
                                  address], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                 text=True, env=self.environment)
        try:
            for line in watch.stdout:
                state = json.loads(line)
                if state["jobs_done"] >= done or state["state"] in ("done", "failed"):
                    return state
        finally:
            watch.kill()
            watch.wait()
            watch.stdout.close()
        self.fail("the watch ended early")
