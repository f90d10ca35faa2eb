#!/usr/bin/env python3
"""Do the tests notice? Builds the library with one line changed at a time, and runs the suite until something fails.

usage: run.py [--build DIR] [--only N[,N...]] [--jobs N]

mutants.txt lists the changes. Each is applied to a copy of the tree below DIR (build/mutants), so the tree itself is never touched. Exit
status: the number of changes that no test has noticed.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "support"))
import changes  # noqa: E402


def copy_tree(tree):
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, tracked):
        source, target = ROOT / name, tree / name
        if source.is_file() and (not target.is_file() or source.read_bytes() != target.read_bytes()):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def build(folder, jobs):
    return subprocess.run(["ninja", "-C", str(folder), "-j", str(jobs)], capture_output=True, text=True, check=False)


def test_programs(folder):
    """The suite as whole programs, quick ones first: a test costs less in its program than in one of its own."""
    listed = subprocess.run(["ctest", "--test-dir", str(folder), "--show-only=json-v1", "-L", "^(unit|explorer)$"], capture_output=True, text=True, check=True)
    commands = {}
    for test in json.loads(listed.stdout)["tests"]:
        command = test["command"]
        if any(each.startswith("--gtest_filter") for each in command):
            command = [command[0], "--gtest_fail_fast", "--gtest_color=no"]
        commands[tuple(command)] = test["name"]
    return sorted(commands.items(), key=lambda each: each[0][0].endswith(SLOW))


SLOW = ("combinators_test", "cases_queue_test", "model_test")
PATIENCE = 60  # seconds; the slowest of the programs takes 4


def failure_in(program):
    """What fails in a program, or None."""
    command, name = program
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            status = "no end"
        output.seek(0)
        text = output.read()
    if status == 0:
        return None
    failed = re.findall(r"^\[  FAILED  \] ([\w/.]+)", text, re.M)
    begun = re.findall(r"^\[ RUN      \] ([\w/.]+)", text, re.M)
    return (failed[0] if failed else begun[-1] if begun else name) + {"no end": " (no end)"}.get(status, "" if failed else " (died)")


def first_failure(programs, jobs):
    """Name of a test that fails, or None."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(failure_in, each) for each in programs]
        for each in concurrent.futures.as_completed(running):
            if each.result() is not None:
                pool.shutdown(wait=True, cancel_futures=True)
                return each.result()
    return None


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--build", type=pathlib.Path, default=ROOT / "build/mutants")
    options.add_argument("--only", default="")
    options.add_argument("--jobs", type=int, default=os.cpu_count())
    given = options.parse_args()
    chosen = {int(each) for each in given.only.split(",") if each}
    tree, folder = given.build.resolve() / "tree", given.build.resolve() / "release"
    copy_tree(tree)
    every = changes.read(HERE / "mutants.txt")
    for each in every:
        each.apply((tree / each.file).read_text())
    subprocess.run(["cmake", "--preset", "release", "-B", str(folder)], cwd=tree, stdout=subprocess.DEVNULL, check=True)
    result = build(folder, given.jobs)
    if result.returncode != 0:
        sys.exit(result.stdout[-4000:])
    programs = test_programs(folder)
    failed = first_failure(programs, given.jobs)
    if failed is not None:
        sys.exit(f"without any change, {failed} fails")
    survivors = 0
    for each in every:
        if chosen and each.number not in chosen:
            continue
        path = tree / each.file
        original = path.read_text()
        began = time.monotonic()
        try:
            path.write_text(each.apply(original))
            result = build(folder, given.jobs)
            if result.returncode != 0:
                said = "does not compile: " + next((line for line in result.stdout.splitlines() if "error:" in line), "")
            else:
                failed = first_failure(programs, given.jobs)
                survivors += failed is None
                said = f"noticed by {failed}" if failed else "NOT NOTICED"
        finally:
            path.write_text(original)
        print(f"{each}\n   {said} ({time.monotonic() - began:.0f} s)", flush=True)
    build(folder, given.jobs)
    sys.exit(survivors)


if __name__ == "__main__":
    main()
