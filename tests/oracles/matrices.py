"""Which of ours answers to torch's entries of matrices, and what is compared where a result is not
unique: an eigenvector has no sign of its own.

Must not know how results are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import groundup as gu


def words(text: str) -> frozenset[str]:
    """The names in a text."""
    return frozenset(text.split())


# gu.<name>
FUNCTIONS = words("""
cholesky cholesky_inverse cholesky_solve geqrf lu lu_solve lu_unpack matrix_exp ormqr qr
triangular_solve svd pca_lowrank svd_lowrank pinverse logdet
""")

# gu.linalg.<name>
LINALG = words("""
det cholesky cholesky_ex cond eig eigh eigvals eigvalsh householder_product ldl_factor
ldl_factor_ex ldl_solve lstsq lstsq:grad_oriented matrix_power norm norm:subgradients_at_zero
matrix_norm qr slogdet vector_norm lu_factor lu_factor_ex lu lu_solve inv inv_ex solve solve_ex
solve_triangular matrix_rank matrix_rank:hermitian pinv pinv:singular pinv:hermitian svd svdvals
tensorinv tensorsolve cross diagonal multi_dot vander vecdot
""")


def _of_factors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Of the product of two factors, as torch's samples are meant."""

    def called(a: gu.Tensor, b: gu.Tensor, **options: Any) -> Any:
        return function(a @ b.mT, **options)

    return called


OTHER: dict[str, Callable[..., Any]] = {
    "linalg.lstsq:grad_oriented": lambda a, b, driver: tuple(gu.linalg.lstsq(a, b, driver=driver))[
        :2
    ],
    "svd_lowrank": _of_factors(gu.svd_lowrank),
    "pca_lowrank": _of_factors(gu.pca_lowrank),
    "linalg.pinv:singular": lambda a, b: gu.linalg.pinv(a @ b.mT),
}


def function(key: str) -> Callable[..., Any] | None:
    """Ours for an entry of matrices, with its variant, or None."""
    if key in OTHER:
        return OTHER[key]
    name = key.partition(":")[0]
    if name in FUNCTIONS:
        found: Callable[..., Any] = getattr(gu, name)
        return found
    if key.startswith("linalg.") and key[7:] in LINALG:
        found = getattr(gu.linalg, name[7:])
        return found
    return None


# ---- what is not unique --------------------------------------------------------------------------

# Entries whose samples say by `output_process_fn_grad` what of the result is unique.
INVARIANT = words("svd svd_lowrank pca_lowrank linalg.svd linalg.eig linalg.eigh")


def _symmetric(function: Callable[..., Any], x: Any, *args: Any, **options: Any) -> Any:
    return function(x + x.mT, *args, **options)


def _triangular(at: int) -> Callable[..., Any]:
    def called(function: Callable[..., Any], *args: Any, upper: bool = False) -> Any:
        given = args[at].triu() if upper else args[at].tril()
        return function(*args[:at], given, *args[at + 1 :], upper=upper)

    return called


# Functions that read one triangle of a matrix: their derivatives are defined by matrices that stay
# symmetric, or triangular, so these make a matrix of either library so.
SHAPED: dict[str, Callable[..., Any]] = {
    "cholesky_inverse": _triangular(0),
    "cholesky_solve": _triangular(1),
    "linalg.eigh": _symmetric,
    "linalg.eigvalsh": _symmetric,
}
