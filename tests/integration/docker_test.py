"""deploy/docker: Dockerfile and compose files are well-formed, name what is there, and agree with the programs."""

import copy
import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

import packages
import bitquake
import yaml
from manifests import known_flags

DOCKER = bitquake.SOURCE / "deploy" / "docker"
DOCKERFILE = DOCKER / "Dockerfile"
HADOLINT = packages.FOLDER / "bin" / "hadolint"


def instructions(text):
    """(instruction, rest) of a Dockerfile, continued lines joined, comments left out."""
    lines = re.sub(r"(?m)^\s*#.*\n", "", text).replace("\\\n", " ").splitlines()
    return [tuple(line.split(None, 1)) for line in lines if line.strip()]


def problems_of_image(text):
    """What is wrong with a Dockerfile beyond what hadolint sees."""
    arguments, stages, found = {}, {}, []
    for name, rest in instructions(text):
        if name == "ARG":
            key, _, value = rest.partition("=")
            arguments[key] = value
        elif name == "FROM":
            base, _, stage = rest.partition(" AS ")
            stages[stage] = dict(stages.get(base, {}))
            current = stages[stage]
        elif name == "COPY":
            words = rest.split()
            options = [word for word in words if word.startswith("--")]
            sources = [word for word in words if not word.startswith("--")][:-1]
            origin = [option.removeprefix("--from=") for option in options if "--from" in option]
            if origin:
                if origin[0] not in stages:
                    found.append(f"no stage {origin[0]}")
            else:
                for source in sources:
                    source = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], source)
                    if not (bitquake.SOURCE / source).exists():
                        found.append(f"{source} is not there")
        else:
            current[name] = rest
    for stage, program, port in (("server", "bitquake-server", 9464), ("worker", "bitquake-worker", 9465)):
        image = stages.get(stage, {})
        if not re.match(r"[1-9]\d*:", image.get("USER", "")):
            found.append(f"{stage} may be root")
        if image.get("STOPSIGNAL") != "SIGTERM":
            found.append(f"{stage} is not stopped by SIGTERM")
        if json.loads(image.get("ENTRYPOINT", "[]")) != [f"/opt/bitquake/bin/{program}"]:
            found.append(f"{stage} starts something else")
        health = json.loads(image.get("HEALTHCHECK", "CMD []").partition("CMD ")[2])
        if health != ["/opt/bitquake/health", str(port), "/healthz"]:
            found.append(f"{stage} has no health check of port {port}")
        for argument in json.loads(image.get("CMD", "[]")):
            if argument.partition("=")[0] not in known_flags(program):
                found.append(f"{program} knows no {argument}")
    return found


def compose(*files):
    """What docker-compose makes of files, or its complaint; the working folder is deploy/docker."""
    names = [part for file in files for part in ("-f", str(file))]
    environment = dict(os.environ, BITQUAKE_MODELS="/srv/models", BITQUAKE_DATA="/srv/data")
    done = subprocess.run(["docker-compose", "--project-directory", str(DOCKER), *names, "config"],
                          capture_output=True, text=True, env=environment)
    return yaml.safe_load(done.stdout) if done.returncode == 0 else done.stderr


def seconds(text):
    minutes, rest = re.fullmatch(r"(?:(\d+)m)?(\d+)s", text).groups()
    return int(minutes or 0) * 60 + int(rest)


def problems_of_compose(config):
    found = []

    def must(holds, problem):
        if not holds:
            found.append(problem)

    services = config["services"]
    for name, service in services.items():
        must(service.get("read_only"), f"{name} writes to its root")
        must(service.get("cap_drop") == ["ALL"], f"{name} has capabilities")
        must("no-new-privileges:true" in service.get("security_opt", []), f"{name} may gain privileges")
        must(not service.get("privileged"), f"{name} is privileged")
        for port in service.get("ports", []):
            port = f"{port['published']}:{port['target']}" if isinstance(port, dict) else port
            must(port in ("50551:50551", "50551:50551/tcp") or port.startswith("127.0.0.1:"),
                 f"{name} serves plain text to others at {port}")
        secrets = {secret["source"] for secret in service["secrets"]}
        must(secrets <= config["secrets"].keys(), f"{name}: {secrets} are not all defined")
        for volume in service["volumes"]:
            source = volume["source"] if isinstance(volume, dict) else volume.partition(":")[0]
            inside = pathlib.Path(source)
            if inside.is_absolute() and bitquake.SOURCE in inside.parents:
                must(inside.exists() or "credentials" in inside.parts, f"{name}: {source} is not there")
                must(volume.get("read_only"), f"{name} writes to the repository")
    for name in ("server", "worker"):
        service = services[name]
        flags = {key: value for key, _, value in (word.partition("=") for word in service["command"])}
        secrets = {secret["source"] for secret in service["secrets"]}
        writable = [volume.split(":")[1] for volume in service["volumes"] if isinstance(volume, str)]
        targets = [volume["target"] for volume in service["volumes"] if isinstance(volume, dict)]
        used = set()
        for flag, value in flags.items():
            must(flag in known_flags(f"bitquake-{name}"), f"bitquake-{name} knows no {flag}")
            if value.startswith("/run/secrets/"):
                used.add(pathlib.Path(value).name)
            elif value.startswith("/"):
                must(any(value.startswith(place) for place in (*writable, *targets)), f"{value} is on no volume")
        must(used == secrets, f"{name} has the secrets {secrets} and uses {used}")
    server = services["server"]["command"]
    must("--tls-cert=/run/secrets/server.crt" in server, "the server speaks plain text")
    must(any(word.startswith("--tls-ca=") for word in services["worker"]["command"]), "workers speak plain text")
    [grace] = [float(word.partition("=")[2]) for word in services["worker"]["command"] if "--grace" in word]
    must(seconds(services["worker"]["stop_grace_period"]) >= grace + 10, "workers are killed as they drain")
    must(config["networks"]["metrics"].get("internal"), "metrics leave the host")
    for secret in config["secrets"]:
        must(secret in (DOCKER / "credentials.sh").read_text() or secret == "ca.crt" or
             re.fullmatch(r"(server|worker)\.(crt|key)", secret), f"nobody makes {secret}")
    must(config["services"]["grafana"]["environment"].get("GF_SECURITY_ADMIN_PASSWORD__FILE") ==
         "/run/secrets/grafana.password", "Grafana has its well-known password")
    return found


class Image(unittest.TestCase):
    TEXT = DOCKERFILE.read_text()

    def lint(self, text):
        return subprocess.run([str(HADOLINT), "-"], input=text, capture_output=True, text=True,
                              timeout=bitquake.PATIENCE).stdout

    def test_hadolint_finds_nothing(self):
        self.assertEqual(self.lint(self.TEXT), "")
        self.assertIn("DL3007", self.lint(self.TEXT.replace("debian:12-slim", "debian:latest")))
        self.assertIn("DL3002", self.lint(self.TEXT.replace("USER 10001:10001", "USER root")))

    def test_has_what_it_copies_and_is_not_root(self):
        self.assertEqual(problems_of_image(self.TEXT), [])

    def test_what_is_wrong_is_noticed(self):
        for old, new, problem in (
                ("deploy/docker/health /opt", "deploy/docker/healthy /opt", "healthy is not there"),
                ("deploy/docker/cuda-requirements.txt", "deploy/cuda.txt", "cuda.txt is not there"),
                ("--from=libtorch", "--from=torch", "no stage torch"),
                ("USER 10001:10001\nEXPOSE 9465", "EXPOSE 9465", "worker may be root"),
                ("STOPSIGNAL SIGTERM", "STOPSIGNAL SIGKILL", "not stopped by SIGTERM"),
                ('"9465", "/healthz"', '"9464", "/healthz"', "no health check of port 9465"),
                ('CMD ["--db=', 'CMD ["--database=', "knows no --database")):
            with self.subTest(new):
                self.assertIn(old, self.TEXT)
                self.assertIn(problem, "\n".join(problems_of_image(self.TEXT.replace(old, new))))

    def test_nothing_that_it_needs_is_ignored(self):
        ignored = (DOCKER / "Dockerfile.dockerignore").read_text().split()
        tracked = subprocess.run(["git", "ls-files"], cwd=bitquake.SOURCE, capture_output=True, text=True,
                                 check=True).stdout.split("\n")
        for pattern in ignored:  # a file that git has and the build lacks makes the version a -dirty one
            folder = pattern.lstrip("/*")
            self.assertFalse([file for file in tracked if file.startswith(folder + "/") or
                              f"/{folder}/" in file or file.endswith(folder)], pattern)

    def test_libtorch_is_the_one_that_it_was_built_with(self):
        of_cpu = (bitquake.SOURCE / "deploy" / "libtorch-requirements.txt").read_text()
        of_cuda = (DOCKER / "cuda-requirements.txt").read_text()
        for line in of_cpu.splitlines():
            if not line.startswith("#"):
                self.assertIn(line, of_cuda.splitlines())
        self.assertRegex(of_cuda, r"(?m)^nvidia-cudnn-cu13==\S+ --hash=sha256:[0-9a-f]{64}$")


class Compose(bitquake.Case):
    def test_is_what_compose_takes(self):
        for files in ([DOCKER / "compose.yaml"], [DOCKER / "compose.yaml", DOCKER / "compose.gpu.yaml"]):
            config = compose(*files)
            self.assertIsInstance(config, dict, config)
            self.assertEqual(problems_of_compose(config), [])
            devices = config["services"]["worker"].get("deploy", {}).get("resources", {}) \
                .get("reservations", {}).get("devices", [])
            self.assertEqual([device["capabilities"] for device in devices], [["gpu"]] * (len(files) - 1))

    def test_what_compose_would_not_take_is_noticed(self):
        text = (DOCKER / "compose.yaml").read_text()
        for old, new in (("stop_grace_period:", "grace_period:"), ("- database:/var", "- databases:/var"),
                         ("internal: true", "inside: true"), ("condition: service_healthy", "condition: well"),
                         ("stop_grace_period: 75s", "stop_grace_period: [75]")):
            self.assertIn(old, text)
            self.assertIsInstance(compose(self.write("compose.yaml", text.replace(old, new))), str, new)

    def test_what_is_wrong_is_noticed(self):
        text = (DOCKER / "compose.yaml").read_text()
        for old, new, problem in (
                ("read_only: true\n  cap", "read_only: false\n  cap", "writes to its root"),
                ("cap_drop: [ALL]", "cap_drop: [KILL]", "has capabilities"),
                ('"127.0.0.1:9464:9464"', '"9464:9464"', "serves plain text to others"),
                ("- --grace=60", "- --grace=70", "killed as they drain"),
                ("- --tls-cert=/run/secrets/server.crt\n", "- --tls-key=/run/secrets/server.key\n", "plain text"),
                ("- --device", "- --devices", "knows no --devices"),
                ("secrets: [ca.crt, worker.crt, worker.key]", "secrets: [ca.crt, worker.crt]", "and uses"),
                ("secrets: [prometheus.token]", "secrets: [token]", "not all defined"),
                ("metrics: {internal: true}", "metrics: {}", "metrics leave the host"),
                ("GF_SECURITY_ADMIN_PASSWORD__FILE", "GF_SECURITY_PASSWORD__FILE", "well-known password"),
                ("./prometheus.yml", "./prometheus.yaml", "is not there"),
                ("target: /data,", "target: /datas,", "/data is on no volume")):
            with self.subTest(new):
                self.assertIn(old, text)
                config = compose(self.write("compose.yaml", text.replace(old, new)))
                self.assertIsInstance(config, dict, config)
                self.assertIn(problem, "\n".join(problems_of_compose(config)))

    def test_prometheus_takes_its_file_and_scrapes_what_serves(self):
        place = self.folder / "prometheus"
        place.mkdir()
        shutil.copy(bitquake.SOURCE / "deploy" / "prometheus" / "alerts.yml", place)
        token = self.write("token", "x")
        text = (DOCKER / "prometheus.yml").read_text().replace("/run/secrets/prometheus.token", str(token))
        (place / "prometheus.yml").write_text(text)
        done = subprocess.run(["promtool", "check", "config", str(place / "prometheus.yml")],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
        jobs = {job["job_name"]: job for job in yaml.safe_load(text)["scrape_configs"]}
        of_example = yaml.safe_load((bitquake.SOURCE / "deploy/prometheus/prometheus.yml").read_text())
        self.assertEqual(list(jobs), [job["job_name"] for job in of_example["scrape_configs"]])
        [target] = jobs["bitquake-server"]["static_configs"][0]["targets"]
        self.assertEqual(target.partition(":")[0], "server")
        self.assertIn(f"--http=0.0.0.0:{target.partition(':')[2]}", services["server"]["command"])
        [workers] = jobs["bitquake-worker"]["dns_sd_configs"]
        self.assertEqual(workers["names"], ["worker"])
        self.assertIn(f"--http=0.0.0.0:{workers['port']}", services["worker"]["command"])

    def test_grafana_has_the_same_source_at_another_place(self):
        here = yaml.safe_load((DOCKER / "datasources" / "bitquake.yml").read_text())
        there = yaml.safe_load((bitquake.SOURCE / "deploy/grafana/provisioning/datasources/bitquake.yml").read_text())
        self.assertEqual(here["datasources"][0]["url"], "http://prometheus:9090")
        same = copy.deepcopy(there)
        same["datasources"][0]["url"] = "http://prometheus:9090"
        self.assertEqual(here, same)

    def test_credentials_are_made_for_each_container(self):
        """In a copy; each file is readable by its container's user alone."""
        if os.geteuid() != 0:
            refused = subprocess.run(["bash", str(DOCKER / "credentials.sh")], capture_output=True, text=True)
            self.assertIn("run it as root", refused.stderr)
            return
        place = self.folder / "deploy"
        shutil.copytree(DOCKER, place / "docker", ignore=shutil.ignore_patterns("credentials"))
        shutil.copy(bitquake.SOURCE / "deploy" / "make-credentials.sh", place)
        run = lambda *arguments: subprocess.run(["bash", str(place / "docker" / "credentials.sh"), *arguments],
                                                check=True, capture_output=True)
        run("--host", "cluster.example.org")
        made = place / "docker" / "credentials"
        config = yaml.safe_load((DOCKER / "compose.yaml").read_text())
        owners = {"prometheus": 65534, "grafana": 472}
        for service, described in config["services"].items():
            for secret in described["secrets"]:
                file = made / pathlib.Path(config["secrets"][secret]["file"]).name
                self.assertEqual(file.stat().st_uid, owners.get(service, 10001), secret)
                self.assertEqual(file.stat().st_mode & 0o077, 0, secret)
        names = subprocess.run(["openssl", "x509", "-in", str(made / "server.crt"), "-noout", "-ext",
                                "subjectAltName"], capture_output=True, text=True, check=True).stdout
        for name in ("server", "localhost", "cluster.example.org"):
            self.assertIn(f"DNS:{name}", names)
        subprocess.run(["bash", str(place / "make-credentials.sh"), str(made), "--add", "viewer", "guest"],
                       check=True, capture_output=True)
        self.assertNotIn("guest", (made / "lists" / "tokens").read_text())
        run("--lists")
        self.assertIn("guest", (made / "lists" / "tokens").read_text())
        self.assertEqual((made / "lists" / "tokens").stat().st_uid, 10001)


if __name__ == "__main__":
    unittest.main(verbosity=2)
