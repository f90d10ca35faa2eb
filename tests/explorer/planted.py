#!/usr/bin/env python3
"""Does the explorer find bugs? Plants one at a time and explores the scenario that is about it.

usage: planted.py BUILD [--only N[,N...]] [--jobs N] [--quick]

BUILD is a build directory whose explorer is up to date. planted.txt lists the bugs, each with its scenario. Only what includes a changed
file is compiled again, in a copy; --quick leaves out those for which that is much (but not `always`), and those that take long to find
(`slow`). Prints a line per bug; exit status: how many of them were not found.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "support"))
import changes  # noqa: E402

PARTS = ("runtime", "combinators", "tests/explorer")
MUCH = 12  # sources
PATIENCE = 300  # seconds


def output_of(command, **how):
    return subprocess.run(command, capture_output=True, text=True, check=True, **how).stdout


class explorer_build:
    """What ninja knows of the program."""

    def __init__(self, folder):
        self.folder = folder
        database = json.loads((folder / "compile_commands.json").read_text())
        outputs = ((re.search(r" -o (\S+)", each["command"]).group(1), each["command"]) for each in database)
        self.compile = {output: command for output, command in outputs if "/explorer.dir/" in output}
        self.link = output_of(["ninja", "-t", "commands", "explorer"], cwd=folder).rstrip().splitlines()[-1]
        self.users = {}  # of a file: objects
        target = None
        for line in output_of(["ninja", "-t", "deps"], cwd=folder).splitlines():
            if line and not line.startswith(" "):
                target = line.split(":")[0]
            elif line and target in self.compile:
                path = os.path.normpath(folder / line.strip())
                self.users.setdefault(path, []).append(target)

    def objects_of(self, file):
        return self.users.get(str(ROOT / file), [])

    def make(self, planted, tree):
        """Builds the program in `tree` with the change; returns its path."""
        for part in PARTS:
            shutil.copytree(ROOT / part, tree / part)
        path = tree / planted.file
        path.write_text(planted.apply(path.read_text()))
        link = self.link
        for number, each in enumerate(self.objects_of(planted.file)):
            command = self.compile[each].replace(each, str(tree / f"{number}.o"))
            for part in PARTS:
                command = command.replace(str(ROOT / part), str(tree / part))
            run(command, self.folder)
            link = link.replace(f" {each} ", f" {tree / f'{number}.o'} ")
        program = tree / "explorer"
        run(re.sub(r"-o \S+", f"-o {program}", link), self.folder)
        return program


def run(command, folder):
    result = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(result.stdout + result.stderr)


def explore(build, planted):
    """How it was found, or None."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        program = build.make(planted, pathlib.Path(folder))
        try:
            command = [program, planted.words[0], "--seconds", str(PATIENCE // 2)]
            result = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            return None
    found = re.search(r"^FAILED (.*)$", result.stdout, re.M)
    return found.group(1) if found else None


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("build", type=pathlib.Path)
    options.add_argument("--only", default="")
    options.add_argument("--jobs", type=int, default=os.cpu_count())
    options.add_argument("--quick", action="store_true")
    given = options.parse_args()
    build = explorer_build(given.build.resolve())
    only = {int(each) for each in given.only.split(",") if each}
    every = changes.read(HERE / "planted.txt")
    for each in every:
        each.apply((ROOT / each.file).read_text())
        if not build.objects_of(each.file):
            sys.exit(f"nothing is built of {each.file}")
    chosen = [each for each in every if not only or each.number in only]
    if given.quick:
        chosen = [each for each in chosen
                  if "always" in each.words or (len(build.objects_of(each.file)) <= MUCH and "slow" not in each.words)]
    missed = 0

    def timed(planted):
        began = time.monotonic()
        try:
            return explore(build, planted), time.monotonic() - began
        except RuntimeError as error:
            return f"DOES NOT BUILD: {str(error)[:500]}", time.monotonic() - began

    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        for planted, (found, took) in zip(chosen, pool.map(timed, chosen)):
            missed += found is None or found.startswith("DOES NOT BUILD")
            print(f"{planted}\n     {found or 'NOT FOUND'}  ({took:.0f} s)", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} found")
    sys.exit(missed)


if __name__ == "__main__":
    main()
