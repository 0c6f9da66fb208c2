"""Floor 8, optimizers and schedules. Must not know about models, data or training loops."""

from groundup.optim.algorithms import SGD, Adam, AdamW
from groundup.optim.optimizer import Optimizer
from groundup.optim.schedule import (
    Schedule,
    combine,
    constant,
    cosine,
    exponential,
    linear,
    one_cycle,
    one_cycle_momentum,
)

__all__ = [
    "Optimizer", "SGD", "Adam", "AdamW",
    "Schedule", "constant", "linear", "cosine", "exponential", "combine", "one_cycle",
    "one_cycle_momentum",
]  # fmt: skip
