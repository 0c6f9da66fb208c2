"""Host operations (gu.linalg) in captured functions: the plain call's bits, at every call."""

import decimal

import pytest

import groundup as gu
from groundup import linalg


def definite(x: gu.Tensor) -> gu.Tensor:
    return x @ x.mT + gu.eye(x.shape[-1])


def chain(x: gu.Tensor, y: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor, gu.Tensor]:
    """Host operations one after the other, with kernels between that are read again later."""
    k = definite(x)
    low = linalg.cholesky(k)
    z = linalg.solve(low, y).tanh()
    u, s, vh = linalg.svd(z @ z.mT + k, full_matrices=False)
    return (u * s.unsqueeze(-2) @ vh - k).sum(), linalg.slogdet(k + s.mean()).logabsdet, z


def test_a_captured_chain_is_the_plain_one() -> None:
    captured = gu.jit(chain)
    for n in (3, 3, 3, 5, 5, 1, 3):
        x, y = gu.randn(n, 4, 4), gu.randn(n, 4, 2)
        for got, want in zip(captured(x, y), chain(x, y), strict=True):
            assert gu.equal(got, want)


def test_derivatives_inside() -> None:
    def slopes(x: gu.Tensor) -> gu.Tensor:
        def value(t: gu.Tensor) -> gu.Tensor:
            k = definite(t)
            return linalg.solve(k, t).square().sum() + linalg.slogdet(k).logabsdet.sum()

        return gu.grad(lambda t: gu.grad(value)(t).square().sum())(x)

    captured = gu.jit(slopes)
    for _ in range(3):
        x = gu.randn(2, 3, 3)
        assert gu.equal(captured(x), slopes(x))


def test_a_training_step() -> None:
    start = gu.randn(3)

    def step(w: gu.Tensor, x: gu.Tensor) -> gu.Tensor:
        loss = linalg.inv(definite(x * w)).square().sum()
        loss.backward()
        with gu.no_grad():
            assert w.grad is not None
            w.sub_(0.1 * w.grad)
            w.grad = None
        return loss

    plain, mine = (start.clone().requires_grad_() for _ in range(2))
    captured = gu.jit(lambda x: step(mine, x))
    for _ in range(4):
        x = gu.randn(2, 3, 3)
        assert captured(x).item() == step(plain, x).item()
        assert mine.tolist() == plain.tolist()


def test_an_error_leaves_everything_as_it_was() -> None:
    count = gu.zeros(2)

    @gu.jit
    def counted(x: gu.Tensor) -> gu.Tensor:
        count.add_(1)
        return linalg.inv(x) + count.sum()

    for _ in range(3):
        counted(gu.eye(2))
    with pytest.raises(linalg.LinAlgError, match="inv: the matrix is singular"):
        counted(gu.zeros(2, 2))
    assert count.tolist() == [3.0, 3.0]
    assert counted(gu.eye(2)).tolist() == [[9.0, 8.0], [8.0, 9.0]]


def test_inputs_and_results_of_host_operations_are_no_aliases() -> None:
    @gu.jit
    def both(x: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
        inverse = linalg.inv(x)
        return inverse, inverse.mT.clone()

    x = gu.tensor([[2.0, 1.0], [0.0, 1.0]])
    for _ in range(3):
        a, b = both(x)
        a.mul_(0)
        assert b.tolist() == [[0.5, 0.0], [-0.5, 1.0]]
        assert x.tolist() == [[2.0, 1.0], [0.0, 1.0]]


def test_what_is_computed_before_is_not_computed_again_after() -> None:
    from groundup.schedule.segments import Segmented

    @gu.jit
    def twice(x: gu.Tensor) -> gu.Tensor:
        k = x @ x.mT
        return linalg.inv(k + gu.eye(3)) + k

    x = gu.randn(3, 3)
    twice(x), twice(x)
    plan = next(iter(twice._captures.values())).plan
    assert isinstance(plan, Segmented)
    (segment,) = plan.segments
    assert len(segment.writes) == 2  # k + 1, and k for what comes after
    assert len(plan.steps) == 1
    assert gu.equal(twice(x), linalg.inv(x @ x.mT + gu.eye(3)) + x @ x.mT)


def test_equal_host_operations_run_once() -> None:
    from groundup.schedule.segments import Segmented

    @gu.jit
    def again(x: gu.Tensor) -> gu.Tensor:
        return linalg.inv(x) + linalg.inv(x) + linalg.eigh(x).eigenvalues

    x = gu.tensor([[2.0, 1.0], [1.0, 3.0]])
    again(x), again(x)
    plan = next(iter(again._captures.values())).plan
    assert isinstance(plan, Segmented)
    (segment,) = plan.segments
    assert [o.function.name for o in segment.operations] == ["inv", "eigh"]
    assert gu.equal(again(x), linalg.inv(x) * 2 + linalg.eigh(x).eigenvalues)


def test_another_graph_is_seen() -> None:
    """The two captures of a call must agree in their host operations too."""

    @gu.jit
    def other(x: gu.Tensor) -> gu.Tensor:
        decimal.getcontext().prec += 1  # an effect that jit does not see
        return linalg.eigvalsh(x, "LU"[decimal.getcontext().prec % 2])

    with decimal.localcontext():
        other(gu.eye(2))
        with pytest.raises(gu.JitError, match="gave different graphs"):
            other(gu.eye(2))


def test_what_depends_on_values_is_refused() -> None:
    @gu.jit
    def residuals(x: gu.Tensor) -> gu.Tensor:
        return linalg.lstsq(x, x, driver="gelsd").residuals

    with pytest.raises(RuntimeError, match="whether there are residuals asks for a value"):
        residuals(gu.randn(3, 2))

    @gu.jit
    def tail(x: gu.Tensor) -> gu.Tensor:
        return gu.grad(lambda t: linalg.svd(t).U.sum())(x)

    with pytest.raises(gu.GradError, match="use full_matrices=False"):
        tail(gu.randn(3, 2))


def test_the_calls_of_host_operations_are_timed() -> None:
    from groundup.schedule.segments import Segmented

    captured = gu.jit(linalg.inv)
    for _ in range(4):
        captured(gu.eye(2))
    plans = [c.plan for c in captured._captures.values()]
    assert isinstance(plans[-1], Segmented)
    (operation,) = plans[-1].segments[0].operations
    assert operation.calls == 3 and 0 < operation.seconds < 1  # the first call: another capture
