"""Floor 7, layers: Module, Parameter, the layers, `functional` (their equations), `init`.

Explicit re-exports only. This floor must not know about optimizers, data or training loops.
"""

from groundup.nn import functional as functional
from groundup.nn import init as init
from groundup.nn.attention import MultiheadAttention
from groundup.nn.container import ModuleDict, ModuleList, Sequential
from groundup.nn.convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from groundup.nn.layers import (
    GELU,
    AdaptiveAvgPool2d,
    AvgPool2d,
    CrossEntropyLoss,
    CTCLoss,
    Dropout,
    Embedding,
    Flatten,
    FractionalMaxPool2d,
    FractionalMaxPool3d,
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
from groundup.nn.normalisation import BatchNorm1d, BatchNorm2d, BatchNorm3d, GroupNorm, LayerNorm
from groundup.nn.recurrent import LSTM, LSTMCell

__all__ = [
    "Module", "Parameter", "functional", "init",
    "Sequential", "ModuleList", "ModuleDict",
    "Linear", "Embedding",
    "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d",
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "GroupNorm",
    "LSTM", "LSTMCell", "MultiheadAttention",
    "Identity", "ReLU", "LeakyReLU", "GeneralReLU", "Tanh", "Sigmoid", "GELU", "Softmax",
    "LogSoftmax", "Dropout", "Flatten", "MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d",
    "FractionalMaxPool2d", "FractionalMaxPool3d",
    "CrossEntropyLoss", "CTCLoss", "MSELoss",
]  # fmt: skip
