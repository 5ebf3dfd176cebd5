"""Makes the packages of requirements.txt importable: the validators that the tests of deploy/ use.

They are installed once into ${XDG_CACHE_HOME:-$HOME/.cache}/bitquake/deploy-tests-KEY (150 MB to fetch),
where KEY stands for requirements.txt.
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

REQUIREMENTS = pathlib.Path(__file__).with_name("requirements.txt")


def folder():
    """Has the packages; appears under its name when it is whole."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    place = cache / "bitquake" / f"deploy-tests-{key}"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{place.name}.", dir=place.parent) as staging:
            subprocess.run([sys.executable, "-I", "-m", "pip", "--quiet", "--no-input",
                            "--disable-pip-version-check", "install",
                            "--root-user-action=ignore", "--no-deps", "--no-compile",
                            "--only-binary=:all:", "--require-hashes", "--requirement",
                            REQUIREMENTS, "--target", f"{staging}/packages"], check=True)
            try:
                os.rename(f"{staging}/packages", place)
            except OSError:  # another test was first
                assert place.exists()
    return place


FOLDER = folder()
sys.path.insert(0, str(FOLDER))
