#!/usr/bin/env python3
"""Runs the benchmark programs and prints one Markdown table: what a task costs in Sheaf and in oneTBB, and the ratio.

Every program holds all contenders of its question. Its repetitions are shuffled among them (random interleaving), so that a slow
phase of the machine meets all of them alike; what counts is the median, and the ratio of two medians of the same run.

    bench/compare.py BUILD/bench                      all programs, five repetitions
    bench/compare.py BUILD/bench fib gather -r 9      some of them
    bench/compare.py BUILD/bench --quick              small sizes: do the programs work?
    bench/compare.py BUILD/bench --preload libmimalloc.so.2
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

PROGRAMS = ["fib", "skynet", "nqueens", "submit", "spawn", "gather", "as_completed", "wait_loop"]


def run(program, options):
    """The runs of one program, as {(question, contender, n, workers): [ns per task, ...]}, and its raw JSON."""
    command = [
        str(program),
        "--benchmark_format=json",
        "--benchmark_enable_random_interleaving=true",
        f"--benchmark_repetitions={options.repetitions}",
        f"--benchmark_min_time={options.min_time}",
    ]
    if options.filter:
        command.append(f"--benchmark_filter={options.filter}")
    environment = dict(os.environ)
    if options.quick:
        environment["SHEAF_BENCH_QUICK"] = "1"
    if options.preload:
        environment["LD_PRELOAD"] = options.preload
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if output.returncode != 0:
        sys.exit(f"{program}: exit status {output.returncode}\n{output.stderr}")
    raw = json.loads(output.stdout) if output.stdout.strip() else {"benchmarks": []}
    runs = {}
    for entry in raw["benchmarks"]:
        if entry["run_type"] != "iteration":
            continue
        question, contender, n, workers, *_ = entry["name"].split("/")
        key = (question, contender, int(n.removeprefix("n:")), int(workers.removeprefix("workers:")))
        share = entry["cpu_time"] / entry["real_time"] if options.cpu else 1
        runs.setdefault(key, []).append(entry["per_task"] * share * 1e9)
    return runs, raw


def shown(value):
    return "-" if value is None else f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


def rows(medians):
    """One row per Sheaf contender, size and worker count, beside the fastest oneTBB contender of that size and worker count."""
    for (question, contender, n, workers), sheaf in sorted(medians.items()):
        if not contender.startswith("sheaf"):
            continue
        alike = {c: ns for (q, c, size, w), ns in medians.items() if (q, size, w) == (question, n, workers)}
        rivals = {c: ns for c, ns in alike.items() if c.startswith("tbb")}
        threads = [ns for (q, c, size, _), ns in medians.items() if (q, c, size) == (question, "std_async", n)]
        best = min(rivals, key=rivals.get, default=None)
        tbb = rivals.get(best)
        yield [
            question + contender.removeprefix("sheaf").replace("_", ": ", 1).replace("_", " "),
            f"{n:,}",
            str(workers),
            shown(sheaf),
            shown(tbb) + (f" ({best.removeprefix('tbb_')})" if best not in (None, "tbb") else ""),
            "-" if tbb is None else f"{sheaf / tbb:.2f}",
            shown(threads[0] if threads else None),
        ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path, help="where the programs bench_<name> are")
    parser.add_argument("programs", nargs="*", metavar="name", help="default: " + " ".join(PROGRAMS))
    parser.add_argument("-r", "--repetitions", type=int, default=5)
    parser.add_argument("-t", "--min-time", type=float, default=0.2, help="seconds per repetition, at least (0.2)")
    parser.add_argument("-f", "--filter", help="only benchmarks whose name matches this regular expression")
    parser.add_argument("--cpu", action="store_true", help="CPU time of the whole process instead of real time")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--preload", help="a library to preload in all programs, such as another allocator")
    parser.add_argument("--json", type=pathlib.Path, help="keep Google Benchmark's own output in this directory")
    options = parser.parse_args()

    unknown = [name for name in options.programs if name not in PROGRAMS]
    if unknown:
        parser.error("no such program: " + " ".join(unknown))

    if not options.directory.is_dir():
        parser.error(f"no such directory: {options.directory}")

    print("| question | N | workers | Sheaf ns/task | oneTBB ns/task | Sheaf / oneTBB | std::async ns/task |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name in options.programs or PROGRAMS:
        runs, raw = run(options.directory.resolve() / f"bench_{name}", options)
        if options.json:
            options.json.mkdir(parents=True, exist_ok=True)
            (options.json / f"{name}.json").write_text(json.dumps(raw, indent=1))
        medians = {key: statistics.median(values) for key, values in runs.items()}
        for row in rows(medians):
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
