#!/usr/bin/env python3
"""Source lists are written out in CMake, so a file that no list names is neither built, tested nor installed. This finds it.

usage: listed_sources.py ROOT
"""
import pathlib
import re
import sys

import scan

# Projects and samples of their own, and a folder whose files are all programs. Private headers are not asked for: they reach the build through what includes them.
ELSEWHERE = ("bench/", "tests/compile_fail/planted/", "tests/docs/planted/", "tests/packaging/")


def needs_a_line(relative):
    if str(relative).startswith(ELSEWHERE):
        return False
    return relative.suffix == ".cpp" or "include" in relative.parts


def main(root):
    root = pathlib.Path(root)
    listed = set()
    for script in (script for folder in scan.CODE_FOLDERS for script in (root / folder).rglob("CMakeLists.txt")):
        folder = script.parent
        text = re.sub(r"#[^\n]*", "", script.read_text())
        for name in re.findall(r"[\w./-]+\.(?:cpp|hpp)\b", text):
            listed.add((folder / name).resolve())
    found = scan.findings()
    for path, relative in scan.files(root):
        if needs_a_line(relative) and path.resolve() not in listed:
            found.add(relative, 1, "named in no CMakeLists.txt")
    found.exit()


if __name__ == "__main__":
    main(sys.argv[1])
