"""Floor 11: models for pictures, and the recipes that train them well.

Knows layers; must not know the other fields, nor the commands.
"""

from groundup.vision.mnist import MODELS, Recipe, cnn, mlp

__all__ = ["MODELS", "Recipe", "cnn", "mlp"]
