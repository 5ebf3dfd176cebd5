"""A coordinator and an array of workers under a real Slurm, by the scripts of deploy/slurm.

The test's own munged, slurmctld and slurmd run in its folder. Slurm looks at time limits every
30 s: the test steps the clock of slurmctld on by so much when it wants it to look.
"""

import contextlib
import getpass
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import unittest

import bitquake

SCRIPTS = bitquake.SOURCE / "deploy" / "slurm"
CREDENTIALS = bitquake.SOURCE / "deploy" / "make-credentials.sh"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
WORKERS = 3
CAMPAIGN = bitquake.campaign(models=[bitquake.MODEL.name], dataset=bitquake.DATA.name,
                             granularities=["model", {"block": {"blocks": [2, 5]}}],
                             ber=[1e-3, 1e-2], trials=14, images={"first": 40}, folds=1)
CONFIGURATION = """
ClusterName=bitquake
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CryptoType=crypto/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1
KillWait=30
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=65536 Gres=gpu:3
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Slurm(bitquake.Case):
    def setUp(self):
        super().setUp()
        self.environment["PATH"] += ":/usr/sbin:/sbin"
        self.shared = self.folder / "shared"
        self.shared.mkdir()
        self.daemons = []
        self.credentials = self.folder / "credentials"
        self.tool("bash", CREDENTIALS, self.credentials, "--host", "127.0.0.1")
        for name in ("ca.crt", "worker.token"):
            (self.shared / name).write_bytes((self.credentials / name).read_bytes())
            (self.shared / name).chmod(0o640)
        self.settings = dict(
            BITQUAKE_BIN=bitquake.BIN, BITQUAKE_CREDENTIALS=self.credentials,
            BITQUAKE_STATE=self.folder / "local", BITQUAKE_HOST="127.0.0.1",
            BITQUAKE_LISTEN="127.0.0.1:0", BITQUAKE_SERVER_FLAGS="--lease-work-seconds 1",
            BITQUAKE_MODEL_ROOT=bitquake.MODEL.parent, BITQUAKE_DATA_ROOT=bitquake.DATA.parent,
            BITQUAKE_DEVICE="cpu")
        self.settle()
        self.environment.update(BITQUAKE_SHARED=str(self.shared),
                                BITQUAKE_TLS_CA=str(self.credentials / "ca.crt"),
                                BITQUAKE_TOKEN_FILE=str(self.credentials / "submitter.token"))

    def settle(self):
        (self.shared / "bitquake.env").write_text(
            "".join(f"{name}='{value}'\n" for name, value in self.settings.items()))

    def tool(self, *command, check=True):
        done = subprocess.run([str(part) for part in command], env=self.environment, text=True,
                              capture_output=True, timeout=bitquake.PATIENCE, check=False)
        if check:
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr + self.logs())
        return done.stdout.strip()

    def logs(self):
        return "".join(f"\n--- {path.name}\n{path.read_text(errors='replace')[-4000:]}"
                       for path in sorted(self.folder.glob("*.log")))

    def until(self, what, condition):
        give_up = time.monotonic() + bitquake.PATIENCE
        while not (found := condition()):
            self.assertLess(time.monotonic(), give_up, f"waits for {what}{self.logs()}")
            self.assertEqual([each.poll() for each in self.daemons], [None] * len(self.daemons),
                             self.logs())
            time.sleep(0.05)
        return found

    # A cluster of one node.

    def daemon(self, *command, **environment):
        log = open(self.folder / f"{command[0]}.log", "wb")
        self.addCleanup(log.close)
        process = subprocess.Popen([str(part) for part in command], stdout=log,
                                   stderr=subprocess.STDOUT, cwd=self.folder,
                                   env=dict(self.environment, **environment))
        self.addCleanup(self.end, process)
        self.daemons.append(process)

    def begin_slurm(self):
        slurm = self.folder / "slurm"
        for name in ("munge", "state", "spool"):
            (slurm / name).mkdir(parents=True, mode=0o700)
        key = slurm / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        controller_port, node_port = free_ports(2)
        (slurm / "slurm.conf").write_text(CONFIGURATION.format(
            host=socket.gethostname().split(".")[0], folder=slurm, controller_port=controller_port,
            node_port=node_port, user=getpass.getuser()))
        # Three devices that every host has stand for three GPUs.
        (slurm / "gres.conf").write_text(
            "".join(f"Name=gpu File=/dev/{name}\n" for name in ("null", "zero", "full")))
        (slurm / "cgroup.conf").write_text("IgnoreSystemd=yes\n")
        self.environment["SLURM_CONF"] = str(slurm / "slurm.conf")
        self.clock = slurm / "clock"
        self.clock.write_text("+0")

        self.daemon("munged", "--foreground", "--force", f"--key-file={key}",
                    f"--socket={slurm}/munge/socket", f"--pid-file={slurm}/munge/pid",
                    f"--log-file={slurm}/munge/log", f"--seed-file={slurm}/munge/seed")
        self.until("munged", (slurm / "munge" / "socket").exists)
        self.daemon("slurmctld", "-D", "-c", LD_PRELOAD=FAKETIME, FAKETIME_NO_CACHE="1",
                    FAKETIME_TIMESTAMP_FILE=str(self.clock), FAKETIME_DONT_FAKE_MONOTONIC="1")
        self.daemon("slurmd", "-D")
        self.addCleanup(self.empty)
        self.until("the node", lambda: self.tool("sinfo", "-h", "-o", "%T", check=False) == "idle")

    def step_clock(self):
        self.clock.write_text("+31")

    def empty(self):
        """Ends what jobs are left, and what the daemons leave behind."""
        self.addCleanup(self.end_by_environment)
        jobs = self.tool("squeue", "-h", "-o", "%A", check=False).split()
        if jobs:
            self.tool("scancel", *jobs, check=False)
        self.until("the last job's end", lambda: not self.tool("squeue", "-h", check=False))

    def end_by_environment(self):
        ours = f"SLURM_CONF={self.environment['SLURM_CONF']}".encode()
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if ours in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)

    def sbatch(self, script, *flags):
        return self.tool("sbatch", "--parsable", f"--chdir={self.folder}", *flags, SCRIPTS / script)

    # What the jobs say.

    def log(self, task):
        path = self.folder / f"bitquake-worker-{self.array}_{task}.log"
        return path.read_text() if path.exists() else ""

    def says(self, task, pattern):
        """Waits until a task's log says this for the first time; returns the log up to there."""
        found = self.until(f"{pattern!r} of task {task}",
                           lambda: re.search(pattern, self.log(task), re.DOTALL))
        return found.string[:found.end()]

    def coordinator_says(self, pattern):
        path = self.folder / f"bitquake-server-{self.coordinator}.log"
        return self.until(f"{pattern!r} of the coordinator", lambda: path.exists() and
                          re.search(pattern, path.read_text(), re.DOTALL))

    def follow_address(self):
        address = self.shared / "address"
        self.until("the address", address.exists)
        self.environment["BITQUAKE_SERVER"] = address.read_text().strip()

    def job(self, name):
        shown = self.tool("scontrol", "--oneliner", "show", "job", name)
        return dict(re.findall(r"(\w+)=(\S+)", shown))

    def one_gpu_fails_once(self):
        """The first worker to start ends as one does whose GPU failed."""
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "bitquake-server").symlink_to(bitquake.BIN / "bitquake-server")
        worker = programs / "bitquake-worker"
        worker.write_text(f"#!/bin/sh\nmkdir {self.folder}/failed 2>/dev/null && exit 75\n"
                          f"exec '{bitquake.BIN}/bitquake-worker' \"$@\"\n")
        worker.chmod(0o755)
        self.settings["BITQUAKE_BIN"] = programs
        self.settle()

    def test_tasks_are_cancelled_requeued_and_out_of_time_and_the_result_is_that_of_a_run(self):
        self.begin_slurm()
        self.one_gpu_fails_once()
        self.coordinator = self.sbatch("coordinator.sbatch")
        self.array = self.sbatch("workers.sbatch", f"--array=0-{WORKERS - 1}", "--cpus-per-task=1",
                                 "--time=1")
        self.follow_address()
        self.until("the workers", lambda: len(json.loads(
            self.call("workers", "--json")[0])) == WORKERS)
        logs = [self.log(task) for task in range(WORKERS)]
        self.assertEqual(sorted(re.search(r"GPU (\S+),", log)[1] for log in logs), ["0", "1", "2"])
        self.assertEqual("".join(logs).count("the GPU failed; the worker starts again"), 1)

        file = self.write("campaign.json", CAMPAIGN)
        campaign = self.call("submit", file)[0].strip()
        at_work = r"jobs begin.*lease \d+: \d+ jobs begin"
        for task in range(WORKERS):
            self.says(task, at_work)
        self.tool("scancel", f"{self.array}_0")
        self.tool("scontrol", "requeue", f"{self.array}_1")
        self.step_clock()
        for task, how in enumerate((r" \(told\)\n", r" \(told\)\n", r"\n.*: requeued\n")):
            log = self.says(task, "ended with exit code 0" + how)
            self.assertRegex(log, "signal 15: draining")
            self.assertNotIn("another signal", log)
        for task in (1, 2):
            self.until("an hour for it", lambda name=f"{self.array}_{task}":
                       self.job(name)["TimeLimit"] == "01:00:00" or self.tool(
                           "scontrol", "update", f"JobId={name}", "TimeLimit=60", check=False))
        state = json.loads(self.call("show", campaign, "--json")[0])
        self.assertLess(state["jobs_done"], state["jobs_total"])

        # The coordinator's time ends, too. It comes back with another port: who is at work follows.
        back = r"ended with exit code.*worker slurm-\d+_\d+, spool"
        self.says(1, back)
        self.tool("scancel", "--batch", "--signal=USR1", self.coordinator)
        self.coordinator_says(r"ended with exit code 0 \(limit\)")
        self.follow_address()
        self.call("watch", campaign)
        self.says(1, back + ".*has moved; the worker follows.*worker slurm-")
        self.says(2, back)
        self.assertNotIn("expired", self.coordinator_says(r".*")[0])
        self.assertEqual(self.job(f"{self.array}_0")["JobState"], "CANCELLED")
        for task in (1, 2):
            self.assertEqual(self.job(f"{self.array}_{task}")["Restarts"], "1")

        cells, trials = (self.call("results", campaign, "--format", "csv", *flags)[0]
                         for flags in ((), ("--trials",)))
        run = self.folder / "run"
        self.call("run", file, "--out", run, "--model-root", bitquake.MODEL.parent, "--data-root",
                  bitquake.DATA.parent)
        self.assertEqual(cells, (run / "cells.csv").read_text())
        self.assertEqual(trials, (run / "trials.csv").read_text())

        self.tool("scancel", self.array)
        for task in (1, 2):
            self.says(task, r"ended with exit code.*ended with exit code 0 \(told\)")
        self.tool("scancel", self.coordinator)
        self.coordinator_says(r"ended with exit code 0 \(told\)")
        self.call("--db", self.shared / "backup.db", "--check", program="bitquake-server")
        self.assertFalse((self.shared / "address").exists())

    def on_login_node(self):
        log = open(self.folder / f"login-{len(list(self.folder.iterdir()))}.log", "w+b")
        self.addCleanup(log.close)
        process = subprocess.Popen(["bash", SCRIPTS / "coordinator.sbatch"], stdout=log,
                                   stderr=subprocess.STDOUT, env=self.environment)
        process.log = log
        self.addCleanup(self.end, process)
        return process

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        self.assertIn("exit code 0 (told)", self.finish(process))

    def test_a_coordinator_on_another_node_goes_on_from_the_backup(self):
        self.settings["BITQUAKE_BACKUP_SECONDS"] = "0.1"
        self.settle()
        first = self.on_login_node()
        self.follow_address()
        campaign = self.call("submit", self.write("campaign.json", CAMPAIGN))[0].strip()
        self.until("a backup at work", (self.shared / "backup.db").exists)
        self.stop(first)

        second = self.on_login_node()  # as it was: nothing is restored
        self.follow_address()
        self.stop(second)
        self.assertNotIn("going on from", self.output(second))

        (self.shared / "database-node").write_text("another\n")
        third = self.on_login_node()
        self.follow_address()
        self.assertEqual(json.loads(self.call("list", "--json")[0])[0]["id"], campaign)
        self.stop(third)
        self.assertIn("the database was on another: going on from", self.output(third))

        (self.shared / "database-node").write_text("another\n")
        (self.shared / "backup.db").unlink()
        self.assertIn("--nodelist=another", self.finish(self.on_login_node(), code=1))

    def test_a_token_that_all_can_read_is_refused(self):
        (self.shared / "worker.token").chmod(0o644)
        self.environment["SLURM_JOB_ID"] = "1"
        done = subprocess.run(["bash", SCRIPTS / "workers.sbatch"], env=self.environment, text=True,
                              capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("can be read by all; chmod o=", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
