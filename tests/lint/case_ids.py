#!/usr/bin/env python3
"""Every case has a test that names it, or a reason why it has none.

usage: case_ids.py TREE

TREE/tests/cases/ids.txt lists the cases, TREE/tests/cases/untested.txt those without a test and why. A test names a case as Gather07_ at
the beginning of its name, or as GATHER-07 in a comment.
"""
import pathlib
import re
import sys

CASES = pathlib.Path("tests/cases/ids.txt")
UNTESTED = pathlib.Path("tests/cases/untested.txt")


def lines_of(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line


def listed(tree):
    """id -> line of ids.txt"""
    cases = {}
    for number, line in lines_of(tree / CASES):
        group, *ranges = line.split("lint!")[0].split()
        for numbers in ranges:
            first, _, last = numbers.partition("-")
            for each in range(int(first), int(last or first) + 1):
                cases[f"{group}-{each:02}"] = number
    return cases


def named(tree):
    names = set()
    for path in sorted((tree / "tests").rglob("*.cpp")):
        if (tree / "tests/lint") in path.parents:
            continue
        text = path.read_text()
        names.update(f"{group.upper()}-{number}" for group, number in re.findall(r"\b([A-Z][a-z]+)(\d\d+)_", text))
        names.update(re.findall(r"\b[A-Z]+-\d\d+\b", text))
    return names


def main(tree):
    cases, tests = listed(tree), named(tree)
    findings = []
    excused = {}
    for number, line in lines_of(tree / UNTESTED):
        case, _, reason = line.partition(" ")
        excused[case] = number
        if case not in cases:
            findings.append((UNTESTED, number, f"{case} is no case"))
        elif case in tests:
            findings.append((UNTESTED, number, f"{case} has a test"))
        elif not reason.strip():
            findings.append((UNTESTED, number, f"{case}: why?"))
    findings += [(CASES, number, f"{case} has no test") for case, number in cases.items() if case not in tests and case not in excused]
    for path, number, what in findings:
        print(f"{path}:{number}: {what}")
    print(f"{len(cases)} cases, {len(excused)} without a test, {len(findings)} finding(s)")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
