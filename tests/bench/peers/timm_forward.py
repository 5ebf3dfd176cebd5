"""Raw forward passes of timm in Python: eager, and torch.compile(mode="max-autotune")."""

import copy
import dataclasses

import torch

import timing
from workload import device_batches

LEAST_SECONDS = 0.3  # of one timed run


@dataclasses.dataclass(frozen=True)
class ForwardRow:
    """Images a second of bare forward passes of one batch that lies on the device."""
    model: str
    program: str
    compute: str
    batch: int
    images_per_s: timing.Figure
    note: str = ""


def _time(workload, device, compute, repeats, program, prepare):
    batch = workload.images[:workload.batch]
    (images,) = device_batches(batch, workload.batch, workload.model, device)
    dtype = torch.bfloat16 if compute == "bf16" else torch.float32
    images = images.to(dtype)
    model = copy.deepcopy(workload.model).to(device, dtype)
    with timing.compute_mode(compute), torch.inference_mode():
        forward = prepare(model)
        first = timing.seconds(device, lambda: forward(images))
        took = timing.repeat(device, lambda: forward(images), repeats, LEAST_SECONDS)
    note = f"first call {first:.0f} s" if prepare is not _eager else ""
    rate = timing.Figure(tuple(workload.batch / s for s in took.values))
    return ForwardRow(workload.name, program, compute, workload.batch, rate, note)


def _eager(model):
    return model


def _compiled(model):
    return torch.compile(model, mode="max-autotune")


def eager(workload, device, compute, repeats):
    return _time(workload, device, compute, repeats, "timm eager", _eager)


def compiled(workload, device, compute, repeats):
    torch.compiler.reset()
    return _time(workload, device, compute, repeats, "torch.compile", _compiled)
