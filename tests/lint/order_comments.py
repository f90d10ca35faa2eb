#!/usr/bin/env python3
"""Every atomic operation names its order, and every order stronger than relaxed has an `order:` comment within the eight lines above.

usage: order_comments.py ROOT
"""
import re
import sys

import scan

REACH = 8
ORDER = r"(?:(?:std::)?memory_order(?:_|::)|sync::)?(?:relaxed|acquire|release|acq_rel|seq_cst)\b"
STRONG = re.compile(r"(?<=[(,?:])\s*(?:(?:std::)?memory_order(?:_|::)|sync::)?(acquire|release|acq_rel|seq_cst)\b\s*(?=[),:])")
OPERATION = re.compile(r"(?:\.|->)\s*(load|store|exchange|compare_exchange_\w+|fetch_(?:add|sub|and|or|xor)|test_and_set)\s*\(")
FENCE = re.compile(r"\batomic_(?:thread|signal)_fence\b")


def main(root):
    found = scan.findings()
    for path, relative in scan.files(root, ("runtime", "combinators")):
        text = path.read_text()
        lines = text.split("\n")
        code = scan.code_of(text)
        for match in STRONG.finditer(code):
            line = scan.line_of(code, match.start(1))
            if not any("order:" in near for near in lines[max(0, line - 1 - REACH):line]):
                found.add(relative, line, f"`{match.group(1)}` without an `order:` comment naming its peer")
        for match in OPERATION.finditer(code):
            arguments = code[match.end() - 1:scan.closing(code, match.end() - 1)]
            if not re.search(ORDER, arguments) and not re.search(r"\border\b|\w+_order\b", arguments):
                found.add(relative, scan.line_of(code, match.start(1)), f"`{match.group(1)}` without a named order")
        for match in FENCE.finditer(code):
            found.add(relative, scan.line_of(code, match.start()), "a fence: ThreadSanitizer does not see it")
    found.exit()


if __name__ == "__main__":
    main(sys.argv[1])
