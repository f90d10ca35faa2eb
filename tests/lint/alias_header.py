#!/usr/bin/env python3
"""The machine has one door: atomics, futexes, threads and clocks are named in detail/machine.hpp, detail/sync.hpp and sync.cpp
only, so that replacing machine.hpp replaces the machine. Public headers stay light and free of oneTBB and {fmt}.

usage: alias_header.py ROOT
"""
import re
import sys

import scan

DOOR = {"runtime/include/sheaf/detail/sync.hpp", "runtime/include/sheaf/detail/machine.hpp", "runtime/src/sync.cpp"}

MACHINE = [
    (r"\bstd::atomic\w*", "say sync::atomic"),
    (r"\bstd::memory_order\w*", "say sync::relaxed, sync::acquire, ..."),
    (r"\bstd::j?thread\b", "say sync::thread"),
    (r"\bstd::(?:recursive_|shared_|timed_|recursive_timed_|shared_timed_)?mutex\b", "say sync::mutex"),
    (r"\bstd::(?:lock_guard|unique_lock|scoped_lock|shared_lock|condition_variable\w*|call_once|once_flag)\b", "say sync::lock_guard or sync::parker"),
    (r"(?<!sync::)\bfutex\w*|\bSYS_futex\b", "say sync::futex_wait or sync::futex_wake_*"),
    (r"\b(?:steady|system|high_resolution)_clock::now\b|\bclock_gettime\b", "say sync::now"),
    (r"\bthis_thread::(?:sleep_\w+|yield)\b|\bsched_yield\b|\b(?:nano|u)sleep\b", "wait with a deadline through sync.hpp"),
    (r"\bpthread_(?:create|join|detach|mutex\w*|cond\w*)\b", "say sync::thread or sync::mutex"),
    (r"#\s*include\s*<(?:atomic|thread|mutex|condition_variable|semaphore|latch|barrier|shared_mutex|pthread\.h|linux/futex\.h)>",
     "only detail/machine.hpp may include it"),
]

HEAVY = re.compile(r"#\s*include\s*<(mutex|queue|future|barrier|condition_variable|ranges|thread|regex|iostream)>")
FOREIGN = re.compile(r"#\s*include\s*[<\"]((?:oneapi/)?tbb/|oneapi/|fmt/)")


def main(root):
    found = scan.findings()
    for path, relative in scan.files(root, ("runtime", "combinators")):
        code = scan.code_of(path.read_text(), keep_strings=False)
        if str(relative) not in DOOR:
            for pattern, advice in MACHINE:
                for match in re.finditer(pattern, code):
                    found.add(relative, scan.line_of(code, match.start()), f"`{match.group().strip()}` outside detail/machine.hpp: {advice}")
        if "include" in relative.parts:
            for match in HEAVY.finditer(code):
                found.add(relative, scan.line_of(code, match.start()), f"<{match.group(1)}> in a public header: it costs every user's build")
            for match in FOREIGN.finditer(code):
                found.add(relative, scan.line_of(code, match.start()), "oneTBB and fmt are for compiled sources, never for a public header")
    found.exit()


if __name__ == "__main__":
    main(sys.argv[1])
