"""The dashboards in deploy/grafana are those that Grafana's own models make, and only what they know.

The models are the package in deploy/grafana/requirements.txt, installed once into
${XDG_CACHE_HOME:-$HOME/.cache}/bitquake/grafana-KEY.
"""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

GRAFANA = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "grafana"
sys.path.insert(0, str(GRAFANA))


def grafana_models():
    """The folder that has the package; it appears under its name when it is whole."""
    requirements = GRAFANA / "requirements.txt"
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    folder = cache / "bitquake" / f"grafana-{hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as staging:
            subprocess.run([sys.executable, "-I", "-m", "pip", "--quiet", "--no-input",
                            "--disable-pip-version-check", "install",
                            "--root-user-action=ignore", "--no-deps", "--no-compile",
                            "--only-binary=:all:", "--require-hashes", "--requirement",
                            requirements, "--target", f"{staging}/packages"], check=True)
            try:
                os.rename(f"{staging}/packages", folder)
            except OSError:  # another test was first
                assert folder.exists()
    return folder


sys.path.insert(0, str(grafana_models()))
import dashboards  # noqa: E402  (of deploy/grafana)
from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: E402
from grafana_foundation_sdk.cog.plugins import register_default_plugins  # noqa: E402
from grafana_foundation_sdk.models import dashboard as models  # noqa: E402

# What gives a query a value where there is none.
INVENTED = re.compile(r"\bor\b|\bvector\(|\babsent")


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


class Dashboards(unittest.TestCase):
    def committed(self):
        files = sorted((GRAFANA / "dashboards").glob("*.json"))
        self.assertEqual([file.stem for file in files], sorted(dashboards.BOARDS))
        return [(file, file.read_text()) for file in files]

    def test_are_what_the_script_makes(self):
        for file, text in self.committed():
            self.assertEqual(text, dashboards.text(dashboards.BOARDS[file.stem]()),
                             f"run {GRAFANA.name}/dashboards.py and commit what it writes")

    def test_hold_nothing_that_grafana_does_not_know(self):
        register_default_plugins()
        for file, text in self.committed():
            raw = json.loads(text)
            read = models.Dashboard.from_json(raw)
            written = json.loads(json.dumps(read, cls=JSONEncoder))
            self.assertEqual(without_nulls(written), without_nulls(raw), file.name)

    def test_ask_the_chosen_data_source_for_the_chosen_campaigns(self):
        for file, text in self.committed():
            board = json.loads(text)
            variables = {entry["name"]: entry["type"] for entry in board["templating"]["list"]}
            self.assertEqual(variables, {"datasource": "datasource", "campaign": "query"})
            self.assertEqual(len({panel["id"] for panel in board["panels"]}), len(board["panels"]))
            chosen = {"type": "prometheus", "uid": "${datasource}"}
            for panel in board["panels"]:
                self.assertTrue(panel["title"] and panel["description"], file.name)
                self.assertEqual(panel["datasource"], chosen, panel["title"])
                for target in panel["targets"]:
                    self.assertEqual(target["datasource"], chosen, panel["title"])
            self.assertIn('campaign=~\\"$campaign\\"', text, file.name)

    def test_say_nothing_of_what_nothing_measures(self):
        """Without a metric none of its queries has a value: no line at 0."""
        for file, text in self.committed():
            for panel in json.loads(text)["panels"]:
                for target in panel["targets"]:
                    self.assertIsNone(INVENTED.search(target["expr"]), f"{file.name}: {panel['title']}")

    def test_gpu_memory_is_that_of_gpus_alone(self):
        [panel] = [panel for panel in json.loads((GRAFANA / "dashboards" / "fleet.json").read_text())["panels"]
                   if panel["title"] == "GPU memory in use"]
        [target] = panel["targets"]
        worker = 'bitquake_{}{{job="bitquake-worker", instance="{}:9465"}}'.format
        cpu = [{"series": worker("spool_reports", "cpu"), "values": "3x5"}]
        gpu = [{"series": worker("gpu_memory_used_bytes", "gpu"), "values": "2e10x5"},
               {"series": worker("gpu_memory_total_bytes", "gpu"), "values": "8e10x5"}]
        of_gpu = [{"labels": '{job="bitquake-worker", instance="gpu:9465"}', "value": 0.25}]
        for series, samples in ((cpu, []), (cpu + gpu, of_gpu)):
            with self.subTest(samples), tempfile.TemporaryDirectory() as folder:
                file = pathlib.Path(folder, "test.yml")  # JSON is YAML
                file.write_text(json.dumps({"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": [
                    {"expr": target["expr"], "eval_time": "2m", "exp_samples": samples}]}]}))
                done = subprocess.run(["promtool", "test", "rules", file], stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True)
                self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
