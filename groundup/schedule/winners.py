"""Winners: ways to run a contraction that timing found faster than the cost model's, on disk beside
the kernel cache. What is there is only ever looked up among the ways that the model itself lists,
so that no file can make a kernel wrong.

Must not know how candidates are timed (see trials.py).
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..emit.fingerprint import code_of
from ..ir.node import Node
from ..ir.transform import toposort
from ..runtime import cache, pool, system, target
from .contract import Choice, Gather, Operand, Problem
from .sizes import Size, Sym, value

FORMAT = "groundup-winners-1"
MOST = 4096  # winners kept on disk, of all versions together: about 1 MiB
_NAME = "winners"


# ---- what a problem and a choice are called ------------------------------------------------------


def form_of(p: Problem) -> str:
    """A digest of all that the time of a problem depends on: two with one form share a winner.

    Runtime sizes count by their power of two.
    """
    words: list[object] = [p.width, p.registers, p.lanes, p.sum.dtype.name]
    words += [(_called(v), _size(e)) for v, e in p.extents.items()]
    words += [(_called(v), _size(e)) for v, e in p.full.items() if v in p.gone | p.joined]
    words += [_called(v) for v in p.k]
    for o in p.operands:
        raw = o.raw
        words += [o.load.dtype.name, raw.computed, raw.guarded, sorted(map(_called, o.tied))]
        words += [(_called(v), _size(s)) for v, s in o.strides.items()]
        words += [len(p.copies.get(o.read.src[0], ())), p.repeats.get(o.read, 1)]
    for b in p.bounds:
        words += [_body(b.value), b.lo, b.hi, b.step]
    words += [(_called(v), _size(s)) for v, s in p.target_strides.items()]
    words.append(_body(p.rest))
    return cache.digest(repr(words)).hex()[:32]


def _called(v: Node) -> str:
    return f"{v.op}{v.arg}"


def _size(s: Size) -> object:
    """A size; a runtime one with the power of two below its value."""
    return (s.a, s.b, value(s).bit_length()) if isinstance(s, Sym) else int(s)


def _body(body: Node) -> list[object]:
    """An expression's operations, in order, with the strides of what it reads."""
    words: list[object] = []
    for n in toposort([body]):
        if n.op == "load":
            terms = [(_called(v), _size(s)) for v, s in n.arg.terms]
            words.append((n.dtype.name, terms, n.arg.computed, n.arg.guarded))
        else:
            words.append((n.op, n.dtype.name, repr(n.arg)))
    return words


def described(p: Problem, c: Choice) -> str:
    """A choice in words that mean the same for every problem of its form."""
    names: tuple[str, ...] = type(c).__slots__  # type: ignore[attr-defined]
    return " ".join(f"{n}={_word(p, getattr(c, n))}" for n in names if n != "cost")


def _word(p: Problem, x: Any) -> str:
    if isinstance(x, Operand):
        return str(p.operands.index(x))
    if isinstance(x, Gather):
        return _word(p, (x.read.src[0], x.loops, x.shape))
    if isinstance(x, Node):
        if x.op in ("out", "red"):
            return _called(x)
        return f"tensor{[o.read.src[0] for o in p.operands].index(x)}"
    if isinstance(x, tuple):
        return "(" + ",".join(_word(p, part) for part in x) + ")"
    return str(x)


# ---- which one a problem gets --------------------------------------------------------------------


class Trial:
    """A trial of choices: those forced, by form; what was asked for, and what it got."""

    def __init__(self, forced: dict[str, str]) -> None:
        self.forced = forced
        self.asked: dict[str, tuple[Problem, Choice]] = {}


_trial: Trial | None = None


@contextmanager
def trying(trial: Trial) -> Iterator[None]:
    """Within, problems get what a trial forces on them, and the model's own choice where it says
    nothing; winners on disk count for nothing."""
    global _trial
    before, _trial = _trial, trial
    try:
        yield
    finally:
        _trial = before


def elected(p: Problem, best: Choice, candidates: Callable[[Problem], list[Choice]]) -> Choice:
    """The winner of a problem, if it has one among its candidates; else the model's `best`."""
    if _trial is None:
        known = table()
        name = known.get(form_of(p)) if known else None
        return best if name is None else _found(p, name, candidates) or best
    form = form_of(p)
    name = _trial.forced.get(form)
    choice = best if name is None else _found(p, name, candidates) or best
    _trial.asked.setdefault(form, (p, choice))
    return choice


def _found(
    p: Problem, name: str, candidates: Callable[[Problem], list[Choice]]
) -> Choice | None:
    return next((c for c in candidates(p) if described(p, c) == name), None)


# ---- on disk -------------------------------------------------------------------------------------


class Section(NamedTuple):
    """For which processor, code and number of threads winners hold."""

    processor: str
    code: str
    threads: int

    @property
    def name(self) -> str:
        """The key of the file."""
        return cache.digest(self.processor, self.code, str(self.threads)).hex()[:16]


_tables: dict[tuple[str | None, int], dict[str, str]] = {}
nothing: dict[str, str] = {}


def section() -> Section | None:
    """What winners of now hold for; None where the source of the code is not to be had."""
    code = code_of("ir", "emit", "schedule")
    return None if code is None else Section(target.host().key, code, pool.get_num_threads())


def table() -> dict[str, str]:
    """The winners that hold now: the form of a problem → the choice."""
    key = cache.directory(), pool.get_num_threads()
    known = _tables.get(key)
    if known is None:
        known = _tables[key] = _load(key[0])
    return known


def version() -> str:
    """Tells plans apart that were made with other winners."""
    known = table()
    return cache.digest(*[w for pair in sorted(known.items()) for w in pair]).hex() if known else ""


def _load(folder: str | None) -> dict[str, str]:
    if folder is None or not os.path.exists(os.path.join(folder, _NAME)):
        return nothing
    here = section()
    sections, reason = read(folder)
    if reason is not None:
        warnings.warn(
            f"the winners of `groundup tune` in {folder} {reason}; ignored, the cost model alone "
            f"chooses: tune again, or remove them by `groundup tune --forget`",
            RuntimeWarning, stacklevel=2,
        )  # fmt: skip
    return sections.get(here.name, nothing) if here is not None else nothing


def read(folder: str) -> tuple[dict[str, dict[str, str]], str | None]:
    """(winners by section, why the file cannot be used)."""
    try:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(os.path.join(folder, _NAME), flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return {}, "are not in a file"
            open_to = system.current().why_not_private(status)
            if open_to:
                return {}, str(open_to)
            head, _, body = file.read().partition(b"\n")
    except FileNotFoundError:
        return {}, None
    except OSError as error:
        return {}, f"cannot be read: {error.strerror}"
    name, _, check = head.decode(errors="replace").partition(" ")
    if name != FORMAT:
        return {}, f"are of another format than {FORMAT}"
    if check != _digest(body):
        return {}, "are damaged: their checksum is another"
    import json  # a process without winners should not wait for it

    try:
        found = json.loads(body)
        sections = {
            str(name): {str(form): str(choice) for form, choice in winners.items()}
            for name, winners in found.items()
        }
    except (ValueError, AttributeError):
        return {}, "are damaged"
    return sections, None


def keep(new: dict[str, str]) -> None:
    """Add winners to those on disk; those kept longest go first when there are too many.

    Raises OSError where the file cannot be written.
    """
    import json

    folder, here = cache.directory(), section()
    if folder is None or here is None:
        raise OSError("there is no kernel cache, so winners cannot be kept")
    sections, _ = read(folder)
    mine = sections.pop(here.name, {})
    for form, choice in new.items():
        mine.pop(form, None)
        mine[form] = choice
    sections[here.name] = mine
    excess = sum(map(len, sections.values())) - MOST
    for winners in list(sections.values()):
        for form in list(winners)[: max(0, excess)]:
            del winners[form]
            excess -= 1
    body = json.dumps({name: w for name, w in sections.items() if w}, indent=0).encode()
    temporary = os.path.join(folder, f".{os.urandom(8).hex()}.tmp")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with open(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(f"{FORMAT} {_digest(body)}\n".encode() + body)
        os.replace(temporary, os.path.join(folder, _NAME))
    except OSError:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    _tables.clear()


def forget() -> int:
    """Remove all winners; how many there were. Raises OSError where they cannot be removed."""
    folder = cache.directory()
    _tables.clear()
    if folder is None:
        return 0
    sections, _ = read(folder)
    try:
        os.unlink(os.path.join(folder, _NAME))
    except FileNotFoundError:
        return 0
    return sum(map(len, sections.values()))


def _digest(body: bytes) -> str:
    return cache.digest(FORMAT, body.decode("latin-1")).hex()
