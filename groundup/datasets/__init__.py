"""Floor 9: the registry of data sets. `load("mnist")` gives a data set split and ready to train on.

Knows files and their checks; must not know models.
"""

from groundup.datasets.registry import DataError, Splits, load, names

__all__ = ["DataError", "Splits", "load", "names"]
