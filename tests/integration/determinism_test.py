"""The same campaign gives the same results, byte for byte: however many workers there are, however jobs are
leased, and whoever is killed in the middle.

BITQUAKE_SLOW_TESTS=1 shows each trial more images.
"""

import os
import select
import signal
import unittest

import bitquake

FOLDS = 3
# A fold is more than one chunk, and none a whole number of chunks.
IMAGES = FOLDS * (190 if os.environ.get("BITQUAKE_SLOW_TESTS") == "1" else 30)
CAMPAIGN = bitquake.campaign(
    seed=7,
    formats=["int8"],
    granularities=["model", {"block": {"blocks": [0, 7]}}, {"type": ["q"], "per": "model"},
                   {"head": {"blocks": [1]}}],
    ber=[1e-6, 1e-2],
    trials=2,
    images={"first": IMAGES},
    folds=FOLDS,
)
TRIALS = 8 * 2 * 2  # targets x rates x trials
JOBS = 1 + 2 * FOLDS + TRIALS * FOLDS  # the probe, golden in 2 formats, trials


class Determinism(bitquake.Case):
    reference = None  # of a run with one worker that nobody disturbs

    def setUp(self):
        super().setUp()
        if Determinism.reference is None:
            folder, run = self.begin("reference")
            self.finish(run)
            Determinism.reference = self.results(folder)

    def results(self, folder):
        trials = (folder / "trials.csv").read_bytes()
        return b"\n".join(sorted(trials.split(b"\n"))), (folder / "cells.csv").read_bytes()

    def begin(self, name, *flags, **options):
        folder = self.folder / name
        file = self.write("campaign.json", CAMPAIGN)
        return folder, self.start("bitquake", "run", file, "--out", folder, *flags, **options)

    def check(self, folder):
        results = self.results(folder)
        self.assertEqual(results[0].count(b"\n"), TRIALS + 1)
        self.assertEqual(results, Determinism.reference)

    def begin_slowly(self, name, *flags):
        """What is to be disturbed in the middle must not be at its end by then."""
        return self.begin(name, *flags, preexec_fn=bitquake.on_one_core)

    def run_and_check(self, name, *flags):
        folder, run = self.begin(name, *flags)
        self.finish(run)
        self.check(folder)
        return folder

    def address(self, folder):
        return f"unix:{folder}/server.sock"

    def test_a_once_more_then_resuming_a_finished_run(self):
        folder = self.run_and_check("again")
        self.call("run", "--resume", folder)
        self.check(folder)

    def test_b_three_workers(self):
        self.run_and_check("three", "--workers", "3")

    def test_c_leases_of_one_job(self):
        self.run_and_check("small", "--max-lease-jobs", "1", "--workers", "2")

    def test_d_leases_as_large_as_can_be(self):
        self.run_and_check("large", "--lease-work-seconds", "10000")

    def kill_in_the_middle(self, name, program, flags=()):
        folder, run = self.begin_slowly(name, *flags)
        for part in (0.2, 0.4):
            state = self.await_jobs(self.address(folder), int(JOBS * part))
            self.assertEqual(state["jobs_total"], JOBS)
            self.assertLess(state["jobs_done"], JOBS, "the campaign ended before the kill")
            os.kill(bitquake.children(run.pid)[program][0], signal.SIGKILL)
        printed = self.finish(run)
        self.assertIn("signal 9; starting it again", printed)
        self.check(folder)

    def test_e_server_killed_in_the_middle(self):
        self.kill_in_the_middle("server", "bitquake-server", ("--max-lease-jobs", "4"))

    def test_f_worker_killed_in_the_middle(self):
        self.kill_in_the_middle("worker", "bitquake-worker",
                                ("--workers", "2", "--max-lease-jobs", "4"))

    def test_g_client_killed_then_resumed(self):
        folder, run = self.begin_slowly("client", "--max-lease-jobs", "4")
        self.await_jobs(self.address(folder), JOBS // 3)
        family = bitquake.children(run.pid)
        run.kill()
        run.wait()
        for pids in family.values():
            for pid in pids:  # they end by themselves when their parent is gone
                try:
                    descriptor = os.pidfd_open(pid)
                except ProcessLookupError:
                    continue
                with os.fdopen(descriptor):
                    ready = select.select([descriptor], [], [], bitquake.PATIENCE)[0]
                    self.assertTrue(ready, f"process {pid} outlived its parent")
        self.call("run", "--resume", folder)
        self.check(folder)

    def test_h_interrupted_by_the_user_then_resumed(self):
        folder, run = self.begin_slowly("interrupt", "--max-lease-jobs", "4")
        self.await_jobs(self.address(folder), JOBS // 3)
        run.send_signal(signal.SIGINT)
        printed = self.finish(run, code=1)
        self.assertIn(f"bitquake run --resume {folder}", printed)
        self.call("run", "--resume", folder)
        self.check(folder)

    def test_i_paused_interrupted_and_resumed_under_a_name_like_an_address(self):
        folder, run = self.begin_slowly("50%25 #1?x=y", "--max-lease-jobs", "4")
        link = self.folder / "plain"
        link.symlink_to(folder, target_is_directory=True)
        state = self.await_jobs(self.address(link), JOBS // 4)
        self.call("pause", state["id"], "--server", self.address(link))
        run.send_signal(signal.SIGINT)
        self.finish(run, code=1)
        self.call("run", "--resume", folder)
        self.check(folder)


if __name__ == "__main__":
    unittest.main(verbosity=2)
