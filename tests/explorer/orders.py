#!/usr/bin/env python3
"""What is each memory order for? Makes one operation at a time in a weaker order, and explores the scenarios that come to it.

usage: orders.py BUILD [--only TEXT] [--seconds S] [--jobs N] [--table FILE]

BUILD is a build directory whose explorer and race_explorer are up to date: the first shows stores that come too late, the second data
races. An order is weakened by one step: acq_rel to release and to acquire, acquire and release to relaxed; seq_cst to what is below it and
to relaxed. Each weaker order is explored for at most S seconds in each program; --only chooses sites that contain TEXT; --table writes
Markdown. What nothing shows must be argued in argued.txt, and so must an order at a place that no scenario comes to (`unreached`): the
exit status is how many are neither shown nor argued.
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
SUPPRESSED = "suppressions={}:halt_on_error=1:second_deadlock_stack=1:external_symbolizer_path={}"


class site:
    def __init__(self, name, order):
        self.name = name
        self.order = order
        self.scenarios = collections.Counter()

    @property
    def kind(self):
        return self.name.rsplit(":", 1)[1]

    @property
    def code(self):
        file, line, _, _ = self.name.split(":")
        return (ROOT / file).read_text().splitlines()[int(line) - 1].strip()


def run(program, arguments, patience):
    environment = dict(os.environ, TSAN_OPTIONS=SUPPRESSED.format(ROOT / "tsan.supp", "llvm-symbolizer-19"))
    try:
        result = subprocess.run([program, *arguments], capture_output=True, text=True, errors="replace", timeout=patience,
                                env=environment, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return result.stdout


def find_sites(program, scenarios):
    """By name, each with the scenarios that come to it."""
    found = {}
    for scenario in scenarios:
        told = run(program, [scenario, "--sites", "--seconds", "0.2", "--random", "20"], 60)
        for name, order, times in re.findall(r"^site (\S+)=(\w+) (\d+)$", told, re.M):
            name = os.path.relpath(os.path.normpath(name), ROOT)
            found.setdefault(name, site(name, order)).scenarios[scenario] += int(times)
    return found


NOT_EXPLORED = re.compile(r"/(sync|core_count|tbb_executor|sigint|thread_activity)\.cpp$|/(machine|sync)\.hpp$")  # as in CMakeLists.txt
STRONG = re.compile(r"\bsync::(acquire|release|acq_rel|seq_cst)\b")


def places_not_reached(sites):
    """(file, line, code) of each operation in a strong order that no scenario makes."""
    reached = collections.defaultdict(set)
    for each in sites.values():
        file, line, _, _ = each.name.split(":")
        reached[file].add(int(line))
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


def try_weaker(programs, where, order, seconds):
    """Who found it, how and in which scenario; or None. The scenarios that come here most often go first, each with a share of the time."""
    chosen = [name for name, _ in where.scenarios.most_common(6)]
    share = seconds / len(chosen)
    for program in programs:
        for scenario in chosen:
            weaker = f"{where.name}={order}"
            told = run(program, [scenario, "--weaken", weaker, "--seconds", str(share / 2), "--random", "40"], 10 * seconds)
            failed = re.search(r"^FAILED (.*?), in run (\d+)", told, re.M)
            if failed:
                return scenario, failed.group(1).split(": ", 1)[1], int(failed.group(2)), program.name
    return None


def read_arguments():
    """The reasons of argued.txt by (file, code, weaker order)."""
    reasons = {}
    where = None
    for line in (HERE / "argued.txt").read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("  "):
            reasons[where] = (reasons.get(where, "") + " " + line.strip()).strip()
        else:
            file, code, order = line.split(" | ")
            where = (file, code, order)
    return reasons


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("build", type=pathlib.Path)
    options.add_argument("--only", default="")
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--jobs", type=int, default=os.cpu_count())
    options.add_argument("--table", type=pathlib.Path)
    given = options.parse_args()
    folder = given.build.resolve() / "tests/explorer"
    programs = [folder / "explorer", folder / "race_explorer"]
    scenarios = run(programs[0], ["--list"], 60).split()
    sites = find_sites(programs[0], scenarios)
    tries = [(each, order) for name, each in sorted(sites.items()) if given.only in name
             for order in WEAKER.get((each.kind, each.order), [])]
    reasons = read_arguments()
    rows = []
    unreached = []
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        work = pool.map(lambda one: try_weaker(programs, *one, given.seconds), tries)
        for (where, order), found in zip(tries, work):
            file = where.name.split(":")[0]
            reason = None if found else reasons.get((file, where.code, order), "")
            said = f"{found[1]} in {found[0]}, run {found[2]} ({found[3]})" if found else reason or "NEITHER SHOWN NOR ARGUED"
            print(f"{where.name} {where.order} -> {order}: {said}\n     {where.code}", flush=True)
            rows.append((file, where, order, found, reason))
    for file, number, code in places_not_reached(sites):
        if given.only not in f"{file}:{number}":
            continue
        reason = reasons.get((file, code, "unreached"), "")
        print(f"{file}:{number}: no scenario comes here: {reason or 'NOT ARGUED'}\n     {code}", flush=True)
        unreached.append((file, code, reason))
    missed = sum(reason == "" for *_, reason in rows + unreached)
    shown = sum(found is not None for *_, found, _ in rows)
    argued = len(rows) + len(unreached) - shown - missed
    print(f"{len(rows)} weaker orders at {len(sites)} sites: {shown} shown, {argued} argued, {missed} neither; "
          f"{len(unreached)} operations in no scenario")
    if given.table:
        lines = ["| file | operation | weaker | shown by, or argued |", "|---|---|---|---|"]
        for file, where, order, found, reason in rows:
            shown_by = f"`{found[0]}`: {found[1]}" if found else reason
            lines.append(f"| `{file}` | `{where.code.replace('|', chr(92) + '|')}` | {order} | {shown_by} |")
        lines += [f"| `{file}` | `{code.replace('|', chr(92) + '|')}` | | {reason} |" for file, code, reason in unreached]
        given.table.write_text("\n".join(lines) + "\n")
    return missed


if __name__ == "__main__":
    sys.exit(main())
