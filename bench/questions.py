"""What the report knows of the questions: how they read, and what Sheaf shall reach. A question that is not here is reported all the same."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Target:
    """A figure of one contender at one size and number of workers, in the unit of its counter, or as a ratio to another contender."""

    name: str
    n: int
    at_most: float
    workers: int = 2
    contender: str = "sheaf"
    counter: str = "per_task"
    over: str = ""  # "" for a figure, else the contender (or "tbb" for the fastest of oneTBB's) that it is divided by
    over_workers: int = 0  # 0: as many workers


NS, US, MS = 1e-9, 1e-6, 1e-3

REPETITIONS = {"blocking": 9, "blocking_latency": 9}  # of a program, at least: what the kernel does differs from one run to the next

TITLES = {
    "fib": "Fork and join, no work: a node of fib(36)",
    "skynet": "A ten-way fork: a node of skynet",
    "nqueens": "Forks of uneven shape: a board of nqueens",
    "submit": "An outside thread submits callables",
    "spawn": "A worker spawns independent tasks and joins them",
    "latency_helped": "Round trip, the caller may run the task itself",
    "latency_worker": "Round trip, a worker runs the task",
    "latency_idle": "Round trip after 150 µs of idleness",
    "gather": "gather in a worker",
    "gather_outside": "Results in order from an outside thread that takes part",
    "as_completed": "Results in the order of completion",
    "wait_loop": "while pending: wait(first_completed), per completion",
    "timers": "Timers armed and taken back",
    "wait_for_done": "wait_for on a complete task",
    "wait_for_in_time": "wait_for on a coroutine that ends in time",
    "wait_for_no_limit": "The same coroutine awaited without a limit",
    "cancel_queued": "Queued callables cancelled and dropped",
    "cancel_sleeping": "Sleeping coroutines cancelled and awaited",
    "blocking": "Small files read by blocking calls, per file",
    "blocking_latency": "Round trip with and without 64 blocking calls out",
    "memory_callable": "Memory of a callable that has not begun",
    "memory_coroutine": "Memory of a coroutine that has not begun",
    "memory_sleeping": "Memory of a coroutine asleep",
    "idle": "CPU time of an idle pool, in ticks of 10 ms",
    "instructions_fib": "Instructions of a fork and join: a node of fib, two frames each",
    "instructions_when_all": "Instructions of an empty coroutine of a when_all range",
    "instructions_spawn": "Instructions of a callable, spawned with a handle and awaited",
    "instructions_gather": "Instructions of a coroutine of a gather range",
    "instructions_as_completed": "Instructions of a coroutine taken from as_completed",
    "instructions_wait": "Instructions of a completion in a loop of wait(first_completed), in bursts",
    "instructions_wait_in_turn": "The same, one at a time",
    "instructions_cancel_queued": "Instructions of a callable cancelled while it is queued",
    "instructions_cancel_asleep": "Instructions of a coroutine cancelled while it sleeps",
    "headers": "What including the library costs, g++ without optimisation",
}

TARGETS = {
    "fib": [
        Target("F1", 36, 12 * NS),
        Target("F1", 36, 0.30, over="tbb"),
        Target("W1", 36, 1.3, workers=8, over="sheaf", over_workers=2),
    ],
    "skynet": [
        Target("F2", 10_000_000, 7 * NS),
        Target("F2", 10_000_000, 0.36, over="tbb"),
        Target("W1", 10_000_000, 1.3, workers=8, over="sheaf", over_workers=2),
    ],
    "nqueens": [
        Target("F3", 13, 60 * NS),
        Target("F3", 13, 0.62, over="tbb"),
        Target("W1", 13, 1.3, workers=8, over="sheaf", over_workers=2),
    ],
    "submit": [Target("S1", 1_000_000, 50 * NS), Target("S1", 1_000_000, 0.40, over="tbb")],
    "spawn": [
        Target("S2", 1_000_000, 36 * NS),
        Target("S2", 1_000_000, 0.30, over="tbb"),
        Target("two workers or one", 1_000_000, 1.0, over="sheaf", over_workers=1),
        Target("C5", 1_000, 0.01, contender="sheaf_group", over="asyncio", over_workers=1),
    ],
    "latency_helped": [Target("L1a p50", 1, 0.15 * US, counter="p50")],
    "latency_worker": [
        Target("L1b p50", 1, 4.7 * US, counter="p50"),
        Target("L1b p99", 1, 20 * US, counter="p99"),
        Target("L1b p50", 1, 0.9, counter="p50", over="tbb"),
    ],
    "latency_idle": [
        Target("L2 p50", 1, 10 * US, counter="p50"),
        Target("L2 p99", 1, 20 * US, counter="p99"),
        Target("L2 p50", 1, 0.55, counter="p50", over="tbb"),
    ],
    "gather": [
        Target("C1", 10, 60 * NS),
        Target("C1", 1_000, 15 * NS),
        Target("C1", 100_000, 25 * NS),
        Target("C1", 10, 11 * NS, workers=1),
        Target("C1", 1_000, 11 * NS, workers=1),
        Target("C1", 100_000, 11 * NS, workers=1),
        Target("C5", 1_000, 0.01, over="asyncio", over_workers=1),
    ],
    "gather_outside": [Target("C2", 10, 100 * NS), Target("C2", 1_000, 39 * NS), Target("C2", 100_000, 25 * NS)],
    "as_completed": [
        Target("C3", 10, 300 * NS),
        Target("C3", 1_000, 70 * NS),
        Target("C3", 100_000, 60 * NS),
        Target("C3", 1_000, 0.5, over="tbb"),
        Target("C5", 1_000, 0.01, over="asyncio", over_workers=1),
    ],
    "wait_loop": [
        Target("C4", n, 0.2 * US, contender=who)
        for who in ("sheaf", "sheaf_one_by_one")
        for n in (100, 1_000, 10_000, 100_000, 1_000_000)
    ],
    "timers": [Target("T1", 1_000_000, 60 * NS, workers=1)],
    "wait_for_done": [Target("T2", 1_000, 0.15 * US)],
    "wait_for_in_time": [Target("T2", 1_000, 0.5 * US)],
    "cancel_queued": [Target("X1", 100_000, 25 * NS), Target("X1", 100_000, 0.2, over="tbb")],
    "cancel_sleeping": [Target("X2", 100_000, 1.5 * US)],
    "blocking": [Target("B1", 20_000, 1 / 0.95, over="tbb")],
    "blocking_latency": [Target("B2 p99", 1, 1.2, contender="sheaf_blocked", counter="p99", over="sheaf")],
    "memory_callable": [
        Target("M1", 1_000_000, 64, workers=1, counter="bytes"),
        Target("M1", 1_000_000, 0.5, workers=1, counter="bytes", over="tbb"),
    ],
    "memory_coroutine": [Target("M1", 1_000_000, 128, workers=1, counter="bytes")],
    "memory_sleeping": [Target("M2", 1_000_000, 256, workers=1, counter="bytes")],
    "idle": [Target("W2", 1, 0, workers=8, counter="ticks")],
    "instructions_fib": [Target("F4", 1, 200, workers=1, counter="instructions")],
    "instructions_when_all": [Target("F4", 1, 139, workers=1, counter="instructions")],
    "instructions_spawn": [Target("F4", 1, 250, workers=1, counter="instructions")],
    "headers": [Target("H1", 1, 1.25, workers=1, counter="seconds", over="std")],
}
