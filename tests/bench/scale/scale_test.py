"""Ten seconds of scale.py, with limits that a busy machine keeps, too; and its arithmetic."""

import os
import pathlib
import unittest

import scale

BIN = pathlib.Path(os.environ.get("BITQUAKE_BIN_DIR", scale.SOURCE / "build" / "release" / "bin"))
LOOSE = {"jobs_per_second": (">=", 500), "lease_p99_ms": ("<", 2000), "submit_s": ("<", 5),
         "rss_mb": ("<", 500), "restart_s": ("<", 10)}


class Scale(unittest.TestCase):
    def test_two_hundred_workers_are_served(self):
        figures = scale.measure(BIN, workers=200, jobs=1_000_000, rate=0, seconds=10)
        print(scale.row(figures))
        self.assertEqual(scale.missed(figures, LOOSE), [])
        self.assertGreaterEqual(figures["jobs_total"], 1_000_000)

    def test_a_missed_limit_is_named(self):
        figures = {"error": "", "workers": 1000, "jobs_per_second": 1999, "lease_p99_ms": 100,
                   "submit_s": 2, "rss_mb": 500, "restart_s": None}
        self.assertEqual(len(scale.missed(figures, scale.LIMITS)), len(scale.LIMITS))
        figures.update(jobs_per_second=2000, lease_p99_ms=99, submit_s=1, rss_mb=499, restart_s=4)
        self.assertEqual(scale.missed(figures, scale.LIMITS), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
