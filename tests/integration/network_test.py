"""A coordinator and three workers with certificates on a network of their own; one is cut off.

Each worker has a network namespace, linked to the coordinator's by a bridge; to cut it off, its
link goes down. Where namespaces cannot be had (and with BITQUAKE_SLOW_TESTS=1 also where they can),
each worker reaches the coordinator by a loopback address of its own, behind which a relay passes
bytes on, or does not.
"""

import contextlib
import ctypes
import json
import os
import re
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import unittest
import urllib.request

import bitquake

CREDENTIALS = bitquake.SOURCE / "deploy" / "make-credentials.sh"
WORKERS = ("w1", "w2", "w3")
CAMPAIGN = bitquake.campaign(models=[bitquake.MODEL.name], dataset=bitquake.DATA.name,
                             granularities=["model", {"block": {"blocks": [2, 5]}}],
                             ber=[1e-3, 1e-2], trials=10, images={"first": 40}, folds=1)
CLONE_NEWNET = 0x40000000


class Namespaces:
    """A bridge in a namespace that this process moves into, and a namespace for each worker."""

    server = "10.77.0.1"

    def __init__(self, cleanup):
        self.names = {name: f"bitquake-{os.getpid()}-{name}" for name in ("hub", *WORKERS)}
        for name in self.names.values():
            self.ip("netns", "add", name)
            cleanup(self.ip, "netns", "delete", name)
        hub = self.names["hub"]
        self.ip("-n", hub, "link", "set", "lo", "up")
        self.ip("-n", hub, "link", "add", "bridge", "type", "bridge")
        self.ip("-n", hub, "address", "add", f"{self.server}/24", "dev", "bridge")
        self.ip("-n", hub, "link", "set", "bridge", "up")
        for number, worker in enumerate(WORKERS):
            there = self.names[worker]
            self.ip("-n", hub, "link", "add", worker, "type", "veth", "peer", "name", "eth0",
                    "netns", there)
            self.ip("-n", hub, "link", "set", worker, "master", "bridge", "up")
            self.ip("-n", there, "address", "add", f"10.77.0.{11 + number}/24", "dev", "eth0")
            self.ip("-n", there, "link", "set", "eth0", "up")
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        cleanup(os.close, home)
        with open(f"/run/netns/{hub}", "rb") as namespace:
            self.enter(namespace.fileno())
        cleanup(self.enter, home)

    def ip(self, *arguments):
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")

    def enter(self, namespace):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(namespace, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def begin(self, port):
        self.port = port

    def address(self, _worker):
        return f"{self.server}:{self.port}"

    def command(self, worker):
        return ["ip", "netns", "exec", self.names[worker]]

    def cut(self, worker):
        self.ip("-n", self.names["hub"], "link", "set", worker, "down")

    def heal(self, worker):
        self.ip("-n", self.names["hub"], "link", "set", worker, "up")


class Aliases:
    """A loopback address for each worker, and a relay behind it that its bytes pass through."""

    server = "127.0.0.1"
    addresses = {worker: f"127.0.0.{11 + number}" for number, worker in enumerate(WORKERS)}

    def __init__(self, cleanup):
        self.open = {worker: threading.Event() for worker in WORKERS}
        self.listeners = {}
        self.ended = threading.Event()
        cleanup(self.ended.set)
        for worker, address in self.addresses.items():
            self.open[worker].set()
            self.listeners[worker] = socket.create_server((address, 0))
            cleanup(self.listeners[worker].close)

    def begin(self, port):
        for worker in WORKERS:
            threading.Thread(target=self.accept, args=(worker, port), daemon=True).start()

    def accept(self, worker, port):
        while not self.ended.is_set():
            with contextlib.suppress(OSError):
                near, _ = self.listeners[worker].accept()
                far = socket.create_connection((self.server, port))
                threading.Thread(target=self.relay, args=(worker, near, far), daemon=True).start()

    def relay(self, worker, near, far):
        with near, far, contextlib.suppress(OSError):
            while not self.ended.is_set():
                for one in select.select([near, far], [], [], 0.2)[0]:
                    data = one.recv(65536)
                    self.open[worker].wait()
                    if not data:
                        return
                    (far if one is near else near).sendall(data)

    def address(self, worker):
        return f"{self.addresses[worker]}:{self.listeners[worker].getsockname()[1]}"

    def command(self, _worker):
        return []

    def cut(self, worker):
        self.open[worker].clear()

    def heal(self, worker):
        self.open[worker].set()


class Network(bitquake.Case):
    def test_a_worker_that_is_cut_off_past_its_lease_and_comes_back_changes_nothing(self):
        with contextlib.ExitStack() as stack:
            try:
                network = Namespaces(stack.callback)
            except OSError as error:
                print(f"no network namespaces ({error}): loopback aliases", file=sys.stderr)
                stack.close()
                network = Aliases(stack.callback)
            self.addCleanup(stack.pop_all().close)
        self.try_on(network)

    @unittest.skipUnless(os.environ.get("BITQUAKE_SLOW_TESTS"), "needs BITQUAKE_SLOW_TESTS=1")
    def test_the_same_over_loopback_aliases(self):
        self.try_on(Aliases(self.addCleanup))

    def until(self, what, condition):
        give_up = time.monotonic() + bitquake.PATIENCE
        while not (found := condition()):
            self.assertLess(time.monotonic(), give_up, f"waits for {what}\n" + "\n".join(
                self.output(process) for process in (self.coordinator, *self.workers.values())))
            time.sleep(0.01)
        return found

    def query(self, sql, *parameters):
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro",
                                                uri=True)) as database:
            return [row[0] for row in database.execute(sql, parameters)]

    def metric(self, name):
        port = re.search(r"metrics on port (\d+)", self.output(self.coordinator))[1]
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/metrics",
            headers={"Authorization": f"Bearer {(self.made / 'viewer.token').read_text().strip()}"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return float(re.search(rf"^bitquake_{name} (\S+)$", reply.read().decode(), re.M)[1])

    def credentials(self, network):
        self.made = self.folder / "credentials"
        hosts = (network.server, *Aliases.addresses.values())
        subprocess.run(["bash", CREDENTIALS, self.made,
                        *(part for host in hosts for part in ("--host", host))], check=True,
                       stdout=subprocess.DEVNULL)
        for worker in WORKERS:
            subprocess.run(["bash", CREDENTIALS, self.made, "--add", "worker", worker], check=True,
                           stdout=subprocess.DEVNULL)

    def identity(self, name):
        return dict(BITQUAKE_TLS_CA=str(self.made / "ca.crt"),
                    BITQUAKE_TLS_CERT=str(self.made / f"{name}.crt"),
                    BITQUAKE_TLS_KEY=str(self.made / f"{name}.key"))

    def work(self, worker, network):
        log = open(self.folder / f"{worker}.out", "w+b")
        self.addCleanup(log.close)
        command = [*network.command(worker), str(bitquake.BIN / "bitquake-worker"), "--id", worker,
                   "--server", network.address(worker), "--model-root", str(bitquake.MODEL.parent),
                   "--data-root", str(bitquake.DATA.parent), "--threads", "1", "--grace", "10"]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT,
                                   env=dict(self.environment, **self.identity(worker)))
        process.log = log
        self.addCleanup(self.end, process)
        return process

    def cut_off_at_work(self, worker, network):
        """Returns the trials that the coordinator waits for in vain."""
        def held():
            return self.query("SELECT jobs.id FROM jobs JOIN leases ON leases.id = jobs.lease "
                              "WHERE worker = ? AND cell IS NOT NULL", worker)

        while True:
            self.until(f"a lease of {worker}", held)
            network.cut(worker)
            if jobs := held():
                return jobs
            network.heal(worker)

    def try_on(self, network):
        self.credentials(network)
        self.database = self.folder / "campaign.db"
        self.workers = {}
        self.coordinator = self.serve(
            "--db", self.database, "--listen", f"{network.server}:0", "--http", "127.0.0.1:0",
            "--tls-cert", self.made / "server.crt", "--tls-key", self.made / "server.key",
            "--tls-client-ca", self.made / "ca.crt", "--tokens", self.made / "tokens",
            "--lease-seconds", "4", "--lease-work-seconds", "1")
        network.begin(self.coordinator.port)
        self.workers = {worker: self.work(worker, network) for worker in WORKERS}
        self.environment.update(self.identity("submitter"),
                                BITQUAKE_SERVER=f"{network.server}:{self.coordinator.port}")
        self.until("the workers", lambda: len(json.loads(
            self.call("workers", "--json")[0])) == len(WORKERS))
        file = self.write("campaign.json", CAMPAIGN)
        campaign = self.call("submit", file)[0].strip()

        held = self.cut_off_at_work("w2", network)
        self.call("pause", campaign)
        self.await_output(self.coordinator, r"lease \d+ of worker w2 expired")
        self.assertGreaterEqual(self.metric("lease_expirations_total"), 1)
        self.call("resume", campaign)
        self.until("others to do its jobs", lambda: not set(held) & set(
            self.query("SELECT id FROM jobs")))
        self.call("pause", campaign)
        state = json.loads(self.call("show", campaign, "--json")[0])
        self.assertLess(state["jobs_done"], state["jobs_total"])

        before = len(self.output(self.workers["w2"]))
        network.heal("w2")
        self.until("its late outcomes", lambda: self.metric("duplicate_outcomes_total") > 0)
        self.call("resume", campaign)
        self.await_output(self.workers["w2"], r"jobs begin", after=before)
        self.call("watch", campaign)
        self.assertEqual(self.metric("digest_mismatches_total"), 0)
        results = [self.call("results", campaign, "--format", "csv", *flags)[0]
                   for flags in ((), ("--trials",))]
        for process in self.workers.values():
            process.send_signal(signal.SIGTERM)
        for process in self.workers.values():
            self.finish(process)

        run = self.folder / "run"
        for name in self.identity("submitter"):
            del self.environment[name]
        self.call("run", file, "--out", run, "--model-root", bitquake.MODEL.parent, "--data-root",
                  bitquake.DATA.parent)
        self.assertEqual(results, [(run / name).read_text()
                                   for name in ("cells.csv", "trials.csv")])


if __name__ == "__main__":
    unittest.main(verbosity=2)
