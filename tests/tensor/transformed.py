"""Functions of one tensor, written for groundup and torch alike: what derivatives are taken of and
what is mapped over batches."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import groundup as gu
from groundup.nn import functional as F

from .support import sample, torch


class Case(NamedTuple):
    """f(library, its nn.functional, x), and the shape of x (or x itself)."""

    function: Callable[[Any, Any, Any], Any]
    at: Any
    quick: bool = True

    def array(self) -> np.ndarray[Any, Any]:
        if isinstance(self.at, tuple):
            return np.asarray(sample(self.at, "float64"))
        return np.asarray(self.at, dtype="float64")

    def ours(self, x: Any) -> Any:
        return self.function(gu, F, x)

    def theirs(self, x: Any) -> Any:
        return self.function(torch(), torch().nn.functional, x)


def _written(L: Any, F: Any, x: Any) -> Any:
    y = x.clone()
    y[0] = x[1] * 2
    y.mul_(x)
    y[:, 0] += 1
    return y


def _sums(L: Any, F: Any, x: Any) -> Any:
    into = L.zeros(4, 2, dtype=L.float64)
    return into.index_add(0, L.tensor([0, 1, 1]), x * x)


def _positive(L: Any, x: Any) -> Any:
    return x @ x.mT + 3 * L.eye(x.shape[-1], dtype=L.float64)


CASES: dict[str, Case] = {
    "pointwise": Case(lambda L, F, x: L.exp(x) * x.tanh() / (x * x + 1), (2, 3)),
    "0-d": Case(lambda L, F, x: x * x.sin(), 0.7),
    "size 0": Case(lambda L, F, x: (x * 2).sum(0), (0, 3)),
    "sum": Case(lambda L, F, x: (x * x).sum(0) + x.mean(), (2, 3)),
    "prod": Case(lambda L, F, x: x.prod(0), (3, 2)),
    "prod of zeros": Case(lambda L, F, x: x.prod(0), [[0, 1, 2], [3, 0, 0], [1, 1, 5]]),
    "max": Case(lambda L, F, x: x.max(0)[0] * x.min(1)[0].sum(), (3, 2)),
    "norm": Case(lambda L, F, x: x.norm() * x.std() + x.var(0), (3, 2)),
    "softmax": Case(lambda L, F, x: L.softmax(x, -1) * L.logsumexp(x, 0), (2, 3)),
    "cumsum": Case(lambda L, F, x: x.cumsum(1), (3, 2)),
    "cumprod": Case(lambda L, F, x: x.cumprod(0), (3, 2)),
    "logcumsumexp": Case(lambda L, F, x: L.logcumsumexp(x, 0), (3, 2)),
    "cummax": Case(lambda L, F, x: x.cummax(0)[0], (3, 2), False),
    "sort": Case(lambda L, F, x: x.sort(0)[0] * x, (3, 2)),
    "topk": Case(lambda L, F, x: x.topk(2, 0)[0], (3, 2), False),
    "median": Case(lambda L, F, x: x.median(0)[0], (3, 2), False),
    "index": Case(lambda L, F, x: x[[2, 0, 0]] * x[0], (3, 2)),
    "gather": Case(lambda L, F, x: x.gather(0, L.tensor([[0, 1], [2, 2]])), (3, 2), False),
    "where": Case(lambda L, F, x: L.where(x > 0, x * x, -x).clamp(0.1, 0.9), (3, 2)),
    "matmul": Case(lambda L, F, x: x @ x.t(), (3, 2)),
    "einsum": Case(lambda L, F, x: L.einsum("ij,kj->ik", x, x * 2), (3, 2), False),
    "views": Case(lambda L, F, x: L.cat([x, x * x]).reshape(3, 4).t().flip(0)[1:], (2, 3)),
    "unfold": Case(lambda L, F, x: x.unfold(0, 2, 1), (3, 2), False),
    "writes": Case(_written, (3, 2)),
    "index_add": Case(_sums, (3, 2)),
    "pow": Case(lambda L, F, x: L.abs(x) ** x, (3, 2), False),
    "maximum": Case(lambda L, F, x: L.maximum(x, x[0]), (3, 2), False),
    "lgamma": Case(lambda L, F, x: L.lgamma(x * x + 1) * L.erf(x), (3, 2), False),
    "solve": Case(lambda L, F, x: L.linalg.solve(x, x[:, :1] * 2), (3, 3)),
    "cholesky": Case(lambda L, F, x: L.linalg.cholesky(_positive(L, x)), (3, 3)),
    "det": Case(lambda L, F, x: L.linalg.det(x) + L.linalg.slogdet(x)[1], (3, 3), False),
    "inv": Case(lambda L, F, x: L.linalg.inv(x), (2, 2), False),
    "qr": Case(lambda L, F, x: L.linalg.qr(x)[1], (3, 2), False),
    "eigvalsh": Case(lambda L, F, x: L.linalg.eigvalsh(x + x.mT), (3, 3), False),
    "svdvals": Case(lambda L, F, x: L.linalg.svdvals(x), (3, 2), False),
    "pinv": Case(lambda L, F, x: L.linalg.pinv(x), (3, 2), False),
    "matrix_exp": Case(lambda L, F, x: L.linalg.matrix_exp(x), (2, 2)),
    "conv": Case(lambda L, F, x: F.conv2d(x[None, None], x[None, None, :2, :2]), (4, 3)),
    "max_pool": Case(lambda L, F, x: F.max_pool2d(x[None], 2, padding=1), (4, 3)),
    "avg_pool": Case(lambda L, F, x: F.avg_pool2d(x[None], 2), (4, 4), False),
    "layer_norm": Case(lambda L, F, x: F.layer_norm(x, (3,)), (4, 3), False),
    "cross_entropy": Case(lambda L, F, x: F.cross_entropy(x, L.tensor([0, 1, 2, 1])), (4, 3)),
    "attention": Case(
        lambda L, F, x: F.scaled_dot_product_attention(x[None], x[None] * 2, x[None]), (4, 3), False
    ),
    "interpolate": Case(
        lambda L, F, x: F.interpolate(x[None, None], scale_factor=2, mode="bilinear"),
        (2, 3), False,
    ),
    "embedding": Case(lambda L, F, x: F.embedding(L.tensor([[0, 2], [1, 1]]), x), (3, 2)),
}  # fmt: skip
