"""scikit-learn's array-API estimators on tensors beside NumPy's arrays: run as a program, since
SciPy looks at SCIPY_ARRAY_API when it is imported. Prints a line of JSON for each case.

Usage: python -m tests.interop.learners [--python], which takes the plain Python loops
"""

import contextlib
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

os.environ["SCIPY_ARRAY_API"] = "1"

import numpy as np
import sklearn
from sklearn import (
    decomposition,
    discriminant_analysis,
    linear_model,
    metrics,
    mixture,
    model_selection,
    naive_bayes,
    pipeline,
    preprocessing,
)
from sklearn.metrics import pairwise

import groundup as gu

rng = np.random.default_rng(0)
X = rng.normal(size=(24, 4))
LABELS = (X[:, 0] > 0).astype("int64")
THREE = (X[:, 0] * 1.5 + 2).round().clip(0, 2).astype("int64")
PREDICTED = np.where(rng.random(24) < 0.2, 1 - LABELS, LABELS)
SCORES = 1 / (1 + np.exp(-X[:, 1]))
VALUES = X @ np.arange(4.0) + 0.1 * rng.normal(size=24)
POSITIVE = np.abs(VALUES) + 0.1

Case = Callable[[Callable[[Any], Any]], Any]


def scaled(make: Callable[[], Any]) -> Case:
    """A transformation and, where there is one, its inverse."""

    def case(array: Callable[[Any], Any]) -> Any:
        t = make().fit(array(X))
        there = t.transform(array(X))
        return (there, t.inverse_transform(there)) if hasattr(t, "inverse_transform") else there

    return case


def fitted(make: Callable[[], Any], y: Any, method: str = "predict") -> Case:
    return lambda array: getattr(make().fit(array(X), array(y)), method)(array(X))


def components(solver: str, **more: Any) -> Case:
    """Principal components, whose signs are nobody's choice."""

    def case(array: Callable[[Any], Any]) -> Any:
        p = decomposition.PCA(
            2, svd_solver=solver, random_state=0, power_iteration_normalizer="QR", **more
        )
        return abs(p.fit_transform(array(X)))

    return case


def measured(name: str, y: Any, z: Any) -> Case:
    return lambda array: getattr(metrics, name)(array(y), array(z))


def between(name: str) -> Case:
    return lambda array: getattr(pairwise, name)(array(np.abs(X)), array(np.abs(X[:5])))


def searched(array: Callable[[Any], Any]) -> Any:
    model = model_selection.GridSearchCV(
        linear_model.Ridge(solver="svd"), {"alpha": [0.1, 1.0]}, cv=2
    )
    return model.fit(array(X), array(VALUES)).predict(array(X))


def piped(array: Callable[[Any], Any]) -> Any:
    steps = (
        preprocessing.StandardScaler(), decomposition.PCA(3, svd_solver="full"),
        linear_model.Ridge(solver="svd"),
    )  # fmt: skip
    return pipeline.make_pipeline(*steps).fit(array(X), array(VALUES)).predict(array(X))


def lda() -> Any:
    return discriminant_analysis.LinearDiscriminantAnalysis(solver="svd")


def logistic() -> Any:
    return linear_model.LogisticRegression(solver="lbfgs")


def gaussians() -> Any:
    return mixture.GaussianMixture(2, random_state=0, init_params="random_from_data", max_iter=5)


CASES: dict[str, Case] = {
    "StandardScaler": scaled(preprocessing.StandardScaler),
    "MinMaxScaler": scaled(preprocessing.MinMaxScaler),
    "MaxAbsScaler": scaled(preprocessing.MaxAbsScaler),
    "Normalizer": scaled(preprocessing.Normalizer),
    "Binarizer": scaled(preprocessing.Binarizer),
    "PolynomialFeatures": scaled(lambda: preprocessing.PolynomialFeatures(2)),
    "LabelEncoder": lambda array: preprocessing.LabelEncoder().fit_transform(array(THREE)),
    "LabelBinarizer": lambda array: preprocessing.LabelBinarizer().fit_transform(array(THREE)),
    "PCA": components("full"),
    "PCA covariance": components("covariance_eigh", whiten=True),
    "PCA randomized": components("randomized"),
    "LinearDiscriminantAnalysis": fitted(lda, THREE),
    "LinearDiscriminantAnalysis probabilities": fitted(lda, THREE, "predict_proba"),
    "Ridge": fitted(lambda: linear_model.Ridge(solver="svd"), VALUES),
    "RidgeCV": fitted(linear_model.RidgeCV, VALUES),
    "RidgeClassifier": fitted(lambda: linear_model.RidgeClassifier(solver="svd"), THREE),
    "LogisticRegression": fitted(logistic, THREE, "predict_proba"),
    "PoissonRegressor": fitted(linear_model.PoissonRegressor, POSITIVE),
    "GaussianNB": fitted(naive_bayes.GaussianNB, THREE, "predict_proba"),
    "GaussianMixture": lambda array: gaussians().fit(array(X)).predict_proba(array(X)),
    "train_test_split": lambda array: tuple(
        model_selection.train_test_split(array(X), array(LABELS), random_state=0)
    ),
    "GridSearchCV": searched,
    "pipeline": piped,
    **{name: measured(name, LABELS, PREDICTED) for name in (
        "accuracy_score", "balanced_accuracy_score", "f1_score", "precision_score", "recall_score",
        "jaccard_score", "zero_one_loss", "hamming_loss", "cohen_kappa_score", "confusion_matrix",
    )},
    **{name: measured(name, LABELS, SCORES) for name in (
        "precision_recall_curve", "average_precision_score", "log_loss", "brier_score_loss",
        "det_curve",
    )},
    **{name: measured(name, POSITIVE, POSITIVE + 0.3 * SCORES) for name in (
        "mean_absolute_error", "mean_squared_error", "r2_score", "max_error",
        "mean_absolute_percentage_error", "mean_squared_log_error", "explained_variance_score",
        "mean_pinball_loss", "mean_tweedie_deviance", "median_absolute_error",
    )},
    **{name: between(name) for name in (
        "euclidean_distances", "cosine_similarity", "rbf_kernel", "polynomial_kernel",
        "linear_kernel", "sigmoid_kernel", "chi2_kernel",
    )},
}  # fmt: skip


def difference(name: str) -> str:
    """What is not as with NumPy's arrays; nothing if all is."""
    try:
        ours, theirs = CASES[name](gu.from_numpy), CASES[name](np.asarray)
    except Exception:
        return traceback.format_exc()
    pairs = list(zip(ours, theirs, strict=True)) if isinstance(ours, tuple) else [(ours, theirs)]
    for a, b in pairs:
        if isinstance(b, np.ndarray) and not isinstance(a, gu.Tensor):
            return f"gives {type(a).__name__}, not a Tensor"
        if not np.allclose(np.asarray(a), b, rtol=1e-5, atol=1e-7):
            return f"{np.asarray(a)} is not {b}"
        if isinstance(a, gu.Tensor) and a.dtype.name != b.dtype.name:
            return f"{a.dtype} is not {b.dtype}"
    return ""


if __name__ == "__main__":
    sklearn.set_config(array_api_dispatch=True)
    warnings.simplefilter("ignore")
    with gu.debug() if "--python" in sys.argv else contextlib.nullcontext():
        for name in CASES:
            print(json.dumps([name, difference(name)]), flush=True)
