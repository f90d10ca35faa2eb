#!/usr/bin/env python3
"""The questions that CPython's asyncio can answer, asked of asyncio: prints JSON as the benchmark programs do.
Needs Python 3.11.

usage: asyncio_peers.py QUESTION [--repetitions N] [--quick]
"""
import argparse
import asyncio
import json
import os
import pathlib
import statistics
import tempfile
import time


async def value(index):
    return index


async def gather(n):
    assert sum(await asyncio.gather(*(value(i) for i in range(n)))) == n * (n - 1) // 2


async def as_completed(n):
    total = 0
    for each in asyncio.as_completed([asyncio.ensure_future(value(i)) for i in range(n)]):
        total += await each
    assert total == n * (n - 1) // 2


async def spawn(n):
    async with asyncio.TaskGroup() as group:
        for i in range(n):
            group.create_task(value(i))


async def wait_loop(n):
    """One completion at a time, all others pending."""
    gate = asyncio.Semaphore(1)

    async def passes(index):
        await gate.acquire()
        return index

    total, pending = 0, {asyncio.ensure_future(passes(i)) for i in range(n)}
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            total += each.result()
            gate.release()
    assert total == n * (n - 1) // 2


async def timers(n):
    loop = asyncio.get_running_loop()
    handles = [loop.call_later(60 + i * 7919 % 900_000 / 1000, print) for i in range(n)]
    for each in handles:
        each.cancel()


async def wait_for_done(n):
    task = asyncio.ensure_future(value(1))
    await task
    for _ in range(n):
        await asyncio.wait_for(task, 3600)


async def wait_for_in_time(n):
    for i in range(n):
        await asyncio.wait_for(value(i), 3600)


async def cancel_sleeping(n):
    sleepers = [asyncio.ensure_future(asyncio.sleep(3600)) for _ in range(n)]
    await asyncio.sleep(0)
    begun = time.perf_counter()
    for each in sleepers:
        each.cancel()
    await asyncio.wait(sleepers)
    return time.perf_counter() - begun


def read_file(path):
    with open(path, "rb", buffering=0) as file:
        return len(file.read())


async def blocking(n):
    with tempfile.TemporaryDirectory(prefix="sheaf_bench_") as folder:
        paths = [pathlib.Path(folder, str(i)) for i in range(n)]
        for path in paths:
            path.write_bytes(b"x" * 4096)
        begun = time.perf_counter()
        assert sum(await asyncio.gather(*(asyncio.to_thread(read_file, path) for path in paths))) == n * 4096
        return time.perf_counter() - begun


async def memory_sleeping(n):
    def resident():
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    before = resident()
    sleepers = [asyncio.ensure_future(asyncio.sleep(3600)) for _ in range(n)]
    await asyncio.sleep(0)
    grown = resident() - before
    for each in sleepers:
        each.cancel()
    await asyncio.wait(sleepers)
    return grown


# question: sizes, quick sizes, and what the function's result, divided by N, is called; without a result its time counts
QUESTIONS = {
    "gather": (gather, [10, 1_000, 100_000], [10, 1_000], "per_task"),
    "as_completed": (as_completed, [10, 1_000, 100_000], [10, 1_000], "per_task"),
    "spawn": (spawn, [1_000, 100_000], [1_000], "per_task"),
    "wait_loop": (wait_loop, [100, 1_000], [100], "per_task"),
    "timers": (timers, [100, 1_000, 10_000, 100_000], [100, 1_000], "per_task"),
    "wait_for_done": (wait_for_done, [1_000], [1_000], "per_task"),
    "wait_for_in_time": (wait_for_in_time, [1_000], [1_000], "per_task"),
    "cancel_sleeping": (cancel_sleeping, [100, 1_000, 10_000], [100, 1_000], "per_task"),
    "blocking": (blocking, [20_000], [500], "per_task"),
    "memory_sleeping": (memory_sleeping, [10_000, 100_000], [10_000], "bytes"),
}


def measure(function, n):
    begun = time.perf_counter()
    result = asyncio.run(function(n))
    return (time.perf_counter() - begun if result is None else result) / n


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs="+", metavar="question", choices=QUESTIONS)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    runs = []
    for question in options.questions:
        function, sizes, quick_sizes, counter = QUESTIONS[question]
        for n in quick_sizes if options.quick else sizes:
            for _ in range(options.repetitions):
                # Short ones often enough that the loop's start does not count.
                times = 1 if counter == "bytes" or n >= 10_000 else 5
                figure = statistics.median(measure(function, n) for _ in range(times))
                runs.append({"name": f"{question}/asyncio/n:{n}/workers:1", "run_type": "iteration", counter: figure})
    print(json.dumps({"benchmarks": runs}))


if __name__ == "__main__":
    main()
