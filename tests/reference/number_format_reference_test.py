"""Words and values of every number format, of common/fault and of bitquake_reference, bit for bit.

    python3 number_format_reference_test.py PATH_OF_FAULT_WORDS
"""

import itertools
import sys
import unittest

import numpy as np

import bitquake_reference as reference
import fault_words

INTS = [f"int{bits}" for bits in range(2, 17)]
FIXED = ["fixed(2.6)", "fixed(1.7)", "fixed(4.0)", "fixed(1.1)", "fixed(3.5)", "fixed(8.8)",
         "fixed(1.15)", "fixed(16.0)"]
MINIFLOATS = list(reference.MINIFLOATS)
FORMATS = INTS + FIXED + ["fp32"] + MINIFLOATS
SHAPES = [(40,), (7, 9), (8, 3, 2, 2), (1, 1, 33), (12, 1), (1,)]


def float32(values):
    return np.asarray(values, np.float64).astype(np.float32)


def with_neighbours(values):
    """Each, the floats beside it, and their negatives."""
    values = float32(values)
    up, down = np.nextafter(values, np.float32(np.inf)), np.nextafter(values, np.float32(-np.inf))
    every = np.concatenate([values, up, down])
    every = np.concatenate([every, -every])
    return every[np.isfinite(every)]


def random_finite(rng, count):
    """Of random bits: every exponent alike."""
    bits = rng.integers(0, 2**32, 2 * count + 64, dtype=np.uint64).astype(np.uint32)
    values = bits.view(np.float32)
    return values[np.isfinite(values)][:count]


def ordinary_weights(rng, shape):
    return float32(rng.normal(0, 0.02, shape))


def with_outlier(rng, shape):
    weights = ordinary_weights(rng, shape)
    weights.flat[rng.integers(weights.size)] = -1e4
    return weights


def with_zero_channel(rng, shape):
    weights = ordinary_weights(rng, shape)
    weights[rng.integers(shape[0])] = 0
    return weights


def subnormal(rng, shape):
    return (rng.integers(0, 2**23, shape).astype(np.uint32) |
            (rng.integers(0, 2, shape).astype(np.uint32) << 31)).view(np.float32)


def largest(rng, shape):
    most = np.finfo(np.float32).max
    return rng.choice(float32([most, -most, most / 2, 1, -0.0]), shape)


def of_all_exponents(rng, shape):
    return random_finite(rng, int(np.prod(shape))).reshape(shape)


WEIGHTS = {
    "normal": ordinary_weights,
    "outlier": with_outlier,
    "zero channel": with_zero_channel,
    "zeros": lambda rng, shape: np.zeros(shape, np.float32),
    "subnormal": subnormal,
    "largest": largest,
    "all exponents": of_all_exponents,
}


def beyond(weights, format, words, scales, scale="per_tensor", percentile=100):
    """What the description leaves open and number_format.h refuses: weights that overflow to Inf or
    NaN, and channels that are not 0 with a percentile that is."""
    if format.kind != "int":
        return np.isfinite(weights) & ~np.isfinite(reference.dequantize(words, scales, format))
    return (reference.peaks_of(weights, scale, percentile) == 0) & (
        reference.peaks_of(weights, scale, 100) > 0)


class NumberFormats(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.program = fault_words.Program(PROGRAM)
        cls.addClassCleanup(cls.program.close)
        cls.compared = 0

    @classmethod
    def tearDownClass(cls):
        print(f"{cls.compared} words compared")

    def same_bits(self, got, expected, weights, what):
        """NaN has many words of fp32; as a value they are one."""
        differ = np.flatnonzero(got.view(np.uint32).ravel() != expected.view(np.uint32).ravel())
        if got.dtype == np.float32:
            both_nan = np.isnan(got.ravel()) & np.isnan(expected.ravel())
            differ = differ[~both_nan[differ]]
        type(self).compared += got.size
        if differ.size:
            at = differ[0]
            self.fail(f"{what}: {differ.size} of {got.size} differ, first at {at}: weight "
                      f"{weights.ravel()[at]!r}, C++ {got.ravel()[at]!r}, reference "
                      f"{expected.ravel()[at]!r}")

    def compare(self, name, weights, quantization, what):
        what = f"{what}, {name} {quantization}"
        format = reference.Format.parse(name)
        words, scales = reference.quantize(weights, format, **quantization)
        refused = beyond(weights, format, words, scales, **quantization)
        if refused.any():
            with self.assertRaises(fault_words.Refused, msg=what):
                self.program.ask({"a": weights}, name, quantization)
            if format.kind == "int":
                return
            weights = np.where(refused, np.float32(0), weights)
            words, scales = reference.quantize(weights, format, **quantization)
        got = self.program.ask({"a": weights}, name, quantization)["tensors"]["a"]
        if scales is not None:
            self.assertEqual(list(got["scales"]), list(scales.ravel()), what)
        self.same_bits(got["words"], words, weights, what)
        self.same_bits(got["values"], reference.dequantize(words, scales, format), weights, what)

    def test_every_format_on_every_kind_of_weights(self):
        rng = np.random.default_rng(2418)
        for name, kind, shape in itertools.product(FORMATS, WEIGHTS, SHAPES):
            with self.subTest(format=name, weights=kind, shape=shape):
                self.compare(name, WEIGHTS[kind](rng, shape), {}, f"{kind} {shape}")

    def test_scales_per_channel_and_of_percentiles(self):
        rng = np.random.default_rng(14)
        scales = ("per_tensor", "per_channel")
        percentiles = (100, 99.9, 99, 50, 12.5)
        for scale, percentile, kind in itertools.product(scales, percentiles, WEIGHTS):
            name, shape = rng.choice(INTS), SHAPES[rng.integers(len(SHAPES))]
            for name, shape in itertools.product(("int4", "int8", "int16"), SHAPES):
                with self.subTest(scale=scale, percentile=percentile, weights=kind, format=name):
                    self.compare(name, WEIGHTS[kind](rng, shape),
                                 {"scale": scale, "percentile": percentile}, f"{kind} {shape}")

    def test_halves_of_a_scale_round_to_even(self):
        for name in INTS:
            most = 2**(reference.Format.parse(name).bits - 1) - 1
            steps = np.arange(-most, most) + 0.5
            for exponent in (-6, 0, -130):  # of the scale; the last one is subnormal
                with self.subTest(format=name, exponent=exponent):
                    weights = float32(np.ldexp(np.append(steps, most), exponent))
                    self.compare(name, weights, {}, f"halves of 2^{exponent}")
                    # And a scale that is no power of two.
                    weights = float32(np.append(steps, most) * 0.0123)
                    self.compare(name, weights, {}, "near halves of 0.0123")

    def test_halves_and_ends_of_fixed_point(self):
        for name in FIXED:
            format = reference.Format.parse(name)
            limit = 2**(format.bits - 1)
            steps = np.arange(limit + 3) + np.array([[0], [0.5]])
            with self.subTest(format=name):
                weights = with_neighbours(np.ldexp(steps.ravel(), -format.fraction_bits))
                self.compare(name, weights, {}, "halves")

    def test_halves_ends_and_overflow_of_minifloats(self):
        for name in MINIFLOATS:
            values, finite = reference.magnitudes(name)
            middles = (values[:finite] + values[1:finite + 1]) / 2
            with self.subTest(format=name):
                with np.errstate(over="ignore"):
                    weights = with_neighbours(np.concatenate([values[:finite + 1], middles]))
                self.compare(name, weights, {}, "values and middles")

    def test_infinities_are_words_where_a_format_has_them(self):
        weights = float32([np.inf, -np.inf, 1])
        for name in ("fp32", "fp16", "bf16", "fp8_e5m2"):
            with self.subTest(format=name):
                self.compare(name, weights, {}, "infinities")
        for name in INTS + FIXED + ["fp8_e4m3"]:
            with self.assertRaises(fault_words.Refused, msg=name):
                self.program.ask({"a": weights}, name)

    def test_every_word_has_its_value(self):
        """At a rate of 1/2 every word of 16 bits and less occurs."""
        rng = np.random.default_rng(6)
        draw = {"fault": {"kind": "bit_flip"}, "target": {"kind": "model"}, "seed": 5, "trial": 0,
                "ber": [0.5]}
        for name in FORMATS:
            with self.subTest(format=name):
                format = reference.Format.parse(name)
                weights = ordinary_weights(rng, (400, 1000 if format.bits > 8 else 10))
                answer = self.program.ask({"a": weights}, name, draw=draw)
                golden, faulty = answer["tensors"]["a"], answer["drawn"][0]["tensors"]["a"]
                scales = golden["scales"][0] if format.kind == "int" else None
                if format.bits <= 16:
                    seen = len(np.unique(faulty["words"]))
                    self.assertGreater(seen, 0.99 * 2**format.bits)
                self.same_bits(faulty["values"],
                               reference.dequantize(faulty["words"], scales, format), weights, name)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
