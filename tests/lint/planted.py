#!/usr/bin/env python3
"""Tests a lint: run on a tree of samples it must report exactly the lines marked `lint!`, each of them, and nothing else.

usage: planted.py TREE COMMAND...      the command's word TREE stands for the tree
"""
import pathlib
import re
import subprocess
import sys


def main(tree, command):
    tree = pathlib.Path(tree).resolve()
    marked = {
        (str(path.relative_to(tree)), number)
        for path in sorted(tree.rglob("*"))
        if path.is_file()
        for number, line in enumerate(path.read_text().split("\n"), 1)
        if "lint!" in line
    }
    result = subprocess.run([word.replace("TREE", str(tree)) for word in command], capture_output=True, text=True, check=False)
    output = result.stdout + result.stderr
    reported = {(name, int(number)) for name, number in re.findall(r"^([\w./-]+):(\d+): ", output, flags=re.M)}

    print(output)
    for name, number in sorted(marked - reported):
        print(f"not reported: {name}:{number}")
    for name, number in sorted(reported - marked):
        print(f"reported without cause: {name}:{number}")
    if not marked:
        print("no line is marked, so this proves nothing")
    if result.returncode == 0:
        print("the lint passed on bad samples")
    sys.exit(0 if marked and marked == reported and result.returncode != 0 else 1)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
