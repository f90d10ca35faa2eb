#!/usr/bin/env python3
"""Statements that g++ 12.2 compiles wrongly, in sources and in the ```cpp blocks of Markdown pages.

g++ 12.2 destroys some temporaries of a co_await expression twice, reads freed memory in `?:`, rejects containers built from braces and
loses the value of an await in a condition of a coroutine without locals. Sheaf's code and documentation therefore never write these
forms. A heuristic: it reads text, not a syntax tree.

usage: gcc12_co_await.py ROOT
"""
import pathlib
import re
import sys

import scan

CAPTURED_LAMBDA = "a lambda with copied captures in a co_await expression: name it, name the task, or pass arguments"
BRACES = "braces around co_await: name the awaited value first"
CONDITIONAL = "co_await in ?: (wrong when an arm has a class type): use if"
CONTAINER = "a container built from braces in a co_await expression: name it first"
CONDITION = "co_await in a condition of a function without local variables: declare one"

LAMBDA = re.compile(
    r"(?<![\w\])])\[([^\[\]]*)\]\s*"  # the capture
    r"(?:\([^()]*(?:\([^()]*\)[^()]*)*\))?\s*"  # parameters, one level of parentheses inside them
    r"(?:mutable|noexcept|->\s*[\w:<>,&* ]+|\s)*\{"
)
CONDITION_HEAD = re.compile(r"\b(?:if|while|switch)\s*\((?:[^();]|\([^()]*\))*$")
DECLARING_HEAD = re.compile(r"\b(?:if|while|switch)\s*\(\s*(?:auto|int|bool|const|std::)[^=]*=[^=]")
CONTROL_KEYWORD = re.compile(r"\b(?:if|for|while|switch|catch|constexpr)\s*$")
DECLARATION = re.compile(
    r"(?:^|[;{}(])\s*(?:\[\[[^\]]*\]\]\s*)?(?:const\s+|static\s+|constexpr\s+)*"
    r"(?!co_return|co_await|co_yield|return|using|else|throw|delete|new|goto|case|default)"
    r"[A-Za-z_][\w:]*(?:<[^;=]*>)?[&*\s]+(?:\[[\w, ]+\]|\w+)\s*(?:=|\{|\(|;|:|,)"
)


class lambda_body:
    def __init__(self, match, code):
        self.start, self.open = match.start(), match.end() - 1
        self.close = scan.closing(code, self.open)
        self.captures = match.group(1)

    def holds(self, offset):
        return self.open < offset < self.close

    def copies_a_capture(self):
        depth, item, items = 0, "", []
        for character in self.captures:
            depth += (character in "(<{") - (character in ")>}")
            if character == "," and depth == 0:
                items.append(item)
                item = ""
            else:
                item += character
        items.append(item)
        names = (item.strip() for item in items)
        return any(name and not name.startswith("&") and name != "this" for name in names)


def statement_bounds(view, at, low, high):
    """The full expression around the co_await at `at`: back to `;` or a block's brace, forward to `;` outside parentheses."""
    begin, depth = at, 0
    while begin > low:
        character = view[begin - 1]
        depth += (character in ")]}") - (character in "([")
        if character == "{":
            if depth <= 0 and re.search(r"(\)|\belse|\bdo|\btry|\bnoexcept|>|\bcoro<[^;{}]*)\s*$", view[low:begin - 1]):
                break
            depth -= 1
        if character == "}" and depth == 1:
            if re.search(r"^\s*[\w\[*&:(]", view[begin:at + 1]) and ";" in view[max(low, begin - 200):begin]:
                break
        if character == ";" and depth <= 0:
            break
        begin -= 1
    end, depth = at, 0
    while end < high and not (view[end] == ";" and depth <= 0):
        depth += (view[end] in "([{") - (view[end] in ")]}")
        if view[end] == "{" and depth == 1 and re.search(r"\)\s*$", view[begin:end]):
            break
        end += 1
    return begin, end


def enclosing_function_body(view, at):
    """The text of the innermost function body around `at`, or None."""
    depth, index = 0, at
    while index > 0:
        index -= 1
        if view[index] == "}":
            depth += 1
        elif view[index] == "{":
            if depth:
                depth -= 1
                continue
            end = index - 1
            while end > 0 and view[end] not in ");{}":
                end -= 1
            if view[end] != ")":
                continue
            start, parentheses = end, 0
            while start > 0:
                parentheses += (view[start] == ")") - (view[start] == "(")
                if parentheses == 0:
                    break
                start -= 1
            is_control = CONTROL_KEYWORD.search(view[max(0, start - 30):start]) or re.search(r"\b(?:else|try|do)\b", view[end:index])
            if not is_control:
                return view[index + 1:scan.closing(view, index)]
    return None


def complaint(code, at, lambdas):
    inner = max((body for body in lambdas if body.holds(at)), key=lambda body: body.open, default=None)
    low, high = (inner.open, inner.close) if inner else (0, len(code))
    # Another lambda's body is a function of its own: blank it, so that its statements do not end this one.
    characters = list(code)
    for body in lambdas:
        if body is not inner and low < body.open and body.close <= high and not body.holds(at):
            for index in range(body.open, body.close + 1):
                if characters[index] != "\n":
                    characters[index] = "~" if index in (body.open, body.close) else " "
    view = "".join(characters)
    begin, end = statement_bounds(view, at, low, high)
    statement = view[begin:end]
    if "operator co_await" in statement:
        return None

    for body in lambdas:
        if begin <= body.start < end and body is not inner and not body.holds(at) and body.copies_a_capture():
            return CAPTURED_LAMBDA
    without_head = re.sub(r"^\s*(?:if|while|for|switch)\s*\(", "", statement)
    if re.search(r"(?:[\w>]|[(,=]\s*|return)\s*\{(?:[^{};]|\{[^{};]*\})*\bco_await\b", without_head):
        return BRACES
    if re.search(r"\?[^:?]*\bco_await\b|\?.*:[^:;]*\bco_await\b", statement):
        return CONDITIONAL
    if re.search(r"co_await[^;]*\bstd::(?:vector|array|set|map)\b(?:<[^;{}]*>)?\s*\{[^}]", statement):
        return CONTAINER
    if CONDITION_HEAD.search(view[max(low, at - 300):at]) and not DECLARING_HEAD.search(view[max(begin - 40, 0):at]):
        body = enclosing_function_body(view, at)
        if body is not None and not DECLARATION.search(body):
            return CONDITION
    return None


def check(found, relative, text):
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.)*", lambda m: re.sub(r"[^\n]", " ", m.group()), scan.code_of(text), flags=re.M | re.S)
    lambdas = [lambda_body(match, code) for match in LAMBDA.finditer(code)]
    for match in re.finditer(r"\bco_await\b", code):
        sentence = complaint(code, match.start(), lambdas)
        if sentence:
            found.add(relative, scan.line_of(code, match.start()), sentence)


def cpp_blocks(text):
    """The ```cpp blocks of a page, each with as many empty lines before it as keep its line numbers."""
    for match in re.finditer(r"^[ \t]*```cpp\b[^\n]*\n(.*?)^[ \t]*```", text, flags=re.M | re.S):
        yield "\n" * text.count("\n", 0, match.start(1)) + match.group(1)


def main(root):
    root = pathlib.Path(root)
    found = scan.findings()
    for path, relative in scan.files(root):
        if relative.parts[:2] != ("tests", "compile_fail"):  # there the compiler itself must refuse them
            check(found, relative, path.read_text())
    pages = [*root.glob("*.md"), *(page for folder in (*scan.CODE_FOLDERS, "docs") for page in (root / folder).rglob("*.md"))]
    for page in sorted(pages):
        relative = page.relative_to(root)
        if relative.parts[:3] != ("tests", "lint", "planted"):
            for block in cpp_blocks(page.read_text()):
                check(found, relative, block)
    found.exit()


if __name__ == "__main__":
    main(sys.argv[1])
