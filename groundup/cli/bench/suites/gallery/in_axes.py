"""The gallery in our notation: each item as docs/index-notation.md writes it, with a batch where
one alone is no work. Called with the library and its tensors, as all four files of this folder.

Must not know the peers.
"""

from __future__ import annotations

import math
from typing import Any


def matmul(gu: Any, a: Any, b: Any) -> Any:
    i, j, k = gu.axes("i j k")
    return (a[i, k] * b[k, j]).sum(k).order(i, j)


def batched_matmul(gu: Any, a: Any, b: Any) -> Any:
    n, i, j, k = gu.axes("n i j k")
    return (a[n, i, k] * b[n, k, j]).sum(k).order(n, i, j)


def trace(gu: Any, x: Any) -> Any:
    n, i = gu.axes("n i")
    return x[n, i, i].sum(i).order(n)


def diagonal(gu: Any, x: Any) -> Any:
    n, i = gu.axes("n i")
    return x[n, i, i].order(n, i)


def outer(gu: Any, a: Any, b: Any) -> Any:
    i, j = gu.axes("i j")
    return (a[i] * b[j]).order(i, j)


# ---- windows -------------------------------------------------------------------------------------


def convolution_1_d(gu: Any, x: Any, w: Any) -> Any:
    n, c, o, p, u = gu.axes("n c o p u")
    return (x[n, c, 2 * p + 3 * u] * w[o, c, u]).sum(c, u).order(n, o, p)


def convolution_2_d(gu: Any, x: Any, w: Any) -> Any:
    n, c, o, p, q, u, v = gu.axes("n c o p q u v")
    return (x[n, c, 2 * p + 2 * u, 2 * q + 2 * v] * w[o, c, u, v]).sum(c, u, v).order(n, o, p, q)


def max_pool(gu: Any, x: Any) -> Any:
    n, c, p, q = gu.axes("n c p q")
    u, v = gu.axis("u", 2), gu.axis("v", 2)
    return x[n, c, 2 * p + u, 2 * q + v].max(u, v).order(n, c, p, q)


def bilinear(gu: Any, x: Any) -> Any:
    n, c, p, q = gu.axes("n c p q")
    (low, high, share), (left, right, part) = (_between(gu, int(s)) for s in x.shape[2:])

    def column(at: Any) -> Any:
        return (1 - share[p]) * x[n, c, low[p], at] + share[p] * x[n, c, high[p], at]

    mixed = (1 - part[q]) * column(left[q]) + part[q] * column(right[q])
    return mixed.order(n, c, p, q)


def _between(gu: Any, size: int) -> tuple[Any, Any, Any]:
    """Of twice as many places: the elements before and after each, and the share of the second."""
    at = [min(max((p + 0.5) / 2 - 0.5, 0.0), size - 1.0) for p in range(2 * size)]
    low = [int(a) for a in at]
    high = [min(a + 1, size - 1) for a in low]
    return gu.tensor(low), gu.tensor(high), gu.tensor([a % 1 for a in at])


# ---- rows ----------------------------------------------------------------------------------------


def softmax(gu: Any, x: Any) -> Any:
    i, j = gu.axes("i j")
    e = (x[i, j] - x[i, j].max(j).detach()).exp().order(i, j)
    return (e[i, j] / e[i, j].sum(j)).order(i, j)


def layer_norm(gu: Any, x: Any) -> Any:
    i, j = gu.axes("i j")
    centred = (x[i, j] - x[i, j].mean(j)).order(i, j)
    return (centred[i, j] * ((centred[i, j] ** 2).mean(j) + 1e-5).rsqrt()).order(i, j)


def attention(gu: Any, q: Any, k: Any, v: Any) -> Any:
    n, h, i, j, f = gu.axes("n h i j f")

    def seen(x: Any, beyond: float) -> Any:
        return gu.where(j <= i, x, beyond)

    s = seen((q[n, h, i, f] * k[n, h, j, f]).sum(f) / math.sqrt(q.shape[-1]), -math.inf)
    s = s.order(n, h, i, j)
    e = (s[n, h, i, j] - s[n, h, i, j].max(j)).exp().order(n, h, i, j)
    w = (e[n, h, i, j] / e[n, h, i, j].sum(j)).order(n, h, i, j)
    return seen(w[n, h, i, j] * v[n, h, j, f], 0.0).sum(j).order(n, h, i, f)


# ---- points --------------------------------------------------------------------------------------


def distances(gu: Any, x: Any) -> Any:
    i, j, f = gu.axes("i j f")
    return ((x[i, f] - x[j, f]) ** 2).sum(f).order(i, j)


def _by_product(gu: Any, x: Any) -> Any:
    """|xᵢ|² + |xⱼ|² − 2 xᵢ·xⱼ, as torch's fastest spelling."""
    i, j, f = gu.axes("i j f")
    length = (x[i, f] ** 2).sum(f).order(i)
    return (length[i] + length[j] - 2 * (x[i, f] * x[j, f]).sum(f)).order(i, j)


def k_means(gu: Any, x: Any, centres: Any) -> Any:
    """The nearest centre has the least |c|² − 2 c·x."""
    i, f, m = gu.axes("i f m")
    length = (centres[m, f] ** 2).sum(f).order(m)
    far = (length[m] - 2 * (x[i, f] * centres[m, f]).sum(f)).order(m, i)
    label = far[m, i].argmin(m).order(i)
    c = gu.axis("c", int(centres.shape[0]))
    return x[i, f].at(c, label[i]).mean(i).order(c, f)


def mean_shift(gu: Any, x: Any) -> Any:
    i, j, f = gu.axes("i j f")
    pull = (_by_product(gu, x)[i, j] / -2).exp().order(i, j)
    share = (pull[i, j] / pull[i, j].sum(j)).order(i, j)
    return (share[i, j] * x[j, f]).sum(j).order(i, f)


def max_plus(gu: Any, a: Any, b: Any) -> Any:
    i, j, k = gu.axes("i j k")
    return (a[i, k] + b[k, j]).max(k).order(i, j)


def histogram(gu: Any, x: Any) -> Any:
    """In parts, so that every thread has its own."""
    parts = x.reshape(math.gcd(64, int(x.shape[0])), -1)
    part, i = gu.axes("part i")
    b = gu.axis("b", 256)
    counts = (parts[part, i] * 0 + 1).at(b, parts[part, i]).sum(i).order(part, b)
    return counts[part, b].sum(part).order(b)


# ---- time ----------------------------------------------------------------------------------------


def cumsum(gu: Any, x: Any) -> Any:
    i, t = gu.axes("i t")
    return x[i, t].cumsum(t).order(i, t)


def lstm_cell(gu: Any, x: Any, h: Any, cell: Any, wx: Any, wh: Any, bias: Any) -> Any:
    gate, n, m, k, f = gu.axes("gate n m k f")
    wx, wh, bias = (w.reshape(4, h.shape[1], *w.shape[1:]) for w in (wx, wh, bias))
    gates = (x[n, k] * wx[gate, m, k]).sum(k) + (h[n, f] * wh[gate, m, f]).sum(f) + bias[gate, m]
    gates = gates.order(gate, n, m)
    kept = gates[1, n, m].sigmoid() * cell[n, m]
    kept = kept + gates[0, n, m].sigmoid() * gates[2, n, m].tanh()
    return (gates[3, n, m].sigmoid() * kept.tanh()).order(n, m)


def rope(gu: Any, x: Any, cos: Any, sin: Any) -> Any:
    n, h, t, d = gu.axes("n h t d")
    partner = x[n, h, t, 2 * (d // 2) + 1 - d % 2]
    sign = gu.where(gu.eq(d % 2, 0), -1.0, 1.0)
    return (x[n, h, t, d] * cos[t, d // 2] + sign * partner * sin[t, d // 2]).order(n, h, t, d)


# ---- grids ---------------------------------------------------------------------------------------


def life(gu: Any, grid: Any) -> Any:
    r, c = gu.axis("r", int(grid.shape[0])), gu.axis("c", int(grid.shape[1]))
    cell = gu.outside(grid, 0)
    around = sum(cell[r + u, c + v] for u in (-1, 0, 1) for v in (-1, 0, 1) if u or v)
    alive = gu.eq(around, 3) | (gu.eq(around, 2) & gu.eq(grid[r, c], 1))
    return alive.order(r, c)


def jacobi(gu: Any, x: Any) -> Any:
    r, c = (gu.axis(name, int(s) - 2) for name, s in zip("rc", x.shape, strict=True))
    around = x[r, c + 1] + x[r + 2, c + 1] + x[r + 1, c] + x[r + 1, c + 2]
    return (around / 4).order(r, c)
