#!/usr/bin/env python3
"""Runs a Python script beside timm, in an environment of the tests' own that is made once.

    python3 environment.py                   # makes the environment if it is missing; prints where
    python3 environment.py SCRIPT [ARG...]   # the same, then runs the script in it

It lies in ${XDG_CACHE_HOME:-$HOME/.cache}/bitquake/parity-KEY, where KEY stands for all that it
was made from, and holds the packages of requirements.txt (60 MB to fetch, 240 MB on disk). torch is
not among them: it is the one in LibTorch's folder (deploy/setup.sh installs it, as a Python wheel),
so that timm and Bitquake run on the same kernels, and what differs is the network.

torch's Python library is linked to libtorch_cuda and by that to 3 GB of CUDA libraries which no run
on a CPU calls. The linker wants them all the same, so each one that LibTorch's folder lacks is
stood in for by an empty library, and their functions by one library in which each says so and
aborts. With the whole wheel set installed (LibTorch's folder on a machine with a GPU) nothing is
stood in for. Nothing is written to LibTorch's folder: bytecode goes to the environment's.

Exit code: the script's, or 1 if the environment cannot be made.
"""

import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

TORCH_VERSION = "2.11.0"
PYTHON_VERSION = (3, 11)  # of torch's wheel
CUDA_LIBRARY = re.compile(r"lib(cu|nccl|nvshmem|nvJitLink|nvrtc)")
CUDA_FUNCTION = re.compile(r"(cu|nccl|nvshmem|nvJitLink|nvrtc)[A-Za-z_]\w*$")
# Only what the linker itself loads: what torch opens at run time it may miss.
LINKED = ("libtorch_python.so", "libtorch_cuda.so", "libtorch_nvshmem.so", "libc10_cuda.so")

HERE = pathlib.Path(__file__).resolve().parent

# Run by Python at its start, from a .pth file: a library that is loaded already is not looked for.
PRELOAD = """\
import ctypes
import pathlib

for library in ("libnocuda.so", *{names!r}):
    ctypes.CDLL(str(pathlib.Path(__file__).parent / "nocuda" / library), mode=ctypes.RTLD_GLOBAL)
"""


class CannotMake(Exception):
    """What is wrong and what to do about it."""


def cache_folder():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(cache) / "bitquake"


def libtorch_folder():
    """As deploy/setup.sh chooses it."""
    folder = os.environ.get("BITQUAKE_LIBTORCH")
    folder = pathlib.Path(folder) if folder else cache_folder() / f"libtorch-{TORCH_VERSION}"
    if not (folder / "torch" / "__init__.py").exists():
        raise CannotMake(f"{folder} holds no Python package torch; run deploy/setup.sh, or let "
                         "BITQUAKE_LIBTORCH name a folder that it made")
    return folder.resolve()


def key(libtorch):
    """Of all that the environment is made from. A changed LibTorch has other time stamps."""
    parts = [(HERE / "requirements.txt").read_bytes(), pathlib.Path(__file__).read_bytes(),
             str(libtorch).encode(), sys.version.encode()]
    for file in sorted((libtorch / "torch" / "lib").iterdir()):
        stat = file.stat()
        parts.append(f"{file.name} {stat.st_size} {stat.st_mtime_ns}".encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def output_of(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def exported(library):
    """Names of the symbols that a library defines."""
    lines = output_of("nm", "-D", "--defined-only", str(library)).splitlines()
    return {line.split()[-1].split("@")[0] for line in lines if line}


def missing_cuda(libtorch):
    """Libraries that torch is linked to and LibTorch's folder lacks; functions called in them."""
    lib = libtorch / "torch" / "lib"
    here = {file.name: file for folder in (lib, libtorch / "nvidia")
            for file in folder.rglob("lib*.so*")}
    needed, calls = set(), set()
    for library in LINKED:
        dynamic = output_of("readelf", "-dW", str(lib / library))
        needed |= set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
        for line in output_of("nm", "-D", "--undefined-only", str(lib / library)).splitlines():
            calls.add(line.split()[-1].split("@")[0])
    names = sorted(name for name in needed if CUDA_LIBRARY.match(name) and name not in here)
    for file in here.values():
        if CUDA_LIBRARY.match(file.name):
            calls -= exported(file)
    calls = sorted(call for call in calls if CUDA_FUNCTION.match(call))
    return names, calls


def stand_in_for_cuda(libtorch, site):
    names, calls = missing_cuda(libtorch)
    if not names:
        return
    folder = site / "nocuda"
    folder.mkdir()
    source = folder / "nocuda.c"
    functions = "\n".join(f'void {call}(void) {{ refuse("{call}"); }}' for call in calls)
    source.write_text("#include <stdio.h>\n#include <stdlib.h>\n"
                      "static void refuse(const char* name) {\n"
                      '  fprintf(stderr, "%s: there is no CUDA in the parity tests\' '
                      'environment\\n", name);\n  abort();\n}\n' + functions + "\n")
    compiler = os.environ.get("CC") or "gcc"
    common = [compiler, "-shared", "-fPIC", "-fno-builtin", "-w"]
    subprocess.run([*common, "-o", folder / "libnocuda.so", source], check=True)
    for name in names:
        subprocess.run([*common, f"-Wl,-soname,{name}", "-o", folder / name, "-x", "c", os.devnull],
                       check=True)
    (site / "bitquake_nocuda.py").write_text(PRELOAD.format(names=names))
    (site / "bitquake_nocuda.pth").write_text("import bitquake_nocuda\n")


def python_of(folder):
    return [str(folder / "bin" / "python"), "-E", "-s", "-X", f"pycache_prefix={folder}/pycache"]


def install_packages(python):
    pip = [sys.executable, "-I", "-m", "pip", "--python", str(python), "--quiet", "--no-input",
           "--disable-pip-version-check"]
    done = subprocess.run([*pip, "install", "--no-deps", "--no-compile", "--only-binary=:all:",
                           "--require-hashes", "--requirement", str(HERE / "requirements.txt")])
    if done.returncode != 0:
        raise CannotMake(
            "pip could not install tests/parity/requirements.txt (see above); let it reach its "
            "package index, or leave these tests out: BITQUAKE_WITHOUT_TIMM=1 in the environment "
            "of bash tests/run.sh, or of cmake")


def fill(folder, libtorch):
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", folder], check=True)
    install_packages(folder / "bin" / "python")
    site = next((folder / "lib").glob("python*")) / "site-packages"
    (site / "bitquake_libtorch.pth").write_text(f"{libtorch}\n")
    stand_in_for_cuda(libtorch, site)
    check = ("import torch, timm, timm.data; "
             f"assert torch.__version__.split('+')[0] == '{TORCH_VERSION}', torch.__version__; "
             "assert torch.ones(2, 2).mm(torch.ones(2, 2)).sum() == 8")
    if subprocess.run(python_of(folder) + ["-c", check]).returncode != 0:
        raise CannotMake(f"timm does not load beside the torch of {libtorch} (see above)")


def environment():
    """The environment's folder, made if it is missing. One process makes it, others wait."""
    if sys.version_info[:2] != PYTHON_VERSION:
        raise CannotMake("the parity tests need Python {}.{}, as torch's wheel does; this is {}"
                         .format(*PYTHON_VERSION, sys.version.split()[0]))
    libtorch = libtorch_folder()
    folder = cache_folder() / f"parity-{key(libtorch)}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder
        for left in folder.parent.glob(f"{folder.name}.partial.*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        staging = pathlib.Path(
            tempfile.mkdtemp(prefix=f"{folder.name}.partial.", dir=folder.parent))
        try:
            fill(staging, libtorch)
            staging.chmod(0o755)
            staging.rename(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return folder


def main(arguments):
    try:
        folder = environment()
    except (CannotMake, OSError, subprocess.CalledProcessError) as error:
        print(f"environment.py: error: {error}", file=sys.stderr)
        return 1
    if not arguments:
        print(folder)
        return 0
    # Nothing of the user's own may come between: no PYTHONPATH, no packages of theirs.
    command = python_of(folder) + arguments
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
