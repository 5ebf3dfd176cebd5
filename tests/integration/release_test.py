"""What deploy/release.sh makes: a bundle that runs, checksums that hold, and a bill of materials that has all of it."""

import copy
import hashlib
import json
import pathlib
import subprocess
import tarfile
import tempfile
import unittest

import packages  # before what it installs
import bitquake
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

BUILD = bitquake.BIN.parent
RELEASE = bitquake.SOURCE / "deploy" / "release.sh"


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def invalid(bill):
    """What CycloneDX's schema says against a bill; None if nothing."""
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill))


class Release(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        place = tempfile.TemporaryDirectory(prefix="bitquake-test-release-")
        cls.addClassCleanup(place.cleanup)
        cls.place = pathlib.Path(place.name)
        cls.out = cls.place / "out"
        cls.release("--build", BUILD, cls.out)
        [cls.archive] = cls.out.glob("*.tar.gz")
        with tarfile.open(cls.archive) as archive:
            archive.extractall(cls.place / "unpacked")
        [cls.bundle] = (cls.place / "unpacked").iterdir()
        cls.bill = json.loads((cls.out / f"{cls.bundle.name}.cdx.json").read_text())

    @staticmethod
    def release(*arguments):
        subprocess.run(["bash", str(RELEASE), *map(str, arguments)], check=True, capture_output=True)

    def sums(self, folder):
        return subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder,
                              capture_output=True, text=True).returncode

    def missing(self, bill):
        """What the bundle holds and a bill does not name, or names otherwise."""
        named = {}
        for part in [bill["metadata"]["component"], *bill["components"]]:
            for file in part.get("components", []):
                named[file["name"]] = file["hashes"][0]["content"]
        for folder in ("bin", "bench", "libexec", "lib"):
            for path in (self.bundle / folder).iterdir():
                name = str(path.resolve().relative_to(self.bundle.resolve()))  # of what a link stands for
                if named.get(name) != digest(path):
                    yield f"{folder}/{path.name}"

    def test_the_checksums_hold_and_notice_a_changed_byte(self):
        self.assertEqual(len((self.out / "SHA256SUMS").read_text().splitlines()), 2)
        self.assertEqual(self.sums(self.out), 0)
        other = self.place / "changed"
        other.mkdir()
        for file in self.out.iterdir():
            (other / file.name).write_bytes(file.read_bytes())
        with open(other / self.archive.name, "r+b") as archive:
            archive.seek(1000)
            byte = archive.read(1)
            archive.seek(1000)
            archive.write(bytes([byte[0] ^ 1]))
        self.assertEqual(self.sums(other), 1)

    def test_the_bundle_runs_and_says_its_version(self):
        printed = subprocess.run([str(self.bundle / "bin" / "bitquake"), "version"], check=True,
                                 capture_output=True, text=True).stdout
        version = self.bill["metadata"]["component"]["version"]
        self.assertIn(version, printed)
        self.assertEqual(self.bundle.name, f"bitquake-{version}-linux-x86_64")

    def test_the_bill_is_valid_by_its_schema(self):
        self.assertIsNone(invalid(self.bill))
        for path in (("bomFormat",), ("components", 0, "type"), ("components", 0, "name"),
                     ("components", 0, "components", 0, "hashes", 0, "alg")):
            broken = copy.deepcopy(self.bill)
            at = broken
            for key in path[:-1]:
                at = at[key]
            del at[path[-1]]
            self.assertIsNotNone(invalid(broken), path)

    def test_the_bill_names_every_library_and_program(self):
        self.assertGreater(len(list((self.bundle / "lib").iterdir())), 50)
        self.assertEqual(list(self.missing(self.bill)), [])
        without = copy.deepcopy(self.bill)
        [grpc] = [part for part in without["components"] if part["name"] == "libgrpc++1.51"]
        [library] = [file["name"] for file in grpc["components"]]
        grpc["components"][0]["hashes"][0]["content"] = "0" * 64
        self.assertIn(library, list(self.missing(without)))
        without["components"].remove(grpc)
        self.assertIn(library, list(self.missing(without)))

    def test_the_bill_has_package_version_and_licence(self):
        for part in self.bill["components"]:
            with self.subTest(part["name"]):
                self.assertTrue(part["licenses"])
                if part["purl"].startswith("pkg:deb/"):
                    version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", part["name"]],
                                             capture_output=True, text=True, check=True).stdout
                    self.assertEqual(part["version"], version)
                if "components" in part:
                    self.assertTrue((self.bundle / "share" / "licences" / part["name"]).exists())
        names = {part["name"] for part in self.bill["components"]}
        self.assertGreaterEqual(names, {"libgrpc29", "libprotobuf32", "libsqlite3-0", "libssl3", "plotly.js",
                                        "nlohmann-json3-dev"})

    def test_the_same_again_is_the_same(self):
        self.release("--build", BUILD, self.place / "again")
        for file in self.out.iterdir():
            self.assertEqual(digest(file), digest(self.place / "again" / file.name), file.name)

    def test_writes_over_nothing(self):
        with self.assertRaises(subprocess.CalledProcessError) as raised:
            self.release("--build", BUILD, self.out)
        self.assertIn(b"is not empty", raised.exception.stderr)


class Version(bitquake.Case):
    """What git says: tags, commits since, and changes."""

    def setUp(self):
        super().setUp()
        (self.folder / "deploy").mkdir()
        self.write("deploy/release.sh", RELEASE.read_text())
        self.write("CMakeLists.txt", "project(bitquake VERSION 1.2.0 LANGUAGES CXX)\n")
        self.git("init", "--quiet")
        self.commit()

    def git(self, *arguments):
        identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=self.folder, check=True, capture_output=True)

    def commit(self):
        self.git("add", "CMakeLists.txt", "deploy")
        self.git("commit", "--quiet", "--allow-empty", "-m", "A commit")

    def version(self, code=0):
        done = subprocess.run(["bash", "deploy/release.sh", "--version"], cwd=self.folder,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout.strip() if code == 0 else done.stderr

    def test_is_that_of_the_tag_or_says_how_far_from_it(self):
        self.assertRegex(self.version(), r"^1\.2\.0-g[0-9a-f]{7,}$")
        self.git("tag", "v1.2.0")
        self.assertEqual(self.version(), "1.2.0")
        self.commit()
        self.assertRegex(self.version(), r"^1\.2\.0-1-g[0-9a-f]{7,}$")
        self.write("CMakeLists.txt", "project(bitquake VERSION 1.2.0 LANGUAGES C)\n")
        self.assertRegex(self.version(), r"^1\.2\.0-1-g[0-9a-f]{7,}-dirty$")

    def test_a_tag_that_disagrees_is_an_error(self):
        self.git("tag", "v1.3.0")
        self.assertIn("the tag says 1.3.0, CMakeLists.txt 1.2.0", self.version(code=1))


if __name__ == "__main__":
    unittest.main(verbosity=2)
