"""The coordinator under 1, 10, 100 and 1,000 workers: jobs/s, latencies, memory, restart.

    python3 tests/bench/scale/scale.py                    # a table; two minutes
    python3 tests/bench/scale/scale.py --check            # exit code 1 if a limit is missed
    python3 tests/bench/scale/scale.py --workers 1000 --seconds 0   # all 1,000,000 jobs

Real gRPC, the real server and its database on disk; only the workers are fake: they lease by long
poll, renew, stream outcomes and wait for acknowledgements, but compute nothing (fake_workers.cc).
Server and load share the machine's cores. For each number of workers a server with a new database
gets one campaign of --jobs jobs. All workers start at once; `start` is the time until the last of
them had its first trials. Latencies: `lease` from asking to having jobs, of a worker that has had
trials before; `report` from sending a trial's outcome to the acknowledgement of its commit. Without --rate,
workers report as fast as they can, and outcomes queue at the coordinator: the rate is then what it
can bear, and report latencies are those of its queue. Restart: the server is killed (SIGKILL) with
the campaign under way, and started again until it serves. Not a test; scale_test.py is a short one.
"""

import argparse
import contextlib
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[3]
DEMO = SOURCE / "deploy" / "demo"
MODEL = DEMO / "models" / "vit_tiny_patch4_28.fashion_mnist"
FOLDS = 10
RATES = 20

# With 1,000 workers and 1,000,000 jobs, on two cores.
LIMITS = {
    "jobs_per_second": (">=", 2000),
    "lease_p99_ms": ("<", 100),
    "submit_s": ("<", 2),
    "rss_mb": ("<", 500),
    "restart_s": ("<", 5),
}


def campaign(jobs):
    """Of as many jobs as are asked for, or a few more: each tensor and block at each rate."""
    cells = 44 * RATES  # of the demo's model, in one format
    return {"name": "scale", "models": [MODEL.name], "dataset": "data", "formats": ["int8"],
            "granularities": ["tensor", "block"], "folds": FOLDS, "images": "all",
            "ber": {"from": 1e-8, "to": 1e-8 * 10 ** ((RATES - 1) / 4), "per_decade": 4},
            "trials": math.ceil(jobs / (cells * FOLDS))}


class Server:
    """A coordinator with a database of its own."""

    def __init__(self, programs, folder, flags=()):
        self.programs, self.folder, self.flags = programs, folder, flags
        self.database = folder / "scale.db"
        self.process = None

    def start(self):
        """Returns the seconds until it served."""
        reader, writer = os.pipe()
        begin = time.monotonic()
        with os.fdopen(reader) as ready:
            self.process = subprocess.Popen(
                [self.programs / "bitquake-server", "--db", self.database, "--listen",
                 "127.0.0.1:0", "--log", self.folder / "server.log", "--ready-fd", str(writer),
                 *self.flags], pass_fds=[writer])
            os.close(writer)
            line = ready.readline()
        if not line:
            sys.exit("scale: the server did not start:\n" +
                     (self.folder / "server.log").read_text())
        self.address = f"127.0.0.1:{int(line)}"
        return time.monotonic() - begin

    def end(self, number):
        self.process.send_signal(number)
        self.process.wait()

    def peak_memory_mb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, *arguments):
        done = subprocess.run([self.programs / "bitquake", *arguments, "--json", "--server",
                               self.address], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"scale: bitquake {' '.join(map(str, arguments))}: {done.stderr}")
        return json.loads(done.stdout)


def measure(programs, workers, jobs, rate, seconds, server_flags=()):
    """The figures of one campaign."""
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bitquake-")))
        server = Server(programs, folder, server_flags)
        server.start()
        stack.callback(lambda: server.process.poll() is None and server.end(signal.SIGKILL))
        file = folder / "campaign.json"
        file.write_text(json.dumps(campaign(jobs)))
        begin = time.monotonic()
        name = server.ask("submit", file)["id"]
        submit = time.monotonic() - begin
        load = subprocess.run(
            [programs / "fake_workers", "--server", server.address, "--model", MODEL, "--workers",
             str(workers), "--rate", str(rate), "--seconds", str(seconds), "--outcomes",
             str(jobs)], capture_output=True, text=True)
        if not load.stdout:
            sys.exit(f"scale: fake_workers: {load.stderr}")
        figures = json.loads(load.stdout)
        figures["server_cpu_s"] = server.cpu_seconds()
        begin = time.monotonic()
        state = server.ask("show", name)
        figures["show_s"] = time.monotonic() - begin
        figures["rss_mb"] = server.peak_memory_mb()
        figures["submit_s"] = submit
        figures["jobs_total"] = state["jobs_total"]
        server.end(signal.SIGKILL)
        figures["database_mb"] = sum(f.stat().st_size for f in folder.glob("scale.db*")) / 2**20
        figures["restart_s"] = server.start()
        # What was acknowledged was committed; more may have been on its way.
        after = server.ask("show", name)
        if after["jobs_done"] < figures["outcomes"]:
            figures["error"] = (f"{figures['outcomes']} outcomes were acknowledged; after a kill "
                                f"the server knows {after['jobs_done']}")
        server.end(signal.SIGTERM)
        return figures


COLUMNS = (("workers", "workers", "{:,.0f}"), ("start s", "start_s", "{:.2f}"),
           ("jobs/s", "jobs_per_second", "{:,.0f}"),
           ("lease p50 ms", "lease_p50_ms", "{:.1f}"), ("p99", "lease_p99_ms", "{:.1f}"),
           ("report p50 ms", "report_p50_ms", "{:.1f}"), ("p99", "report_p99_ms", "{:.1f}"),
           ("RSS MB", "rss_mb", "{:,.0f}"), ("database MB", "database_mb", "{:,.0f}"),
           ("submit s", "submit_s", "{:.3f}"), ("restart s", "restart_s", "{:.2f}"),
           ("jobs done", "outcomes", "{:,.0f}"), ("of", "jobs_total", "{:,.0f}"))


def row(figures):
    return "| " + " | ".join("" if figures[key] is None else form.format(figures[key])
                             for _, key, form in COLUMNS) + " |"


def missed(figures, limits):
    """A line for each limit that the figures miss."""
    lines = [figures["error"]] if figures["error"] else []
    for key, (sign, limit) in limits.items():
        value = figures[key]
        if value is None or not (value >= limit if sign == ">=" else value < limit):
            lines.append(f"{figures['workers']:,} workers: {key} is {value}, and should be "
                         f"{sign} {limit}")
    return lines


def parse(arguments=None):
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--bin", type=pathlib.Path,
                         default=os.environ.get("BITQUAKE_BIN_DIR", SOURCE / "build/release/bin"),
                         help="folder of the programs")
    options.add_argument("--workers", type=lambda text: [int(n) for n in text.split(",")],
                         default=[1, 10, 100, 1000], help="numbers of workers, with commas")
    options.add_argument("--jobs", type=int, default=1_000_000, help="of each campaign")
    options.add_argument("--rate", type=float, default=0,
                         help="jobs/s that all workers offer together; 0: as fast as they can")
    options.add_argument("--seconds", type=float, default=20,
                         help="of load for each number of workers; 0: until all jobs are done")
    options.add_argument("--check", action="store_true",
                         help="exit code 1 if the largest number of workers misses a limit")
    return options.parse_args(arguments)


def main():
    chosen = parse()
    print("| " + " | ".join(title for title, _, _ in COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS), flush=True)
    complaints = []
    for workers in chosen.workers:
        figures = measure(pathlib.Path(chosen.bin), workers, chosen.jobs, chosen.rate,
                          chosen.seconds)
        print(row(figures), flush=True)
        complaints += missed(figures, LIMITS if workers == max(chosen.workers) else {})
    for line in complaints if chosen.check else []:
        print("missed: " + line)
    sys.exit(1 if chosen.check and complaints else 0)


if __name__ == "__main__":
    main()
