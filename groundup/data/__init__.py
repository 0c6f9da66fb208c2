"""Floor 9: items, their order, and batches of them.

Knows tensors; must not know models, losses or training.
"""

from groundup.data.dataset import Dataset, Subset, TensorDataset
from groundup.data.loader import DataLoader, Loaders
from groundup.data.registry import Registry, UnknownName
from groundup.data.sampler import RandomSampler, Sampler, SequentialSampler, permutation
from groundup.data.transform import Normalize, statistics

__all__ = [
    "DataLoader",
    "Dataset",
    "Loaders",
    "Normalize",
    "RandomSampler",
    "Registry",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "TensorDataset",
    "UnknownName",
    "permutation",
    "statistics",
]
