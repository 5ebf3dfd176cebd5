"""Stands between the coordinator and all who call it: sees every message, and spoils some.

It speaks gRPC on both sides. What it sees it tells its observer, in the thread that handles the
call: an observer that kills the server after a report was passed on does so before the
acknowledgement can come.
"""

import concurrent.futures
import queue
import random
import threading
import time
import uuid

import grpc

import wire

FAULTS = ("lose request", "lose reply", "double", "delay", "cut")
LOST = grpc.StatusCode.UNAVAILABLE
OPTIONS = [("grpc.max_receive_message_length", 256 << 20), ("grpc.max_send_message_length", 256 << 20)]


class Event:
    """Something that went over the wire."""

    def __init__(self, kind, method="", worker="", message=None, reply=None):
        self.kind = kind  # request | reply | report | acknowledgement
        self.method, self.worker, self.message, self.reply = method, worker, message, reply


class Mischief:
    """Which faults the next calls suffer. Every second call of a method is left alone."""

    def __init__(self, seed=0):
        self.lock = threading.Lock()
        self.random = random.Random(seed)
        self.planned = {}  # method -> faults to come
        self.turn = {}
        self.under_way = []  # of calls that go on and may end without their fault
        self.done = []

    def plan(self, method, faults):
        with self.lock:
            self.planned.setdefault(method, []).extend(faults)

    def next(self, method, at_once=True):
        """The fault of this call, and a small number to vary it by; or (None, 0).

        If it does not strike at once, `met` says when it does, and `ended` that the call is over.
        """
        with self.lock:
            self.turn[method] = not self.turn.get(method, False)
            if not self.turn[method] or not self.planned.get(method):
                return None, 0
            fault = self.planned[method].pop(0)
            (self.done if at_once else self.under_way).append((method, fault))
            return fault, self.random.randrange(1, 5)

    def met(self, method, fault):
        with self.lock:
            if (method, fault) in self.under_way:
                self.under_way.remove((method, fault))
                self.done.append((method, fault))

    def ended(self, method, fault):
        """The call is over. If its fault has not struck, another call shall suffer it."""
        with self.lock:
            if (method, fault) in self.under_way:
                self.under_way.remove((method, fault))
                self.planned[method].insert(0, fault)

    def waits(self, method, fault):
        with self.lock:
            return (method, fault) in self.under_way

    def expects(self, method):
        with self.lock:
            return bool(self.planned.get(method))

    def left(self):
        with self.lock:
            return self.under_way + [(method, fault) for method, faults in self.planned.items()
                                     for fault in faults]


class Proxy(grpc.GenericRpcHandler):
    """`observe` is called with every Event, from any thread. `mutants` make the proxy lie, so that
    what should find lies is seen to find them:

    swallow: acknowledges some outcomes itself, and passes them on to nobody.
    reseed: changes the seed in the leases of worker-1.
    resubmit: what is doubled of Submit has a request ID of its own.
    contradict: what is doubled of an outcome has another digest.

    (Under `revive` someone renews a frozen worker's lease in its name: kills.py. Under `harmless`
    damage.py and memory.py damage nothing.)
    """

    def __init__(self, address, server, ledger, observe=lambda event: None, mischief=None, seed=0):
        self.ledger, self.observe = ledger, observe
        self.mischief = mischief or Mischief()
        self.mutants, self.tamper = set(), lambda report: report
        self.random = random.Random(seed)
        self.channel = grpc.insecure_channel(server, options=OPTIONS + [
            ("grpc.initial_reconnect_backoff_ms", 20), ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 50)])
        self.pool = concurrent.futures.ThreadPoolExecutor(128)
        self.server = grpc.server(self.pool, handlers=[self], options=OPTIONS)
        self.server.add_insecure_port(address)
        self.server.start()

    def stop(self):
        self.server.stop(0).wait()
        self.channel.close()
        self.pool.shutdown()

    # Of grpc.GenericRpcHandler.
    def service(self, details):
        method = wire.BY_PATH.get(details.method)
        if method is None:
            return None
        if method.name in wire.BIDIRECTIONAL:
            return grpc.stream_stream_rpc_method_handler(
                lambda reports, context: self.outcomes(method, reports, context))
        if method.name in wire.SERVER_STREAMS:
            return grpc.unary_stream_rpc_method_handler(
                lambda request, context: self.stream(method, request, context))
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self.unary(method, request, context))

    def unary(self, method, data, context):
        request = method.request.FromString(data)
        worker = getattr(request, "worker_id", "")
        fault, size = self.mischief.next(method.name)
        if fault == "delay":
            time.sleep(0.05 * size)
        self.observe(Event("request", method.name, worker, request))
        if fault in ("lose request", "cut"):
            context.abort(LOST, "chaos: the request is lost")
        call = self.channel.unary_unary(method.path)
        sent = [call.future(data, timeout=context.time_remaining())]
        if fault == "double":
            if "resubmit" in self.mutants and method.name == "Submit":
                request.request_id = uuid.uuid4().hex
            sent.append(call.future(request.SerializeToString(), timeout=context.time_remaining()))
        context.add_callback(lambda: [future.cancel() for future in sent])
        try:
            answers = [future.result() for future in sent]
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
        except grpc.FutureCancelledError:
            context.abort(grpc.StatusCode.CANCELLED, "the caller went away")
        reply = method.reply.FromString(answers[-1])
        if "reseed" in self.mutants and method.name == "LeaseJobs" and worker == "worker-1" and \
                reply.HasField("lease"):
            reply.lease.campaign.resolved_json = reply.lease.campaign.resolved_json.replace(
                '"seed":7', '"seed":8').replace('"seed": 7', '"seed": 8')
            answers[-1] = reply.SerializeToString()
        self.observe(Event("reply", method.name, worker, request, reply))
        if fault == "lose reply":
            context.abort(LOST, "chaos: the reply is lost")
        return answers[-1]

    def stream(self, method, data, context):
        fault, size = self.mischief.next(method.name)
        if fault == "delay":
            time.sleep(0.05 * size)
        self.observe(Event("request", method.name, message=method.request.FromString(data)))
        if fault == "lose request":
            context.abort(LOST, "chaos: the request is lost")
        open_stream = self.channel.unary_stream(method.path)
        if fault == "double":
            twin = open_stream(data)
            context.add_callback(twin.cancel)
        call = open_stream(data)
        context.add_callback(call.cancel)
        try:
            for reply in call:
                self.observe(Event("reply", method.name, reply=method.reply.FromString(reply)))
                if fault == "lose reply":
                    context.abort(LOST, "chaos: the reply is lost")
                yield reply
                if fault == "cut":
                    context.abort(LOST, "chaos: cut in the middle")
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
        finally:
            call.cancel()

    def outcomes(self, method, reports, context):
        """A stream of outcomes; its fault strikes after a few reports have passed.

        What is doubled has struck when the server has answered both outcomes of a trial.
        """
        fault, size = self.mischief.next(method.name, at_once=False)
        sent, passed = {}, 0
        once = set()  # trials' reports that were answered
        forged = queue.SimpleQueue()
        lost = threading.Event()

        def outgoing():
            nonlocal passed
            for data in reports:
                report = self.tamper(method.request.FromString(data))
                if "swallow" in self.mutants and report.HasField("trial") and \
                        self.random.random() < 0.2:
                    self.ledger.acknowledge(report, "")
                    forged.put(report.sequence)
                    continue
                passed += 1
                late = passed > size
                if fault == "lose request" and late:
                    self.mischief.met(method.name, fault)
                    lost.set()
                    call.cancel()
                    return
                if fault == "delay" and late:
                    self.mischief.met(method.name, fault)
                    time.sleep(0.02)
                sent[report.sequence] = report
                data = report.SerializeToString()
                yield data
                self.observe(Event("report", method.name, report.worker_id, report))
                if fault == "double":
                    if "contradict" in self.mutants and report.HasField("trial"):
                        twin = method.request.FromString(data)
                        twin.trial.outcome_digest = report.trial.outcome_digest[::-1]
                        data = twin.SerializeToString()
                    yield data

        # The generator runs in a thread of gRPC's once the call is made.
        begun = threading.Event()

        def after_begun():
            begun.wait()
            yield from outgoing()

        call = self.channel.stream_stream(method.path)(after_begun())
        begun.set()
        context.add_callback(call.cancel)
        answered = 0
        try:
            for data in call:
                answer = method.reply.FromString(data)
                if answer.sequence:  # else it says that a lease has ended
                    report = sent[answer.sequence]
                    self.ledger.acknowledge(report, answer.error)
                    self.observe(Event("acknowledgement", method.name, report.worker_id, report,
                                       answer))
                    answered += 1
                    if fault == "double" and answer.sequence in once:
                        self.mischief.met(method.name, fault)
                    if report.HasField("trial"):
                        once.add(answer.sequence)
                if fault in ("cut", "lose reply") and answered > size:
                    self.mischief.met(method.name, fault)
                    context.abort(LOST, f"chaos: {fault}")
                while not forged.empty():
                    yield method.reply(sequence=forged.get()).SerializeToString()
                yield data
                if answered > size + 10 and self.mischief.expects(method.name) and \
                        not self.mischief.waits(method.name, fault):
                    context.abort(LOST, "chaos: on to the next fault")
        except grpc.RpcError as error:
            if lost.is_set():
                context.abort(LOST, "chaos: reports are lost")
            context.abort(error.code(), error.details())
        finally:
            call.cancel()
            self.mischief.ended(method.name, fault)
