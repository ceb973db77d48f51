"""Many claims at once: parallel over their cases, and resumable from a file of finished ones."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import json
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from theory import report
from theory.claim import Case, Claim, Evidence, Outcome, Verdict, attempt, message
from ufm import __version__
from ufm.numerics import arguments, interruption
from ufm.numerics.bars import progress_bar
from ufm.numerics.locks import locked
from ufm.numerics.state import own_numpy_state
from ufm.sweeps.workers import cores, unordered

PATIENCE = 0.5
"""Seconds of work done here before worker processes are started for the rest."""
_HEADER = {"ufm": "verify"}


@dataclass(frozen=True)
class Run:
    """Verdicts in the order of the claims, printed as a table; `reused` cases came from the file, `interrupted` says
    that Ctrl-C ended it early, `left_out` are slow claims that were not asked for."""

    verdicts: tuple[Verdict, ...]
    interrupted: bool = False
    reused: int = 0
    left_out: tuple[Claim, ...] = ()

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.verdicts)

    def __len__(self) -> int:
        return len(self.verdicts)

    def __getitem__(self, at) -> Verdict:
        """By place, or by the id of the claim."""
        if not isinstance(at, str):
            return self.verdicts[at]
        found = {verdict.claim.id: verdict for verdict in self.verdicts}
        return found[arguments.choice("claim", at, found)]

    def to_dict(self, evidence: bool = False) -> dict:
        """The JSON shape of `ufm verify --json`; with `evidence`, every case."""
        return {
            "claims": [verdict.to_dict(evidence) for verdict in self.verdicts],
            "left_out": [claim.id for claim in self.left_out],
            "interrupted": self.interrupted,
            "reused": self.reused,
        }

    def __repr__(self) -> str:
        slow = f"{len(self.left_out)} slow left out (--slow): {', '.join(claim.id for claim in self.left_out)}"
        return "\n".join([report.text(self.verdicts), *([slow] if self.left_out else ())])

    def _repr_html_(self) -> str:
        return report.table(self.verdicts)


@own_numpy_state
def verify(
    claims: Iterable[Claim],
    grids: Mapping | None = None,
    jobs: int | None = None,
    resume: str | Path | None = None,
    progress: bool | None = None,
) -> Run:
    """Run every case and control of the claims.

    grids: parameter -> values, in place of what the cases have (`{"K": range(4, 41)}`, or a text `4:40`); every claim
    must have the parameter.
    jobs: processes (default: cores); little work stays in this one. joblib's `parallel_config` chooses another backend.
    resume: a file of finished cases (JSON lines), read first and added to. A case is known by its claim, its values,
    the version of the package and the source file of the check; after a change elsewhere in the package start a new
    file.
    progress: a bar on standard error after two seconds; None shows it on a terminal.

    Ctrl-C keeps what is finished. Exceptions in a check are outcomes, and are tried again on resuming. The verdicts do
    not depend on `jobs`. Raises ValueError, before any check, for invalid claims, unknown parameters, and a file that
    is not such a record, cannot be written, or is the record of another run that is still going on.
    """
    claims = tuple(claims)
    jobs = arguments.workers(cores() if jobs is None else jobs)
    for claim in claims:  # first of all of them: to lay out one grid may take a while
        claim.refuse_unknown(grids or ())
    plans = [claim.plan(grids) for claim in claims]
    work = [
        (claim, case) for claim, (cases, _) in zip(claims, plans, strict=True) for case in (*cases, *claim.controls)
    ]
    with contextlib.nullcontext() if resume is None else Record(resume) as record:
        done, interrupted, reused = _done(work, record, jobs, progress)
    return Run(tuple(_verdicts(claims, plans, done)), interrupted, reused)


def _done(work, record: Record | None, jobs: int, progress: bool | None) -> tuple[dict[int, Outcome], bool, int]:
    """(outcomes by position, whether Ctrl-C ended it, how many came from the record)."""
    done = (
        {}
        if record is None
        else {i: known for i, (claim, case) in enumerate(work) if (known := record.find(claim, case))}
    )
    reused, interrupted = len(done), False
    pending = [i for i in range(len(work)) if i not in done]
    outcomes = _outcomes([(work[i][0].check, work[i][1], work[i][0].kind) for i in pending], jobs)
    try:
        for at, outcome in _bar(outcomes, len(pending), progress):
            done[pending[at]] = outcome
            if record is not None and not outcome.failed:
                record.add(*work[pending[at]], outcome)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        outcomes.close()
    return done, interrupted, reused


def _verdicts(claims, plans, done: dict[int, Outcome]) -> Iterator[Verdict]:
    at = 0
    for claim, (cases, outside) in zip(claims, plans, strict=True):
        middle, end = at + len(cases), at + len(cases) + len(claim.controls)
        ran, controls = ([done[i] for i in span if i in done] for span in (range(at, middle), range(middle, end)))
        yield Verdict(claim, tuple(ran), tuple(controls), len(cases), outside)
        at = end


def _bar(outcomes, total: int, progress: bool | None):
    return progress_bar(outcomes, total=total, desc="cases", progress=progress)


def _outcomes(work: Sequence[tuple[Callable, Case, str]], jobs: int) -> Generator[tuple[int, Outcome], None, None]:
    """(position, outcome) as they come: here until the patience ends, then in parallel."""
    began, at = time.perf_counter(), 0
    while at < len(work) and (jobs == 1 or len(work) - at < 2 or time.perf_counter() - began < PATIENCE):
        with interruption.whole():  # a case that Ctrl-C cut short is none
            outcome = attempt(*work[at])
        yield at, outcome
        at += 1
    if at < len(work):
        yield from _parallel(work, range(at, len(work)), jobs)


def _parallel(work, positions: range, jobs: int) -> Iterator[tuple[int, Outcome]]:
    left = set(positions)
    try:
        with contextlib.closing(unordered(_numbered, ((i, *work[i]) for i in positions), jobs)) as results:
            for i, outcome in results:
                left.discard(i)
                yield i, outcome
    except Exception as error:  # a worker died or a check could not be sent to it
        for i in sorted(left):
            yield i, Outcome(work[i][1], (), 0.0, message(error), work[i][2])


def _numbered(item: tuple) -> tuple[int, Outcome]:
    i, *work = item
    return i, attempt(*work)


class Record:
    """Finished cases in a file of JSON lines, one header and one line each; a torn line is as if it had not been
    written.

    One process at a time may have it open: the work of two runs is not done twice. `with` closes it.
    """

    def __init__(self, path: str | Path):
        """Open the file, or begin it. ValueError naming it where it is something else, cannot be written, or is another
        run's at the moment."""
        self.path = Path(path)
        if self.path.exists() and not self.path.is_file():
            raise _unusable(path, "it is no regular file")
        try:
            self._file = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115 (kept open and locked until the run ends)
        except OSError as mistake:
            raise _unusable(path, mistake) from None
        try:
            if locked(self._file) is False:
                raise ValueError(
                    f"file {str(path)!r} is the record of another run that is still going on; wait for it, or name"
                    " another file."
                )
            text = self._begun()
        except (OSError, UnicodeDecodeError) as mistake:
            self.close()
            raise _unusable(path, mistake) from None
        except ValueError:
            self.close()
            raise
        self._lines = {
            line["key"]: line for line in map(_parsed, text.splitlines()) if isinstance(line.get("key"), str)
        }

    def _begun(self) -> str:
        """The text of the file, which has a header and ends its last line from here on."""
        self._file.seek(0)
        text = self._file.read()
        _refuse_other(self.path, text)
        if not _is_header(text.partition("\n")[0]):
            self._file.truncate(0)
            self._write(json.dumps(_HEADER) + "\n")
        elif not text.endswith("\n"):
            self._write("\n")
        return text

    def _write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()

    def close(self) -> None:
        """Let others have the file."""
        self._file.close()

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def find(self, claim: Claim, case: Case) -> Outcome | None:
        """The outcome of the case, if it is there and can be read."""
        line = self._lines.get(case_key(claim, case))
        try:
            return line and Outcome(
                case, tuple(map(Evidence.from_dict, line["evidence"])), float(line["seconds"]), kind=claim.kind
            )
        except (KeyError, TypeError, ValueError):
            return None

    def add(self, claim: Claim, case: Case, outcome: Outcome) -> None:
        """Append one outcome; only the process that collects the results calls it."""
        line = {"key": case_key(claim, case), "claim": claim.id, **outcome.to_dict()}
        self._write(json.dumps(line) + "\n")


def _unusable(path, mistake: Exception | str) -> ValueError:
    return ValueError(f"file {str(path)!r} cannot be used as a record of finished cases: {mistake}")


def _is_header(line: str) -> bool:
    return _parsed(line).get("ufm") == _HEADER["ufm"]


def _refuse_other(path: Path, text: str) -> None:
    first, newline, _ = text.partition("\n")
    torn = not newline and json.dumps(_HEADER).startswith(first)
    if not (torn or _is_header(first)):
        raise ValueError(
            f"file {str(path)!r} is not a record of finished cases; name another, or one that does not exist yet."
        )


def _parsed(line: str) -> dict:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def case_key(claim: Claim, case: Case) -> str:
    """What a finished case is known by: claim, values, version of the package, source of the check."""
    parts = [claim.id, case.to_dict(), case.planted, __version__, _source(claim.check)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@functools.cache
def _source(check: Callable) -> str:
    """A hash of the file the check is written in, or of the check itself where there is no file."""
    check = inspect.unwrap(getattr(check, "func", check))
    file = getattr(sys.modules.get(getattr(check, "__module__", "")), "__file__", None)
    try:
        content = Path(str(file)).read_bytes()
    except (TypeError, OSError):
        content = getattr(getattr(check, "__code__", None), "co_code", b"")
    return hashlib.sha256(content).hexdigest()
