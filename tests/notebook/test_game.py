"""The game: what is refused, what is not, and what an unlock finds in a player's version."""

from __future__ import annotations

import functools
import inspect
import operator
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import groundup as gu
from groundup import Tensor, game, nn, testing
from groundup.notebook.game import Disagreement, GameError, NotBuiltYet, names, rules, table, trials
from groundup.notebook.game.inputs import built
from groundup.tensor import door

from . import player

F = nn.functional


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """No game goes on after a test."""
    yield
    game.stop()
    assert door.watcher is None


# ---- what is refused --------------------------------------------------------------------------


REFUSED: list[Callable[[Tensor], Any]] = [
    lambda x: x @ x, lambda x: x.matmul(x), lambda x: gu.matmul(x, x), lambda x: x.mm(x),
    lambda x: gu.einsum("ij,jk->ik", x, x), lambda x: x.sum(), lambda x: gu.sum(x, 0),
    lambda x: x.exp(), lambda x: gu.exp(x), lambda x: x.exp_(), lambda x: x.relu(),
    lambda x: F.relu(x), lambda x: nn.ReLU(), lambda x: gu.where(x > 0, x, x), lambda x: x.max(),
    lambda x: x.clamp(min=0), lambda x: x.sort(), lambda x: gu.linalg.inv(x), lambda x: x.tanh(),
    lambda x: gu.axes("i j"), lambda x: gu.axis("i", 3), lambda x: nn.Linear(2, 2),
    lambda x: nn.Parameter(x), lambda x: type("Mine", (nn.Module,), {})(),
    lambda x: gu.optim.SGD([x], lr=0.1), lambda x: gu.optim.cosine(1, 0),
    lambda x: gu.grad(lambda y: y[0, 0])(x),
    lambda x: x.backward(), lambda x: gu.data.TensorDataset(x), lambda x: gu.vision.mlp(),
    lambda x: gu.datasets.load("mnist").loaders(), lambda x: nn.init.kaiming_normal_(x),
    lambda x: gu.jit(lambda y: y.exp())(x), lambda x: gu.cat([x, x]), lambda x: gu.autocast(),
    lambda x: operator.imatmul(x, x), lambda x: functools.reduce(gu.matmul, [x, x]),
    lambda x: x.__array_namespace__().exp(x), lambda x: getattr(x, "ex" + "p")(),
    lambda x: list(map(gu.sqrt, [x])), lambda x: gu.train.accuracy(x, x),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_is_not_built_is_refused(number: int) -> None:
    x = gu.ones(2, 2)
    game.start()
    with pytest.raises(NotBuiltYet, match="is not built yet: notebook .* builds") as caught:
        REFUSED[number](x)
    said = str(caught.value)
    assert "\n  meanwhile: " in said and "test_game.py:" in said


def test_the_inside_is_no_way_around() -> None:
    from groundup.tensor import pointwise

    x = gu.ones(2)
    with game(), pytest.raises(NotBuiltYet, match="unary is a part of groundup's inside"):
        pointwise.unary(x, lambda value: value)


def test_the_rules_hold_in_every_thread() -> None:
    x, found = gu.ones(2), []

    def work() -> None:
        try:
            x.exp()
        except NotBuiltYet as error:
            found.append(error)

    with game():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(found) == 1


def test_the_error_names_notebook_way_and_line() -> None:
    x = gu.ones(2, 2)
    game.start()
    with pytest.raises(NotBuiltYet) as caught:
        x.softmax(-1)
    first, meanwhile, unlock, line = str(caught.value).splitlines()
    assert first == (
        "softmax is not built yet: notebook 04 a training loop from nothing builds it"
    )
    assert meanwhile == "  meanwhile: x.exp() / x.exp().sum(-1, keepdim=True)"
    assert unlock.startswith('  game.unlock("softmax", yours) opens it')
    assert line.endswith("x.softmax(-1)")


def test_all_that_the_lesson_allows_is_allowed() -> None:
    game.start()
    gu.manual_seed(0)
    x, y = gu.randn(4, 3), gu.arange(6.0).reshape(2, 3)
    with gu.no_grad():
        z = (x[1:3] * y - y / 2 + 3) ** 2 % 5 // 1
        z += y
        z[0] = 0
        z[z < 1] = x[0, 0]
    assert z.shape == (2, 3) and len(z) == 2 and -z is not None and abs(z) is not None
    assert [row.tolist() for row in z.t().unsqueeze(0).expand(2, 3, 2)[0]]
    assert z.view(3, 2).permute(1, 0).flatten().contiguous().numpy().shape == (6,)
    assert bool((z == z)[0, 0]) and str(z) and float(z[0, 0]) == z[0, 0].item()
    assert z.double().dtype is gu.float64 and pickle.loads(pickle.dumps(z)).shape == z.shape
    assert gu.jit(lambda a: a * 2 + 1)(y).tolist() == (y * 2 + 1).tolist()
    assert x._repr_html_() and gu.Generator().manual_seed(1) is not None
    assert gu.explain(y * 2) is not None and y.storage_info() is not None
    testing.test_near(y * 1.0001, y)  # the tests may use what they need
    assert gu.rand(2).requires_grad_().detach().clone().requires_grad is False
    digits = gu.datasets.load("mnist").train
    assert len(digits) > 0 and digits.batch(range(5))[0].shape == (5, 1, 28, 28)
    assert digits[0][0].shape == (1, 28, 28)


def test_every_public_name_has_a_place_in_the_table() -> None:
    found = list(names.public())
    assert len(found) > 1000
    nowhere = {name for name, _, _ in found if table.keys(name) is None}
    assert nowhere == table.HOUSE
    known = {name for name, _, _ in found}
    # Methods of classes, words for whole groups, and what the interop room has in some versions.
    others = {"datasets.Splits.loaders", "import", "notebook"}
    listed = {name for piece in table.COURSE for name in piece.opens}
    assert listed - known - others == set()
    assert set(table.LAYERS) | set(table.WHOLE) <= known
    for key, several in rules.names_by_key().items():
        assert several, f"{key} opens nothing"


def test_the_rooms_for_users_are_looked_through() -> None:
    found = set(names.rooms().values())
    assert found >= {"nn.", "F.", "init.", "optim.", "data.", "train.", "vision.", "linalg."}
    assert not found & {"ir.", "emit.", "runtime.", "cli."}


def test_names_of_one_function_have_one_place() -> None:
    by_value: dict[int, set[str]] = {}
    for name, value, _ in names.public():
        if inspect.isfunction(value):
            by_value.setdefault(id(value), set()).add(name)
    for several in by_value.values():
        assert len({rules.needed(name) for name in several}) == 1, several


def works(result: Any, given: tuple[Any, ...]) -> bool:
    """Has something been computed or made, other than what was given?"""
    if any(result is x for x in given):
        return False
    if isinstance(result, list | tuple):
        return any(works(part, given) for part in result)
    parts = (Tensor, nn.Module, gu.optim.Optimizer, gu.data.Dataset, gu.data.DataLoader)
    return isinstance(result, parts)


def test_no_function_that_is_locked_can_be_called() -> None:
    """Each public function is called with inputs that most take: none may give a result."""
    stock = [built(args) for args in trials.stock()]
    made = [(), ([gu.ones(2, requires_grad=True)], 0.1)]

    reached, open_doors, unreached = 0, [], []
    with game():
        for name, value, _ in names.public():
            if not rules.needed(name) or name.startswith("Indexed."):
                continue
            function = value.fget if isinstance(value, property) else value
            for args in [*made[:1] * inspect.isclass(function), *stock, *made]:
                try:
                    result = function(*args)
                except NotBuiltYet:
                    reached += 1
                    break
                except Exception:
                    continue
                if works(result, args):
                    open_doors.append(name)
                break
            else:
                unreached.append(name)
    assert open_doors == []
    assert len(unreached) <= 0.1 * reached, unreached


# ---- on its way the library may do as it likes ------------------------------------------------


def test_what_the_library_calls_by_itself_is_not_refused() -> None:
    x, w = gu.ones(2, 3), gu.ones(4, 3)
    with game(allowed=["linear"]):
        assert F.linear(x, w).shape == (2, 4)  # a matmul inside
        with pytest.raises(NotBuiltYet):
            x @ w.t()


def test_what_the_library_calls_back_is_the_players() -> None:
    with game(allowed=["autograd", "sum"]):
        assert gu.grad(lambda x: (x * x).sum())(gu.tensor([3.0])).tolist() == [6.0]
        with pytest.raises(NotBuiltYet, match="exp is not built yet"):
            gu.grad(lambda x: x.exp().sum())(gu.tensor([3.0]))
    with game(allowed="Module"):

        class Mine(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return x.tanh()

        with pytest.raises(NotBuiltYet, match="tanh is not built yet"):
            Mine()(gu.ones(2))


def test_layers_need_their_function_and_module() -> None:
    with game(allowed=["relu"]), pytest.raises(NotBuiltYet, match=r"nn\.ReLU .* builds Module"):
        nn.ReLU()
    with game(allowed=["relu", "Module"]):
        assert nn.ReLU()(gu.tensor([-1.0, 1.0])).tolist() == [0.0, 1.0]


def test_a_notebook_opens_all_that_it_builds() -> None:
    with game(allowed=["01"]):
        a = gu.ones(2, 2)
        i, j, k = gu.axes("i j k")
        assert (a[i, k] * a[k, j]).sum(k).order(i, j).tolist() == (a @ a).tolist()
        with pytest.raises(NotBuiltYet, match="exp is not built"):
            a[i, k].exp()
        with pytest.raises(NotBuiltYet, match="relu is not built"):
            a.relu()


def test_a_captured_function_is_held_by_the_rules_too() -> None:
    @gu.jit
    def step(x: Tensor) -> Tensor:
        return (x * 2).exp()

    x = gu.zeros(3)
    for _ in range(3):
        assert step(x).tolist() == [1.0] * 3
    for _ in range(2):
        with game():
            for _ in range(2):
                with pytest.raises(NotBuiltYet, match="exp is not built yet"):
                    step(x)
    with game(allowed="exp"):
        for _ in range(4):
            assert step(x).tolist() == [1.0] * 3
    assert step(x).tolist() == [1.0] * 3


def test_modules_made_before_are_held_by_the_rules() -> None:
    layer, x = nn.Linear(2, 2), gu.ones(1, 2)
    with game(), pytest.raises(NotBuiltYet, match=r"nn\.Linear is not built yet"):
        layer(x)
    assert layer(x).shape == (1, 2)


# ---- on and off -------------------------------------------------------------------------------


def test_leaving_restores_everything_after_an_error_too() -> None:
    with pytest.raises(ZeroDivisionError), game():
        assert game.is_on
        _ = 1 / 0
    assert not game.is_on and door.watcher is None and door.epoch == 0
    assert gu.ones(2).exp().shape == (2,)
    game.start(allowed="sum")
    with pytest.raises(NotBuiltYet), game():
        gu.ones(2).sum()
    assert gu.ones(2).sum().item() == 2.0 and game.unlocked == ("sum",)
    game.start()  # anew
    with pytest.raises(NotBuiltYet):
        gu.ones(2).sum()
    game.stop()
    assert gu.ones(2).sum().item() == 2.0 and game.unlocked == ()


def test_nothing_is_patched() -> None:
    before = Tensor.exp, gu.exp, Tensor.__matmul__, vars(Tensor).keys()
    with game():
        assert before == (Tensor.exp, gu.exp, Tensor.__matmul__, vars(Tensor).keys())


@pytest.mark.parametrize(
    "name, said",
    [
        ("matmull", "groundup has no 'matmull': did you mean matmul"),
        ("zeros", "zeros is allowed from the start"),
        ("nn.ReLU", "nn.ReLU opens by itself once Module and relu are unlocked"),
    ],
)
def test_a_name_that_cannot_be_unlocked(name: str, said: str) -> None:
    game.start()
    with pytest.raises(GameError, match=said):
        game.unlock(name, player.matmul)
    with pytest.raises(GameError, match=said):
        game.start(allowed=[name])


def test_wrong_use_of_unlock() -> None:
    with pytest.raises(GameError, match="no game is on"):
        game.unlock("relu", player.relu)
    game.start()
    with pytest.raises(GameError, match="takes your function or class, not a int"):
        game.unlock("relu", 3)  # type: ignore[arg-type]
    for own in (gu.relu, Tensor.relu, gu.ones(2).relu, nn.ReLU, F.relu):
        with pytest.raises(GameError, match="the library's own"):
            game.unlock("relu", own)
    with pytest.raises(NotBuiltYet, match="relu is not built yet"):
        game.unlock("relu", lambda x: x.relu())
    assert game.unlock("relu", functools.wraps(gu.relu)(lambda x: player.relu(x))).trials == 12
    with pytest.raises(GameError, match="is no function with a gradient"):
        game.unlock("TensorDataset", player.TensorDataset, gradient=player.relu_gradient)


# ---- what an unlock finds ---------------------------------------------------------------------


def loops(a: Tensor, b: Tensor, dtype: Any = None, check: bool = True, start: int = 0) -> Tensor:
    """Three loops, for matrices alone."""
    if check:
        assert a.shape[1] == b.shape[0]
    c = gu.zeros(a.shape[0], b.shape[1], dtype=dtype or a.dtype)
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            for k in range(start, a.shape[1]):
                c[i, j] += a[i, k] * b[k, j]
    return c


def without_nan(x: Tensor) -> Tensor:
    y = gu.zeros_like(x)
    y[x > 0] = x[x > 0]  # NaN > 0 is false
    return y


def not_empty(x: Tensor) -> Tensor:
    if not x.numel():
        return gu.zeros(1)
    return player.relu(x)


def writes(x: Tensor) -> Tensor:
    x[x < 0] = 0
    return x


WRONG: list[tuple[str, Callable[..., Any], list[str]]] = [
    ("relu", without_nan, ["(NaN)", "[nan]", "yours      [0.0]", "library's  [nan]"]),
    ("relu", not_empty, ["(shape)", "[]", "yours      [0.0]   shape (1,)", "shape (0,)"]),
    ("relu", writes, ["(yours writes into its input)", "work on a clone()"]),
    ("relu", lambda x: player.relu(x).float(), ["(dtype)", "float64", "yours"]),
    ("relu", lambda x: player.relu(x).tolist(), ["(yours gives no tensor)"]),
    ("relu", lambda x: [player.relu(x), x.reshape(-1)[0]][0], ["(yours raises)", "Index"]),
    ("matmul", lambda a, b: loops(a, b, gu.float32), ["(dtype)", "trial 10 of 21"]),
    ("matmul", lambda a, b: loops(a, b, start=1), ["(value)", "[[1.0]]   shape (1, 1)"]),
    ("matmul", loops, ["(yours raises)", "trial 14 of 21"]),
    ("sum", lambda x, dim=None, keepdim=False: player.sum(x, dim), ["(shape)", "keepdim=True"]),
    ("max", lambda x, dim=None, keepdim=False: x.reshape(-1)[0], ["differ", "trial 1"]),
    ("mean", lambda x, dim=None, keepdim=False: x * 0, ["(shape)"]),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_wrong_version_is_shown_by_the_smallest_input(number: int) -> None:
    name, mine, parts = WRONG[number]
    game.start()
    with pytest.raises(Disagreement) as caught:
        game.unlock(name, mine)
    said = str(caught.value)
    assert said.startswith(f"{name}: yours and the library's differ (")
    for part in parts:
        assert part in said, said
    assert len(said) < 700 and name not in game.unlocked


def test_a_version_that_computes_what_cannot_be() -> None:
    def lenient(a: Tensor, b: Tensor) -> Tensor:
        if a.ndim == b.ndim == 2 and a.shape[1] != b.shape[0]:
            return loops(a, b[: a.shape[1]], check=False) if b.shape[0] > a.shape[1] else b * 0
        return player.matmul(a, b)

    with game(allowed="sum"), pytest.raises(Disagreement, match="computes what cannot be"):
        game.unlock("matmul", lenient)


def test_a_claimed_gradient_is_checked() -> None:
    game.start()
    said = repr(game.unlock("relu", player.relu, gradient=player.relu_gradient))
    assert said.startswith("relu and its gradient: yours agrees in 12 trials") and "F.relu" in said
    game.start()
    with pytest.raises(Disagreement, match="the gradient of relu: .* differ .gradient: value"):
        game.unlock("relu", player.relu, gradient=lambda g, x: g)
    with pytest.raises(Disagreement, match="your gradient raises"):
        game.unlock("relu", player.relu, gradient=lambda g: g)
    assert game.unlocked == ()
    game.start(allowed=["sum", "matmul"])

    def by_hand(g: Tensor, x: Tensor, w: Tensor, b: Tensor | None = None) -> list[Tensor]:
        if x.ndim != 2:
            x, g = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
        found = [g @ w, g.t() @ x]
        return found if b is None else [*found, g.sum(0)]

    def reshaped(g: Tensor, x: Tensor, *others: Any) -> list[Tensor]:
        first, *rest = by_hand(g, x, *others)
        return [first.reshape(*x.shape), *rest]

    assert "its gradient" in repr(game.unlock("linear", player.linear, gradient=reshaped))
    with pytest.raises(Disagreement, match="gradient"):
        game.unlock("linear", player.linear, gradient=lambda g, x, w, b=None: [g @ w, g.t() @ x])


class NoMomentum(player.SGD):
    def step(self) -> None:
        self.before.clear()
        super().step()


class Forgets(player.Linear):
    def __init__(self, n: int, m: int) -> None:
        super().__init__(n, m)
        self.w = self.weight
        del self.weight


class Shallow(player.Module):
    def parameters(self) -> list[Tensor]:
        return [v for v in vars(self).values() if isinstance(v, Tensor) and v.requires_grad]


class DropsLast(player.DataLoader):
    def __iter__(self) -> Iterator[Any]:
        return (b for b in super().__iter__() if len(b[0]) == self.size)


def first_only(f: Callable[..., Any]) -> Callable[..., Any]:
    """An autograd that forgets to add up what flows in from several places."""

    def derivative(x: Tensor, *others: Any) -> Tensor:
        at = player.Var(x)
        y = f(at, *map(player.Var.of, others))
        y.backward()
        return at.gradient if at.gradient.shape == x.shape and len(x.shape) > 1 else at.gradient / 2

    return derivative


WRONG_PIECES = [
    ("SGD", NoMomentum, "momentum=0.9"), ("Linear", Forgets, "the library's has weight of shape"),
    ("Module", Shallow, r"model\.parameters"), ("DataLoader", DropsLast, "of 7 items: 3, 3 and 1"),
    ("autograd", first_only, "x ↦"), ("kaiming_normal_", player.xavier_normal_, "deviation"),
    ("RandomSampler", lambda n: range(n), "two orders"),
    ("cosine", lambda a, b: lambda t: a, "(value)"),
    ("TensorDataset", lambda *t: t, "len"),
]  # fmt: skip


@pytest.mark.parametrize("key, mine, said", WRONG_PIECES, ids=[w[0] for w in WRONG_PIECES])
def test_a_wrong_piece_is_told_what_it_lacks(key: str, mine: Any, said: str) -> None:
    with game(allowed=["01", "02", "exp", "stack"]), pytest.raises(Disagreement, match=said):
        game.unlock(key, mine)


def test_the_course_can_be_played() -> None:
    """Each piece unlocks, built of what is open before; then the library trains with all of it."""
    game.start()
    for key, mine in player.ORDER.items():
        assert repr(game.unlock(key, mine)).startswith(f"{key}: yours agrees in ")
    assert game.unlocked == tuple(player.ORDER)
    x, y = gu.randn(64, 5), gu.arange(64) % 2
    x[:, 0] = y * 4 - 2
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))
    loader = gu.data.DataLoader(gu.data.TensorDataset(x, y), 16, shuffle=True)
    steps = gu.optim.SGD(model.parameters(), lr=0.5)
    learn = gu.train.Learner(gu.data.Loaders(loader), model, steps)
    learn.fit(3)
    assert gu.train.accuracy(model(x), y).mean().item() > 0.95
    with pytest.raises(NotBuiltYet, match="tanh is not built yet"):
        x.tanh()


def test_a_distribution_is_compared_by_its_densities() -> None:
    class Exponential:
        def __init__(self, rate: Tensor) -> None:
            self.rate = rate

        def log_prob(self, x: Tensor) -> Tensor:
            return player.log(self.rate) - self.rate * x

    with game():
        assert "agrees" in repr(game.unlock("distributions.Exponential", Exponential))
        Exponential.log_prob = lambda self, x: -self.rate * x  # type: ignore[method-assign]
        with pytest.raises(Disagreement, match="value"):
            game.unlock("distributions.Exponential", Exponential)


# ---- the tree ---------------------------------------------------------------------------------


def test_progress_shows_what_is_built_and_what_it_opens() -> None:
    assert "no game is on" in str(game.progress())
    game.start(allowed=["sum", "tanh"])
    tree = game.progress()
    text = str(tree)
    assert text.startswith(f"1 of {len(table.COURSE)} pieces built")
    assert "├─ ● sum   → matmul, norm" in text and "├─ ○ matmul   → einsum" in text
    assert "└─ · einsum   needs matmul" in text and "beyond the course: tanh" in text
    picture = tree._repr_html_()
    assert picture.startswith("<svg") and picture.count("<rect") == len(table.COURSE) + 3
    assert "sum: built; opens sum" in picture


def test_what_pieces_need_comes_before_them() -> None:
    seen: set[str] = set()
    for piece in table.COURSE:
        assert set(piece.needs) <= seen, piece.key
        seen.add(piece.key)
    order = list(table.NOTEBOOKS)
    places = [order.index(piece.notebook) for piece in table.COURSE]
    assert places == sorted(places)
