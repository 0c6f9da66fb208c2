"""A module with state, for functions that name it."""

from typing import Any

FACTOR = 2.0


def scale(x: Any) -> Any:
    return x * FACTOR


class Config:
    scale = 2.0


obj = Config()
