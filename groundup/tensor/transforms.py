"""Functions of functions: derivatives forward and in reverse, Jacobians and Hessians.

Tensors may stand in nested tuples, lists and dicts; every transform can be applied to the result of
another. Must not know the derivative of any operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..ir import node as ir
from ..ir.extent import product
from ..ir.node import Node
from ..ir.transform import TENSOR_OPS, toposort
from . import tree
from .backward import differentiated
from .core import Core, Paired, is_complex, operand, wrap
from .errors import GradError, ShapeError, at_line, lined_up
from .leaf import Leaf
from .mode import Block, enable_grad, state

if TYPE_CHECKING:
    from .tensor import Tensor

Function = Callable[..., Any]


# ---- probes: arguments as places where derivatives are taken -------------------------------------


@contextmanager
def traced(probes: Sequence[Core]) -> Iterator[None]:
    """Where a function of probes runs, whose expressions are wanted: with derivatives, captured
    functions as they are written (what those give back has no history)."""
    try:
        with enable_grad(), Block("inlined", True):
            yield
    finally:
        for p in probes:
            assert p._leaf is not None
            p._leaf.open = False


def opened(tensors: Sequence[Any]) -> list[Any]:
    """Tensors with the pairs of real numbers in the place of complex ones."""
    return [x._pair if isinstance(x, Paired) else x for x in tensors]


def closed(like: Sequence[Any], tensors: Sequence[Any]) -> list[Any]:
    """Tensors with complex ones in the place of pairs, where `like` has complex ones."""
    return [_like_pair(x, t) for x, t in zip(like, tensors, strict=True)]


def _like_pair(like: Any, t: Any) -> Any:
    return like.over(lambda _: t) if isinstance(like, Paired) else t


def _probe(x: Any, name: str) -> Tensor:
    """The value of a tensor (and its history) as a place where derivatives are taken."""
    x = x._pair if isinstance(x, Paired) else x
    if not isinstance(x, Core):
        raise TypeError(
            f"{name}: derivatives are taken by tensors, not by a {type(x).__name__}" + at_line()
        )
    if not x.dtype.is_float:
        raise GradError(
            f"{name}: derivatives are taken by floating tensors, not by {x.dtype.name}" + at_line()
        )
    probe = wrap(x, operand(x), x)
    probe._leaf = Leaf(None)
    probe._leaf.open = True
    return probe


def _tensors(results: Sequence[Any], name: str, floating: bool = True) -> None:
    for r in results:
        if not isinstance(r, Core):
            raise TypeError(
                f"{name}: the function gives tensors (in tuples, lists and dicts), not a "
                f"{type(r).__name__}" + at_line()
            )
        if floating and not (r.dtype.is_float or isinstance(r, Paired)):
            raise GradError(
                f"{name}: a result of type {r.dtype.name} has no derivative; convert it with "
                f".to(), or give it back beside the result, with has_aux=True" + at_line()
            )


def released(results: Sequence[Core], probes: Sequence[Core]) -> list[Tensor]:
    """Results of a function of probes as tensors of the world outside, with what history they
    have there."""
    own = {p._leaf for p in probes}
    nodes = [operand(r) for r in results]
    outside = _outside(nodes, own) if state.grad else set()
    nodes = [n if n in outside else _without_history(n) for n in nodes]
    return [wrap(r, n, r) for r, n in zip(results, nodes, strict=True)]


def _without_history(node: Node) -> Node:
    """A value to which no derivative flows outside; if one should, it is known."""
    return ir.detach(node) if node.cut is None else ir.cut(node, node.cut)


def _outside(nodes: Sequence[Node], own: set[Any]) -> set[Node]:
    """Of the nodes and all that they are computed from: those through which derivatives flow to
    other leaves than these."""
    found: set[Node] = set()
    for n in toposort(nodes, stop=lambda n: not n.tracked and n.op in TENSOR_OPS):
        if not n.tracked:
            continue
        if n.op == "leaf" and n.arg not in own:
            alive = isinstance(n.arg, Leaf) and n.arg.alive()
            if alive or n.src[0] in found:
                found.add(n)
        elif n.op == "buffer" or any(s in found for s in n.src):
            found.add(n)
    return found


def _parts(returned: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    if not has_aux:
        return returned, None
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise TypeError(
            f"{name}: with has_aux=True the function gives a pair (result, aux), not a "
            f"{type(returned).__name__}" + at_line()
        )
    return returned


def _aux(aux: Any, probes: Sequence[Core]) -> Any:
    """What is given back beside a result, its tensors without the history inside."""
    leaves, spec = tree.flatten(aux)
    at = [i for i, x in enumerate(leaves) if isinstance(x, Core)]
    tensors = [leaves[i] for i in at]
    for i, t in zip(at, closed(tensors, released(opened(tensors), probes)), strict=True):
        leaves[i] = t
    return tree.unflatten(leaves, spec)


# ---- reverse mode --------------------------------------------------------------------------------


def vjp(function: Function, *primals: Any, has_aux: bool = False) -> Any:
    """The value of a function, and the function that takes derivatives of it in reverse mode.

    (f(x), v ↦ vᵀ · ∂f/∂x): the second is given a tensor like each result, built as the result is,
    and gives a tuple, for each argument what is built as it is. Of complex numbers, as in PyTorch,
    the derivative of a real L is ∂L/∂re + i·∂L/∂im.
    has_aux: the function gives (result, aux), and (result, derivative, aux) is what you get.

    Raises GradError for arguments or results that are not floating, ShapeError for a v of another
    shape.

    >>> y, pull = gu.vjp(lambda x: x * x, gu.tensor([1.0, 2.0]))
    >>> pull(gu.tensor([1.0, 10.0]))[0].tolist()
    [2.0, 40.0]
    """
    if not primals:
        raise TypeError("vjp: there is no argument to take derivatives by" + at_line())
    flat, spec = tree.flatten(primals)
    probes = [_probe(x, "vjp") for x in flat]
    with traced(probes):
        given = tree.unflatten(closed(flat, probes), spec)
        returned, aux = _parts(function(*given), has_aux, "vjp")
    results, form = tree.flatten(returned)
    _tensors(results, "vjp")
    reals = opened(results)

    def pull(cotangents: Any) -> Any:
        given, built = tree.flatten(cotangents)
        if built != form:
            raise TypeError(
                "vjp: what multiplies the results is built as they are: a tensor for each"
                + at_line()
            )
        for v, r in zip(given, results, strict=True):
            _like("vjp", v, r)
        seeds = opened(given)
        nodes = differentiated(reals, seeds, probes)
        return tree.unflatten(closed(flat, _given(probes, nodes, (*reals, *seeds), probes)), spec)

    value = tree.unflatten(closed(results, released(reals, probes)), form)
    return (value, pull, _aux(aux, probes)) if has_aux else (value, pull)


def _like(name: str, v: Any, r: Core) -> None:
    if not isinstance(v, Core) or v._shape != r._shape:
        if isinstance(v, Core):
            raise ShapeError(
                f"{name}: what multiplies a tensor has its shape"
                + lined_up(tensor=r._shape, given=v._shape) + at_line()
            )  # fmt: skip
        raise TypeError(f"{name}: a tensor was expected, not a {type(v).__name__}" + at_line())
    if v.dtype is not r.dtype:
        raise TypeError(
            f"{name}: what multiplies a {r.dtype.name} tensor is {r.dtype.name}, not "
            f"{v.dtype.name}; convert it with .to()" + at_line()
        )


def _given(
    like: Sequence[Core], nodes: Sequence[Node | None], sources: Sequence[Core],
    probes: Sequence[Core],
) -> list[Tensor]:  # fmt: skip
    """Derivatives as tensors of the world outside; where there is none, zeros."""
    with enable_grad():
        whole = [
            wrap(x, ir.loops(x._shape, ir.const(0, x.dtype)) if n is None else n, *sources)
            for x, n in zip(like, nodes, strict=True)
        ]
    return released(whole, probes)


def grad(
    function: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The function that gives the derivative of a function with one number as its result.

    grad(f)(x) = ∂f/∂x at x, built as x is (a tensor, or a nested tuple, list or dict of them);
    `argnums` names by which arguments: for several, a tuple. Can be applied again, to any order.
    has_aux: f gives (number, aux), and grad(f)(x) gives (derivative, aux).

    Raises ShapeError where the result is not one number, GradError for an argument that is not
    floating.

    >>> gu.grad(lambda x: (x * x).sum())(gu.tensor([1.0, 2.0])).tolist()
    [2.0, 4.0]
    """

    def derived(*args: Any, **kwargs: Any) -> Any:
        found, _, aux = _value_and_slope(function, argnums, has_aux, "grad", args, kwargs)
        return (found, aux) if has_aux else found

    return derived


def grad_and_value(
    function: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Like `grad`, giving (derivative, value), or with has_aux (derivative, (value, aux)).

    >>> slope, value = gu.grad_and_value(lambda x: (x * x).sum())(gu.tensor([1.0, 2.0]))
    >>> slope.tolist(), value.item()
    ([2.0, 4.0], 5.0)
    """

    def derived(*args: Any, **kwargs: Any) -> Any:
        found, value, aux = _value_and_slope(
            function, argnums, has_aux, "grad_and_value", args, kwargs
        )
        return (found, (value, aux)) if has_aux else (found, value)

    return derived


def _value_and_slope(
    function: Function, argnums: int | Sequence[int], has_aux: bool, name: str,
    args: tuple[Any, ...], kwargs: dict[str, Any],
) -> tuple[Any, Tensor, Any]:  # fmt: skip
    several = not isinstance(argnums, int)
    numbers = [_number(n, args, name) for n in ([argnums] if isinstance(argnums, int) else argnums)]
    flat, spec = tree.flatten(tuple(args[n] for n in numbers))
    probes = [_probe(x, name) for x in flat]
    given = list(args)
    for n, x in zip(numbers, tree.unflatten(closed(flat, probes), spec), strict=True):
        given[n] = x
    with traced(probes):
        result, aux = _parts(function(*given, **kwargs), has_aux, name)
    _tensors([result], name)
    if isinstance(result, Paired):
        raise GradError(
            f"{name}: the function gives one real number, not {result.dtype.name}; take its "
            f".real, .abs() or the like" + at_line()
        )
    if any(s != 1 for s in result._shape):
        raise ShapeError(
            f"{name}: the function gives one number, such as a loss; sum it, or see gu.jacrev"
            + lined_up(shape=result._shape) + at_line()
        )  # fmt: skip
    nodes: Sequence[Node | None] = [None] * len(probes)
    if result.tracked():
        nodes = differentiated([result], [None], probes)
    found = tree.unflatten(closed(flat, _given(probes, nodes, (result,), probes)), spec)
    (value,) = released([result], probes)
    return found if several else found[0], value, _aux(aux, probes) if has_aux else None


def _number(n: int, args: Sequence[Any], name: str) -> int:
    if not -len(args) <= n < len(args):
        raise ValueError(
            f"{name}: argnums says {n}, of {len(args)} arguments given by position" + at_line()
        )
    return n % len(args)


# ---- forward mode --------------------------------------------------------------------------------


def jvp(
    function: Function, primals: Sequence[Any], tangents: Sequence[Any], *, has_aux: bool = False
) -> Any:
    """The value of a function and its derivative along a direction, in forward mode.

    (f(x), ∂f/∂x · v), each built as the result is; v is built as x is. Costs about what f does,
    however many results there are. What f computes under `no_grad` or detaches counts as constant,
    as in reverse mode.

    primals, tangents: tuples of arguments and of directions. has_aux: the function gives (result,
    aux), and (result, derivative, aux) is what you get.

    Raises GradError for arguments that are not floating, and for a derivative, given with
    `gu.custom_derivative`, that is not linear in the gradient.

    >>> y, dy = gu.jvp(lambda x: x * x, (gu.tensor([1.0, 2.0]),), (gu.tensor([1.0, 10.0]),))
    >>> dy.tolist()
    [2.0, 40.0]
    """
    for what, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, list | tuple):
            raise TypeError(
                f"jvp: {what} is a tuple of what the function is given, not a "
                f"{type(value).__name__}; write ({what[:-1]},)" + at_line()
            )
    _, spec = tree.flatten(tuple(primals))
    directions, built = tree.flatten(tuple(tangents))
    if built != spec:
        raise TypeError("jvp: tangents are built as the primals are" + at_line())
    value, along, aux = _linearized("jvp", function, tuple(primals), has_aux)
    found = along(directions)
    return (value, found, aux) if has_aux else (value, found)


def linearize(function: Function, *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of a function, and the function that takes derivatives of it in forward mode.

    (f(x), v ↦ ∂f/∂x · v); f runs once, however many directions follow. Else as `jvp`.

    >>> y, push = gu.linearize(lambda x: x * x, gu.tensor([1.0, 2.0]))
    >>> push(gu.tensor([1.0, 10.0])).tolist()
    [2.0, 40.0]
    """
    _, spec = tree.flatten(primals)
    value, along, _ = _linearized("linearize", function, primals, False)

    def push(*tangents: Any) -> Any:
        directions, built = tree.flatten(tangents)
        if built != spec:
            raise TypeError("linearize: directions are built as the arguments are" + at_line())
        return along(directions)

    return value, push


def _linearized(
    name: str, function: Function, primals: tuple[Any, ...], has_aux: bool
) -> tuple[Any, Callable[[Sequence[Any]], Any], Any]:
    """(value, directions ↦ derivative, aux)"""
    flat, spec = tree.flatten(primals)
    if not flat:
        raise TypeError(f"{name}: there is no argument to take derivatives by" + at_line())
    probes = [_probe(x, name) for x in flat]
    with traced(probes):
        returned, aux = _parts(function(*tree.unflatten(closed(flat, probes), spec)), has_aux, name)
    results, form = tree.flatten(returned)
    _tensors(results, name, floating=False)
    reals = opened(results)

    def along(directions: Sequence[Any]) -> Any:
        for v, x in zip(directions, flat, strict=True):
            _like(name, v, x)
        return tree.unflatten(closed(results, pushed(reals, probes, opened(directions))), form)

    value = tree.unflatten(closed(results, released(reals, probes)), form)
    return value, along, _aux(aux, probes) if has_aux else None


def pushed(
    results: Sequence[Core], probes: Sequence[Core], directions: Sequence[Core]
) -> list[Tensor]:
    """The derivatives of results of probes along directions; zeros where there are none."""
    from ..autodiff import NotLinear, forward

    with enable_grad():
        along = {p.node: operand(v) for p, v in zip(probes, directions, strict=True)}
        roots = [operand(r) for r in results]
        try:
            nodes = forward(roots, along)
        except NotLinear as error:
            raise GradError(str(error) + at_line()) from None
        if state.anomaly is not None:
            state.anomaly.gradients(roots, nodes)
    return _given(results, nodes, (*results, *directions), probes)


# ---- Jacobians -----------------------------------------------------------------------------------


def jacrev(
    function: Function, argnums: int | Sequence[int] = 0, *, has_aux: bool = False,
    chunk_size: int | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """The function that gives the Jacobian ∂f[i…]/∂x[j…], of shape (i…, j…), in reverse mode.

    One pass back for each element of the result, all of them mapped by `gu.vmap`: right where there
    are fewer results than arguments. For nested results and arguments, a result's structure holds
    that of the argument. `argnums`: by which arguments; for several, a tuple.
    chunk_size: so many rows at once, to save memory.

    >>> gu.jacrev(lambda x: x * x)(gu.tensor([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """

    def derived(*args: Any, **kwargs: Any) -> Any:
        from .vmap import vmap

        chosen, rest = _chosen("jacrev", argnums, args)
        partial = _partial(function, chosen, rest, kwargs)
        found = vjp(partial, *(args[n] for n in chosen), has_aux=has_aux)
        value, pull = found[:2]
        results, form = tree.flatten(value)
        rows = vmap(lambda v: pull(tree.unflatten(v, form)), chunk_size=chunk_size)
        jacobians: list[Any] = []
        for k, r in enumerate(results):
            flat, spec = tree.flatten(rows(_basis(results, k)))
            split = tree.unflatten([p.reshape(*r._shape, *p._shape[1:]) for p in flat], spec)
            jacobians.append(split[0] if isinstance(argnums, int) else split)
        whole = tree.unflatten(jacobians, form)
        return (whole, found[2]) if has_aux else whole

    return derived


def jacfwd(
    function: Function, argnums: int | Sequence[int] = 0, *, has_aux: bool = False,
    chunk_size: int | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """The function that gives the Jacobian ∂f[i…]/∂x[j…], of shape (i…, j…), in forward mode.

    One pass for each element of the arguments, all of them mapped by `gu.vmap`: right where there
    are fewer arguments than results. Else as `jacrev`.

    >>> gu.jacfwd(lambda x: x * x)(gu.tensor([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """

    def derived(*args: Any, **kwargs: Any) -> Any:
        from .vmap import vmap

        chosen, rest = _chosen("jacfwd", argnums, args)
        partial = _partial(function, chosen, rest, kwargs)
        primals = tuple(args[n] for n in chosen)
        flat, spec = tree.flatten(primals)
        _, along, aux = _linearized("jacfwd", partial, primals, has_aux)
        columns: list[list[Tensor]] = []  # by argument, then by result
        form = tree.LEAF
        for k, x in enumerate(flat):
            found = vmap(along, out_dims=-1, chunk_size=chunk_size)(_basis(flat, k))
            leaves, form = tree.flatten(found)
            columns.append([p.reshape(*p._shape[:-1], *x._shape) for p in leaves])
        jacobians = [tree.unflatten(row, spec) for row in zip(*columns, strict=True)]
        if isinstance(argnums, int):
            jacobians = [j[0] for j in jacobians]
        whole = tree.unflatten(jacobians, form)
        return (whole, aux) if has_aux else whole

    return derived


def hessian(function: Function, argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The function that gives the second derivatives ∂²f/∂x[i…]∂x[j…], of shape (i…, j…).

    Forward over reverse: jacfwd(jacrev(f)).

    >>> gu.hessian(lambda x: (x * x * x).sum())(gu.tensor([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacfwd(jacrev(function, argnums), argnums)


def _chosen(
    name: str, argnums: int | Sequence[int], args: Sequence[Any]
) -> tuple[list[int], list[Any]]:
    wanted = [argnums] if isinstance(argnums, int) else list(argnums)
    return [_number(n, args, name) for n in wanted], list(args)


def _partial(
    function: Function, chosen: Sequence[int], args: Sequence[Any], kwargs: dict[str, Any]
) -> Function:
    """The function of the chosen arguments alone."""

    def partial(*given: Any) -> Any:
        full = list(args)
        for n, x in zip(chosen, given, strict=True):
            full[n] = x
        return function(*full, **kwargs)

    return partial


def _basis(like: Sequence[Core], k: int) -> list[Tensor]:
    """For each element of tensor k, along a first axis: tensors like all, 1 there and else 0."""
    from .create import eye, zeros

    if is_complex(*like):
        raise GradError(
            "the Jacobian of complex numbers is that of their pairs: write the function of "
            "gu.view_as_real(z)" + at_line()
        )
    count = product(like[k]._shape)
    return [
        (eye(count, dtype=x.dtype).reshape(count, *x._shape) if i == k
         else zeros(count, *x._shape, dtype=x.dtype))
        for i, x in enumerate(like)
    ]  # fmt: skip
