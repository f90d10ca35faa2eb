"""One-line changes of the sources, as text: a block has FILE [WORD...], the lines that are there once, and what stands there instead.

    runtime/src/event.cpp
    - set_.store(true, sync::release);
    + set_.store(true, sync::relaxed);
"""
import re
import sys


class change:
    def __init__(self, number, block):
        self.number = number
        first, *lines = block.splitlines()
        self.file, *self.words = first.split()
        self.old = [line[2:] for line in lines if line.startswith("- ")]
        self.new = [line[2:] for line in lines if line.startswith("+ ")]

    def __str__(self):
        return f"{self.number:2} {self.file}: {self.old[0].strip()}"

    def apply(self, text):
        """Lines are found whatever their indentation."""
        pattern = re.compile(r"\n[ \t]*".join(re.escape(line) for line in self.old))
        found = pattern.findall(text)
        if len(found) != 1:
            sys.exit(f"change {self}: its text is there {len(found)} times")
        return pattern.sub(lambda _: "\n".join(self.new), text)


def read(path):
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#")).strip()
    return [change(number, block.strip()) for number, block in enumerate(re.split(r"\n\s*\n", text), 1)]
