"""What CI runs of chaos.py, and for each check a mutant under which it must fail."""

import os
import unittest

import chaos
from cluster import Failure

SEED = os.environ.get("BITQUAKE_CHAOS_SEED", "1")


class Chaos(unittest.TestCase):
    reference = None

    def run_check(self, *arguments):
        chosen = chaos.parse(["--seed", SEED, *arguments])
        Chaos.reference = chaos.run(chosen, Chaos.reference)

    def fails(self, pattern, *arguments):
        with self.assertRaisesRegex(Failure, pattern):
            self.run_check(*arguments)

    def test_kills(self):
        self.run_check("--only", "kills")

    def test_kills_find_what_was_acknowledged_and_not_kept(self):
        self.fails("was acknowledged", "--only", "kills", "--kills", "20", "--mutant", "swallow")

    def test_kills_find_other_results(self):
        self.fails("differ|alarms|fault list|quarantined",
                   "--only", "kills", "--kills", "1", "--mutant", "reseed")

    def test_kills_find_a_lease_that_outlives_a_frozen_worker(self):
        self.fails("which is frozen", "--only", "kills", "--kills", "0", "--mutant", "revive")

    def test_calls(self):
        self.run_check("--only", "calls")

    def test_damaged_files(self):
        self.run_check("--only", "model", "--only", "shard", "--only", "database")

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
    unittest.main(verbosity=2)
