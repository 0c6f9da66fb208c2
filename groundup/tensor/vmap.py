"""`gu.vmap`: a function of one element as a function of a batch of them.

The function is run once, with tensors that stand for one element each; what it computes is then
written for the whole batch. Must not know any operation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ..ir import node as ir
from ..ir.dtype import uint64
from ..ir.extent import Extent
from ..ir.node import Node
from . import storage as store
from . import tree
from .core import Core, operand, wrap
from .engine import Unknown
from .errors import GradError, NoValue, ShapeError, at_line, check_dim
from .host import run_hosts
from .leaf import Leaf
from .mode import Block, state
from .storage import Storage
from .transforms import closed, opened

if TYPE_CHECKING:
    from ..autodiff import Batch
    from .tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])
Randomness = Literal["error", "different", "same"]
_KINDS = ("error", "different", "same")


class Element(Unknown):
    """What stands for one element of a batch."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def refusal(self) -> Exception:
        return NoValue(
            f"vmap: {self.name} asks for the value of a tensor that is another for each element of "
            f"the batch (item(), tolist(), numpy(), if, a size that depends on data): it is "
            f"written for one element and computed for all of them together; use gu.where in the "
            f"place of if, return the tensor and ask for its value outside, or loop in Python"
            + at_line()
        )


class Level:
    """One function that is being written for the elements of a batch."""

    def __init__(self, name: str, size: int, randomness: Randomness) -> None:
        self.name, self.size, self.randomness = name, size, randomness
        self.born = next(store.births)
        self.elements: set[Storage] = set()  # the arguments
        self.number = ir.buffer(Element(name), (), uint64)  # of the element
        numbers = ir.loops((size,), ir.cast(ir.out(0), uint64))
        self.given: dict[Node, Node] = {self.number: numbers}

    def element(self, x: Tensor) -> Tensor:
        """What stands for one element of x, along its first axis."""
        whole = operand(x)
        node = ir.buffer(Element(self.name), whole.shape[1:], whole.dtype)
        node.tracked, node.cut = whole.tracked, whole.cut
        self.given[node] = whole
        one = wrap(x, node, x)
        self.elements.add(one._storage)
        return one

    def check_write(self, storage: Storage, operation: str) -> None:
        """Raise for a write to what is not of this run of the function."""
        if storage in self.elements:
            raise RuntimeError(
                f"{operation} writes in place into an argument of {self.name}, which gu.vmap maps: "
                f"write into x.clone(), and return it" + at_line()
            )
        if storage.born < self.born:
            raise RuntimeError(
                f"{operation} writes in place into a tensor that {self.name} did not make, while "
                f"gu.vmap maps it: each element of the batch would write there; return the value "
                f"instead" + at_line()
            )

    def drawn(self, position: Node | None) -> Node | None:
        """Where random numbers of this element begin, in units of what one draws; `position`: the
        same of the functions around."""
        if self.randomness == "error":
            raise RuntimeError(
                f"vmap: {self.name} draws random numbers: say whether each element gets its own, "
                f"gu.vmap(…, randomness='different'), or all the same ones, randomness='same'"
                + at_line()
            )
        if self.randomness == "same":
            return position
        own = ir.read(self.number)
        if position is None:
            return own
        before = ir.alu("mul", position, ir.cast(ir.extent(self.size), uint64))
        return ir.alu("add", before, own)


def vmap(
    function: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: Randomness = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The function that applies a function to each element of a batch, all of them together.

    vmap(f)(x)[i] = f(x[i]), computed as one graph with an axis more, at the speed of operations on
    batches. Tensors may stand in nested tuples, lists and dicts.

    in_dims: the axis of each argument along which its elements lie, an int, None for an argument
    that all elements share, or a tuple for the arguments, nested as they are. Arguments by keyword
    are shared.
    out_dims: where the batch's axis goes in each result; None for one that is the same for all.
    randomness: 'error' if the function draws random numbers, 'different' ones for each element
    (those of one draw for the batch), or the 'same' ones for all.
    chunk_size: so many elements at a time, to save memory.

    Derivatives flow through, also to tensors that the function reaches; inside it, `gu.grad` and
    the like give those by one element. A value cannot be asked for inside (NoValue, with the
    line), nor may the function write in place into what it did not make.

    Raises ShapeError where batches differ in size or a result has no such axis.

    >>> x = gu.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> gu.vmap(lambda row: row @ row)(x).tolist()
    [5.0, 25.0]
    >>> gu.vmap(gu.grad(lambda row: (row**3).sum()))(x).tolist()
    [[3.0, 12.0], [27.0, 48.0]]
    """
    if randomness not in _KINDS:
        raise ValueError(f"vmap: randomness is one of {_KINDS}, not {randomness!r}" + at_line())
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"vmap: chunk_size is at least 1, not {chunk_size}" + at_line())
    name = getattr(function, "__name__", type(function).__name__)

    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves, spec = tree.flatten(args)
        dims = _dims(in_dims, leaves, spec, name)
        size = _size(leaves, dims, name)
        fronts = [_front(x, d) for x, d in zip(leaves, dims, strict=True)]

        def run(given: Sequence[Any], count: int) -> tuple[list[Any], list[int | None], tree.Spec]:
            return _run(function, name, given, dims, spec, kwargs, count, randomness, out_dims)

        if chunk_size is None or isinstance(size, Extent) or int(size) <= chunk_size:
            results, _, form = run(fronts, size)
            return tree.unflatten(results, form)
        return _in_chunks(run, fronts, dims, int(size), chunk_size)

    if hasattr(function, "__name__"):
        update_wrapper(mapped, function)
    return mapped


def _in_chunks(
    run: Any, fronts: Sequence[Any], dims: Sequence[int | None], size: int, chunk: int
) -> Any:
    from .shape import cat

    pieces = []
    for start in range(0, size, chunk):
        count = min(chunk, size - start)
        given = [x if d is None else x.narrow(0, start, count) for x, d in zip(fronts, dims)]
        pieces.append(run(given, count))
    _, where, form = pieces[0]
    columns = zip(*(p[0] for p in pieces), strict=True)
    joined = [c[0] if w is None else cat(list(c), w) for c, w in zip(columns, where, strict=True)]
    return tree.unflatten(joined, form)


def _dims(in_dims: Any, leaves: Sequence[Any], spec: tree.Spec, name: str) -> list[int | None]:
    """For each leaf of the arguments its axis, counted from the front; None: shared."""
    if isinstance(in_dims, list):
        in_dims = tuple(in_dims)
    found = tree.spread(in_dims, spec)
    if found is None:
        raise ValueError(
            f"vmap: in_dims {in_dims!r} is not built as the arguments of {name} are: an int or "
            f"None for each, or for what is nested in it" + at_line()
        )
    dims: list[int | None] = []
    for x, d in zip(leaves, found, strict=True):
        if d is None:
            dims.append(None)
            continue
        if not isinstance(d, int) or isinstance(d, bool):
            raise TypeError(f"vmap: in_dims holds axes (int) and None, not {d!r}" + at_line())
        if not isinstance(x, Core):
            raise TypeError(
                f"vmap: in_dims says that a {type(x).__name__} of {name}'s arguments has an axis "
                f"{d}, and only tensors have; say None for it" + at_line()
            )
        if not x.ndim:
            raise ShapeError(
                f"vmap: an argument of {name} is 0-d: it has no elements to map over; say None "
                f"for it in in_dims" + at_line()
            )
        dims.append(check_dim("vmap", d, x.ndim))
    return dims


def _size(leaves: Sequence[Any], dims: Sequence[int | None], name: str) -> int:
    sizes = [x._shape[d] for x, d in zip(leaves, dims, strict=True) if d is not None]
    if not sizes:
        raise ValueError(
            f"vmap: no argument of {name} has an axis to map over: in_dims says None for each"
            + at_line()
        )
    if any(int(s) != int(sizes[0]) for s in sizes):
        raise ShapeError(
            f"vmap: the arguments of {name} are batches of {', '.join(str(int(s)) for s in sizes)} "
            f"elements; they have one size along the axes that in_dims names" + at_line()
        )
    return next((s for s in sizes if isinstance(s, Extent)), sizes[0])


def _front(x: Any, dim: int | None) -> Any:
    from .shape import movedim

    return x if dim in (None, 0) else movedim(x, dim, 0)


def _run(
    function: Callable[..., Any], name: str, given: Sequence[Any], dims: Sequence[int | None],
    spec: tree.Spec, kwargs: dict[str, Any], size: int, randomness: Randomness, out_dims: Any,
) -> tuple[list[Any], list[int | None], tree.Spec]:  # fmt: skip
    """(results, the axis of the batch in each, how they are nested)"""
    from .. import autodiff

    level = Level(name, size, randomness)
    fronts = opened(given)
    ones = [x if d is None else level.element(x) for x, d in zip(fronts, dims, strict=True)]

    def within() -> Block:
        return Block("mapped", (*around, level))

    around = state.mapped
    with within(), Block("inlined", True), Block("anomaly", None):
        returned = function(*tree.unflatten(closed(given, ones), spec), **kwargs)
        results, form = tree.flatten(returned)
        where = tree.spread(out_dims, form)
        if where is None:
            raise ValueError(
                f"vmap: out_dims {out_dims!r} is not built as the results of {name} are" + at_line()
            )
        for r, d in zip(results, where, strict=True):
            if not isinstance(r, Core) and d is not None:
                raise TypeError(
                    f"vmap: {name} gives tensors, not a {type(r).__name__}; for what is the same "
                    f"for all elements say None in out_dims" + at_line()
                )
        reals = opened(results)
        nodes = {i: operand(r) for i, r in enumerate(reals) if isinstance(r, Core)}
    batch = autodiff.Batch(size, level.given, within, _run_hosts)
    batch.mapped(list(nodes.values()))
    _no_hooks(batch.known, name)
    sources = [x for x, d in zip(fronts, dims, strict=True) if d is not None]
    made: list[Any] = []
    axes: list[int | None] = []
    for i, (r, d) in enumerate(zip(results, where, strict=True)):
        t, axis = r, None
        if i in nodes:
            ndim = r.ndim + 1
            t, axis = _result(batch, nodes[i], reals[i], d, ndim, sources, name)
        made.append(t)
        axes.append(axis)
    return closed(results, made), axes, form


def _run_hosts(nodes: Sequence[Node]) -> None:
    """Host operations run at once, as everywhere, once they are those of whole batches."""
    if not state.mapped:
        run_hosts(nodes)


def _result(
    batch: Batch, one: Node, r: Core, dim: int | None, ndim: int, sources: Sequence[Core],
    name: str,
) -> tuple[Tensor, int | None]:
    """A result of all elements, and its axis."""
    from .shape import movedim

    whole = batch.known.get(one)
    if dim is None:
        if whole is not None:
            raise ValueError(
                f"vmap: out_dims says None for a result of {name} that is not the same for all "
                f"elements of the batch; say where its axis goes" + at_line()
            )
        return wrap(r, one, r), None
    axis = check_dim("vmap: out_dims", dim, ndim)
    t = wrap(r, batch.everywhere(one) if whole is None else whole, r, *sources)
    if state.anomaly is not None:
        state.anomaly(t.node)
    return (movedim(t, 0, axis) if axis else t), axis


def _no_hooks(known: dict[Node, Node], name: str) -> None:
    """A hook inside belongs to the derivative by one element, which nothing outside knows."""
    for one, whole in known.items():
        if one.op == "leaf" and isinstance(one.arg, Leaf) and one.arg.hooks and whole.tracked:
            raise GradError(
                f"vmap: {name} registers a hook on a tensor of one element, and derivatives flow "
                f"through it from outside, for all of them together; take the derivative inside, "
                f"or register the hook on a result of gu.vmap" + at_line()
            )
