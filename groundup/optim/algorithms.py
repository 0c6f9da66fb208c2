"""The optimizers: SGD, Adam, AdamW, each a chain of steppers and the numbers that they read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from groundup.tensor.misuse import named

from .optimizer import Optimizer
from .steppers import Stepper, adam, decoupled_decay, l2_decay, momentum, nesterov


class SGD(Optimizer):
    """p ← p − lr · b, b ← μ·b + g + λ·p; with nesterov: p ← p − lr · (g + λ·p + μ·b)

    params: tensors or groups. lr: the learning rate. momentum: μ. weight_decay: λ.
    nesterov: look ahead by μ·b. Raises ValueError for negative numbers.
    Source: Robbins & Monro 1951; Polyak 1964; Sutskever et al. 2013. The rate multiplies the buffer
    at the end, as in PyTorch.

    >>> w = nn.Parameter(gu.ones(2))
    >>> (w * w).sum().backward()
    >>> SGD([w], lr=0.25).step()
    >>> w.tolist()
    [0.5, 0.5]
    """

    @named
    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay,
                    "nesterov": nesterov}  # fmt: skip
        super().__init__(params, defaults)

    def check(self, group: Mapping[str, Any]) -> None:
        super().check(group)
        if group["nesterov"] and group["momentum"] == 0:
            raise ValueError("nesterov looks ahead along the momentum, which is 0: set momentum")

    def numbers(self, group: Mapping[str, Any]) -> dict[str, float]:
        return {name: group[name] for name in ("lr", "momentum", "weight_decay")}

    def slots(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] else ()

    def chain(self, group: Mapping[str, Any]) -> tuple[Stepper, ...]:
        steppers: list[Stepper] = [l2_decay] if group["weight_decay"] else []
        if group["momentum"]:
            steppers.append(nesterov if group["nesterov"] else momentum)
        return tuple(steppers)


class Adam(Optimizer):
    """p ← p − lr · m̂ / (√v̂ + eps), m̂ and v̂ the corrected averages of g and g²

    params: tensors or groups. lr: the learning rate. betas: (β₁, β₂), the old averages' shares.
    eps: added to the root. weight_decay: λ, added to the gradient (see AdamW for decoupled decay).
    Raises ValueError for negative numbers and for betas of 1 or more.
    Source: Kingma & Ba, "Adam", ICLR 2015, algorithm 1, with its defaults.
    """

    counts_steps = True

    @named
    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    def numbers(self, group: Mapping[str, Any]) -> dict[str, float]:
        beta1, beta2 = group["betas"]
        numbers = {name: group[name] for name in ("lr", "eps", "weight_decay")}
        return {**numbers, "beta1": beta1, "beta2": beta2}

    def slots(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def chain(self, group: Mapping[str, Any]) -> tuple[Stepper, ...]:
        return (l2_decay, adam) if group["weight_decay"] else (adam,)


class AdamW(Adam):
    """p ← (1 − lr·λ) · p − lr · m̂ / (√v̂ + eps): Adam with decoupled weight decay

    Arguments as for Adam; weight_decay: λ, 0.01 by default as in PyTorch.
    Source: Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2.
    """

    @named
    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def chain(self, group: Mapping[str, Any]) -> tuple[Stepper, ...]:
        return (adam, decoupled_decay) if group["weight_decay"] else (adam,)
