"""The bundle runs where it is unpacked: of the host it uses glibc, GCC's run-time libraries and a LibTorch, which
it finds or asks for."""

import csv
import os
import pathlib
import re
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
        self.run_program("bin/bitquake", "run", self.bundle / "share/demo/campaign.yaml", "--out", run)
        with open(run / "cells.csv") as cells:
            rows = list(csv.DictReader(cells))
        self.assertEqual(len(rows), 15)
        self.assertGreater(float(rows[0]["golden_top1"]), 90)
        self.assertGreater(max(float(row["loss_mean"]) for row in rows), 50)

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
        _, error = self.run_program("bin/bitquake", "run", self.bundle / "share/demo/campaign.yaml",
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
