"""Steppers: the small functions that optimizers are composed of.

A stepper turns an update direction u (at first the gradient) of one parameter p into another; the
optimizer ends with p ← p − lr · u. It reads hyper-parameters as 0-d tensors (they are runtime
values) and may move the state of its parameter in place. Must not know which optimizer it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping

from groundup.tensor import Tensor

State = MutableMapping[str, Tensor]
Hyper = Mapping[str, Tensor]
Stepper = Callable[[Tensor, Tensor, State, Hyper], Tensor]


def l2_decay(u: Tensor, p: Tensor, state: State, h: Hyper) -> Tensor:
    """u + λ·p: the gradient of λ/2 · ‖p‖² added to that of the loss."""
    return u + p * h["weight_decay"]


# Adding λ·p after the direction has been scaled decouples the decay from it (Loshchilov & Hutter
# 2019, algorithm 2): the same function at another place of the chain.
def decoupled_decay(u: Tensor, p: Tensor, state: State, h: Hyper) -> Tensor:
    """u + λ·p, so that p ← (1 − lr·λ)·p − lr·u (Loshchilov & Hutter 2019, algorithm 2)."""
    return u + p * h["weight_decay"]


def momentum(u: Tensor, p: Tensor, state: State, h: Hyper) -> Tensor:
    """b ← μ·b + u; the direction is b (PyTorch's form of Polyak 1964: the rate stays outside)."""
    b = state["momentum_buffer"]
    b.copy_(b * h["momentum"] + u)
    return b


def nesterov(u: Tensor, p: Tensor, state: State, h: Hyper) -> Tensor:
    """b ← μ·b + u; the direction is u + μ·b (Sutskever et al. 2013, in PyTorch's form)."""
    return u + momentum(u, p, state, h) * h["momentum"]


def adam(u: Tensor, p: Tensor, state: State, h: Hyper) -> Tensor:
    """m ← β₁m + (1 − β₁)u; v ← β₂v + (1 − β₂)u²; the direction is m̂ / (√v̂ + eps)

    with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ), t the steps so far (Kingma & Ba 2015,
    algorithm 1). eps stands outside of the root, so 0 / 0 cannot happen. The corrections are
    float64: in float32, 1 − 0.999 has lost a third of its digits.
    """
    m, v, t = state["exp_avg"], state["exp_avg_sq"], state["step"]
    b1, b2 = h["beta1"], h["beta2"]
    m.copy_(m * b1.to(p.dtype) + u * (1.0 - b1).to(p.dtype))
    v.copy_(v * b2.to(p.dtype) + u * u * (1.0 - b2).to(p.dtype))
    root = (1.0 - b2**t).sqrt().to(p.dtype)
    return m / (1.0 - b1**t).to(p.dtype) / (v.sqrt() / root + h["eps"].to(p.dtype))
