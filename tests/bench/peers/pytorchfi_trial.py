"""PyTorchFI 0.6.0: weights through pytorchfi.core.fault_injection.declare_weight_fi.

It has no number formats and no bit flip of its own for weights, so it starts from the golden
(dequantised) weights, and the flip comes from its user: as a function that it calls for each fault,
its documented way, or as values that were computed before, its best case. Each declare copies the
model. Layers are counted, in the order of the model, over the types asked for (Conv2d alone by
default); a number out of range would inject nothing, silently.
"""

import copy

import torch
from pytorchfi.core import fault_injection

from trial import Route, predict
from workload import FAULTABLE_LAYERS, WORD_BITS, faultable_weights, input_size


class _Declared(Route):
    """Shared by both ways. What can be prepared before the trials is."""

    program = "PyTorchFI 0.6.0"

    def __init__(self, workload, golden, faults, batches, device):
        model = copy.deepcopy(workload.model).to(device)
        golden.set_golden(model)
        self._injector = fault_injection(model, workload.batch,
                                         input_shape=list(input_size(model)),
                                         layer_types=list(FAULTABLE_LAYERS))
        self._places = _places(faultable_weights(model), faults)
        self._batches = {"fp32": batches}
        if "bf16" in self.computes:
            self._batches["bf16"] = [batch.bfloat16() for batch in batches]
        self._faulty = None

    def infer(self, compute):
        if compute == "bf16":
            self._faulty.bfloat16()  # of fp32 weights that were found equal; in place, once
        return predict(self._faulty, self._batches[compute])

    def undo(self):
        self._faulty = None
        self._injector.fi_reset()

    def weights(self):
        return faultable_weights(self._faulty)


class Values(_Declared):
    name = "values computed before"
    computes = ("fp32", "bf16")

    def __init__(self, workload, golden, faults, batches, device):
        super().__init__(workload, golden, faults, batches, device)
        faulty = golden.faulty_values(faults)
        self._values = [value for name, hit in faults.tensors.items()
                        for value in faulty[name].flatten()[hit.indices].tolist()]

    def inject(self):
        self._faulty = self._injector.declare_weight_fi(**self._places, value=self._values)


class Function(_Declared):
    name = "a function for each fault"

    def __init__(self, workload, golden, faults, batches, device):
        super().__init__(workload, golden, faults, batches, device)
        self._faults = [(golden.golden[name].scale.item(), _mask(bit))
                        for name, hit in faults.tensors.items() for bit in hit.bits.tolist()]

    def inject(self):
        # Faults are passed, and so called for, in the order of the layers.
        faults = iter(self._faults)

        def flip(weight, place):
            scale, mask = next(faults)
            word = torch.round(weight[place] / scale).to(torch.int32)
            return (word ^ mask) * scale

        self._faulty = self._injector.declare_weight_fi(**self._places, function=flip)


def _mask(bit):
    """As an integer whose XOR with a sign-extended word is a word again."""
    return -(1 << bit) if bit == WORD_BITS - 1 else 1 << bit


def _places(weights, faults):
    """PyTorchFI's coordinates: parallel lists; a Linear weight has neither dim2 nor dim3."""
    places = {"layer_num": [], "k": [], "dim1": [], "dim2": [], "dim3": []}
    for layer, (name, weight) in enumerate(weights.items()):
        if name not in faults.tensors:
            continue
        indices = torch.from_numpy(faults.tensors[name].indices)
        coordinates = [c.tolist() for c in torch.unravel_index(indices, weight.shape)]
        none = [None] * len(indices)
        coordinates += [none] * (4 - len(coordinates))
        places["layer_num"] += [layer] * len(indices)
        for key, values in zip(("k", "dim1", "dim2", "dim3"), coordinates):
            places[key] += values
    return places

