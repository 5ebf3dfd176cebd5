"""Who gets in, and to what: real programs with the credentials that deploy/make-credentials.sh makes."""

import base64
import json
import pathlib
import re
import shlex
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import bitquake

FAILED, USAGE, UNREACHABLE = 1, 2, 3
DENIED, UNAVAILABLE, UNAUTHENTICATED = 7, 14, 16  # gRPC's codes
ROLES = ("viewer", "submitter", "worker")
SCRIPT = bitquake.SOURCE / "deploy" / "make-credentials.sh"
PROBE = bitquake.BIN.parent / "tests" / "access_probe"
CAMPAIGN = bitquake.campaign(models=[bitquake.MODEL.name], dataset=bitquake.DATA.name)
LONG = CAMPAIGN.replace('"trials": 2', '"trials": 2000, "folds": 1')


def readme_table():
    """{call: the roles that may}, "nobody" among them where no credentials are needed."""
    table = {}
    for line in (bitquake.SOURCE / "README.md").read_text().splitlines():
        cells = re.match(r"\| `((?:\w+Service|Health)\.\w+)` \|(.*)\|$", line)
        if cells:
            marks = [cell.strip() for cell in cells[2].split("|")]
            table[cells[1]] = {role for role, mark in zip(("nobody", *ROLES), marks) if mark}
    return table


def make(folder, *arguments):
    done = subprocess.run(["bash", str(SCRIPT), str(folder), *arguments], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


class Security(bitquake.Case):
    @classmethod
    def setUpClass(cls):
        cls.made = tempfile.TemporaryDirectory(prefix="bitquake-test-")
        cls.addClassCleanup(cls.made.cleanup)
        cls.original = pathlib.Path(cls.made.name) / "credentials"
        cls.commands = make(cls.original, "--host", "localhost", "--host", "127.0.0.1")
        cls.other = pathlib.Path(cls.made.name) / "other"
        make(cls.other, "--host", "localhost")

    def setUp(self):
        super().setUp()
        for name in list(self.environment):
            if name.startswith(("BITQUAKE_TLS", "BITQUAKE_TOKEN")):
                del self.environment[name]
        self.environment.update(BITQUAKE_MODEL_ROOT=str(bitquake.MODEL.parent),
                                BITQUAKE_DATA_ROOT=str(bitquake.DATA.parent))
        # A set of its own, as the keeper's folder that a test may change.
        self.dir = self.folder / "credentials"
        subprocess.run(["cp", "-a", self.original, self.dir], check=True)
        self.ca = self.dir / "ca.crt"
        self.flags = {
            "tls": ["--tls-cert", self.dir / "server.crt", "--tls-key", self.dir / "server.key"],
            "certificates": ["--tls-client-ca", self.ca, "--tls-revoked", self.dir / "revoked"],
            "tokens": ["--tokens", self.dir / "tokens"],
        }

    def begin(self, *ways, listen="127.0.0.1:0", more=()):
        flags = [flag for way in ways for flag in self.flags[way]]
        server = self.serve("--db", self.folder / "campaign.db", "--listen", listen, *flags, *more)
        self.address = f"localhost:{server.port}"
        return server

    def certificate(self, name):
        return ["--tls-ca", self.ca, "--tls-cert", self.dir / f"{name}.crt", "--tls-key",
                self.dir / f"{name}.key"]

    def token(self, name):
        return ["--tls-ca", self.ca, "--token-file", self.dir / f"{name}.token"]

    def ask(self, credentials, *arguments, code=0, address=None):
        return self.call(*arguments, "--server", address or self.address, *credentials, code=code)

    def set_aside(self, name):
        """Keeps copies of somebody's credentials under the name "gone"; revokes the originals."""
        for ending in ("crt", "key", "token"):
            (self.dir / f"gone.{ending}").write_bytes((self.dir / f"{name}.{ending}").read_bytes())
        make(self.dir, "--revoke", name)

    def sign_expired(self):
        extensions = self.write("extensions", "subjectAltName=URI:bitquake:role:worker\n")
        subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=late", "-keyout",
                        self.dir / "late.key", "-out", self.folder / "csr"], check=True,
                       stderr=subprocess.DEVNULL)
        subprocess.run(["openssl", "x509", "-req", "-in", self.folder / "csr", "-CA", self.ca, "-CAkey",
                        self.dir / "ca.key", "-days", "-1", "-extfile", extensions, "-out",
                        self.dir / "late.crt"], check=True, stderr=subprocess.DEVNULL)

    def probe(self, credentials):
        """{call: (code, message)} of every call, made with an empty request."""
        out, _ = self.call("--server", self.address, *credentials, program=PROBE)
        return {name: (int(code), message) for name, code, message in
                (line.split(" ", 2) for line in out.splitlines())}

    def check_calls(self, who, credentials, role, refusal):
        table = readme_table()
        answers = self.probe(credentials)
        unknown, _ = answers.pop("WorkerService.NoSuchCall")
        self.assertEqual(unknown, refusal if role is None else DENIED, who)
        self.assertEqual(set(answers), set(table), "the README's table has every call")
        for name, (code, message) in answers.items():
            allowed = "nobody" in table[name] or role in table[name]
            if refusal == UNAVAILABLE:
                self.assertEqual(code, UNAVAILABLE, f"{who}: {name}: {message}")
            elif allowed:
                self.assertNotIn(code, (DENIED, UNAUTHENTICATED, UNAVAILABLE),
                                 f"{who}: {name}: {message}")
            else:
                self.assertEqual(code, refusal if role is None else DENIED,
                                 f"{who}: {name}: {message}")

    def test_every_call_of_every_role_by_token(self):
        self.begin("tls", "tokens")
        self.check_calls("none", ["--tls-ca", self.ca], None, UNAUTHENTICATED)
        for role in ROLES:
            self.check_calls(role, self.token(role), role, None)
        self.set_aside("worker")
        self.check_calls("revoked", self.token("gone"), None, UNAUTHENTICATED)
        tokens = self.dir / "tokens"
        tokens.write_text(re.sub(r"(viewer viewer) \S+", r"\1 2020-01-31", tokens.read_text()))
        self.check_calls("expired", self.token("viewer"), None, UNAUTHENTICATED)
        self.check_calls("of another server", ["--tls-ca", self.ca, "--token-file",
                                               self.other / "worker.token"], None, UNAUTHENTICATED)

    def test_every_call_of_every_role_by_certificate(self):
        self.begin("tls", "certificates")
        self.check_calls("none", ["--tls-ca", self.ca], None, UNAVAILABLE)
        for role in ROLES:
            self.check_calls(role, self.certificate(role), role, None)
        self.set_aside("worker")
        self.check_calls("revoked", self.certificate("gone"), None, UNAUTHENTICATED)
        self.check_calls("wrong CA", ["--tls-ca", self.ca, "--tls-cert", self.other / "worker.crt",
                                      "--tls-key", self.other / "worker.key"], None, UNAVAILABLE)
        # The client refuses to show what has expired; so that the server is asked, others do.
        self.sign_expired()
        _, error = self.ask(self.certificate("late"), "list", code=USAGE)
        self.assertIn("expired on", error)
        self.assertTrue(self.handshake(self.dir / "viewer"))
        self.assertFalse(self.handshake(self.dir / "late"))

    def handshake(self, name):
        """Whether the server goes on to speak HTTP/2 to whoever shows this certificate."""
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(f"{name}.crt", f"{name}.key")
        context.set_alpn_protocols(["h2"])
        with socket.create_connection(("127.0.0.1", int(self.address.split(":")[1])), 60) as plain:
            try:
                with context.wrap_socket(plain, server_hostname="localhost") as secured:
                    secured.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
                    return len(secured.recv(9)) == 9
            except (ssl.SSLError, ConnectionError):
                return False

    def test_both_ways_in_at_once(self):
        self.begin("tls", "certificates", "tokens")
        self.check_calls("by token", self.token("submitter"), "submitter", None)
        self.check_calls("by certificate", self.certificate("worker"), "worker", None)
        self.check_calls("none", ["--tls-ca", self.ca], None, UNAUTHENTICATED)

    def test_a_campaign_by_the_commands_that_the_script_prints(self):
        commands = [shlex.split(line) for line in self.commands.splitlines()
                    if line.startswith("  bitquake")]
        commands = [[word.replace(str(self.original), str(self.dir)) for word in command]
                    for command in commands]
        (_, *server), *callers = commands
        server[server.index("--listen") + 1] = "0.0.0.0:0"
        started = self.serve("--db", self.folder / "campaign.db", *server)
        file = self.write("campaign.json", CAMPAIGN)
        callers = [[word.replace("localhost:50551", f"localhost:{started.port}")
                    .replace("FILE", str(file)) for word in command] for command in callers]
        self.address = f"localhost:{started.port}"
        workers = [command for command in callers if command[0] == "bitquake-worker"]
        submits = [command for command in callers if command[0] == "bitquake"]
        self.assertEqual((len(workers), len(submits)), (2, 2))
        results = []
        for worker, submit in zip(workers, submits):  # by certificate, then by token
            process = self.start(*worker)
            self.call(*submit[1:], "--watch")
            self.end(process)
            results.append(self.ask(self.certificate("viewer"), "results", self.newest(),
                                    "--format", "csv")[0])
        self.assertEqual(results[0], results[1])
        self.assertGreater(results[0].count("\n"), 1)
        self.check_no_secret_was_logged()

    def newest(self):
        return json.loads(self.ask(self.token("viewer"), "list", "--json")[0])[0]["id"]

    def check_no_secret_was_logged(self):
        secrets = [path.read_text().strip() for path in self.dir.glob("*.token")]
        for path in self.dir.glob("*.key"):
            secrets += [line for line in path.read_text().splitlines() if "-----" not in line]
        logs = list(self.folder.glob("*.out"))
        self.assertGreaterEqual(len(logs), 3)
        for log in logs:
            text = log.read_text(errors="replace")
            for secret in secrets:
                self.assertNotIn(secret, text, log.name)

    def test_what_is_revoked_counts_at_once_and_ends_streams(self):
        self.begin("tls", "tokens", more=["--lease-seconds", "2"])
        (self.dir / "own.token").write_bytes((self.dir / "worker.token").read_bytes())
        worker = self.start("bitquake-worker", "--server", self.address, *self.token("own"))
        campaign = self.ask(self.token("submitter"), "submit", self.write("c.json", LONG))[0].strip()
        watch = self.start("bitquake", "watch", campaign, "--json", "--server", self.address,
                           *self.token("viewer"))
        self.wait_for(lambda: re.search('"jobs_done":[1-9]', self.output(watch)))
        self.ask(self.token("viewer"), "list")
        self.set_aside("viewer")
        _, error = self.ask(self.token("gone"), "list", code=FAILED)
        self.assertIn("does not know this token", error)
        self.assertIn("does not know this token", self.finish(watch, code=FAILED))
        tokens = (self.dir / "tokens").read_text()
        self.set_aside("worker")
        self.wait_for(lambda: re.search("(reports|coordinator): .*does not know this token", self.output(worker)))
        # The server's list is as it was: the worker goes on.
        done = self.jobs_done(campaign)
        (self.dir / "tokens").write_text(tokens)
        self.wait_for(lambda: self.jobs_done(campaign) > done)
        self.check_no_secret_was_logged()

    def jobs_done(self, campaign):
        out, _ = self.ask(self.token("submitter"), "show", campaign, "--json")
        return json.loads(out)["jobs_done"]

    def wait_for(self, condition):
        end = time.monotonic() + bitquake.PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, "waited too long")
            time.sleep(0.05)

    def test_a_token_from_the_environment(self):
        self.begin("tls", "tokens")
        self.environment["BITQUAKE_TOKEN"] = (self.dir / "viewer.token").read_text().strip()
        self.environment["BITQUAKE_TLS_CA"] = str(self.ca)
        self.call("list", "--server", self.address)
        # A private server is on a socket of its own and is shown none of it.
        self.environment["BITQUAKE_TLS_CA"] = "/no/such/file"
        self.call("run", self.write("c.json", CAMPAIGN), "--out", self.folder / "run",
                  "--model-root", bitquake.MODEL.parent, "--data-root", bitquake.DATA.parent)

    def test_who_cannot_get_in_is_told_what_to_do(self):
        self.begin("tls", "certificates", "tokens", listen="0.0.0.0:0")
        port = self.address.split(":")[1]
        for credentials, code, words, address in (
                ([], UNREACHABLE, "--tls-ca", None),
                (self.token("viewer"), UNREACHABLE, "of another host", f"127.0.0.2:{port}"),
                (["--tls-ca", self.other / "ca.crt"], UNREACHABLE, "not signed by the CA", None),
                (["--tls-ca", self.ca, "--tls-cert", self.other / "viewer.crt", "--tls-key",
                  self.other / "viewer.key"], UNREACHABLE, "--tls-cert", None),
                (["--tls-ca", self.ca], FAILED, "--token-file", None),
                (["--tls-ca", self.folder / "none"], USAGE, "none: No such file", None),
                (["--tls-ca", self.ca, "--tls-cert", self.dir / "viewer.crt"], USAGE, "give both", None),
                (["--token-file", self.dir / "viewer.token"], USAGE, "--tls-ca", None)):
            _, error = self.ask(credentials, "list", code=code, address=address)
            self.assertIn(words, error)
            self.assertEqual(error.count("\n"), 1, error)
        error = self.finish(self.start("bitquake-worker", "--server", self.address,
                                       *self.token("viewer")), code=FAILED)
        self.assertIn("may not call Register", error)
        error = self.finish(self.start("bitquake-worker", "--server", self.address, "--tls-ca",
                                       self.ca), code=FAILED)
        self.assertIn("--token-file", error)

    def test_tls_to_a_plain_server(self):
        self.begin()
        _, error = self.ask(self.token("viewer"), "list", code=UNREACHABLE)
        self.assertIn("does not speak TLS", error)

    def test_pages_need_the_viewers_token(self):
        server = self.begin("tls", "tokens", more=["--http", "127.0.0.1:0"])
        port = re.search(r"metrics on port (\d+)", self.output(server))[1]
        tokens = {role: (self.dir / f"{role}.token").read_text().strip() for role in ROLES}

        def get(page, authorization=None):
            request = urllib.request.Request(f"http://127.0.0.1:{port}{page}")
            if authorization:
                request.add_header("Authorization", authorization)
            try:
                with urllib.request.urlopen(request, timeout=60) as reply:
                    return reply.status
            except urllib.error.HTTPError as error:
                return error.code

        self.assertEqual([get("/healthz"), get("/readyz")], [200, 200])
        for page in ("/metrics", "/campaigns"):
            self.assertEqual(get(page), 401)
            self.assertEqual(get(page, "Bearer wrong"), 401)
            self.assertEqual(get(page, f"Bearer {tokens['worker']}"), 403)
            self.assertEqual(get(page, f"Bearer {tokens['viewer']}"), 200)
            self.assertEqual(get(page, f"Bearer {tokens['submitter']}"), 200)
        self.assertEqual([get("/campaigns/none"), get("/campaigns/none/events")], [401, 401])
        password = base64.b64encode(f"me:{tokens['viewer']}".encode()).decode()
        self.assertEqual(get("/metrics", f"Basic {password}"), 200)
        make(self.dir, "--revoke", "viewer")
        self.assertEqual(get("/metrics", f"Bearer {tokens['viewer']}"), 401)

    def test_a_server_that_would_let_anybody_in_does_not_start(self):
        for flags, words in (
                (["--listen", "0.0.0.0:0"], "--insecure"),
                (["--listen", "127.0.0.1:0", "--http", "0.0.0.0:0"], "--insecure"),
                (["--listen", "0.0.0.0:0", *self.flags["tls"]], "nobody could get in"),
                (["--listen", "0.0.0.0:0", *self.flags["tokens"]], "need TLS"),
                (["--listen", "unix:/tmp/bitquake-security-test"], "everybody may write there")):
            _, error = self.call("--db", self.folder / "x.db", *flags, program="bitquake-server",
                                 code=FAILED)
            self.assertIn(words, error)

    def test_names_in_a_campaign_stay_below_the_roots(self):
        self.begin()
        for field, name in (("models", "../x"), ("models", "/etc"), ("models", "a/../../etc"),
                            ("dataset", "../x"), ("dataset", "/etc")):
            value = [name] if field == "models" else name
            fields = {"models": [bitquake.MODEL.name], "dataset": bitquake.DATA.name, field: value}
            _, error = self.ask([], "submit", self.write("c.json", bitquake.campaign(**fields)),
                                code=USAGE)
            self.assertIn(name, error)
        # A link below a root that leads out of it.
        root = self.folder / "models"
        root.mkdir()
        (root / "link").symlink_to(bitquake.MODEL)
        self.start("bitquake-worker", "--server", self.address, "--model-root", root)
        _, error = self.ask([], "submit", "--watch", self.write(
            "c.json", bitquake.campaign(models=["link"], dataset=bitquake.DATA.name)), code=FAILED)
        self.assertIn("leads out of", error)

    def test_doctor_looks_at_credentials(self):
        out, _ = self.call("doctor", *self.certificate("viewer"), "--token-file",
                           self.dir / "viewer.token")
        self.assertIn("of viewer, role viewer, until", out)
        (self.dir / "viewer.key").chmod(0o644)
        out, _ = self.call("doctor", *self.certificate("viewer"), code=FAILED)
        self.assertRegex(out, r"(?m)^bad +--tls-key .*chmod 600")

    def test_the_script_refuses_what_would_harm(self):
        for arguments, words in (([], "is not empty"), (["--add", "root", "x"], "is no role"),
                                 (["--add", "viewer", "../x"], "is no name"),
                                 (["--add", "viewer", "viewer"], "is there already"),
                                 (["--revoke", "nobody"], "no such certificate")):
            done = subprocess.run(["bash", str(SCRIPT), str(self.dir), *arguments], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn(words, done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
