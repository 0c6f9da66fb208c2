"""copy, deepcopy and pickle of tensors, parameters and modules, as PyTorch does them."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import groundup as gu
from groundup import nn
from groundup.ir.dtype import ALL, COMPLEX
from groundup.tensor.pickled import restored, restored_storage


def repickled(x: Any) -> Any:
    return pickle.loads(pickle.dumps(x))


WAYS: list[Callable[[Any], Any]] = [repickled, copy.deepcopy]
VIEWS: dict[str, Callable[[gu.Tensor], gu.Tensor]] = {
    "whole": lambda x: x,
    "row": lambda x: x[1],
    "element": lambda x: x[1, 2],
    "transposed": lambda x: x.t(),
    "steps": lambda x: x[:, ::2],
    "reshaped part": lambda x: x[1:].reshape(2, 2, 2),
    "expanded": lambda x: x[:, :1].expand(3, 5),
    "diagonal": lambda x: x.diagonal(),
    "empty": lambda x: x[2:2],
    "new axis": lambda x: x[None, 2, :, None],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("view", VIEWS)
def test_views_keep_values_strides_and_what_they_share(way: Any, view: str) -> None:
    x = gu.arange(12.0).reshape(3, 4)
    part = VIEWS[view](x)
    again, other = way((x, part))
    assert again.tolist() == x.tolist() and other.tolist() == part.tolist()
    assert (other.stride(), other.storage_offset()) == (part.stride(), part.storage_offset())
    again.mul_(10)
    assert other.tolist() == (part * 10).tolist()
    assert x.tolist() == gu.arange(12.0).reshape(3, 4).tolist()
    alone = way(part)
    assert (alone.tolist(), alone.stride()) == (part.tolist(), part.stride())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [d.name for d in (*ALL, *COMPLEX)])
def test_types_and_values(way: Any, dtype: str) -> None:
    kind = next(d for d in (*ALL, *COMPLEX) if d.name == dtype)
    values: list[Any] = [0.0, -0.0, float("inf"), float("nan"), 1.5] if kind.is_float else [0, 1, 1]
    if kind.is_complex:
        values = [1 - 2j, complex("nan-infj"), -0j]
    x = gu.tensor(values, dtype=kind)
    again = way(x)
    assert again.dtype is kind and repr(again) == repr(x)
    for shape in [(), (0, 3), (2, 1)]:
        other = way(gu.ones(*shape, dtype=kind))
        assert tuple(other.shape) == shape and other.dtype is kind
    pending = gu.ones(3, dtype=kind) + gu.ones(3, dtype=kind)
    assert way(pending).tolist() == pending.tolist()


def test_requires_grad_and_grad() -> None:
    w = gu.tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward()
    deep = copy.deepcopy(w)
    assert deep.requires_grad and deep.is_leaf and deep.grad is not None
    assert deep.grad.tolist() == [2.0, 4.0] and deep.grad is not w.grad
    picked = repickled(w)
    assert picked.requires_grad and picked.is_leaf and picked.grad is None  # as PyTorch's
    computed = w * 2
    with pytest.raises(RuntimeError, match="only leaves can be copied deeply"):
        copy.deepcopy(computed)
    again = repickled(computed)
    assert again.requires_grad and again.is_leaf and again.tolist() == [2.0, 4.0]
    assert not copy.deepcopy(computed.detach()).requires_grad
    (deep * 3).sum().backward()
    assert deep.grad.tolist() == [5.0, 7.0] and w.grad is not None
    assert w.grad.tolist() == [2.0, 4.0]


def test_a_shallow_copy_shares_memory() -> None:
    x = gu.zeros(2, 2)
    again = copy.copy(x.t())
    x[0, 1] = 5
    assert again.tolist() == [[0.0, 0.0], [5.0, 0.0]]


@pytest.mark.parametrize("way", WAYS)
def test_modules_and_parameters(way: Any) -> None:
    gu.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model[2].weight.note = "kept"
    model.register_buffer("rows", model[0].weight.detach()[1:])
    x = gu.randn(5, 3)
    again = way(model).eval()
    assert type(again[0].weight) is nn.Parameter and again[0].weight.requires_grad
    assert again[2].weight.note == "kept"
    assert again(x).tolist() == model.eval()(x).tolist()
    with gu.no_grad():
        again[0].weight.fill_(3)
    assert again.rows.tolist() == [[3.0] * 3] * 3
    assert model[0].weight.tolist() != again[0].weight.tolist()
    assert list(again.state_dict()) == list(model.state_dict())


def test_tied_parameters_stay_tied() -> None:
    a, b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    b.weight = a.weight
    for way in WAYS:
        again = way(nn.ModuleList([a, b]))
        assert again[0].weight is again[1].weight
        assert len(list(again.parameters())) == 1


@pytest.mark.parametrize("way", WAYS)
def test_complex_tensors(way: Any) -> None:
    z = gu.tensor([[1 + 2j, 3j], [4, 5 - 1j]], requires_grad=True)
    (z * z.conj()).real.sum().backward()
    again = way(z)
    assert again.requires_grad and again.tolist() == z.tolist()
    assert (again.grad is None) == (way is repickled)
    w = z.detach()
    a, b, re = way((w, w.t()[1], w.real))
    re[0, 1] = 7
    assert a[0, 1].item() == b[0].item() == 7 + 3j
    assert re.stride() == w.real.stride() and b.stride() == w.t()[1].stride()


def test_what_others_hold_is_copied_once() -> None:
    x = gu.zeros(1000)
    size = len(pickle.dumps([x[i] for i in range(100)]))
    assert size < 20_000  # one storage of 4,000 bytes, not a hundred


def test_a_pickle_names_nothing_but_what_makes_tensors() -> None:
    raw = pickle.dumps([gu.ones(2, 3).t(), nn.Parameter(gu.ones(2))])

    class OnlyOurs(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            assert module.startswith("groundup.")
            return super().find_class(module, name)

    assert OnlyOurs(io.BytesIO(raw)).load()[0].shape == (3, 2)


def test_a_damaged_pickle_is_refused() -> None:
    with pytest.raises(ValueError, match="has 8 bytes, here are 7"):
        restored_storage(b"0123456", (2,), gu.float32)
    with pytest.raises(ValueError, match="damaged"):
        restored_storage(b"", (-1,), gu.float32)
    s = gu.zeros(2, 3)._storage
    affine = ("affine", (2, 3), (3,), ((1, 1, -1), (0, 1, 0)))
    assert restored(gu.Tensor, s, [affine], (1,), False).shape == (3,)
    wild = [
        ("affine", (2, 3), (3,), ((2, 1, -1), (0, 1, 0))),
        ("affine", (2, 3), (4,), ((1, 1, -1), (0, 1, 0))),
        ("affine", (2, 3), (3,), ((1, 1, -1), (0, 1, 7))),
        ("affine", (2, 3), (3,), ((0, 1, 0),)),
        ("affine", (3, 3), (3,), ((1, 1, -1), (0, 1, 0))),
        ("reshape", (2, 3), (7,)),
        ("reshape", (2, 3), (-2, -3)),
        ("strided", (2, 3), (2,), (1,), 0),
        ("other", (2, 3), (2,), ()),
    ]
    for view in wild:
        with pytest.raises(ValueError, match="does not fit memory"):
            restored(gu.Tensor, s, [view], (1,), False)
    flat = gu.zeros(6)._storage
    mirrored = ("strided", (6,), (2, 3), (-3, 1), 3)
    assert restored(gu.Tensor, flat, [mirrored], (-3, 1), False).shape == (2, 3)
    for steps in [(3, 1), (-3,), (-3, 2)]:
        with pytest.raises(ValueError, match="are not those of its views"):
            restored(gu.Tensor, flat, [mirrored], steps, False)
    for steps, offset in [((3, 1), 1), ((-3, 1), 2), ((3,), 0)]:
        with pytest.raises(ValueError, match="does not fit memory"):
            restored(gu.Tensor, flat, [("strided", (6,), (2, 3), steps, offset)], steps, False)
    turned = [("affine", (2, 3), (3, 2), ((0, 1, 1), (0, 1, 0))), ("reshape", (3, 2), (6,))]
    with pytest.raises(ValueError, match="does not fit memory"):
        restored(gu.Tensor, s, turned, (1,), False)


@pytest.mark.peers
def test_as_torch() -> None:
    """What shares memory after, which strides, what wants gradients: PyTorch's answers."""
    import torch

    for lib in (torch, gu):
        w = lib.ones(2, 3)
        w.requires_grad_()
        (w.sum() * 2).backward()
        with lib.no_grad():
            pair = [w.t(), w[1]]
        for way in (repickled, copy.deepcopy):
            a, b = way([p.detach() for p in pair])
            a[0, 1] = 7
            # PyTorch's own pickle of two tensors loses what they share; torch.save keeps it.
            assert b[0].item() == 7 or (lib is torch and way is repickled)
            assert tuple(a.stride()) == (1, 3)
            again = way(w)
            assert again.requires_grad and (again.grad is None) == (way is repickled)
        assert repickled(w * 2).is_leaf and repickled(w * 2).requires_grad
        with pytest.raises(RuntimeError):
            copy.deepcopy(w * 2)
        shallow = copy.copy(w.detach())
        shallow[0, 0] = 9
        assert w[0, 0].item() == 9


def test_not_while_capturing() -> None:
    f = gu.jit(lambda t: pickle.dumps(t))
    with pytest.raises(RuntimeError, match="while jit captures"):
        f(gu.ones(2))
    g = gu.jit(lambda t: copy.deepcopy(t * 2) + 1)
    for _ in range(3):
        assert g(gu.ones(2)).tolist() == [3.0, 3.0]


@gu.jit
def captured(x: gu.Tensor) -> gu.Tensor:
    return x * 2


@gu.custom_derivative
def straight(x: gu.Tensor) -> gu.Tensor:
    return x.round()


class Stepping:
    @gu.jit
    def step(self, x: gu.Tensor) -> gu.Tensor:
        return x * 3


FUNCTIONS = [
    captured, straight, Stepping.step, gu.exp, gu.tanh, gu.floor, gu.sum, gu.prod, gu.any, gu.all,
    gu.logsumexp, gu.relu, gu.linalg.inv, gu.special.erf, gu.nn.functional.gelu,
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__qualname__)
def test_functions_are_pickled_by_name(function: Any) -> None:
    assert pickle.loads(pickle.dumps(function)) is function
