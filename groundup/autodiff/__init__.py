"""Floor 5: derivatives, expression to expression; must not know Tensor or nn."""

from .gradient import gradient

__all__ = ["gradient"]
