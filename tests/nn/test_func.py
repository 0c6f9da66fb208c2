"""gu.func: modules as functions of their tensors, and ensembles of them."""

import numpy as np
import pytest

import groundup as gu
from groundup import nn


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))


def test_functional_call_leaves_the_module_as_it_was() -> None:
    model, x = network(), gu.randn(5, 3)
    before = {k: v.tolist() for k, v in model.state_dict().items()}
    given = {k: gu.randn(*p.shape) for k, p in model.named_parameters()}
    buffers = {k: b.clone() for k, b in model.named_buffers()}
    got = gu.func.functional_call(model, (given, buffers), x)
    other = network()
    other.load_state_dict({**given, **model.state_dict(), **given})
    np.testing.assert_array_equal(got.numpy(), other(x).detach().numpy())
    assert {k: v.tolist() for k, v in model.state_dict().items()} == before
    assert buffers["1.running_mean"].tolist() != before["1.running_mean"]
    assert isinstance(model[0].weight, nn.Parameter)

    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(gu.ones(1))

        def forward(self, x: gu.Tensor) -> gu.Tensor:
            raise KeyError("no")

    broken = Broken()
    w = broken.w
    with pytest.raises(KeyError):
        gu.func.functional_call(broken, {"w": gu.zeros(1)}, x)
    assert broken.w is w


def test_derivatives_by_the_parameters_of_each_sample() -> None:
    model, x = network().eval(), gu.randn(5, 3)
    w = {k: p.detach() for k, p in model.named_parameters()}

    def loss(w: dict[str, gu.Tensor], row: gu.Tensor) -> gu.Tensor:
        return gu.func.functional_call(model, w, row[None]).square().sum()

    each = gu.vmap(gu.grad(loss), (None, 0))(w, x)
    for i in range(5):
        model.zero_grad()
        model(x[i : i + 1]).square().sum().backward()
        for k, p in model.named_parameters():
            assert p.grad is not None
            np.testing.assert_allclose(each[k][i].numpy(), p.grad.numpy(), 2e-4, 1e-5)


def test_an_ensemble() -> None:
    models = [network().eval() for _ in range(3)]
    x = gu.randn(5, 3)
    parameters, buffers = gu.func.stack_module_state(models)
    assert all(p.is_leaf and p.requires_grad for p in parameters.values())

    def call(p: dict[str, gu.Tensor], b: dict[str, gu.Tensor], x: gu.Tensor) -> gu.Tensor:
        return gu.func.functional_call(models[0], (p, b), (x,))

    got = gu.vmap(call, (0, 0, None))(parameters, buffers, x)
    want = gu.stack([m(x) for m in models])
    np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), 1e-5, 1e-6)
    got.sum().backward()
    grad = parameters["0.weight"].grad
    assert grad is not None and grad.shape == (3, 4, 3)


def test_tied_tensors_and_errors() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Parameter(gu.ones(2))
            self.b = self.a

        def forward(self, x: gu.Tensor) -> gu.Tensor:
            return x * self.a + self.b

    model, x, two, three = Tied(), gu.ones(2), gu.full((2,), 2.0), gu.full((2,), 3.0)
    call = gu.func.functional_call
    assert call(model, {"a": two}, x).tolist() == [4.0, 4.0]
    assert call(model, {"b": two}, x).tolist() == [4.0, 4.0]
    assert call(model, {"a": two}, x, tie_weights=False).tolist() == [3.0, 3.0]
    assert call(model, {"a": two, "b": three}, x, tie_weights=False).tolist() == [5.0, 5.0]
    assert call(model, {"a": two}, x, strict=True).tolist() == [4.0, 4.0]
    with pytest.raises(ValueError, match="a and b are one tensor in the module, and two are"):
        call(model, {"a": two, "b": three}, x)
    with pytest.raises(ValueError, match="not in Tied: c; it has a, b"):
        call(model, {"c": two}, x)
    with pytest.raises(ValueError, match="not given: a, b"):
        call(model, {}, x, strict=True)
    with pytest.raises(ValueError, match="given twice"):
        call(model, ({"a": two}, {"a": three}), x)
    with pytest.raises(TypeError, match="a tensor was expected"):
        call(model, dict.fromkeys("a", 3), x)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no models"):
        gu.func.stack_module_state([])
    with pytest.raises(ValueError, match="one class and in one mode"):
        gu.func.stack_module_state([nn.Linear(2, 2), nn.ReLU()])
