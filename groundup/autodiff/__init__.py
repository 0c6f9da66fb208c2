"""Floor 5: derivatives, expression to expression; must not know Tensor or nn."""

from .again import after, again
from .forward import NotLinear, forward
from .gradient import gradient, gradients
from .mapped import Batch

__all__ = ["Batch", "NotLinear", "after", "again", "forward", "gradient", "gradients"]
