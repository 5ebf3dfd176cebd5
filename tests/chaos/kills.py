"""Kills, and freezes, of server, workers and clients at seeded points of real campaigns."""

import random
import signal
import subprocess
import time

from cluster import BIN, LEASE, PATIENCE, Cluster, Failure, await_true

WORKERS = ("worker-1", "worker-2")


class Disturber:
    """Draws what happens next from its seed, and does it."""

    def __init__(self, cluster, seed, say):
        self.cluster, self.random, self.say = cluster, random.Random(seed), say
        self.counts = {"server": 0, "worker": 0, "client": 0, "frozen worker": 0,
                       "frozen server": 0}
        self.registered = set()  # workers that have come back since they were killed
        self.ended = set()       # leases that ended while their workers were frozen
        self.renewed = set()    # leases that were renewed after they had ended
        cluster.observers.append(self.observe)

    @property
    def kills(self):
        return sum(self.counts[victim] for victim in ("server", "worker", "client"))

    def observe(self, event):
        if event.kind == "reply" and event.method == "LeaseJobs":
            self.registered.add(event.worker)
        if event.kind == "reply" and event.method == "Heartbeat":
            self.renewed |= (self.ended & set(event.message.lease_ids)) - \
                set(event.reply.ended_lease_ids)

    def moment(self, worker=None):
        """A kind of event, and which of that kind from now on."""
        kind, method, most = self.random.choice([
            ("request", "LeaseJobs", 3), ("reply", "LeaseJobs", 3), ("report", "StreamOutcomes", 12),
            ("report", "StreamOutcomes", 12), ("acknowledgement", "StreamOutcomes", 12),
            ("acknowledgement", "StreamOutcomes", 12), ("request", "Heartbeat", 1),
            ("reply", "Heartbeat", 1)])
        count = self.random.randint(1, most)
        return (lambda event: event.kind == kind and event.method == method and
                worker in (None, event.worker)), count

    def strike(self, process, campaign, worker=None, number=signal.SIGKILL):
        """Signals the process at a moment; False if the campaign ended before."""
        wanted, count = self.moment(worker)
        self.cluster.trigger.arm(wanted, count, lambda: process.send_signal(number))
        return self.fires_before_the_end(campaign)

    def fires_before_the_end(self, campaign):
        """Waits for the trigger; False if the campaign ended before."""
        fired, end = self.cluster.trigger.fired, time.monotonic() + PATIENCE
        while not fired.wait(0.1):
            if self.cluster.is_done(campaign) and self.cluster.trigger.disarm():
                return False
            if time.monotonic() > end:
                raise Failure("nothing moves: " + str(self.cluster.state(campaign)))
        return True

    def next(self, campaign):
        """One disturbance. False if the campaign ended first."""
        victim = self.random.choices(("server", "worker", "client"), weights=(64, 12, 24))[0]
        worker = self.random.choice(WORKERS)
        if victim == "worker" and worker not in self.registered:
            victim = "server"  # one that is only starting would be killed for little
        done = self.worker(campaign, worker) if victim == "worker" else \
            getattr(self, victim)(campaign)
        self.counts[victim] += done
        return done

    def server(self, campaign):
        cluster = self.cluster
        if self.random.random() < 0.2:
            # While it starts: after so many milliseconds it may have recovered, and may serve.
            cluster.kill_server_and_check()
            with cluster.launch_server():
                time.sleep(self.random.uniform(0, 0.06))
        elif not self.strike(cluster.server, campaign):
            return False
        cluster.kill_server_and_check()
        cluster.start_server()
        return True

    def worker(self, campaign, name):
        if not self.strike(self.cluster.workers[name], campaign, worker=name):
            return False
        self.cluster.kill(self.cluster.workers[name])
        self.registered.discard(name)
        self.cluster.start_worker(name)
        return True

    def client(self, campaign):
        """Kills one of the programs that people run, somewhere in its call."""
        method, arguments = self.random.choice([
            ("Submit", ["submit", self.cluster.file]),
            ("WatchCampaign", ["watch", campaign]), ("StreamResults", ["results", campaign]),
            ("PauseCampaign", ["pause", campaign])])
        kind = self.random.choice(["request", "reply"])
        known = self.campaigns()
        process = self.cluster.popen("client.out", [BIN / "bitquake", *arguments, "--server",
                                                    self.cluster.address])
        self.cluster.trigger.arm(lambda event: event.kind == kind and event.method == method, 1,
                                 process.kill)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired as hanging:
            raise Failure(f"bitquake {arguments[0]} hangs") from hanging
        self.cluster.trigger.disarm()
        new = self.campaigns() - known
        if len(new) > (method == "Submit"):
            raise Failure(f"a client that was killed in {method} left {new}")
        for extra in new:
            self.cluster.ask("CancelCampaign", campaign_id=extra)
        if method == "PauseCampaign" and self.cluster.state_name(campaign) == "paused":
            self.cluster.ask("ResumeCampaign", campaign_id=campaign)
        return process.returncode == -signal.SIGKILL

    def campaigns(self):
        return {state.campaign_id for state in self.cluster.ask("ListCampaigns").campaigns}

    def frozen_worker(self, campaign):
        """Stops a worker past its lease, then lets it go on: its renewals are refused."""
        cluster, name = self.cluster, self.random.choice(WORKERS)
        process = cluster.workers[name]
        held = []

        def leased(event):
            if event.kind == "reply" and event.method == "LeaseJobs" and event.worker == name and \
                    event.reply.lease.HasField("trials"):
                held.append(event.reply.lease.lease_id)
            return bool(held) and event.kind in ("report", "reply") and event.worker == name

        cluster.trigger.arm(leased, 2, lambda: process.send_signal(signal.SIGSTOP))
        if not self.fires_before_the_end(campaign):
            return False
        lease = held[-1]
        done = self.cluster.ledger.count()
        try:
            if "revive" in cluster.proxy.mutants:
                self.renew(name, lease)
            await_true(lambda: lease not in cluster.leases(name),
                       f"lease {lease} of {name}, which is frozen, ends",
                       LEASE / 2 if "revive" in cluster.proxy.mutants else PATIENCE)
            self.ended.add(lease)
        finally:
            process.send_signal(signal.SIGCONT)
        # It goes on, and so do the others.
        await_true(lambda: cluster.is_done(campaign) or
                   cluster.ledger.count() > done, "work goes on after a freeze")
        return True

    def renew(self, name, lease):
        """The mutant: someone renews the lease in the frozen worker's name."""
        end = time.monotonic() + 2 * LEASE
        await_true(lambda: self.cluster.ask("Heartbeat", worker_id=name, lease_ids=[lease]) and
                   time.monotonic() > end, "twice a lease's time has gone by")

    def frozen_server(self, campaign):
        """Stops the server for longer than a lease; then everyone finds each other again."""
        if not self.strike(self.cluster.server, campaign, number=signal.SIGSTOP):
            return False
        frozen = time.monotonic()
        await_true(lambda: time.monotonic() > frozen + 1.5 * LEASE, "more than a lease's time goes by")
        self.cluster.server.send_signal(signal.SIGCONT)
        done = self.cluster.ledger.count()
        await_true(lambda: self.cluster.is_done(campaign) or
                   self.cluster.ledger.count() > done, "work goes on after a freeze")
        return True


def run(folder, reference, seed, kills, freezes=(2, 1), mutants=(), say=print):
    """Campaigns until there were so many kills, and the freezes."""
    with Cluster(folder, seed) as cluster:
        cluster.proxy.mutants = set(mutants)
        cluster.start_server()
        for name in WORKERS:
            cluster.start_worker(name)
        disturber = Disturber(cluster, seed, say)
        campaigns, frozen = [], {"frozen_worker": freezes[0], "frozen_server": freezes[1]}
        while disturber.kills < kills or any(frozen.values()) or not campaigns:
            campaigns.append(cluster.submit())
            going = True
            while going:
                due = [what for what, left in frozen.items() if left > 0]
                if due and (disturber.kills >= kills or disturber.random.random() < 0.05):
                    going = getattr(disturber, due[0])(campaigns[-1])
                    frozen[due[0]] -= going
                    disturber.counts[due[0].replace("_", " ")] += going
                elif disturber.kills < kills:
                    going = disturber.next(campaigns[-1])
                else:
                    break
            cluster.await_state(campaigns[-1], "done")
            if disturber.renewed:
                raise Failure(f"leases {disturber.renewed} were renewed after they had ended")
            say(f"  {len(campaigns)} campaigns, {disturber.counts}, "
                f"{cluster.ledger.count()} acknowledged")
        cluster.check_all(campaigns, reference)
        return disturber.counts
