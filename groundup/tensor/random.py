"""Random numbers: Philox4x32-10, a function of (seed, draw, element), so that they do not depend
on threads. Written as integer arithmetic in a body, like any other operation.

Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel Random Numbers: As Easy as 1, 2, 3".
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import TYPE_CHECKING, Any

from ..ir import dtype as dt
from ..ir import node as ir
from ..ir.dtype import DType
from ..ir.extent import product, symbolic_key
from ..ir.node import Node
from ..ir.transform import row_major
from ..runtime import pool
from . import pointwise as pw
from . import storage as store
from .core import Core, finish, force, value_of
from .engine import debugging
from .errors import at_line, whole_number
from .indexing import host_values
from .misuse import named
from .mode import Block
from .mode import state as mode
from .shape import sizes
from .storage import from_values
from .tensor import Tensor

if TYPE_CHECKING:
    from ..schedule import Plan

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


# ---- distributions -------------------------------------------------------------------------------


def uniform_number(words: list[Node], dtype: DType) -> Node:
    """[0, 1): the upper 24 bits of a word (53 of two, for float64), each step equally likely."""
    if dtype is dt.float64:
        both = ir.alu("or", ir.alu("shl", words[1], _u64(32)), words[0])
        return ir.alu(
            "mul",
            ir.cast(ir.alu("shr", both, _u64(11)), dtype),
            ir.const(2.0**-53, dtype),
        )
    x = ir.cast(ir.alu("shr", words[0], _u64(8)), dt.float32)
    return ir.alu("mul", x, ir.const(2.0**-24, dt.float32))


def normal_number(words: list[Node], dtype: DType) -> Node:
    """√(−2 log u) · cos(2π v), u in (0, 1], v in [0, 1) (Box & Muller 1958)."""
    wide = dt.float64 if dtype is dt.float64 else dt.float32
    scale, half = ir.const(2.0**-32, wide), ir.const(2.0**-33, wide)
    u = ir.alu("add", ir.alu("mul", ir.cast(words[0], wide), scale), half)
    v = ir.alu("mul", ir.cast(words[1], wide), scale)
    radius = ir.alu("sqrt", ir.alu("mul", ir.const(-2.0, wide), ir.alu("log", u)))
    angle = ir.alu("mul", ir.const(6.283185307179586, wide), v)
    return ir.alu("mul", radius, ir.alu("cos", angle))


def _random(
    shape: tuple[int, ...],
    generator: Generator | None,
    body: Callable[[list[Node]], Node],
    requires_grad: bool = False,
) -> Tensor:
    words, state = chosen(generator).draw(shape)
    result = finish(ir.loops(shape, body(words)), state)
    return result.requires_grad_() if requires_grad else result


def _floating(name: str, dtype: DType) -> None:
    if not dtype.is_float:
        raise TypeError(f"{name} gives floating types, not {dtype.name}; see randint" + at_line())


def rand(
    *size: Any,
    dtype: DType = dt.float32,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform numbers from [0, 1)."""
    if dtype.is_complex:
        from .complex.create import rand as counterpart

        return counterpart(sizes(size), dtype, generator, requires_grad)
    _floating("rand", dtype)
    return _random(
        sizes(size), generator, lambda w: ir.cast(uniform_number(w, dtype), dtype), requires_grad
    )


def randn(
    *size: Any,
    dtype: DType = dt.float32,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers of mean 0 and variance 1; of a complex type, ½ in each part."""
    if dtype.is_complex:
        from .complex.create import randn as counterpart

        return counterpart(sizes(size), dtype, generator, requires_grad)
    _floating("randn", dtype)
    return _random(
        sizes(size), generator, lambda w: ir.cast(normal_number(w, dtype), dtype), requires_grad
    )


_DRAWS: dict[str, Callable[..., Tensor]] = {"uniform": rand, "normal": randn}
_fills: dict[tuple[Any, ...], Plan] = {}
_KEPT = 4096  # plans remembered by what they draw


def fill(
    target: Core, kind: str, scale: float, shift: float, generator: Generator | None = None
) -> None:
    """target ← draw · scale + shift, now; "uniform" draws are from [0, 1), "normal" ones N(0, 1).

    A model draws once for each of its parameters, many of one shape: the expression of the first is
    remembered as its plan, and the others only run it. They get the numbers that it would give.
    """
    with _no_grad(), pool.lock:
        tracing = store.tracing() is not None
        if tracing or mode.mapped or debugging() or not _whole(target):
            value = scaled(target, kind, scale, shift, generator)
            target.assign(kind, value_of(value), value._storage.oldest)
            if not (tracing or mode.mapped):
                force([target._storage])
            return
        target.check_writable(kind)
        key = (kind, target._shape, target.dtype, float(scale).hex(), float(shift).hex())
        plan = _fills.get(key)
        stream = chosen(generator)
        state = stream.state._storage
        force([state])
        before = state.buffer
        assert before is not None
        if plan is None:
            from ..schedule import Signature, plan_for

            node = value_of(scaled(target, kind, scale, shift, generator))
            signature = Signature([node])
            plan = plan_for(signature, [node], (None,))
            if signature.buffers == [before]:
                if len(_fills) >= _KEPT:
                    del _fills[next(iter(_fills))]
                _fills[key] = plan
            (result,) = plan.run(signature.buffers, None, (None,))
        else:
            (result,) = plan.run([before], None, (None,))
            del before  # else the state would be copied to be advanced
            stream.advance()
        target._storage.put(result)


def _whole(t: Core) -> bool:
    """Is a tensor all of its own memory, of a size that is a number?"""
    return t._parent is None and t._storage.owner is None and symbolic_key(t._shape) is None


def scaled(
    target: Core, kind: str, scale: float, shift: float, generator: Generator | None
) -> Tensor:
    """draw · scale + shift in the shape and type of a tensor."""
    draws = _DRAWS[kind](target._shape, dtype=target.dtype, generator=generator)
    return draws * scale + shift


@named
def randint(
    low: int,
    high: int | Sequence[int] | None = None,
    size: Sequence[int] | None = None,
    dtype: DType = dt.int64,
    generator: Generator | None = None,
) -> Tensor:
    """Integers from low (0 if left out) up to but without high, equally likely.

    A 64-bit number modulo high − low: the bias is less than (high − low) / 2⁶⁴.
    """
    shape = high if size is None else size
    first, end = (low, high) if isinstance(high, int) else (0, low)
    if shape is None or isinstance(shape, int):
        raise TypeError("randint(low, high, size) or randint(high, size)" + at_line())
    first = whole_number("randint", "low", first)
    end = whole_number("randint", "high", end)
    if not isinstance(dtype, DType):
        raise TypeError(f"randint: dtype is a type, not a {type(dtype).__name__}" + at_line())
    if dtype.is_complex:
        raise TypeError(f"randint gives whole numbers, not {dtype.name}" + at_line())
    if end <= first:
        raise ValueError(f"randint: nothing from {first} up to but without {end}" + at_line())
    if first < -(2**63) or end > 2**63:
        raise OverflowError(f"randint: {first} to {end} is more than int64 holds" + at_line())

    return integers(first, end, sizes((shape,)), dtype, generator)


def integers(
    first: int, end: int, shape: tuple[int, ...], dtype: DType, generator: Generator | None
) -> Tensor:
    """Integers from first up to but without end, which both 64 bits hold, equally likely."""
    kind = dt.int64 if first < 0 else dt.uint64

    def body(words: list[Node]) -> Node:
        both = ir.alu("or", ir.alu("shl", words[1], _u64(32)), words[0])
        rest = both if end - first == 2**64 else ir.alu("mod", both, _u64(end - first))
        value = ir.alu("add", rest, _u64(first & (2**64 - 1)))  # wraps, as two's complement does
        return ir.cast(ir.cast(value, kind), dtype)

    return _random(shape, generator, body)


@named
def bernoulli(p: Core, generator: Generator | None = None) -> Tensor:
    """1 with probability p[…], else 0, in p's shape and type.

    Raises ValueError for a p outside [0, 1] or NaN (in captured functions, 0 comes of NaN).

    >>> gu.bernoulli(gu.tensor([0.0, 1.0])).tolist()
    [0.0, 1.0]
    """
    if not isinstance(p, Core):
        raise TypeError(f"bernoulli takes a tensor, not a {type(p).__name__}" + at_line())
    _floating("bernoulli", p.dtype)
    if store.tracing() is None:
        fine = pw.binary("and", pw.binary("le", 0.0, p), pw.binary("le", p, 1.0))
        if not bool(fine.all().item()):
            raise ValueError(
                f"bernoulli: probabilities are from 0 to 1, everywhere in a tensor of shape "
                f"{tuple(p._shape)}" + at_line()
            )
    words, state = chosen(generator).draw(p._shape)
    kind = dt.float64 if p.dtype is dt.float64 else dt.float32
    probability = ir.cast(pw.read_at(value_of(p), p._shape), kind)
    below = ir.alu("lt", uniform_number(words, kind), probability)
    return finish(ir.loops(p._shape, ir.cast(below, p.dtype)), p, state)


@named
def randperm(n: int, generator: Generator | None = None) -> Tensor:
    """The numbers 0 … n − 1 in a random order: sorted by random 64-bit keys (computed now)."""
    n = whole_number("randperm", "n", n)
    if n < 0:
        raise ValueError(f"randperm: n is 0 or more, not {n}" + at_line())

    def body(words: list[Node]) -> Node:
        return ir.alu("or", ir.alu("shl", words[1], _u64(32)), words[0])

    keys: list[Any] = host_values(_random((n,), generator, body), "randperm")
    order: list[int] = sorted(range(n), key=keys.__getitem__)
    return Tensor._make(from_values(order, (n,), dt.int64))


@named
def rand_like(a: Core, dtype: DType | None = None, generator: Generator | None = None) -> Tensor:
    """Uniform numbers from [0, 1) in the shape and type of another tensor."""
    return rand(a._shape, dtype=dtype or a.dtype, generator=generator)


@named
def randn_like(a: Core, dtype: DType | None = None, generator: Generator | None = None) -> Tensor:
    """Normal numbers in the shape and type of another tensor."""
    return randn(a._shape, dtype=dtype or a.dtype, generator=generator)


def _outcomes(p: Core, count: int, replacement: bool) -> None:
    """Raise unless so many indices can be drawn from the rows of p."""
    if not isinstance(p, Core):
        raise TypeError(f"multinomial takes a tensor, not a {type(p).__name__}" + at_line())
    count = whole_number("multinomial", "num_samples", count)
    if p.ndim not in (1, 2) or not p.dtype.is_float:
        raise ValueError(
            f"multinomial: floating probabilities in one axis or two, not {p.dtype.name} of shape "
            f"{tuple(p._shape)}" + at_line()
        )
    size = int(p._shape[-1])
    if count < 1 or (count > size and not replacement) or size == 0:
        raise ValueError(
            f"multinomial: {count} of {size} outcomes cannot be drawn"
            + ("" if replacement else " without replacement") + at_line()
        )  # fmt: skip
    if store.tracing() is not None:
        return
    values = host_values(p, "multinomial")
    totals = [sum(values[i : i + size]) for i in range(0, len(values), size)]
    if not all(0 <= v < math.inf for v in values) or not all(t > 0 for t in totals):
        raise ValueError(
            "multinomial: probabilities are finite, not negative, and not all 0" + at_line()
        )


@named
def multinomial(
    p: Core, num_samples: int, replacement: bool = False, generator: Generator | None = None
) -> Tensor:
    """Indices drawn with probabilities proportional to the rows of p.

    With replacement by the running sum of p; without, the largest log p + Gumbel noise.
    """
    from .running import cumsum

    _outcomes(p, num_samples, replacement)
    rows = p._shape[:-1]
    if replacement:
        total = cumsum(p, -1)
        at = rand(*rows, num_samples, 1, dtype=p.dtype, generator=generator)
        bound = total.unsqueeze(-2)
        last = total[..., -1:].unsqueeze(-2)
        found: Tensor = (bound <= at * last).sum(-1)
        return found.clamp_max(int(p._shape[-1]) - 1)
    noise = -(-(rand_like(p, generator=generator) + 1e-20).log()).log()
    keys = (pw.log(p) + noise).reshape(-1, p._shape[-1]).tolist()
    if any(sum(k > float("-inf") for k in row) < num_samples for row in keys):
        raise ValueError(f"multinomial: fewer than {num_samples} outcomes are possible" + at_line())
    picked = [sorted(range(len(r)), key=lambda i: -r[i])[:num_samples] for r in keys]
    flat = [i for row in picked for i in row]
    return Tensor._make(from_values(flat, (*rows, num_samples), dt.int64))
