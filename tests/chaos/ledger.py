"""What the coordinator has acknowledged, as it went over the wire, held against its database."""

import contextlib
import pathlib
import shutil
import sqlite3
import tempfile
import threading


class Ledger:
    """Every acknowledgement that a worker was, or could have been, given."""

    def __init__(self):
        self.lock = threading.Lock()
        self.outcomes = {}   # job -> digest, of trials
        self.goldens = {}    # job -> digest
        self.campaigns = {}  # job -> campaign
        self.refused = []    # reports that were refused, as text
        self.checked = set()

    def acknowledge(self, report, error):
        """The coordinator has answered a report."""
        with self.lock:
            if error:
                self.refused.append(f"{report.worker_id}: {error}")
                return
            kind = report.WhichOneof("report")
            if kind == "trial":
                self.outcomes.setdefault(report.trial.job_id, report.trial.outcome_digest)
                self.campaigns[report.trial.job_id] = report.campaign_id
            elif kind == "golden":
                self.goldens.setdefault(report.golden.job_id, report.golden.digest)
                self.campaigns[report.golden.job_id] = report.campaign_id

    def count(self):
        with self.lock:
            return len(self.outcomes) + len(self.goldens)

    def check_kept(self, database, everything=False):
        """A line for each acknowledged outcome that the database lacks or has otherwise.

        Of outcomes that were not looked at before, or of all. The server may be dead: the file is
        read from a copy, so that it keeps its log for the server to recover from. Call it before the
        server runs again: what is lost may be computed again later.
        """
        with self.lock:
            acknowledged = [("outcomes", dict(self.outcomes)), ("goldens", dict(self.goldens))]
            campaigns = dict(self.campaigns)
        complaints = []
        with copied(database) as db:
            dropped = {row[0] for row in db.execute(
                "SELECT id FROM campaigns WHERE state IN ('cancelled', 'failed')")}
            for table, digests in acknowledged:
                for job, digest in digests.items():
                    if campaigns[job] in dropped or (job in self.checked and not everything):
                        continue
                    found = db.execute(f"SELECT digest FROM {table} WHERE job = ?",
                                       [job]).fetchall()
                    if found != [(digest,)]:
                        complaints.append(f"job {job} was acknowledged with digest {digest}; "
                                          f"{table} has {found}")
                    self.checked.add(job)
        return complaints


@contextlib.contextmanager
def copied(database):
    """A connection to a copy of the file and its log, as they are now."""
    with tempfile.TemporaryDirectory(prefix="bitquake-chaos-db-") as folder:
        copy = pathlib.Path(folder) / "copy.db"
        shutil.copy(database, copy)
        log = pathlib.Path(f"{database}-wal")
        if log.exists():
            shutil.copy(log, f"{copy}-wal")
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            yield connection


# Each gives rows only if something was lost, or counted twice.
INVARIANTS = {
    "a job that is done is still to be done":
        "SELECT id FROM jobs WHERE id IN (SELECT job FROM outcomes UNION SELECT job FROM goldens)",
    "a trial is not the sum of its outcomes":
        "SELECT t.cell, t.trial FROM trials t JOIN outcomes o ON o.cell = t.cell AND o.trial = "
        "t.trial GROUP BY t.cell, t.trial HAVING t.folds_done <> count(*) OR t.images <> "
        "sum(o.images) OR t.top1 <> sum(o.top1) OR t.golden_top1 <> sum(o.golden_top1) OR t.sdc <> "
        "sum(o.sdc) OR t.due <> sum(o.due) OR t.inferences <> sum(o.inferences)",
    "an outcome is in no trial":
        "SELECT job FROM outcomes o WHERE NOT EXISTS (SELECT 1 FROM trials t WHERE t.cell = o.cell "
        "AND t.trial = o.trial)",
    "a cell does not count its finished trials":
        "SELECT c.id FROM cells c WHERE c.trials_done <> (SELECT count(*) FROM trials t WHERE "
        "t.cell = c.id AND t.finished)",
    "a campaign does not count its jobs":
        "SELECT c.id, c.jobs_done FROM campaigns c WHERE c.state = 'done' AND c.jobs_done <> "
        "(SELECT count(*) FROM outcomes o JOIN cells ON cells.id = o.cell JOIN variants v ON v.id = "
        "cells.variant WHERE v.campaign = c.id) + (SELECT count(*) FROM goldens g JOIN variants v "
        "ON v.id = g.variant WHERE v.campaign = c.id) + (SELECT count(*) FROM models m WHERE "
        "m.campaign = c.id)",
    "a campaign does not count its images":
        "SELECT c.id FROM campaigns c WHERE c.images_done <> (SELECT coalesce(sum(o.images), 0) "
        "FROM outcomes o JOIN cells ON cells.id = o.cell JOIN variants v ON v.id = cells.variant "
        "WHERE v.campaign = c.id) + (SELECT coalesce(sum(g.images), 0) FROM goldens g JOIN variants "
        "v ON v.id = g.variant WHERE v.campaign = c.id)",
    "a job was set aside": "SELECT id, error FROM jobs WHERE state = 'poisoned'",
    "a reference to nothing": "PRAGMA foreign_key_check",
}


def check_database(database, alarms=0):
    """A line for each thing in the database that contradicts another."""
    complaints = []
    with copied(database) as db:
        for what, sql in INVARIANTS.items():
            rows = db.execute(sql).fetchmany(3)
            if rows:
                complaints.append(f"{what}: {rows}")
        (intact,) = db.execute("PRAGMA integrity_check").fetchone()
        if intact != "ok":
            complaints.append(f"integrity_check: {intact}")
        raised = db.execute("SELECT kind, worker, detail FROM alarms").fetchall()
        if len(raised) != alarms:
            complaints.append(f"{alarms} alarms were to be raised: {raised[:3]}")
    return complaints
