"""Floor 4: expression graphs → fused, tiled loop nests and a memory plan; the cost model.

Knows graphs, kernels and the machine; never Tensor.
"""

from .execute import execute, plan_for
from .plan import Plan
from .signature import Signature

__all__ = ["Plan", "Signature", "execute", "plan_for"]
