#!/usr/bin/env python3
"""What `#include <sheaf/sheaf.hpp>` costs a translation unit, beside the standard headers it includes: prints JSON as the programs do.

usage: headers.py BUILD [--repetitions N]

Compiled with g++ -O0 -fsyntax-only. <ranges> and <future> are not among the standard headers, though Sheaf may include them.
"""
import argparse
import json
import pathlib
import re
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
INCLUDES = [ROOT / "runtime/include", ROOT / "combinators/include"]


def included(header, seen):
    """The standard headers that a header of Sheaf includes, directly or through others of Sheaf."""
    if header in seen:
        return set()
    seen.add(header)
    paths = [folder / header for folder in INCLUDES if (folder / header).is_file()]
    names = re.findall(r"^#include <([^>]+)>", paths[0].read_text(), re.M) if paths else []
    ours = [name for name in names if name.startswith("sheaf/")]
    theirs = {name for name in names if "/" not in name and "." not in name}
    return theirs.union(*(included(name, seen) for name in ours)) - {"ranges", "future"}


def compile_time(headers, folders):
    source = "".join(f"#include <{name}>\n" for name in sorted(headers))
    command = ["g++", "-std=c++20", "-O0", "-fsyntax-only", "-x", "c++", *(f"-I{folder}" for folder in folders), "-"]
    begun = time.perf_counter()
    subprocess.run(command, input=source, text=True, check=True)
    return time.perf_counter() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    folders = [*INCLUDES, options.build / "generated"]
    contenders = {
        "sheaf": ["sheaf/sheaf.hpp"],
        "std": included("sheaf/sheaf.hpp", set()),
        "tbb": ["oneapi/tbb.h"],
    }
    runs = []
    for _ in range(options.repetitions):
        for who, headers in contenders.items():
            seconds = compile_time(headers, folders)
            runs.append({"name": f"headers/{who}/n:1/workers:1", "run_type": "iteration", "seconds": seconds})
    print(json.dumps({"benchmarks": runs}))


if __name__ == "__main__":
    main()
