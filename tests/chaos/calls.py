"""Every call of both protocols with its request lost, its reply lost, doubled, delayed, cut."""

import uuid

import wire
from cluster import PATIENCE, Cluster, Failure
from proxy import FAULTS

# Leases that outlast a lost heartbeat or two.
SERVER_FLAGS = ("--lease-seconds", "3", "--lease-work-seconds", "0.3", "--max-lease-jobs", "6")
WORKER_CALLS = ("Register", "LeaseJobs", "Heartbeat", "StreamOutcomes")


def fields(method, campaign, file):
    """What a person's program would ask."""
    if method == "Submit":
        return {"file": file, "file_name": "chaos.json", "request_id": uuid.uuid4().hex}
    if method == "Validate":
        return {"file": file, "file_name": "chaos.json"}
    if method == "GetTrial":
        return {"campaign_id": campaign, "cell": 0, "trial": 0}
    return {} if method.startswith("List") else {"campaign_id": campaign}


def spoil_campaign_calls(cluster, campaign):
    """Each call of the campaign protocol, once for each fault; then without a fault it is as ever."""
    file = cluster.file.read_text()
    methods = [method for method in wire.METHODS
               if method not in (*WORKER_CALLS, "CancelCampaign", "WatchCampaign")]
    for method in [*methods, "WatchCampaign"]:  # which lasts as long as the campaign
        for fault in FAULTS:
            cluster.mischief.plan(method, [fault])
            asked = fields(method, campaign, file)
            # Every second call is left alone, so one of two meets the fault.
            replies = [cluster.ask(method, **asked) for _ in range(2)]
            if (method, fault) not in cluster.mischief.done:
                raise Failure(f"{method} did not meet '{fault}'")
            if method == "Submit":
                made = {reply.campaign_id for reply in replies}
                if len(made) != 1:
                    raise Failure(f"one request, submitted again after '{fault}', made {made}")
                cancel(cluster, made.pop(), fault)
            if method == "PauseCampaign":
                cluster.ask("ResumeCampaign", campaign_id=campaign)


def cancel(cluster, campaign, fault):
    cluster.mischief.plan("CancelCampaign", [fault])
    for _ in range(2):
        cluster.ask("CancelCampaign", campaign_id=campaign)
    if cluster.state_name(campaign) != "cancelled":
        raise Failure(f"{campaign} was cancelled under '{fault}', and is "
                      f"{cluster.state_name(campaign)}")


def run(folder, reference, seed, mutants=(), say=print):
    """Campaigns while all workers' calls are spoilt, until each has met each fault."""
    with Cluster(folder, seed, server_flags=SERVER_FLAGS) as cluster:
        cluster.proxy.mutants = set(mutants)
        cluster.start_server()
        for name in ("worker-1", "worker-2"):
            cluster.start_worker(name)
        for method in WORKER_CALLS:
            cluster.mischief.plan(method, FAULTS)
        campaigns = [cluster.submit()]
        cluster.await_state(campaigns[0], "running", "done")
        spoil_campaign_calls(cluster, campaigns[0])
        cluster.await_state(campaigns[0], "done")
        while any(method != "Register" for method, _ in cluster.mischief.left()):
            campaigns.append(cluster.submit())
            cluster.await_state(campaigns[-1], "done")
        # A worker registers once; again when its name is given to another process. Whether that call
        # meets a fault, or is one that is left alone, depends on the calls before it.
        for _ in range(20):
            if not cluster.mischief.left():
                break
            cluster.kill(cluster.workers["worker-2"])
            cluster.trigger.arm(lambda event: event.kind == "request" and
                                event.method == "LeaseJobs" and event.worker == "worker-2", 1)
            cluster.start_worker("worker-2")
            if not cluster.trigger.fired.wait(PATIENCE):
                raise Failure(f"worker-2 does not register: {cluster.log('worker-2.out')[-500:]}")
        if cluster.mischief.left():
            raise Failure(f"calls never met their fault: {cluster.mischief.left()}")
        cluster.check_all(campaigns, reference)
        met = {fault: sum(1 for _, done in cluster.mischief.done if done == fault)
               for fault in FAULTS}
        say(f"  {len(wire.METHODS)} calls met {met}")
        return met
