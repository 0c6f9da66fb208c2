"""The gallery in functorch.dim, torch's first-class dimensions: items that its indices can say.

It has no affine index, so no convolution or stencil; no tensor twice at one dimension, so no trace;
no scatter, so no histogram. Must not know the other libraries.
"""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any


def _dims(count: int) -> Any:
    dim = import_module("functorch.dim")
    return [dim.Dim(f"d{number}") for number in range(count)]


def matmul(torch: Any, a: Any, b: Any) -> Any:
    i, j, k = _dims(3)
    return (a[i, k] * b[k, j]).sum(k).order(i, j)


def batched_matmul(torch: Any, a: Any, b: Any) -> Any:
    n, i, j, k = _dims(4)
    return (a[n, i, k] * b[n, k, j]).sum(k).order(n, i, j)


def outer(torch: Any, a: Any, b: Any) -> Any:
    i, j = _dims(2)
    return (a[i] * b[j]).order(i, j)


def max_pool(torch: Any, x: Any) -> Any:
    n, c, p, q, u, v = _dims(6)
    u.size = v.size = 2
    return x[n, c, (p, u), (q, v)].amax((u, v)).order(n, c, p, q)


def bilinear(torch: Any, x: Any) -> Any:
    for _ in range(2):  # along the last axis, and turned
        n, c, r, t = _dims(4)
        size = x.shape[3]
        at = ((torch.arange(2 * size) + 0.5) / 2 - 0.5).clamp(0, size - 1)
        low = at.long()
        share, high = (at % 1)[t], (low + 1).clamp(max=size - 1)
        mixed = (1 - share) * x[n, c, r, low[t]] + share * x[n, c, r, high[t]]
        x = mixed.order(n, c, t, r)
    return x


def softmax(torch: Any, x: Any) -> Any:
    i, j = _dims(2)
    return x[i, j].softmax(j).order(i, j)


def layer_norm(torch: Any, x: Any) -> Any:
    i, j = _dims(2)
    centred = x[i, j] - x[i, j].mean(j)
    return (centred * ((centred * centred).mean(j) + 1e-5).rsqrt()).order(i, j)


def attention(torch: Any, q: Any, k: Any, v: Any) -> Any:
    n, h, i, j, f = _dims(5)
    products = (q[n, h, i, f] * k[n, h, j, f]).sum(f) / math.sqrt(q.shape[3])
    weights = torch.where(j <= i, products, -math.inf).softmax(j)
    return (weights * v[n, h, j, f]).sum(j).order(n, h, i, f)


def distances(torch: Any, x: Any) -> Any:
    i, j, f = _dims(3)
    return (x[i, f] - x[j, f]).square().sum(f).order(i, j)


def k_means(torch: Any, x: Any, centres: Any) -> Any:
    i, c, f = _dims(3)
    near = (x[i, f] - centres[c, f]).square().sum(f).argmin(c)
    hot = (near == torch.arange(len(centres))[c]).float()
    return ((hot * x[i, f]).sum(i) / hot.sum(i)).order(c, f)


def mean_shift(torch: Any, x: Any) -> Any:
    i, j, f = _dims(3)
    pull = ((x[i, f] - x[j, f]).square().sum(f) / -2).exp()
    return ((pull * x[j, f]).sum(j) / pull.sum(j)).order(i, f)


def max_plus(torch: Any, a: Any, b: Any) -> Any:
    i, j, k = _dims(3)
    return (a[i, k] + b[k, j]).amax(k).order(i, j)


def cumsum(torch: Any, x: Any) -> Any:
    i, t = _dims(2)
    return x[i, t].cumsum(t).order(i, t)


def lstm_cell(torch: Any, x: Any, h: Any, cell: Any, wx: Any, wh: Any, bias: Any) -> Any:
    n, m, k, f = _dims(4)
    weights = zip(wx.chunk(4), wh.chunk(4), bias.chunk(4), strict=True)
    i, forget, g, o = (
        (x[n, k] * v[m, k]).sum(k) + (h[n, f] * w[m, f]).sum(f) + b[m] for v, w, b in weights
    )
    kept = forget.sigmoid() * cell[n, m] + i.sigmoid() * g.tanh()
    return (o.sigmoid() * kept.tanh()).order(n, m)


def rope(torch: Any, x: Any, cos: Any, sin: Any) -> Any:
    n, h, t, d = _dims(4)
    even, odd = x[..., ::2][n, h, t, d], x[..., 1::2][n, h, t, d]
    c, s = cos[t, d], sin[t, d]
    turned = [y.order(n, h, t, d) for y in (even * c - odd * s, odd * c + even * s)]
    return torch.stack(turned, -1).flatten(-2)
