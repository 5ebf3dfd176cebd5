"""Files that are damaged, a disk that is full, a worker that lies: each is found, named, refused."""

import shutil
import sqlite3
import subprocess

import grpc

from cluster import DATA, MODEL, Cluster, Failure, await_true


def flip_a_bit(path, offset):
    """The control passes a mutant in which nothing is flipped."""
    with open(path, "r+b") as file:
        file.seek(offset, 0 if offset >= 0 else 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 0x10]))


def run_damaged_input(folder, reference, what, mutants=(), say=print):
    """A model file or a shard that has changed since the campaign began.

    The worker that finds it names it, and the campaign pauses; with the file restored it ends as if
    nothing had happened.
    """
    source, name, file = {
        "model": (MODEL, "models", "model.safetensors"),
        "shard": (DATA, "data", "fashionmnist-validation-00.tar")}[what]
    with Cluster(folder) as cluster:
        copy = cluster.folder / name / source.name
        shutil.copytree(source, copy)
        setattr(cluster, name, copy.parent)
        cluster.start_server()
        cluster.start_worker("worker-1")
        campaign = cluster.submit()
        await_true(lambda: cluster.ledger.count() > 20, "the campaign is under way")
        cluster.kill(cluster.workers["worker-1"])
        if cluster.state_name(campaign) != "running":
            raise Failure("the campaign ended before its files were damaged")
        if "harmless" not in mutants:
            flip_a_bit(copy / file, 1_000_003)
        cluster.start_worker("worker-1")
        if cluster.await_state(campaign, "paused", "failed", "done") != "paused":
            raise Failure(f"a damaged {what} did not stop the campaign")
        error = cluster.state(campaign).error
        if source.name not in error and file not in error:
            raise Failure(f"the error does not name what is damaged: {error}")
        say(f"  {what}: {error}")
        shutil.copy(source / file, copy / file)
        cluster.kill(cluster.workers["worker-1"])
        cluster.start_worker("worker-1")
        cluster.ask("ResumeCampaign", campaign_id=campaign)
        cluster.await_state(campaign, "done")
        cluster.check_all([campaign], reference)


def run_damaged_database(folder, mutants=(), say=print):
    """A database whose file is damaged is named and refused: no server starts on it."""
    with Cluster(folder) as cluster:
        cluster.start_server()
        cluster.start_worker("worker-1")
        campaign = cluster.submit()
        await_true(lambda: cluster.ledger.count() > 20, "the campaign is under way")
        if cluster.drain(cluster.server) != 0:
            raise Failure("the server did not end well")
        with sqlite3.connect(cluster.database) as db:
            (size,) = db.execute("PRAGMA page_size").fetchone()
            (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'outcomes'"
                                 ).fetchone()
        db.close()
        if "harmless" not in mutants:
            # The header of the first page of outcomes: what kind of page it is.
            flip_a_bit(cluster.database, (page - 1) * size)
        before = len(cluster.log("server.out"))
        with cluster.launch_server() as ready:
            if ready.readline():
                raise Failure("a server serves a damaged database")
        code, said = cluster.server.wait(), cluster.log("server.out")[before:].strip()
        if code != 1 or str(cluster.database) not in said:
            raise Failure(f"exit code {code}: {said}")
        say(f"  database of {campaign}: {said}")


# In a mount namespace of its own the server finds a small file system at the folder of its database.
SMALL_DISK = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
              'mount -t tmpfs -o size="$1" small "$0" && shift && exec "$@"')


def run_full_disk(folder, reference, mutants=(), say=print):
    """A disk that fills up: an error that says so, nothing lost; with space again, work goes on."""
    disk = folder / "disk"
    disk.mkdir()
    size = "1g" if "harmless" in mutants else "8m"
    with Cluster(folder, server_wrapper=(*SMALL_DISK, disk, size)) as cluster:
        cluster.database = disk / "campaign.db"
        cluster.start_server()
        inside = cluster.inside(disk)
        for name in ("worker-1", "worker-2"):
            cluster.start_worker(name)
        campaign = cluster.submit()
        await_true(lambda: cluster.ledger.count() > 20, "the campaign is under way")
        ballast = inside / "ballast"
        try:
            with open(ballast, "wb", buffering=0) as file:
                for _ in range(4096):
                    file.write(b"\0" * 4096)
        except OSError:
            pass  # full

        def full_or_done():
            try:
                return "free some space" in cluster.log("server.out") or \
                    cluster.state_name(campaign) == "done"
            except grpc.RpcError as error:  # who asks is told, too
                return "free some space" in error.details()

        await_true(full_or_done, "the disk is full")
        if "free some space" not in cluster.log("server.out"):
            raise Failure("nothing said that the disk is full")
        kept = cluster.ledger.check_kept(inside / "campaign.db", everything=True)
        if kept:
            raise Failure("; ".join(kept[:3]))
        ballast.unlink()
        subprocess.run(["nsenter", f"--target={cluster.server.pid}", "--user", "--mount",
                        "--preserve-credentials", "mount", "-o", "remount,size=64m", disk],
                       check=True)
        cluster.await_state(campaign, "done")
        cluster.database = inside / "campaign.db"
        cluster.check_all([campaign], reference)
        say("  disk: " + next(line for line in cluster.log("server.out").splitlines()
                              if "free some space" in line)[:160])


def run_liar(folder, reference, mutants=(), say=print):
    """A worker whose memory is bad: its logits without faults are not what others have.

    The proxy makes it one: from some moment on it changes what worker-2 says of golden. The worker
    is quarantined, its outcomes since are not in the results.
    """
    with Cluster(folder) as cluster:
        cluster.start_server()
        for name in ("worker-1", "worker-2"):
            cluster.start_worker(name)
        campaign = cluster.submit()

        def confirmed():
            return cluster.query("SELECT min(confirmed) FROM goldens g JOIN variants v ON v.id = "
                                 "g.variant WHERE v.measured") == 1

        await_true(confirmed, "both workers have the same golden logits")
        lies = []

        def lie(report):
            if report.worker_id == "worker-2" and report.HasField("trial"):
                report.trial.golden_digest = "0" * len(report.trial.golden_digest)
                report.trial.top1 = 0
                lies.append(report.trial.job_id)
            return report

        if "harmless" not in mutants:
            cluster.proxy.tamper = lie
        if cluster.state_name(campaign) != "running":
            raise Failure("the campaign ended before anyone lied")
        cluster.await_state(campaign, "done")
        (state,) = [worker.state for worker in cluster.ask("ListWorkers").workers
                    if worker.worker_id == "worker-2"]
        if state != "quarantined":
            raise Failure(f"a worker that lies is '{state}'")
        # Lies are acknowledged, so that they are not sent again, and are not believed.
        for job in lies:
            cluster.ledger.outcomes.pop(job, None)
        cluster.check_all([campaign], reference, alarms=1)
        say(f"  {len(lies)} lies; worker-2 is {state}")
