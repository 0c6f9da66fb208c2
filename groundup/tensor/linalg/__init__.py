"""`gu.linalg`: functions of matrices, named as in PyTorch. LAPACK's decompositions run on the host,
through NumPy; their derivatives are formulas in tensors. Complex matrices: Cholesky, QR, singular
values, eigenvalues, systems, inverses, determinants and norms.

This file only names what the others hold.
"""

from ..contract import matmul
from ..errors import LinAlgError
from .checked import cholesky_ex, inv_ex, solve_ex
from .decompositions import cholesky, eig, eigh, eigvals, eigvalsh, qr, svd, svdvals
from .exponential import matrix_exp
from .least import lstsq, matrix_rank, pinv
from .norms import cond, matrix_norm, norm, vector_norm
from .products import (
    cross,
    diagonal,
    householder_product,
    matrix_power,
    multi_dot,
    tensorinv,
    tensorsolve,
    vander,
    vecdot,
)
from .symmetric import ldl_factor, ldl_factor_ex, ldl_solve
from .systems import det, inv, slogdet, solve, solve_triangular
from .triangular import lu, lu_factor, lu_factor_ex, lu_solve

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh",
    "eigvals", "eigvalsh", "householder_product", "inv", "inv_ex", "ldl_factor", "ldl_factor_ex",
    "ldl_solve", "lstsq", "lu", "lu_factor", "lu_factor_ex", "lu_solve", "matmul", "matrix_exp",
    "matrix_norm", "matrix_power", "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet",
    "solve", "solve_ex", "solve_triangular", "svd", "svdvals", "tensorinv", "tensorsolve",
    "vander", "vecdot", "vector_norm",
]  # fmt: skip
