#!/usr/bin/env python3
"""How many instructions a task costs, as tests/instructions has recorded it for a compiler and `./dev check` compares: prints JSON as the
programs do. Counted with one worker in a release build: callgrind does not know every instruction of this machine.

usage: instructions.py COMPILER
"""
import argparse
import json
import pathlib

RECORDED = pathlib.Path(__file__).resolve().parents[1] / "tests/instructions/recorded.json"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("compiler", help="the program's name, such as clang++-19")
    options = parser.parse_args()
    recorded = json.loads(RECORDED.read_text()).get(options.compiler, {})
    runs = [
        {"name": f"instructions_{measure}/sheaf/n:1/workers:1", "run_type": "iteration", "instructions": figure}
        for measure, figure in recorded.items()
    ]
    print(json.dumps({"benchmarks": runs}))


if __name__ == "__main__":
    main()
