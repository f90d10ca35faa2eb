"""What the lints share: which files are Sheaf's, what of them is code, and how a finding is printed."""
import pathlib
import re
import sys

CODE_FOLDERS = ("runtime", "combinators", "bench", "examples", "tests")


def files(root, folders=CODE_FOLDERS, suffixes=(".hpp", ".cpp")):
    """Source files below `root`, without the samples that lints are tested on."""
    root = pathlib.Path(root)
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            relative = path.relative_to(root)
            if path.suffix in suffixes and relative.parts[:3] != ("tests", "lint", "planted"):
                yield path, relative


def _blank(match):
    return re.sub(r"[^\n]", " ", match.group())


_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | R"(?P<tag>[^()\s\\]{0,16})\(.*?\)(?P=tag)"
      | "(?:\\.|[^"\\\n])*"
      | (?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'""",
    re.S | re.X,
)


def code_of(text, keep_strings=False):
    """`text` with comments (and the insides of literals) blanked; every character keeps its place."""
    def replace(match):
        if match.group("comment") is not None:
            return _blank(match)
        if keep_strings:
            return match.group()
        return '"' + _blank(match)[1:-1] + '"'

    return _TOKEN.sub(replace, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def closing(text, opening):
    """Index of the bracket that closes the one at `opening`, or the end of `text`."""
    pairs = {"(": ")", "[": "]", "{": "}"}
    left, right = text[opening], pairs[text[opening]]
    depth = 0
    for index in range(opening, len(text)):
        if text[index] == left:
            depth += 1
        elif text[index] == right:
            depth -= 1
            if depth == 0:
                return index
    return len(text) - 1


class findings:
    """Prints `file:line: sentence` once each, in the order found."""

    def __init__(self):
        self.count = 0
        self._seen = set()

    def add(self, relative, line, sentence):
        text = f"{relative}:{line}: {sentence}"
        if text not in self._seen:
            self._seen.add(text)
            self.count += 1
            print(text)

    def exit(self):
        print(f"{self.count} finding(s)")
        sys.exit(1 if self.count else 0)
