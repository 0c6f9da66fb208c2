"""Calls every public function with wild arguments: `python tools/fuzz.py [--calls N] [--seed 0]`.

The calls run in a process of their own that keeps a journal, so that one which ends the
interpreter, or does not end, is named; the run goes on behind it. An error must be one that a user
can read: a TypeError, ValueError, IndexError, RuntimeError or MemoryError. Call n of a seed is
always the same: `--only n` repeats it. Ends with 1 if something was found.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import inspect
import io
import itertools
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MEMORY = 6 << 30  # bytes of address space for the calls' process
FAULTS = "GROUNDUP_FUZZ_FAULTS" in os.environ  # call what goes wrong, to test this program
SECONDS = 0.3 if FAULTS else 20.0  # for one call, compiling included
OURS = (TypeError, ValueError, IndexError, RuntimeError, MemoryError, OSError, BufferError)
NOT_OURS = (RecursionError, UnicodeError)  # of those classes, but nobody's words


class Wild(Exception):
    """Raised by an argument."""


# ---- what is called ------------------------------------------------------------------------------

# What waits, writes files, forks, changes the process, or calls anything that it is given.
LEFT_OUT = {
    "compile", "debug", "explain", "load", "profile", "save", "set_num_threads", "tune",
    "register_einops", "import_module", "__deepcopy__", "__init_subclass__", "__subclasshook__",
    "__class__",
    "__getattr__", "__getattribute__", "__setattr__", "__delattr__", "__reduce__", "__reduce_ex__",
    "__dir__", "__new__", "__init__",
}  # fmt: skip


def callables() -> list[tuple[str, Callable[..., Any]]]:
    """Names and functions, in a fixed order; methods are called as functions of their tensor."""
    import groundup as gu
    from groundup import linalg, nn, optim
    from groundup.nn import functional
    from groundup.tensor.core import Core

    rooms: dict[str, Any] = {"gu": gu, "linalg": linalg, "F": functional, "nn": nn, "optim": optim}
    for name in ("fft", "special", "distributions"):
        with contextlib.suppress(AttributeError, ImportError):
            rooms[name] = getattr(gu, name)
    found: dict[str, Callable[..., Any]] = {}
    if FAULTS:
        return [("crash", crash), ("hang", hang), ("inside", inside), ("gu.add", gu.add)]
    for room, module in rooms.items():
        for name in sorted(getattr(module, "__all__", None) or vars(module)):
            what = getattr(module, name, None)
            if callable(what) and not name.startswith("_") and name not in LEFT_OUT:
                is_error = isinstance(what, type) and issubclass(what, BaseException)
                if not is_error:
                    found[f"{room}.{name}"] = what
    inner = set(dir(Core))  # what only the library itself calls
    for name in sorted(dir(gu.Tensor)):
        what = getattr(gu.Tensor, name, None)
        private = name in inner or (name.startswith("_") and not name.startswith("__"))
        if callable(what) and not private and name not in LEFT_OUT:
            found[f"Tensor.{name}"] = what
    return sorted(found.items())


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def hang() -> None:
    time.sleep(60)


def inside() -> None:
    raise AttributeError("from inside")


# ---- what it is given ----------------------------------------------------------------------------


class Index:
    """An index that raises, lies or is huge."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __index__(self) -> Any:
        if self.value is None:
            raise Wild("index")
        return self.value


class Length:
    """A sequence whose length raises or lies."""

    def __init__(self, length: Any, items: list[Any]) -> None:
        self.length, self.items = length, items

    def __len__(self) -> Any:
        if self.length is None:
            raise Wild("length")
        return self.length

    def __getitem__(self, i: int) -> Any:
        return self.items[i]


class Items:
    """Something that raises while one goes through it, compares it or asks for its truth."""

    def __iter__(self) -> Iterator[int]:
        yield 1
        raise Wild("items")

    def __eq__(self, other: object) -> bool:
        raise Wild("equal")

    def __bool__(self) -> bool:
        raise Wild("truth")

    __hash__ = None  # type: ignore[assignment]


class Number:
    """Something that says that it is a number, or an array, and raises."""

    def __float__(self) -> float:
        raise Wild("float")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise Wild("array")


def _itself() -> list[Any]:
    a: list[Any] = [1]
    a.append(a)
    return a


def _deep(depth: int) -> list[Any]:
    a: list[Any] = []
    for _ in range(depth):
        a = [a]
    return a


NUMBERS: list[Any] = [
    0, 1, -1, 2, 3, -2, -3, 5, 7, 100, 2**31, -(2**31), 2**63 - 1, 2**63, -(2**63), 2**64, 2**70,
    -(2**70), 10**30, 0.0, 0.5, -0.0, -1.5, 2.0, 1e-300, 1e300, float("nan"), float("inf"),
    float("-inf"), True, False, 1j, 2 - 3j,
]  # fmt: skip
TEXTS = ["", "sum", "mean", "none", "i j", "ij,jk->ik", "float32", "cpu", "reflect", "\0", "ä" * 9]
SHAPES = [(), (0,), (1,), (3,), (5,), (2, 3), (3, 3), (0, 3), (3, 0), (1, 1), (2, 1, 3), (2, 3, 4),
          (1, 2, 5, 5), (2, 2, 3, 3), (1, 1, 2, 3, 3)]  # fmt: skip


class Arguments:
    """Draws arguments."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def tensor(self, shape: Any = None, floating: bool | None = None) -> Any:
        import groundup as gu

        r = self.rng
        shape = r.choice(SHAPES) if shape is None else shape
        dtypes = [gu.float32, gu.float64]
        if not floating:
            dtypes += [gu.int64, gu.int32, gu.uint8, gu.int8, gu.bool, gu.float16, gu.bfloat16]
            dtypes += [gu.complex64] * hasattr(gu, "complex") + [gu.float32] * 6
        count = 1
        for s in shape:
            count *= s
        special = r.random() < 0.15
        pool = [float("nan"), float("inf"), -0.0, 1.0, 1e30] if special else [0, 1, 2, -1, 0.5, 3]
        dtype = r.choice(dtypes)
        flat = gu.tensor([r.choice(pool) for _ in range(count)] or [0.0], dtype=gu.float64)[:count]
        t = flat.reshape(shape).to(dtype)
        kind = r.random()
        if kind < 0.1 and t.ndim >= 2:
            t = t.transpose(0, 1)
        elif kind < 0.2 and t.ndim:
            t = t[:1].expand(r.choice([1, 3]), *t.shape[1:])
        elif kind < 0.3 and t.ndim:
            t = t[::2]
        elif kind < 0.4:
            t = t.clone().realize()
        if r.random() < 0.25 and dtype in (gu.float32, gu.float64):
            t = t.detach().requires_grad_()
        return t

    def dtype(self) -> Any:
        import groundup as gu

        names = ["float32", "float64", "int64", "int32", "uint8", "bool", "bfloat16", "complex64"]
        known = [getattr(gu, n) for n in names]
        return self.rng.choice([*known, *known, float, int, "float32", None, 3])

    def likely(self, name: str) -> Any:
        """Something of the kind that a parameter of this name is for, mostly."""
        r = self.rng
        if name in ("dim", "axis", "dim0", "dim1", "start_dim", "end_dim", "dims", "diagonal"):
            return r.choice([0, 1, -1, -2, 2, 0, -1, (0,), (0, 1), None, 7, 0.5, "0", 2**70])
        if name in ("size", "shape", "sizes", "shapes", "stride", "padding", "kernel_size", "pad",
                    "output_size", "repeats", "normalized_shape", "dilation"):  # fmt: skip
            return r.choice([1, 2, 3, (2,), (2, 3), (1, 1), [2, 2], (), (0,), (-1,), (2, -1), 0, -1,
                             2**40, (2**33, 2**33), (2**62, 4), None, (1.5,), "2"])  # fmt: skip
        if name in ("dtype", "type", "out_dtype"):
            return self.dtype()
        if name in ("reduction", "mode", "padding_mode", "norm", "ord", "equation", "reduce"):
            return r.choice([*TEXTS, 2, -1, "fro", "nuc", "bilinear", "reflect", "sum", "amax"])
        if name in ("n", "k", "num_classes", "steps", "groups", "chunks", "sections", "bins", "num",
                    "num_features", "in_features", "out_features", "in_channels", "out_channels",
                    "embedding_dim", "num_embeddings", "num_heads", "hidden_size"):  # fmt: skip
            return r.choice([0, 1, 2, 3, 4, 8, -1, 2**40, 2**70, 0.5, None, "3", True])
        if name in ("index", "indices", "target", "labels", "offsets"):
            return r.choice([self.indices, self.indices, self.anything])()
        if name in ("p", "eps", "alpha", "beta", "value", "fill_value", "other", "min", "max", "lr",
                    "momentum", "low", "high", "start", "end", "step", "weight_decay"):  # fmt: skip
            return r.choice(NUMBERS) if r.random() < 0.6 else self.tensor()
        if name in ("tensors", "operands", "params"):
            return [self.tensor() for _ in range(r.choice([0, 1, 2, 3]))]
        if name in ("self", "input", "x", "a", "b", "A", "B", "tensor", "mat2", "vec", "weight",
                    "bias", "query", "key", "value", "source", "condition", "mask"):  # fmt: skip
            return self.tensor()
        return self.tensor() if r.random() < 0.5 else self.anything()

    def indices(self) -> Any:
        import groundup as gu

        r = self.rng
        count = r.choice([0, 1, 2, 3])
        t = gu.tensor([r.choice([0, 1, 2, -1, 9, 2**40]) for _ in range(count)] or [0])[:count]
        tensors = [t, t.int(), t.reshape(1, -1), t > 0]
        return r.choice([*tensors, [0, 1], slice(None, None, -1), ..., None])

    def anything(self, depth: int = 0) -> Any:
        """Anything at all."""
        import numpy as np

        import groundup as gu

        r = self.rng
        kind = r.randrange(18)
        if kind < 4:
            return r.choice(NUMBERS)
        if kind < 6:
            return self.tensor()
        if kind == 6:
            return r.choice(TEXTS)
        if kind == 7:
            return None
        if kind == 8 and depth < 3:
            return [self.anything(depth + 1) for _ in range(r.randrange(4))]
        if kind == 9 and depth < 3:
            return tuple(self.anything(depth + 1) for _ in range(r.randrange(4)))
        if kind == 10:
            return r.choice([_itself, lambda: _deep(50), lambda: _deep(3000), dict, set])()
        if kind == 11:
            slices = [slice(None), slice(2, None, -1), slice("a")]
            return r.choice([*slices, ..., range(3), b"ab", object()])
        if kind == 12:
            return Index(r.choice([None, 1, 2**70, "x", -1, 0]))
        if kind == 13:
            return Length(r.choice([None, 2, 10**6, -1]), [1, 2])
        if kind == 14:
            return r.choice([Items, Number])()
        if kind == 15:
            functions = [lambda *a: 1, lambda x: x * 2, len, int]
            return r.choice([*functions, gu.float32, gu.Tensor, gu.nn.Linear])
        if kind == 16:
            return (i for i in range(3))
        arrays: list[Any] = [
            np.array(1.5), np.arange(6).reshape(2, 3)[::-1], np.array(["a"]), np.array([None, 1]),
            np.zeros(2, [("a", "f4")]), np.zeros(2, ">f4"), np.zeros(1, "M8[s]"), np.float32(2),
            np.int64(3), np.zeros((0, 3)), np.array([1 + 2j]), np.longdouble(1),
        ]  # fmt: skip
        return r.choice(arrays)

    def call(self, name: str, function: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
        """Arguments for a function."""
        r = self.rng
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        wild = r.choice([0.0, 0.1, 0.3, 0.7])

        def one(parameter: str) -> Any:
            return self.anything() if r.random() < wild else self.likely(parameter)

        for i, p in enumerate(parameters):
            if name.startswith("Tensor.") and i == 0:
                args.append(self.tensor())
                continue
            if p.kind is p.VAR_POSITIONAL:
                args += [one(p.name) for _ in range(r.randrange(4))]
            elif p.kind is p.VAR_KEYWORD:
                continue
            elif p.default is not p.empty and r.random() < 0.6:
                if p.kind is not p.KEYWORD_ONLY and i + 1 < len(parameters):
                    kwargs.setdefault("", None)  # from here on by name
            elif p.kind is p.KEYWORD_ONLY or "" in kwargs:
                kwargs[p.name] = one(p.name)
            else:
                args.append(one(p.name))
        kwargs.pop("", None)
        if r.random() < 0.05:
            kept = r.randrange(1 if name.startswith("Tensor.") else 0, len(args) + 1)
            args = [*args[:kept], self.anything()]
        return args, kwargs


# ---- calls ---------------------------------------------------------------------------------------


class TooLong(BaseException):
    """A call has not come back in time."""


def use(result: Any, rng: random.Random, depth: int = 0) -> None:
    """Compute what a call gave."""
    import groundup as gu

    if isinstance(result, gu.Tensor):
        if 0 <= result.numel() <= 10_000:
            result.tolist()
            if result.requires_grad and rng.random() < 0.5:
                (result.abs() if result.dtype in COMPLEX else result).sum().backward()
        else:
            result.realize()
    elif isinstance(result, list | tuple) and depth < 3:
        for part in result[:10]:
            use(part, rng, depth + 1)
    elif isinstance(result, gu.nn.Module) and depth == 0:
        use(result(Arguments(rng).tensor()), rng, depth + 1)


COMPLEX: tuple[Any, ...] = ()


def described(value: Any) -> str:
    """An argument in a few words."""
    import groundup as gu

    if isinstance(value, gu.Tensor):
        return f"{value.dtype.name}{list(value.shape)}"
    if isinstance(value, list | tuple) and not any(v is value for v in value):
        try:
            inside = ", ".join(map(described, value[:4]))
        except RecursionError:
            inside = "…"
        return f"[{inside}]" if isinstance(value, list) else f"({inside},)"
    if isinstance(value, int | float | complex | str | None):
        return repr(value)[:60]
    return type(value).__name__


def one_call(
    n: int, seed: int, known: list[tuple[str, Callable[..., Any]]], tell: Callable[[str], Any]
) -> dict[str, Any]:
    """Call number n: what came of it."""
    rng = random.Random(f"{seed} {n}")
    # A function that is added changes few calls.
    name, function = max(known, key=lambda k: zlib.crc32(f"{seed} {n} {k[0]}".encode()))
    tell(name)
    try:
        args, kwargs = Arguments(rng).call(name, function)
    except Exception as error:  # a tensor could not be made as wanted
        return {"n": n, "name": name, "arguments": repr(error)}
    what = ", ".join([*map(described, args), *(f"{k}={described(v)}" for k, v in kwargs.items())])
    tell(f"{name}({what})")
    found: dict[str, Any] = {"n": n, "name": name, "call": f"{name}({what})"}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            use(function(*args, **kwargs), rng)
        except (Wild, TooLong, Exception) as error:
            found |= judged(error)
    return found


def judged(error: BaseException) -> dict[str, Any]:
    """What kind of error it is: a user can read it, or it comes from inside."""
    if isinstance(error, TooLong):
        where = "".join(traceback.format_tb(error.__traceback__)[-6:])
        return {"error": "TooLong", "kind": "hang", "text": where}
    frames = traceback.extract_tb(error.__traceback__)
    inside = [f for f in frames if f"{os.sep}groundup{os.sep}" in f.filename]
    last = frames[-1]
    text = str(error).splitlines()[0][:200] if str(error) else ""
    kind = "right"
    called = text.partition("()")[2].startswith((" missing", " takes", " got"))  # Python's words
    meant = (last.line or "").startswith("raise ") and last in inside
    if isinstance(error, Wild) or called or (isinstance(error, ArithmeticError) and meant):
        pass
    elif not isinstance(error, OURS) or isinstance(error, NOT_OURS):
        kind = "inside"
    elif last in inside and not meant:
        kind = "unworded"
    place = "outside"
    if inside:
        place = f"{Path(inside[-1].filename).relative_to(ROOT)}:{inside[-1].lineno}"
    return {"error": type(error).__name__, "kind": kind, "text": text, "place": place}


def calls(seed: int, first: int, count: int, only: bool) -> None:
    """Run calls in this process, writing a line before and after each."""
    global COMPLEX
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()
    os.chdir(tempfile.mkdtemp())
    import groundup as gu

    gu.set_num_threads(1)
    COMPLEX = (gu.complex64, gu.complex128)

    def late(*_: Any) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, late)
    known = callables()
    out = os.fdopen(os.dup(1), "w", buffering=1)
    for n in range(first, first + count):
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            found = one_call(n, seed, known, lambda what, n=n: out.write(f"{n} {what}\n"))
        except TooLong:
            found = {"n": n, "kind": "hang", "error": "TooLong", "name": "?", "text": "not called"}
        signal.setitimer(signal.ITIMER_REAL, 0)
        gu.set_grad_enabled(True)
        out.write(json.dumps(found) + "\n")
        if only:
            print(json.dumps(found, indent=1), file=sys.stderr)


def run(seed: int, count: int, first: int = 0) -> list[dict[str, Any]]:
    """What came of calls first … first + count − 1 of a seed, run in processes of their own."""
    results: list[dict[str, Any]] = []
    end = first + count
    while first < end:
        command = [sys.executable, __file__, "--seed", str(seed), "--first", str(first)]
        with subprocess.Popen(
            [*command, "--calls", str(end - first), "--here"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace", cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ) as process:  # fmt: skip
            late = False
            watch = _Watch(process)
            last = f"{first} (nothing yet)"
            assert process.stdout is not None
            for line in process.stdout:
                watch.seen()
                if line.startswith("{"):
                    results.append(json.loads(line))
                else:
                    last = line.strip()
            late = watch.stop()
            code = process.wait()
            errors = process.stderr.read() if process.stderr is not None else ""
        done = results[-1]["n"] + 1 if results else first
        if code == 0 or done >= end:
            break
        kind = "hang" if late else "crash"
        results.append(
            {"n": done, "kind": kind, "error": f"exit {code}", "name": last.split("(")[0],
             "call": last, "text": errors[-1500:], "place": ""}
        )  # fmt: skip
        first = done + 1
    return results


class _Watch:
    """Kills a process that has said nothing for long."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        import threading

        self._process, self._late = process, False
        self._event = threading.Event()
        self._done = False
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        while not self._done:
            if not self._event.wait(20 + 3 * SECONDS) and not self._done:
                self._late = True
                self._process.kill()
                return
            self._event.clear()

    def seen(self) -> None:
        self._event.set()

    def stop(self) -> bool:
        self._done = True
        self._event.set()
        return self._late


def report(results: list[dict[str, Any]], everything: bool) -> int:
    """Print what was found, the worst first; the number of findings."""
    kinds = Counter(r.get("kind", "a result") for r in results)
    print(f"{len(results)} calls: " + ", ".join(f"{n} {k}" for k, n in sorted(kinds.items())))
    shown = ("crash", "hang", "inside") + (("unworded",) if everything else ())
    for kind in shown:
        groups: dict[Any, list[dict[str, Any]]] = {}
        for r in results:
            if r.get("kind") == kind:
                groups.setdefault((r["error"], r.get("place")), []).append(r)
        for (error, place), rows in sorted(groups.items(), key=lambda g: -len(g[1])):
            print(f"\n{kind}: {error} at {place}, {len(rows)} times: {rows[0]['text']}")
            for r in itertools.islice(rows, 3):
                print(f"    call {r['n']}: {r.get('call', r['name'])}"[:300])
    return sum(kinds[k] for k in ("crash", "hang", "inside"))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first call")
    parser.add_argument("--only", type=int, help="repeat this call alone, in this process")
    parser.add_argument("--unworded", action="store_true", help="show Python's own errors too")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here or given.only is not None:
        only = given.only is not None
        calls(given.seed, given.only if only else given.first, 1 if only else given.calls, only)
        return 0
    return 1 if report(run(given.seed, given.calls, given.first), given.unworded) else 0


if __name__ == "__main__":
    sys.exit(main())
