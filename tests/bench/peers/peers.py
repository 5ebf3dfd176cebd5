"""Bitquake beside timm, PyTorchFI 0.6.0 and MRFI 2.1.0, on one device in one run.

    python3 tests/bench/peers/peers.py --bitquake build/release/bin/trial_bench --out peers.json

Prints Markdown tables of figures and ratios, and writes JSON. All programs get one model (random
weights from a seed), the same images and the same list of faults; a program whose faulty weights do
not equal those of an independent reference bit for bit is named and not timed. Without --bitquake
only the peers are measured. Exit code 1: Bitquake failed, or its weights differ.

Needs Python 3.10 or later with torch 2.11, timm (with safetensors and huggingface_hub) and numpy;
for --only forward nothing else. The peers install beside them with

    pip install --no-deps pytorchfi==0.6.0 mrfi==2.1.0 PyYAML scipy

(MRFI imports the last two.) PyTorchFI's wheel also installs a package `test`, which hides Python's
own: remove it from site-packages.

Rules of fairness:
  - peers get what is best for them: images normalised and on the device, positions and values
    prepared before the clock starts; the documented way of each has a row of its own.
  - batch and compute mode are the same; in fp32 TF32 is off.
  - injection and inference are timed apart, and a whole trial by itself.

On one H100 the default takes about 8 minutes, of which compiling takes two or three. On a CPU:
--device cpu --models tiny --images 64 --flips 100 --quick. peers_test.py tests the bench; ctest
does not run it, for it needs the peers: python3 tests/bench/peers/peers_test.py
"""

import argparse
import copy
import importlib.util
import json
import logging
import pathlib
import sys
import tempfile
import time

import torch

import bitquake_trial
import reference
import report as reports
import timing
import timm_forward
import trial
import workload as workloads

PARTS = ("forward", "pytorchfi", "mrfi")
MOST_FUNCTION_CALLS = 100_000


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def words(text):
    return [word for word in text.split(",") if word]


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bitquake", type=pathlib.Path, metavar="TRIAL_BENCH",
                        help="Bitquake's trial_bench; without it only the peers are measured")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", type=words, default=list(PARTS), metavar="PART,...",
                        help="of forward, pytorchfi, mrfi")
    parser.add_argument("--models", type=words, metavar="NAME,...",
                        default=[name for name in workloads.MODELS if name != "tiny"],
                        help="timm's names, or tiny; trials run on the first")
    parser.add_argument("--batch", type=int, default=0, help="default: the model's own")
    parser.add_argument("--images", type=int, default=2048, help="of a trial")
    parser.add_argument("--flips", type=lambda text: [int(word) for word in words(text)],
                        default=[10_000, 1_000_000], metavar="N,...")
    parser.add_argument("--computes", type=words, default=list(timing.COMPUTES), metavar="MODE,...",
                        help="of the forward passes: fp32, tf32, bf16")
    parser.add_argument("--compile", type=words, default=["bf16"], metavar="MODE,...",
                        help="modes that torch.compile is measured in, on the first model; '' none")
    parser.add_argument("--repeats", type=int, default=5, help="of a forward figure; trials: 3")
    parser.add_argument("--quick", action="store_true",
                        help="first model and list only, fewer repeats, nothing compiled")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("peers.json"))
    chosen = parser.parse_args(arguments)
    for values, known in ((chosen.only, PARTS), (chosen.computes, timing.COMPUTES),
                          (chosen.compile, timing.COMPUTES)):
        for value in values:
            if value not in known:
                parser.error(f"unknown '{value}'; known are {', '.join(known)}")
    if not chosen.models or not chosen.flips or chosen.repeats < 1:
        parser.error("--models and --flips need at least one entry, --repeats at least 1")
    if chosen.quick:
        chosen.models, chosen.flips = chosen.models[:1], chosen.flips[:1]
        chosen.compile, chosen.repeats = [], min(chosen.repeats, 2)
    chosen.trial_repeats = min(chosen.repeats, 3)
    chosen.device = torch.device(chosen.device)
    if chosen.device.type == "cuda" and chosen.device.index is None:
        chosen.device = torch.device("cuda", 0)
    return chosen


class Bench:
    def __init__(self, chosen, folder):
        self._chosen = chosen
        self._device = chosen.device
        self._folder = folder
        self._bitquake_failed = False
        settings = {"seed": workloads.SEED, "format": "int8", "device": str(chosen.device)}
        self.report = reports.Report(
            reports.hardware(chosen.device),
            reports.versions([part for part in chosen.only if part != "forward"]), settings)

    def run(self):
        """Returns whether Bitquake, if it was asked for, did what it should."""
        for name in self._chosen.models:
            first = name == self._chosen.models[0]
            if not first and "forward" not in self._chosen.only:
                break
            say(f"{name}: model, images, faults")
            load = self._workload(name, trials=first)
            golden = reference.Reference(load.model)
            if "forward" in self._chosen.only:
                self._forward(load, golden, compile_too=first)
            if first and ("pytorchfi" in self._chosen.only or "mrfi" in self._chosen.only):
                for flips in self._chosen.flips:
                    self._trials(load, golden, flips)
        return not self._bitquake_failed

    def _workload(self, name, trials):
        batch = self._chosen.batch
        if trials:
            return workloads.Workload.create(name, self._chosen.images, batch, self._folder)
        count = batch or workloads.model_choice(name).batch
        return workloads.Workload.create(name, count, batch, self._folder)

    def _forward(self, load, golden, compile_too):
        for compute in self._chosen.computes:
            say(f"{load.name}: timm eager {compute}")
            self._add(timm_forward.eager(load, self._device, compute, self._chosen.repeats))
        for compute in self._chosen.compile if compile_too else []:
            say(f"{load.name}: torch.compile {compute}; takes minutes")
            self._add(timm_forward.compiled(load, self._device, compute, self._chosen.repeats))
        if self._chosen.bitquake:
            flips = self._chosen.flips[0]
            weights = golden.faulty_values(load.draw_faults(flips))
            for compute in self._chosen.computes:
                self._bitquake(load, weights, flips, load.batch, compute,
                               lambda result: bitquake_trial.forward_row(result, load))

    def _trials(self, load, golden, flips):
        faults = load.draw_faults(flips)
        batches = workloads.device_batches(load.images, load.batch, load.model, self._device)
        expected = trial.Expected(flips, golden.faulty_values(faults),
                                  self._reference_predictions(load, golden, faults, batches))
        for route in self._routes(flips):
            say(f"{flips:,} flips: {route.program}, {route.name}")
            try:
                for row in trial.measure(route(load, golden, faults, batches, self._device),
                                         expected, self._device, self._chosen.trial_repeats):
                    self._add(row)
            except trial.Refused as refused:
                self._refuse(f"{route.program}, {route.name}, {flips:,} flips", refused)
        del batches
        if self._chosen.bitquake:
            for compute in ("fp32", "bf16"):
                self._bitquake(load, expected.weights, flips, len(load.images), compute,
                               lambda result: bitquake_trial.trial_row(result, expected))

    def _routes(self, flips):
        """Only those asked for are imported: the others need not be installed."""
        if "pytorchfi" in self._chosen.only:
            import pytorchfi_trial
            yield pytorchfi_trial.Values
            if flips <= MOST_FUNCTION_CALLS:
                yield pytorchfi_trial.Function
            else:
                route = pytorchfi_trial.Function
                self._refuse(f"{route.program}, {route.name}, {flips:,} flips",
                             f"takes minutes: not run for more than {MOST_FUNCTION_CALLS:,} flips")
        if "mrfi" in self._chosen.only:
            import mrfi_trial
            yield from mrfi_trial.ROUTES

    def _reference_predictions(self, load, golden, faults, batches):
        model = copy.deepcopy(load.model)
        reference.set_weights(model, golden.faulty_values(faults))
        with timing.compute_mode("fp32"), torch.inference_mode():
            return trial.predict(model.to(self._device), batches).cpu()

    def _bitquake(self, load, weights, flips, count, compute, to_row):
        say(f"{load.name}: Bitquake {compute}, {flips:,} flips, {count:,} images")
        try:
            result = bitquake_trial.call(self._chosen.bitquake, load, flips, count, compute,
                                         self._device, self._chosen.repeats)
            bitquake_trial.require_equal(result, weights)
            self.report.versions["bitquake"] = result.get("device", "unknown")
            self._add(to_row(result))
        except (bitquake_trial.Failed, trial.Refused) as error:
            self._bitquake_failed = True
            self._refuse(f"Bitquake, {load.name}, {compute}, {flips:,} flips", error)

    def _refuse(self, what, why):
        say(f"not timed: {what}: {why}")
        self.report.refused.append((what, str(why)))
        self._write()

    def _add(self, row):
        rows = self.report.trials if isinstance(row, trial.TrialRow) else self.report.forward
        rows.append(row)
        self._write()

    def _write(self):
        """After each row: what was measured is kept if the run is cut short."""
        self._chosen.out.write_text(json.dumps(self.report.to_json(), indent=1) + "\n")


def main(arguments):
    # PyTorchFI would give the root logger a format that ordinary messages cannot fill.
    logging.basicConfig(level=logging.WARNING)
    chosen = parse(arguments)
    for peer in PARTS[1:]:
        if peer in chosen.only and importlib.util.find_spec(peer) is None:
            sys.exit(f"peers.py: {peer} is not installed in {sys.executable}; install it as this "
                     "file's head says, or leave it out with --only")
    if chosen.device.type == "cuda":
        torch.cuda.set_device(chosen.device)  # PyTorchFI asks for "cuda"
    with tempfile.TemporaryDirectory(prefix="bitquake-peers-") as folder:
        bench = Bench(chosen, folder)
        try:
            good = bench.run()
        except workloads.Unfit as error:
            sys.exit(f"peers.py: {error}")
    print(bench.report.to_markdown())
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
