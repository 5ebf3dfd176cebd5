"""Checks from the #include lines that the folders keep to the architecture.

    python3 include_rules.py ROOT          # a line for each include at ROOT that breaks a rule
    python3 include_rules.py --self-test   # that each rule finds what it forbids, and no more

Arrows point down: client, server and worker include common and not each other; within common each
folder includes the ones below it; torch, SQLite and gRPC each stay in the folders made for them. An
include that a rule cannot place (relative, or by a bare name) is itself against the rules.
"""

import os
import re
import sys
import tempfile
from collections import namedtuple

TOP_FOLDERS = ("common", "client", "server", "worker")
SOURCE_ENDINGS = (".h", ".cc", ".hpp", ".cpp", ".c", ".inc", ".cu", ".cuh")

# The folders of common, and what each may include besides itself.
COMMON_MAY_INCLUDE = {
    "base": (),
    "model": ("base",),
    "fault": ("base", "model"),
    "campaign": ("base", "model", "fault", "stats"),
    "stats": ("base",),
    "report": ("base", "model", "fault", "campaign", "stats"),
    "http": (),
    "channel": ("base",),
}

TORCH_FOLDERS = ("worker/engine",)
SQLITE_FOLDERS = ("server/store",)
GRPC_FOLDERS = ("common/channel", "server/service", "worker/agent", "client/api")

INCLUDE = re.compile(r'\s*#\s*(?:include|include_next|import)\s*(?:<([^>]+)>|"([^"]+)"|(\S.*))')

# `path` is as written; `quoted` tells "..." from <...>.
Include = namedtuple("Include", "file line path quoted")


def is_torch(path):
    return path.split("/")[0] in ("torch", "ATen", "c10", "caffe2")


def is_sqlite(path):
    return os.path.basename(path) in ("sqlite3.h", "sqlite3ext.h")


def is_rpc(path):
    """gRPC, protobuf, or code generated from our .proto files."""
    return path.split("/")[0] in ("grpc", "grpcpp", "grpc++") or path.startswith(
        "google/protobuf/") or path.endswith((".pb.h", ".pb.cc"))


def within(file, folders):
    return any(file.startswith(folder + "/") for folder in folders)


# Each rule takes an Include and returns what is wrong with it, or None.


def includes_are_written_from_the_root(include):
    if include.path is None:
        return "names no file that a reader, or this test, can see"
    parts = include.path.split("/")
    if ".." in parts or "." in parts or (include.quoted and len(parts) == 1):
        return "must be written from the repository root, as in \"common/base/clock.h\""
    return None


def programs_stand_apart(include):
    program, other = include.file.split("/")[0], include.path.split("/")[0]
    if program != "common" and other != program and other in TOP_FOLDERS and other != "common":
        return f"{program} must not include {other}"
    return None


def common_knows_no_program(include):
    other = include.path.split("/")[0]
    if include.file.startswith("common/") and other in ("client", "server", "worker", "proto"):
        return f"common must not include {other}"
    return None


def common_has_layers(include):
    if not include.file.startswith("common/"):
        return None
    folder = include.file.split("/")[1]
    if folder not in COMMON_MAY_INCLUDE:
        return f"common/{folder} has no place in COMMON_MAY_INCLUDE yet; give it one"
    if not include.path.startswith("common/"):
        return None
    other = include.path.split("/")[1]
    if other == folder or other in COMMON_MAY_INCLUDE[folder]:
        return None
    return f"common/{folder} must not include common/{other}"


def torch_stays_in_the_engine(include):
    if is_torch(include.path) and not within(include.file, TORCH_FOLDERS):
        return f"torch belongs to {', '.join(TORCH_FOLDERS)}"
    return None


def sqlite_stays_in_the_store(include):
    if is_sqlite(include.path) and not within(include.file, SQLITE_FOLDERS):
        return f"SQLite belongs to {', '.join(SQLITE_FOLDERS)}"
    return None


def rpc_stays_at_the_edges(include):
    if is_rpc(include.path) and not within(include.file, GRPC_FOLDERS):
        return f"gRPC and generated code belong to {', '.join(GRPC_FOLDERS)}"
    return None


PLACEABLE = includes_are_written_from_the_root  # first: the others need a path
RULES = (programs_stand_apart, common_knows_no_program, common_has_layers,
         torch_stays_in_the_engine, sqlite_stays_in_the_store, rpc_stays_at_the_edges)


def read_includes(root):
    for top in TOP_FOLDERS:
        for folder, _, names in sorted(os.walk(os.path.join(root, top))):
            for name in sorted(names):
                if not name.endswith((*SOURCE_ENDINGS, ".h.in")):
                    continue
                path = os.path.join(folder, name)
                file = os.path.relpath(path, root).replace(os.sep, "/")
                with open(path, encoding="utf-8") as text:
                    for number, line in enumerate(text, start=1):
                        match = INCLUDE.match(line)
                        if match:
                            system, own, _ = match.groups()
                            yield Include(file, number, system or own, own is not None)


def check(root):
    """(includes read, [(rule's name, "file:line: what is wrong")])"""
    count, problems = 0, []
    for include in read_includes(root):
        count += 1
        misplaced = PLACEABLE(include)
        broken = [(PLACEABLE, misplaced)] if misplaced else [(r, r(include)) for r in RULES]
        for rule, what in broken:
            if what:
                place = f"{include.file}:{include.line}: {include.path or '#include'}"
                problems.append((rule.__name__, f"{place}: {what}"))
    return count, problems


# A tree with one include a file, and the rules that it breaks.
SELF_TEST_TREE = (
    # What is allowed.
    ("common/base/a.h", "<string>", ()),
    ("common/base/b.cc", '"common/base/a.h"', ()),
    ("common/base/c.cc", '"absl/status/status.h"', ()),
    ("common/campaign/a.h", '"common/fault/target.h"', ()),
    ("common/fault/a.h", '"common/model/surface.h"', ()),
    ("common/report/a.h", '"common/stats/estimate.h"', ()),
    ("common/http/a.cc", "<civetweb.h>", ()),
    ("common/channel/a.cc", "<grpcpp/create_channel.h>", ()),
    ("common/channel/b.cc", '"common/base/file.h"', ()),
    ("client/cli/run.cc", '"client/api/client.h"', ()),
    ("client/api/a.cc", '"proto/bitquake/v1/campaign.pb.h"', ()),
    ("client/api/b.cc", '"common/campaign/campaign.h"', ()),
    ("server/service/a.cc", "<grpcpp/grpcpp.h>", ()),
    ("server/store/a.cc", "<sqlite3.h>", ()),
    ("worker/engine/a.cc", "<ATen/ATen.h>", ()),
    ("worker/agent/a.cc", '"proto/bitquake/v1/worker.grpc.pb.h"', ()),
    ("worker/agent/b.cc", '"worker/engine/evaluator.h"', ()),
    ("tests/worker/a.cc", "<ATen/ATen.h>", ()),
    # What is not.
    ("common/base/d.cc", '"a.h"', ("includes_are_written_from_the_root",)),
    ("common/base/e.cc", '"../../worker/engine/evaluator.h"',
     ("includes_are_written_from_the_root",)),
    ("common/base/f.cc", "<../fault/target.h>", ("includes_are_written_from_the_root",)),
    ("common/base/g.cc", "HEADER_NAME", ("includes_are_written_from_the_root",)),
    ("client/cli/a.cc", '"server/store/store.h"', ("programs_stand_apart",)),
    ("client/cli/b.cc", '"worker/data/dataset.h"', ("programs_stand_apart",)),
    ("server/http/a.cc", '"client/api/client.h"', ("programs_stand_apart",)),
    ("server/http/b.cc", '"worker/data/dataset.h"', ("programs_stand_apart",)),
    ("worker/agent/c.cc", '"client/api/client.h"', ("programs_stand_apart",)),
    ("worker/agent/d.cc", '"server/store/store.h"', ("programs_stand_apart",)),
    ("common/campaign/b.cc", '"client/api/client.h"', ("common_knows_no_program",)),
    ("common/campaign/c.cc", '"server/store/store.h"', ("common_knows_no_program",)),
    ("common/campaign/d.cc", '"worker/data/dataset.h"', ("common_knows_no_program",)),
    ("common/campaign/e.cc", '"proto/bitquake/v1/campaign.pb.h"',
     ("common_knows_no_program", "rpc_stays_at_the_edges")),
    ("common/base/h.cc", '"common/model/surface.h"', ("common_has_layers",)),
    ("common/model/a.cc", '"common/fault/target.h"', ("common_has_layers",)),
    ("common/fault/b.cc", '"common/campaign/campaign.h"', ("common_has_layers",)),
    ("common/stats/a.cc", '"common/report/results.h"', ("common_has_layers",)),
    ("common/campaign/f.cc", '"common/report/results.h"', ("common_has_layers",)),
    ("common/http/b.cc", '"common/report/results.h"', ("common_has_layers",)),
    ("common/channel/c.cc", '"common/campaign/campaign.h"', ("common_has_layers",)),
    ("common/novel/a.cc", "<string>", ("common_has_layers",)),
    ("common/model/b.cc", "<ATen/ATen.h>", ("torch_stays_in_the_engine",)),
    ("worker/data/a.cc", "<torch/torch.h>", ("torch_stays_in_the_engine",)),
    ("worker/main.cc", "<c10/util/Exception.h>", ("torch_stays_in_the_engine",)),
    ("server/scheduler/a.cc", "<sqlite3.h>", ("sqlite_stays_in_the_store",)),
    ("worker/agent/e.cc", '"vendor/sqlite3.h"', ("sqlite_stays_in_the_store",)),
    ("worker/engine/b.cc", "<grpcpp/grpcpp.h>", ("rpc_stays_at_the_edges",)),
    ("worker/engine/c.cc", '"proto/bitquake/v1/worker.pb.h"', ("rpc_stays_at_the_edges",)),
    ("server/main.cc", "<grpc/grpc.h>", ("rpc_stays_at_the_edges",)),
    ("server/store/b.cc", "<google/protobuf/message.h>", ("rpc_stays_at_the_edges",)),
    ("client/cli/c.cc", '"bitquake/v1/campaign.pb.h"', ("rpc_stays_at_the_edges",)),
)


def self_test():
    failures = []
    with tempfile.TemporaryDirectory() as root:
        for file, include, _ in SELF_TEST_TREE:
            path = os.path.join(root, file)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as text:
                text.write("// #include <ATen/in_a_comment.h>\n#pragma once\n"
                           f"  #  include {include}  // why\n")
        _, problems = check(root)
    found = {}
    for rule, message in problems:
        file, line, _ = message.split(":", 2)
        found.setdefault(file, []).append(rule)
        if line != "3":
            failures.append(f"{message}: reported at line {line}, written at line 3")
    for file, include, expected in SELF_TEST_TREE:
        if sorted(found.get(file, [])) != sorted(expected):
            failures.append(f"{file} includes {include}: breaks {found.get(file, [])}, "
                            f"should break {list(expected)}")
    tested = {rule for _, _, rules in SELF_TEST_TREE for rule in rules}
    for rule in (PLACEABLE, *RULES):
        if rule.__name__ not in tested:
            failures.append(f"{rule.__name__}: nothing in the made-up tree breaks it")
    for failure in failures:
        print(failure)
    print(f"{len(SELF_TEST_TREE)} made-up files, {len(failures)} failures")
    return 1 if failures else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    count, problems = check(arguments[0])
    for _, message in problems:
        print(message)
    print(f"{count} includes read, {len(problems)} against the rules")
    if count == 0:
        print(f"{arguments[0]}: no includes found; is this the repository's root?", file=sys.stderr)
        return 1
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
