"""What is begun twice: a submit whose answer was lost, a run that was killed while it made its directory."""

import json
import re
import resource
import signal
import socket
import subprocess
import threading
import unittest

import bitquake

FAILED, UNREACHABLE = 1, 3


class Proxy:
    """Passes bytes between clients and a server until it has passed a text to the server: then it hangs up before
    the answer, and refuses whoever comes after."""

    def __init__(self, port, text):
        self.port_of_server = port
        self.text = text.encode()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.seen = threading.Event()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port_of_server))
            threading.Thread(target=self.up, args=(client, server), daemon=True).start()
            threading.Thread(target=self.down, args=(client, server), daemon=True).start()

    def up(self, client, server):
        try:
            while piece := client.recv(65536):
                if self.text in piece:
                    self.seen.set()  # from here on nothing comes back
                    self.listener.close()
                server.sendall(piece)
        except OSError:  # the other direction hung up
            pass

    def down(self, client, server):
        try:
            while piece := server.recv(65536):
                if self.seen.is_set():
                    break  # the server has answered: the campaign is stored
                client.sendall(piece)
            client.shutdown(socket.SHUT_RDWR)
        except OSError:  # the client went first
            pass
        client.close()
        server.close()

    def close(self):
        self.listener.close()


class Submit(bitquake.Case):
    def test_tried_again_makes_one_campaign(self):
        server = self.serve("--db", self.folder / "a.db", "--listen", "127.0.0.1:0")
        address = f"127.0.0.1:{server.port}"
        # Only the body of this request holds the text: a small one is not compressed.
        file = self.write("campaign.yaml", bitquake.campaign(name="only-once", models=["m"], dataset="d"))
        proxy = Proxy(server.port, "only-once")
        self.addCleanup(proxy.close)
        _, error = self.call("submit", file, "--server", f"127.0.0.1:{proxy.port}", code=UNREACHABLE)
        self.assertTrue(proxy.seen.is_set())
        again = re.search(r"whether it took the campaign is not known: submit it again with "
                          r"(--request-id) ([0-9a-f]{32}), which makes no second one", error)
        self.assertTrue(again, error)
        listed = json.loads(self.call("list", "--json", "--server", address)[0])
        self.assertEqual([campaign["name"] for campaign in listed], ["only-once"])
        out, _ = self.call("submit", file, "--server", address, *again.groups())
        self.assertEqual(out.strip(), listed[0]["id"])
        self.assertEqual(len(json.loads(self.call("list", "--json", "--server", address)[0])), 1)
        # Without it, it is a campaign of its own.
        self.call("submit", file, "--server", address)
        self.assertEqual(len(json.loads(self.call("list", "--json", "--server", address)[0])), 2)


class RunDirectory(bitquake.Case):
    def test_killed_while_it_is_made_is_in_nobodys_way(self):
        file = self.write("campaign.yaml", bitquake.campaign(images={"first": 20}))
        run = self.folder / "runs" / "first"

        def no_file_may_be_written():  # whoever writes to one is killed
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

        killed = subprocess.run([str(bitquake.BIN / "bitquake"), "run", str(file), "--out", str(run)],
                                preexec_fn=no_file_may_be_written, capture_output=True, text=True,
                                env=self.environment)
        self.assertEqual(killed.returncode, -signal.SIGXFSZ, killed.stderr)
        self.assertEqual([left.name.split("-")[0] for left in run.parent.iterdir()], ["first.partial"])
        self.call("run", file, "--out", run)
        self.assertTrue((run / "cells.csv").exists())


if __name__ == "__main__":
    unittest.main()
