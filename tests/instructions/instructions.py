#!/usr/bin/env python3
"""How many instructions does a task cost? Counts them under callgrind, on one worker, and compares with what is recorded.

usage: instructions.py PROGRAM COMPILER [--record]

PROGRAM is `count`, COMPILER the name under which recorded.json has its figures. Instructions repeat where times do not: a figure more than
a tenth above the recorded one fails. --record writes what was counted.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys

RECORDED = pathlib.Path(__file__).resolve().parent / "recorded.json"
MEASURES = {"fib": 18, "when_all": 1000, "spawn": 1000, "gather": 1000, "as_completed": 1000, "wait": 1000, "wait_in_turn": 1000,
            "cancel_queued": 1000, "cancel_asleep": 1000}
FEW, MANY = 2, 7  # rounds
ALLOWED = 1.10


def count(program, measure, rounds):
    """All instructions of one run, and the tasks of a round."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, measure, str(MEASURES[measure]), str(rounds)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(re.search(r"Collected : (\d+)", result.stderr).group(1)), int(result.stdout)


def per_task(program, measure):
    few, tasks = count(program, measure, FEW)
    many, _ = count(program, measure, MANY)
    return (many - few) / ((MANY - FEW) * tasks)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("program")
    options.add_argument("compiler")
    options.add_argument("--record", action="store_true")
    given = options.parse_args()
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    known = recorded.setdefault(given.compiler, {})
    if not known and not given.record:
        print(f"nothing is recorded for {given.compiler}, so nothing is compared: --record does")
    failed = False
    print(f"{'instructions per task':24}{'now':>8}{'recorded':>10}")
    for measure in MEASURES:
        now = round(per_task(given.program, measure))
        before = known.get(measure)
        worse = before is not None and now > before * ALLOWED
        failed = failed or (worse and not given.record)
        print(f"{measure:24}{now:8}{before if before is not None else '-':>10}{'  MORE' if worse else ''}", flush=True)
        known[measure] = now
    if given.record:
        RECORDED.write_text(json.dumps(recorded, indent=2, sort_keys=True) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
