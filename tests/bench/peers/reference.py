"""The weights that a list of faults must give, computed apart from all programs under test.

int8, one scale a tensor, all in fp32: scale = absmax / 127; q = round_half_even(w / scale),
clipped to -128..127; value = q * scale. A fault inverts one bit of q in two's complement; nothing
is clamped after it. On the CPU: a GPU's kernels divide by a constant by multiplying with its
reciprocal.
"""

import dataclasses
import hashlib
import sys

import numpy as np
import torch

from workload import WORD_BITS, faultable_weights


@dataclasses.dataclass(frozen=True)
class QuantizedWeight:
    words: torch.Tensor  # int8, the weight's shape
    scale: torch.Tensor  # fp32, no dimension

    def values(self):
        return self.words.float() * self.scale


def quantize(weight):
    weight = weight.detach().cpu().float()
    highest = torch.tensor(2.0 ** (WORD_BITS - 1) - 1)
    scale = torch.div(weight.abs().max(), highest)
    if scale == 0:
        scale = torch.tensor(1.0)
    words = torch.div(weight, scale).clamp(-highest - 1, highest).round().to(torch.int8)
    return QuantizedWeight(words, scale)


def flip(quantized, faults):
    """The words with `faults`' bits inverted, each in turn."""
    words = quantized.words.numpy().flatten()
    masks = np.left_shift(1, faults.bits).astype(np.uint8)
    np.bitwise_xor.at(words.view(np.uint8), faults.indices, masks)
    return QuantizedWeight(torch.from_numpy(words).view_as(quantized.words), quantized.scale)


class Reference:
    """Golden words of a model's faultable weights, and the faulty values for a list."""

    def __init__(self, model):
        self.golden = {name: quantize(w) for name, w in faultable_weights(model).items()}

    def faulty_values(self, faults):
        """fp32 values of all faultable weights, by name."""
        return {name: (flip(golden, faults.tensors[name]) if name in faults.tensors
                       else golden).values() for name, golden in self.golden.items()}

    def set_golden(self, model):
        """Gives a model the golden values: what a peer without a quantiser starts from."""
        set_weights(model, {name: golden.values() for name, golden in self.golden.items()})


def set_weights(model, values):
    weights = faultable_weights(model)
    for name, value in values.items():
        weights[name].data.copy_(value)


def difference(expected, found):
    """What is wrong with weights that should equal `expected` bit for bit; empty if nothing."""
    missing = [name for name in expected if name not in found]
    if missing:
        return f"{len(missing)} weights are missing, {missing[0]} first"
    wrong = {}
    for name, value in expected.items():
        weight = found[name].detach().float().cpu().contiguous()
        if weight.shape != value.shape:
            return f"{name} has shape {list(weight.shape)}, not {list(value.shape)}"
        unequal = (weight.view(torch.int32) != value.contiguous().view(torch.int32)).sum().item()
        if unequal:
            wrong[name] = unequal
    if not wrong:
        return ""
    count = sum(value.numel() for value in expected.values())
    return (f"{sum(wrong.values()):,} of {count:,} values differ, in {len(wrong)} of "
            f"{len(expected)} weights, {next(iter(wrong))} first")


def sha256(tensor):
    """Of the fp32 little-endian bytes."""
    if sys.byteorder != "little":
        raise RuntimeError("needs a little-endian machine")
    return hashlib.sha256(tensor.detach().float().cpu().contiguous().numpy().tobytes()).hexdigest()
