"""The glass: what an expression becomes, and where its time goes, for people to look at.

Looks into plans, kernels and their code; nothing that computes knows of it.
"""

from groundup.glass.explanation import Explanation, explain
from groundup.glass.profiling import Profile, profile

__all__ = ["Explanation", "Profile", "explain", "profile"]
