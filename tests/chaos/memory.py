"""Memory that goes bad under a worker that computes: what it computes since then is done again."""

import json
import re
import struct

import ledger
from cluster import MODEL, Cluster, Failure, await_true


class Memory:
    """Of a worker that runs: a tensor of its model as the network has it, in fp32, wherever it lies."""

    def __init__(self, pid, tensor):
        self.file = f"/proc/{pid}/mem"
        with open(MODEL / "model.safetensors", "rb") as model:
            (size,) = struct.unpack("<Q", model.read(8))
            begin, end = json.loads(model.read(size))[tensor]["data_offsets"]
            model.seek(begin, 1)
            halves = struct.unpack(f"<{(end - begin) // 2}e", model.read(end - begin))
            self.content = struct.pack(f"<{len(halves)}f", *halves)
        self.addresses = []
        with open(f"/proc/{pid}/maps") as maps, open(self.file, "rb", buffering=0) as memory:
            for line in maps:
                own = re.fullmatch(r"(\w+)-(\w+) rw-p \S+ \S+ \S+ *(\[heap\])?\n", line)
                if own:
                    self.find(memory, int(own[1], 16), int(own[2], 16))
        if not self.addresses:
            raise Failure(f"no {tensor} in the memory of process {pid}")

    def find(self, memory, low, high):
        try:
            memory.seek(low)
            found = memory.read(high - low)
        except OSError:
            return  # gone since
        at = found.find(self.content)
        while at >= 0:
            self.addresses.append(low + at)
            at = found.find(self.content, at + 1)

    def flip_exponents(self):
        """The top bit of each exponent; where the tensor no longer lies, nothing."""
        damaged = bytes(byte ^ 0x40 if i % 4 == 3 else byte for i, byte in enumerate(self.content))
        with open(self.file, "r+b", buffering=0) as memory:
            for address in self.addresses:
                memory.seek(address)
                if memory.read(len(damaged)) == self.content:
                    memory.seek(address)
                    memory.write(damaged)


def run(folder, reference, mutants=(), say=print):
    """Weights that change in a worker's memory while it computes trials: the canary finds it.

    What the worker has computed since the last good canary reaches nobody. It is quarantined and ends, and
    others do that again.
    """
    with Cluster(folder) as cluster:
        cluster.start_server()
        cluster.start_worker("worker-1")
        process = cluster.workers["worker-1"]
        campaign = cluster.submit()
        await_true(lambda: cluster.ledger.count() > 20, "the campaign is under way")
        memory = Memory(process.pid, "head.bias")  # no target of the campaign
        begun = set()  # the last jobs that worker-1 set to work on at once

        def observe(event):
            if event.kind == "report" and event.message.begun.job_ids:
                begun.clear()
                begun.update(event.message.begun.job_ids)

        cluster.observers.insert(0, observe)
        cluster.trigger.arm(
            lambda event: event.kind == "report" and len(event.message.begun.job_ids) > 2, 1,
            memory.flip_exponents if "harmless" not in mutants else lambda: None)
        await_true(lambda: process.poll() is not None or cluster.is_done(campaign),
                   "worker-1 ends, or its campaign")
        if not cluster.trigger.fired.is_set():
            raise Failure("the campaign ended before memory was damaged")
        (state,) = [worker.state for worker in cluster.ask("ListWorkers").workers]
        if state != "quarantined":
            cluster.check_all([campaign], reference)
            raise Failure(f"a worker whose memory is damaged is '{state}'")
        if process.returncode != 1:
            raise Failure(f"a worker that is quarantined ends with {process.returncode}")
        with ledger.copied(cluster.database) as db:
            given_back = {row[0] for row in db.execute(
                "SELECT id FROM jobs WHERE state = 'ready' AND losses = 0")}
            ((kind, what),) = db.execute("SELECT kind, detail FROM alarms").fetchall()
        if not begun or not begun <= given_back:
            raise Failure(f"jobs {begun - given_back} were not given back")
        if kind != "failed proof" or "canary" not in what:
            raise Failure(f"not the canary, but: {kind}: {what}")
        cluster.start_worker("worker-2")
        cluster.await_state(campaign, "done")
        with ledger.copied(cluster.database) as db:
            again = {row[0] for row in db.execute(
                "SELECT job FROM outcomes WHERE worker = 'worker-2'")}
        if not begun <= again:
            raise Failure(f"jobs {begun - again} were not done again")
        cluster.check_all([campaign], reference, alarms=1)
        say(f"  memory: {what}; {len(begun)} jobs of worker-1 were done again")
