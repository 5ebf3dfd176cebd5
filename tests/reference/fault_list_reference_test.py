"""Fault lists that common/fault draws, against bitquake_reference and against what faults must be.

    python3 fault_list_reference_test.py PATH_OF_FAULT_WORDS PATH_OF_REFERENCE_SAMPLER
"""

import collections
import functools
import importlib.util
import itertools
import math
import sys
import unittest

import numpy as np

import bitquake_reference as reference
import fault_words

WIDTH, HEADS = 8, 2
SHAPES = {
    "cls_token": (1, 1, WIDTH),
    "blocks.0.attn.qkv.weight": (3 * WIDTH, WIDTH),
    "blocks.0.mlp.fc1.weight": (2 * WIDTH, WIDTH),
    "blocks.1.attn.qkv.weight": (3 * WIDTH, WIDTH),
    "head.weight": (10, WIDTH),
}
LAYOUT = {name: {"block": name[:8] if name.startswith("blocks.") else "",
                 "heads": HEADS if "qkv" in name else 0} for name in SHAPES}
WEIGHTS = {name: np.random.default_rng(len(name)).normal(0, 0.02, shape).astype(np.float32)
           for name, shape in SHAPES.items()}
MODEL = {"kind": "model"}
TARGETS = [MODEL, {"kind": "block", "blocks": [1]}, {"kind": "tensor", "name": "head.weight"},
           {"kind": "head", "name": "blocks.0.attn.h1"}, {"kind": "regex", "pattern": "mlp|head"}]
FORMATS = ["int8", "int4", "int16", "fixed(2.6)", "fp16", "bf16", "fp8_e4m3", "fp8_e5m2", "fp32"]
BERS = [1e-3, 3e-3, 1e-2, 3e-2]


def covers(target, name, index):
    """Whether a target holds this word, from its description."""
    kind = target["kind"]
    row = index // math.prod(SHAPES[name][1:])
    return {
        "model": True,
        "bit": True,
        "block": name.startswith("blocks.1."),
        "tensor": name == target.get("name"),
        "head": name == "blocks.0.attn.qkv.weight" and row % WIDTH // (WIDTH // HEADS) == 1,
        "regex": "mlp" in name or "head" in name,
    }[kind]


@functools.lru_cache(maxsize=None)
def uniforms(seed, trial, bits_per_word):
    """{tensor: {(index, bit): u}} of the whole model."""
    return {name: reference.uniforms(SAMPLER, seed, name, trial, math.prod(shape), bits_per_word)
            for name, shape in SHAPES.items()}


def exposed(target, seed, trial, format, positions=None):
    """{(tensor, index, bit): u} of the bits of a target."""
    return {(name, *where): u for name, us in uniforms(seed, trial, format.bits).items()
            for where, u in us.items()
            if covers(target, name, where[0]) and (positions is None or where[1] in positions)}


def bits_of(drawn):
    """{(tensor, index, bit)} of a fault list."""
    return {(name, fault[0], bit) for name, faults in drawn["faults"]
            for fault in faults for bit in range(32) if fault[1] >> bit & 1}


class FaultLists(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.program = fault_words.Program(PROGRAM)
        cls.addClassCleanup(cls.program.close)

    def ask(self, format, fault, target=MODEL, seed=2418, trial=0, ber=BERS):
        """The drawn lists, one for each rate; their words are checked here, for every test."""
        draw = {"fault": fault, "target": target, "seed": seed, "trial": trial, "ber": list(ber)}
        answer = self.program.ask(WEIGHTS, format, draw=draw, layout=LAYOUT)
        for drawn in answer["drawn"]:
            self.check_application(format, fault["kind"], answer, drawn)
        return answer

    def draw(self, *arguments, **options):
        return [bits_of(drawn) for drawn in self.ask(*arguments, **options)["drawn"]]

    def check_application(self, name, kind, answer, drawn):
        """Lists are in order, and give the words and values that the reference gives for them."""
        format = reference.Format.parse(name)
        names = [tensor for tensor, _ in drawn["faults"]]
        self.assertEqual(names, [tensor for tensor in SHAPES if tensor in names])
        for tensor, faults in drawn["faults"]:
            self.assertTrue(faults, "only tensors with faults are listed")
            indices = [fault[0] for fault in faults]
            self.assertEqual(indices, sorted(set(indices)), "a word is listed once, in order")
            golden = answer["tensors"][tensor]
            expected = reference.faulty_words(golden["words"], kind,
                                              [reference.Hit(*fault) for fault in faults])
            np.testing.assert_array_equal(drawn["tensors"][tensor]["words"], expected)
            scales = golden["scales"][0] if format.kind == "int" else None
            values = reference.dequantize(expected, scales, format)
            got = drawn["tensors"][tensor]["values"]
            same = (got.view(np.uint32) == values.view(np.uint32)) | np.isnan(got) & np.isnan(values)
            self.assertTrue(same.all())

    def each(self, check, *lists):
        """Checks their products, each as a subtest, with seeds and trials that differ."""
        for number, case in enumerate(itertools.product(*lists)):
            with self.subTest(case=case):
                check(*case, {"seed": 7 + number % 2, "trial": number % 3})

    # Bits, each on its own.

    def test_bernoulli_draws_the_bits_whose_u_is_below_the_rate(self):
        def check(name, target, draw):
            us = exposed(target, **draw, format=reference.Format.parse(name))
            answer = self.ask(name, {"kind": "bit_flip"}, target, **draw)
            self.assertEqual(answer["exposed_bits"], len(us))
            for ber, drawn in zip(BERS, answer["drawn"]):
                self.assertEqual(bits_of(drawn), reference.bernoulli(us, ber), ber)
                self.assertEqual(drawn["flips"], len(bits_of(drawn)))

        self.each(check, FORMATS, TARGETS)

    def test_sets_nest_across_rates(self):
        faults = [{"kind": "bit_flip"}, {"kind": "bit_flip", "sampling": "exact"},
                  {"kind": "burst", "burst_length": 3}, {"kind": "stuck_at_0"},
                  {"kind": "stuck_at_1"}]
        def check(fault, name, target, draw):
            sets = self.draw(name, fault, target, **draw, ber=[0, 1e-3, 1e-2, 0.1, 0.5, 1])
            for fewer, more in itertools.pairwise(sets):
                self.assertLessEqual(fewer, more)
            self.assertLess(sets[0], sets[-1])

        self.each(check, faults, ("int8", "fp16"), TARGETS)

    def test_a_tensor_has_the_same_bits_whatever_the_target(self):
        faults = [{"kind": "bit_flip"}, {"kind": "burst", "burst_length": 3},
                  {"kind": "stuck_at_0"}, {"kind": "stuck_at_1"}, {"kind": "word"}]
        def check(fault, name, target, draw):
            model = self.draw(name, fault, **draw, ber=[3e-2])[0]
            cut = {bit for bit in model if covers(target, *bit[:2])}
            self.assertEqual(self.draw(name, fault, target, **draw, ber=[3e-2])[0], cut)

        self.each(check, faults, ("int8", "fp32"), TARGETS[1:])

    # Numbers of bits.

    def test_exact_draws_the_smallest_u_of_the_target(self):
        def check(name, target, draw):
            us = exposed(target, **draw, format=reference.Format.parse(name))
            sets = self.draw(name, {"kind": "bit_flip", "sampling": "exact"}, target, **draw)
            for ber, drawn in zip(BERS, sets):
                self.assertEqual(len(drawn), round(ber * len(us)))
                self.assertEqual(drawn, reference.smallest(us, round(ber * len(us))))

        self.each(check, FORMATS, TARGETS)

    def test_count_draws_that_many_bits_of_smallest_u(self):
        def check(name, target, draw):
            us = exposed(target, **draw, format=reference.Format.parse(name))
            for count in (1, 2, 17, len(us)):
                fault = {"kind": "bit_flip", "sampling": "count", "count": count}
                self.assertEqual(self.draw(name, fault, target, **draw, ber=[0.1])[0],
                                 reference.smallest(us, count))

        self.each(check, ("int8", "fp16"), TARGETS)

    def test_more_bits_than_there_are_is_refused(self):
        fault = {"kind": "bit_flip", "sampling": "count", "count": 81 * WIDTH * 8}
        with self.assertRaises(fault_words.Refused):
            self.draw("int8", fault, {"kind": "tensor", "name": "head.weight"})

    # Other fault models.

    def test_stuck_bits_are_those_that_bit_flip_would_draw(self):
        kinds = ("stuck_at_0", "stuck_at_1")
        def check(kind, sampling, name, target, draw):
            stuck = self.draw(name, {"kind": kind, "sampling": sampling}, target, **draw)
            flips = self.draw(name, {"kind": "bit_flip", "sampling": sampling}, target, **draw)
            self.assertEqual(stuck, flips)

        self.each(check, kinds, ("bernoulli", "exact"), FORMATS, TARGETS)

    def test_bursts_begin_at_drawn_bits_and_end_with_the_word(self):
        def check(length, name, target, draw):
            format = reference.Format.parse(name)
            if length > format.bits:  # the description would cut it; fault_model.h refuses it
                with self.assertRaises(fault_words.Refused):
                    self.draw(name, {"kind": "burst", "burst_length": length}, target, **draw)
                return
            us = exposed(target, **draw, format=format)
            fault = {"kind": "burst", "burst_length": length}
            for ber, drawn in zip(BERS, self.draw(name, fault, target, **draw)):
                expected = set()
                for tensor, index, first in reference.bernoulli(us, ber):
                    expected |= {(tensor, *hit) for hit in
                                 reference.burst_bits([(index, first)], length, format.bits)}
                self.assertEqual(drawn, expected)

        self.each(check, (1, 2, 3, 5), FORMATS, TARGETS)

    def test_words_are_replaced_by_random_ones(self):
        """Each word with the probability BER, by the same bits at every rate."""
        bers, words, replaced = (0.01, 0.1, 0.3), collections.Counter(), collections.Counter()
        ones, bits = 0, 0
        for name, seed, trial in itertools.product(("int8", "fp16", "int4"), range(3), range(30)):
            format = reference.Format.parse(name)
            before = {}
            drawn = self.ask(name, {"kind": "word"}, seed=seed, trial=trial, ber=bers)["drawn"]
            for ber, lists in zip(bers, drawn):
                now = {(tensor, fault[0]): fault[1:] for tensor, faults in
                       lists["faults"] for fault in faults}
                self.assertLessEqual(before.items(), now.items())
                before = now
                replaced[ber] += len(now)
                words[ber] += sum(map(math.prod, SHAPES.values()))
            self.assertEqual({mask for mask, _ in before.values()}, {2**format.bits - 1})
            ones += sum(value.bit_count() for _, value in before.values())
            bits += format.bits * len(before)
        for ber in bers:
            self.binomial(replaced[ber], words[ber], ber)
        self.binomial(ones, bits, 0.5)

    def binomial(self, successes, of, probability):
        deviation = math.sqrt(of * probability * (1 - probability))
        self.assertLess(abs(successes - of * probability), 5 * deviation)

    def test_a_list_hits_its_bits_whatever_rate_and_trial(self):
        listed = [["head.weight", 79, 7], ["cls_token", 0, 0], ["head.weight", 79, 0],
                  ["blocks.1.attn.qkv.weight", 100, 3]]
        for trial, ber in itertools.product((0, 9), (0, 1)):
            drawn = self.draw("int8", {"kind": "list", "list": listed}, trial=trial, ber=[ber])[0]
            self.assertEqual(drawn, set(map(tuple, listed)))
        # Listed twice: hit, or hit and hit back? The description does not say; an error asks.
        with self.assertRaisesRegex(fault_words.Refused, "head.weight"):
            self.draw("int8", {"kind": "list", "list": listed + listed[:1]}, ber=[0])
        for wrong in (["head.weight", 80, 0], ["head.weight", -1, 0], ["head.weight", 0, 8],
                      ["no.such", 0, 0], ["head.weight", 0, -1]):
            with self.assertRaisesRegex(fault_words.Refused, wrong[0], msg=wrong):
                self.draw("int8", {"kind": "list", "list": [wrong]})

    # Bit positions.

    def test_positions_of_a_fault_model_or_target_are_all_that_is_hit(self):
        cases = [("int8", (7,)), ("int8", (0, 3, 6)), ("fp16", (10, 15)), ("fp32", (31,)),
                 ("int4", (0, 1, 2, 3))]
        ways = ("fault", "target", "both")
        def check(case, sampling, way, draw):
            name, positions = case
            fault, target = {"kind": "bit_flip", "sampling": sampling}, dict(MODEL)
            hit = set(positions)
            if way != "target":
                fault["positions"] = list(positions)
            if way != "fault":
                target = {"kind": "bit", "positions": [positions[0]]}
                hit = {positions[0]}
            us = exposed(MODEL, **draw, format=reference.Format.parse(name), positions=hit)
            answer = self.ask(name, fault, target, **draw)
            self.assertEqual(answer["exposed_bits"], len(us))
            for ber, drawn in zip(BERS, answer["drawn"]):
                expected = reference.bernoulli(us, ber) if sampling == "bernoulli" else \
                    reference.smallest(us, round(ber * len(us)))
                self.assertEqual(bits_of(drawn), expected)

        self.each(check, cases, ("bernoulli", "exact"), ways)

    def test_bursts_begin_anywhere_and_hit_at_positions(self):
        def check(name, positions, draw):
            format = reference.Format.parse(name)
            fault = {"kind": "burst", "burst_length": 3}
            everywhere = self.draw(name, fault, **draw)
            cut = self.draw(name, dict(fault, positions=positions), **draw)
            for drawn, all_drawn in zip(cut, everywhere):
                self.assertEqual(drawn, {bit for bit in all_drawn if bit[2] in positions})

        self.each(check, ("int8", "fp16"), ([7], [0, 1, 5]))

    def test_words_keep_their_other_positions(self):
        def check(name, positions, draw):
            for drawn in self.ask(name, {"kind": "word", "positions": positions}, **draw)["drawn"]:
                mask = sum(1 << position for position in positions)
                masks = {fault[1] for _, faults in drawn["faults"] for fault in faults}
                self.assertLessEqual(masks, {mask})

        self.each(check, ("int8", "fp16"), ([7], [0, 1, 5]))

if __name__ == "__main__":
    PROGRAM, sampler = sys.argv[1:3]
    del sys.argv[1:3]
    spec = importlib.util.spec_from_file_location("reference_sampler", sampler)
    SAMPLER = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(SAMPLER)
    unittest.main()
