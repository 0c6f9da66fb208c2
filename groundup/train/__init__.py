"""Floor 10: the Learner, its callbacks, metrics, saving and interpretation.

Knows models and data by their interfaces; must not know applications.
"""

from groundup.tensor.saving import SaveError, write_whole
from groundup.train.callbacks import (
    Callback,
    CallbackOrderError,
    CancelBatch,
    CancelEpoch,
    CancelFit,
)
from groundup.train.files import load_weights, new_run_folder, save_weights
from groundup.train.guards import NonFiniteLoss, StopOnInterrupt, StopOnNaN, find_nan
from groundup.train.interpret import (
    Confusion,
    confused_picture,
    most_confused,
    training_picture,
)
from groundup.train.learner import Learner
from groundup.train.metrics import Mean, accuracy
from groundup.train.progress import Progress
from groundup.train.recorder import Recorder, Schedule

__all__ = [
    "Callback",
    "CallbackOrderError",
    "CancelBatch",
    "CancelEpoch",
    "CancelFit",
    "Confusion",
    "Learner",
    "Mean",
    "NonFiniteLoss",
    "Progress",
    "Recorder",
    "SaveError",
    "Schedule",
    "StopOnInterrupt",
    "StopOnNaN",
    "accuracy",
    "confused_picture",
    "find_nan",
    "load_weights",
    "most_confused",
    "new_run_folder",
    "save_weights",
    "training_picture",
    "write_whole",
]
