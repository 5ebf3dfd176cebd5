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
    torch.backends.cudnn.benchmark = True  # as timm's own benchmark sets it
    with timing.compute_mode(compute), torch.inference_mode():
        forward = prepare(model)
        first = timing.seconds(device, lambda: forward(images))
        took = timing.repeat(device, lambda: forward(images), repeats, LEAST_SECONDS)
    torch.backends.cudnn.benchmark = False
    rate = timing.Figure(tuple(workload.batch / s for s in took.values))
    return ForwardRow(workload.name, program, compute, workload.batch, rate,
                      f"first call {first:.1f} s")


def eager(workload, device, compute, repeats):
    return _time(workload, device, compute, repeats, "timm eager", lambda model: model)


def compiled(workload, device, compute, repeats):
    try:
        return _time(workload, device, compute, repeats, "torch.compile",
                     lambda model: torch.compile(model, mode="max-autotune"))
    finally:
        torch.compiler.reset()  # frees the memory of its CUDA graphs
