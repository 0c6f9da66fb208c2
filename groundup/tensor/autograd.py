"""`gu.autograd`: derivatives and what looks at them, under the names of torch.autograd.

Must not hold anything of its own: each name is that of a function of another room.
"""

from .anomaly import detect_anomaly
from .backward import derivatives as grad
from .check import GradcheckError, gradcheck, gradgradcheck
from .mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled

__all__ = [
    "GradcheckError",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]
