"""Checks of chaos.py, and mutants under which they must fail.

    python3 chaos_test.py Chaos   # kills, calls, memory, a database: what CI runs
    python3 chaos_test.py         # all; CI runs it with BITQUAKE_SLOW_TESTS=1
"""

import os
import unittest

import chaos
from cluster import Failure

SEED = os.environ.get("BITQUAKE_CHAOS_SEED", "1")


class Checks(unittest.TestCase):
    reference = None  # results of a run that nobody disturbed

    def run_check(self, *arguments):
        chosen = chaos.parse(["--seed", SEED, *arguments])
        Checks.reference = chaos.run(chosen, Checks.reference)

    def fails(self, pattern, *arguments):
        with self.assertRaisesRegex(Failure, pattern):
            self.run_check(*arguments)


class Chaos(Checks):
    def test_kills(self):
        self.run_check("--only", "kills")

    def test_kills_find_what_was_acknowledged_and_not_kept(self):
        self.fails("was acknowledged", "--only", "kills", "--kills", "20", "--mutant", "swallow")

    def test_calls(self):
        self.run_check("--only", "calls")

    def test_calls_find_two_campaigns_of_one_request(self):
        self.fails("submitted again after 'double', made", "--only", "calls", "--mutant", "resubmit")

    def test_calls_find_outcomes_that_contradict(self):
        self.fails("second outcome differs", "--only", "calls", "--mutant", "contradict")

    def test_damaged_memory(self):
        self.run_check("--only", "memory")

    def test_memory_that_is_not_damaged_is_noticed(self):
        self.fails("memory is damaged is 'ready'", "--only", "memory", "--mutant", "harmless")

    def test_a_damaged_database(self):
        self.run_check("--only", "database")


class MoreChaos(Checks):
    def test_kills_find_other_results(self):
        self.fails("differ|alarms|fault list|quarantined",
                   "--only", "kills", "--kills", "1", "--mutant", "reseed")

    def test_kills_find_a_lease_that_outlives_a_frozen_worker(self):
        self.fails("which is frozen", "--only", "kills", "--kills", "0", "--mutant", "revive")

    def test_damaged_files(self):
        self.run_check("--only", "model", "--only", "shard")

    def test_a_full_disk(self):
        self.run_check("--only", "disk")

    def test_a_worker_that_lies(self):
        self.run_check("--only", "liar")

    def test_damage_that_is_none_is_noticed(self):
        for check, pattern in (("model", "did not stop"), ("shard", "did not stop"),
                               ("database", "a server serves"), ("disk", "nothing said"),
                               ("liar", "a worker that lies is")):
            with self.subTest(check):
                self.fails(pattern, "--only", check, "--mutant", "harmless")


if __name__ == "__main__":
    unittest.main()
