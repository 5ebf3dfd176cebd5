"""A real Prometheus scrapes a coordinator and two workers while they run the demo campaign.

Prometheus runs the configuration and the alerts of deploy/prometheus, only quicker and with the
addresses of this test; it is asked every query of every dashboard of deploy/grafana.
"""

import json
import math
import re
import shutil
import subprocess
import time
import unittest
import urllib.parse
import urllib.request

import bitquake

PROMETHEUS = bitquake.SOURCE / "deploy" / "prometheus"
DASHBOARDS = bitquake.SOURCE / "deploy" / "grafana" / "dashboards"
NAME = re.compile(r"\bbitquake_\w+")
# A worker on a CPU has none of these; tests/worker/agent/worker_metrics_test.cc has them.
ONLY_OF_GPUS = {"bitquake_gpu_memory_used_bytes", "bitquake_gpu_memory_total_bytes"}


def queries():
    """(dashboard: panel, query) of all dashboards, with variables filled in as Grafana does."""
    for file in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                query = target["expr"]
                for variable, value in (("$__rate_interval", "20s"), ("$__range", "5m"),
                                        ("$campaign", ".*")):
                    query = query.replace(variable, value)
                yield f"{file.stem}: {panel['title']}", query


class ScrapedCampaign(bitquake.Case):
    def setUp(self):
        super().setUp()
        self.server = self.serve("--db", self.folder / "campaign.db", "--listen", "127.0.0.1:0",
                                 "--http", "127.0.0.1:0", "--lease-work-seconds", "1")
        self.environment["BITQUAKE_SERVER"] = f"127.0.0.1:{self.server.port}"
        self.programs = [self.server] + [
            self.start("bitquake-worker", "--model-root", bitquake.MODEL.parent, "--data-root",
                       bitquake.DATA.parent, "--http", "127.0.0.1:0", "--threads", "1")
            for _ in range(2)]
        self.ports = [int(self.printed(program, r"metrics on port (\d+)"))
                      for program in self.programs]

    def printed(self, process, pattern):
        """Waits for a line of a program's; returns what the pattern's group matched."""
        return self.until(lambda: re.search(pattern, self.output(process)), pattern)[1]

    def until(self, condition, what):
        end = time.monotonic() + bitquake.PATIENCE
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.1)
        self.fail(f"in vain: {what() if callable(what) else what}")

    def start_prometheus(self):
        text = (PROMETHEUS / "prometheus.yml").read_text()
        workers = ", ".join(f'"localhost:{port}"' for port in self.ports[1:])
        for shipped, here in (("15s", "1s"), ("[alerts.yml]", f"[{PROMETHEUS}/alerts.yml]"),
                              ('"localhost:9464"', f'"localhost:{self.ports[0]}"'),
                              ('"localhost:9465"', workers)):
            self.assertIn(shipped, text)
            text = text.replace(shipped, here)
        config = self.write("prometheus.yml", text)
        log = open(self.folder / "prometheus.log", "w+b")
        self.addCleanup(log.close)
        process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", "--web.listen-address=127.0.0.1:0",
             f"--storage.tsdb.path={self.folder}/prometheus"], stdout=log,
            stderr=subprocess.STDOUT)
        process.log = log
        self.addCleanup(self.end, process)
        address = self.printed(process, r'msg="Listening on" address=(127\.0\.0\.1:\d+)')
        self.prometheus = f"http://{address}/api/v1/"

    def ask(self, path, **arguments):
        query = urllib.parse.urlencode(arguments)
        with urllib.request.urlopen(f"{self.prometheus}{path}?{query}", timeout=60) as reply:
            answer = json.loads(reply.read())
        self.assertEqual(answer["status"], "success", answer)
        return answer["data"]

    def has_data(self, query):
        return any(math.isfinite(float(sample["value"][1]))
                   for sample in self.ask("query", query=query)["result"])

    def scrape(self, port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as reply:
            return reply.read().decode()

    def submit_demo(self):
        """The demo, with small trials, and so many that it still runs when all is asked."""
        text = (bitquake.DEMO / "campaign.yaml").read_text()
        for shipped, here in (("models/", ""), ("data/", ""), ("trials: 10", "trials: 20000"),
                              ("images: spread", "images: {first: 100}\nfolds: 1")):
            self.assertEqual(len(re.findall(rf"^[^#\n]*{re.escape(shipped)}", text, re.M)), 1)
            text = re.sub(rf"^([^#\n]*){re.escape(shipped)}", rf"\g<1>{here}", text, flags=re.M)
        out, _ = self.call("submit", self.write("campaign.yaml", text))
        return out.strip()

    def test_a_live_campaign(self):
        campaign = self.submit_demo()
        self.start_prometheus()

        of_gpus = {entry for entry in queries() if ONLY_OF_GPUS & {*NAME.findall(entry[1])}}
        missing = dict.fromkeys(entry for entry in queries() if entry not in of_gpus)
        self.assertTrue(of_gpus)
        self.assertGreater(len(missing), 30)

        def all_answered():
            for entry in list(missing):
                if self.has_data(entry[1]):
                    del missing[entry]
            return not missing
        self.until(all_answered, lambda: "\n".join(map(str, missing)))
        self.assertEqual([panel for panel, query in of_gpus if self.has_data(query)], [])

        self.check_metrics()
        self.check_names()
        self.check_variables(campaign)
        self.check_truth(campaign)
        self.check_alerts()
        self.check_speed()

        self.call("cancel", campaign)
        self.until(lambda: campaign not in self.scrape(self.ports[0]), "the campaign to drop out")

    def check_metrics(self):
        for port in self.ports:
            done = subprocess.run(["promtool", "check", "metrics"], input=self.scrape(port),
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, ""))

    def check_names(self):
        """Metrics that dashboards and alerts name are all there."""
        known = set()
        for port in self.ports:
            known |= {line.split("{")[0].split(" ")[0]
                      for line in self.scrape(port).splitlines() if not line.startswith("#")}
        used = set(NAME.findall((PROMETHEUS / "alerts.yml").read_text()))
        for _, query in queries():
            used |= set(NAME.findall(query))
        self.assertEqual(used - known - ONLY_OF_GPUS, set())

    def check_variables(self, campaign):
        """The campaign can be chosen in every dashboard."""
        for file in DASHBOARDS.glob("*.json"):
            (query,) = [entry["query"] for entry in json.loads(file.read_text())["templating"]["list"]
                        if entry["name"] == "campaign"]
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()
            self.assertEqual(self.ask(f"label/{label}/values", **{"match[]": metric}), [campaign])

    def check_truth(self, campaign):
        """What Prometheus has of the campaign is what the coordinator says."""
        before = json.loads(self.call("show", campaign, "--json")[0])
        scraped = time.time()
        query = f'bitquake_jobs{{campaign="{campaign}",state="done"}}'
        self.until(lambda: float(self.ask("query", query=f"timestamp({query})")["result"][0]
                                 ["value"][1]) > scraped, "a scrape")
        done = float(self.ask("query", query=query)["result"][0]["value"][1])
        after = json.loads(self.call("show", campaign, "--json")[0])
        self.assertLessEqual(before["jobs_done"], done)
        self.assertLessEqual(done, after["jobs_done"])
        live = self.ask("query", query='bitquake_workers{state="live"}')["result"]
        self.assertEqual([sample["value"][1] for sample in live], ["2"])

    def check_alerts(self):
        (group,) = self.ask("rules")["groups"]
        self.assertEqual(len(group["rules"]), PROMETHEUS.joinpath("alerts.yml").read_text().count(
            "- alert:"))
        for rule in group["rules"]:
            self.assertEqual(rule["health"], "ok", rule)
        firing = [alert["labels"]["alertname"] for alert in self.ask("alerts")["alerts"]
                  if alert["state"] == "firing"]
        # The test's disk may be what it is.
        self.assertLessEqual(set(firing), {"BitquakeDiskNearlyFull"})

    def check_speed(self):
        """Scrapes are quick although both cores are busy."""
        (slowest,) = self.ask("query", query="max(quantile_over_time(0.5, scrape_duration_seconds"
                                             "[1m]))")["result"]
        self.assertLess(float(slowest["value"][1]), 0.5)


if __name__ == "__main__":
    assert shutil.which("prometheus"), "Debian's package prometheus is missing; run deploy/setup.sh"
    unittest.main(verbosity=2)
