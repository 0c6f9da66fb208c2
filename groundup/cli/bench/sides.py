"""The sides of a comparison: a case, made ready to be run in one library and one layout.

ours and the peers of this process are here; jax.py holds the one that needs its own. Must not know
how rounds are interleaved (measure.py).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from groundup.cli.bench.record import BenchError, Case, Input

if TYPE_CHECKING:
    import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"

NHWC = (0, 2, 3, 1)
NCHW = (0, 3, 1, 2)


class Side(Protocol):
    """One library at work on one case."""

    who: str  # "ours" or a peer
    layout: str  # "" where there is none to choose
    first_ms: float  # until the result was there, with all compilation

    def outcome(self) -> list[Array]:
        """Return its results, to be compared before anything is timed."""

    def block(self, calls: int, warm: int) -> float:
        """Run `calls` calls after `warm` untimed ones; return seconds a call."""


class Local:
    """A side in this process."""

    def __init__(
        self,
        who: str,
        layout: str,
        call: Callable[[int], Any],
        results: Callable[[], list[Array]],
        warm: int,
    ) -> None:
        """call: runs it once, given the number of the call; results: its first results, which
        includes the first calls; warm: how many more calls until nothing is compiled."""
        self.who, self.layout, self._call = who, layout, call
        start = time.perf_counter()
        self._results = results()
        self.first_ms = (time.perf_counter() - start) * 1e3
        for i in range(warm):
            call(i)

    def outcome(self) -> list[Array]:
        """Return the first results."""
        return self._results

    def block(self, calls: int, warm: int) -> float:
        """Time a block of calls."""
        return timed(self._call, calls, warm)


def timed(call: Callable[[int], Any], calls: int, warm: int) -> float:
    """Seconds a call, of `calls` calls after `warm` untimed ones."""
    for i in range(warm):
        call(i)
    start = time.perf_counter()
    for i in range(calls):
        call(i)
    return (time.perf_counter() - start) / calls


# ---- data ----------------------------------------------------------------------------------------


def arrays(case: Case) -> list[Array]:
    """The same random arguments for everyone; with gradients, the result's gradient comes last."""
    import numpy as np

    rng = np.random.default_rng(0)

    def draw(given: Input) -> Array:
        if given.below:
            return rng.integers(0, given.below, given.shape, given.dtype)
        drawn = np.asarray(rng.standard_normal(given.shape, dtype=np.float32))
        return drawn if given.std == 1.0 else drawn * np.float32(given.std)

    found = [draw(given) for given in case.inputs]
    if case.part != "forward":
        gradient = draw(Input(case.result)) if case.result else np.ones((), np.float32)
        found.append(gradient)
    return found


def images(case: Case) -> tuple[list[bool], list[bool]]:
    """Which arguments (with the gradient of the result) and which results are activations."""
    given = [i.image for i in case.inputs]
    result = case.images and len(case.result) == 4
    gradients = [given[i] for i in case.wrt]
    if case.part == "forward":
        return given, [result]
    return [*given, result], [result, *gradients] if case.part == "both" else gradients


# ---- ours ----------------------------------------------------------------------------------------


def ours(case: Case, layout: str = "") -> Local:
    """Ours, captured by `gu.jit`. With NHWC, activations come and go as row-major (n, h, w, c)."""
    import groundup as gu

    is_image, is_image_out = images(case)
    nhwc = layout == "nhwc"

    def load(a: Array, image: bool) -> Any:
        import numpy as np

        tensor = gu.from_numpy(np.ascontiguousarray(a.transpose(NHWC)) if image and nhwc else a)
        return tensor.realize()

    args = [load(a, image) for a, image in zip(arrays(case), is_image, strict=True)]
    compute = our_function(gu, case)

    def whole(*args: Any) -> tuple[Any, ...]:
        seen = [a.permute(*NCHW) if image else a for a, image in zip(args, is_image, strict=True)]
        found = compute(*seen)
        return tuple(
            y.permute(*NHWC) if image else y for y, image in zip(found, is_image_out, strict=True)
        )

    run = gu.jit(whole if nhwc else compute)

    def results() -> list[Array]:
        run(*args)
        found = run(*args)
        return [
            y.numpy().transpose(NCHW) if image and nhwc else y.numpy()
            for y, image in zip(found, is_image_out, strict=True)
        ]

    return Local("ours", layout, lambda i: run(*args), results, warm=2)


def our_function(gu: Any, case: Case) -> Callable[..., tuple[Any, ...]]:
    """The whole computation of a case, with the gradients it asks for."""
    formula = case.ours
    if case.part == "forward":
        return lambda *args: (formula(gu, *args),)

    def with_gradients(*args: Any) -> tuple[Any, ...]:
        leaves = list(args[:-1])
        for i in case.wrt:
            leaves[i] = leaves[i].detach().requires_grad_()
        y = formula(gu, *leaves)
        y.backward(args[-1])
        gradients = [leaves[i].grad for i in case.wrt]
        return (y.detach(), *gradients) if case.part == "both" else tuple(gradients)

    return with_gradients


# ---- torch ---------------------------------------------------------------------------------------


def torch_module() -> Any:
    """The library torch. Raises BenchError where it is not installed."""
    try:
        return import_module("torch")
    except ImportError as error:
        raise BenchError(
            "the peer torch is not installed: pip install 'groundup[peers]'"
        ) from error


def torch(case: Case, layout: str = "", compiled: bool = False, idiom: str = "") -> Local:
    """torch, eager or compiled, in one of the case's idioms.

    With NHWC every 4-d argument is in channels_last memory.
    """
    if idiom:
        case = replace(case, torch=case.idioms[idiom])
    who, name = "compile" if compiled else "torch", f"{layout} {idiom}".strip()
    return _in_torch(case, who, layout, name, compiled)


def dims(case: Case) -> Local:
    """functorch.dim: torch with first-class dimensions."""
    if case.dims is None:
        raise BenchError(f"{case.name} is not written for functorch.dim")
    return _in_torch(replace(case, torch=case.dims), "dims", "", "", False)


def _in_torch(case: Case, who: str, layout: str, name: str, compiled: bool) -> Local:
    module = torch_module()

    def load(a: Array) -> Any:
        tensor = module.from_numpy(a)
        if layout == "nhwc" and tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=module.channels_last)
        return tensor

    args = [load(a) for a in arrays(case)]
    run = torch_function(module, case, args, compiled)

    def results() -> list[Array]:
        return [y.detach().contiguous().numpy() for y in run()]

    return Local(who, name, lambda i: run(), results, warm=2)


def compile_by_torch(torch: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """torch.compile, which forgets earlier rows: of one function it compiles few variants only."""
    warnings.filterwarnings("ignore", module="torch")
    # Its pool of compiling processes takes a core for seconds after the first compilation.
    config: Any = import_module("torch._inductor.config")
    config.compile_threads = 1
    torch._dynamo.reset()
    compiled: Callable[..., Any] = torch.compile(function)
    return compiled


def torch_function(
    torch: Any, case: Case, args: Sequence[Any], compiled: bool
) -> Callable[[], tuple[Any, ...]]:
    """The whole computation on these arguments, with the gradients it asks for."""

    def formula(*args: Any) -> Any:
        return case.torch(torch, *args)

    if compiled:
        formula = compile_by_torch(torch, formula)
    if case.part == "forward":

        def forward() -> tuple[Any, ...]:
            with torch.no_grad():
                return (formula(*args),)

        return forward
    own = case.torch_gradient
    if case.part == "gradient" and own is not None and not compiled:

        def gradient() -> tuple[Any, ...]:
            with torch.no_grad():
                return tuple(own(torch, *args))

        return gradient
    leaves = list(args[:-1])
    for i in case.wrt:
        leaves[i] = leaves[i].detach().requires_grad_()
    wanted = [leaves[i] for i in case.wrt]

    def with_gradients() -> tuple[Any, ...]:
        y = formula(*leaves)
        gradients = torch.autograd.grad(y, wanted, args[-1])
        return (y, *gradients) if case.part == "both" else tuple(gradients)

    return with_gradients


# ---- NumPy ---------------------------------------------------------------------------------------


def numpy(case: Case) -> Local:
    """NumPy, on one thread but for what its BLAS does."""
    import numpy as np

    formula, args = case.numpy, arrays(case)
    if formula is None:
        raise BenchError(f"{case.name} is not written for numpy")
    return Local(
        "numpy", "", lambda i: formula(np, *args), lambda: [np.asarray(formula(np, *args))], warm=1
    )
