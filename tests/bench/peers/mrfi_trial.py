"""MRFI 2.1.0: weights through its forward pre-hooks, with FixPositions and IntFixedBitFlip.

Each forward pass in which injection is on restores a layer's weight, quantises, flips and
dequantises it; so a trial of eight batches injects eight times. FixPositions makes those eight
fault sets one. Two bits in one word would lose one.

Its SymmericQuantization shifts by the range in fp32, and so does not give the values q * scale:
that route is checked, and refused. The others use a quantiser of the bench's, registered by
mrfi.add_function, with fewer operations than MRFI's.
"""

import copy

import mrfi
import mrfi.mrfi
import torch

from trial import Route, autocast, predict
from workload import WORD_BITS, faultable_weights


class ScaleQuantization:
    """q = round(w / scale), value = q * scale; in place, as MRFI asks. With `dynamic_range` "auto"
    MRFI passes the tensor's absmax."""

    @staticmethod
    def _scale(dynamic_range):
        # A tensor on the device: a constant would be divided by as a product with its reciprocal.
        return dynamic_range / torch.full_like(dynamic_range, 2 ** (WORD_BITS - 1) - 1)

    @staticmethod
    def quantize(x, dynamic_range):
        x.div_(ScaleQuantization._scale(dynamic_range)).round_().add_(0.0)  # no -0

    @staticmethod
    def dequantize(x, dynamic_range):
        x.mul_(ScaleQuantization._scale(dynamic_range))


class KnownScaleQuantization:
    """The same with a scale that is known before."""

    @staticmethod
    def quantize(x, scale):
        x.div_(scale).round_()

    @staticmethod
    def dequantize(x, scale):
        x.mul_(scale)


mrfi.add_function("ScaleQuantization", ScaleQuantization)
mrfi.add_function("KnownScaleQuantization", KnownScaleQuantization)


class _Hooked(Route):
    program = "MRFI 2.1.0"
    computes = ("fp32", "bf16")
    injects_while_inferring = True
    quantization = {}  # MRFI's configuration

    def __init__(self, workload, golden, faults, batches, device):
        self._device = device
        self._batches = batches
        model = copy.deepcopy(workload.model).to(device)
        self._prepare(model, golden)
        self._layers = {name: module for name, module in model.named_modules()
                        if f"{name}.weight" in faultable_weights(model)}
        self._mrfi = mrfi.MRFI(model, mrfi.EasyConfig({"faultinject": [{
            "type": "weight", "name": "weight", "module_fullname": list(self._layers),
            "quantization": dict(self.quantization),
            "selector": {"method": "FixPositions", "positions": []},
            "error_mode": {"method": "IntFixedBitFlip", "bit_width": WORD_BITS, "bit": []},
        }]}))
        for name, hit in faults.tensors.items():
            self._config(name, "selector.args").positions = hit.indices.tolist()
            self._config(name, "error_mode.args").bit = hit.bits.tolist()

    def _prepare(self, model, golden):
        """Sets the weights that MRFI starts from; as created unless a route says otherwise."""

    def _config(self, weight, part):
        layer = weight.removesuffix(".weight")
        (config,) = self._mrfi.get_weights_configs(part, strict=True, module_fullname=layer)
        return config

    def _inject_once(self):
        """What MRFI's hooks do before the layers of one forward pass."""
        self._mrfi.global_FI_enabled = True
        for layer in self._layers.values():
            mrfi.mrfi._FI_weights(layer.FI_config.weights, layer)

    def infer(self, compute):
        self._mrfi.global_FI_enabled = False  # the last faults stay in the weights
        return self._forward(self._batches, compute)

    def _forward(self, batches, compute):
        with autocast(self._device, compute):
            return predict(self._mrfi, batches)

    def weights(self):
        return faultable_weights(self._mrfi.model)


class Documented(_Hooked):
    name = "every word, every forward"
    quantization = {"method": "ScaleQuantization", "dynamic_range": "auto"}

    def inject(self):
        for _ in self._batches:
            self._inject_once()

    def run(self, compute):
        self._mrfi.global_FI_enabled = True
        return self._forward(self._batches, compute)


class OwnQuantization(Documented):
    name = "its SymmericQuantization"
    quantization = {"method": "SymmericQuantization", "dynamic_range": "auto",
                    "bit_width": WORD_BITS}


class Best(_Hooked):
    """Starts from golden values, quantises only the words that are hit, injects in the first
    forward pass, and then switches injection off: undocumented, but the faults stay."""

    name = "hit words, first forward"
    quantization = {"method": "KnownScaleQuantization", "layerwise": False, "scale": None}

    def __init__(self, workload, golden, faults, batches, device):
        super().__init__(workload, golden, faults, batches, device)
        for name in faultable_weights(self._mrfi.model):
            self._config(name, "quantization.args").scale = golden.golden[name].scale.to(device)

    def _prepare(self, model, golden):
        golden.set_golden(model)

    def inject(self):
        self._inject_once()

    def run(self, compute):
        self._mrfi.global_FI_enabled = True
        first = self._forward(self._batches[:1], compute)
        return torch.cat([first, self.infer_rest(compute)]) if self._batches[1:] else first

    def infer_rest(self, compute):
        self._mrfi.global_FI_enabled = False
        return self._forward(self._batches[1:], compute)


ROUTES = (OwnQuantization, Documented, Best)
