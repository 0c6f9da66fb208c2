"""What torch's list says of complex numbers and groundup does not do, and the other way round.

Must not know how results are compared.
"""

from __future__ import annotations

_REFUSED: dict[str, str] = {
    "not built for complex matrices": """
        cholesky_inverse cholesky_solve geqrf lu lu_solve lu_unpack matrix_exp ormqr
        triangular_solve svd svd_lowrank pca_lowrank linalg.cholesky_ex linalg.cond
        linalg.householder_product linalg.ldl_factor linalg.ldl_factor_ex linalg.ldl_solve
        linalg.lstsq linalg.lstsq:grad_oriented linalg.lu_factor linalg.lu_factor_ex linalg.lu
        linalg.lu_solve linalg.inv_ex linalg.solve_ex linalg.solve_triangular
    """,
    "layers are of real numbers": """
        nn.functional.rms_norm nn.functional.unfold
    """,
    "a real type for complex numbers would discard their imaginary parts": """
        softmax:with_dtype log_softmax:with_dtype nn.functional.softmin:with_dtype
    """,
    "not built yet": """
        logaddexp logcumsumexp masked.var masked.std
    """,
}
# name or name:variant -> why it raises TypeError for complex numbers, for which torch has a result
REFUSED = {name: reason for reason, names in _REFUSED.items() for name in names.split()}

_BEYOND: dict[str, str] = {
    "puts elements at places, whatever they are": """
        select_scatter slice_scatter scatter_reduce:sum nn.functional.max_unpool1d
        nn.functional.max_unpool1d:grad nn.functional.max_unpool2d nn.functional.max_unpool2d:grad
        nn.functional.max_unpool3d nn.functional.max_unpool3d:grad
    """,
    "asks for equality only": """
        isin
    """,
    "its formula is made of operations that complex numbers have": """
        nn.functional.glu nn.functional.silu nansum masked.norm nn.functional.pdist
        bmm:triton_optimized
        _softmax_backward_data nn.functional.dropout nn.functional.dropout2d
        nn.functional.dropout3d
    """,
}
# name or name:variant -> why it has a result for complex numbers, for which torch has none
BEYOND = {name: reason for reason, names in _BEYOND.items() for name in names.split()}

# What of the results is compared, and why not all.
PARTLY: dict[str, tuple[str, str]] = {
    "cholesky": ("values", "torch's derivative by the real diagonal has imaginary parts"),
    "linalg.cholesky": ("values", "as cholesky"),
    "qr": ("values", "ours is refused: of complex matrices Q and R are free to turn"),
    "linalg.qr": ("values", "as qr"),
    "linalg.svd": ("values", "ours is refused: U and Vh are free to turn"),
    "linalg.eig": ("first", "eigenvectors are free to turn"),
    "linalg.eigh": ("first", "eigenvectors are free to turn"),
}

# Where torch loses more digits of complex numbers than of real ones: (relative, absolute).
ROOM: dict[str, dict[str, tuple[float, float]]] = {
    # torch takes e^(x − y) of numbers of a million, so their angles are right to ten digits.
    "logsumexp": {"gradient": (1e-9, 1e-9)},
    # 128 products of parts up to 9 · 9 cancel: 128 · 81 · 2⁻²⁴ is 6e-4.
    "nn.functional.conv3d": {"float32": (1e-5, 6e-4)},
    # Ten products of parts up to 9 · 9 cancel: 10 · 81 · 2⁻²⁴ is 5e-5.
    "baddbmm": {"float32": (5e-6, 1e-4)},
}
