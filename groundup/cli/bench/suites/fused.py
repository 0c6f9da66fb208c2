"""fused: pointwise work, reductions, normalisations, losses, gathers and attention.

Most of these can only be as fast as memory, so 90% of the roofline measured in the same run will do
where a ratio is not reached.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from groundup.cli.bench.record import Asked, Case, Input, Suite

ASKED = Asked({"torch": 0.85, "compile": 0.9, "jax": 0.9}, share=0.9)
EPS = 1e-5  # of the normalisations, PyTorch's default


def _pointwise(rows: int, columns: int) -> list[Case]:
    shape = (rows, columns)
    x, line = Input(shape), Input((columns,))
    return [
        Case(
            "add", (x, x), shape, _add, _add, _add,
            flop=rows * columns, read=2 * x.nbytes, written=x.nbytes, linear=True, asked=ASKED,
        ),
        Case(
            "gelu(x·w+b).mean", (x, line, line), (),
            lambda gu, x, w, b: gu.nn.functional.gelu(x * w + b).mean(),
            lambda torch, x, w, b: torch.nn.functional.gelu(x * w + b).mean(),
            lambda jax, x, w, b: jax.nn.gelu(x * w + b, approximate=False).mean(),
            read=x.nbytes, terms=100, asked=ASKED,
        ),
        Case(
            "sum", (x,), (), _sum, _sum, _sum,
            flop=rows * columns, read=x.nbytes, terms=rows * columns, linear=True, asked=ASKED,
        ),
        *_twice(Case(
            "softmax", (x,), shape,
            lambda gu, x: gu.nn.functional.softmax(x, -1),
            lambda torch, x: torch.nn.functional.softmax(x, -1),
            lambda jax, x: jax.nn.softmax(x, -1),
            read=x.nbytes, written=x.nbytes, terms=columns, asked=ASKED,
        )),
        *_twice(Case(
            "layernorm", (x, line, line), shape,
            lambda gu, x, w, b: gu.nn.functional.layer_norm(x, (columns,), w, b, EPS),
            lambda torch, x, w, b: torch.nn.functional.layer_norm(x, (columns,), w, b, EPS),
            _jax_layer_norm,
            read=x.nbytes, written=x.nbytes, terms=rows, asked=ASKED,
        )),
    ]  # fmt: skip


def _twice(case: Case) -> list[Case]:
    """A case, and the same with its gradients: it reads the result's and writes its first input's.

    (The gradients of parameters are small beside it.)
    """
    floats = tuple(i for i, given in enumerate(case.inputs) if not given.below)
    result = 4.0 if not case.result else case.written
    both = replace(
        case, name=f"{case.name} +∂", part="both", wrt=floats, flop=3 * case.flop,
        read=case.read + result, written=case.written + case.inputs[0].nbytes,
    )  # fmt: skip
    return [case, both]


def _add(lib: Any, x: Any, y: Any) -> Any:
    return x + y


def _sum(lib: Any, x: Any) -> Any:
    return x.sum()


def _jax_layer_norm(jax: Any, x: Any, w: Any, b: Any) -> Any:
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(var + EPS) * w + b


def _batch_norm(shape: tuple[int, ...]) -> list[Case]:
    x, line = Input(shape, image=True), Input((shape[1],))
    return _twice(Case(
        "batchnorm", (x, line, line), shape,
        lambda gu, x, w, b: gu.nn.functional.batch_norm(x, None, None, w, b, True, 0.1, EPS),
        lambda torch, x, w, b: torch.nn.functional.batch_norm(x, None, None, w, b, True, 0.1, EPS),
        _jax_batch_norm,
        read=x.nbytes, written=x.nbytes, terms=shape[0] * shape[2] * shape[3], asked=ASKED,
    ))  # fmt: skip


def _jax_batch_norm(jax: Any, x: Any, w: Any, b: Any) -> Any:
    over, line = (0, 2, 3), (1, -1, 1, 1)
    mean, var = x.mean(over, keepdims=True), x.var(over, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(var + EPS) * w.reshape(line) + b.reshape(line)


def _cross_entropy(rows: int, classes: int) -> list[Case]:
    x, y = Input((rows, classes)), Input((rows,), below=classes)
    return _twice(Case(
        "cross-entropy", (x, y), (),
        lambda gu, x, y: gu.nn.functional.cross_entropy(x, y),
        lambda torch, x, y: torch.nn.functional.cross_entropy(x, y),
        _jax_cross_entropy,
        read=x.nbytes, terms=classes, asked=ASKED,
    ))  # fmt: skip


def _jax_cross_entropy(jax: Any, x: Any, y: Any) -> Any:
    logs = jax.nn.log_softmax(x, -1)
    return -jax.numpy.take_along_axis(logs, y[:, None], 1).mean()


def _embedding(words: int, width: int, places: tuple[int, int]) -> list[Case]:
    table, index = Input((words, width)), Input(places, below=words)
    result = (*places, width)
    moved = 4.0 * places[0] * places[1] * width
    forward = Case(
        "gather",
        (table, index),
        result,
        lambda gu, table, index: gu.nn.functional.embedding(index, table),
        lambda torch, table, index: torch.nn.functional.embedding(index, table),
        lambda jax, table, index: table[index],
        read=moved + index.nbytes,
        written=moved,
        asked=ASKED,
    )
    # Of random places some repeat: at most 7000 / 10000 of the table are read, the rest is zeros.
    gradient = replace(
        forward, name="scatter", part="gradient", wrt=(0,), linear=True,
        terms=places[0] * places[1],
        torch_gradient=lambda torch, table, index, g: (
            torch.ops.aten.embedding_dense_backward(g, index, words, -1, False),
        ),
        written=table.nbytes,
    )  # fmt: skip
    return [forward, gradient]


def _attention(batch: int, heads: int, steps: int, width: int) -> list[Case]:
    shape = (batch, heads, steps, width)
    x = Input(shape)
    # Two products, and half of the positions lie ahead.
    flop = 2 * 2.0 * batch * heads * steps * steps * width / 2
    return _twice(Case(
        "attention", (x, x, x), shape,
        lambda gu, q, k, v: gu.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True),
        lambda torch, q, k, v: torch.nn.functional.scaled_dot_product_attention(
            q, k, v, is_causal=True
        ),
        _jax_attend,
        flop=flop, read=3 * x.nbytes, written=x.nbytes, terms=steps, asked=ASKED,
    ))  # fmt: skip


def _jax_attend(jax: Any, q: Any, k: Any, v: Any) -> Any:
    steps, width = q.shape[-2], q.shape[-1]
    place = jax.numpy.arange(steps)
    scores = q @ k.swapaxes(-2, -1) * width**-0.5
    scores = jax.numpy.where(place[None] > place[:, None], -jax.numpy.inf, scores)
    return jax.nn.softmax(scores, -1) @ v


def suite(small: bool = False) -> Suite:
    """Return the rows; small: the same on little data."""
    cases = [
        *_pointwise(*((67, 45) if small else (4096, 1024))),
        *_batch_norm((4, 6, 7, 5) if small else (32, 64, 56, 56)),
        *_cross_entropy(*((35, 71) if small else (700, 10_000))),
        *_embedding(*((50, 20, (4, 9)) if small else (10_000, 384, (20, 350)))),
        *_attention(*((2, 2, 17, 8) if small else (4, 6, 256, 64))),
    ]
    return Suite("fused", tuple(cases), {"torch": 0.5})
