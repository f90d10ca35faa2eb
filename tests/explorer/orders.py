#!/usr/bin/env python3
"""What is each memory order for? Makes one operation at a time in a weaker order, and explores a scenario that fails then.

usage: orders.py BUILD [--search] [--only TEXT] [--seconds S] [--jobs N]

BUILD is a build directory whose explorer and race_explorer are up to date: the first shows stores that come too late, the second data
races. An order is weakened by one step: acq_rel to release and to acquire, acquire and release to relaxed; seq_cst to what is below it and
to relaxed. orders.txt says of each what shows it, a program and a scenario, or why nothing can. This runs what is said to show, for at most
S seconds each. The exit status is how many were not shown, have no entry, or are entries of no operation.

--search instead explores what has no entry, in every scenario that comes there, and prints entries; --only chooses sites that contain TEXT.
"""
import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]

WEAKER = {
    ("load", "seq_cst"): ["acquire", "relaxed"],
    ("load", "acquire"): ["relaxed"],
    ("failure", "seq_cst"): ["acquire"],
    ("failure", "acquire"): ["relaxed"],
    ("store", "seq_cst"): ["release", "relaxed"],
    ("store", "release"): ["relaxed"],
    ("update", "seq_cst"): ["acq_rel", "relaxed"],
    ("update", "acq_rel"): ["acquire", "release"],
    ("update", "acquire"): ["relaxed"],
    ("update", "release"): ["relaxed"],
}
PROGRAMS = ["explorer", "race_explorer"]
SUPPRESSED = "suppressions={}:halt_on_error=1:second_deadlock_stack=1:external_symbolizer_path=llvm-symbolizer-19"


class site:
    """FILE:LINE:COLUMN:KIND, the order it has, and which share of each scenario's operations it is."""

    def __init__(self, name, order):
        self.name = name
        self.order = order
        self.scenarios = collections.Counter()
        self.file, line, _, self.kind = name.split(":")
        self.line = int(line)
        self.code = (ROOT / self.file).read_text().splitlines()[self.line - 1].strip()


def run(program, arguments, patience):
    environment = dict(os.environ, TSAN_OPTIONS=SUPPRESSED.format(ROOT / "tsan.supp"))
    try:
        result = subprocess.run([program, *arguments], capture_output=True, text=True, errors="replace", timeout=patience,
                                env=environment, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return result.stdout


def find_sites(program):
    """By name, each with the scenarios that come to it."""
    found = {}
    for scenario in run(program, ["--list"], 60).split():
        told = run(program, [scenario, "--sites", "--seconds", "0.5", "--random", "100"], 60)
        made = re.findall(r"^site (\S+)=(\w+) (\d+)$", told, re.M)
        all_times = sum(int(times) for *_, times in made)
        for name, order, times in made:
            name = os.path.relpath(os.path.normpath(name), ROOT)
            if not name.startswith("tests/"):
                found.setdefault(name, site(name, order)).scenarios[scenario] += int(times) / all_times
    return found


NOT_EXPLORED = re.compile(r"/(sync|core_count|tbb_executor|sigint|thread_activity)\.cpp$|/(machine|sync)\.hpp$")  # as in CMakeLists.txt
STRONG = re.compile(r"\bsync::(acquire|release|acq_rel|seq_cst)\b")


def places_not_reached(sites):
    """(file, line, code) of each operation in a strong order that no scenario makes."""
    reached = collections.defaultdict(set)
    for each in sites:
        reached[each.file].add(each.line)
    for folder in ("runtime", "combinators"):
        for path in sorted((ROOT / folder).rglob("*.[ch]pp")):
            file = str(path.relative_to(ROOT))
            if NOT_EXPLORED.search(file):
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                code = line.split("//")[0]
                # An operation is named by its first line, its order may stand on the next.
                if STRONG.search(code) and not reached[file] & {number, number - 1}:
                    yield file, number, line.strip()


def shows(folder, program, scenario, where, order, seconds):
    """How `scenario` fails with the weaker order, or None."""
    told = run(folder / program, [scenario, "--weaken", f"{where.name}={order}", "--seconds", str(seconds), "--random", "40"],
               10 * seconds + 30)
    failed = re.search(r"^FAILED (.*?), in run (\d+)", told, re.M)
    return f"{failed.group(1).split(': ', 1)[1]}, run {failed.group(2)}" if failed else None


def search(folder, where, order, seconds):
    """The scenarios of which this is most go first, each with a share of the time."""
    chosen = [name for name, _ in where.scenarios.most_common(6)]
    for program in PROGRAMS:
        for scenario in chosen:
            how = shows(folder, program, scenario, where, order, seconds / len(chosen))
            if how:
                return f"shown: {program} {scenario}", how
    return None, "nothing shows it"


def check(folder, where, order, said, seconds):
    """Whether what is said to show it does; said is the text of an entry."""
    for program, scenario in re.findall(r"shown: (\S+) (\S+)", said):
        how = shows(folder, program, scenario, where, order, seconds)
        if how:
            return True, f"{how} in {scenario} ({program})"
    reason = re.sub(r"shown: \S+ \S+\s*", "", said)
    return bool(reason), reason or ("NOT SHOWN" if said else "NO ENTRY")


def read_entries():
    """The texts of orders.txt by (file, code, weaker order)."""
    entries = {}
    where = None
    for line in (HERE / "orders.txt").read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("  "):
            entries[where] = (entries[where] + " " + line.strip()).strip()
        else:
            # The code may contain the separator.
            file, rest = line.split(" | ", 1)
            code, order = rest.rsplit(" | ", 1)
            where = (file, code, order)
            entries.setdefault(where, "")
    return entries


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("build", type=pathlib.Path)
    options.add_argument("--search", action="store_true")
    options.add_argument("--only", default="")
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--jobs", type=int, default=os.cpu_count())
    given = options.parse_args()
    folder = given.build.resolve() / "tests/explorer"
    entries = read_entries()
    sites = [each for _, each in sorted(find_sites(folder / "explorer").items())]
    operations = [(each, order) for each in sites for order in WEAKER.get((each.kind, each.order), [])]
    chosen = [(each, order) for each, order in operations if given.only in each.name]
    missed = 0
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        if given.search:
            chosen = [one for one in chosen if (one[0].file, one[0].code, one[1]) not in entries]
            for (where, order), (entry, how) in zip(chosen, pool.map(lambda one: search(folder, *one, given.seconds), chosen)):
                print(f"# {where.name} {where.order}: {how}\n{where.file} | {where.code} | {order}\n  {entry or ''}", flush=True)
                missed += entry is None
        else:
            said = [entries.get((each.file, each.code, order), "") for each, order in chosen]
            for (where, order), (good, how) in zip(chosen, pool.map(lambda one, text: check(folder, *one, text, given.seconds), chosen, said)):
                print(f"{where.name} {where.order} -> {order}: {how}\n     {where.code}", flush=True)
                missed += not good
    unreached = list(places_not_reached(sites))
    for file, number, code in unreached:
        reason = entries.get((file, code, "unreached"))
        if given.only in f"{file}:{number}" and (not reason or not given.search):
            print(f"{file}:{number}: no scenario comes here: {reason or 'NO ENTRY'}\n     {code}", flush=True)
            missed += not reason
    known = {(each.file, each.code, order) for each, order in operations} | {(file, code, "unreached") for file, _, code in unreached}
    for stale in sorted(set(entries) - known):
        print(f"{' | '.join(stale)}: AN ENTRY OF NO OPERATION")
        missed += 1
    print(f"{len(chosen)} weaker orders at {len(sites)} sites, {len(unreached)} operations in no scenario: {missed} missed")
    return min(missed, 100)


if __name__ == "__main__":
    sys.exit(main())
