"""Views, joining and cutting, compared with torch: values, strides and derivatives."""

from typing import Any

import numpy as np
import pytest

import groundup as gu

from .support import compare, sample, torch

VIEWS: list[tuple[str, tuple[int, ...], Any]] = [
    ("reshape", (2, 6), lambda x: x.reshape(3, 4)),
    ("reshape -1", (2, 6), lambda x: x.reshape(-1, 3)),
    ("reshape 0-d", (), lambda x: x.reshape(1, 1)),
    ("reshape to 0-d", (1, 1), lambda x: x.reshape(())),
    ("reshape empty", (0, 3), lambda x: x.reshape(3, 0)),
    ("view", (2, 3, 4), lambda x: x.view(6, 4)),
    ("view of slice", (4, 6), lambda x: x[1:3].view(2, 2, 3)),
    ("reshape of transpose", (2, 3, 4), lambda x: x.transpose(0, 1).reshape(6, 4)),
    ("flatten", (2, 3, 4), lambda x: x.flatten(1)),
    ("flatten 0-d", (), lambda x: x.flatten()),
    ("unflatten", (2, 12), lambda x: x.unflatten(1, (3, -1))),
    ("permute", (2, 3, 4), lambda x: x.permute(2, 0, 1)),
    ("transpose", (2, 3, 4), lambda x: x.transpose(0, -1)),
    ("t", (2, 3), lambda x: x.t()),
    ("T", (2, 3), lambda x: x.T),
    ("mT", (2, 3, 4), lambda x: x.mT),
    ("movedim", (2, 3, 4), lambda x: x.movedim(0, 2)),
    ("unsqueeze", (3, 4), lambda x: x.unsqueeze(1)),
    ("unsqueeze end", (3, 4), lambda x: x.unsqueeze(-1)),
    ("squeeze", (1, 3, 1), lambda x: x.squeeze()),
    ("squeeze dim", (1, 3, 1), lambda x: x.squeeze(0)),
    ("squeeze no", (2, 3), lambda x: x.squeeze(0)),
    ("expand", (3, 1), lambda x: x.expand(2, 3, 4)),
    ("expand -1", (3, 1), lambda x: x.expand(-1, 4)),
    ("slices", (5, 6), lambda x: x[1:4, ::2]),
    ("slice of slice", (7, 9), lambda x: x[1::2][1:, 2:8:3]),
    ("select", (3, 4, 5), lambda x: x[1, :, 2]),
    ("new axes", (3, 4), lambda x: x[None, :, None, 1]),
    ("ellipsis", (2, 3, 4), lambda x: x[..., 1]),
    ("diagonal", (3, 5), lambda x: x.diagonal(1)),
    ("diagonal of batch", (2, 3, 3), lambda x: x.diagonal(-1, 1, 2)),
    ("narrow", (4, 5), lambda x: x.narrow(1, 1, 3)),
    ("chain", (2, 3, 4), lambda x: x.permute(1, 2, 0)[1:].unsqueeze(0).transpose(1, 3)[..., ::2]),
    ("empty slice", (3, 4), lambda x: x[2:1]),
]  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize("name,shape,view", VIEWS, ids=[v[0] for v in VIEWS])
def test_views(name: str, shape: tuple[int, ...], view: Any) -> None:
    x = np.asarray(sample(shape))
    compare(lambda lib, a: view(a), x)
    compare(lambda lib, a: view(a * 2) + 1, x)
    t = view(torch().from_numpy(x))
    o = view(gu.from_numpy(x))
    if o.numel():
        assert o.stride() == t.stride()
        assert o.storage_offset() == t.storage_offset()
        assert o.is_contiguous() == t.is_contiguous()
        assert o.tolist() == t.tolist()


@pytest.mark.peers
@pytest.mark.parametrize("name,shape,view", VIEWS, ids=[v[0] for v in VIEWS])
def test_writing_through_views(name: str, shape: tuple[int, ...], view: Any) -> None:
    x = np.asarray(sample(shape))
    for realised in (True, False):
        base = gu.from_numpy(x) if realised else gu.from_numpy(x) + 0
        theirs = torch().from_numpy(x.copy()) + 0
        ours, expected = view(base), view(theirs)
        if expected.numel() > 1 and 0 in expected.stride():
            with pytest.raises(gu.ShapeError, match="expanded"):
                ours.mul_(2)
            return
        ours.mul_(3).add_(1)
        expected.mul_(3).add_(1)
        np.testing.assert_allclose(base.numpy(), theirs.numpy(), rtol=1e-6)
        np.testing.assert_allclose(ours.numpy(), expected.numpy(), rtol=1e-6)


@pytest.mark.peers
def test_derivative_of_writing_through_views() -> None:
    def f(lib: Any, x: Any, v: Any) -> Any:
        y = x * 2
        y[1:, ::2] = v
        y.t()[0] *= 3
        y[0, 1] = x[1, 1] * v[0, 0]
        return y * x

    compare(f, sample((3, 4)), sample((2, 2), seed=1), rtol=1e-5)


@pytest.mark.peers
def test_joining() -> None:
    a, b, c = sample((2, 3)), sample((4, 3), seed=1), sample((1, 3), seed=2)
    compare(lambda lib, *x: lib.cat(list(x)), a, b, c)
    compare(lambda lib, x: lib.cat([x, x * 2], 1), a)
    compare(lambda lib, x: lib.cat([x]), a)
    compare(lambda lib, x, y: lib.cat([x, y], -1), a, sample((2, 0)))
    compare(lambda lib, x: lib.stack([x, x + 1, x], 1), a)
    compare(lambda lib, x: lib.stack([x, x]), np.asarray(sample(())))
    compare(lambda lib, x, y: lib.cat([x, y]), a, sample((2, 3), "int64"))
    compare(lambda lib, x: x.repeat(2, 3), a)
    compare(lambda lib, x: x.repeat(2, 1, 2), a)


@pytest.mark.peers
def test_cutting() -> None:
    x = sample((7, 3))
    compare(lambda lib, a: a.split(3), x)
    compare(lambda lib, a: a.split([2, 5]), x)
    compare(lambda lib, a: a.chunk(3), x)
    compare(lambda lib, a: a.unbind(1), x)
    compare(lambda lib, a: tuple(a), x)
    compare(lambda lib, a: a.flip(0, 1), x)
    compare(lambda lib, a: a.tril(), x)
    compare(lambda lib, a: a.triu(1), x)
    compare(lambda lib, a: a.tril(-1), sample((2, 3, 4)))


@pytest.mark.peers
@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_pad(mode: str) -> None:
    x = sample((2, 3, 5))
    pad = torch().nn.functional.pad

    def f(lib: Any, a: Any) -> Any:
        return gu.pad(a, (2, 1), mode) if lib is gu else pad(a, (2, 1), mode)

    compare(f, x)
    if mode == "constant":
        for amounts in [(1, 0, 0, 2), (-1, 2), (0, -2, -1, 3, 1, 1)]:

            def g(lib: Any, a: Any, amounts: Any = amounts) -> Any:
                return gu.pad(a, amounts, value=2.5) if lib is gu else pad(a, amounts, value=2.5)

            compare(g, x)


def test_errors_explain() -> None:
    with pytest.raises(gu.ShapeError, match="6 elements cannot be shown as 4"):
        gu.zeros(2, 3).reshape(2, 2)
    with pytest.raises(gu.ShapeError, match="use reshape"):
        gu.zeros(2, 3).t().view(6)
    with pytest.raises(gu.ShapeError, match="grow"):
        gu.zeros(2, 3).expand(4, 3)
    with pytest.raises(gu.ShapeError, match="every axis but 0"):
        gu.cat([gu.zeros(2, 3), gu.zeros(2, 4)])
    with pytest.raises(gu.ShapeError, match="each of the 2 axes once"):
        gu.zeros(2, 3).permute(0, 0)
    with pytest.raises(ValueError, match="step"):
        gu.zeros(3)[::0]
