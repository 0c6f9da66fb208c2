"""Floor 7, layers: Module, Parameter, the layers, `functional` (their equations), `init`.

Explicit re-exports only. This floor must not know about optimizers, data or training loops.
"""

from groundup.nn import functional as functional
from groundup.nn import init as init
from groundup.nn.container import ModuleDict, ModuleList, Sequential
from groundup.nn.layers import (
    GELU,
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    GeneralReLU,
    Identity,
    LeakyReLU,
    Linear,
    LogSoftmax,
    MaxPool2d,
    MSELoss,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from groundup.nn.module import Module, Parameter

__all__ = [
    "Module", "Parameter", "functional", "init",
    "Sequential", "ModuleList", "ModuleDict",
    "Linear", "Conv2d", "BatchNorm1d", "BatchNorm2d",
    "Identity", "ReLU", "LeakyReLU", "GeneralReLU", "Tanh", "Sigmoid", "GELU", "Softmax",
    "LogSoftmax", "Dropout", "Flatten", "MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d",
    "CrossEntropyLoss", "MSELoss",
]  # fmt: skip
