"""The bundle runs where it is unpacked: of the host it uses glibc, GCC's run-time libraries and a LibTorch, which
it finds or asks for. It has what its own documents name."""

import csv
import os
import pathlib
import re
import select
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

import bitquake

BUILD = bitquake.BIN.parent
LIBTORCH = pathlib.Path(os.environ["BITQUAKE_LIBTORCH"])
MOST_BYTES = 50_000_000
HOST_LIBRARIES = re.compile(r"(linux-vdso|ld-linux-x86-64|libstdc\+\+|libgcc_s|"
                            r"lib(c|m|dl|rt|pthread|util|resolv))\.so")
OPENMP = re.compile(r"lib(g|i|)omp")

# Of deploy/, in the bundle; what of these folders only builds or tests is not.
SHIPPED = ("demo", "campaigns", "slurm", "systemd", "kubernetes", "prometheus", "grafana", "make-credentials.sh")
NOT_SHIPPED = {"prometheus/alerts_test.yml", "grafana/dashboards.py", "grafana/requirements.txt"}
# What documents name that is in the repository alone, as README.md says.
SOURCES = re.compile(r"(client|common|proto|server|tests|worker)/|deploy/((quickstart|release|setup)\.sh|docker\b)|"
                     r"CONTRIBUTING\.md$")
# Names of files of the repository, from its root or from where they are named; and links.
NAMED = re.compile(r"(?<![\w./-])((?:(?:\.\./)+|(?:client|common|deploy|proto|server|tests|worker)/)[\w@.*/-]*[\w*])|"
                   r"\]\((?!https?:|#)([^)]+)\)")
# Names by what they end in, from wherever. Some are of files that programs write.
FILE = re.compile(r"(?<![\w./-])((?:[\w@-]+/)*[\w@-]+\.(?:sbatch|service|conf|sh|py|md|json|yaml|yml|tpl))(?![\w/])")
WRITTEN = {"campaign.json", "confirm.yaml", "run.json"}
COMMAND = re.compile(r"(?:/opt/bitquake/bin/|\$\{BITQUAKE_BIN:\+\$BITQUAKE_BIN/\})([\w-]+)")


def linked(program, **environment):
    """The libraries that the dynamic linker takes for a program, by name."""
    printed = subprocess.run(["ldd", str(program)], env={"PATH": os.environ["PATH"], **environment},
                             capture_output=True, text=True, check=True).stdout
    found = {}
    for line in printed.splitlines():
        name, _, path = line.strip().partition(" => ")
        found[pathlib.Path(name.split()[0]).name] = path.rpartition(" (")[0] or None
    return found


class Bundle(bitquake.Case):
    @classmethod
    def setUpClass(cls):
        home = tempfile.TemporaryDirectory(prefix="bitquake-test-bundle-")
        cls.addClassCleanup(home.cleanup)
        home = pathlib.Path(home.name)
        subprocess.run(["cpack", "--config", str(BUILD / "CPackConfig.cmake"), "-B", str(home)],
                       stdout=subprocess.DEVNULL, check=True)
        [cls.archive] = home.glob("bitquake-*.tar.gz")
        place = home / "another place"
        with tarfile.open(cls.archive) as archive:
            archive.extractall(place)
        [cls.bundle] = place.iterdir()

    def setUp(self):
        super().setUp()
        (self.folder / "bin").mkdir()
        self.environment = {"HOME": str(self.folder), "PATH": f"{self.folder}/bin:/usr/bin:/bin"}
        self.set_python("-I", "-S")

    def set_python(self, *flags):
        """Makes a python3 that has the standard library alone, and what PYTHONPATH says without -I."""
        python = self.write("bin/python3",
                            f'#!/bin/sh\nexec "{sys.executable}" {" ".join(flags)} "$@"\n')
        python.chmod(0o755)

    def make_libtorch(self, name, version):
        """A folder that looks like LibTorch of a version."""
        torch = self.folder / name / "torch"
        (torch / "lib").mkdir(parents=True)
        (torch / "lib" / "libtorch_cpu.so").touch()
        (torch / "__init__.py").touch()
        (torch / "version.py").write_text(f"__version__ = '{version}+cpu'\n")
        return torch.parent

    def run_program(self, path, *arguments, code=0):
        return self.call(*arguments, program=self.bundle / path, code=code)

    def watch(self, *command):
        """Runs a command to its end, however long that takes while it goes on saying something."""
        process = subprocess.Popen([str(part) for part in command], env=self.environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        self.addCleanup(process.stdout.close)
        self.addCleanup(self.end, process)
        said = b""
        while select.select([process.stdout], [], [], bitquake.PATIENCE)[0]:
            part = os.read(process.stdout.fileno(), 65536)
            if not part:
                self.assertEqual(process.wait(bitquake.PATIENCE), 0, said.decode())
                return said.decode()
            said += part
        self.fail(f"{command} says nothing for {bitquake.PATIENCE} s, after: {said.decode()}")

    def documents(self):
        """(path in the bundle, text) of all that people read or machines run."""
        for path in (self.bundle / "README.md", *sorted((self.bundle / "deploy").rglob("*"))):
            if path.suffix in (".md", ".sbatch", ".service", ".conf", ".sh", ".py", ".yaml", ".yml", ".tpl", ".txt"):
                yield path.relative_to(self.bundle), path.read_text()

    def refuses(self):
        """What the worker says when it does not start."""
        out, error = self.run_program("bin/bitquake-worker", "--version", code=1)
        self.assertEqual(out, "")
        self.assertEqual(error.count("\n"), 1, error)
        return error

    def test_is_small_enough_to_carry(self):
        self.assertLess(self.archive.stat().st_size, MOST_BYTES)

    def test_links_nothing_else_of_the_host(self):
        programs = [path for folder in ("bin", "bench", "libexec")
                    for path in (self.bundle / folder).iterdir() if path.read_bytes()[:4] == b"\x7fELF"]
        self.assertGreaterEqual({path.name for path in programs},
                                {"bitquake", "bitquake-server", "bitquake-worker", "engine_bench"})
        for program in programs:
            libraries = linked(program, LD_LIBRARY_PATH=str(LIBTORCH / "torch" / "lib"))
            for name, path in libraries.items():
                if not HOST_LIBRARIES.match(name):
                    self.assertTrue(path, f"{program.name} lacks {name}")
                    self.assertTrue(path.startswith((f"{self.bundle}/", f"{LIBTORCH}/")),
                                    f"{program.name} takes {path}")
            openmp = [name for name in libraries if OPENMP.match(name)]
            self.assertEqual(len(openmp), program.parent.name == "libexec", f"{program.name}: {openmp}")

    def test_has_the_plug_in_for_cuda_devices(self):
        plug_in = self.bundle / "lib" / "libbitquake_cuda.so"
        symbols = subprocess.run(["nm", "-D", plug_in], capture_output=True, text=True, check=True)
        self.assertIn("T BitquakeMakeGraphRecorder", symbols.stdout)

    def test_takes_its_own_libraries_before_those_of_the_environment(self):
        (self.folder / "libprotobuf.so.32").touch()
        (self.folder / "libabsl_base.so.20220623").touch()
        self.environment.update(LD_LIBRARY_PATH=str(self.folder), BITQUAKE_LIBTORCH=str(LIBTORCH))
        self.run_program("bin/bitquake", "version")
        self.run_program("bin/bitquake-worker", "--version")

    def test_runs_the_demo(self):
        self.environment["BITQUAKE_LIBTORCH"] = str(LIBTORCH)
        run = self.folder / "run"
        self.watch(self.bundle / "bin/bitquake", "run", self.bundle / "deploy/demo/campaign.yaml", "--out", run)
        with open(run / "cells.csv") as cells:
            rows = list(csv.DictReader(cells))
        self.assertEqual(len(rows), 15)
        self.assertGreater(float(rows[0]["golden_top1"]), 90)
        self.assertGreater(max(float(row["loss_mean"]) for row in rows), 50)

    def test_a_small_campaign_measures_what_its_page_says(self):
        self.environment.update(BITQUAKE_LIBTORCH=str(LIBTORCH), BITQUAKE_BIN_DIR="")
        self.watch(sys.executable, "-B", self.bundle / "deploy/campaigns/claims.py", "--only", "swin", "--check",
                   "--out", self.folder / "claims")
        self.assertTrue((self.folder / "claims/swin/report.html").exists())

    def test_has_what_deploy_has_and_nothing_else(self):
        tracked = subprocess.run(["git", "ls-files", "-z", *SHIPPED], cwd=bitquake.SOURCE / "deploy",
                                 capture_output=True, text=True, check=True).stdout.split("\0")
        names = {*tracked} - {""} - NOT_SHIPPED
        shipped = self.bundle / "deploy"
        self.assertEqual({str(path.relative_to(shipped)) for path in shipped.rglob("*") if path.is_file()}, names)
        for name in names:
            self.assertEqual((shipped / name).read_bytes(), (bitquake.SOURCE / "deploy" / name).read_bytes(), name)

    def test_has_every_file_that_its_documents_name(self):
        files = [str(path.relative_to(self.bundle)) for path in self.bundle.rglob("*")]
        named = 0
        for document, text in self.documents():
            for match in NAMED.finditer(text):
                name = (match[1] or match[2]).partition("#")[0]
                here = document.parent if name.startswith("../") or match[2] else pathlib.Path()
                path = os.path.normpath(here / name)
                named += 1
                if SOURCES.match(path):
                    self.assertTrue([*bitquake.SOURCE.glob(path)], f"{document}: {name} is nowhere")
                else:
                    self.assertTrue([*self.bundle.glob(path)], f"{document}: {name}")
            for name in FILE.findall(text):
                if document.suffix == ".md" and name not in WRITTEN and not SOURCES.match(name):
                    named += 1
                    self.assertTrue([file for file in files if f"/{file}".endswith(f"/{name}")], f"{document}: {name}")
        self.assertGreater(named, 100)

    def test_scripts_and_units_start_programs_that_it_has(self):
        started = set()
        for document, text in self.documents():
            if document.suffix in (".sbatch", ".service"):
                names = COMMAND.findall(text)
                self.assertTrue(names, document)
                started.update(names)
        self.assertEqual(started, {"bitquake-server", "bitquake-worker"})
        self.environment["BITQUAKE_LIBTORCH"] = str(LIBTORCH)
        known = {name: self.run_program(f"bin/{name}", "--help")[0] for name in started}
        for unit in (self.bundle / "deploy/systemd").glob("*.service"):
            [line] = re.findall(r"(?m)^ExecStart=((?:.*\\\n)*.*)$", unit.read_text())
            program, *arguments = shlex.split(line.replace("\\\n", " "))
            for flag in [argument for argument in arguments if argument.startswith("--")]:
                self.assertRegex(known[pathlib.Path(program).name], rf"(?m)^  (-\w,)?{flag} ", unit.name)

    def test_runs_as_slurm_and_systemd_run_it(self):
        """Their own tests, with the bundle's programs; the scripts and units are the repository's, byte for byte."""
        environment = dict(os.environ, BITQUAKE_BIN_DIR=str(self.bundle / "bin"))
        for test in ("slurm", "systemd"):
            done = subprocess.run([sys.executable, str(bitquake.SOURCE / "tests" / "integration" / f"{test}_test.py")],
                                  env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual(done.returncode, 0, done.stdout)

    def test_makes_credentials(self):
        for document in ("slurm", "systemd"):
            self.assertIn("bash deploy/make-credentials.sh ", (self.bundle / "deploy" / document / "README.md").read_text())
        subprocess.run(["bash", "deploy/make-credentials.sh", self.folder / "made"], cwd=self.bundle, check=True,
                       stdout=subprocess.DEVNULL)
        self.assertTrue((self.folder / "made/worker.token").exists())

    def test_prometheus_takes_its_configuration(self):
        done = subprocess.run(["promtool", "check", "config", self.bundle / "deploy/prometheus/prometheus.yml"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_man_page_renders(self):
        page = self.bundle / "share/man/man1/bitquake.1"
        # mman is mandoc's man. man-db's finds the page by the PATH.
        for man in filter(shutil.which, ("mman", "man")):
            done = subprocess.run([man, "-l", page], capture_output=True, text=True, check=True,
                                  env=dict(os.environ, MANPAGER="cat"))
            text = re.sub(".\b", "", done.stdout)
            self.assertEqual(done.stderr, "")
            for part in ("NAME", "SYNOPSIS", "bitquake run", "--resume"):
                self.assertIn(part, text, man)
        if shutil.which("man"):
            found = subprocess.run(["man", "-w", "bitquake"], capture_output=True, text=True,
                                   env={"PATH": f"{self.bundle}/bin:/usr/bin:/bin"}).stdout
            self.assertEqual(found.strip(), str(page))

    def test_shells_complete_by_its_files(self):
        share = self.bundle / "share"
        offers = {
            "bash": ["bash", "--norc", "-c", 'source "$1"; COMP_WORDS=(bitquake va); COMP_CWORD=1; _bitquake; '
                     'complete -p bitquake >/dev/null && echo "${COMPREPLY[@]}"',
                     "bash", share / "bash-completion/completions/bitquake"],
            "fish": ["fish", "--no-config", "-c", 'source $argv[1]; complete -C "bitquake va"',
                     share / "fish/vendor_completions.d/bitquake.fish"],
            "zsh": ["zsh", "-f", "-c", 'fpath=($1 $fpath); autoload -Uz compinit; compinit -u -D; '
                    'autoload +X $_comps[bitquake] && which $_comps[bitquake]', "zsh", share / "zsh/site-functions"],
        }
        for shell, command in offers.items():
            with self.subTest(shell):
                done = subprocess.run(command, capture_output=True, text=True, env=self.environment, check=True)
                self.assertEqual(done.stderr, "")
                self.assertIn("validate", done.stdout)

    def test_runs_benches(self):
        self.run_program("bench/sampler_bench")
        self.environment["BITQUAKE_LIBTORCH"] = str(LIBTORCH)
        _, error = self.run_program("bench/engine_bench", "--device", "gpu", code=1)
        self.assertIn("'gpu' is not cpu, cuda or cuda:NUMBER", error)

    def test_finds_libtorch_beside_it_then_in_python(self):
        self.make_libtorch("site", "2.9.1")
        self.set_python("-S")
        self.environment["PYTHONPATH"] = str(self.folder / "site")
        beside = self.bundle.parent / "libtorch"
        beside.symlink_to(LIBTORCH)
        try:
            self.run_program("bin/bitquake-worker", "--version")
        finally:
            beside.unlink()
        self.assertIn("site has version 2.9.1", self.refuses())
        self.environment["PYTHONPATH"] = str(LIBTORCH)
        self.run_program("bin/bitquake-worker", "--version")
        self.environment["BITQUAKE_LIBTORCH"] = str(self.folder)  # goes before python3's
        self.assertIn(f"no torch/lib/libtorch_cpu.so in {self.folder};", self.refuses())

    def test_takes_a_torch_folder_itself(self):
        self.environment["BITQUAKE_LIBTORCH"] = str(LIBTORCH / "torch")
        self.run_program("bin/bitquake-worker", "--version")

    def test_says_where_it_looked_when_there_is_no_libtorch(self):
        error = self.refuses()
        for part in ("bitquake-worker: needs LibTorch 2.", "BITQUAKE_LIBTORCH is not set",
                     f"no torch/lib/libtorch_cpu.so in {self.bundle.parent}/libtorch",
                     f"{self.folder}/bin/python3 has no torch", "install torch==2."):
            self.assertIn(part, error)
        _, error = self.run_program("bin/bitquake", "run", self.bundle / "deploy/demo/campaign.yaml",
                                    "--out", self.folder / "run", code=1)
        self.assertIn("needs LibTorch", error)

    def test_refuses_another_version(self):
        for version in ("1.13.1", "2.1.1", "2.110.0", "3.0.0"):
            self.environment["BITQUAKE_LIBTORCH"] = str(self.make_libtorch(version, version))
            self.assertIn(f"{version} has version {version};", self.refuses())

    def test_is_not_misled_by_a_torch_in_the_working_folder(self):
        self.make_libtorch("here", "2.9.1")
        self.set_python("-S")
        self.environment["PYTHONPATH"] = str(LIBTORCH)
        done = subprocess.run([str(self.bundle / "bin/bitquake-worker"), "--version"],
                              cwd=self.folder / "here", env=self.environment, capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
