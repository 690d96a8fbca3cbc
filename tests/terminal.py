"""A simple model of a terminal, to see what a program leaves on it."""

import re


def screen(output: str) -> list[str]:
    """The lines that output leaves on an endlessly wide and long terminal: line ends, returns, erasing, colours."""
    lines, column = [""], 0
    for part in re.findall(r"\r|\n|\x1b\[K|\x1b\[[\d;]*m|[^\r\n\x1b]+", output):
        if part == "\n":
            lines.append("")
            column = 0
        elif part == "\r":
            column = 0
        elif part == "\x1b[K":
            lines[-1] = lines[-1][:column]
        elif not part.startswith("\x1b"):
            lines[-1] = lines[-1][:column] + part + lines[-1][column + len(part) :]
            column += len(part)
    return lines
