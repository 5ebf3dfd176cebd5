"""Workers and their coordinator die, freeze and come back; what that costs is what was promised."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import time
import unittest
import urllib.request

import bitquake
import slow_model

CAMPAIGN = dict(models=[bitquake.MODEL.name], dataset=bitquake.DATA.name, images={"first": 40},
                folds=1, trials=40, ber=[1e-5, 1e-3], formats=["int8"])


class WorkerFaults(bitquake.Case):
    def setUp(self):
        super().setUp()
        self.database = self.folder / "campaign.db"
        self.address = f"unix:{self.folder}/server.sock"
        self.environment["BITQUAKE_SERVER"] = self.address
        self.server = None

    def begin(self, *flags, database=None):
        self.server = self.serve("--db", database or self.database, "--listen", self.address,
                                 "--http", "127.0.0.1:0", *flags)

    def work(self, *flags, models=bitquake.MODEL.parent):
        return self.start("bitquake-worker", "--server", self.address, "--id", "w", "--http",
                          "127.0.0.1:0", "--model-root", models, "--data-root",
                          bitquake.DATA.parent, *flags)

    def submit(self, **fields):
        file = self.write("campaign.json", bitquake.campaign(**dict(CAMPAIGN, **fields)))
        return self.call("submit", file)[0].strip()

    def state(self, campaign):
        return json.loads(self.call("show", campaign, "--json")[0])

    def query(self, sql):
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro",
                                                uri=True)) as database:
            return database.execute(sql).fetchall()

    def metric(self, process, name):
        port = re.search(r"metrics on port (\d+)", self.output(process))[1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as reply:
            value = re.search(rf"^bitquake_{name} (\S+)$", reply.read().decode(), re.MULTILINE)
        return float(value[1])

    def until(self, what, condition):
        give_up = time.monotonic() + bitquake.PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), give_up, what)
            time.sleep(0.02)

    def finished(self, campaign):
        self.call("watch", campaign)
        state = self.state(campaign)
        self.assertEqual(state["state"], "done")
        self.assertEqual(state["jobs_done"], state["jobs_total"])
        return state

    def left_with_a_full_spool(self):
        """The coordinator was killed: the worker has done what it held, and nothing is acknowledged."""
        self.begin("--lease-work-seconds", "0.5")
        worker = self.work()
        campaign = self.submit()
        self.at_work(campaign, worker)
        self.kill()
        self.await_output(worker, r"coordinator: .*trying again")
        self.assertGreater(self.metric(worker, "spool_reports"), 0)
        return campaign, worker

    def at_work(self, campaign, worker):
        """Returns when the worker has just begun trials of a lease that is not its first."""
        self.await_jobs(self.address, 5)
        self.await_output(worker, r"jobs begin", after=len(self.output(worker)))

    def costs_nothing(self, campaign, worker):
        """What was computed was computed once, and nothing was given to anyone again."""
        state = self.finished(campaign)
        self.assertEqual(self.metric(worker, "images_total"), state["images_done"])
        self.assertNotIn("expired", self.output(self.server))
        self.assertEqual(self.metric(self.server, "duplicate_outcomes_total"), 0)

    def test_a_coordinator_that_is_killed_costs_nothing(self):
        campaign, worker = self.left_with_a_full_spool()
        self.begin("--lease-work-seconds", "0.5")
        self.costs_nothing(campaign, worker)

    def test_a_coordinator_that_is_stopped_costs_nothing(self):
        self.begin("--lease-seconds", "3", "--lease-work-seconds", "0.5")
        worker = self.work()
        campaign = self.submit()
        self.at_work(campaign, worker)
        self.stop()
        gone = time.monotonic()
        self.until("reports", lambda: self.metric(worker, "spool_reports") > 0)
        self.until("more than a lease's time", lambda: time.monotonic() > gone + 4)
        self.go_on()
        self.costs_nothing(campaign, worker)
        self.assertIn("leases have their whole time again", self.output(self.server))

    def stop(self):
        self.server.send_signal(signal.SIGSTOP)
        self.addCleanup(self.go_on, self.server)

    def go_on(self, server=None):
        with contextlib.suppress(ProcessLookupError):
            (server or self.server).send_signal(signal.SIGCONT)

    def kill(self):
        self.server.kill()
        self.server.wait()

    def test_a_killed_workers_spool_is_delivered_by_the_next(self):
        campaign, worker = self.left_with_a_full_spool()
        computed = self.metric(worker, "images_total")
        spooled = self.metric(worker, "spool_reports")
        worker.kill()
        worker.wait()

        # To another coordinator it delivers nothing.
        self.begin(database=self.folder / "another.db")
        stranger = self.work()
        refusal = self.finish(stranger, code=1)
        (identity,) = sqlite3.connect(self.database).execute("SELECT identity FROM store").fetchone()
        self.assertIn(f"for the database {identity}", refusal)
        self.assertIn("--spool", refusal)
        self.kill()

        self.begin("--lease-work-seconds", "0.5")
        second = self.work()
        self.await_output(second, r"spool: delivering \d+ reports")
        delivered = int(re.search(r"spool: delivering (\d+) reports", self.output(second))[1])
        self.assertEqual(delivered, spooled)
        state = self.finished(campaign)
        self.assertEqual(computed + self.metric(second, "images_total"), state["images_done"])
        self.assertEqual(self.metric(self.server, "duplicate_outcomes_total"), 0)
        self.assertEqual(self.query("SELECT count(*) FROM jobs"), [(0,)])

    def test_a_corrupt_record_is_named_and_its_job_done_again(self):
        campaign, worker = self.left_with_a_full_spool()
        computed = self.metric(worker, "images_total")
        worker.kill()
        worker.wait()
        reports = self.folder / "state/bitquake/worker/w/reports"
        content = bytearray(reports.read_bytes())
        content[content.rindex(b"BQRP", 0, content.rindex(b"BQRP")) + 40] ^= 1  # an outcome
        reports.write_bytes(content + b"BQRP torn")
        self.begin("--lease-work-seconds", "0.5")
        second = self.work()
        self.await_output(second, r"reports: \d+ bytes from \d+ on: its checksum fails; not sent")
        self.assertIn("a torn record; cut off", self.output(second))
        self.until("the metric", lambda: "metrics on port" in self.output(second))
        self.assertEqual(self.metric(second, "spool_corrupt_records_total"), 1)
        state = self.finished(campaign)
        self.assertEqual(computed + self.metric(second, "images_total"),
                         state["images_done"] + CAMPAIGN["images"]["first"])

    def test_sigterm_drains(self):
        self.begin("--lease-work-seconds", "1")
        worker = self.work()
        campaign = self.submit(trials=400)
        self.at_work(campaign, worker)
        worker.send_signal(signal.SIGTERM)
        output = self.finish(worker)
        self.assertIn("draining within 30s", output)
        self.assertNotIn("handing back", output)
        state = self.state(campaign)
        self.assertEqual(state["jobs_leased"], 0)
        # All that it computed has arrived: every job that had begun. (Golden jobs begin twice.)
        begun = {(lease, job): int(jobs) for lease, jobs, job in re.findall(
            r"lease (\d+): (\d+) jobs begin, from job (\d+)", output)}
        self.assertEqual(state["jobs_done"], sum(begun.values()))

    def test_a_second_sigterm_hands_back_now(self):
        self.begin()
        worker = self.work("--threads", "1")
        campaign = self.submit(trials=4000)
        self.await_output(worker, r"\d\d+ jobs begin")  # of seconds
        worker.send_signal(signal.SIGTERM)
        self.await_output(worker, "draining")
        worker.send_signal(signal.SIGTERM)
        output = self.finish(worker)
        self.assertIn("another signal: handing back", output)
        self.assertEqual(self.state(campaign)["jobs_leased"], 0)
        self.assertEqual(self.query("SELECT sum(losses) FROM jobs"), [(0,)])

    def test_sigterm_ends_in_its_time_though_the_coordinator_is_away(self):
        self.begin("--lease-work-seconds", "0.5")
        worker = self.work("--grace", "1")
        campaign = self.submit()
        self.at_work(campaign, worker)
        self.stop()
        asked = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        output = self.finish(worker)
        self.assertLess(time.monotonic() - asked, 5)
        self.assertIn("in the spool", output)
        self.go_on()
        self.work()
        self.finished(campaign)

    def test_a_job_that_brings_its_worker_down_is_poisoned_and_no_other(self):
        folder = self.folder / "run"
        file = self.write("campaign.json", bitquake.campaign(
            images={"first": 2000}, folds=1, trials=4, ber=[1e-3], formats=["int8"]))
        run = self.start("bitquake", "run", file, "--out", folder)
        log = folder / "worker-0.log"
        self.until("the log", log.exists)
        killer, seen, deaths = None, 0, 0
        while run.poll() is None:
            text = log.read_text()
            for begun in re.finditer(r"lease \d+: (\d+) jobs begin, from job (\d+)\n", text):
                if begun.start() < seen:
                    continue
                seen = begun.end()
                if killer is None and int(begun[1]) > 1:
                    killer = int(begun[2])  # the first of a lease of trials
                if killer == int(begun[2]):
                    (worker,) = bitquake.children(run.pid)["bitquake-worker"]
                    os.kill(worker, signal.SIGSEGV)
                    deaths += 1
            time.sleep(0.005)
        self.finish(run, code=4)
        with contextlib.closing(sqlite3.connect(next(folder.glob("*.db")))) as database:
            poisoned = database.execute("SELECT id, state, losses FROM jobs").fetchall()
            done = database.execute("SELECT count(*) FROM outcomes").fetchone()
        self.assertEqual(poisoned, [(killer, "poisoned", deaths)])
        self.assertEqual(done, (3,))

    def test_a_run_that_was_killed_goes_on_though_its_programs_still_end(self):
        folder = self.folder / "run"
        file = self.write("campaign.json", bitquake.campaign(**dict(
            CAMPAIGN, models=[str(bitquake.MODEL)], dataset=str(bitquake.DATA), trials=80)))
        run = self.start("bitquake", "run", file, "--out", folder, "--lease-work-seconds", "0.5")
        self.await_output(run, "run directory")
        self.await_jobs(f"unix:{folder}/server.sock", 5)
        # They become children of this process: those of init, in another session, are woken by the kernel.
        self.adopt(True)
        self.addCleanup(self.adopt, False)
        found = bitquake.children(run.pid)
        for program in ("bitquake-worker", "bitquake-server"):
            (pid,) = found[program]
            os.kill(pid, signal.SIGSTOP)
            self.addCleanup(self.go_on_pid, pid)
            self.until("it stands still", lambda pid=pid: pathlib.Path(
                f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T"))
        run.kill()
        run.wait()
        second = self.start("bitquake", "run", "--resume", folder)
        self.await_output(second, "waiting for the processes of the run before")
        self.go_on_pid(found["bitquake-server"][0])
        self.until("the new server", lambda: "bitquake-server" in bitquake.children(second.pid))
        self.until("its lock", lambda: self.answers(f"unix:{folder}/server.sock"))
        self.assertNotIn("bitquake-worker", bitquake.children(second.pid))  # the spool is still held
        self.go_on_pid(found["bitquake-worker"][0])
        output = self.finish(second)
        self.assertEqual(output.count("waiting for the processes"), 1)
        self.assertNotIn("starting it again", output)

    def adopt(self, orphans):
        """Whether processes whose parents end become this process's children."""
        set_child_subreaper = 36
        self.assertEqual(ctypes.CDLL(None).prctl(set_child_subreaper, int(orphans), 0, 0, 0), 0)

    def go_on_pid(self, pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def answers(self, address):
        return subprocess.run([bitquake.BIN / "bitquake", "list", "--server", address], capture_output=True,
                              env=self.environment).returncode == 0

    def test_cancel_stops_a_worker_within_a_chunk(self):
        slow_model.write(self.folder / "models/slow")
        self.begin("--max-lease-jobs", "1")
        worker = self.work("--threads", "1", models=self.folder / "models")
        campaign = self.submit(models=["slow"], formats=["fp32"], images={"first": 20}, trials=50)
        self.await_jobs(self.address, 3)  # probe, golden, a trial
        self.await_output(worker, "jobs begin", after=len(self.output(worker)))
        asked = time.monotonic()
        self.call("cancel", campaign)
        self.await_output(worker, r"lease \d+ is left")
        stopped = time.monotonic() - asked
        ((seconds, images),) = self.query("SELECT min(seconds), images FROM outcomes")
        ((chunk,),) = self.query("SELECT chunk FROM models")
        self.assertLess(stopped, 2 * seconds * chunk / images)
        print(f"cancelled: stopped after {stopped:.2f} s; a chunk takes "
              f"{seconds * chunk / images:.2f} s")


if __name__ == "__main__":
    unittest.main(verbosity=2)
