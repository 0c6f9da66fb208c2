"""`gu.detect_anomaly()`: each operation is computed at once, and the first that makes a NaN or an
infinity raises, at the user's line. Must not know how the operation is found (see find).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from ..ir.node import Node
from ..ir.transform import toposort
from . import storage as store
from .errors import AnomalyError, JitError, at_line, line_text, shape_text
from .find import Finding, Walk
from .mode import Block, state

if TYPE_CHECKING:
    from .mode import Look


class detect_anomaly(Block):
    """Inside the block (or decorated function) the first operation that makes a NaN or an infinity
    raises AnomalyError.

    Looked at are the results of all operations, of writes in place (an optimizer's update), and of
    derivatives, there also the operation whose derivative it is, with its line. To blame is an
    operation whose result has a NaN that none of its inputs has, or an infinity where they have
    neither; what you write yourself, as `masked_fill(mask, -inf)`, passes. The error says how many
    elements, the first position, the numbers there, what commonly leads to it, and your line.

    check_nan, check_inf: which of the two to look for. A captured function runs as it is written.
    Nothing is fused, and each result is swept once more: several times slower than without. It
    holds in the thread that enters it. Raises JitError where a function that jit captures enters
    it: put it around the call.

    >>> x = gu.tensor([1.0, 0.0])
    >>> try:
    ...     with gu.detect_anomaly():
    ...         y = x.log().sum()
    ... except gu.AnomalyError as error:
    ...     print(str(error).splitlines()[1])
      there, log(0) = -inf in float32
    """

    def __init__(self, check_nan: bool = True, check_inf: bool = True) -> None:
        super().__init__("anomaly", _Watch(check_nan, check_inf))

    def __enter__(self) -> None:
        if store.tracing() is not None:
            _captured()
        super().__enter__()


def _captured() -> NoReturn:
    raise JitError(
        "detect_anomaly: a function that jit captures computes nothing yet, so that there is "
        "nothing to look at; put it around the call of the captured function" + at_line()
    )


class _Watch:
    """Looks at results, each as soon as it is there."""

    def __init__(self, nan: bool, inf: bool) -> None:
        self.walk = Walk(nan, inf)
        self._busy = False  # what looks computes as well

    def __call__(self, node: Node) -> None:
        if self._busy:
            return
        if store.tracing() is not None:
            _captured()
        self._look([node], ())

    def gradients(self, roots: Sequence[Node], found: Sequence[Node | None]) -> None:
        self._look([g for g in found if g is not None], toposort(roots))

    def given(self, name: str, values: Sequence[Node], sources: Sequence[Node]) -> None:
        before = [self.walk.bad(s) for s in sources if s.dtype.is_float]
        for value in values:
            if not value.dtype.is_float:
                continue
            bad = self.walk.bad(value)
            if self.walk.counts(bad) and not any(map(self.walk.counts, before)):
                raise AnomalyError(
                    f"{name} made {bad} of the elements of a {value.dtype.name} tensor of shape "
                    f"{shape_text(value.shape)}" + at_line()
                )

    def _look(self, nodes: Sequence[Node], known: Sequence[Node]) -> None:
        self._busy = True
        try:
            found = self.walk.first(nodes, known=known)
        finally:
            self._busy = False
        if found is not None:
            raise AnomalyError(_message(found), str(found))


def _message(found: Finding) -> str:
    """What was found; of a derivative also where it was asked for."""
    here = at_line()
    if found.forward and found.line is not None and line_text(found.line) != here:
        return found.told() + "\n  the gradient was asked for:" + here
    return found.told()


def is_anomaly_enabled() -> bool:
    """Is each result looked at, in this thread?"""
    return state.anomaly is not None


if TYPE_CHECKING:
    _: type[Look] = _Watch
