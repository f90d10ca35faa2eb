#!/usr/bin/env python3
"""Compiles the ```cpp blocks of every Markdown page, so that what the documentation shows exists.

A block is a program or declarations, or else statements, which then stand in a coroutine. <sheaf/sheaf.hpp>, the usual standard headers
and chrono's literals are there. In the line before a block a comment that no reader sees may say more:

    <!-- given: sheaf::coro<std::string> fetch(std::string url); -->    declarations the block relies on
    <!-- file: examples/gather.cpp -->                                  the block is this file, word for word

A block that opens with ```cpp ignore is an outline and is not compiled.

usage: snippets.py ROOT COMPILER GENERATED_HEADERS
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lint"))
import scan  # noqa: E402

BLOCK = re.compile(r"^(?P<indent>[ \t]*)```cpp\b(?P<words>[^\n]*)\n(?P<code>.*?)^[ \t]*```[ \t]*$", re.M | re.S)
PRELUDE = """#include <sheaf/sheaf.hpp>
#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>
using namespace std::chrono_literals;
"""


class snippet:
    def __init__(self, page, text, match):
        self.page = page
        self.line = text.count("\n", 0, match.start("code")) + 1
        self.code = match.group("code")
        self.ignored = "ignore" in match.group("words").split()
        self.given, self.file = "", None
        before = re.search(r"((?:<!--(?:(?!-->).)*-->\s*)+)\Z", text[:match.start()], re.S)
        for kind, body in re.findall(r"<!--\s*(given|file):\s*(.*?)\s*-->", before.group(1) if before else "", re.S):
            if kind == "given":
                self.given += body + "\n"
            else:
                self.file = body

    def located(self):
        return f'#line {self.line} "{self.page}"\n{self.code}\n'

    def as_declarations(self):
        return f"{self.given}{self.located()}"

    def as_statements(self):
        return f"{self.given}sheaf::coro<> a_snippet() {{\n{self.located()}co_return;\n}}\n"

    def first_error(self, compile_text):
        """(line, sentence) of what is wrong, or None."""
        declares = re.search(r"^#include|\bint main\(|^(?:namespace|template|struct|class)\b|^sheaf::coro<[^;=]*\)\s*\{", self.code, re.M)
        forms = [self.as_declarations()] if declares else [self.as_statements(), self.as_declarations()]
        errors = [compile_text(form) for form in forms]
        if None in errors:
            return None
        match = re.search(rf"^{re.escape(str(self.page))}:(\d+):.*?error: (.*)$", errors[0], re.M)
        if match:
            return int(match.group(1)), match.group(2)
        match = re.search(r"error: (.*)$", errors[0], re.M)
        return self.line, match.group(1) if match else errors[0]


def pages(root):
    yield from root.glob("*.md")
    for folder in (*scan.CODE_FOLDERS, "docs"):
        for page in (root / folder).rglob("*.md"):
            if "planted" not in page.relative_to(root).parts:
                yield page


def main(root, compiler, generated):
    root = pathlib.Path(root)
    # The samples this test is tested on lie in a tree of their own, beside which the real headers are used.
    source = pathlib.Path(__file__).resolve().parents[2]
    flags = ["-std=c++20", "-fdiagnostics-color=never", "-Wno-unused",
             f"-I{source}/runtime/include", f"-I{source}/combinators/include", f"-I{source}/bench", f"-I{generated}"]
    environment = {**os.environ, "LC_ALL": "C"}
    folder = tempfile.TemporaryDirectory()
    prelude = pathlib.Path(folder.name) / "prelude.hpp"
    prelude.write_text(PRELUDE)
    # Both compilers take a precompiled header for the file that -include names, each under its own suffix.
    is_clang = "clang" in subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    precompiled = f"{prelude}.pch" if is_clang else f"{prelude}.gch"
    subprocess.run([compiler, *flags, "-x", "c++-header", str(prelude), "-o", precompiled], check=True)
    found = scan.findings()

    def compile_text(text):
        result = subprocess.run([compiler, *flags, "-fsyntax-only", "-include", str(prelude), "-x", "c++", "-"],
                                input=text, capture_output=True, text=True, check=False, env=environment)
        return None if result.returncode == 0 else result.stderr

    snippets = []
    for page in sorted(pages(root)):
        text = page.read_text()
        snippets += [snippet(page.relative_to(root), text, match) for match in BLOCK.finditer(text)]
    compiled = []
    for each in snippets:
        if each.file is not None:
            file = root / each.file
            if not file.is_file():
                found.add(each.page, each.line, f"{each.file} does not exist")
            elif file.read_text().strip() != each.code.strip():
                found.add(each.page, each.line, f"differs from {each.file}")
        elif not each.ignored:
            compiled.append(each)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for each, error in zip(compiled, pool.map(lambda each: each.first_error(compile_text), compiled)):
            if error is not None:
                found.add(each.page, *error)
    print(f"{len(snippets)} blocks, {len(compiled)} compiled")
    found.exit()


if __name__ == "__main__":
    main(*sys.argv[1:])
