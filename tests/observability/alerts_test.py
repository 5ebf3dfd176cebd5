"""deploy/prometheus is what Prometheus takes, and the tests of its alerts notice what they should."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

PROMETHEUS = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
EXPRESSION = re.compile(r"expr: .*?(?=\n        (?:for|labels):)", re.DOTALL)


def promtool(*arguments):
    return subprocess.run(["promtool", *map(str, arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120)


class Alerts(unittest.TestCase):
    def passes(self, *arguments):
        done = promtool(*arguments)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_the_example_and_the_rules_are_valid(self):
        self.passes("check", "config", PROMETHEUS / "prometheus.yml")
        self.passes("check", "rules", PROMETHEUS / "alerts.yml")

    def test_they_fire_when_they_should_and_only_then(self):
        self.passes("test", "rules", PROMETHEUS / "alerts_test.yml")

    def test_an_alert_that_never_fires_or_always_does_is_noticed(self):
        text = (PROMETHEUS / "alerts.yml").read_text()
        names = set(re.findall(r"- alert: (\w+)", text))
        self.assertEqual(len(EXPRESSION.findall(text)), len(names))
        for broken in ("vector(1) < 0", "vector(1)"):
            with self.subTest(broken), tempfile.TemporaryDirectory() as folder:
                changed = EXPRESSION.sub(f"expr: {broken}", text)
                pathlib.Path(folder, "alerts.yml").write_text(changed)
                shutil.copy(PROMETHEUS / "alerts_test.yml", folder)
                done = promtool("test", "rules", f"{folder}/alerts_test.yml")
                self.assertNotEqual(done.returncode, 0)
                self.assertEqual(set(re.findall(r"alertname: ?(\w+)", done.stdout)), names)


if __name__ == "__main__":
    assert shutil.which("promtool"), "Debian's package prometheus is missing; run deploy/setup.sh"
    unittest.main(verbosity=2)
