"""Optimizer: PyTorch's interface around a chain of steppers, one realisation for all parameters.

A step is built as one graph (every parameter and every state tensor) and then realised at once, so
it runs as one fused update. Hyper-parameters are numbers in `param_groups`; each is mirrored in a
0-d tensor that the graph reads, so a new rate compiles nothing. Must not know models or loops.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import is_not
from typing import Any

from groundup.nn.waiting import taken
from groundup.tensor import (
    JitError,
    Tensor,
    door,
    float64,
    full,
    no_grad,
    realize,
    storage,
    zeros,
    zeros_like,
)
from groundup.tensor.misuse import named

from .steppers import Stepper


class Group(dict[str, Any]):
    """A group's numbers by name, and its parameters under "params".

    Tells a function that is being captured by `gu.jit` when it asks for a number, which then is
    compared between calls. A step does not ask: it reads tensors.
    """

    def __getitem__(self, key: str) -> Any:
        _asked(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        _asked(key)
        return super().get(key, default)

    def __iter__(self) -> Iterator[str]:
        _asked("")  # copies and {**group} go through this
        return super().__iter__()

    def values(self) -> Any:
        _asked("")
        return super().values()

    def items(self) -> Any:
        _asked("")
        return super().items()


def _asked(key: str) -> None:
    if storage.tracers and key != "params" and not _steps.depth:
        tracer = storage.tracing()
        if tracer is not None:
            tracer.numbers = True


def _realize(touched: list[Tensor], waiting: list[Tensor]) -> None:
    """Compute what a step moves, and what has been waiting for it."""
    try:
        realize(*touched, *waiting)
    except (IndexError, ValueError, RuntimeError):
        if not waiting:
            raise
        # One that waits may be of a batch that failed; who asks for it is told so.
        realize(*touched)


class _Steps(threading.local):
    depth = 0  # of optimizers' own work, in this thread


_steps = _Steps()


class Optimizer:
    """What all optimizers share; a subclass says which steppers a group of parameters goes through.

    params: tensors, or groups {"params": tensors, "lr": …, …} with numbers of their own.
    defaults: the numbers of groups that do not say otherwise.
    """

    @named
    def __init__(self, params: Iterable[Any], defaults: Mapping[str, Any]) -> None:
        door.passing()
        self.defaults = dict(defaults)
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        self._mirrors: list[dict[str, tuple[float, Tensor]]] = []
        self._prepared: list[tuple[str, ...]] = []  # the slots for which each group has state
        # Each group, and a list of what it held at the last refresh; another list of these for
        # other groups.
        self._taken: list[tuple[Group, list[Any]]] = []
        if isinstance(params, Tensor):
            raise TypeError("params is an iterable of tensors: write [tensor]")
        given = list(params)
        if not given:
            raise ValueError("an optimizer needs at least one parameter; this iterable is empty")
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    # ---- what a subclass says --------------------------------------------------------------

    def chain(self, group: Mapping[str, Any]) -> tuple[Stepper, ...]:
        """The steppers that the gradients of this group go through, in order."""
        raise NotImplementedError

    def numbers(self, group: Mapping[str, Any]) -> dict[str, float]:
        """The group's hyper-parameters by the names that steppers read."""
        raise NotImplementedError

    def slots(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The names of state tensors that start as zeros of the parameter's shape."""
        raise NotImplementedError

    def check(self, group: Mapping[str, Any]) -> None:
        """Raise ValueError for numbers that cannot be."""
        for name, value in self.numbers(group).items():
            _check_number(name, value)

    counts_steps = False  # whether steppers read state["step"]

    # ---- groups ----------------------------------------------------------------------------

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Train further tensors, with numbers of their own where the group names them."""
        given = group["params"]
        params = [given] if isinstance(given, Tensor) else list(given)
        unknown = [key for key in group if key != "params" and key not in self.defaults]
        if unknown:
            raise ValueError(
                f"{type(self).__name__} knows no {', '.join(unknown)};"
                f" its hyper-parameters are {', '.join(self.defaults)}"
            )
        seen = {id(p) for g in self.param_groups for p in g["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"an optimizer trains tensors, not {type(p).__name__}")
            if id(p) in seen:
                raise ValueError("the same parameter was given twice")
            seen.add(id(p))
        made = Group(self.defaults, **{k: group[k] for k in group})
        made["params"] = params
        self.check(made)
        self.param_groups.append(made)
        self._mirrors.append(
            {name: (v, full((), v, dtype=float64)) for name, v in self.numbers(made).items()}
        )
        self._prepare(made)
        self._prepared.append(self.slots(made))

    def _prepare(self, group: Group) -> None:
        """Give every parameter of a group its state, as memory: a step only moves it."""
        fresh: list[Tensor] = []
        step: Tensor | None = None
        for p in group["params"]:
            state = self.state.setdefault(p, {})
            for name in self.slots(group):
                if name not in state:
                    state[name] = zeros_like(p).detach()
                    fresh.append(state[name])
            if self.counts_steps and "step" not in state:
                if step is None:
                    step = zeros((), dtype=float64)
                    fresh.append(step)
                state["step"] = step
        with no_grad():
            realize(*group["params"], *fresh, *(t for m in self._mirrors for _, t in m.values()))

    # ---- the step --------------------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of every parameter (or fill them with zeros)."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad.zero_()

    def hyperparameter_tensors(self) -> list[Tensor]:
        """The tensors that mirror the numbers of `param_groups`, which a captured step reads."""
        return [memory for mirror in self._mirrors for _, memory in mirror.values()]

    def refresh_hyperparameters(self) -> None:
        """Write the numbers of `param_groups` into the tensors that a step reads.

        Costs a comparison for each number that has not changed. Also makes the state that a number
        asks for by no longer being 0 (such as momentum).
        """
        for i, (group, mirror) in enumerate(zip(self.param_groups, self._mirrors, strict=True)):
            for name, value in self.numbers(group).items():
                known, memory = mirror[name]
                if value != known:
                    _check_number(name, value)
                    memory[()] = value
                    mirror[name] = (value, memory)
            if self.slots(group) != self._prepared[i]:
                self._prepare(group)
                self._prepared[i] = self.slots(group)

        groups = [group for group, _ in self._taken]
        if len(groups) != len(self.param_groups) or any(map(is_not, groups, self.param_groups)):
            self._taken = [(group, []) for group in self.param_groups]
        for group, held in self._taken:
            held[:] = dict.values(group)

    def up_to_date(self) -> bool:
        """Do `param_groups` hold what they held when the numbers were refreshed last?"""
        if len(self._taken) != len(self.param_groups):
            return False
        for now, (group, held) in zip(self.param_groups, self._taken):
            if now is not group or len(now) != len(held):
                return False
            # Numbers count by value; of the parameters, which list they are.
            for value, before in zip(dict.values(now), held):
                if value is not before and (type(value) is list or value != before):
                    return False
        return True

    def structure(self) -> tuple[tuple[Stepper, ...], ...]:
        """The chain of each group: what a step computes, apart from the numbers.

        A captured step is only good for the structure that it was captured with. It depends on
        nothing but the groups' values.
        """
        return tuple(self.chain(group) for group in self.param_groups)

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Move every parameter that has a gradient: p ← p − lr · u, u from the chain of steppers.

        closure: computes and returns the loss again (it is called once, with gradients enabled).
        """
        loss = closure() if closure is not None else None
        captured = storage.tracer is not None  # then whoever captures refreshes and realises
        if not captured:
            self.refresh_hyperparameters()
        touched: list[Tensor] = []
        _steps.depth += 1
        try:
            if captured and not self.up_to_date():
                raise JitError(
                    "jit: the function changes numbers of an optimizer (such as its rate) before "
                    "its step, which has read them already; change them outside, between calls"
                )
            with no_grad():
                for group, mirror in zip(self.param_groups, self._mirrors, strict=True):
                    hyper = {name: memory for name, (_, memory) in mirror.items()}
                    touched += self._step_group(group, self.chain(group), hyper)
                if not captured:
                    _realize(touched, taken())
        finally:
            _steps.depth -= 1
        return loss

    def _step_group(
        self, group: Group, chain: Sequence[Stepper], hyper: Mapping[str, Tensor]
    ) -> list[Tensor]:
        """Build the update of one group; returns every tensor that it moved."""
        active = [p for p in group["params"] if p.grad is not None]
        touched = self._count(active) if self.counts_steps else []
        lr = hyper["lr"]
        for p in active:
            state = self.state[p]
            u = p.grad.detach()
            for stepper in chain:
                u = stepper(u, p, state, hyper)
            p.sub_(u * lr.to(p.dtype))
            touched += [p, *(state[name] for name in self.slots(group))]
        return touched

    def _count(self, active: Sequence[Tensor]) -> list[Tensor]:
        """t ← t + 1 for the parameters that have a gradient.

        Parameters share a counter for as long as they move together; when one of them is left out,
        those that move take a counter of their own.
        """
        moving = {id(p) for p in active}
        together: dict[int, list[Tensor]] = {}
        for p, state in self.state.items():
            if "step" in state:
                together.setdefault(id(state["step"]), []).append(p)
        counters: list[Tensor] = []
        for members in together.values():
            now = [p for p in members if id(p) in moving]
            if not now:
                continue
            counter = self.state[now[0]]["step"]
            if len(now) < len(members):
                counter = counter.clone()
                for p in now:
                    self.state[p]["step"] = counter
            counter.add_(1)
            counters.append(counter)
        return counters

    # ---- saving ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number of the parameter: its tensors}, "param_groups": numbers by group}."""
        order = [p for group in self.param_groups for p in group["params"]]
        number = {id(p): i for i, p in enumerate(order)}
        state = {
            i: {name: t.detach().clone() for name, t in self.state[p].items()}
            for i, p in enumerate(order)
            if self.state.get(p)
        }
        groups = [
            {**{k: v for k, v in g.items() if k != "params"},
             "params": [number[id(p)] for p in g["params"]]}
            for g in self.param_groups
        ]  # fmt: skip
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Take numbers and state from `state_dict()` of an optimizer of the same parameters.

        Raises ValueError, with nothing changed, when groups or shapes do not fit.
        """
        sizes = [len(g["params"]) for g in self.param_groups]
        theirs = [len(g["params"]) for g in saved["param_groups"]]
        if sizes != theirs:
            raise ValueError(
                f"this state is of groups of {theirs} parameters, the optimizer has {sizes}"
            )
        order = [p for group in self.param_groups for p in group["params"]]
        for i, tensors in saved["state"].items():
            own = self.state[order[int(i)]]
            for name, value in tensors.items():
                if name in own and tuple(own[name].shape) != tuple(value.shape):
                    raise ValueError(
                        f"state {name!r} of parameter {i} has shape {tuple(value.shape)} in the"
                        f" saved state, {tuple(own[name].shape)} here"
                    )
        for group, numbers in zip(self.param_groups, saved["param_groups"], strict=True):
            group.update({k: v for k, v in numbers.items() if k in self.defaults})
        self._load_state({int(i): tensors for i, tensors in saved["state"].items()}, order)

    def _load_state(self, saved: Mapping[int, Mapping[str, Tensor]], order: list[Tensor]) -> None:
        counters: dict[tuple[int, float], Tensor] = {}
        moved: list[Tensor] = []
        with no_grad():
            for i, tensors in saved.items():
                own = self.state[order[i]]
                for name, value in tensors.items():
                    if name == "step":
                        # One counter for all that have moved equally often together.
                        key = (id(own.get("step")), float(value.item()))
                        if key not in counters:
                            counters[key] = full((), key[1], dtype=float64)
                        own[name] = counters[key]
                    elif name in own:
                        own[name].copy_(value)
                    else:
                        own[name] = value.detach().clone()
                    moved.append(own[name])
            realize(*moved)

    def __repr__(self) -> str:
        lines = [
            f"  group {i}: "
            + ", ".join(f"{k}={v}" for k, v in group.items() if k != "params")
            + f", {len(group['params'])} tensors"
            for i, group in enumerate(self.param_groups)
        ]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"


def _check_number(name: str, value: float) -> None:
    """Every hyper-parameter is a number of at least 0; betas stay below 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is a number, not {type(value).__name__}")
    if not value >= 0.0:
        raise ValueError(f"{name} must not be negative, but is {value}")
    if name.startswith("beta") and value >= 1.0:
        raise ValueError(f"{name} must be below 1, but is {value}")
