#!/usr/bin/env python3
"""One idea per file: above the soft cap a file is named, above the hard cap the lint fails, unless the file stands in the allow-list.

usage: file_length.py ROOT [--soft N] [--hard N] [--allow FILE]
An allow-list line is `path: reason`.
"""
import argparse
import pathlib

import scan


def allowed_files(path):
    if path is None:
        return {}
    lines = [line for line in pathlib.Path(path).read_text().split("\n") if line.strip() and not line.startswith("#")]
    return dict(line.split(": ", 1) for line in lines)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("root")
    options.add_argument("--soft", type=int, default=400)
    options.add_argument("--hard", type=int, default=600)
    options.add_argument("--allow")
    arguments = options.parse_args()

    allowed = allowed_files(arguments.allow)
    found = scan.findings()
    for path, relative in scan.files(arguments.root):
        length = len(path.read_text().splitlines())
        reason = allowed.pop(str(relative), None)
        if length > arguments.hard and reason is None:
            found.add(relative, length, f"{length} lines, more than {arguments.hard}: split it, or allow it with a reason")
        elif length > arguments.hard:
            print(f"allowed: {relative}, {length} lines: {reason}")
        else:
            if reason is not None:
                found.add(relative, length, "stands in the allow-list without need")
            if length > arguments.soft:
                print(f"long: {relative}, {length} lines. Is it one idea?")
    for relative in allowed:
        found.add(relative, 1, "stands in the allow-list and does not exist")
    found.exit()


if __name__ == "__main__":
    main()
