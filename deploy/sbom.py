#!/usr/bin/env python3
"""Prints what an unpacked bundle is made of, as CycloneDX 1.6 JSON.

    python3 deploy/sbom.py BUNDLE VERSION

Each shared library is named by the Debian package that it is of, byte for byte as installed on this
host, with the package's version and the licences that its copyright file names (of all its source,
parts that are not in the library too); the files themselves are in the bundle's share/licences. What
is compiled in without a library of its own (headers, plotly.js) is listed beside. Times are
SOURCE_DATE_EPOCH's, so that the same bundle gives the same text. Exit code 1 where a library is
nobody's.
"""

import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse
import uuid

HERE = pathlib.Path(__file__).resolve().parent
# Compiled in: Debian packages of headers that deploy/cmake/dependencies.cmake finds.
HEADERS = ("libboost1.74-dev", "libcli11-dev", "nlohmann-json3-dev")
OURS = re.compile(r"libbitquake_")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def query(*arguments):
    return subprocess.run(["dpkg-query", *arguments], capture_output=True, text=True).stdout


def owners(libraries):
    """The Debian package of each library, which has the same file on this host; fails if one has none."""
    found = {}
    for line in query("--search", *(f"*/{library.name}" for library in libraries)).splitlines():
        package, _, path = line.partition(": ")
        found.setdefault(pathlib.Path(path).name, []).append((package.partition(":")[0], path))
    for library in libraries:
        same = [package for package, path in found.get(library.name, ())
                if digest(pathlib.Path(path)) == digest(library)]
        if not same:
            sys.exit(f"sbom: {library} is of no Debian package on this host")
        yield library, same[0]


def licences(package):
    """Names of licences, as the package's copyright file gives them; that file if it has none."""
    text = pathlib.Path("/usr/share/doc", package, "copyright").read_text(errors="replace")
    return sorted(set(re.findall(r"(?m)^License: *(\S.*?) *$", text))) or [f"share/licences/{package}"]


def of_debian(packages):
    """A component for each Debian package, by its name."""
    printed = query("--show", "--showformat=${Package}\t${Version}\t${Architecture}\t${source:Package}\n",
                    *packages)
    return {line.split("\t")[0]: component(*line.split("\t")) for line in printed.splitlines()}


def component(package, version, architecture, source):
    purl = (f"pkg:deb/debian/{urllib.parse.quote(package)}@{urllib.parse.quote(version)}"
            f"?arch={architecture}&distro=debian-12")
    return {"type": "library", "bom-ref": purl, "name": package, "version": version, "purl": purl,
            "supplier": {"name": "Debian"},
            "licenses": [{"license": {"name": name}} for name in licences(package)],
            "properties": [{"name": "debian:source", "value": source}]}


def plotly():
    [version] = re.findall(r"plotly==(\S+)", (HERE / "plotly-requirements.txt").read_text())
    purl = f"pkg:pypi/plotly@{version}"
    return {"type": "library", "bom-ref": purl, "name": "plotly.js", "version": version, "purl": purl,
            "description": "As Python's package plotly carries it", "licenses": [{"license": {"id": "MIT"}}]}


def a_file(bundle, path):
    return {"type": "file", "name": str(path.relative_to(bundle)),
            "hashes": [{"alg": "SHA-256", "content": digest(path)}]}


def files(bundle, *folders):
    return sorted(path for folder in folders for path in (bundle / folder).iterdir()
                  if path.is_file() and not path.is_symlink())


def main(bundle, version):
    packages = {}
    libraries = files(bundle, "lib")
    ours = files(bundle, "bin", "bench", "libexec") + [path for path in libraries if OURS.match(path.name)]
    for library, package in owners([path for path in libraries if not OURS.match(path.name)]):
        packages.setdefault(package, []).append(a_file(bundle, library))
    known = of_debian([*packages, *HEADERS])
    parts = [{**known[package], "components": packages[package]} for package in sorted(packages)]
    parts += [known[package] for package in HEADERS] + [plotly()]
    itself = {"type": "application", "bom-ref": f"bitquake@{version}", "name": "bitquake", "version": version,
              "licenses": [{"license": {"id": "Apache-2.0"}}],
              "components": [a_file(bundle, path) for path in ours]}
    moment = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    print(json.dumps({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, json.dumps([itself, parts])).urn,
        "metadata": {"timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": itself},
        "components": parts,
        "dependencies": [{"ref": itself["bom-ref"], "dependsOn": [part["bom-ref"] for part in parts]},
                         *({"ref": part["bom-ref"]} for part in parts)]}, indent=1))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), sys.argv[2])
