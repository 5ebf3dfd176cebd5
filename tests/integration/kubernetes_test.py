"""deploy/kubernetes: the chart, rendered by Helm's own engine, is what Kubernetes takes, agrees with the programs,
and its commands run a campaign as they stand."""

import copy
import json
import pathlib
import re
import signal
import socket
import subprocess
import time
import unittest
import urllib.error
import urllib.request

import packages  # before what it installs
import bitquake
import helm_python
import kubernetes_validate
import yaml
from manifests import Manifests
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as operator

KUBERNETES = bitquake.SOURCE / "deploy" / "kubernetes"
CHART = KUBERNETES / "bitquake"
HEALTH = bitquake.SOURCE / "deploy" / "docker" / "health"
VERSIONS = ("1.27", kubernetes_validate.latest_version().rpartition(".")[0])
CUSTOM = {"ScaledObject": keda.ScaledObject, "ServiceMonitor": operator.ServiceMonitor,
          "PodMonitor": operator.PodMonitor}
VOLUME = {"persistentVolumeClaim": {"claimName": "files"}}
METRICS = {"metrics": {"insecure": True}, "networkPolicy": {"prometheus": [{"podSelector": {}}]}}


def values_of(example, **more):
    """An example's values, with some laid over them."""
    def merge(under, over):
        for key, value in over.items():
            both = isinstance(value, dict) and isinstance(under.get(key), dict)
            under[key] = merge(under[key], value) if both else value
        return under
    base = {"models": VOLUME, "data": VOLUME} if example is None else \
        yaml.safe_load((KUBERNETES / "examples" / f"{example}.yaml").read_text())
    return merge(base, copy.deepcopy(more))


CASES = {
    "least": values_of(None),
    "cpu": values_of("cpu"),
    "gpu": values_of("gpu"),
    "autoscaled": values_of("autoscaled", models=VOLUME, data=VOLUME),
    "certificates only": values_of("cpu", security={"tokens": False}),
    "a slice of a GPU": values_of("gpu", worker={"gpu": "nvidia.com/mig-1g.10gb"}),
    "code beside models": values_of("cpu", worker={"allowTorchscript": True}),
    "metrics, no autoscaling": values_of("cpu", **METRICS),
    "no policies": values_of("cpu", networkPolicy={"enabled": False}),
}


def render(values):
    """The chart's text with these values, as Helm renders it; its checks and schema included."""
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        files = chart.render(values, name="bitquake", namespace="lab")
    return "\n---\n".join(text for name, text in sorted(files.items()) if name.endswith(".yaml"))


# Each breaks one thing of a case: (case, what is there, what takes its place, what is said of it).
MUTANTS = [
    ("least", "--tls-cert=", "--tls-certificate=", "knows no --tls-certificate"),
    ("least", "            - --tls-cert=/run/bitquake/server.crt\n", "", "plain text"),
    ("least", "            - --tls-ca=/run/bitquake/ca.crt\n", "", "workers speak plain text"),
    ("least", "--http=127.0.0.1:9464", "--http=127.0.0.1:9465", "does not reach"),
    ("least", "--http=127.0.0.1:9464", "--http=127.0.0.1:9464\n            - --insecure", "--insecure"),
    ("least", "--listen=0.0.0.0:50551", "--listen=0.0.0.0:50552", "not the port of --listen"),
    ("least", "path: revoked", "path: revocations", "the Secret offers"),
    ("least", "mountPath: /run/bitquake,", "mountPath: /run/credentials,", "lies on no volume"),
    ("least", "{name: cache, mountPath: /var/cache/bitquake}",
     "{name: cache, mountPath: /var/cache/bitquake, readOnly: true}", "readOnly is wrong"),
    ("least", "{name: database, mountPath: /var/lib/bitquake}",
     "{name: tmp, mountPath: /var/lib/bitquake}", "unused volumes"),
    ("least", "--grace=60", "--grace=75", "killed after"),
    ("least", 'command: [sleep, "60"]', 'command: [sleep, "30"]', "ends before workers"),
    ("least", "terminationGracePeriodSeconds: 90", "terminationGracePeriodSeconds: 60", "in its hook"),
    ("least", "          startupProbe: # loading CUDA",
     "          lifecycle: {preStop: {exec: {command: [kill, '1']}}}\n          startupProbe:", "hook"),
    ("least", "  replicas: 1\n  serviceName", "  replicas: 2\n  serviceName", "more than one"),
    ("least", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "can be written"),
    ("least", "runAsNonRoot: true", "runAsNonRoot: false", "may be root"),
    ("least", "drop: [ALL]", "drop: [NET_RAW]", "capabilities"),
    ("least", "--device=cuda", "--device=cpu", "GPUs for each worker"),
    ("gpu", "nvidia.com/gpu: 1", "nvidia.com/gpu: 2", "GPUs for each worker"),
    ("cpu", "--device=cpu", "--device=cuda", "GPUs for each worker"),
    ("cpu", "- name: CPUS", "- name: CORES", "CPUS is not in env"),
    ("cpu", "bitquake-coordinator.lab.svc:50551", "bitquake.lab.svc:50551", "elsewhere"),
    ("cpu", "httpGet: {path: /readyz", "httpGet: {path: /healthz", "readiness probe asks"),
    ("cpu", "containerPort: 9465", "containerPort: 9464", "not that of --http"),
    ("metrics, no autoscaling", "            - --insecure\n", "", "--insecure"),
    ("metrics, no autoscaling", "    - from:\n        - podSelector: {}\n      ports:\n        - {protocol: TCP, port: http}",
     "    - ports:\n        - {protocol: TCP, port: http}", "lets everybody in"),
    ("autoscaled", "jobLabel: app.kubernetes.io/component", "jobLabel: app.kubernetes.io/name", "another job"),
    ("autoscaled", "      authorization:\n        type: Bearer\n        credentials:",
     "      bearerTokenSecret:", "asks for a token"),
    ("autoscaled", 'ignoreNullValues: "false"', 'ignoreNullValues: "true"', "ends all workers"),
    ("autoscaled", "    kind: Deployment\n    name: bitquake-worker",
     "    kind: Deployment\n    name: bitquake-coordinator", "scales another"),
    ("autoscaled", "cooldownPeriod: 300", "cooldownPeriod: 10", "hold leases"),
    ("cpu", "  replicas: 4\n", "", "how many workers"),
]

# What the schemas say of a manifest: (case, what is there, what takes its place).
INVALID = [
    ("least", "terminationGracePeriodSeconds: 75", "terminationGracePeriod: 75"),
    ("least", "containerPort: 50551", "containerPort: grpc"),
    ("least", "failureThreshold: 300", "failureThreshold: often"),
    ("least", "maxUnavailable: 25%", "atMost: 25%"),
    ("least", "policyTypes: [Ingress, Egress]", "policyType: Ingress"),
    ("autoscaled", "pollingInterval: 30", "polling: 30"),
    ("autoscaled", "minReplicaCount: 0", "minReplicaCount: none"),
    ("autoscaled", "metricType: AverageValue", "metric: AverageValue"),
    ("autoscaled", "podMetricsEndpoints:", "endpoints:"),
    ("autoscaled", "interval: 15s", "interval: often"),
    ("autoscaled", "jobLabel:", "job:"),
]


def changed(case, old, new):
    text = render(CASES[case])
    assert old in text, f"{case}: {old!r} is not there"
    return text.replace(old, new)


def invalid(text):
    """What the schemas say against manifests."""
    found = []
    for manifest in yaml.safe_load_all(text):
        if not manifest:
            continue
        name = f"{manifest['kind']} {manifest['metadata']['name']}"
        try:
            if model := CUSTOM.get(manifest["kind"]):
                read = model.model_validate(manifest)
                kept = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
                found += [f"{name}: {path} is unknown" for path in lost(manifest, kept)]
            else:
                for version in VERSIONS:
                    kubernetes_validate.validate(manifest, version, strict=True)
        except (kubernetes_validate.ValidationError, ValueError) as error:
            found.append(f"{name}: {error}")
    return found


def lost(given, kept, path=""):
    """What a model does not know of, it leaves out."""
    if isinstance(given, dict):
        for key, value in given.items():
            if key not in kept:
                yield f"{path}.{key}"
            else:
                yield from lost(value, kept[key], f"{path}.{key}")
    elif isinstance(given, list):
        for number, (one, other) in enumerate(zip(given, kept)):
            yield from lost(one, other, f"{path}[{number}]")


class Chart(unittest.TestCase):
    def test_helm_lints_it(self):
        for example in ("cpu", "gpu"):
            found = helm_python.lint(CHART, values_of(example))
            self.assertEqual(found["errors"], [])
            self.assertEqual([line["error"] for line in found["messages"]], ["icon is recommended"])

    def test_is_of_this_version(self):
        [version] = re.findall(r"project\(bitquake VERSION (\S+)",
                               (bitquake.SOURCE / "CMakeLists.txt").read_text())
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        self.assertEqual((chart["version"], chart["appVersion"]), (version, version))

    def test_kubernetes_takes_it(self):
        for name, values in CASES.items():
            with self.subTest(name):
                self.assertEqual(invalid(render(values)), [])

    def test_what_kubernetes_would_not_take_is_noticed(self):
        for case, old, new in INVALID:
            with self.subTest(new):
                self.assertTrue(invalid(changed(case, old, new)))

    def test_agrees_with_itself_and_the_programs(self):
        for name, values in CASES.items():
            with self.subTest(name):
                self.assertEqual(Manifests(render(values)).check(), [])

    def test_what_disagrees_is_noticed(self):
        for case, old, new, problem in MUTANTS:
            with self.subTest(f"{old} -> {new}"):
                self.assertIn(problem, "\n".join(Manifests(changed(case, old, new)).check()))

    def test_has_what_the_values_ask_for(self):
        kinds = {name: sorted(one["kind"] for one in Manifests(render(values)).all)
                 for name, values in CASES.items()}
        least = ["Deployment", "NetworkPolicy", "NetworkPolicy", "PodDisruptionBudget",
                 "PodDisruptionBudget", "Service", "StatefulSet"]
        self.assertEqual(kinds["least"], least)
        self.assertEqual(kinds["autoscaled"],
                         sorted([*least, "PodMonitor", "ScaledObject", "ServiceMonitor"]))
        self.assertEqual(kinds["no policies"], [kind for kind in least if kind != "NetworkPolicy"])

    def test_refuses_what_is_not_safe_or_makes_no_sense(self):
        for reason, values in {
            "models: say which volume": {"data": VOLUME},
            "tls": values_of("cpu", tls={"enabled": False}),
            "'/security'": values_of("cpu", security={"tls": False}),
            "at '/security'": values_of("cpu", security={"certificates": False, "tokens": False}),
            "serverSecret": values_of("cpu", security={"serverSecret": ""}),
            "set networkPolicy.enabled": values_of(
                "cpu", metrics={"insecure": True}, networkPolicy={"enabled": False}),
            "who may scrape": values_of("cpu", metrics={"insecure": True}),
            "set security.tokens": values_of("cpu", security={"tokens": False}, **METRICS),
            "serviceMonitor needs": values_of("cpu", metrics={"serviceMonitor": True}),
            "autoscaling needs": values_of("cpu", autoscaling={"enabled": True}),
            "where Prometheus answers": values_of("cpu", autoscaling={"enabled": True}, **METRICS),
            "min is above max": values_of("autoscaled", autoscaling={"min": 20}, models=VOLUME, data=VOLUME),
            "maxProperties": values_of("cpu", models=VOLUME),
            "'/worker/gpu'": values_of("cpu", worker={"gpu": "2"}),
            "'/worker/graceSeconds'": values_of("cpu", worker={"graceSeconds": 0}),
            "'/worker'": values_of("cpu", worker={"gpus": 2}),
            "'/coordinator'": values_of("cpu", coordinator={"replicas": 2}),
        }.items():
            with self.subTest(reason), self.assertRaisesRegex(helm_python.HelmError, re.escape(reason)):
                render(values)
        self.assertNotIn("--insecure", render(CASES["least"]))

    def test_the_readme_makes_the_secrets_that_it_asks_for(self):
        readme = (KUBERNETES / "README.md").read_text()
        for case in CASES.values():
            manifests = Manifests(render(case))
            for workload in (manifests.server, manifests.worker):
                for volume in manifests.pod(workload)["volumes"]:
                    for item in volume.get("secret", {}).get("items", []):
                        self.assertRegex(readme, rf"{volume['secret']['secretName']} .*{item['key']}")


class Autoscaling(bitquake.Case):
    """What KEDA asks Prometheus for, on the metrics of coordinators in several states."""

    AT = '{job="bitquake-server", namespace="lab", service="bitquake-coordinator", campaign="%s"%s}'

    def test_counts_ready_work(self):
        [trigger] = Manifests(render(CASES["autoscaled"])).the("ScaledObject")["spec"]["triggers"]
        query = trigger["metadata"]["query"]
        ready = lambda campaign, jobs: ("bitquake_jobs" + self.AT % (campaign, ', state="ready"'), jobs)
        work = lambda campaign, seconds: ("bitquake_ready_work_seconds" + self.AT % (campaign, ""), seconds)
        live = ("bitquake_workers" + self.AT.replace(', campaign="%s"%s', ', state="live"'), 3)
        for what, series, answer in (
                ("one campaign", [work("a", 4000), ready("a", 10), live], 4000),
                ("two campaigns", [work("a", 4000), work("b", 500), ready("a", 10), ready("b", 1), live], 4500),
                ("speed unknown", [ready("a", 10), live], 600),
                ("one known, one not", [work("a", 4000), ready("a", 9), ready("b", 9), live], 4600),
                ("all done or paused", [work("a", 0), ready("a", 0), ready("b", 0), live], 0),
                ("no campaigns", [live], 0),
                ("another coordinator's", [(name.replace("lab", "home"), value) for name, value in
                                           (work("a", 4000), ready("a", 10), live)], None),
                ("no coordinator", [], None)):
            with self.subTest(what):
                self.assertTrue(self.answers(query, series, answer))
                self.assertFalse(self.answers(query, series, 1))

    def answers(self, query, series, answer):
        """Whether Prometheus answers a query so; None stands for no answer."""
        self.write("rules.yml", json.dumps(
            {"groups": [{"name": "keda", "rules": [{"record": "answer", "expr": query}]}]}))
        expected = [] if answer is None else [{"labels": "answer", "value": answer}]
        self.write("test.yml", json.dumps({
            "rule_files": ["rules.yml"], "evaluation_interval": "1m",
            "tests": [{"interval": "1m",
                       "input_series": [{"series": name, "values": f"{value}x5"} for name, value in series],
                       "promql_expr_test": [{"expr": "answer", "eval_time": "3m",
                                             "exp_samples": expected}]}]}))
        done = subprocess.run(["promtool", "test", "rules", str(self.folder / "test.yml")],
                              capture_output=True, text=True)
        self.assertIn("SUCCESS" if done.returncode == 0 else "got:", done.stdout + done.stderr)
        return done.returncode == 0


class Commands(bitquake.Case):
    """The containers' commands as they stand, on this host: with other ports, and a folder for each volume."""

    def setUp(self):
        super().setUp()
        self.credentials = self.folder / "credentials"
        subprocess.run(["bash", str(bitquake.SOURCE / "deploy/make-credentials.sh"), str(self.credentials),
                        "--host", "localhost"], check=True, capture_output=True)
        self.moved = {"bitquake-coordinator.lab.svc": "localhost", "$(POD_NAME)": "pod-0", "$(CPUS)": "2",
                      "/opt/bitquake/bin": str(bitquake.BIN), "/opt/bitquake/health": str(HEALTH)}
        for port in ("50551", "9464", "9465"):
            with socket.socket() as free:
                free.bind(("", 0))
                self.moved[port] = str(free.getsockname()[1])

    def here(self, text):
        return re.sub("|".join(map(re.escape, sorted(self.moved, key=len, reverse=True))),
                      lambda found: self.moved[found[0]], text)

    def mount(self, manifests, workload):
        given = {"models": bitquake.MODEL.parent, "data": bitquake.DATA.parent}
        volumes = {volume["name"]: volume for volume in manifests.pod(workload)["volumes"]}
        for mount in manifests.container(workload)["volumeMounts"]:
            name = mount["name"]
            place = given.get(name, self.folder / workload["kind"] / name)
            place.mkdir(parents=True, exist_ok=True)
            for item in volumes.get(name, {}).get("secret", {}).get("items", []):
                (place / item["path"]).write_bytes((self.credentials / item["key"]).read_bytes())
            self.moved[mount["mountPath"]] = str(place)

    def begin(self, manifests, workload):
        """Starts a container's program; returns when its startup and readiness probes succeed."""
        self.mount(manifests, workload)
        container = manifests.container(workload)
        [program] = container["command"]
        process = self.start(pathlib.Path(program).name, *map(self.here, container["args"]))
        for probe in ("startupProbe", "readinessProbe"):
            self.await_probe(manifests, workload, container[probe], process)
        return process

    def await_probe(self, manifests, workload, probe, process):
        give_up = time.monotonic() + bitquake.PATIENCE
        while not self.succeeds(manifests, workload, probe):
            self.assertIsNone(process.poll(), self.output(process))
            self.assertLess(time.monotonic(), give_up, self.output(process))

    def succeeds(self, manifests, workload, probe):
        if "exec" in probe:
            return subprocess.run([self.here(word) for word in probe["exec"]["command"]],
                                  capture_output=True).returncode == 0
        port = manifests.ports(workload)[probe["httpGet"]["port"]]
        return self.get(f"{port}{probe['httpGet']['path']}")[0] == 200

    def get(self, rest, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(self.here(f"http://127.0.0.1:{rest}"), headers=headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, ""
        except OSError:
            return None, ""

    def submit(self, *arguments, **fields):
        file = self.write("campaign.yaml", bitquake.campaign(
            models=[bitquake.MODEL.name], dataset=bitquake.DATA.name, **fields))
        return self.call("submit", file, "--server", self.here("localhost:50551"), "--tls-ca",
                         self.credentials / "ca.crt", *arguments)[0]

    def metrics(self, token):
        """The coordinator's samples by name and labels without a campaign's id."""
        status, text = self.get("9464/metrics", token)
        self.assertEqual(status, 200)
        samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {re.sub(r'campaign="[^"]*",?', "", name): float(value) for name, _, value in samples}

    def ends(self, manifests, workload, process):
        process.send_signal(signal.SIGTERM)
        process.wait(manifests.pod(workload)["terminationGracePeriodSeconds"])
        self.assertEqual(process.returncode, 0, self.output(process))

    def test_show_an_autoscaler_the_work_that_is_left(self):
        """Tokens; metrics on the pod's address. The worker is ended amid its work, as where it is scaled away."""
        manifests = Manifests(render(values_of(
            "cpu", security={"certificates": False},
            coordinator={"leaseSeconds": 3600},  # no lease ends by itself
            **METRICS)))
        token = (self.credentials / "viewer.token").read_text().strip()
        server = self.begin(manifests, manifests.server)
        self.assertEqual(self.get("9464/metrics")[0], 401)
        self.submit("--token-file", self.credentials / "submitter.token", trials=5000, images={"first": 50})
        before = self.metrics(token)
        self.assertGreater(before['bitquake_jobs{state="ready"}'], 0)
        self.assertNotIn("bitquake_ready_work_seconds{}", before)
        worker = self.begin(manifests, manifests.worker)
        while self.metrics(token)['bitquake_job_outcomes_total{result="done"}'] < 10:
            self.assertIsNone(worker.poll(), self.output(worker))
        self.assertIn("bitquake_images_total", self.get("9465/metrics")[1])
        self.ends(manifests, manifests.worker, worker)
        give_up = time.monotonic() + bitquake.PATIENCE
        while (left := self.metrics(token))['bitquake_jobs{state="leased"}'] > 0:
            self.assertLess(time.monotonic(), give_up, self.output(worker))
        self.assertGreater(left["bitquake_ready_work_seconds{}"], 0)
        self.assertIn('bitquake_workers{state="live"}', left)
        self.ends(manifests, manifests.server, server)

    def test_run_a_campaign_with_certificates(self):
        """The coordinator's pages stay on loopback."""
        manifests = Manifests(render(CASES["certificates only"]))
        server = self.begin(manifests, manifests.server)
        worker = self.begin(manifests, manifests.worker)
        out = self.submit("--watch", "--json", "--tls-cert", self.credentials / "submitter.crt",
                          "--tls-key", self.credentials / "submitter.key")
        self.assertEqual(json.loads(out.splitlines()[-1])["state"], "done")
        self.ends(manifests, manifests.server, server)
        liveness = manifests.container(manifests.server)["livenessProbe"]
        self.assertFalse(self.succeeds(manifests, manifests.server, liveness))
        self.ends(manifests, manifests.worker, worker)  # also without a coordinator


if __name__ == "__main__":
    unittest.main(verbosity=2)
