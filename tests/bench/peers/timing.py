"""Times on a device: medians with their range, between points where the device is idle."""

import contextlib
import dataclasses
import math
import statistics
import time

import torch

COMPUTES = ("fp32", "tf32", "bf16")


@dataclasses.dataclass(frozen=True)
class Figure:
    """One quantity, measured several times."""
    values: tuple

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def low(self):
        return min(self.values)

    @property
    def high(self):
        return max(self.values)

    def over(self, other):
        """Their ratio: of the medians, and as far off as the extremes allow."""
        return Figure((self.low / other.high, self.median / other.median, self.high / other.low))

    def to_json(self):
        return {"median": self.median, "min": self.low, "max": self.high, "runs": len(self.values)}


def idle(device):
    """Waits until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(device, work):
    """How long `work()` takes, from an idle device to an idle device."""
    idle(device)
    start = time.perf_counter()
    work()
    idle(device)
    return time.perf_counter() - start


def repeat(device, work, repeats, at_least=0.0, warm_ups=2):
    """Seconds of one `work()`, `repeats` times, each over calls that take `at_least` seconds."""
    for _ in range(warm_ups):
        once = seconds(device, work)
    calls = max(1, math.ceil(at_least / once)) if at_least else 1

    def several():
        for _ in range(calls):
            work()

    return Figure(tuple(seconds(device, several) / calls for _ in range(repeats)))


@contextlib.contextmanager
def compute_mode(compute):
    """Whether fp32 products may be computed in TF32: only for "tf32"."""
    if compute not in COMPUTES:
        raise ValueError(f"unknown compute mode '{compute}'; known are {', '.join(COMPUTES)}")
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cuda.matmul.allow_tf32 = compute == "tf32"
        torch.backends.cudnn.allow_tf32 = compute == "tf32"
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
