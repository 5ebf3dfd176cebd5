"""Bitquake's trial_bench as a child process, on the same files.

  trial_bench --model DIR --images RAW --count N --faults CSV --format int8
      --compute fp32|tf32|bf16|fp16 --device cpu|cuda[:i] --batch B --repeats R

prints one JSON object: device, compute, batch, images; forward_images_per_s (bare forward passes);
inject_s, undo_s, infer_s, trial_s (one trial on all images); faulty_weights (for each tensor, the
SHA-256 of the fp32 little-endian bytes of its faulty dequantised values) and predictions (the
classes under faults). A figure is a number, or a list of the repeats' numbers.
"""

import gc
import json
import subprocess

import torch

import reference
import timing
from timm_forward import ForwardRow
from trial import Refused, TrialRow

PROGRAM = "Bitquake"


class Failed(Exception):
    """trial_bench did not do what its contract says."""


def _figure(result, key):
    try:
        values = result[key] if isinstance(result[key], list) else [result[key]]
        return timing.Figure(tuple(float(value) for value in values))
    except (KeyError, TypeError, ValueError) as error:
        raise Failed(f"trial_bench's JSON has no figure '{key}' ({error!r})") from error


def _sum(a, b):
    if len(a.values) != len(b.values):
        return timing.Figure((a.median + b.median,))
    return timing.Figure(tuple(x + y for x, y in zip(a.values, b.values)))


def call(program, workload, flips, count, compute, device, repeats):
    """What trial_bench prints."""
    command = [str(program), "--model", str(workload.folder / "model"),
               "--images", str(workload.folder / "images.raw"), "--count", str(count),
               "--faults", str(workload.faults_path(flips)), "--format", "int8",
               "--compute", compute, "--device", str(device), "--batch", str(workload.batch),
               "--repeats", str(repeats)]
    if device.type == "cuda":
        gc.collect()  # MRFI's models hold themselves
        torch.cuda.empty_cache()  # the child needs the memory
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode != 0:
        raise Failed(f"{' '.join(command)} exited with {child.returncode}: {child.stderr[-2000:]}")
    try:
        return json.loads(child.stdout)
    except json.JSONDecodeError as error:
        raise Failed(f"trial_bench printed no JSON ({error}): {child.stdout[:500]}") from error


def require_equal(result, weights):
    """Raises Refused unless the hashes are those of `weights`. Tensors that the peers cannot reach
    (tokens, positions) may be among them; they are not compared."""
    hashes = result.get("faulty_weights", {})
    wrong = [name for name, value in weights.items()
             if hashes.get(name) != reference.sha256(value)]
    if wrong:
        what = "differs" if wrong[0] in hashes else "is missing"
        raise Refused(f"{len(wrong)} of {len(weights)} faulty weights differ or are missing; "
                      f"{wrong[0]} {what}")


def forward_row(result, workload):
    return ForwardRow(workload.name, PROGRAM, result["compute"], workload.batch,
                      _figure(result, "forward_images_per_s"))


def trial_row(result, expected):
    images = len(expected.predictions)
    found = torch.tensor(result.get("predictions", []))
    same = int((found == expected.predictions).sum()) if len(found) == images else 0
    return TrialRow(PROGRAM, "in place, and undo", expected.flips, result["compute"], images,
                    _sum(_figure(result, "inject_s"), _figure(result, "undo_s")),
                    _figure(result, "infer_s"), _figure(result, "trial_s"),
                    f"{same} of {images}")
