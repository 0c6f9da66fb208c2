"""Norms, embeddings, attention and LSTMs against torch: values, gradients, state dicts, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn
from groundup.nn import functional as F

from .support import compare, near, numbers, same_module, torch

pytestmark = pytest.mark.peers


# ---- norms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((4, 7), (7,)),
        ((2, 3, 5), (3, 5)),
        ((1, 1), (1,)),
        ((3,), (3,)),
        ((0, 3), (3,)),
        ((2, 3, 5), (5,)),
    ],
)
@pytest.mark.parametrize("affine", [True, False])
def test_layer_norm(shape: tuple[int, ...], sizes: tuple[int, ...], affine: bool) -> None:
    inputs = [5 + 3 * numbers(*shape)]
    inputs += [numbers(*sizes, seed=1), numbers(*sizes, seed=2)] * affine
    compare(
        lambda x, *wb: F.layer_norm(x, sizes, *wb, eps=1e-3),
        lambda x, *wb: torch().nn.functional.layer_norm(x, sizes, *wb, eps=1e-3),
        inputs,
        5e-5,
    )


@pytest.mark.parametrize(
    ("shape", "groups"), [((2, 6, 5), 3), ((2, 6), 2), ((1, 4, 3, 5), 1), ((3, 4, 2, 1), 4)]
)
@pytest.mark.parametrize("affine", [True, False])
def test_group_norm(shape: tuple[int, ...], groups: int, affine: bool) -> None:
    inputs = [5 + 3 * numbers(*shape)]
    inputs += [numbers(shape[1], seed=1), numbers(shape[1], seed=2)] * affine
    compare(
        lambda x, *wb: F.group_norm(x, groups, *wb),
        lambda x, *wb: torch().nn.functional.group_norm(x, groups, *wb),
        inputs,
        5e-5,
    )


@pytest.mark.parametrize(
    ("name", "args", "options", "shape"),
    [
        ("LayerNorm", (5,), {}, (3, 5)),
        ("LayerNorm", ((4, 5),), {"bias": False}, (2, 3, 4, 5)),
        ("LayerNorm", ([5],), {"elementwise_affine": False, "eps": 0.1}, (3, 5)),
        ("GroupNorm", (2, 6), {}, (3, 6, 4)),
        ("GroupNorm", (3, 6), {"affine": False}, (1, 6, 2, 3)),
        ("BatchNorm3d", (3,), {}, (2, 3, 2, 4, 3)),
    ],
)
def test_norm_modules(name: str, args: Any, options: Any, shape: tuple[int, ...]) -> None:
    ours, theirs = (getattr(lib, name)(*args, **options) for lib in (nn, torch().nn))
    same_module(ours, theirs, [5 + 3 * numbers(*shape)], 5e-5)
    assert repr(ours) == repr(theirs)


def test_errors_of_norms() -> None:
    with pytest.raises(gu.ShapeError, match=r"ends in axes of \(4, 5\).*\n +input +\(5,\)"):
        nn.LayerNorm((4, 5))(gu.zeros(5))
    with pytest.raises(gu.ShapeError, match=r"the bias has one number for each place"):
        F.layer_norm(gu.zeros(2, 5), (5,), None, gu.zeros(2))
    with pytest.raises(TypeError, match="input float64, weight float32"):
        nn.LayerNorm(5)(gu.zeros(2, 5, dtype=gu.float64))
    with pytest.raises(ValueError, match="4 groups must divide 6 channels"):
        nn.GroupNorm(4, 6)
    with pytest.raises(gu.ShapeError, match=r"expects \(n, 6, …\)"):
        nn.GroupNorm(2, 6)(gu.zeros(2, 4, 3))
    with pytest.raises(gu.ShapeError, match="a multiple of 4 groups"):
        F.group_norm(gu.zeros(2, 6), 4)
    with pytest.raises(gu.ShapeError, match=r"volumes \(n, 3, d, h, w\)"):
        nn.BatchNorm3d(3)(gu.zeros(2, 3, 4, 4))


# ---- embedding -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [3, [0], [[2, 2, 0], [4, 1, 2]], [], [[[1]]]])
@pytest.mark.parametrize("padding", [None, 2, -1])
def test_embedding(ids: Any, padding: int | None) -> None:
    array = np.array(ids, dtype=np.int64)
    compare(
        lambda w: F.embedding(gu.from_numpy(array), w, padding),
        lambda w: torch().nn.functional.embedding(torch().from_numpy(array), w, padding),
        [numbers(5, 3)],
    )


@pytest.mark.parametrize("padding", [None, 1, -1])
def test_embedding_module(padding: int | None) -> None:
    ours, theirs = (lib.Embedding(5, 3, padding_idx=padding) for lib in (nn, torch().nn))
    assert repr(ours) == repr(theirs)
    if padding is not None:
        assert ours.weight[padding].tolist() == [0.0, 0.0, 0.0]
    same_module(ours, theirs, [np.array([[0, 1, 1], [4, 4, 4]])])


@pytest.mark.parametrize("bad", [5, 700, -1])
def test_an_id_that_is_no_row_is_an_index_error(bad: int) -> None:
    layer, ids = nn.Embedding(5, 3), gu.tensor([0, 4, bad])
    with pytest.raises(IndexError, match=str(bad)) as error:  # known ids: at once
        layer(ids)
    assert "5 rows" in str(error.value)
    with pytest.raises(IndexError):  # ids that are still to be computed: with the result
        layer(ids + gu.zeros(3, dtype=gu.int64)).realize()
    with pytest.raises(IndexError):
        gu.jit(lambda i: layer(i))(ids).realize()


def test_errors_of_embedding() -> None:
    with pytest.raises(TypeError, match=r"ids are integers, not float32; write ids.long\(\)"):
        nn.Embedding(5, 3)(gu.zeros(2))
    with pytest.raises(ValueError, match="padding_idx 5 is none of the 5 rows"):
        nn.Embedding(5, 3, padding_idx=5)
    with pytest.raises(gu.ShapeError, match="the table is"):
        F.embedding(gu.tensor([0]), gu.zeros(3))


# ---- attention -----------------------------------------------------------------------------------

SHAPES = [
    # (query, key, value)
    ((2, 3, 5, 4), (2, 3, 5, 4), (2, 3, 5, 4)),
    ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)),
    ((2, 1, 1, 1), (2, 1, 1, 1), (2, 1, 1, 1)),
    ((5, 4), (3, 4), (3, 2)),
    ((2, 7, 4), (2, 3, 4), (2, 3, 4)),
]


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.7}])
def test_attention(shapes: Any, options: dict[str, Any]) -> None:
    compare(
        lambda *qkv: F.scaled_dot_product_attention(*qkv, **options),
        lambda *qkv: torch().nn.functional.scaled_dot_product_attention(*qkv, **options),
        [3 * numbers(*s, seed=i) for i, s in enumerate(shapes)],
        2e-5,
    )


@pytest.mark.parametrize("mask_shape", [(5, 7), (3, 5, 7), (2, 1, 1, 7)])
@pytest.mark.parametrize("boolean", [True, False])
def test_attention_mask(mask_shape: tuple[int, ...], boolean: bool) -> None:
    mask = numbers(*mask_shape, seed=5)
    array = mask > 0 if boolean else mask
    compare(
        lambda *qkv: F.scaled_dot_product_attention(*qkv, gu.from_numpy(array)),
        lambda *qkv: torch().nn.functional.scaled_dot_product_attention(
            *qkv, torch().from_numpy(array)
        ),
        [numbers(*s, seed=i) for i, s in enumerate(SHAPES[1])],
        2e-5,
    )


@pytest.mark.parametrize("boolean", [True, False])
def test_a_query_that_may_see_nothing_gets_zeros(boolean: bool) -> None:
    seen = np.array([[True, False], [False, False], [True, True]])
    array = seen if boolean else np.where(seen, 0, -np.inf).astype(np.float32)
    inputs = [numbers(1, 2, 3, 4), numbers(1, 2, 2, 4, seed=1), numbers(1, 2, 2, 4, seed=2)]
    q, k, v = (gu.from_numpy(x).requires_grad_(True) for x in inputs)
    y = F.scaled_dot_product_attention(q, k, v, gu.from_numpy(array))
    wanted = torch().nn.functional.scaled_dot_product_attention(
        *[torch().from_numpy(x) for x in inputs], torch().from_numpy(array)
    )
    near(y, wanted)
    assert not y[:, :, 1].numpy().any()
    y.sum().backward()
    for t in (q, k, v):
        assert t.grad is not None and np.isfinite(t.grad.numpy()).all()


def test_grouped_queries() -> None:
    compare(
        lambda *qkv: F.scaled_dot_product_attention(*qkv, enable_gqa=True),
        lambda *qkv: torch().nn.functional.scaled_dot_product_attention(*qkv, enable_gqa=True),
        [numbers(2, 6, 3, 4), numbers(2, 2, 5, 4, seed=1), numbers(2, 2, 5, 4, seed=2)],
        2e-5,
    )


def test_errors_of_attention() -> None:
    q, mask = gu.zeros(2, 3, 4), gu.ones(3, 3, dtype=gu.bool)
    with pytest.raises(gu.ShapeError, match=r"one number for each feature.*\n +query +\(2, 3, 4\)"):
        F.scaled_dot_product_attention(q, gu.zeros(2, 3, 5), q)
    with pytest.raises(gu.ShapeError, match="one value for each key"):
        F.scaled_dot_product_attention(q, q, gu.zeros(2, 5, 4))
    with pytest.raises(ValueError, match="is_causal and attn_mask exclude each other"):
        F.scaled_dot_product_attention(q, q, q, mask, is_causal=True)
    with pytest.raises(TypeError, match="a mask is bool .* not int64"):
        F.scaled_dot_product_attention(q, q, q, mask.long())
    with pytest.raises(gu.ShapeError, match="4 key heads must divide 6 query heads"):
        kv = gu.zeros(4, 3, 4)
        F.scaled_dot_product_attention(gu.zeros(6, 3, 4), kv, kv, enable_gqa=True)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_multihead_attention(batch_first: bool, bias: bool) -> None:
    ours, theirs = (
        lib.MultiheadAttention(6, 3, bias=bias, batch_first=batch_first) for lib in (nn, torch().nn)
    )
    inputs = [numbers(4, 5, 6), numbers(4, 5, 6, seed=1), numbers(4, 5, 6, seed=2)]
    same_module(ours, theirs, inputs, 2e-5, pick=lambda result: result[0])
    arrays = [gu.from_numpy(x) for x in inputs], [torch().from_numpy(x) for x in inputs]
    for average in (True, False):
        mine, other = (
            m(*x, average_attn_weights=average)[1] for m, x in zip((ours, theirs), arrays)
        )
        near(mine, other)
    assert ours(*arrays[0], need_weights=False)[1] is None


@pytest.mark.parametrize("kind", ["keys", "pairs", "heads", "both", "causal", "unbatched"])
def test_multihead_attention_masks(kind: str) -> None:
    ours, theirs = (lib.MultiheadAttention(6, 3, batch_first=True) for lib in (nn, torch().nn))
    keys = np.array([[False] * 5, [False, True, False, True, True]])
    pairs = np.triu(np.ones((5, 5), bool), 1)
    masks = {
        "keys": {"key_padding_mask": keys},
        "pairs": {"attn_mask": np.where(pairs, -2.5, 0.5).astype(np.float32)},
        "heads": {"attn_mask": np.stack([pairs, pairs.T, pairs & False] * 2)},
        "both": {"key_padding_mask": keys, "attn_mask": pairs},
        "causal": {"attn_mask": pairs, "is_causal": True},
        "unbatched": {"key_padding_mask": keys[1], "attn_mask": pairs},
    }[kind]
    x = numbers(2, 5, 6)[0] if kind == "unbatched" else numbers(2, 5, 6)
    t = torch()
    theirs.train()

    def call(m: Any, wrap: Any, x: Any) -> Any:
        return m(
            x, x, x, **{k: wrap(v) if isinstance(v, np.ndarray) else v for k, v in masks.items()}
        )

    names = iter((gu.from_numpy, t.from_numpy))
    wrapped = {id(ours): next(names), id(theirs): next(names)}
    same_module(
        _Called(ours, lambda x: call(ours, wrapped[id(ours)], x)),
        _Called(theirs, lambda x: call(theirs, wrapped[id(theirs)], x)),
        [x],
        2e-5,
        pick=lambda result: result[0],
    )


class _Called:
    """A module that is called through a function."""

    def __init__(self, module: Any, call: Any) -> None:
        self.module, self.call = module, call

    def __call__(self, *x: Any) -> Any:
        return self.call(*x)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)


def test_causal_alone_is_the_causal_mask() -> None:
    layer, x = nn.MultiheadAttention(6, 2, batch_first=True), gu.from_numpy(numbers(2, 4, 6))
    hidden = gu.ones(4, 4, dtype=gu.bool).triu(1)
    wanted = layer(x, x, x, attn_mask=hidden)[0]
    near(layer(x, x, x, is_causal=True)[0], wanted)
    with pytest.raises(ValueError, match="4 heads must divide an embed_dim of 6"):
        nn.MultiheadAttention(6, 4)
    with pytest.raises(gu.ShapeError, match="embed_dim 6: the key does not fit"):
        layer(x, gu.zeros(2, 4, 5), x)


# ---- recurrent -----------------------------------------------------------------------------------

LSTMS = [
    ((3, 5), {}, (7, 2, 3)),
    ((3, 5), {"bias": False}, (7, 2, 3)),
    ((3, 5), {"num_layers": 3, "batch_first": True}, (2, 7, 3)),
    ((1, 1), {}, (1, 1, 1)),
    ((3, 5), {"num_layers": 2, "bidirectional": True}, (4, 2, 3)),
    ((3, 5), {"num_layers": 2, "proj_size": 2, "bidirectional": True}, (4, 2, 3)),
    ((3, 5), {"batch_first": True}, (4, 3)),  # no batch
]


@pytest.mark.parametrize(("args", "options", "shape"), LSTMS)
@pytest.mark.parametrize("part", [0, 1, 2])
def test_lstm(args: Any, options: dict[str, Any], shape: tuple[int, ...], part: int) -> None:
    ours, theirs = (lib.LSTM(*args, **options) for lib in (nn, torch().nn))
    assert repr(ours) == repr(theirs)

    def pick(result: Any) -> Any:
        output, (h, c) = result
        return (output, h, c)[part]

    same_module(ours, theirs, [numbers(*shape)], 2e-5, pick)


def test_lstm_from_a_state() -> None:
    options = {"num_layers": 2, "batch_first": True, "proj_size": 3}
    ours, theirs = (lib.LSTM(3, 5, **options) for lib in (nn, torch().nn))
    inputs = [numbers(2, 4, 3), numbers(2, 2, 3, seed=1), numbers(2, 2, 5, seed=2)]
    same_module(
        _Called(ours, lambda x, h, c: ours(x, (h, c))),
        _Called(theirs, lambda x, h, c: theirs(x, (h, c))),
        inputs,
        2e-5,
        pick=lambda result: result[0],
    )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(2, 3), (3,), (0, 3)])
def test_lstm_cell(shape: tuple[int, ...], bias: bool) -> None:
    ours, theirs = (lib.LSTMCell(3, 5, bias) for lib in (nn, torch().nn))
    assert repr(ours) == repr(theirs)
    for part in (0, 1):
        same_module(ours, theirs, [numbers(*shape)], 2e-5, pick=lambda hc, part=part: hc[part])
    states = [numbers(*shape[:-1], 5, seed=i) for i in (1, 2)]
    same_module(
        _Called(ours, lambda x, h, c: ours(x, (h, c))),
        _Called(theirs, lambda x, h, c: theirs(x, (h, c))),
        [numbers(*shape), *states],
        2e-5,
        pick=lambda hc: hc[0],
    )


def test_lstm_drops_between_layers_in_training_only() -> None:
    gu.manual_seed(0)
    layer, x = nn.LSTM(3, 8, num_layers=2, dropout=0.5), gu.from_numpy(numbers(5, 2, 3))
    first, second = layer(x)[0].tolist(), layer(x)[0].tolist()
    assert first != second
    layer.eval()
    assert layer(x)[0].tolist() == layer(x)[0].tolist()


def test_errors_of_lstm() -> None:
    with pytest.raises(gu.ShapeError, match=r"LSTM\(3, 5\) expects \(t, n, 3\) or \(t, 3\)"):
        nn.LSTM(3, 5)(gu.zeros(7, 2, 4))
    with pytest.raises(gu.ShapeError, match=r"expects a state c of \(1, 2, 5\)"):
        nn.LSTM(3, 5)(gu.zeros(7, 2, 3), (gu.zeros(1, 2, 5), gu.zeros(1, 3, 5)))
    with pytest.raises(TypeError, match="input float32, h float64"):
        h = gu.zeros(1, 2, 5, dtype=gu.float64)
        nn.LSTM(3, 5)(gu.zeros(7, 2, 3), (h, h))
    with pytest.raises(gu.ShapeError, match="expects a state h of"):
        nn.LSTMCell(3, 5)(gu.zeros(2, 3), (gu.zeros(5), gu.zeros(5)))
    with pytest.raises(gu.ShapeError, match="no time step"):
        nn.LSTM(3, 5)(gu.zeros(0, 2, 3))
    for options, message in (
        ({"num_layers": 0}, "at least 1"),
        ({"dropout": 0.5}, "there is one: num_layers=2"),
        ({"num_layers": 2, "dropout": 2.0}, "between 0 and 1"),
        ({"proj_size": 5}, "less than hidden_size 5"),
    ):
        with pytest.raises(ValueError, match=message):
            nn.LSTM(3, 5, **options)  # type: ignore[arg-type]
