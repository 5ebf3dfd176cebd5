"""The rendered manifests of deploy/kubernetes, and where they disagree with themselves or with the programs."""

import pathlib
import re
import subprocess

import bitquake
import yaml


FLAGS = {}


def known_flags(program):
    if program not in FLAGS:
        printed = subprocess.run([str(bitquake.BIN / program), "--help"], capture_output=True,
                                 text=True, check=True).stdout
        FLAGS[program] = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", printed))
    return FLAGS[program]


class Manifests:
    """What was rendered, and where it disagrees with itself or the programs."""

    def __init__(self, text):
        self.all = [document for document in yaml.safe_load_all(text) if document]
        self.problems = []
        self.server = self.the("StatefulSet")
        self.worker = self.the("Deployment")

    def of(self, kind):
        return [manifest for manifest in self.all if manifest["kind"] == kind]

    def the(self, kind, name=""):
        [found] = [one for one in self.of(kind) if one["metadata"]["name"].endswith(name)]
        return found

    def must(self, holds, problem):
        if not holds:
            self.problems.append(problem)

    @staticmethod
    def pod(workload):
        return workload["spec"]["template"]["spec"]

    def container(self, workload):
        [container] = self.pod(workload)["containers"]
        return container

    def flags(self, workload):
        parts = (argument.partition("=") for argument in self.container(workload)["args"])
        return {name: value for name, _, value in parts}

    def ports(self, workload):
        return {port["name"]: port["containerPort"] for port in self.container(workload)["ports"]}

    # What is wrong with it.

    def check(self):
        for workload in (self.server, self.worker):
            self.check_program(workload)
            self.check_hardening(workload)
            self.check_files(workload)
            self.check_probes(workload)
        self.check_address()
        self.check_plain_text()
        self.check_ends()
        self.check_gpu()
        self.check_selectors()
        self.check_policies()
        self.check_autoscaling()
        return self.problems

    def check_program(self, workload):
        [path] = self.container(workload)["command"]
        program = path.removeprefix("/opt/bitquake/bin/")
        self.must("/" not in program, f"{path} is not where the image has it")
        defined = {entry["name"] for entry in self.container(workload).get("env", [])}
        for name, value in self.flags(workload).items():
            self.must(name in known_flags(program), f"{program} knows no {name}")
            for variable in re.findall(r"\$\((\w+)\)", value):
                self.must(variable in defined, f"{name}: {variable} is not in env")

    def check_hardening(self, workload):
        pod, container = self.pod(workload), self.container(workload)
        self.must(pod.get("automountServiceAccountToken") is False, "has a service account's token")
        of_pod, of_container = pod["securityContext"], container["securityContext"]
        self.must(of_pod.get("runAsNonRoot") and of_pod.get("runAsUser", 0) > 0, "may be root")
        self.must(of_pod.get("seccompProfile") == {"type": "RuntimeDefault"}, "no seccomp profile")
        self.must(of_container.get("readOnlyRootFilesystem"), "root file system can be written")
        self.must(of_container.get("allowPrivilegeEscalation") is False, "privileges can grow")
        self.must(of_container.get("capabilities") == {"drop": ["ALL"]}, "has capabilities")

    def check_files(self, workload):
        """Each path among the arguments lies on a volume that allows what is done with it."""
        mounts = {mount["mountPath"]: mount for mount in self.container(workload)["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in self.pod(workload)["volumes"]}
        volumes.update((claim["metadata"]["name"], claim)
                       for claim in workload["spec"].get("volumeClaimTemplates", []))
        self.must(volumes.keys() == {mount["name"] for mount in mounts.values()}, "unused volumes")
        used = set()
        for name, value in self.flags(workload).items():
            if not value.startswith("/"):
                continue
            path = pathlib.PurePath(value)
            mount = next((mounts[str(place)] for place in (path, *path.parents)
                          if str(place) in mounts), None)
            if mount is None:
                self.problems.append(f"{name}={value} lies on no volume")
                continue
            writes = name in ("--db", "--cache", "--spool")
            self.must(writes != mount.get("readOnly", False), f"{name}={value}: readOnly is wrong")
            secret = volumes[mount["name"]].get("secret")
            self.must(bool(secret) == name.startswith(("--tls", "--token")),
                      f"{name}={value}: only credentials are on a Secret")
            used.add(path.name if secret else None)
        offered = {item["path"] for volume in volumes.values() if "secret" in volume
                   for item in volume["secret"]["items"]}
        self.must(offered == used - {None}, f"the Secret offers {offered}, used are {used}")

    def check_probes(self, workload):
        container, flags = self.container(workload), self.flags(workload)
        host, _, port = flags["--http"].rpartition(":")
        for name, path in (("startup", "/healthz"), ("liveness", "/healthz"),
                           ("readiness", "/readyz")):
            probe = container[f"{name}Probe"]
            if host == "127.0.0.1":
                self.must(probe.get("exec", {}).get("command") == ["/opt/bitquake/health", port, path],
                          f"{name} probe does not reach {host}:{port}")
                continue
            get = probe.get("httpGet", {})
            self.must(get.get("path") == path, f"{name} probe asks for {get.get('path')}")
            self.must(str(self.ports(workload).get(get.get("port"))) == port,
                      f"{name} probe's port is not that of --http")
        self.must(container["livenessProbe"]["periodSeconds"] *
                  container["livenessProbe"]["failureThreshold"] >= 60, "liveness probe is hasty")

    def check_address(self):
        service = self.the("Service")
        name, namespace = service["metadata"]["name"], "lab"
        [port] = [port for port in service["spec"]["ports"] if port["name"] == "grpc"]
        self.must(self.flags(self.worker)["--server"] == f"{name}.{namespace}.svc:{port['port']}",
                  "workers look for the coordinator elsewhere")
        self.must(self.server["spec"]["serviceName"] == name, "the StatefulSet's Service is another")
        listens = int(self.flags(self.server)["--listen"].rpartition(":")[2])
        self.must(self.ports(self.server).get("grpc") == listens, "grpc is not the port of --listen")
        for port in service["spec"]["ports"]:
            self.must(port["targetPort"] in self.ports(self.server), f"no port {port['targetPort']}")

    def check_plain_text(self):
        flags = self.flags(self.server)
        self.must("--tls-cert" in flags and "--tls-key" in flags, "the coordinator speaks plain text")
        self.must("--tokens" in flags or "--tls-client-ca" in flags, "anybody, or nobody, gets in")
        self.must("--tls-ca" in self.flags(self.worker), "workers speak plain text")
        on_loopback = flags["--http"].startswith("127.0.0.1:")
        self.must(("--insecure" in flags) != on_loopback, "--insecure is for HTTP off loopback only")
        policy = next((policy for policy in self.of("NetworkPolicy")
                       if policy["metadata"]["name"].endswith("-coordinator")), None)
        self.must(on_loopback or policy is not None, "plain HTTP without a NetworkPolicy")

    def check_ends(self):
        grace = float(self.flags(self.worker)["--grace"])
        kubelet = self.pod(self.worker)["terminationGracePeriodSeconds"]
        self.must(kubelet >= grace + 10, f"killed after {kubelet} s, --grace is {grace}")
        # What it would signal would be the first SIGTERM, and the kubelet's the second, which cuts it short.
        self.must("lifecycle" not in self.container(self.worker), "a hook of workers")
        hook = self.container(self.server)["lifecycle"]["preStop"]["exec"]["command"]
        self.must(hook[0] == "sleep" and float(hook[1]) >= grace, "the coordinator ends before workers")
        kubelet = self.pod(self.server)["terminationGracePeriodSeconds"]
        self.must(kubelet >= float(hook[1]) + 20, "the coordinator is killed in its hook")
        self.must(self.server["spec"]["replicas"] == 1, "more than one coordinator")

    def check_gpu(self):
        limits = self.container(self.worker)["resources"]["limits"]
        gpus = {name: count for name, count in limits.items() if "/" in name}
        on_gpu = self.flags(self.worker)["--device"] == "cuda"
        self.must(list(gpus.values()) == ([1] if on_gpu else []), f"{gpus} GPUs for each worker")
        gpus = [name for name in self.container(self.server)["resources"]["limits"] if "/" in name]
        self.must(not gpus, "the coordinator has a GPU")

    def selected(self, labels):
        """The workloads whose pods have these labels."""
        return [workload["kind"] for workload in (self.server, self.worker)
                if labels and labels.items() <= workload["spec"]["template"]["metadata"]["labels"].items()]

    def check_selectors(self):
        for manifest in self.all:
            kind, spec = manifest["kind"], manifest["spec"]
            labels = {"Service": lambda: spec["selector"],
                      "NetworkPolicy": lambda: spec["podSelector"]["matchLabels"],
                      "ServiceMonitor": lambda: spec["selector"]["matchLabels"],
                      }.get(kind, lambda: spec.get("selector", {}).get("matchLabels"))()
            if labels is None:
                continue
            meant = "Deployment" if manifest["metadata"]["name"].endswith("-worker") else "StatefulSet"
            if kind == "ServiceMonitor":
                of_service = self.the("Service")["metadata"]["labels"]
                self.must(labels.items() <= of_service.items(), "the ServiceMonitor finds no Service")
                ports = [port["name"] for port in self.the("Service")["spec"]["ports"]]
                self.must(all(end["port"] in ports for end in spec["endpoints"]), "no such port")
                self.must(all("credentials" in end.get("authorization", {})
                              for end in spec["endpoints"]), "the coordinator asks for a token")
            self.must(self.selected(labels) == [meant],
                      f"{kind} {manifest['metadata']['name']} selects {self.selected(labels)}")
            if kind.endswith("Monitor"):
                job = labels.get(spec["jobLabel"])
                self.must(job == ("bitquake-worker" if meant == "Deployment" else "bitquake-server"),
                          f"{kind}: alerts look for another job than {job}")

    def check_policies(self):
        for policy in self.of("NetworkPolicy"):
            [target] = self.selected(policy["spec"]["podSelector"]["matchLabels"]) or [None]
            workload = self.server if target == "StatefulSet" else self.worker
            self.must(set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}, "half a policy")
            for rule in policy["spec"]["ingress"]:
                self.must(bool(rule.get("from")), "a policy lets everybody in")
                self.must(all(port["port"] in self.ports(workload) for port in rule["ports"]),
                          "a policy is for a port that is not there")
            if target == "StatefulSet":
                callers = [peer["podSelector"]["matchLabels"] for rule in policy["spec"]["ingress"]
                           for peer in rule.get("from", []) if rule["ports"][0]["port"] == "grpc"
                           and list(peer) == ["podSelector"]]
                self.must(any(self.selected(labels) == ["Deployment"] for labels in callers),
                          "workers do not reach the coordinator")
                self.must(policy["spec"]["egress"] == [], "the coordinator calls others")
            else:
                goals = [self.selected(peer["podSelector"]["matchLabels"])
                         for rule in policy["spec"]["egress"] for peer in rule.get("to", [])]
                self.must(goals == [["StatefulSet"]], "workers call others than the coordinator")
                names = [port["port"] for rule in policy["spec"]["egress"] if "to" not in rule
                         for port in rule["ports"]]
                self.must(names == [53, 53], "workers resolve no names, or more than that")

    def check_autoscaling(self):
        scaled = self.of("ScaledObject")
        self.must(bool(scaled) != ("replicas" in self.worker["spec"]), "who says how many workers?")
        for one in scaled:
            spec = one["spec"]
            self.must(spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name":
                                                 self.worker["metadata"]["name"]}, "scales another")
            self.must(spec["minReplicaCount"] <= spec["maxReplicaCount"], "min is above max")
            [trigger] = spec["triggers"]
            self.must(trigger["metadata"].get("ignoreNullValues") == "false",
                      "a Prometheus without data ends all workers")
            service = self.the("Service")["metadata"]["name"]
            self.must(trigger["metadata"]["query"].count(f'service="{service}"') == 3,
                      "the query is of another Service")
            lease = float(self.flags(self.server).get("--lease-work-seconds", 20))
            self.must(spec["cooldownPeriod"] >= lease, "workers end while they hold leases")
