"""Real campaigns on real processes, and everything that can go wrong with them.

    python3 tests/chaos/chaos.py                         # all of it
    python3 tests/chaos/chaos.py --seed 7 --kills 1000   # more kills, at other points
    python3 tests/chaos/chaos.py --only calls            # one of them
    python3 tests/chaos/chaos.py --long                  # for an hour, seed after seed

A server, two workers and clients meet through a proxy that sees every message (proxy.py). Every
campaign's results must equal, byte for byte, those of a run that nobody disturbed; whatever was
acknowledged must be in the database after each kill, once (ledger.py). What happens is drawn from
--seed: who is killed, and at which message. Messages of several processes come in no fixed order,
so a seed gives the same plan and not the same run. Each check has a mutant under which it must
fail (--mutant): chaos_test.py runs them. Needs Debian's python3-grpcio and python3-protobuf.
"""

import argparse
import pathlib
import shutil
import sys
import tempfile
import time

import calls
import damage
import kills
import memory
from cluster import Failure, undisturbed

CI_KILLS = 200
CHECKS = {
    "kills": lambda folder, reference, chosen, say: kills.run(
        folder, reference, chosen.seed, chosen.kills, mutants=chosen.mutant, say=say),
    "calls": lambda folder, reference, chosen, say: calls.run(
        folder, reference, chosen.seed, mutants=chosen.mutant, say=say),
    "model": lambda folder, reference, chosen, say: damage.run_damaged_input(
        folder, reference, "model", chosen.mutant, say),
    "shard": lambda folder, reference, chosen, say: damage.run_damaged_input(
        folder, reference, "shard", chosen.mutant, say),
    "database": lambda folder, reference, chosen, say: damage.run_damaged_database(
        folder, chosen.mutant, say),
    "disk": lambda folder, reference, chosen, say: damage.run_full_disk(
        folder, reference, chosen.mutant, say),
    "memory": lambda folder, reference, chosen, say: memory.run(
        folder, reference, chosen.mutant, say),
    "liar": lambda folder, reference, chosen, say: damage.run_liar(
        folder, reference, chosen.mutant, say),
}


def parse(arguments=None):
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--kills", type=int, default=CI_KILLS)
    options.add_argument("--only", choices=CHECKS, action="append", help="repeatable")
    options.add_argument("--mutant", action="append", default=[],
                         choices=["swallow", "reseed", "revive", "resubmit", "contradict", "harmless"])
    options.add_argument("--long", action="store_true", help="seed after seed, for an hour")
    options.add_argument("--keep", action="store_true", help="keep the folder of a failed check")
    return options.parse_args(arguments)


def run(chosen, reference=None, say=print):
    """Runs the checks in scratch folders; raises what failed. Returns the reference."""
    if reference is None:
        with tempfile.TemporaryDirectory(prefix="bitquake-chaos-") as folder:
            reference = undisturbed(folder)
    for name in chosen.only or CHECKS:
        begin = time.monotonic()
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"bitquake-chaos-{name}-"))
        try:
            CHECKS[name](folder, reference, chosen, say)
        except BaseException:
            if chosen.keep:
                say(f"  {name}: see {folder}")
            raise
        finally:
            if not chosen.keep:
                shutil.rmtree(folder, ignore_errors=True)
        say(f"{name}: {time.monotonic() - begin:.1f} s")
    return reference


def main():
    chosen = parse()
    reference, end = None, time.monotonic() + 3600
    try:
        while True:
            print(f"seed {chosen.seed}", flush=True)
            reference = run(chosen, reference)
            chosen.seed += 1
            if not chosen.long or time.monotonic() > end:
                return
    except Failure as failure:
        sys.exit(f"chaos: seed {chosen.seed}: {failure}")


if __name__ == "__main__":
    main()
