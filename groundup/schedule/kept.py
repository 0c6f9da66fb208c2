"""Plans on disk: what a large graph becomes lies beside the machine code of its kernels, so that a
new process does not schedule again what an earlier one has scheduled.

Only what runs is kept: which code, with which words, on which memory. Must not know how a plan is
made or run.
"""

from __future__ import annotations

import marshal
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..emit import llvm
from ..emit.fingerprint import code_of
from ..runtime import Address, Source, cache, entries, loaded, target
from . import steps
from .order import Slot
from .signature import Signature
from .sizes import Size, Sym
from .steps import Check, Result, Step, Temp

# Entries of a graph's key: below, it is scheduled almost as fast as it is looked up.
LARGE = 300
SIDES = 4  # plans of one name that are looked through before the size itself is a part of it
_FORMAT = 2  # of marshal: equal values are equal bytes
_REFS = {"slot": Slot, "result": Result, "temp": Temp}


class Parts(NamedTuple):
    """What runs of a plan, and for which runtime sizes (see Plan)."""

    hint: int | None
    least: int
    most: int
    steps: list[Step]  # without kernels and groups
    addresses: list[Address]  # of the code of each
    temps: list[Size]
    checks: list[Check]
    copies: list[tuple[int, int]]
    donated: dict[int, int]
    bytes: list[Size]


def name_of(signature: Signature, into: Sequence[int | None]) -> bytes | None:
    """Where the plan of a graph is kept: a digest of the graph and of all else that decides what
    it becomes; of a runtime size, its number of octal digits. None where it is not to be kept."""
    if len(signature.key) < LARGE or cache.directory() is None or steps.listener is not None:
        return None
    from . import winners  # a first small result should not wait for it

    code = code_of("ir", "emit", "schedule", "runtime")
    if code is None:
        return None
    parts = [(*e[:1], e[1].name, *e[2:]) for e in signature.key[:-1]]
    try:
        size = None if signature.n is None else (signature.n.bit_length() + 2) // 3
        graph = marshal.dumps((parts, signature.key[-1], tuple(into), size), _FORMAT)
    except ValueError:  # it holds what only this process knows
        return None
    made = (sys.version, code, target.host().key, winners.version())
    return cache.digest("plan", *made, graph)


def keep(name: bytes, parts: Parts, sources: Sequence[Source]) -> None:
    """Keep a plan; `sources` are those of the kernels of its steps."""
    codes: dict[bytes, int] = {}
    steps = []
    different = {id(s): s for s in sources}  # equal layers have one
    names = dict(zip(different, entries(list(different.values())), strict=True))
    for step, source in zip(parts.steps, sources, strict=True):
        entry = names[id(source)]
        steps.append((
            codes.setdefault(entry, len(codes)), [_word(w) for w in step.words],
            int(step.parallel), [_ref(w) for w in step.writes], [_ref(r) for r in step.reads],
            bool(step.checks), None if step.scratch is None else _ref(step.scratch),
        ))  # fmt: skip
    data = (
        (parts.hint, parts.least, parts.most), list(codes), steps, [_word(t) for t in parts.temps],
        [(c.axis, tuple(int(s) for s in c.shape), c.site) for c in parts.checks],
        parts.copies, list(parts.donated.items()), [_word(b) for b in parts.bytes],
    )  # fmt: skip
    cache.store(name, marshal.dumps(data, _FORMAT))


def find(signature: Signature, into: Sequence[int | None]) -> tuple[bytes | None, Parts | None]:
    """(where the plan of a graph is kept, or None if it is not to be; the plan, if it is there).

    A runtime size of the same number of digits may want another order of sums than that whose plan
    has the name: then the name of its own plan says on which side of that one it lies.
    """
    name, n, sides = name_of(signature, into), signature.n, 0
    while name is not None and (data := cache.load(name)) is not None:
        found = marshal.loads(data)
        _, least, most = found[0]
        if n is None or least <= n <= most:
            return name, _recalled(*found)
        sides += 1
        side = "above" if n > most else "below"
        name = cache.digest("plan", name, side if sides < SIDES else str(n))
    return name, None


def _recalled(
    sizes_for: Any, codes: Any, rows: Any, temps: Any, checks: Any, copies: Any, donated: Any,
    sizes: Any,
) -> Parts | None:  # fmt: skip
    """A plan; None if the code of one of its kernels is not there."""
    addresses = loaded(codes, llvm.SYMBOL)
    if addresses is None:
        return None
    hint, least, most = sizes_for
    nothing: Any = None  # the kernel itself is not kept
    steps = [
        Step(nothing, [_unword(w) for w in words], parallel, tuple(_unref(w) for w in writes),
             {_unref(r) for r in reads}, (), (), checking,
             None if scratch is None else _unref(scratch))
        for _, words, parallel, writes, reads, checking, scratch in rows
    ]  # fmt: skip
    return Parts(
        hint, least, most, steps, [addresses[row[0]] for row in rows], [_unword(t) for t in temps],
        [Check(*c) for c in checks], copies, dict(donated),
        [_unword(b) for b in sizes],
    )  # fmt: skip


def _ref(ref: Any) -> tuple[str, int]:
    return type(ref).__name__.lower(), ref.index


def _unref(ref: tuple[str, int]) -> Any:
    return _REFS[ref[0]](ref[1])


def _word(word: Any) -> Any:
    if type(word) is int or word == "status":
        return word
    if isinstance(word, Sym):
        return ("size", *word)
    if isinstance(word, tuple) and word[0] == "pointer":
        return ("pointer", *_ref(word[1]))
    if isinstance(word, int):
        return int(word)
    raise TypeError(f"no words for {word!r}")


def _unword(word: Any) -> Any:
    if type(word) is not tuple:
        return word
    if word[0] == "size":
        return Sym(*word[1:])
    return "pointer", _unref(word[1:])
