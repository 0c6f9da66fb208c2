"""Streams of random numbers: Philox4x32-10, a function of (seed, draw, element), so that they do
not depend on threads. Written as integer arithmetic in a body, like any other operation.

Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel Random Numbers: As Easy as 1, 2, 3". Must not
know distributions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.extent import product
from ..ir.node import Node
from ..ir.transform import row_major
from ..runtime import pool
from . import storage as store
from .core import Core, finish, force, value_of
from .errors import at_line, whole_number
from .indexing import host_values
from .misuse import named
from .mode import Block
from .mode import state as mode
from .storage import from_values
from .tensor import Tensor

if TYPE_CHECKING:
    pass

# Table 2 and section 3.3 of the paper: the multipliers of Philox4x32 and the Weyl constants that
# bump its key (the golden ratio and √3 − 1, as fractions of 2³²).
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_MASK = 0xFFFFFFFF


Source = Callable[["Node | int"], list[Node]]  # (number of the trial) → four words of it
_SPLIT = 1  # the use of words that are seeds


def _seed(seed: int) -> int:
    """A seed as 64 bits; raises TypeError unless it is an integer."""
    try:
        return index(seed) & (2**64 - 1)
    except TypeError:
        raise TypeError(f"a seed is an integer, not a {type(seed).__name__}" + at_line()) from None


def _place(k: int) -> Tensor:
    """1 at place k of two, else 0."""
    return Tensor._make(from_values([int(k == 0), int(k == 1)], (2,), dt.uint64))


def _u64(value: int) -> Node:
    return ir.const(value, dt.uint64)


def _low(x: Node) -> Node:
    return ir.alu("and", x, _u64(_MASK))


def _high(x: Node) -> Node:
    return ir.alu("shr", x, _u64(32))


def philox(counter: Sequence[Node], key: Sequence[Node]) -> list[Node]:
    """Four 32-bit words, each in a uint64 expression, of a 4-word counter and a 2-word key."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for n in range(_ROUNDS):
        if n:
            k0 = _low(ir.alu("add", k0, _u64(_WEYL[0])))
            k1 = _low(ir.alu("add", k1, _u64(_WEYL[1])))
        p0 = ir.alu("mul", c0, _u64(_MULTIPLIERS[0]))
        p1 = ir.alu("mul", c2, _u64(_MULTIPLIERS[1]))
        c0, c1, c2, c3 = (
            ir.alu("xor", ir.alu("xor", _high(p1), c1), k0),
            _low(p1),
            ir.alu("xor", ir.alu("xor", _high(p0), c3), k1),
            _low(p0),
        )
    return [c0, c1, c2, c3]


class Generator:
    """A stream of random numbers: a seed and the number of draws so far, kept in a tensor.

    The numbers of a draw are a function of (seed, draw, element) alone. The whole state is that
    tensor of two uint64: it is copied with the generator (`clone`, copy.deepcopy), pickled with it,
    and given as plain numbers by `state_dict`. A captured function (`gu.jit`) that reaches a
    generator goes on with its stream at each call.

    >>> g = gu.Generator().manual_seed(3)
    >>> a = gu.rand(2, generator=g)
    >>> bool((gu.rand(2, generator=gu.Generator(3)) == a).all())
    True
    """

    def __init__(self, seed: int = 0) -> None:
        self.state = Tensor._make(from_values([_seed(seed), 0], (2,), dt.uint64))

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed."""
        with _no_grad():
            fresh = from_values([_seed(seed), 0], (2,), dt.uint64)
            self.state.copy_(Tensor._make(fresh))
        return self

    def seed(self) -> int:
        """Start again from a seed taken from the system, and return it."""
        value = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(value)
        return value

    def initial_seed(self) -> int:
        """The seed in use."""
        return int(self.state[0].item())

    def get_state(self) -> Tensor:
        """A copy of (seed, draws so far), for `set_state`."""
        return self.state.clone()

    def set_state(self, state: Core) -> Generator:
        """Go on from a state that `get_state` gave.

        Raises ValueError for anything but two numbers of uint64: each other tensor is the state of
        no generator of this library.
        """
        if not isinstance(state, Core) or state._shape != (2,) or state.dtype is not dt.uint64:
            what = (
                f"{state.dtype.name} of shape {tuple(state._shape)}"
                if isinstance(state, Core)
                else type(state).__name__
            )
            raise ValueError(
                f"set_state takes what get_state gave, two numbers of uint64 (the seed and the "
                f"draws so far), not {what}" + at_line()
            )
        with _no_grad():
            self.state.copy_(state)
        return self

    def state_dict(self) -> dict[str, int]:
        """The state as plain numbers, to be saved: {"seed": …, "draws": …}

        >>> gu.Generator(5).state_dict()
        {'seed': 5, 'draws': 0}
        """
        seed, draws = host_values(self.state, "state_dict")
        return {"seed": int(seed), "draws": int(draws)}

    def load_state_dict(self, state: Mapping[str, int]) -> Generator:
        """Go on from what `state_dict` gave.

        >>> g = gu.Generator(5)
        >>> a, saved = gu.rand(3, generator=g), g.state_dict()
        >>> b = gu.rand(3, generator=g)
        >>> bool((gu.rand(3, generator=gu.Generator().load_state_dict(saved)) == b).all())
        True
        """
        if not isinstance(state, dict) or set(state) != {"seed", "draws"}:
            given = sorted(map(str, state)) if isinstance(state, dict) else type(state).__name__
            raise ValueError(
                f"load_state_dict takes what state_dict gave, the numbers seed and draws, not "
                f"{given}" + at_line()
            )
        values = [whole_number("load_state_dict", k, state[k]) % 2**64 for k in ("seed", "draws")]
        return self.set_state(Tensor._make(from_values(values, (2,), dt.uint64)))

    def clone(self) -> Generator:
        """Another generator that goes on from the same state, on its own.

        >>> g = gu.Generator(1)
        >>> bool((gu.rand(3, generator=g.clone()) == gu.rand(3, generator=g)).all())
        True
        """
        return Generator().set_state(self.state)

    def split(self, n: int = 2) -> list[Generator]:
        """n generators of streams of their own, independent of one another and of what this one
        goes on to give; it counts as one draw here.

        The seed of child k is Philox(this seed; draw, element k), two of its four words, so
        splitting again gives others, and the same state gives the same children, also in a captured
        function (where one made outside takes up a child: kept.set_state(child.state)). Two of m
        streams in all share their seed with a probability of about m² / 2⁶⁵.

        >>> data, noise = gu.Generator(0).split()
        >>> bool((gu.rand(3, generator=data) == gu.rand(3, generator=noise)).any())
        False
        """
        n = whole_number("split", "the number of generators", n)
        if n < 0:
            raise ValueError(f"split: the number of generators is 0 or more, not {n}" + at_line())
        words, state = self.draw((n,), _SPLIT)
        seeds = finish(ir.loops((n,), ir.alu("or", ir.alu("shl", words[1], _u64(32)), words[0])),
                       state)  # fmt: skip
        children = []
        for k in range(n):
            child = Generator.__new__(Generator)
            child.state = seeds[k] * _place(0)
            if store.tracing() is None:
                force([child.state._storage])
            children.append(child)
        return children

    def __getstate__(self) -> dict[str, int]:
        return self.state_dict()

    def __setstate__(self, state: dict[str, int]) -> None:
        Generator.__init__(self)
        self.load_state_dict(state)

    def __repr__(self) -> str:
        if store.tracing() is not None:
            return "Generator(…)"
        seed, draws = self.state_dict().values()
        return f"Generator(seed={seed}, draws={draws})"

    def source(self, shape: tuple[int, ...], use: int = 0) -> tuple[Source, Core]:
        """A draw: a function that gives four random words for each element of a shape, and of a
        number of the element's trials (expressions at its output variables), and the state.

        `use` tells apart what has nothing in common: numbers from 0, the seeds of `split` from 1.
        """
        with pool.lock:  # threads that share a generator draw different numbers
            snapshot = self._taken()
        node = snapshot._storage.read()
        seed, draw = ir.read(node, ir.index(0)), ir.read(node, ir.index(1))
        element = ir.cast(row_major(shape, tuple(ir.outs(len(shape)))), dt.uint64)
        first: Node | None = None  # of an element of a batch, see vmap
        for batch in mode.mapped:
            first = batch.drawn(first)
        if first is not None:
            count = ir.cast(ir.extent(product(shape)), dt.uint64)
            element = ir.alu("add", ir.alu("mul", first, count), element)
        key = [_low(seed), _high(seed)]

        def words(trial: Node | int) -> list[Node]:
            upper = _high(element)
            if use or isinstance(trial, Node) or trial:
                # No tensor has 2⁴⁸ elements: the upper 16 bits of their number say which trial.
                number = ir.cast(trial, dt.uint64) if isinstance(trial, Node) else _u64(trial)
                shifted = ir.alu("shl", number, _u64(16))
                upper = ir.alu("or", upper, ir.alu("or", shifted, _u64(use << 31)))
            return philox([_low(element), upper, _low(draw), _high(draw)], key)

        return words, snapshot

    def _taken(self) -> Core:
        """The state now, which nobody else draws from."""
        state = self.state
        if store.tracing() is None:  # a chain of pending states would be computed again and again
            force([state._storage])
        node = value_of(state)
        snapshot = Tensor._make(store.Storage((2,), dt.uint64, node))
        snapshot._storage.oldest = state._storage.oldest
        self.advance()
        return snapshot

    def draw(self, shape: tuple[int, ...], use: int = 0) -> tuple[list[Node], Core]:
        """Four random words for each element of a shape (expressions at its output variables)."""
        words, state = self.source(shape, use)
        return words(0), state

    def advance(self) -> None:
        """Count a draw."""
        s = self.state._storage
        if store.tracing() is None:
            s.set(1, (int(s.get(1)) + 1) & (2**64 - 1))
            return
        node = value_of(self.state)
        value = ir.read(node, ir.out(0))
        step = ir.cast(ir.out(0), dt.uint64)  # 0 for the seed, 1 for the count
        with _no_grad(), Block("mapped", ()):
            self.state.assign(
                "random numbers", ir.loops((2,), ir.alu("add", value, step)), s.oldest
            )


def _no_grad() -> Any:
    from .mode import no_grad

    return no_grad()


default_generator = Generator(0)


def known() -> bool:
    """May values be looked at now? Not while a function is captured, or written for one element of
    a batch."""
    return store.tracing() is None and not mode.mapped


def chosen(generator: Generator | None) -> Generator:
    """The generator that was given, else the default one."""
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise TypeError(
            f"generator is a gu.Generator or None, not a {type(generator).__name__}" + at_line()
        )
    return generator


@named
def manual_seed(seed: int) -> Generator:
    """Start the default generator again from a seed.

    >>> g = gu.manual_seed(0)
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the system and return the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The default generator's seed."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state."""
    return default_generator.get_state()


@named
def set_rng_state(state: Core) -> None:
    """Set the default generator's state."""
    default_generator.set_state(state)
