"""Number formats and fault models once more, in numpy, from their description alone.

Shares no code with common/fault, so that an error there cannot hide here. Slow and dense: every bit
of a tensor has its u, every value of a minifloat stands in a table. Words are uint32, values float32.

    words, scales = quantize(weights, Format.parse("int8"), scale="per_channel")
    hits = [Hit(index=7, mask=0x80)]
    values = dequantize(faulty_words(words, "bit_flip", hits), scales, Format.parse("int8"))
"""

import dataclasses
import fractions
import re

import numpy as np


@dataclasses.dataclass(frozen=True)
class Format:
    """kind: int, fixed, or the name of a float format; bits of a word; fraction bits of fixed."""

    kind: str
    bits: int
    fraction_bits: int = 0

    @staticmethod
    def parse(name):
        if name == "fp32":
            return Format("fp32", 32)
        if name in MINIFLOATS:
            exponent_bits, mantissa_bits, _ = MINIFLOATS[name]
            return Format(name, 1 + exponent_bits + mantissa_bits)
        if match := re.fullmatch(r"fixed\((\d+)\.(\d+)\)", name):
            m, n = map(int, match.groups())
            return Format("fixed", m + n, n)
        return Format("int", int(re.fullmatch(r"int(\d+)", name)[1]))


@dataclasses.dataclass(frozen=True)
class Hit:
    """A word that is hit: the bits of `mask` are faulty. fault model word: they become `value`'s."""

    index: int
    mask: int
    value: int = 0


# Exponent bits, mantissa bits, and whether the highest exponent holds Inf and NaN, as in IEEE 754.
# E4M3 (OCP 8-bit floating point, "E4M3FN") has no Inf, and NaN only where all bits but the sign are 1.
MINIFLOATS = {
    "fp16": (5, 10, True),
    "bf16": (8, 7, True),
    "fp8_e4m3": (4, 3, False),
    "fp8_e5m2": (5, 2, True),
}


def magnitudes(name):
    """The value of every word without its sign, and the number of finite ones, which come first.

    The first word past the finite ones has the value that it would have if it were one: what lies
    half way to it and beyond overflows.
    """
    exponent_bits, mantissa_bits, ieee = MINIFLOATS[name]
    codes = np.arange(1 << (exponent_bits + mantissa_bits))
    exponent, mantissa = codes >> mantissa_bits, codes & ((1 << mantissa_bits) - 1)
    bias = (1 << (exponent_bits - 1)) - 1
    leading = np.where(exponent > 0, 1 << mantissa_bits, 0)  # of a subnormal: 0
    values = np.ldexp((leading + mantissa).astype(np.float64),
                      np.maximum(exponent, 1) - bias - mantissa_bits)
    finite = (1 << (exponent_bits + mantissa_bits)) - ((1 << mantissa_bits) if ieee else 1)
    return values, finite


def encode_minifloat(weights, name):
    """The nearest word, the even one of two; past the largest: Inf, or NaN where there is no Inf."""
    exponent_bits, mantissa_bits, ieee = MINIFLOATS[name]
    values, finite = magnitudes(name)
    middles = (values[:finite] + values[1:finite + 1]) / 2  # exact in float64
    with np.errstate(invalid="ignore"):  # signalling NaN
        magnitude = np.abs(weights.astype(np.float64))
    code = np.searchsorted(middles, magnitude, side="left")
    tie = (code < finite) & (magnitude == middles[np.minimum(code, finite - 1)])
    code += tie & (code % 2 == 1)
    quiet_nan = finite | (1 << (mantissa_bits - 1) if ieee else 0)
    code = np.where(np.isnan(weights), quiet_nan, code)
    return (code | np.signbit(weights).astype(np.int64) << (exponent_bits + mantissa_bits)).astype(
        np.uint32)


def decode_minifloat(words, name):
    exponent_bits, mantissa_bits, ieee = MINIFLOATS[name]
    sign = np.where(words >> (exponent_bits + mantissa_bits) & 1, -1.0, 1.0)
    values, finite = magnitudes(name)
    values[finite:] = np.nan
    if ieee:
        values[finite] = np.inf
    return (sign * values[words & ((1 << (exponent_bits + mantissa_bits)) - 1)]).astype(np.float32)


def peaks_of(weights, scale, percentile):
    """What the largest q stands for: float32, of shape () or, per channel, (channels, 1, ...)."""
    per_channel = scale == "per_channel" and weights.ndim >= 2
    magnitude = np.abs(weights)
    axes = tuple(range(1, weights.ndim)) if per_channel else None
    if percentile == 100:
        return magnitude.max(axis=axes, keepdims=per_channel)
    return np.percentile(magnitude.astype(np.float64), percentile, axis=axes, method="linear",
                         keepdims=per_channel).astype(np.float32)


def scales_of(weights, format, scale, percentile):
    """As peaks_of. Where all weights are 0 any scale will do, and 1 is it."""
    peaks = peaks_of(weights, scale, percentile)
    scales = np.asarray(peaks / np.float32(2**(format.bits - 1) - 1), np.float32)
    return np.where(scales == 0, np.float32(1), scales)


def quantize(weights, format, scale="per_tensor", percentile=100):
    """The words, shaped as the weights, and their scales: None but for int formats."""
    weights = np.asarray(weights)
    assert weights.dtype == np.float32
    if format.kind == "fp32":
        return weights.view(np.uint32).copy(), None
    if format.kind in MINIFLOATS:
        return encode_minifloat(weights, format.kind), None
    limit = 2**(format.bits - 1)
    scales = None
    if format.kind == "fixed":
        steps = np.ldexp(weights.astype(np.float64), format.fraction_bits)  # exact
    else:
        scales = scales_of(weights, format, scale, percentile)
        with np.errstate(over="ignore"):  # far beyond a percentile, and clipped
            steps = weights / scales
        assert steps.dtype == np.float32
    q = np.clip(np.rint(steps), -limit, limit - 1).astype(np.int64)
    return (q & (2**format.bits - 1)).astype(np.uint32), scales


def dequantize(words, scales, format):
    if format.kind == "fp32":
        return words.view(np.float32).copy()
    if format.kind in MINIFLOATS:
        return decode_minifloat(words, format.kind)
    q = words.astype(np.int64)
    q = np.where(q >> (format.bits - 1), q - 2**format.bits, q)
    if format.kind == "fixed":
        return np.ldexp(q.astype(np.float64), -format.fraction_bits).astype(np.float32)
    with np.errstate(over="ignore"):  # near the largest float; rounding may then give Inf
        return q.astype(np.float32) * scales


def faulty_words(words, kind, hits):
    """A copy of `words` (any shape; indices are row-major) after the hits."""
    faulty = words.copy()
    flat = faulty.reshape(-1)
    for hit in hits:
        word = int(flat[hit.index])
        if kind == "stuck_at_0":
            word &= ~hit.mask
        elif kind == "stuck_at_1":
            word |= hit.mask
        elif kind == "word":
            word = word & ~hit.mask | hit.value & hit.mask
        else:  # bit_flip, burst, list
            word ^= hit.mask
        flat[hit.index] = word
    return faulty


def hits_of(bits):
    """Merges (index, bit) pairs: a bit that is hit twice is hit."""
    masks = {}
    for index, bit in bits:
        masks[index] = masks.get(index, 0) | 1 << bit
    return [Hit(index, mask) for index, mask in sorted(masks.items())]


def burst_bits(events, length, bits_per_word):
    """The bits of bursts that begin at `events`, (index, bit) pairs; cut at the word's end."""
    return {(index, hit) for index, first in events
            for hit in range(first, min(first + length, bits_per_word))}


# The sampler, densely. `rungs` is tests/fault/reference_sampler.py: it describes the random stream.


def uniforms(rungs, seed, tensor, trial, words, bits_per_word, below=1):
    """{(index, bit): u} of every bit with u < `below`, exactly.

    Bit number b is bit b % bits_per_word of word b // bits_per_word. As a candidate of rung k with
    depth d it would have u = (1 + d / 2^64) / 2^k; the deepest rung has it.
    """
    size = words * bits_per_word
    stream = rungs.Stream(seed, tensor, trial)
    us = {}
    for k in range(64 + (size - 1).bit_length(), 0, -1):
        if fractions.Fraction(1, 1 << k) >= below:
            break
        for n, bit in rungs.candidates(stream, k, size):
            where = (bit // bits_per_word, bit % bits_per_word)
            if where not in us:
                us[where] = fractions.Fraction((1 << 64) + stream.depth(k, n), 1 << (64 + k))
    return {where: u for where, u in us.items() if u < below}


def bernoulli(us, rate):
    """The faulty ones at a rate, of uniforms()."""
    rate = fractions.Fraction(rate)
    return {where for where, u in us.items() if u < rate}


def smallest(us, count):
    """The `count` ones of smallest u: `exact` and `count`."""
    assert count <= len(us)
    return set(sorted(us, key=us.get)[:count])
