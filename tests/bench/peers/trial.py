"""One trial of a peer: put a list of faults into the weights, run all images.

A peer's way of doing so is a Route. measure() first requires the faulty weights to equal the
reference's bit for bit, and only then times injection and inference, apart and together.
"""

import dataclasses

import torch

import reference
import timing

LONG_INJECTION = 10.0  # seconds from which on an injection is timed once


class Refused(Exception):
    """A route whose faulty weights are not the list's: it is not timed."""


class Route:
    """How one program runs a trial. Subclasses say what they do at best, and what they cannot."""

    program = ""
    name = ""
    computes = ("fp32",)
    # Whether the program injects within forward passes: run() then does more than inject and infer.
    injects_while_inferring = False

    def inject(self):
        """Puts the faults into the weights."""
        raise NotImplementedError

    def infer(self, compute):
        """Predictions of all images by the weights as they are: int64, on the device."""
        raise NotImplementedError

    def run(self, compute):
        """One whole trial."""
        self.inject()
        return self.infer(compute)

    def undo(self):
        """Makes ready for the next trial."""

    def weights(self):
        """The weights as they are, by name."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class TrialRow:
    """Seconds of a trial on all images. `predictions`: how many are those of the reference's
    weights in plain timm in fp32, in words."""
    program: str
    route: str
    flips: int
    compute: str
    images: int
    inject_s: timing.Figure
    infer_s: timing.Figure
    trial_s: timing.Figure
    predictions: str
    note: str = ""


def predict(model, batches):
    """Top-1 classes, int64 on the device."""
    return torch.cat([model(batch).argmax(1) for batch in batches])


def autocast(device, compute):
    return torch.autocast(device.type, torch.bfloat16, enabled=compute == "bf16")


def _require_equal(route, expected, moment):
    wrong = reference.difference(expected, route.weights())
    if wrong:
        raise Refused(f"{moment}, {wrong}")


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a list of faults must give."""
    flips: int
    weights: dict
    predictions: torch.Tensor  # int64, on the CPU


def measure(route, expected, device, repeats):
    """TrialRows, one for each compute mode of the route. Raises Refused."""
    with torch.inference_mode():
        injections = [timing.seconds(device, route.inject)]
        _require_equal(route, expected.weights, "after injecting")
        infers, agreeing = {}, {}
        for compute in route.computes:
            with timing.compute_mode(compute):
                found = route.infer(compute).cpu()
                agreeing[compute] = int((found == expected.predictions).sum())
                infers[compute] = timing.repeat(device, lambda: route.infer(compute), repeats,
                                                warm_ups=1)
        route.undo()
        if injections[0] < LONG_INJECTION:
            injections = [_timed_and_undone(route, device, route.inject) for _ in range(repeats)]
            trials = {compute: _time_trials(route, expected, device, compute, repeats)
                      for compute in route.computes}
            note = ""
        else:
            trials = {compute: timing.Figure(tuple(injections[0] + s for s in infer.values))
                      for compute, infer in infers.items()}
            note = "injected once; trial is the sum"
    images = len(expected.predictions)
    return [TrialRow(route.program, route.name, expected.flips, compute, images,
                     timing.Figure(tuple(injections)), infers[compute], trials[compute],
                     f"{agreeing[compute]} of {images}", note) for compute in route.computes]


def _timed_and_undone(route, device, work):
    took = timing.seconds(device, work)
    route.undo()
    return took


def _time_trials(route, expected, device, compute, repeats):
    def trial():
        route.run(compute)
        route.undo()

    with timing.compute_mode(compute):
        if route.injects_while_inferring:
            route.run(compute)
            _require_equal(route, expected.weights, "after the last forward pass")
            route.undo()
        return timing.repeat(device, trial, repeats, warm_ups=1)
