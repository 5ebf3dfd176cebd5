"""A coordinator's database is backed up while it works, checked, lost and restored."""

import contextlib
import shutil
import signal
import sqlite3
import unittest

import bitquake

CAMPAIGN = bitquake.campaign(models=[bitquake.MODEL.name], dataset=bitquake.DATA.name,
                             ber=[1e-2], trials=8, images={"first": 80}, folds=2)


class Store(bitquake.Case):
    def setUp(self):
        super().setUp()
        self.database = self.folder / "campaign.db"

    def server_command(self, *arguments, code=0):
        return self.call(*arguments, code=code, program="bitquake-server")

    def begin(self, database):
        self.server = self.serve("--db", database, "--listen", "127.0.0.1:0")
        self.environment["BITQUAKE_SERVER"] = f"127.0.0.1:{self.server.port}"

    def work(self):
        return self.start("bitquake-worker", "--server", f"127.0.0.1:{self.server.port}",
                          "--model-root", bitquake.MODEL.parent, "--data-root",
                          bitquake.DATA.parent)

    def test_a_campaign_goes_on_from_a_backup_to_the_same_results(self):
        self.begin(self.database)
        worker = self.work()
        campaign = self.call("submit", self.write("campaign.json", CAMPAIGN))[0].strip()
        self.await_jobs(self.environment["BITQUAKE_SERVER"], done=5)
        backup = self.folder / "backup.db"
        out, _ = self.server_command("--db", self.database, "--backup", backup)
        self.assertIn("backup.db", out)
        self.server_command("--db", self.database, "--check")  # beside the server
        self.call("watch", campaign)
        undisturbed, _ = self.call("results", campaign, "--format", "csv")
        _, error = self.server_command("--db", self.database, "--restore", backup, code=1)
        self.assertIn("another bitquake-server has this database open", error)

        worker.send_signal(signal.SIGKILL)
        self.server.send_signal(signal.SIGKILL)
        self.server.wait()
        _, error = self.server_command("--db", self.database, "--restore", backup, code=1)
        self.assertIn("exists already", error)
        restored = self.folder / "restored.db"
        self.server_command("--db", restored, "--restore", backup)
        self.server_command("--db", restored, "--check")
        self.begin(restored)
        self.work()
        self.call("watch", campaign)
        self.assertEqual(self.call("results", campaign, "--format", "csv")[0], undisturbed)

    def test_damage_is_named_with_the_remedy(self):
        self.begin(self.database)
        self.call("submit", self.write("campaign.json", CAMPAIGN))
        self.end(self.server)
        self.server_command("--db", self.database, "--check")

        changed = self.folder / "changed.db"
        shutil.copy(self.database, changed)
        with contextlib.closing(sqlite3.connect(changed)) as database:
            database.execute("UPDATE campaigns SET resolved = replace(resolved, '0.01', '0.02')")
            database.commit()
        out, error = self.server_command("--db", changed, "--check", code=1)
        self.assertIn("table campaigns, row", out)
        self.assertIn("--restore", error)

        torn = self.folder / "torn.db"
        shutil.copy(self.database, torn)
        with open(torn, "r+b") as file:
            file.seek(4096 * 3)
            file.write(b"x" * 4096 * 4)
        _, error = self.server_command("--db", torn, "--listen", "127.0.0.1:0", code=1)
        self.assertIn("torn.db: is damaged", error)
        self.assertIn("--restore", error)
        _, error = self.server_command("--db", torn, "--backup", self.folder / "b.db", code=1)
        self.assertIn("is damaged", error)


if __name__ == "__main__":
    unittest.main()
