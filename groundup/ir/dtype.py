"""Element types: names, sizes, limits and PyTorch's promotion rules.

This room knows what a number of each type is; it must not know where numbers are stored.
"""

from __future__ import annotations

from .record import frozen


@frozen
class DType:
    """One element type; compare by identity (each exists once)."""

    name: str
    kind: str  # 'b' bool, 'u' unsigned, 'i' signed, 'f' floating, 'c' complex
    bits: int
    fmt: str  # code of the struct module for one element ('' when Python has none)
    llvm: str  # the type of one element in registers: 16-bit floats are their bits
    rank: int = 0

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def itemsize(self) -> int:
        """Bytes of one stored element."""
        return max(1, self.bits // 8)

    @property
    def is_float(self) -> bool:
        return self.kind == "f"

    @property
    def is_int(self) -> bool:
        return self.kind in "iu"

    @property
    def is_complex(self) -> bool:
        return self.kind == "c"

    @property
    def min(self) -> int:
        """The smallest value of an integer or bool type."""
        return -(1 << (self.bits - 1)) if self.kind == "i" else 0

    @property
    def max(self) -> int:
        """The largest value of an integer or bool type."""
        if self.kind == "b":
            return 1
        return (1 << (self.bits - 1)) - 1 if self.kind == "i" else (1 << self.bits) - 1

    @property
    def eps(self) -> float:
        """The gap between 1 and the next larger value of a floating type, or of the parts."""
        parts = self.to_real() if self.is_complex else self
        return {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10}.get(
            parts.name, 2.0**-7
        )

    @property
    def smallest_normal(self) -> float:
        """The least positive number with all digits of a floating type, or of the parts."""
        return 2.0 ** (2 - self._exponents)

    @property
    def greatest(self) -> float:
        """The greatest finite number of a type, or of its parts."""
        if self.is_float or self.is_complex:
            return (2 - self.eps) * 2.0 ** (self._exponents - 1)
        return self.max

    @property
    def least(self) -> float:
        """The least finite number of a type, or of its parts."""
        return -self.greatest if self.is_float or self.is_complex else self.min

    @property
    def _exponents(self) -> int:
        """Half of the number of exponents: 2^(k − 1) of k bits (IEEE 754, and bfloat16)."""
        bits = {"float64": 11, "float16": 5}.get(self.to_real().name, 8)
        return 1 << (bits - 1)

    def to_real(self) -> DType:
        """The type of the parts of a complex number; any other type is its own."""
        return {"complex64": float32, "complex128": float64}.get(self.name, self)

    def to_complex(self) -> DType:
        """The complex type whose parts are of this floating type."""
        if self.is_complex:
            return self
        return complex128 if self is float64 else complex64

    def __repr__(self) -> str:
        return f"groundup.{self.name}"

    def __reduce__(self) -> str:
        return {"bool": "bool_"}.get(self.name, self.name)


bool_ = DType("bool", "b", 1, "?", "i1", 0)
uint8 = DType("uint8", "u", 8, "B", "i8", 1)
int8 = DType("int8", "i", 8, "b", "i8", 2)
uint16 = DType("uint16", "u", 16, "H", "i16", 3)
int16 = DType("int16", "i", 16, "h", "i16", 4)
uint32 = DType("uint32", "u", 32, "I", "i32", 5)
int32 = DType("int32", "i", 32, "i", "i32", 6)
uint64 = DType("uint64", "u", 64, "Q", "i64", 7)
int64 = DType("int64", "i", 64, "q", "i64", 8)
float16 = DType("float16", "f", 16, "e", "i16", 9)
bfloat16 = DType("bfloat16", "f", 16, "", "i16", 10)
float32 = DType("float32", "f", 32, "f", "float", 11)
float64 = DType("float64", "f", 64, "d", "double", 12)

ALL: tuple[DType, ...] = (
    bool_, uint8, int8, uint16, int16, uint32, int32, uint64, int64,
    float16, bfloat16, float32, float64,
)  # fmt: skip
BY_NAME: dict[str, DType] = {d.name: d for d in ALL}

# Pairs of two floating numbers. Expressions do not know them: a tensor of complex numbers is a
# tensor of real ones with a last axis of two (groundup/tensor/complex).
complex64 = DType("complex64", "c", 64, "", "", 13)
complex128 = DType("complex128", "c", 128, "", "", 14)
COMPLEX: tuple[DType, ...] = (complex64, complex128)

_SIGNED = {8: int8, 16: int16, 32: int32, 64: int64}


def promote(a: DType, b: DType) -> DType:
    """The type of a result of two operands of one category of operand (torch.promote_types).

    Raises TypeError for uint64 with a signed type: no integer type holds both.
    """
    if a is b:
        return a
    if a.kind == "b":
        return b
    if b.kind == "b":
        return a
    if a.is_complex or b.is_complex:
        return complex128 if float64 in (a.to_real(), b.to_real()) else complex64
    if a.is_float or b.is_float:
        if not a.is_float:
            return b
        if not b.is_float:
            return a
        if {a, b} == {float16, bfloat16}:
            return float32
        return a if a.bits > b.bits else b
    if a.kind == b.kind:
        return a if a.bits >= b.bits else b
    signed, unsigned = (a, b) if a.kind == "i" else (b, a)
    if unsigned.bits == 64:
        raise TypeError(
            f"{a.name} and {b.name} have no common integer type that holds both; "
            f"cast one of them first, for example x.to(groundup.int64)"
        )
    return signed if signed.bits > unsigned.bits else _SIGNED[unsigned.bits * 2]
