"""unfold and as_strided are views, as in PyTorch: what is written to them is written through."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import groundup as gu

from .support import torch

APART: dict[str, Callable[[Any], Any]] = {
    "side by side": lambda x: x.unfold(0, 2, 2),
    "with gaps": lambda x: x.unfold(1, 1, 2),
    "of a view": lambda x: x.t()[1:].unfold(0, 2, 2),
    "seen again": lambda x: x.unfold(1, 2, 3)[..., 1].t(),
    "one": lambda x: x.unfold(0, 5, 1),
    "strided": lambda x: x.as_strided((2, 2), (7, 2), 1),
    "strided part": lambda x: x[1:].as_strided((3,), (4,)),
}


@pytest.mark.peers
@pytest.mark.parametrize("name", APART)
def test_windows_that_lie_apart_are_written_through(name: str) -> None:
    def written(L: Any) -> Any:
        w = L.arange(35).float().reshape(5, 7).requires_grad_()
        x = w * 1
        v = APART[name](x)
        v.mul_(3)
        x.add_(1)
        (v * v).sum().backward()
        return x.tolist(), v.tolist(), v.stride(), w.grad.tolist()

    assert written(gu) == written(torch())


@pytest.mark.parametrize("way", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_windows_share_memory_after_a_copy_and_out_of_a_captured_function(way: Any) -> None:
    x = (gu.arange(6) * 1).realize()
    again, windows = way((x, x.unfold(0, 2, 3)))
    windows.zero_()
    assert again.tolist() == [0, 0, 2, 0, 0, 5] and x.tolist() == [0, 1, 2, 3, 4, 5]
    f = gu.jit(lambda y: y.unfold(0, 2, 3))
    for _ in range(3):
        y = (gu.arange(6) * 1).realize()
        f(y).zero_()
        assert y.tolist() == [0, 0, 2, 0, 0, 5]
    held = x.unfold(0, 2, 2)
    g = gu.jit(lambda: held + 0)
    seen = [g().tolist() for _ in range(2)]
    held = x.unfold(0, 2, 3)
    assert seen == [[[0, 1], [2, 3], [4, 5]]] * 2 and g().tolist() == [[0, 1], [3, 4]]


def test_windows_that_overlap_refuse_writes() -> None:
    x = gu.arange(6).float()
    for windows in (x.unfold(0, 3, 1), x.as_strided((3, 2), (1, 1))):
        with pytest.raises(gu.ShapeError, match="several elements share"):
            windows.add_(1)
    assert x.unfold(0, 3, 1).numpy().tolist()[3] == [3, 4, 5]
    w = gu.ones(4, requires_grad=True)
    assert not (w * 2)[1:].detach().as_strided((2,), (1,)).requires_grad
    leaf = gu.arange(4).float()[1:].requires_grad_()
    with pytest.raises(gu.GradError, match="pass it by"):
        leaf.as_strided((2,), (1,))
