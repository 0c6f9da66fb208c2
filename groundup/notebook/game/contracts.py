"""What is asked of pieces that are no functions of tensors: layers, modules, optimizers, data, the
Learner, autograd. Each is used as a program would use it, beside the library's.

Must not know the rules of the game.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import isclass
from typing import Any

import groundup as gu
from groundup import data, distributions, nn, optim, train
from groundup.tensor import Tensor

from .compare import Compare, Difference, Trial, differ, functions
from .inputs import Spec, between, built, numbers, whole
from .rules import NotBuiltYet
from .trials import library, trials

Battery = tuple[Compare, list[Trial]]
Program = Callable[[], tuple[Any, Any] | None]
_GRID = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # where schedules are compared


def battery(key: str, mine: Any) -> Battery:
    """How `mine` is compared with the library's, and on what; no trials where nothing fits."""
    special = _CONTRACTS.get(key)
    if special is not None:
        return special(key, mine)
    reference = library(key)
    if isclass(reference) and issubclass(reference, nn.Module):
        return _layer(key, mine)
    if isclass(reference) and issubclass(reference, distributions.Distribution):
        return _distribution(key, mine)
    if getattr(reference, "__module__", "") == "groundup.optim.schedule":
        return _schedule(key, mine)
    return functions(mine, reference), trials(key)


def _steps(*parts: Program) -> Battery:
    """A battery of short programs: each gives what yours and the library's came to."""

    def compare(trial: Trial) -> Difference | None:
        part: Program = trial.args[0].run
        try:
            found = part()
        except NotBuiltYet:
            raise
        except Exception as error:
            said = str(error).partition("\n")[0]
            return Difference("yours raises", (f"{type(error).__name__}: {said}",))
        return None if found is None else differ(*found)

    return compare, [Trial((_Program(part),)) for part in parts]


class _Program:
    """A short program as an argument: what a report shows of it is its first line of words."""

    def __init__(self, run: Program) -> None:
        self.run = run

    def __repr__(self) -> str:
        return (self.run.__doc__ or self.run.__name__).strip()


# ---- layers -----------------------------------------------------------------------------------

_MADE: tuple[tuple[Any, ...], ...] = (
    (), (3,), (3, 4), (2, 3), (2, 3, 2), (2, 3, 3, 2, 1), (4, 2), ((3,),), (2, 4), (1, 1, 2),
)  # fmt: skip
_FED: tuple[tuple[Any, ...], ...] = (
    (numbers(2, 3),), (numbers(1, 3),), (numbers(2, 3, dtype=gu.float64),), (numbers(0, 3),),
    (numbers(2, 4, 3),), (numbers(2, 2, 5),), (numbers(2, 2, 5, 4),), (numbers(2, 3, 4, 4),),
    (numbers(1, 2, 3, 3, 3),), (numbers(2, 4, 5),), (whole(1, 0, 2),),
    (numbers(2, 3, 4), numbers(2, 3, 4, seed=1), numbers(2, 3, 4, seed=2)),
    (Spec((2, 3), (1e4, -1e4, 0.5, 3.0, 2.0, 1.0)),),
)  # fmt: skip


def _layer(key: str, mine: Any) -> Battery:
    """The same arguments, the same weights (copied by the library's names), the same inputs."""
    kind = library(key)

    def compare(trial: Trial) -> Difference | None:
        made = trial.kwargs["made"]
        theirs = kind(*made)
        try:
            ours = mine(*made)
            missing = _copy_weights(theirs, ours)
            if missing is not None:
                return missing
        except NotBuiltYet:
            raise
        except Exception as error:
            said = str(error).partition("\n")[0]
            call = f"{mine.__name__}({', '.join(map(repr, made))})"
            return Difference("yours raises", (f"{call}: {type(error).__name__}: {said}",))
        return functions(ours, theirs)(trial._replace(kwargs={}))

    return compare, list(_fitting(kind))


def _fitting(kind: Any) -> Iterator[Trial]:
    """Arguments and inputs that the library's layer takes."""
    for made in _MADE:
        try:
            layer = kind(*made)
        except Exception:
            continue
        for fed in _FED:
            try:
                layer(*built(fed))
            except Exception:
                continue
            yield Trial(fed, {"made": made})


def _copy_weights(theirs: Any, ours: Any) -> Difference | None:
    """Give a layer the library's weights; a difference where it has no place for one."""
    for path, value in [*theirs.named_parameters(), *theirs.named_buffers()]:
        *parents, name = path.split(".")
        owner = ours
        for parent in parents:
            owner = getattr(owner, parent, None)
        place = getattr(owner, name, None)
        if not isinstance(place, Tensor) or tuple(place.shape) != tuple(value.shape):
            has = sorted(
                f"{n} of shape {tuple(v.shape)}"
                for n, v in vars(ours).items() if isinstance(v, Tensor)
            )  # fmt: skip
            return Difference(
                "attribute",
                (f"the library's has {path} of shape {tuple(value.shape)}",
                 f"yours has {', '.join(has) or 'no tensor'} among its attributes"),
            )  # fmt: skip
        with gu.no_grad():
            place.copy_(value)
    return None


def _module(key: str, mine: Any) -> Battery:
    """A class that finds its tensors: calls, parameters, nested and shared ones."""

    def nested(base: Any) -> Any:
        class Inner(base):  # type: ignore[misc]  # which class that is, the player says
            def __init__(self, w: Tensor) -> None:
                super().__init__()
                self.w, self.size = w, 3

            def forward(self, x: Any) -> Any:
                return x * self.w

        class Outer(base):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                ws = [nn.Parameter(numbers(3, seed=i).build()) for i in range(3)]
                self.first, self.bias, self.second = Inner(ws[0]), ws[1], Inner(ws[2])
                self.again = self.first
                self.data = gu.ones(3)

            def forward(self, x: Any) -> Any:
                return self.second(self.first(x) + self.bias)

        return Outer()

    def calls() -> tuple[Any, Any]:
        """model(x), where forward calls other modules"""
        x = numbers(3, seed=5).build()
        return nested(mine)(x), nested(nn.Module)(x)

    def finds() -> tuple[Any, Any]:
        """the values of model.parameters(): nested ones too, shared ones once"""
        ours, theirs = nested(mine).parameters(), nested(nn.Module).parameters()
        return sorted(p.tolist() for p in ours), sorted(p.tolist() for p in theirs)

    def names() -> tuple[Any, Any] | None:
        """model.named_parameters(), if there is such a method"""
        ours = nested(mine)
        if not hasattr(ours, "named_parameters"):
            return None
        theirs = nested(nn.Module).named_parameters()
        return sorted(n for n, _ in ours.named_parameters()), sorted(n for n, _ in theirs)

    def lets_go() -> tuple[Any, Any]:
        """an attribute that is set to something else is no parameter any more"""
        both = nested(mine), nested(nn.Module)
        for model in both:
            model.bias = gu.zeros(3)
        return len(list(both[0].parameters())), len(list(both[1].parameters()))

    return _steps(calls, finds, names, lets_go)


class _Scale:
    """A layer that needs nothing unlocked: x · w"""

    def __init__(self, seed: int) -> None:
        self.w = numbers(3, seed=seed).build().requires_grad_()

    def __call__(self, x: Any) -> Any:
        return x * self.w + 1

    def parameters(self) -> list[Tensor]:
        return [self.w]


def _sequential(key: str, mine: Any) -> Battery:
    def composes() -> tuple[Any, Any]:
        """Sequential(a, b)(x) is b(a(x))"""
        a, b, x = _Scale(1), _Scale(2), numbers(2, 3).build()
        return mine(a, b)(x), b(a(x))

    def finds() -> tuple[Any, Any]:
        """list(Sequential(a, b).parameters())"""
        a, b = _Scale(1), _Scale(2)
        return list(mine(a, b).parameters()), [a.w, b.w]

    def empty() -> tuple[Any, Any]:
        """Sequential()(x) is x"""
        x = numbers(2, 3).build()
        return mine()(x), x

    return _steps(composes, finds, empty)


# ---- optimizers and schedules -----------------------------------------------------------------


def _optimizer(key: str, mine: Any) -> Battery:
    """Three steps from the same place with the same gradients end in the same place."""
    kind = getattr(optim, key)
    choices: list[dict[str, Any]] = [{"lr": 0.1}, {"lr": 0.5}]
    if key == "SGD":
        choices += [{"lr": 0.1, "momentum": 0.9}, {"lr": 0.1, "weight_decay": 0.5}]
    else:
        choices += [{"lr": 0.1, "betas": (0.5, 0.75)}, {"lr": 0.1, "weight_decay": 0.5}]

    def walk(made: Any, kwargs: dict[str, Any]) -> Any:
        params = [numbers(3, seed=s).build().requires_grad_() for s in (0, 2)]
        unused = gu.ones(2, requires_grad=True)
        steps = made([*params, unused], **kwargs)
        for step in range(3):
            for i, p in enumerate(params):
                p.grad = numbers(3, seed=step + 3 * i).build()
            steps.step()
        steps.zero_grad()
        cleared = all(p.grad is None or not any(p.grad.tolist()) for p in params)
        return [*params, unused, cleared]

    def compare(trial: Trial) -> Difference | None:
        kwargs = dict(trial.kwargs)
        try:
            ours = walk(mine, kwargs)
        except NotBuiltYet:
            raise
        except Exception as error:
            said = str(error).partition("\n")[0]
            return Difference("yours raises", (f"{type(error).__name__}: {said}",))
        if not ours[-1]:
            return Difference("zero_grad", ("a gradient is left after zero_grad()",))
        return differ(ours, walk(kind, kwargs))

    return compare, [Trial((), kwargs) for kwargs in choices]


def _schedule(key: str, mine: Any) -> Battery:
    """Functions of progress, compared at some of it."""
    reference = library(key)
    cases: list[tuple[Any, ...]] = [(0.0, 1.0), (1.0, 0.1), (2.0, 2.0)]
    if key == "exponential":
        cases = cases[1:]
    if key == "constant":
        cases = [(0.5,), (2.0,)]
    if key == "combine":
        cases = [([0.5, 0.5], [_falling, _flat]), ([0.25, 0.5, 0.25], [_flat, _falling, _flat])]
    if key.startswith("one_cycle"):
        cases = [(1.0,), (0.5, 0.25)]

    def at(made: Any) -> Callable[..., list[float]]:
        return lambda *args: [float(made(*args)(t)) for t in _GRID]

    return functions(at(mine), at(reference)), [Trial(args) for args in cases]


def _flat(progress: float) -> float:
    return 0.5


def _falling(progress: float) -> float:
    return 1.0 - progress


# ---- initialisation ---------------------------------------------------------------------------


def _filled(key: str, mine: Any) -> Battery:
    """Mean, deviation and extremes of what fills a large tensor: the numbers are random."""
    reference = library(key)

    def compare(trial: Trial) -> Difference | None:
        shape = trial.args
        tensors = gu.zeros(*shape), gu.zeros(*shape)
        try:
            returned = mine(tensors[0])
        except NotBuiltYet:
            raise
        except Exception as error:
            said = str(error).partition("\n")[0]
            return Difference("yours raises", (f"{type(error).__name__}: {said}",))
        ours = returned if isinstance(returned, Tensor) else tensors[0]
        reference(tensors[1])
        (m1, s1, top1), (m2, s2, top2) = _statistics(ours), _statistics(tensors[1])
        near = abs(s1 - s2) <= 0.05 * s2 and abs(m1 - m2) <= 0.05 * s2
        if near and abs(top1 - top2) <= 0.25 * top2:
            return None
        text = "mean {:.4f}, deviation {:.4f}, largest {:.4f}"
        return Difference(
            "statistics",
            (f"yours      {text.format(m1, s1, top1)}", f"library's  {text.format(m2, s2, top2)}"),
        )

    return compare, [Trial((400, 300)), Trial((100, 600))]


def _statistics(x: Tensor) -> tuple[float, float, float]:
    return x.mean().item(), x.std().item(), x.abs().max().item()


# ---- distributions ---------------------------------------------------------------------------


def _distribution(key: str, mine: Any) -> Battery:
    """log_prob at values that the library draws, for the parameters that it takes."""
    kind = library(key)
    shares, positive = between(0, 1, 3), between(1, 3, 3)
    given = [(shares,), (positive,), (shares, positive), (positive, shares), (positive, positive)]

    def values(*args: Any) -> Any:
        *parameters, points = args
        return kind(*parameters).log_prob(points)

    def ours(*args: Any) -> Any:
        *parameters, points = args
        return mine(*parameters).log_prob(points)

    found: list[Trial] = []
    for args in given:
        try:
            points = kind(*built(args)).sample()
            values(*built(args), points)
        except Exception:
            continue
        flat = tuple(points.reshape(-1).tolist())
        found.append(Trial((*args, Spec(tuple(points.shape), flat, points.dtype))))
    return functions(ours, values), found


# ---- data -------------------------------------------------------------------------------------


def _dataset(key: str, mine: Any) -> Battery:
    def items() -> tuple[Any, Any]:
        """len(data), and data[i] for each i: a tuple of rows"""
        tensors = numbers(3, 2).build(), whole(1, 0, 2).build()
        ours, theirs = mine(*tensors), data.TensorDataset(*tensors)
        return [len(ours), *(ours[i] for i in range(3))], [3, *(theirs[i] for i in range(3))]

    return _steps(items)


def _sampler(key: str, mine: Any) -> Battery:
    def all_once() -> tuple[Any, Any]:
        """sorted(sampler): each of 0 … n − 1 once in a pass"""
        sampler = mine(50)
        return [sorted(map(int, sampler)), sorted(map(int, sampler))], [list(range(50))] * 2

    def another_order() -> tuple[Any, Any]:
        """two passes have two orders, neither of them 0, 1, 2, …"""
        sampler = mine(50)
        first, second = [*map(int, sampler)], [*map(int, sampler)]
        return [first != second, first != sorted(first)], [True, True]

    return _steps(all_once, another_order)


class _Items(data.Dataset):
    """Seven items, each a row and its number; needs nothing unlocked."""

    def __init__(self) -> None:
        self.x, self.y = numbers(7, 2).build(), whole(*range(7)).build()

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index], self.y[index]


def _loader(key: str, mine: Any) -> Battery:
    items = _Items()

    def in_order() -> tuple[Any, Any]:
        """list(DataLoader(items, 3)) of 7 items: 3, 3 and 1, twice"""
        ours, theirs = mine(items, 3), data.DataLoader(items, 3)
        return [[*ours], [*ours], len(ours)], [[*theirs], [*theirs], 3]

    def whole_batch() -> tuple[Any, Any]:
        """list(DataLoader(items, 7)) is one batch"""
        return [*mine(items, 7)], [*data.DataLoader(items, 7)]

    def shuffled() -> tuple[Any, Any]:
        """DataLoader(items, 3, shuffle=True): each item once, x and y together"""
        batches = [*mine(items, 3, shuffle=True)]
        seen = sorted(int(i) for _, y in batches for i in y.tolist())
        together = all(x[j].tolist() == items[int(i)][0].tolist()
                       for x, y in batches for j, i in enumerate(y.tolist()))  # fmt: skip
        return [seen, together], [list(range(7)), True]

    return _steps(in_order, whole_batch, shuffled)


def _learner(key: str, mine: Any) -> Battery:
    def fits() -> tuple[Any, Any]:
        """Learner(loaders, model, optimizer, loss).fit(2): the weights after two epochs"""

        def after(kind: Any) -> list[Any]:
            items = data.TensorDataset(between(-1, 1, 12, 3).build(), whole(*[0, 1] * 6).build())
            model = nn.Linear(3, 2)
            with gu.no_grad():
                model.weight.copy_(numbers(2, 3).build())
                for bias in [model.bias] if model.bias is not None else []:
                    bias.fill_(0.5)
            loaders = data.Loaders(data.DataLoader(items, 4), data.DataLoader(items, 4))
            steps = optim.SGD(model.parameters(), lr=0.5)
            kind(loaders, model, steps, nn.functional.cross_entropy).fit(2)
            return list(model.parameters())

        return after(mine), after(train.Learner)

    return _steps(fits)


# ---- autograd ---------------------------------------------------------------------------------


def _autograd(key: str, mine: Any) -> Battery:
    """yours(f)(x, …) is gu.grad(f)(x, …): the derivative of f, one number, by its first argument.

    f is written in operators, @, `.sum()` and `.relu()` of whatever yours calls it with.
    """
    w, b = numbers(3, 2, seed=1), numbers(3, seed=2)
    cases: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        (_square, (numbers(3),)), (_affine, (numbers(2, 3),)), (_twice, (numbers(3),)),
        (_quotient, (between(1, 3, 3),)), (_cube, (numbers(3),)), (_add, (b, numbers(2, 3))),
        (_times, (numbers(2, 1), numbers(2, 3, seed=1))), (_product, (numbers(2, 3), w)),
        (_product_right, (w, numbers(2, 3))), (_relu, (numbers(2, 3),)),
        (_network, (w, numbers(4, 3), numbers(2, 1, seed=4))), (_unused, (numbers(3), numbers(3))),
        (_square, (numbers(3, dtype=gu.float64),)), (_square, (numbers(0),)),
    ]  # fmt: skip

    def compare(trial: Trial) -> Difference | None:
        f = trial.kwargs["f"]
        return functions(mine(f), gu.grad(f))(trial._replace(kwargs={}))

    return compare, [Trial(args, {"f": _Named(f)}) for f, args in cases]


class _Named:
    """A function that shows itself by its formula."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def __repr__(self) -> str:
        return str(self.function.__doc__)


def _square(x: Any) -> Any:
    """x ↦ (x * x).sum()"""
    return (x * x).sum()


def _affine(x: Any) -> Any:
    """x ↦ (x * 2 - 1).sum()"""
    return (x * 2 - 1).sum()


def _twice(x: Any) -> Any:
    """x ↦ (y * y + y).sum(), y = x * x"""
    y = x * x
    return (y * y + y).sum()


def _quotient(x: Any) -> Any:
    """x ↦ (1 / x - x / 4).sum()"""
    return (1 / x - x / 4).sum()


def _cube(x: Any) -> Any:
    """x ↦ (-(x ** 3)).sum()"""
    return (-(x**3)).sum()


def _add(b: Any, x: Any) -> Any:
    """b, x ↦ ((x + b) * x).sum(), b broadcast along the rows"""
    return ((x + b) * x).sum()


def _times(c: Any, x: Any) -> Any:
    """c, x ↦ (c * x * c).sum(), c broadcast along the columns"""
    return (c * x * c).sum()


def _product(x: Any, w: Any) -> Any:
    """x, w ↦ (x @ w).sum()"""
    return (x @ w).sum()


def _product_right(w: Any, x: Any) -> Any:
    """w, x ↦ ((x @ w) * (x @ w)).sum()"""
    y = x @ w
    return (y * y).sum()


def _relu(x: Any) -> Any:
    """x ↦ (x.relu() * x).sum()"""
    return (x.relu() * x).sum()


def _network(w: Any, x: Any, v: Any) -> Any:
    """w, x, v ↦ ((x @ w).relu() @ v).sum()"""
    return ((x @ w).relu() @ v).sum()


def _unused(x: Any, y: Any) -> Any:
    """x, y ↦ (y * y).sum(): 0 by x"""
    return (y * y + x * 0).sum()


_CONTRACTS: dict[str, Callable[[str, Any], Battery]] = {
    "Module": _module, "Sequential": _sequential, "SGD": _optimizer, "Adam": _optimizer,
    "AdamW": _optimizer, "TensorDataset": _dataset, "RandomSampler": _sampler,
    "DataLoader": _loader, "Learner": _learner, "autograd": _autograd,
    "kaiming_normal_": _filled, "kaiming_uniform_": _filled, "xavier_normal_": _filled,
    "xavier_uniform_": _filled,
}  # fmt: skip
