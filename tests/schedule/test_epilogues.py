"""Long pointwise work on finished tiles: several vectors side by side, and no bit but those of the
same work on a product that lies in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import groundup as gu
from groundup.emit.builder import Function
from groundup.emit.kernel import Contraction
from groundup.ir.transform import body_nodes
from groundup.schedule import Plan, Signature, contract
from groundup.tensor import Tensor

RNG = np.random.default_rng(0)


def gelu_derivative(h: Tensor, z: Tensor) -> Tensor:
    u = z * 0.70710678
    return h * (1.0 + u.erf()) * 0.5 + h * z * (-(u * u)).exp() * 0.39894228


def branches(h: Tensor, z: Tensor) -> Tensor:
    """The sine of what may be far from 0 has a branch: no straight line."""
    return (h * 1e5).sin() * z.exp() + (h + z).tanh() * (h - z).erf()


def chosen(h: Tensor, z: Tensor) -> Tensor:
    """Work that also depends on the column alone, and on the row alone."""
    i, j = gu.axes("i j")
    value = gu.where(j <= i, gu.exp(h[i, j]), gu.erf(z[i, 0] * h[i, j])) * gu.tanh(z[0, j])
    return value.order(i, j)


FORMS = {f.__name__: f for f in (gelu_derivative, branches, chosen)}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 33, 48, 49, 64, 80, 97])
def test_same_bits_as_on_a_stored_product(
    monkeypatch: pytest.MonkeyPatch, form: str, n: int
) -> None:
    monkeypatch.setattr(contract, "SMALL", 1)
    work: Callable[[Tensor, Tensor], Tensor] = FORMS[form]
    for m, k in ((1, 3), (5, 2), (13, 7), (32, 40)):
        values = [RNG.normal(size=s).astype("float32") for s in ((m, k), (k, n), (m, n))]
        values[0][0, 0], values[2][-1, -1] = np.inf, np.nan
        values[2][0, :3] = -0.0
        a, b, z = (gu.from_numpy(x) for x in values)
        node = work(a @ b, z).node
        bodies = [
            len(body_nodes(s.kernel.output.body))
            for s in Plan(Signature([node]), [node], [None]).steps
            if isinstance(s.kernel, Contraction)
        ]
        assert n == 1 or max(bodies) > 8
        fused = work(a @ b, z).numpy()
        stored = work((a @ b).realize(), z).numpy()
        np.testing.assert_array_equal(fused, stored)  # NaN has no sign to keep
        zero = fused == 0
        np.testing.assert_array_equal(np.signbit(fused[zero]), np.signbit(stored[zero]))


def test_instructions_of_straight_parts_alternate() -> None:
    f = Function("f", "")

    def part(name: str) -> None:
        for i in range(3):
            f.do(f"{name}{i}")

    f.interleaved([lambda: part("a"), lambda: part("b")])
    assert f.root.items == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_parts_with_branches_follow_each_other() -> None:
    f = Function("f", "")

    def part(name: str) -> None:
        f.do(f"{name}0")
        f.when("%c", lambda: f.do(f"{name}1"))

    f.interleaved([lambda: part("a"), lambda: part("b")])
    assert [x if isinstance(x, str) else x.then.items for x in f.root.items] == [
        "a0", ["a1"], "b0", ["b1"],
    ]  # fmt: skip
