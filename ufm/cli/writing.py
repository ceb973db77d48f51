"""What the command line prints: JSON for programs; for people tables, in colour on a terminal."""

from __future__ import annotations

import json
import os
import re
import select
import sys

from ufm.numerics.records import plain

_STYLES = {"good": "32", "bad": "31", "open": "33", "strong": "1", "quiet": "2"}
_WORDS = {
    "good": r"supported|proved(?=[:;,) ]|$)|stands|local minimum|global minimum",
    "bad": r"refuted|FAILS|not proved|failed",
    "open": r"undecided|strict saddle|not critical|not converged|interrupted",
}
_PAINTED = re.compile(
    "|".join(f"(?P<{style}>(?<![\\w-])(?:{words})(?![\\w-]))" for style, words in reversed(_WORDS.items()))
)


def check_output() -> None:
    """ValueError where nobody can read the answer: a closed standard output, a pipe whose reader has left."""
    if sys.stdout is None or _unread(sys.stdout):
        raise ValueError("standard output is closed, nobody would read the answer; send it to a file, or to /dev/null.")


def _unread(stream) -> bool:
    try:
        watch = select.poll()
        watch.register(stream.fileno(), select.POLLERR)
        return any(event & (select.POLLERR | select.POLLNVAL) for _, event in watch.poll(0))
    except (AttributeError, OSError, ValueError):  # no poll on this system, no file behind the stream
        return False


def say(text: str, end: str = "\n") -> None:
    """Write to standard output at once. Who stops reading misses the rest; files are still written."""
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(data: dict) -> None:
    """One JSON object; numbers JSON does not have become null."""
    say(json.dumps(plain(data), allow_nan=False))


def show(value) -> None:
    """Print a value for people: heads of tables bold, verdicts in colour, on a terminal only."""
    text = str(value)
    say(emphasised(text) if coloured(sys.stdout) else text)


def give(table, arguments, figure) -> int:
    """Show a table or print its JSON, save it, draw figure(plot) of `ufm.plot`, as `arguments` ask; 0. A table that
    Ctrl-C ended is shown and saved, and ends the verb."""
    if arguments.json:
        print_json(table.to_dict())
    else:
        show(table)
    if getattr(arguments, "save", None):
        table.save(arguments.save)
    if table.interrupted:
        raise KeyboardInterrupt(f"{table.interrupted}; what was found is shown")
    if arguments.plot:
        from ufm import plot

        plot.save(figure(plot), arguments.plot)
    return 0


def coloured(stream) -> bool:
    """Whether the stream takes colour: a terminal that is not dumb, without NO_COLOR; or FORCE_COLOR."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str) -> str:
    return f"\033[{_STYLES[style]}m{text}\033[0m"


def emphasised(text: str) -> str:
    """The text with the head of every table bold, rules and examples quiet, words of verdict in colour."""
    lines = text.split("\n")
    ruled = {i for i, line in enumerate(lines) if len(line) > 8 and not line.strip("-")}
    return "\n".join(_line(line, i in ruled, i + 1 in ruled) for i, line in enumerate(lines))


def _line(line: str, rule: bool, head: bool) -> str:
    if rule or line.lstrip().startswith("$ "):
        return paint(line, "quiet")
    return paint(line, "strong") if head else _PAINTED.sub(lambda found: paint(found[0], found.lastgroup or ""), line)
