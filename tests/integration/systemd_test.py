"""The units of deploy/systemd: what systemd-analyze says of them, and what a systemd does with them.

A systemd of its own runs as process 1 of a container (systemd-nspawn) that has this host's /usr and
nothing else of it. Where there are no rights to start one, the test says so.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest

import bitquake

UNITS = bitquake.SOURCE / "deploy" / "systemd"
# Exposure, of 10, that `systemd-analyze security` may state at most. README.md there says the same.
EXPOSURE = {"bitquake-server.service": 1.5, "bitquake-worker@.service": 2.0}
CAMPAIGN = bitquake.campaign(models=[bitquake.MODEL.name], dataset=bitquake.DATA.name,
                             granularities=["model", {"block": {"blocks": [2, 5]}}],
                             ber=[1e-3, 1e-2], trials=6, images={"first": 20}, folds=1)


class Units(bitquake.Case):
    def analyze(self, *arguments, code=0):
        done = subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True,
                              text=True, env=self.environment, timeout=60, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def copies(self, change=lambda text: text):
        """The units, with the programs where this build has them."""
        programs = self.folder / "programs"  # without a space, wherever they are
        if not programs.exists():
            programs.symlink_to(bitquake.BIN)
        for unit in EXPOSURE:
            self.write(unit, change((UNITS / unit).read_text().replace(
                "/opt/bitquake/bin/", f"{programs}/")))
            yield self.folder / unit

    def test_they_are_well_formed(self):
        verify = ("verify", "--man=no", "--generators=no")
        self.assertEqual(self.analyze(*verify, *self.copies()), "")
        broken = list(self.copies(lambda text: text.replace("KillSignal=", "KilSignal=")))
        self.assertIn("KilSignal", self.analyze(*verify, *broken))

    def test_they_expose_little(self):
        for unit in self.copies():
            most = EXPOSURE[unit.name]
            arguments = ("security", "--offline=true", f"--threshold={10 * most:.0f}", unit)
            self.analyze(*arguments)
            unit.write_text(unit.read_text().replace("SystemCallFilter=", "#"))
            self.analyze(*arguments, code=1)
            self.assertIn(f"| `{unit.name}` | {most} |", (UNITS / "README.md").read_text())


class Running(bitquake.Case):
    def setUp(self):
        super().setUp()
        libtorch = os.environ.get("BITQUAKE_LIBTORCH")
        if not libtorch:
            loaded = subprocess.run(["ldd", bitquake.BIN / "bitquake-worker"], capture_output=True,
                                    text=True, check=True).stdout
            libtorch = re.search(r"=> (\S+)/torch/lib/libtorch_cpu", loaded)[1]
        binds = {bitquake.BIN.parent: "/opt/bitquake", libtorch: "/opt/libtorch",
                 bitquake.SOURCE / "deploy": "/opt/deploy", self.folder: "/mnt",
                 "/etc/ssl": "/etc/ssl", "/etc/alternatives": "/etc/alternatives"}
        log = open(self.folder / "boot.log", "w+b")
        self.addCleanup(log.close)
        self.container = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--directory=/", "--volatile=yes", "--register=no",
             "--keep-unit", "--private-network", "--console=pipe", "--boot",
             *(f"--bind-ro={there}:{here}" for there, here in binds.items()),
             "systemd.unit=basic.target", "systemd.log_target=console"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.container.log = log
        self.addCleanup(self.end, self.container)

    def booted(self):
        """Whether the container's systemd has come up; False if the container cannot be had."""
        give_up = time.monotonic() + bitquake.PATIENCE
        while time.monotonic() < give_up:
            if self.container.poll() is not None:
                return False
            self.leader = (bitquake.children(self.container.pid).get("systemd") or [None])[0]
            if self.leader and self.inside("systemctl", "is-system-running", code=None).strip() in (
                    "running", "degraded"):
                return True
            time.sleep(0.05)
        self.fail(self.output(self.container))

    def inside(self, *command, code=0):
        done = subprocess.run(
            ["nsenter", "--target", str(self.leader), "--mount", "--uts", "--ipc", "--net", "--pid",
             "--cgroup", "--root", "--wd=/", "env", "-i",
             "PATH=/opt/bitquake/bin:/usr/sbin:/usr/bin",
             "BITQUAKE_SERVER=127.0.0.1:50551",
             "BITQUAKE_TLS_CA=/etc/bitquake/credentials/ca.crt",
             "BITQUAKE_TOKEN_FILE=/etc/bitquake/credentials/submitter.token",
             *map(str, command)],
            capture_output=True, text=True, timeout=bitquake.PATIENCE, check=False)
        if code is not None and done.returncode != code:
            self.fail(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}\n" + self.inside(
                "journalctl", "--no-pager", "--unit=bitquake-*", code=None))
        return done.stdout + (done.stderr if code else "")

    def shell(self, text, code=0):
        return self.inside("bash", "-euc", text, code=code)

    def until(self, what, condition):
        give_up = time.monotonic() + bitquake.PATIENCE
        while not (found := condition()):
            self.assertLess(time.monotonic(), give_up, what)
            time.sleep(0.1)
        return found

    def unit(self, name, *properties):
        shown = self.inside("systemctl", "show", name,
                            *(f"--property={each}" for each in properties))
        values = dict(line.split("=", 1) for line in shown.splitlines())
        return [values[each] for each in properties]

    def journal(self):
        return self.inside("journalctl", "--no-pager", "--output=cat",
                           "--unit=bitquake-worker@cpu.service")

    def begun(self, times):
        self.until(f"lease {times}", lambda: self.journal().count("jobs begin") >= times)

    def test_they_serve_work_restart_drain_and_take_revocations(self):
        if not self.booted():
            print("no container, so the units were not run:", self.output(self.container),
                  file=sys.stderr)
            return
        self.shell(r"""
            install -m 644 /opt/deploy/systemd/*.service /etc/systemd/system
            install -D -m 644 /opt/deploy/systemd/sysusers.conf /etc/sysusers.d/bitquake.conf
            systemd-sysusers
            bash /opt/deploy/make-credentials.sh /etc/bitquake/credentials --host 127.0.0.1
            echo 'BITQUAKE_SERVER_FLAGS=--lease-work-seconds 0.1' >/etc/bitquake/server.env
            cat >/etc/bitquake/worker.env <<END
BITQUAKE_SERVER=127.0.0.1:50551
BITQUAKE_MODEL_ROOT=/opt/deploy/demo/models
BITQUAKE_DATA_ROOT=/opt/deploy/demo/data
BITQUAKE_LIBTORCH=/opt/libtorch
LD_LIBRARY_PATH=/opt/libtorch/torch/lib
END
            cd /etc/bitquake
            printf 'BITQUAKE_DEVICE=cpu\nBITQUAKE_WORKER_FLAGS=--threads 1\n' >worker-cpu.env
            for of in server worker; do echo ASAN_OPTIONS=detect_leaks=0 >>$of.env; done
            systemctl mask --quiet systemd-networkd-wait-online
            systemctl daemon-reload
            systemctl start bitquake-server bitquake-worker@cpu""")
        file = self.write("campaign.json", CAMPAIGN)
        self.until("the server", lambda: self.inside("bitquake", "list", "--json", code=None))
        campaign = self.inside("bitquake", "submit", f"/mnt/{file.name}").strip()
        worker = "bitquake-worker@cpu"
        self.begun(3)
        self.inside("systemctl", "kill", "--signal=KILL", worker)
        self.until("a restart", lambda: self.unit(worker, "NRestarts", "ActiveState") ==
                   ["1", "active"])
        self.begun(5)
        self.inside("systemctl", "stop", worker)
        self.assertEqual(self.unit(worker, "ActiveState", "Result", "ExecMainStatus"),
                         ["inactive", "success", "0"])
        self.assertIn("signal 15: draining within 30s", self.journal())
        state = json.loads(self.inside("bitquake", "show", campaign, "--json"))
        self.assertLess(state["jobs_done"], state["jobs_total"])
        self.inside("systemctl", "start", worker)
        self.inside("bitquake", "watch", campaign)
        cells = self.inside("bitquake", "results", campaign, "--format", "csv")
        run = self.folder / "run"
        self.call("run", file, "--out", run, "--model-root", bitquake.MODEL.parent, "--data-root",
                  bitquake.DATA.parent)
        self.assertEqual(cells, (run / "cells.csv").read_text())

        # A wrong flag is not tried again; a revocation counts after a reload.
        self.shell("echo BITQUAKE_WORKER_FLAGS=--none >>/etc/bitquake/worker-cpu.env")
        self.inside("systemctl", "restart", worker, code=None)
        self.until("its end", lambda: self.unit(worker, "ActiveState") == ["failed"])
        self.assertEqual(self.unit(worker, "ExecMainStatus", "NRestarts"), ["2", "0"])
        self.inside("bitquake", "list")
        self.shell("""
            cp /etc/bitquake/credentials/submitter.token /run
            bash /opt/deploy/make-credentials.sh /etc/bitquake/credentials --revoke submitter
            systemctl reload bitquake-server""")
        refusal = self.inside("env", "BITQUAKE_TOKEN_FILE=/run/submitter.token", "bitquake", "list",
                              code=1)
        self.assertIn("token", refusal)
        self.inside("systemctl", "stop", "bitquake-server")
        self.assertEqual(self.unit("bitquake-server", "Result", "ExecMainStatus", "NRestarts"),
                         ["success", "0", "0"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
