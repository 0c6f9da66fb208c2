"""A player's own pieces, in the order of the course, in what the game allows at each point.

That all of them unlock says that the rules can be played; they are no part of the library.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import groundup as gu
from groundup import Tensor

# ---- 01 ------------------------------------------------------------------------------------------


def sum(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    if not x.is_floating_point():
        x = x.long()
    if dim is None:
        total = gu.zeros((), dtype=x.dtype)
        for row in x.reshape(-1):
            total = total + row
        return total
    size = [1 if i == dim % x.ndim else n for i, n in enumerate(x.shape)]
    found = gu.zeros(*size, dtype=x.dtype)
    for i in range(x.shape[dim]):
        found = found + x.narrow(dim, i, 1)
    return found if keepdim else found.squeeze(dim)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    if a.ndim == 1:
        return matmul(a[None], b).squeeze(-1 if b.ndim == 1 else -2)
    if b.ndim == 1:
        return matmul(a, b[:, None]).squeeze(-1)
    assert a.shape[-1] == b.shape[-2]
    wide = a.dtype if a.dtype is not gu.bfloat16 else gu.float32  # a sum of many roundings
    found = (a.to(wide)[..., :, :, None] * b.to(wide)[..., None, :, :]).sum(-2)
    return found.to(a.dtype)


def norm(x: Tensor) -> Tensor:
    return (x * x).sum() ** 0.5


def einsum(pattern: str, *tensors: Tensor) -> Tensor:
    left, right = pattern.split("->")
    letters = right + "".join(sorted({*left} - {*right, ","}))
    product: Any = 1
    for names, x in zip(left.split(","), tensors, strict=True):
        order = sorted(range(len(names)), key=lambda i: letters.index(names[i]))
        x = x.permute(*order)
        size = iter(x.shape)
        product = product * x.reshape(*(next(size) if c in names else 1 for c in letters))
    for _ in letters[len(right) :]:
        product = product.sum(-1)
    return product


# ---- 02 ------------------------------------------------------------------------------------------


def mean(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    if dim is None:
        return x.sum() / x.numel()
    return x.sum(dim, keepdim) / x.shape[dim]


def var(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    n = x.numel() if dim is None else x.shape[dim]
    if dim is None:
        off = x - x.mean()
        return (off * off).sum() / float(n - 1) if n > 1 else off.sum() * math.nan
    off = x - x.mean(dim, True)
    squares = (off * off).sum(dim, keepdim)
    return squares / (n - 1) if n > 1 else squares * math.nan


def max(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    if dim is None:
        best = None
        for value in x.reshape(-1):
            if best is None or bool(value != value) or bool(value > best):
                best = value.clone()
                if bool(value != value):
                    break
        assert best is not None
        return best
    if not x.ndim:
        return x.clone(), gu.zeros((), dtype=gu.int64)
    values, places = x.select(dim, 0).clone(), gu.zeros_like(x.select(dim, 0), dtype=gu.int64)
    for i in range(1, x.shape[dim]):
        row = x.select(dim, i)
        better = (row > values) | (row != row) & (values == values)
        values[better], places[better] = row[better], i
    return (values.unsqueeze(dim), places.unsqueeze(dim)) if keepdim else (values, places)


def maximum(a: Tensor, b: Tensor) -> Tensor:
    zero = a * 0 + b * 0  # the shape and type of both; NaN where one is not finite
    a, b = a.to(zero.dtype).expand(*zero.shape), b.to(zero.dtype).expand(*zero.shape)
    found = a.clone()
    take = (b > a) | (b != b)
    found[take] = b[take]
    return found


def where(mask: Tensor, a: Tensor, b: Tensor) -> Tensor:
    like = a.new_zeros(1) + b.new_zeros(1)
    shape = gu.broadcast_tensors(mask, a, b)[0].shape
    found = b.to(like.dtype).expand(*shape).clone()
    mask = mask.expand(*shape)
    found[mask] = a.to(like.dtype).expand(*shape)[mask]
    return found


def clamp(x: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    found = x.clone()
    if low is not None:
        found[found < low] = low
    if high is not None:
        found[found > high] = high
    return found


def relu(x: Tensor) -> Tensor:
    found = x.clone()
    found[x <= 0] = 0
    return found


def relu_gradient(g: Tensor, x: Tensor) -> Tensor:
    return g * (x > 0)


def linear(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    found = x @ w.t()
    return found if b is None else found + b


def mse_loss(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b) ** 2).mean()


class Module:
    def __call__(self, *args: Any) -> Any:
        return self.forward(*args)

    def forward(self, *args: Any) -> Any:
        raise NotImplementedError

    def parameters(self) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        for value in vars(self).values():
            if isinstance(value, Module):
                found.update((id(p), p) for p in value.parameters())
            elif isinstance(value, Tensor) and value.requires_grad:
                found.setdefault(id(value), value)
        return list(found.values())


class Linear(Module):
    def __init__(self, n: int, m: int) -> None:
        self.weight = gu.randn(m, n) * (1 / n) ** 0.5
        self.bias = gu.zeros(m)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.t() + self.bias


def kaiming_normal_(w: Tensor) -> Tensor:
    n = math.prod(w.shape[1:])
    return w.copy_(gu.randn(*w.shape) * (2 / n) ** 0.5)


def xavier_normal_(w: Tensor) -> Tensor:
    return gu.randn(*w.shape) * (2 / (w.shape[0] + w.shape[1])) ** 0.5


def kaiming_uniform_(w: Tensor) -> Tensor:
    bound = (6 / w.shape[1]) ** 0.5
    return (gu.rand(*w.shape) * 2 - 1) * bound


def xavier_uniform_(w: Tensor) -> Tensor:
    bound = (6 / (w.shape[0] + w.shape[1])) ** 0.5
    return (gu.rand(*w.shape) * 2 - 1) * bound


# ---- 03 ------------------------------------------------------------------------------------------


class Var:
    """A value, what it was computed of, and how a gradient goes back there."""

    def __init__(self, value: Tensor, *back: tuple[Var, Callable[[Tensor], Tensor]]) -> None:
        self.value, self.back, self.gradient = value, back, gu.zeros_like(value)

    @staticmethod
    def of(x: Any) -> Var:
        if isinstance(x, Var):
            return x
        return Var(x if isinstance(x, Tensor) else gu.tensor(float(x)))

    def __add__(self, other: Any) -> Var:
        o = Var.of(other)
        return Var(self.value + o.value, (self, lambda g: g), (o, lambda g: g))

    def __mul__(self, other: Any) -> Var:
        a, b = self, Var.of(other)
        return Var(a.value * b.value, (a, lambda g: g * b.value), (b, lambda g: g * a.value))

    def __pow__(self, n: float) -> Var:
        return Var(self.value**n, (self, lambda g: g * n * self.value ** (n - 1)))

    def __matmul__(self, other: Any) -> Var:
        a, b = self, Var.of(other)
        return Var(
            a.value @ b.value,
            (a, lambda g: g @ b.value.t()), (b, lambda g: a.value.t() @ g),
        )  # fmt: skip

    def __rmatmul__(self, other: Any) -> Var:
        return Var.of(other) @ self

    def __neg__(self) -> Var:
        return self * -1

    def __sub__(self, other: Any) -> Var:
        return self + -Var.of(other)

    def __rsub__(self, other: Any) -> Var:
        return -self + other

    def __truediv__(self, other: Any) -> Var:
        return self * Var.of(other) ** -1

    def __rtruediv__(self, other: Any) -> Var:
        return self**-1 * other

    __radd__, __rmul__ = __add__, __mul__

    def sum(self) -> Var:
        return Var(self.value.sum(), (self, lambda g: g.expand(*self.value.shape)))

    def relu(self) -> Var:
        return Var(self.value.relu(), (self, lambda g: g * (self.value > 0)))

    def backward(self) -> None:
        order: dict[int, Var] = {}

        def visit(v: Var) -> None:
            if id(v) not in order:
                for source, _ in v.back:
                    visit(source)
                order[id(v)] = v

        visit(self)
        self.gradient = gu.ones_like(self.value)
        for v in reversed(order.values()):
            for source, rule in v.back:
                source.gradient = source.gradient + unbroadcast(rule(v.gradient), source.value)


def unbroadcast(g: Tensor, like: Tensor) -> Tensor:
    while g.ndim > like.ndim:
        g = g.sum(0)
    for dim, n in enumerate(like.shape):
        if n == 1 and g.shape[dim] != 1:
            g = g.sum(dim, True)
    return g


def autograd(f: Callable[..., Any]) -> Callable[..., Tensor]:
    def derivative(x: Tensor, *others: Any) -> Tensor:
        at = Var(x)
        f(at, *map(Var.of, others)).backward()
        return at.gradient.to(x.dtype)

    return derivative


# ---- 04 ------------------------------------------------------------------------------------------


def exp(x: Tensor) -> Tensor:
    if not x.is_floating_point():
        x = x.float()
    return (math.e ** x.double()).to(x.dtype)


def log(x: Tensor) -> Tensor:
    if not x.is_floating_point():
        x = x.float()

    def one(v: float) -> float:
        if v != v or v < 0:
            return math.nan
        return -math.inf if v == 0 else math.log(v)

    found = gu.tensor([one(v) for v in x.reshape(-1).tolist()], dtype=x.dtype)
    return found.reshape(*x.shape)


def logsumexp(x: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    if not x.shape[dim % x.ndim]:
        return log(x.sum(dim, keepdim))
    m = x.max(dim, True)[0] if x.numel() else x.sum(dim, True)
    found = (x - m).exp().sum(dim, True).log() + m
    return found if keepdim else found.squeeze(dim)


def softmax(x: Tensor, dim: int) -> Tensor:
    e = (x - x.max(dim, True)[0]).exp() if x.numel() else x
    return e / e.sum(dim, True)


def log_softmax(x: Tensor, dim: int) -> Tensor:
    return x - x.logsumexp(dim, True)


def nll_loss(x: Tensor, target: Tensor) -> Tensor:
    return -x[range(len(x)), target].mean()


def cross_entropy(x: Tensor, target: Tensor) -> Tensor:
    return nll_loss(x.log_softmax(-1), target)


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    if dim is None:
        return x.reshape(-1).max(0)[1]
    return x.max(dim, keepdim)[1]


def accuracy(x: Tensor, target: Tensor) -> Tensor:
    return (x.argmax(1) == target).float()


def stack(tensors: list[Tensor], dim: int = 0) -> Tensor:
    first = tensors[0]
    found = gu.empty(len(tensors), *first.shape, dtype=first.dtype)
    for i, x in enumerate(tensors):
        found[i] = x
    dim %= first.ndim + 1
    return found.movedim(0, dim)


class Sequential(Module):
    def __init__(self, *layers: Any) -> None:
        self.layers = layers

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self) -> list[Tensor]:
        return [p for layer in self.layers for p in layer.parameters()]


class SGD:
    def __init__(
        self, params: Iterable[Tensor], lr: float, momentum: float = 0, weight_decay: float = 0
    ) -> None:
        self.params, self.lr, self.momentum, self.decay = list(params), lr, momentum, weight_decay
        self.before: dict[int, Tensor] = {}

    def step(self) -> None:
        with gu.no_grad():
            for i, p in enumerate(self.params):
                if p.grad is None:
                    continue
                g = p.grad + self.decay * p
                if i in self.before:
                    g = g + self.momentum * self.before[i]
                self.before[i] = g
                p -= self.lr * g

    def zero_grad(self) -> None:
        for p in self.params:
            p.grad = None


class TensorDataset:
    def __init__(self, *tensors: Tensor) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, i: Any) -> tuple[Tensor, ...]:
        return tuple(t[i] for t in self.tensors)


class RandomSampler:
    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self) -> Iterator[int]:
        return iter(gu.randperm(self.n).tolist())


class DataLoader:
    def __init__(self, dataset: Any, size: int, shuffle: bool = False) -> None:
        self.dataset, self.size = dataset, size
        self.order = RandomSampler(len(dataset)) if shuffle else range(len(dataset))

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        order = iter(self.order)
        while places := list(itertools.islice(order, self.size)):
            items = [self.dataset[i] for i in places]
            yield tuple(gu.stack(list(column)) for column in zip(*items, strict=True))


class Learner:
    def __init__(self, loaders: Any, model: Any, optimizer: Any, loss: Any) -> None:
        self.loaders, self.model, self.optimizer, self.loss = loaders, model, optimizer, loss

    def fit(self, epochs: int) -> None:
        for _ in range(epochs):
            for x, y in self.loaders.train:
                loss = self.loss(self.model(x), y)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()


ORDER: dict[str, Any] = {
    "sum": sum, "matmul": matmul, "norm": norm, "einsum": einsum, "mean": mean, "var": var,
    "max": max, "maximum": maximum, "where": where, "clamp": clamp, "relu": relu,
    "linear": linear, "mse_loss": mse_loss, "Module": Module, "Linear": Linear,
    "kaiming_normal_": kaiming_normal_, "xavier_normal_": xavier_normal_,
    "kaiming_uniform_": kaiming_uniform_, "xavier_uniform_": xavier_uniform_,
    "autograd": autograd, "exp": exp, "log": log, "logsumexp": logsumexp, "softmax": softmax,
    "log_softmax": log_softmax, "nll_loss": nll_loss, "cross_entropy": cross_entropy,
    "argmax": argmax, "accuracy": accuracy, "stack": stack, "Sequential": Sequential, "SGD": SGD,
    "TensorDataset": TensorDataset, "RandomSampler": RandomSampler, "DataLoader": DataLoader,
    "Learner": Learner,
}  # fmt: skip

