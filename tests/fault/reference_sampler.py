#!/usr/bin/env python3
"""The sampler of common/fault once more, from its description alone, in exact arithmetic.

Prints the fault sets of a few (seed, tensor, trial, rate) as JSON:

    python3 tests/fault/reference_sampler.py > tests/data/fault/sampler_reference.json

sampler_reference_test compares. The description computes skips in doubles; here they are exact to 60
digits, and a skip so near an integer that a double's rounding could decide it stops the program.
"""

import decimal
import fractions
import hashlib
import json
import struct

decimal.getcontext().prec = 60

CASES = [
    # seed, tensor, words, bits per word, trial, rate
    (0, "head.weight", 1000, 8, 0, 1e-2),
    (0, "head.weight", 1000, 8, 1, 1e-2),
    (2418, "head.weight", 1000, 8, 0, 1e-2),
    (2418, "blocks.3.mlp.fc1.weight", 589824, 8, 7, 1e-6),
    (2418, "blocks.3.mlp.fc1.weight", 589824, 8, 7, 1e-5),
    (2418, "blocks.3.mlp.fc1.weight", 589824, 16, 4294967295, 3e-6),
    (2418, "blocks.11.attn.qkv.weight", 1769472, 4, 2, 7.450580596923828e-09),
    (2418, "blocks.11.attn.qkv.weight", 1769472, 4, 2, 5e-6),
    (18446744073709551615, "pos_embed", 151296, 32, 3, 1e-5),
    (18446744073709551615, "pos_embed", 5000, 32, 3, 1e-3),
    (7, "cls_token", 40, 8, 0, 0.25),
    (7, "cls_token", 40, 8, 0, 0.3),
    (7, "cls_token", 40, 8, 0, 0.5),
    (7, "cls_token", 40, 8, 0, 0.7),
    (7, "cls_token", 40, 8, 0, 0.99),
    (7, "cls_token", 40, 8, 0, 1.0),
    (7, "cls_token", 40, 8, 0, 0.0),
    (7, "cls_token", 1, 1, 12, 0.9),
    (123456789, "r\u00e9seau.poids", 5000, 3, 5, 2e-3),
    (123456789, "", 5000, 5, 5, 2e-3),
    (99, "large", 1 << 38, 32, 0, 1e-12),
]

# The same of what a protection scheme stores beside a tensor: the purpose of Skip, then as above.
PART_CASES = [
    (6, 2418, "head.weight", 1000, 8, 0, 1e-2),
    (6, 2418, "head.weight", 5000, 1, 3, 1e-2),
    (8, 2418, "head.weight", 1000, 8, 0, 1e-2),
    (10, 2418, "head.weight", 1000, 8, 0, 1e-2),
]


def philox4x32_10(counter, key):
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        a = 0xD2511F53 * c0
        b = 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (b >> 32) ^ c1 ^ k0, b & 0xFFFFFFFF, (a >> 32) ^ c3 ^ k1, a & 0xFFFFFFFF
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def neg_log_one_minus(x):
    """-ln(1 - x) of a fraction in (0, 1), to about 58 digits."""
    if x < fractions.Fraction(1, 1 << 40):  # x + x^2/2 + ..., which 1 - x would round away
        total = sum(x**n / n for n in range(1, 7))
        return decimal.Decimal(total.numerator) / decimal.Decimal(total.denominator)
    rest = 1 - x
    return -(decimal.Decimal(rest.numerator) / decimal.Decimal(rest.denominator)).ln()


def floor_of_unambiguous(quotient):
    skip = int(quotient)
    margin = quotient * decimal.Decimal(2) ** -48
    if quotient - skip < margin or skip + 1 - quotient < margin:
        raise SystemExit("a skip is too near an integer to tell: choose another case")
    return skip


class Stream:
    def __init__(self, seed, tensor, trial, purpose=0):
        self.purpose = purpose
        digest = hashlib.sha256(
            b"bitquake fault stream v1" + struct.pack("<Q", seed) + tensor.encode()
        ).digest()
        k0, k1, self.tensor = struct.unpack("<III", digest[:12])
        self.key = (k0, k1)
        self.trial = trial

    def block(self, purpose, k, n):
        counter = (n & 0xFFFFFFFF, (n >> 32) << 16 | purpose << 8 | k, self.trial, self.tensor)
        return philox4x32_10(counter, self.key)

    def skip(self, k, n):
        x0, x1, x2, x3 = self.block(self.purpose, k, n)
        whole = x3 << 96 | x2 << 64 | x1 << 32 | x0
        return fractions.Fraction(2 * whole + 1, 1 << 129)

    def depth(self, k, n):
        x = self.block(self.purpose + 1, k, n)
        return x[1] << 32 | x[0]


def candidates(stream, k, size):
    """(n, bit) of rung k."""
    bit = -1
    n = 0
    log_miss = neg_log_one_minus(fractions.Fraction(1, (1 << k) - 1)) if k > 1 else None
    while True:
        skip = 0
        if k > 1:
            quotient = neg_log_one_minus(stream.skip(k, n)) / log_miss
            if quotient >= size + 1:
                return
            skip = floor_of_unambiguous(quotient)
        bit += 1 + skip
        if bit >= size:
            return
        yield n, bit
        n += 1


def sample(seed, tensor, words, bits_per_word, trial, rate, purpose=0):
    size = words * bits_per_word
    stream = Stream(seed, tensor, trial, purpose)
    rate = fractions.Fraction(rate)  # the double, exactly
    if rate >= 1:
        faulty = set(range(size))
    else:
        faulty = set()
        for k in range(64 + (size - 1).bit_length(), 0, -1):
            part = rate * (1 << k) - 1  # of this rung that the rate takes
            if part < 0:
                break
            for n, bit in candidates(stream, k, size):
                if part >= 1 or fractions.Fraction(stream.depth(k, n), 1 << 64) < part:
                    faulty.add(bit)
    masks = {}
    for bit in faulty:
        index = bit // bits_per_word
        masks[index] = masks.get(index, 0) | 1 << (bit % bits_per_word)
    return sorted(masks.items())


def main():
    cases = []
    for purpose, seed, tensor, words, bits_per_word, trial, rate in [
        (0, *case) for case in CASES
    ] + PART_CASES:
        cases.append(
            {
                "seed": seed,
                "tensor": tensor,
                "words": words,
                "bits_per_word": bits_per_word,
                "trial": trial,
                "rate": rate,
                "purpose": purpose,
                "faults": sample(seed, tensor, words, bits_per_word, trial, rate, purpose),
            }
        )
    print("[")
    print(",\n".join(json.dumps(case) for case in cases))
    print("]")


if __name__ == "__main__":
    main()
