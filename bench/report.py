#!/usr/bin/env python3
"""Runs the benchmark programs and writes what they found: report.md, report.html, and a plot for each question with several sizes.

Every program holds all contenders of its question. Its repetitions are shuffled among them (random interleaving), so that a slow
phase of the machine meets all of them alike; what counts is the median, and the ratio of two medians of the same run.

    bench/report.py BUILD                     all programs
    bench/report.py BUILD fib gather -r 9     some of them
    bench/report.py BUILD --quick             small sizes: do the programs work?
    bench/report.py BUILD --preload libmimalloc.so.2
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

from peers import asyncio_peers
from questions import REPETITIONS, TARGETS, TITLES

HERE = pathlib.Path(__file__).resolve().parent
COUNTERS = ["per_task", "p50", "p99", "bytes", "ticks", "seconds", "instructions"]
SCRIPTS = ["headers", "instructions"]  # what no program can say of itself


# ---- running


def run(command, options):
    environment = dict(os.environ)
    if options.quick:
        environment["SHEAF_BENCH_QUICK"] = "1"
    if options.preload:
        environment["LD_PRELOAD"] = options.preload
    done = subprocess.run(list(map(str, command)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: exit status {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)["benchmarks"] if done.stdout.strip() else []


def repetitions_of(name, options):
    return options.repetitions if options.quick else max(options.repetitions, REPETITIONS.get(name, 0))


def run_program(program, options):
    command = [
        program,
        "--benchmark_format=json",
        "--benchmark_enable_random_interleaving=true",
        f"--benchmark_repetitions={repetitions_of(program.name.removeprefix('bench_'), options)}",
        f"--benchmark_min_time={options.min_time}",
    ]
    if options.filter:
        command.append(f"--benchmark_filter={options.filter}")
    return run(command, options)


def run_script(name, options):
    """What is known without running a program of ours."""
    if name == "instructions":
        return run([sys.executable, HERE / "instructions.py", pathlib.Path(compiler_path(options.build)).name], options)
    return run([sys.executable, HERE / "headers.py", options.build, "--repetitions", options.repetitions], options)


def run_asyncio(questions, options):
    """Python answers the questions that a program has just been asked, right after it."""
    asked = [each for each in questions if each in asyncio_peers.QUESTIONS]
    if not asked or options.filter:
        return []
    command = [sys.executable, HERE / "peers/asyncio_peers.py", *asked, "--repetitions", min(3, options.repetitions)]
    return run(command + (["--quick"] if options.quick else []), options)


def medians(entries):
    """{question: {(n, workers): {contender: {counter: median}}}}"""
    values = {}
    for entry in entries:
        if entry["run_type"] != "iteration":
            continue
        question, contender, n, workers, *_ = entry["name"].split("/")
        key = (question, int(n.removeprefix("n:")), int(workers.removeprefix("workers:")), contender)
        for counter in COUNTERS:
            if counter in entry:
                values.setdefault(key, {}).setdefault(counter, []).append(entry[counter])
    found = {}
    for (question, n, workers, contender), counters in values.items():
        figures = {counter: statistics.median(all_of_it) for counter, all_of_it in counters.items()}
        found.setdefault(question, {}).setdefault((n, workers), {})[contender] = figures
    return found


# ---- figures


def shown(value, counter="per_task"):
    if value is None:
        return "-"
    if counter == "bytes":
        return f"{value:.0f} B"
    if counter == "ticks":
        return f"{value:.1f}"
    if counter == "instructions":
        return f"{value:.0f}"
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.1f} ns"


def figure_of(cells, who, counter):
    """Of a contender, or of the fastest whose name begins so."""
    alike = [cell[counter] for name, cell in cells.items() if (name == who or name.startswith(who + "_")) and counter in cell]
    exact = cells.get(who, {}).get(counter)
    return exact if who not in ("tbb",) and exact is not None else min(alike, default=None)


def check_targets(found):
    """Rows: what, measured, target, met?"""
    for question, sizes in found.items():
        for target in TARGETS.get(question, []):
            figure = sizes.get((target.n, target.workers), {}).get(target.contender, {}).get(target.counter)
            if figure is None:
                continue
            who = question if target.contender == "sheaf" else f"{question}, {target.contender}"
            label = f"{who} {target.n:,}, {target.workers} worker{'s' if target.workers > 1 else ''}"
            if not target.over:
                yield target.name, label, shown(figure, target.counter), "≤ " + shown(target.at_most, target.counter), figure <= target.at_most
                continue
            base = figure_of(sizes.get((target.n, target.over_workers or target.workers), {}), target.over, target.counter)
            if base is None:
                continue
            against = target.over + (f", {target.over_workers} worker{'s' if target.over_workers > 1 else ''}" if target.over_workers else "")
            yield target.name, f"{label} / {against}", f"{figure / base:.2f}", f"≤ {target.at_most:.3g}", figure / base <= target.at_most


def table(rows, head, right_from):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join("---" if i < right_from else "--:" for i in range(len(head))) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def question_table(sizes):
    contenders = sorted({who for cells in sizes.values() for who in cells}, key=lambda who: (not who.startswith("sheaf"), who))
    has_tbb = any(who.startswith("tbb") for who in contenders)
    has_asyncio = "asyncio" in contenders
    rows = []
    for (n, workers), cells in sorted(sizes.items()):
        row = [f"{n:,}", str(workers)]
        row += [" / ".join(shown(value, counter) for counter, value in cells[who].items()) if who in cells else "" for who in contenders]
        counter = next((each for each in COUNTERS if each in cells.get("sheaf", {})), None)
        ours = cells.get("sheaf", {}).get(counter)
        rivals = []
        if has_tbb:
            rivals.append(figure_of(cells, "tbb", counter))
        if has_asyncio:
            rivals.append(sizes.get((n, 1), {}).get("asyncio", {}).get(counter))
        row += [f"{ours / rival:.3g}" if ours is not None and rival else "" for rival in rivals]
        rows.append(row)
    head = ["N", "workers", *contenders] + (["sheaf / tbb"] if has_tbb else []) + (["sheaf / asyncio"] if has_asyncio else [])
    return table(rows, head, 0)


# ---- the report


def plot(question, sizes, folder):
    """Time (or memory) per task over N, log-log, a line per contender. None: one size only, or nothing to plot with."""
    if len({n for n, _ in sizes}) < 2:
        return None
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("svg")
    from matplotlib import pyplot

    lines = {}
    for (n, workers), cells in sorted(sizes.items()):
        for who, counters in cells.items():
            counter = next(iter(counters))
            lines.setdefault((who, workers), []).append((n, counters[counter] * (1 if counter == "bytes" else 1e9)))
    unit = "bytes" if any("bytes" in cell for cells in sizes.values() for cell in cells.values()) else "ns"
    axes = pyplot.figure(figsize=(7, 4.5)).add_subplot()
    colours = {who: f"C{i % 10}" for i, who in enumerate(sorted({who for who, _ in lines}))}
    for (who, workers), points in sorted(lines.items()):
        style = {1: "--", 2: "-"}.get(workers, ":")
        label = f"{who}, {workers} worker{'s' if workers > 1 else ''}"
        axes.loglog(*zip(*points), style, color=colours[who], marker="o", markersize=3, linewidth=2 if who == "sheaf" else 1, label=label)
    axes.set(title=TITLES.get(question, question), xlabel="N", ylabel=f"{unit} per task")
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(fontsize=7)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{question}.svg"
    axes.figure.savefig(path, bbox_inches="tight")
    pyplot.close(axes.figure)
    return path


def compiler_path(build):
    cache = build / "CMakeCache.txt"
    found = re.search(r"^CMAKE_CXX_COMPILER:\w+=(.*)$", cache.read_text(), re.M) if cache.is_file() else None
    return found[1] if found else "unknown compiler"


def compiler_of(build):
    path = compiler_path(build)
    if not pathlib.Path(path).is_file():
        return path
    version = subprocess.run([path, "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout
    return version.splitlines()[0] if version else path


def write_report(found, options):
    out = options.build
    # Another allocator has a report of its own.
    name = "report" + (f"-{pathlib.Path(options.preload).name.split('.')[0]}" if options.preload else "")
    lines = ["# Benchmarks", "", f"{compiler_of(out)}; {os.cpu_count()} cores; medians of {options.repetitions} repetitions"]
    if options.preload:
        lines[-1] += f"; {options.preload} preloaded"
    if options.quick:
        lines += ["", "**Small sizes: these figures show that the programs work, not how fast they are.**"]
    goals = [[*row[:4], "yes" if row[4] else "**no**"] for row in check_targets(found)]
    if goals:
        lines += ["", f"## Targets: {sum(row[4] == 'yes' for row in goals)} of {len(goals)} met", ""]
        lines += table(goals, ["target", "what", "measured", "wanted", "met"], 2)
    for question, sizes in found.items():
        lines += ["", f"## {TITLES.get(question, question)}", "", f"`{question}`", "", *question_table(sizes)]
        picture = plot(question, sizes, out / name.replace("report", "plots"))
        if picture:
            lines += ["", f"![{question}]({picture.parent.name}/{picture.name})"]
    text = "\n".join(lines) + "\n"
    written = [out / f"{name}.md"]
    written[0].write_text(text)
    try:
        import markdown
    except ImportError:
        print("No report.html. On Debian: apt-get install python3-markdown", file=sys.stderr)
    else:
        style = "body{font:15px sans-serif;max-width:70em;margin:2em auto}td,th{padding:.2em .8em;text-align:right}table{border-collapse:collapse}tr{border-bottom:1px solid #ddd}"
        body = markdown.markdown(text, extensions=["tables"])
        page = f'<!doctype html><meta charset="utf-8"><title>Benchmarks</title><style>{style}</style>\n{body}\n'
        written.append(out / f"{name}.html")
        written[-1].write_text(page)
    print("written: " + ", ".join(map(str, written)), file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path, help="the build directory, whose bench/ has the programs")
    parser.add_argument("programs", nargs="*", metavar="name", help="default: all, and " + " and ".join(SCRIPTS))
    parser.add_argument("-r", "--repetitions", type=int, default=5)
    parser.add_argument("-t", "--min-time", type=float, default=0.1, help="seconds per repetition, at least (0.1)")
    parser.add_argument("-f", "--filter", help="only benchmarks whose name matches this regular expression, and no asyncio")
    parser.add_argument("--quick", action="store_true", help="small sizes, one repetition")
    parser.add_argument("--preload", help="a library to preload in all programs, such as another allocator")
    options = parser.parse_args()
    options.build = options.build.resolve()
    if options.quick:
        options.repetitions, options.min_time = 1, 0.01
    there = {path.name.removeprefix("bench_"): path for path in sorted((options.build / "bench").glob("bench_*")) if path.is_file()}
    if not there:
        parser.error(f"no programs in {options.build}/bench")
    unknown = [name for name in options.programs if name not in there and name not in SCRIPTS]
    if unknown:
        parser.error("no such program: " + " ".join(unknown))

    results = options.build / "results"
    results.mkdir(exist_ok=True)
    found = {}
    for name in options.programs or [*there, *SCRIPTS]:
        if name in SCRIPTS:
            entries = run_script(name, options)
        else:
            entries = run_program(there[name], options)
            entries += run_asyncio(dict.fromkeys(entry["name"].split("/")[0] for entry in entries), options)
        (results / f"{name}.json").write_text(json.dumps(entries, indent=1))
        answers = medians(entries)
        for question, sizes in answers.items():
            print("\n".join(["", f"## {TITLES.get(question, question)}", "", *question_table(sizes)]), flush=True)
        found |= answers
    write_report(found, options)


if __name__ == "__main__":
    main()
