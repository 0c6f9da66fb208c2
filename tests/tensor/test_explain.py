"""gu.explain: every stage says what the expression becomes."""

import pytest

import groundup as gu
from groundup.tensor import JitError


def test_a_pending_tensor_is_explained_stage_by_stage() -> None:
    a, b = gu.randn(64, 128).realize(), gu.randn(128, 32).realize()
    explanation = gu.explain((a @ b).relu().softmax(1))
    stages = dict(explanation.stages)
    assert list(stages) == ["expression", "kernels", "memory", "llvm", "assembly"]
    assert "sum dot over k < 128 of (A[i, k] * B[k, j])" in stages["expression"]
    assert "tiles of" in stages["kernels"] and "max lanes over" in stages["kernels"]
    assert "temporaries" in stages["memory"]
    assert "define void @kernel" in stages["llvm"] and "kernel:" in stages["assembly"]
    assert "define" not in str(explanation) and "<pre>" in explanation._repr_html_()


def test_a_captured_function_is_explained_once_it_was_called() -> None:
    @gu.jit
    def step(x: gu.Tensor) -> gu.Tensor:
        return (x * 2).sum()

    with pytest.raises(JitError, match="not been called"):
        gu.explain(step)


def test_only_tensors_and_captured_functions_are_explained() -> None:
    with pytest.raises(TypeError, match="explain takes a tensor"):
        gu.explain(3)  # type: ignore[arg-type]
