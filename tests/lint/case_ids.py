#!/usr/bin/env python3
"""Every case has a test that names it, or a reason why it has none.

usage: case_ids.py TREE

TREE/tests/cases/ids.txt lists the cases, TREE/tests/cases/untested.txt those without a test and why. A test names a case as Gather07_ at
the beginning of its name, or as GATHER-07 in a comment. TREE/combinators/README.md says under "What proves it" which case or test proves
what: each of them must be there.
"""
import pathlib
import re
import sys

CASES = pathlib.Path("tests/cases/ids.txt")
UNTESTED = pathlib.Path("tests/cases/untested.txt")
PROOFS = pathlib.Path("combinators/README.md")


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


def test_names(tree):
    names = set()
    for path in (tree / "tests").rglob("*.cpp"):
        names.update(re.findall(r"^TEST(?:_P)?\(\w+,\s*(\w+)\)", path.read_text(), re.M))
    return names


def proofs(tree):
    """(line, case or test) of the table in PROOFS."""
    path = tree / PROOFS
    inside = False
    for number, line in enumerate(path.read_text().splitlines() if path.is_file() else [], 1):
        if line.startswith("#"):
            inside = line == "### What proves it"
        elif inside and line.startswith("| `"):
            for each in re.findall(r"`([^`]+)`", line.split("|", 2)[2]):
                yield number, each


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
    known = tests & cases.keys() | test_names(tree)
    findings += [(PROOFS, number, f"{proof} is no test") for number, proof in proofs(tree) if proof not in known]
    for path, number, what in findings:
        print(f"{path}:{number}: {what}")
    print(f"{len(cases)} cases, {len(excused)} without a test, {len(findings)} finding(s)")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
