"""The programs of a small cluster: a coordinator, workers and clients that meet through the proxy."""

import json
import os
import pathlib
import signal
import subprocess
import threading
import time
import uuid

import grpc

import ledger
import proxy
import wire

BIN = pathlib.Path(os.environ.get("BITQUAKE_BIN_DIR", wire.SOURCE / "build" / "release" / "bin"))
DEMO = wire.SOURCE / "deploy" / "demo"
MODEL = DEMO / "models" / "vit_tiny_patch4_28.fashion_mnist"
DATA = DEMO / "data" / "fashion-mnist"
PATIENCE = 600  # seconds after which a wait says that it hangs
LEASE = 1.0     # seconds
SERVER_FLAGS = ("--lease-seconds", str(LEASE), "--lease-work-seconds", "0.3", "--max-lease-jobs", "6")

# Many small jobs: 4 images each, from one of the last blocks on.
CAMPAIGN = {"name": "chaos", "seed": 7, "models": [MODEL.name], "dataset": DATA.name,
            "formats": ["int8"], "granularities": [{"block": {"blocks": [5, 6, 7]}}],
            "ber": [1e-6, 1e-3, 1e-2], "trials": 20, "images": {"first": 12}, "folds": 3}


class Failure(Exception):
    """A promise that was not kept, or a wait without end."""


def await_true(condition, what, patience=PATIENCE):
    """Waits for a condition that nothing announces."""
    end = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"waited {patience} s for this: {what}")
        time.sleep(0.01)


class Trigger:
    """Does something at the n-th event of a kind, in the thread that sees it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.wanted, self.left, self.action = None, 0, None
        self.fired = threading.Event()

    def arm(self, wanted, count, action=lambda: None):
        with self.lock:
            self.wanted, self.left, self.action = wanted, count, action
            self.fired = threading.Event()

    def disarm(self):
        """False if it has fired."""
        with self.lock:
            was_armed, self.wanted = self.wanted is not None, None
            return was_armed

    def see(self, event):
        with self.lock:
            if self.wanted is None or not self.wanted(event):
                return
            self.left -= 1
            if self.left > 0:
                return
            self.wanted = None
            self.action()
            self.fired.set()


class Cluster:
    """`folder` holds all that it writes. Use it in a `with`: it ends what it started."""

    def __init__(self, folder, seed=0, server_flags=SERVER_FLAGS, server_wrapper=()):
        self.folder = pathlib.Path(folder)
        self.database = self.folder / "campaign.db"
        self.server_flags, self.server_wrapper = server_flags, server_wrapper
        self.models, self.data = MODEL.parent, DATA.parent
        self.ledger, self.trigger = ledger.Ledger(), Trigger()
        self.mischief = proxy.Mischief(seed)
        self.observers = [self.trigger.see]
        self.server, self.workers = None, {}
        self.real_address = f"unix:{self.folder}/server.sock"
        self.address = f"unix:{self.folder}/proxy.sock"
        self.proxy = proxy.Proxy(self.address, self.real_address, self.ledger, self.see,
                                 self.mischief, seed)
        self.channel = grpc.insecure_channel(self.address, options=[
            ("grpc.initial_reconnect_backoff_ms", 20), ("grpc.max_reconnect_backoff_ms", 50),
            *proxy.OPTIONS])
        self.environment = {key: value for key, value in os.environ.items()
                            if not key.startswith("BITQUAKE_SERVER")}
        self.environment["XDG_CACHE_HOME"] = str(self.folder / "cache")
        self.environment["XDG_STATE_HOME"] = str(self.folder / "state")  # spools
        self.file = self.folder / "chaos.json"
        self.file.write_text(json.dumps(CAMPAIGN))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in [*self.workers.values(), self.server]:
            self.kill(process)
        self.channel.close()
        self.proxy.stop()

    def see(self, event):
        for observer in self.observers:
            observer(event)

    # Processes.

    def popen(self, log, command, **options):
        with open(self.folder / log, "ab") as output:
            return subprocess.Popen([str(part) for part in command], stdout=output,
                                    stderr=subprocess.STDOUT, env=self.environment, **options)

    @staticmethod
    def kill(process):
        """kill -9, whatever state it is in; returns when it is dead."""
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()

    def log(self, name):
        path = self.folder / name
        return path.read_text(errors="replace") if path.exists() else ""

    def launch_server(self):
        """Starts the server and does not wait; returns what a waiter reads from."""
        reader, writer = os.pipe()
        self.server = self.popen("server.out", [
            *self.server_wrapper, BIN / "bitquake-server", "--db", self.database, "--listen",
            self.real_address, "--ready-fd", writer, *self.server_flags], pass_fds=[writer])
        os.close(writer)
        return os.fdopen(reader)

    def start_server(self):
        with self.launch_server() as ready:
            if not ready.readline():
                self.server.wait()
                raise Failure("the server did not start: " + self.log("server.out")[-2000:])

    def start_worker(self, name, models=None, data=None):
        self.workers[name] = self.popen(f"{name}.out", [
            BIN / "bitquake-worker", "--server", self.address, "--model-root",
            models or self.models, "--data-root", data or self.data, "--id", name, "--threads",
            "1"])

    def kill_server_and_check(self):
        """After a kill -9 everything acknowledged is in the file."""
        self.kill(self.server)
        complaints = self.ledger.check_kept(self.database)
        if complaints:
            raise Failure("; ".join(complaints[:3]))

    # Calls.

    def ask(self, name, patient=True, **fields):
        """A call of the campaign protocol, made again while the server is away."""
        method = wire.METHODS[name]
        kind = self.channel.unary_stream if name in wire.SERVER_STREAMS else self.channel.unary_unary
        call = kind(method.path, request_serializer=method.request.SerializeToString,
                    response_deserializer=method.reply.FromString)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                reply = call(method.request(**fields), timeout=10)
                return list(reply) if name in wire.SERVER_STREAMS else reply
            except grpc.RpcError as error:
                away = error.code() in (grpc.StatusCode.UNAVAILABLE,
                                        grpc.StatusCode.DEADLINE_EXCEEDED)
                if not (patient and away) or time.monotonic() > end:
                    raise
                time.sleep(0.01)

    def submit(self):
        return self.ask("Submit", file=json.dumps(CAMPAIGN), file_name="chaos.json",
                        request_id=uuid.uuid4().hex).campaign_id

    def state(self, campaign):
        return self.ask("GetCampaign", campaign_id=campaign)

    @staticmethod
    def name_of(state):
        return wire.campaign_pb2.CampaignState.Name(state.state).rsplit("_", 1)[1].lower()

    def state_name(self, campaign):
        return self.name_of(self.state(campaign))

    def is_in(self, state, wanted):
        """The state's name, or False; a failure if it waits for a person and will not be any of those."""
        name = self.name_of(state)
        if name not in wanted and name in ("paused", "failed") and state.error:
            raise Failure(f"{state.campaign_id} is {name}: {state.error}")
        return name in wanted and name

    def is_done(self, campaign):
        """Also False when the server does not answer: it may just have been killed."""
        try:
            state = self.ask("GetCampaign", patient=False, campaign_id=campaign)
        except grpc.RpcError:
            return False
        return bool(self.is_in(state, ["done"]))

    def await_state(self, campaign, *wanted, patience=PATIENCE):
        return await_true(lambda: self.is_in(self.state(campaign), wanted),
                          f"{campaign} is {' or '.join(wanted)}", patience)

    def client(self, *arguments, code=0):
        """A client's whole life; it is run again while it says that the server is away (3)."""
        end = time.monotonic() + PATIENCE
        while True:
            done = subprocess.run([str(BIN / "bitquake"), *map(str, arguments), "--server",
                                   self.address], capture_output=True, text=True,
                                  env=self.environment, timeout=PATIENCE)
            if done.returncode != 3 or time.monotonic() > end:
                break
        if done.returncode != code:
            raise Failure(f"bitquake {arguments}: exit code {done.returncode}: {done.stderr}")
        return done.stdout

    def results(self, campaign):
        return (self.client("results", campaign, "--format", "csv"),
                self.client("results", campaign, "--format", "csv", "--trials"))

    def check_all(self, campaigns, reference, alarms=0):
        """Everything that must hold in the end."""
        for campaign in campaigns:
            state = self.state(campaign)
            if state.jobs_done != state.jobs_total:
                raise Failure(f"{campaign}: {state}")
            if self.results(campaign) != reference:
                raise Failure(f"{campaign}: its results differ from those of an undisturbed run")
        complaints = self.ledger.check_kept(self.database, everything=True)
        complaints += ledger.check_database(self.database, alarms)
        complaints += self.ledger.refused
        if complaints:
            raise Failure("; ".join(complaints[:5]))

    def query(self, sql, *values):
        """The first value of the first row."""
        with ledger.copied(self.database) as db:
            row = db.execute(sql, values).fetchone()
        return row and row[0]

    def inside(self, path):
        """The path as the server sees it, which may have file systems of its own."""
        return pathlib.Path(f"/proc/{self.server.pid}/root{path}")

    def leases(self, worker):
        """That the worker holds, by the database."""
        with ledger.copied(self.database) as db:
            return {row[0] for row in db.execute("SELECT id FROM leases WHERE worker = ?", [worker])}

    @staticmethod
    def drain(process):
        """SIGTERM; the exit code."""
        process.send_signal(signal.SIGTERM)
        return process.wait(PATIENCE)


def undisturbed(folder):
    """The results of a run that nobody disturbs."""
    folder = pathlib.Path(folder)
    file = folder / "chaos.json"
    file.write_text(json.dumps(CAMPAIGN))
    environment = dict(os.environ, XDG_CACHE_HOME=str(folder / "cache"))
    subprocess.run([str(BIN / "bitquake"), "run", str(file), "--out", str(folder / "run"),
                    "--model-root", str(MODEL.parent), "--data-root", str(DATA.parent)], check=True,
                   stdout=subprocess.DEVNULL, env=environment)
    return tuple((folder / "run" / name).read_text() for name in ("cells.csv", "trials.csv"))
