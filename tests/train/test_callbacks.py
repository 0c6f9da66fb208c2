"""Callbacks: events in their order, cancelling, and orders that are declared, contradictory or
missing.
"""

import pytest

from groundup.train import Callback, CallbackOrderError, CancelBatch, CancelEpoch, CancelFit
from groundup.train.callbacks import EVENTS, handlers, in_order

from .support import learner


class Log(Callback):
    """Writes down every event of the loop."""

    def __init__(self) -> None:
        self.events: list[str] = []


for _event in EVENTS:
    setattr(Log, _event, lambda self, learn, event=_event: self.events.append(event))


def test_events_come_in_the_order_of_the_loop() -> None:
    log = Log()
    learner(n=4, batch_size=4).fit(1, [log])
    batch = ["before_batch", "after_batch", "cleanup_batch"]
    assert log.events == [
        "before_fit", "before_epoch",
        "before_train", *batch, "after_train", "cleanup_train",
        "before_valid", *batch * 3, "after_valid", "cleanup_valid",
        "after_epoch", "cleanup_epoch", "after_fit", "cleanup_fit",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "phase", "steps", "epochs"),
    [(CancelBatch, "batch", 6, 2), (CancelEpoch, "epoch", 6, 2), (CancelFit, "fit", 1, 1)],
)
def test_cancelling_ends_its_phase(
    error: type[Exception], phase: str, steps: int, epochs: int
) -> None:
    class Stop(Callback):
        def before_batch(self, learn: object) -> None:
            raise error

    class Count(Log):
        before = (Stop,)

    log = Count()
    learner(n=12, batch_size=4).fit(2, [Stop(), log])
    assert log.events.count("before_epoch") == epochs
    assert log.events.count(f"cancelled_{phase}") == log.events.count(f"before_{phase}")
    assert log.events.count(f"after_{phase}") == 0
    for name in ("fit", "epoch", "batch"):
        assert log.events.count(f"cleanup_{name}") == log.events.count(f"before_{name}")
    assert log.events.count("after_batch") == 0


def test_cleanup_runs_after_an_error_in_any_event() -> None:
    class Fail(Callback):
        def before_fit(self, learn: object) -> None:
            raise RuntimeError("no")

    log = Log()
    with pytest.raises(RuntimeError, match="no"):
        learner().fit(1, [Fail(), log])
    assert log.events == ["cleanup_fit"]


class First(Callback):
    def after_batch(self, learn: object) -> None: ...


class Second(Callback):
    after = (First,)

    def after_batch(self, learn: object) -> None: ...


class Zeroth(Callback):
    before = (First,)


def test_declared_orders_are_kept_whatever_the_order_given() -> None:
    a, b, c = Zeroth(), First(), Second()
    for given in ([a, b, c], [c, b, a], [b, c, a], [c, a, b]):
        assert in_order(given) == [a, b, c]


def test_undeclared_callbacks_stay_as_given() -> None:
    free = [Log(), Log(), Log()]
    assert in_order(free) == free


def test_an_order_also_holds_for_subclasses() -> None:
    class Special(First): ...

    one, two = Special(), Second()
    assert in_order([two, one]) == [one, two]


def test_contradictory_orders_are_refused() -> None:
    class Third(Callback):
        after = (Second,)
        before = (First,)

    with pytest.raises(CallbackOrderError, match="contradict each other"):
        in_order([First(), Second(), Third()])


def test_a_tie_that_matters_is_refused() -> None:
    class Writer(Callback):
        writes = frozenset({"lr"})

        def after_batch(self, learn: object) -> None: ...

    class Reader(Callback):
        reads = frozenset({"lr"})

        def after_batch(self, learn: object) -> None: ...

    class Elsewhere(Callback):
        reads = frozenset({"lr"})

        def before_batch(self, learn: object) -> None: ...

    class Between(Callback):
        after = (Writer,)
        before = (Reader,)

    message = "Writer and Reader both act at after_batch and share lr"
    with pytest.raises(CallbackOrderError, match=message):
        learner().fit(1, [Writer(), Reader()])
    handlers([Writer(), Elsewhere()])  # another event: no tie
    handlers([Reader(), Reader()])  # nobody writes: no tie

    class Later(Reader):
        after = (Writer,)

    assert [h.__self__.__class__ for h in handlers([Later(), Writer()])["after_batch"]] == [  # type: ignore[attr-defined]
        Writer,
        Later,
    ]


def test_an_order_through_a_third_counts() -> None:
    class Writer(Callback):
        writes = frozenset({"lr"})

        def after_batch(self, learn: object) -> None: ...

    class Reader(Callback):
        reads = frozenset({"lr"})

        def after_batch(self, learn: object) -> None: ...

    class Between(Callback):
        after = (Writer,)
        before = (Reader,)

        def after_batch(self, learn: object) -> None: ...

    classes = [type(c) for c in in_order([Reader(), Between(), Writer()])]
    assert classes == [Writer, Between, Reader]
    handlers([Reader(), Between(), Writer()])


def test_a_misspelt_event_is_refused() -> None:
    class Typo(Callback):
        def after_bach(self, learn: object) -> None: ...

    with pytest.raises(AttributeError, match="Typo.after_bach would never be called"):
        learner().fit(1, [Typo()])
