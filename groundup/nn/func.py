"""`gu.func`: functions of functions under the names of torch.func, and modules as functions.

Must not know layers: a module is what has tensors by path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from groundup.tensor import Tensor, no_grad, stack
from groundup.tensor.transforms import (
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    vjp,
)
from groundup.tensor.vmap import vmap

from .module import Module

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "vjp",
    "vmap",
]

Named = Mapping[str, Tensor]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Named | Sequence[Named],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """module(*args, **kwargs) with other tensors in the place of some parameters and buffers.

    parameter_and_buffer_dicts: tensors by path, as `named_parameters` and `named_buffers` name
    them, or several such dicts. args: a tuple, or one argument. The module is left as it was; what
    it writes into buffers is written into those that are given.
    tie_weights: a tensor that the module has under several paths is replaced under all of them.
    strict: every parameter and buffer has to be given.

    Raises ValueError for a path that the module does not have, or that is given twice with
    different tensors.

    >>> model = nn.Linear(2, 1)
    >>> x = gu.ones(3, 2)
    >>> w = {"weight": gu.ones(1, 2), "bias": gu.zeros(1)}
    >>> gu.func.functional_call(model, w, (x,)).tolist()
    [[2.0], [2.0], [2.0]]
    >>> slope = gu.grad(lambda w: gu.func.functional_call(model, w, x).sum())(w)
    >>> slope["weight"].tolist()
    [[3.0, 3.0]]
    """
    several = parameter_and_buffer_dicts
    dicts = [several] if isinstance(several, Mapping) else list(several)
    given: dict[str, Tensor] = {}
    for d in dicts:
        for path, t in d.items():
            if path in given and given[path] is not t:
                raise ValueError(f"functional_call: {path!r} is given twice, as two tensors")
            if not isinstance(t, Tensor):
                raise TypeError(
                    f"functional_call: {path!r} is a {type(t).__name__}; a tensor was expected"
                )
            given[path] = t
    positional = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, given, tie_weights, strict):
        return module(*positional, **(kwargs or {}))


@contextmanager
def _replaced(
    module: Module, given: Mapping[str, Tensor], tie: bool, strict: bool
) -> Iterator[None]:
    """The module with other tensors at some paths."""
    places: dict[str, tuple[Module, str]] = {}
    same: dict[int, list[str]] = {}  # paths of one tensor, by its id
    for path, owner, name in _tensors(module):
        places[path] = owner, name
        same.setdefault(id(vars(owner)[name]), []).append(path)
    unknown = [p for p in given if p not in places]
    missing = [p for p in places if p not in given] if strict else []
    if tie and missing:
        missing = [p for p in missing if not any(
            p in paths and any(q in given for q in paths) for paths in same.values())]  # fmt: skip
    if unknown or missing:
        said = [f"not in {type(module).__name__}: {', '.join(unknown)}"] if unknown else []
        said += [f"not given: {', '.join(missing)}"] if missing else []
        raise ValueError(f"functional_call: {'; '.join(said)}; it has {', '.join(places)}")
    todo = dict(given)
    if tie:
        for paths in same.values():
            tensors = {id(given[p]): given[p] for p in paths if p in given}
            if len(tensors) > 1:
                raise ValueError(
                    f"functional_call: {' and '.join(p for p in paths if p in given)} are one "
                    f"tensor in the module, and two are given; tie_weights=False keeps them apart"
                )
            for t in tensors.values():
                todo.update((p, t) for p in paths)
    before = [(places[p], vars(places[p][0])[places[p][1]]) for p in todo]
    try:
        for p, t in todo.items():
            owner, name = places[p]
            vars(owner)[name] = t
        yield
    finally:
        for (owner, name), t in before:
            vars(owner)[name] = t


def _tensors(module: Module) -> Iterator[tuple[str, Module, str]]:
    """(path, module, attribute) of each parameter and buffer, a shared one under each path."""
    from .module import Parameter

    for prefix, part in module.named_modules():
        for name, value in vars(part).items():
            if isinstance(value, Parameter) or name in part.buffer_names:
                yield (f"{prefix}.{name}" if prefix else name), part, name


def stack_module_state(
    models: Sequence[Module],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and the buffers of several models of one build, each stacked along a new axis.

    (parameters, buffers) by path, for `gu.vmap` over an ensemble with `functional_call`. Stacked
    parameters are leaves, which require grad where those of the models do.

    Raises ValueError for no models, or for models of different builds or modes.

    >>> models = [nn.Linear(2, 3) for _ in range(4)]
    >>> parameters, buffers = gu.func.stack_module_state(models)
    >>> call = lambda p, x: gu.func.functional_call(models[0], p, x)
    >>> gu.vmap(call, (0, None))(parameters, gu.ones(5, 2)).shape
    (4, 5, 3)
    """
    if not models:
        raise ValueError("stack_module_state: of no models there is no state")
    first = models[0]
    for m in models[1:]:
        if type(m) is not type(first) or m.training != first.training:
            raise ValueError(
                f"stack_module_state: the models are of one class and in one mode, training or "
                f"not; these are {type(first).__name__} and {type(m).__name__}"
            )
    found: list[dict[str, Tensor]] = []
    for named in ("named_parameters", "named_buffers"):
        all_ = [dict(getattr(m, named)()) for m in models]
        if any(list(d) != list(all_[0]) for d in all_):
            raise ValueError("stack_module_state: the models have tensors at different paths")
        stacked: dict[str, Tensor] = {}
        for path, t in all_[0].items():
            with no_grad():
                stacked[path] = stack([d[path] for d in all_]).realize()
            if t.requires_grad:
                stacked[path].requires_grad_()
        found.append(stacked)
    return found[0], found[1]
