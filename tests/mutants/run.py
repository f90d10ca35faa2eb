#!/usr/bin/env python3
"""Do the tests notice? Builds the library with one line changed at a time, and runs the suite until something fails.

usage: run.py [--build DIR] [--only N[,N...]] [--jobs N]

mutants.txt lists the changes. Each is applied to a copy of the tree below DIR (build/mutants), so the tree itself is never touched. Exit
status: the number of changes that no test has noticed.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class mutant:
    def __init__(self, number, block):
        self.number = number
        self.file, *changes = block.splitlines()
        self.old = [line[2:] for line in changes if line.startswith("- ")]
        self.new = [line[2:] for line in changes if line.startswith("+ ")]

    def __str__(self):
        return f"{self.number:2} {self.file}: {self.old[0].strip()}"

    def apply(self, text):
        """Lines are found whatever their indentation."""
        pattern = re.compile(r"\n[ \t]*".join(re.escape(line) for line in self.old))
        found = pattern.findall(text)
        if len(found) != 1:
            sys.exit(f"mutant {self}: its text is there {len(found)} times")
        return pattern.sub(lambda _: "\n".join(self.new), text)


def mutants():
    text = (HERE / "mutants.txt").read_text()
    blocks = re.split(r"\n\s*\n", "\n".join(line for line in text.splitlines() if not line.startswith("#")).strip())
    return [mutant(number, block.strip()) for number, block in enumerate(blocks, 1)]


def copy_tree(tree):
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, tracked):
        source, target = ROOT / name, tree / name
        if source.is_file() and (not target.is_file() or source.read_bytes() != target.read_bytes()):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def build(folder, jobs):
    return subprocess.run(["ninja", "-C", str(folder), "-j", str(jobs)], capture_output=True, text=True, check=False)


def first_failure(folder, jobs):
    """Name of a test that fails, or None."""
    result = subprocess.run(
        ["ctest", "--test-dir", str(folder), "-j", str(jobs), "--stop-on-failure", "--timeout", "20",
         "-LE", "^(lint|packaging|docs|compile_fail)$"], capture_output=True, text=True, check=False)
    match = re.search(r"Test\s+#\d+: (\S+).*?(?:\*\*\*|Failed)", re.sub(r".* Passed .*", "", result.stdout))
    return None if result.returncode == 0 else match.group(1) if match else "(ctest failed)"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--build", type=pathlib.Path, default=ROOT / "build/mutants")
    options.add_argument("--only", default="")
    options.add_argument("--jobs", type=int, default=os.cpu_count())
    given = options.parse_args()
    chosen = {int(each) for each in given.only.split(",") if each}
    tree, folder = given.build.resolve() / "tree", given.build.resolve() / "release"
    copy_tree(tree)
    every = mutants()
    for each in every:
        each.apply((tree / each.file).read_text())
    subprocess.run(["cmake", "--preset", "release", "-B", str(folder)], cwd=tree, stdout=subprocess.DEVNULL, check=True)
    result = build(folder, given.jobs)
    if result.returncode != 0:
        sys.exit(result.stdout[-4000:])
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
                failed = first_failure(folder, given.jobs)
                survivors += failed is None
                said = f"noticed by {failed}" if failed else "NOT NOTICED"
        finally:
            path.write_text(original)
        print(f"{each}\n   {said} ({time.monotonic() - began:.0f} s)", flush=True)
    build(folder, given.jobs)
    sys.exit(survivors)


if __name__ == "__main__":
    main()
