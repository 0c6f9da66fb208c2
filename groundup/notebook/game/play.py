"""The game: start from creation, random numbers, indexing and Python; what you have built, you use.

    game.start()                        # at the head of a notebook
    game.unlock("matmul", my_matmul)    # checked against the library's, then `@` is yours
    game.progress()                     # what is built, and what it opens

Must not know how a name is found, how a piece is compared, or how the tree is drawn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from groundup.tensor.errors import at_line

from . import rules
from .compare import Disagreement, check, gradients
from .contracts import battery
from .names import is_library
from .rules import NotBuiltYet, Rules, names_by_key
from .table import PIECES, piece_of
from .tree import Tree
from .trials import library, trials


class GameError(RuntimeError):
    """What was asked of the game cannot be: an unknown piece, no game on, nothing to compare."""


class Unlocked:
    """What an unlock came to; a notebook shows it."""

    def __init__(
        self, key: str, trials: int, seconds: float, gradient: bool, names: list[str], before: str
    ) -> None:
        self.key, self.trials, self.seconds = key, trials, seconds
        self.gradient, self.names, self.before = gradient, names, before

    def __repr__(self) -> str:
        both = " and its gradient" if self.gradient else ""
        times = f"{self.trials} trial{'s' if self.trials != 1 else ''}"
        more = f" and {len(self.names) - 8} more" if len(self.names) > 8 else ""
        shown = ", ".join(self.names[:8]) + more
        return (
            f"{self.key}{both}: yours agrees in {times} ({self.seconds:.1f} s). "
            f"Open now: {shown}.{self.before}"
        )


class _Block:
    """A game for a `with` block; what was before comes back, after an error too."""

    def __init__(self, game: Game, allowed: Iterable[str] | str) -> None:
        self._game, self._allowed = game, allowed

    def __enter__(self) -> Game:
        self._game._push(self._allowed)
        return self._game

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._game._pop()


class Game:
    """The rules of the lesson, made executable; `from groundup import game` is the one there is.

    While a game is on, tensors may be made, drawn at random, indexed, viewed in other shapes and
    combined by Python's operators (`@` is matmul, and is no such operator). All else raises
    NotBuiltYet, until `unlock` has compared yours with the library's. What the library calls by
    itself inside something that is allowed is allowed.
    """

    NotBuiltYet = NotBuiltYet
    Disagreement = Disagreement

    def __init__(self) -> None:
        self._games: list[tuple[Rules, int]] = []

    # ---- on and off --------------------------------------------------------------------------

    def start(self, allowed: Iterable[str] | str = ()) -> None:
        """Begin a game, from nothing but what is `allowed` at the start; ends one that is on.

        allowed: pieces ("matmul"), or notebooks ("01": all that it builds), built before.
        Raises GameError for an unknown one.

        >>> from groundup import game
        >>> game.start()
        >>> gu.ones(2).exp()  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        groundup.notebook.game.rules.NotBuiltYet: exp is not built yet: notebook 04 a training ...
        >>> game.stop()
        """
        made = self._made(allowed)
        self.stop()
        self._enter(made)

    def stop(self) -> None:
        """End all games: everything is as it was before."""
        self._games.clear()
        rules.enter(None, 0)

    def __call__(self, allowed: Iterable[str] | str = ()) -> _Block:
        """A game for a `with` block; the one around it, if any, goes on afterwards.

        >>> from groundup import game
        >>> with game(allowed=["sum"]):
        ...     print(gu.ones(3).sum().item())
        3.0
        """
        return _Block(self, allowed)

    def _made(self, allowed: Iterable[str] | str) -> Rules:
        try:
            return Rules(allowed)
        except KeyError as error:
            raise GameError(f"game: {error.args[0]}" + at_line()) from None

    def _enter(self, made: Rules) -> None:
        self._games.append((made, rules.next_epoch()))
        rules.enter(*self._games[-1])

    def _push(self, allowed: Iterable[str] | str) -> None:
        self._enter(self._made(allowed))

    def _pop(self) -> None:
        if self._games:
            self._games.pop()
        if self._games:
            rules.enter(*self._games[-1])
        else:
            rules.enter(None, 0)

    @property
    def is_on(self) -> bool:
        """Is a game on?"""
        return bool(self._games)

    @property
    def unlocked(self) -> tuple[str, ...]:
        """The pieces that are open in this game, in the order in which they were."""
        return tuple(self._games[-1][0].opened) if self._games else ()

    # ---- building ----------------------------------------------------------------------------

    def unlock(
        self, name: str, yours: Callable[..., Any],
        gradient: Callable[..., Any] | None = None,
    ) -> Unlocked:  # fmt: skip
        """Compare yours with the library's, and open the real thing if they agree.

        name: what it is: "matmul", "nn.Linear", "F.conv2d", "autograd". yours: a function (or a
        class, for what is one) that takes what the library's takes. It is tried on shapes,
        broadcasting, types, NaN, infinities, empty tensors and views, as they apply.
        gradient: for a function, a claim about its derivative: gradient(g, *arguments) gives
        Σ g · ∂yours/∂x for each tensor among the arguments.

        Raises Disagreement, with the smallest input that shows the first difference; NotBuiltYet
        where yours uses what is not open yet; GameError for a name that there is not.
        """
        if not self._games:
            raise GameError("no game is on: game.start() begins one" + at_line())
        try:
            key = rules.key_of(name)
        except KeyError as error:
            raise GameError(f"game.unlock: {error.args[0]}" + at_line()) from None
        if not callable(yours):
            raise GameError(
                f"game.unlock({name!r}, …) takes your function or class, not a "
                f"{type(yours).__name__}" + at_line()
            )
        if is_library(yours):
            raise GameError(
                f"game.unlock({name!r}, …) was given the library's own: it takes yours" + at_line()
            )
        closed = [k for k in rules.needs(key) if k not in self.unlocked]
        start = time.perf_counter()
        compare, inputs = battery(key, yours)
        if not inputs:
            raise GameError(
                f"game.unlock: there is nothing to try {key} on: the game cannot check yours. "
                f"game.start(allowed=[…, {key!r}]) opens it unchecked" + at_line()
            )
        check(key, compare, inputs)
        if gradient is not None:
            self._check_gradient(key, yours, gradient)
        here = self._games[-1][0]
        here.open(key)
        before = f" (The course builds it of {', '.join(closed)}.)" if closed else ""
        others = ("Indexed.", "array_api.")  # the same functions in other rooms
        names = [
            n for n in sorted(names_by_key()[key], key=lambda n: n.rpartition(".")[2] != key)
            if here.missing(n) == () and not n.startswith(others)
        ]  # fmt: skip
        seconds = time.perf_counter() - start
        return Unlocked(key, len(inputs), seconds, gradient is not None, names, before)

    def _check_gradient(
        self, key: str, yours: Callable[..., Any], gradient: Callable[..., Any]
    ) -> None:
        reference = library(key)
        found = trials(key)
        if not found or isinstance(reference, type):
            raise GameError(f"game.unlock: {key} is no function with a gradient" + at_line())
        check(f"the gradient of {key}", gradients(gradient, yours, reference), found)

    def progress(self) -> Tree:
        """The tree of what is built and what it opens: text, and a picture in a notebook."""
        opened = self.unlocked
        beyond = tuple(key for key in opened if key not in PIECES)
        return Tree(opened, tuple(piece_of(key) for key in beyond), self.is_on)

    def __repr__(self) -> str:
        if not self._games:
            return "<no game is on: game.start()>"
        return f"<a game with {len(self.unlocked)} of {len(PIECES)} pieces built>"


game = Game()
