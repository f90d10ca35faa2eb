#!/usr/bin/env python3
"""Every case has a meaning, and a test that names it or a reason why it has none.

usage: case_ids.py TREE

TREE/tests/cases/ids.txt lists the cases, one a line: its id and what it means. TREE/tests/cases/untested.txt lists those without a
test, and why. A test names a case as Gather07_ at the beginning of its name, or as GATHER-07 in the comment directly above it. A
static_assert is a test as well; in tests/programs/ so is whatever stands below the comment, and in tests/compile_fail/ the file, by the
comment that it begins with. TREE/combinators/README.md says under "What proves it" which case or test proves what: each of them must be there.
"""
import pathlib
import re
import sys

CASES = pathlib.Path("tests/cases/ids.txt")
UNTESTED = pathlib.Path("tests/cases/untested.txt")
PROOFS = pathlib.Path("combinators/README.md")
ID = re.compile(r"\b([A-Z]+-\d\d+)\b")
TEST = re.compile(r"^(?:TYPED_)?TEST(?:_F|_P)?\(\s*\w+,\s*(\w+)\)", re.M)
BEGINS_A_TEST = re.compile(r"(?:TYPED_)?TEST(?:_F|_P)?\(|static_assert\(")
IN_A_NAME = re.compile(r"([A-Z][a-z]+)(\d\d+)_")
LONGEST = 95


def lines_of(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line


def listed(tree, findings):
    """id -> line of ids.txt"""
    cases = {}
    for number, line in lines_of(tree / CASES):
        case, _, meaning = line.split("lint!")[0].partition(" ")
        if not ID.fullmatch(case):
            findings.append((CASES, number, f"{case} is no id"))
        elif case in cases:
            findings.append((CASES, number, f"{case} stands there twice"))
        elif not meaning.strip():
            findings.append((CASES, number, f"{case}: what does it mean?"))
        elif len(meaning) > LONGEST:
            findings.append((CASES, number, f"{case}: more than {LONGEST} characters"))
        if ID.fullmatch(case):
            cases.setdefault(case, number)
    return cases


def comment_above(lines, number):
    """(line number, line) of the comment that ends directly above line `number`; numbers begin with 1."""
    while number > 1 and lines[number - 2].startswith("//"):
        number -= 1
        yield number, lines[number - 1]


def comments_of_tests(relative, text):
    """(line number, line) of every comment of which what follows is a test."""
    lines = text.splitlines()
    if relative.parts[1] == "compile_fail":
        head = next((number for number, line in enumerate(lines, 1) if not line.startswith("//")), len(lines))
        yield from comment_above(lines, head)
        return
    for number, line in enumerate(lines, 1):
        code = line.strip() and not line.startswith("//")
        if code and (relative.parts[1] == "programs" or BEGINS_A_TEST.match(line)):
            yield from comment_above(lines, number)


def named(tree):
    """(file, line, case) for every case that a test names."""
    for path in sorted((tree / "tests").rglob("*.cpp")):
        if (tree / "tests/lint") in path.parents:
            continue
        relative, text = path.relative_to(tree), path.read_text()
        for number, line in comments_of_tests(relative, text):
            for case in ID.findall(line):
                yield relative, number, case
        for test in TEST.finditer(text):
            at = 0
            while each := IN_A_NAME.match(test.group(1), at):
                yield relative, text.count("\n", 0, test.start()) + 1, f"{each.group(1).upper()}-{each.group(2)}"
                at = each.end()


def test_names(tree):
    names = set()
    for path in (tree / "tests").rglob("*.cpp"):
        names.update(TEST.findall(path.read_text()))
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
    findings = []
    cases = listed(tree, findings)
    groups = {case.partition("-")[0] for case in cases}
    tests = set()
    for path, number, case in named(tree):
        tests.add(case)
        if case not in cases and case.partition("-")[0] in groups:
            findings.append((path, number, f"{case} is no case"))
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
    for case, number in cases.items():
        if case not in tests and case not in excused:
            findings.append((CASES, number, f"{case} has no test"))
    known = tests & cases.keys() | test_names(tree)
    findings += [(PROOFS, number, f"{proof} is no test") for number, proof in proofs(tree) if proof not in known]
    for path, number, what in findings:
        print(f"{path}:{number}: {what}")
    print(f"{len(cases)} cases, {len(excused)} without a test, {len(findings)} finding(s)")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
