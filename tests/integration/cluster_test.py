"""A coordinator, a worker and clients that meet over TCP, as on a cluster."""

import contextlib
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import unittest
import urllib.error
import urllib.request

import bitquake

MODEL_ROOT = bitquake.MODEL.parent
DATA_ROOT = bitquake.DATA.parent
CAMPAIGN = bitquake.campaign(models=[bitquake.MODEL.name], dataset=bitquake.DATA.name,
                             granularities=["model", {"block": {"blocks": [2]}}], ber=[1e-5, 1e-2])


class Cluster(bitquake.Case):
    def setUp(self):
        super().setUp()
        self.database = self.folder / "campaign.db"
        self.server = None

    def begin(self, *flags):
        self.server = self.serve("--db", self.database, "--listen", "127.0.0.1:0", *flags)
        self.environment["BITQUAKE_SERVER"] = f"127.0.0.1:{self.server.port}"
        return self.server

    def work(self, *flags):
        return self.start("bitquake-worker", "--server", f"127.0.0.1:{self.server.port}",
                          "--model-root", MODEL_ROOT, "--data-root", DATA_ROOT, *flags)

    def submit(self, text=CAMPAIGN):
        out, _ = self.call("submit", self.write("campaign.json", text))
        return out.strip()

    def state(self, campaign):
        return json.loads(self.call("show", campaign, "--json")[0])

    def test_results_are_those_of_a_run(self):
        self.begin()
        worker = self.work("--id", "first")
        file = self.write("campaign.json", CAMPAIGN)
        self.call("submit", file, "--watch")
        out, _ = self.call("list", "--json")
        (listed,) = json.loads(out)
        self.assertEqual(listed["state"], "done")
        self.assertEqual(listed["jobs_done"], listed["jobs_total"])
        self.call("watch", listed["id"])  # of what has ended, ends
        cells, _ = self.call("results", listed["id"], "--format", "csv")
        trials, _ = self.call("results", listed["id"], "--format", "csv", "--trials")

        run = self.folder / "run"
        self.call("run", file, "--out", run, "--model-root", MODEL_ROOT, "--data-root", DATA_ROOT)
        self.assertEqual(cells, (run / "cells.csv").read_text())
        self.assertEqual(trials, (run / "trials.csv").read_text())

        (known,) = json.loads(self.call("workers", "--json")[0])
        self.assertEqual(known["id"], "first")
        for process in (worker, self.server):
            process.send_signal(signal.SIGTERM)
            self.finish(process, code=0)

    def test_pause_resume_cancel(self):
        self.begin("--max-lease-jobs", "1")
        campaign = self.submit(CAMPAIGN.replace('"trials": 2', '"trials": 2000, "folds": 1'))
        self.work()
        self.watch_until(campaign, lambda now: now["state"] == "running" and now["jobs_done"] > 4)
        self.call("pause", campaign)
        paused = self.watch_until(campaign, lambda now: now["jobs_leased"] == 0)
        self.assertEqual(paused["state"], "paused")
        # What was leased has ended; no more is handed out.
        self.assertEqual(self.state(campaign)["jobs_done"], paused["jobs_done"])
        self.call("resume", campaign)
        self.watch_until(campaign, lambda now: now["jobs_done"] > paused["jobs_done"])
        self.call("cancel", campaign)
        ended = self.state(campaign)
        self.assertEqual(ended["state"], "cancelled")
        _, error = self.call("resume", campaign, code=1)
        self.assertIn("has ended (cancelled)", error)
        # What was acknowledged can still be read.
        trials, _ = self.call("results", campaign, "--format", "csv", "--trials")
        self.assertGreater(trials.count("\n"), 1)
        # The worker goes on with the next campaign.
        self.watch_until(self.submit(), lambda now: now["state"] == "done")

    def test_pause_before_any_worker(self):
        self.begin()
        campaign = self.submit()
        self.call("pause", campaign)
        self.work()
        other = self.submit()
        self.watch_until(other, lambda now: now["state"] == "done")
        self.assertEqual(self.state(campaign)["state"], "paused")
        self.call("resume", campaign)
        self.watch_until(campaign, lambda now: now["state"] == "done")

    def test_a_campaign_that_no_worker_can_run_fails_and_says_why(self):
        self.begin()
        self.work()
        campaign = self.submit(bitquake.campaign(models=["vit_none"], dataset=bitquake.DATA.name))
        failed = self.watch_until(campaign, lambda now: now["state"] == "failed")
        self.assertIn("vit_none", failed["error"])
        self.call("watch", campaign, code=1)

    def test_two_submissions_are_two_campaigns(self):
        self.begin()
        first, second = self.submit(), self.submit()
        self.assertNotEqual(first, second)
        self.assertEqual(len(json.loads(self.call("list", "--json")[0])), 2)

    def test_the_server_is_killed_and_what_it_said_is_still_so(self):
        self.begin()
        campaign = self.submit()
        self.server.kill()
        self.server.wait()
        self.begin()
        self.assertEqual(self.state(campaign)["state"], "probing")
        self.work()
        self.watch_until(campaign, lambda now: now["state"] == "done")

    def test_a_model_that_is_replaced_is_read_anew(self):
        self.begin()
        models = self.folder / "models"
        model = models / bitquake.MODEL.name
        shutil.copytree(bitquake.MODEL, model)
        self.start("bitquake-worker", "--server", f"127.0.0.1:{self.server.port}", "--model-root",
                   models, "--data-root", DATA_ROOT)
        digests, golden = [], []
        for change in (None, self.overwrite, self.swap):
            if change:
                change(model / "model.safetensors")
            campaign = self.submit()
            self.watch_until(campaign, lambda now: now["state"] == "done")
            with contextlib.closing(sqlite3.connect(self.database)) as database:
                digests += [row[0] for row in database.execute(
                    "SELECT digest FROM models WHERE campaign = ?", [campaign])]
                golden += [row[0] for row in database.execute(
                    "SELECT digest FROM goldens JOIN variants ON variants.id = variant WHERE "
                    "campaign = ? AND format = 'fp32' AND fold = 0", [campaign])]
        self.assertEqual(len(set(digests)), 3)
        self.assertEqual(len(set(golden)), 3)

    def overwrite(self, path):
        """Negates a weight in place."""
        with open(path, "r+b") as file:
            file.seek(-1, 2)
            last = file.read(1)[0]
            file.seek(-1, 2)
            file.write(bytes([last ^ 0x80]))

    def swap(self, path):
        """Another file under the name, with another weight negated."""
        content = bytearray(path.read_bytes())
        content[-3] ^= 0x80
        path.unlink()
        path.write_bytes(content)

    def test_metrics_and_health(self):
        self.begin("--http", "127.0.0.1:0")
        port = self.metrics_port(self.server)
        worker = self.work("--http", "127.0.0.1:0")
        campaign = self.submit()
        done = self.watch_until(campaign, lambda now: now["state"] == "done")
        for path in ("/healthz", "/readyz"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
                self.assertEqual(reply.status, 200)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as reply:
            metrics = reply.read().decode()
        self.assertIn(f"bitquake_images_total {done['images_done']}\n", metrics)
        self.assertIn(f'bitquake_job_outcomes_total{{result="done"}} {done["jobs_done"]}\n', metrics)
        with self.assertRaises(urllib.error.HTTPError) as missing:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/none", timeout=60)
        self.assertEqual(missing.exception.code, 404)

        port = self.metrics_port(worker)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=60) as reply:
            self.assertEqual(reply.status, 200)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as reply:
            metrics = reply.read().decode()
        self.assertIn(f"bitquake_images_total {done['images_done']}\n", metrics)
        self.assertIn("bitquake_canary_failures_total 0\n", metrics)
        self.assertIn("bitquake_spool_reports ", metrics)
        for stage in ("load", "golden", "inject", "infer", "undo", "report"):
            seconds = re.search(rf'bitquake_stage_seconds_sum{{stage="{stage}"}} (\S+)\n', metrics)
            self.assertGreater(float(seconds[1]), 0, stage)
        self.assertNotIn("gpu_memory", metrics)

    def metrics_port(self, process):
        return int(re.search(r"metrics on port (\d+)", self.output(process))[1])

    def test_a_flag_goes_before_the_environment(self):
        self.begin()
        address = self.environment["BITQUAKE_SERVER"]
        self.call("list")
        self.environment["BITQUAKE_SERVER"] = f"unix:{self.folder}/none.sock"
        self.call("list", "--server", address)

    def test_plain_text_on_all_interfaces_needs_a_flag(self):
        _, error = self.call("--db", self.database, "--listen", "0.0.0.0:0",
                             program="bitquake-server", code=1)
        self.assertIn("--insecure", error)

    def watch_until(self, campaign, reached):
        """Follows a campaign until its state is as wanted; returns it."""
        watch = subprocess.Popen([str(bitquake.BIN / "bitquake"), "watch", campaign, "--json"],
                                 stdout=subprocess.PIPE, text=True, env=self.environment)
        try:
            for line in watch.stdout:
                state = json.loads(line)
                if reached(state):
                    return state
        finally:
            watch.kill()
            watch.wait()
            watch.stdout.close()
        self.fail(f"the campaign ended otherwise: {state}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
