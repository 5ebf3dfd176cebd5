"""The messages of proto/bitquake/v1, generated when this is first imported; and names of the calls."""

import atexit
import pathlib
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def _generate():
    folder = tempfile.mkdtemp(prefix="bitquake-chaos-wire-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    protos = sorted(str(path.relative_to(SOURCE / "proto"))
                    for path in (SOURCE / "proto").rglob("*.proto"))
    subprocess.run(["protoc", f"--proto_path={SOURCE / 'proto'}", f"--python_out={folder}",
                    *protos], check=True)
    sys.path.insert(0, folder)


_generate()

# pylint: disable=wrong-import-position
from bitquake.v1 import campaign_pb2, worker_pb2  # noqa: E402


class Method:
    """A remote call: its path, and how its messages are read and written."""

    def __init__(self, file, service, descriptor):
        self.name = descriptor.name
        self.path = f"/{service.full_name}/{descriptor.name}"
        self.request = getattr(file, descriptor.input_type.name)
        self.reply = getattr(file, descriptor.output_type.name)


def _methods(file):
    for service in file.DESCRIPTOR.services_by_name.values():
        for descriptor in service.methods:
            yield Method(file, service, descriptor)


METHODS = {method.name: method for file in (worker_pb2, campaign_pb2) for method in _methods(file)}
BIDIRECTIONAL = {"StreamOutcomes"}
SERVER_STREAMS = {"WatchCampaign", "StreamResults"}
BY_PATH = {method.path: method for method in METHODS.values()}
