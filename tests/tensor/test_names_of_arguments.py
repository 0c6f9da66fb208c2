"""PyTorch's keywords and names: taken, or an error that says what to write; no argument means
another thing here."""

from __future__ import annotations

from typing import Any

import pytest

import groundup as gu
from groundup.nn import functional as F

X = [[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]]


@pytest.fixture(autouse=True)
def engine() -> str:
    """Names do not depend on what computes."""
    return "compiled"


CALLS: list[tuple[str, Any]] = [
    (name, call)
    for name, call in {
        "axis": lambda m, x: x.sum(axis=1),
        "keepdims": lambda m, x: x.mean(axis=0, keepdims=True),
        "axis of max": lambda m, x: x.max(axis=1).values,
        "axis of var": lambda m, x: x.var(axis=1),
        "axis of a function": lambda m, x: m.cat([x, x], axis=1),
        "axis of squeeze": lambda m, x: x.unsqueeze(0).squeeze(axis=0),
        "axis of cumsum": lambda m, x: x.cumsum(axis=0),
        "input and other": lambda m, x: m.add(input=x, other=x),
        "input": lambda m, x: m.sum(input=x, dim=1),
        "other": lambda m, x: m.sub(x, other=2.0),
        "device": lambda m, x: m.zeros(2, device="cpu") + x.new_ones(2, device="cpu"),
        "out": lambda m, x: m.add(x, x, out=None),
        "memory_format": lambda m, x: x.clone(memory_format=None),
        "to": lambda m, x: x.to("cpu", m.float64, False).to(dtype=m.int64, copy=True),
        "to another": lambda m, x: x.to(m.ones(1, dtype=m.float16)),
        "where": lambda m, x: m.stack(m.where(x > 0)),
        "div_": lambda m, x: x.clone().div_(0.7, rounding_mode="floor"),
        "bernoulli": lambda m, x: m.bernoulli(x, 1.0),
        "randperm": lambda m, x: m.randperm(1, dtype=m.int32),
        "index": lambda m, x: m.tensor([10, 20, 30][m.tensor([1])]),
    }.items()
]  # fmt: skip


@pytest.mark.peers
@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
def test_keywords_of_torch(name: str, call: Any) -> None:
    import torch

    ours, theirs = call(gu, gu.tensor(X)), call(torch, torch.tensor(X))
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert ours.flatten().tolist() == pytest.approx(theirs.flatten().tolist(), rel=1e-6)
    assert str(theirs.dtype) == f"torch.{ours.dtype.name}"


def test_layers() -> None:
    x = gu.tensor(X)
    assert F.softmax(x, 1, dtype=gu.float64).dtype is gu.float64
    assert F.gumbel_softmax(x, 1, True, 1e-10, 0).sum(0).tolist() == [1, 1, 1]
    y = x.clone()
    assert F.relu(y, inplace=True) is y and y.min().item() == 0
    assert gu.nn.ReLU(inplace=True)(z := x.clone()) is z
    image = gu.arange(9.0).reshape(1, 1, 3, 3)
    assert gu.nn.AvgPool2d(2, 2, 0, True)(image).shape == (1, 1, 2, 2)  # the fourth is ceil_mode


@pytest.mark.parametrize(("call", "said"), [
    (lambda x: x.sum(0, 1), r"keepdim is True or False.*one argument"),
    (lambda x: x.argmax(0, 1), "keepdim is True or False"),
    (lambda x: x.any(0, 1), "keepdim is True or False"),
    (lambda x: gu.zeros(2, device="cuda"), "there is one device"),
    (lambda x: x.to("cuda"), "there is one device"),
    (lambda x: gu.add(x, x, out=x), "a result is a new tensor"),
    (lambda x: gu.add(x, x, aplha=2), "unexpected keyword argument 'aplha'"),
    (lambda x: gu.add(input=x, a=x), "unexpected keyword argument 'input'|multiple values"),
    (lambda x: gu.sum(x, dim=0, axis=0), "unexpected keyword argument 'axis'"),
    (lambda x: gu.special.logit(x, eps=gu.ones(2)), "logit"),
    (lambda x: bool(x), r"write x\.any\(\), x\.all\(\)"),
    (lambda x: [1, 2][gu.tensor(True)], "one integer is a position"),
    (lambda x: x.view(gu.int32), r"x\.to\(dtype\) converts numbers"),
    (lambda x: x.cuda(), "one device"),
    (lambda x: x.is_sparse, "no sparse"),
    (lambda x: x.stft, r"write gu\.stft\(x, …\)"),
    (lambda x: x.storage(), "storage_info"),
    (lambda x: x.no_such_thing, "no attribute 'no_such_thing'$"),
    (lambda x: gu.LongTensor([1]), r"gu\.tensor\(data, dtype=gu\.int64\)"),
    (lambda x: gu.exp_(x), r"write x\.exp_\(…\)"),
    (lambda x: gu.view_copy(x, 6), r"write x\.view\(…\)\.clone\(\)"),
    (lambda x: gu.batch_norm, r"write gu\.nn\.functional\.batch_norm"),
    (lambda x: gu.sparse_coo_tensor, "no sparse"),
    (lambda x: gu.no_such_thing, "no attribute 'no_such_thing'$"),
])  # fmt: skip
def test_what_is_not_taken_says_what_to_write(call: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError, gu.ShapeError), match=said):
        call(gu.tensor(X))


@pytest.mark.peers
def test_every_name_of_torch_is_here_or_has_an_answer() -> None:
    """No name makes another error than AttributeError, and most say what to write."""
    import torch

    silent = []
    for name in dir(torch.Tensor):
        if name.startswith("_"):
            continue
        try:
            getattr(gu.Tensor, name)
        except AttributeError:
            with pytest.raises(AttributeError) as e:
                getattr(gu.tensor(1.0), name)
            if ";" not in str(e.value):
                silent.append(name)
    assert len(silent) < 12, silent
