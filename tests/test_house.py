"""The house as a whole: light to enter, floors 1 to 8 built of nothing but Python and llvmlite."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import groundup as gu

PACKAGE = Path(gu.__file__).parent
GAME = ("runtime", "ir", "emit", "schedule", "autodiff", "tensor", "array_api", "nn",
        "distributions", "optim")  # fmt: skip
HEAVY = ("llvmlite.binding", "numpy", "rich", "PIL", "matplotlib")
# The only modules of the game that may know another library, and it only inside functions.
ROOMS = {
    "tensor/interop.py": {"numpy"},
    "tensor/einops.py": {"einops"},
    "tensor/linalg/lapack.py": {"numpy"},
    "tensor/fft/host.py": {"numpy"},
}


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=PACKAGE.parent
    )
    return done.stdout


def test_importing_groundup_is_light() -> None:
    code = f"import sys, groundup; print([m for m in {HEAVY} if m in sys.modules])"
    assert python(code) == "[]\n"


def test_using_names_and_rooms_loads_no_heavy_library() -> None:
    code = (
        "import sys, groundup as gu; gu.Tensor, gu.nn.Linear, gu.optim.SGD, gu.data.DataLoader; "
        f"gu.train.Learner; print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert python(code) == "[]\n"


def test_importing_groundup_is_fast() -> None:
    """Under 120 ms, of a fresh interpreter: the best of five, for others use this machine too."""
    code = "import time; t = time.perf_counter(); import groundup; print(time.perf_counter() - t)"
    assert min(float(python(code)) for _ in range(5)) < 0.120


def test_tensor_stays_the_function_after_its_room_was_imported() -> None:
    code = (
        "import groundup as gu, groundup.nn; from groundup.tensor import Tensor; "
        "print(gu.tensor([1, 2]).tolist(), gu.Tensor is Tensor)"
    )
    assert python(code) == "[1, 2] True\n"


def test_public_names_are_declared_for_type_checkers() -> None:
    """What `gu.…` finds at run time is what the TYPE_CHECKING block of `__init__.py` declares."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    declared: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("groundup.tensor"):
            declared |= {alias.name for alias in node.names}
    from groundup import tensor as function
    from groundup.tensor import __all__ as names

    assert callable(function)
    assert declared - {"autograd", "fft", "linalg", "masked", "special"} == set(names)


def test_functions_of_layers_are_found_at_the_top_too() -> None:
    import groundup.nn.functional as F
    from groundup import _LAYERS

    assert all(getattr(gu, name) is getattr(F, name) for name in _LAYERS)
    text = (PACKAGE / "__init__.py").read_text()
    for name in _LAYERS:
        assert f"from groundup.nn.functional import {name} as {name}" in text


ROOMS_OF_THE_HOUSE = sorted(p.parent.name for p in PACKAGE.glob("*/__init__.py"))


@pytest.mark.parametrize("room", ["", *ROOMS_OF_THE_HOUSE])
def test_every_exported_name_exists(room: str) -> None:
    module = import_module(f"groundup.{room}" if room else "groundup")
    missing = [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)]
    assert not missing
    if room == "tensor":
        assert not [name for name in module.__all__ if not hasattr(gu, name)]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'groundup' has no attribute 'tensr'"):
        gu.tensr  # noqa: B018
    assert "tensor" in dir(gu) and "nn" in dir(gu) and "sys" not in dir(gu)


def files() -> Iterator[Path]:
    for room in GAME:
        yield from (PACKAGE / room).rglob("*.py")


@pytest.mark.parametrize("file", list(files()), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_the_game(file: Path) -> None:
    """Stricter than the linter's contract: nothing at all but the standard library and llvmlite."""
    allowed = {*sys.stdlib_module_names, "llvmlite", "groundup"}
    name = file.relative_to(PACKAGE).as_posix()
    for node, depth in _imports(ast.parse(file.read_text())):
        for module in _roots(node):
            known_here = depth > 0 and module in ROOMS.get(name, set())
            assert module in allowed or known_here, f"{name}:{node.lineno} imports {module}"


def _imports(tree: ast.AST, depth: int = 0) -> Iterator[tuple[ast.Import | ast.ImportFrom, int]]:
    """Yield each import with the number of functions around it; those for type checkers are not."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, depth
        elif not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)):
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports(node, depth + inside)


def _roots(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.ImportFrom):
        return {"groundup"} if node.level else {str(node.module).partition(".")[0]}
    return {alias.name.partition(".")[0] for alias in node.names}


def blocks() -> list[str]:
    """The Python examples of the README, each as it stands there."""
    return re.findall(r"```python\n(.*?)```", (PACKAGE.parent / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(3))
def test_the_examples_of_the_readme_run(number: int) -> None:
    examples = blocks()
    assert len(examples) == 3
    assert python(examples[number])


def test_the_command_is_a_module_too() -> None:
    own = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "groundup", "--version"],
        check=True, capture_output=True, text=True, env=own,
    )  # fmt: skip
    assert done.stdout == f"groundup {gu.__version__}\n"
