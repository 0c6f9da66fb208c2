"""Recurrent layers: LSTM and LSTMCell.

Names, arguments, the order of the gates and the layout of the parameters are PyTorch's. Must not
know training loops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from groundup.tensor import DType, ShapeError, Tensor, cat, empty, float32, stack, zeros
from groundup.tensor.autocast import full
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named

from . import functional as F
from . import init
from .functional.checks import one_type, shapes_at_line
from .module import Module, Parameter

State = tuple[Tensor, Tensor]


def lstm_step(gates: Tensor, c: Tensor) -> State:
    """(h, c′) of the four gates (i, f, g, o), side by side before their nonlinearities, and c:

    c′ = σ(f) · c + σ(i) · tanh(g);  h = σ(o) · tanh(c′)

    Sources: Hochreiter & Schmidhuber 1997; the forget gate f: Gers, Schmidhuber & Cummins 2000.
    """
    i, f, g, o = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


class LSTMCell(Module):
    """One step of an LSTM: gates = x · W_ihᵀ + b_ih + h · W_hhᵀ + b_hh, then `lstm_step`.

    Parameters: weight_ih (4·hidden, input), weight_hh (4·hidden, hidden), bias_ih, bias_hh
    (4·hidden,), the gates in the order i, f, g, o; all start as U(−1/√hidden, 1/√hidden).
    Raises ShapeError, on call, for an input or a state of the wrong size.

    >>> h, c = LSTMCell(3, 5)(gu.zeros(2, 3))
    >>> h.shape, c.shape
    ((2, 5), (2, 5))
    """

    @named
    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, dtype: DType = float32
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        rows = 4 * hidden_size
        self.weight_ih = Parameter(empty(rows, input_size, dtype=dtype))
        self.weight_hh = Parameter(empty(rows, hidden_size, dtype=dtype))
        self.bias_ih = Parameter(empty(rows, dtype=dtype)) if bias else None
        self.bias_hh = Parameter(empty(rows, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weights again."""
        _uniform(self, self.hidden_size)

    def forward(self, x: Tensor, hx: State | None = None) -> State:
        """(n, input) and (h, c), each (n, hidden), to the next (h, c); no n is a batch of one."""
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{self} expects (n, {self.input_size}) or ({self.input_size},)"
                + shapes_at_line(input=x.shape)
            )
        shape = (*x.shape[:-1], self.hidden_size)
        x = full(x)
        h, c = (_zeros(x, shape),) * 2 if hx is None else (full(hx[0]), full(hx[1]))
        _check_state(self, x, h=(h, shape), c=(c, shape))
        from_h = F.linear(h, self.weight_hh, self.bias_hh)
        return lstm_step(F.linear(x, self.weight_ih, self.bias_ih) + from_h, c)

    def extra_repr(self) -> str:
        bias = "" if self.bias_ih is not None else ", bias=False"
        return f"{self.input_size}, {self.hidden_size}{bias}"


class LSTM(Module):
    """Long short-term memory: for each layer, gates_t = x_t · W_ihᵀ + b_ih + h_{t−1} · W_hhᵀ + b_hh

    and (h_t, c_t) = lstm_step(gates_t, c_{t−1}); the h of a layer are the x of the next.

    input_size: of x_t; hidden_size: of h_t and c_t; num_layers: how many, one on another.
    batch_first: x is (n, t, input) and the output (n, t, …), in place of (t, n, …); states are
    (layers, n, …) either way. dropout: between layers, in training. bidirectional: each layer also
    runs backwards, both results side by side. proj_size: h is projected to so many numbers
    (Sak, Senior & Beaufays 2014; 0: not).
    Parameters, for layer k: weight_ih_l{k} (4·hidden, input), weight_hh_l{k} (4·hidden, hidden),
    bias_ih_l{k}, bias_hh_l{k} (4·hidden,), weight_hr_l{k} (proj, hidden), and the same with
    _reverse, the gates in the order i, f, g, o; all start as U(−1/√hidden, 1/√hidden).
    Raises ShapeError, on call, for an input or a state of the wrong size.

    >>> output, (h, c) = LSTM(3, 5, num_layers=2)(gu.zeros(7, 2, 3))
    >>> output.shape, h.shape, c.shape
    ((7, 2, 5), (2, 2, 5), (2, 2, 5))
    """

    @named
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        dtype: DType = float32,
    ) -> None:
        super().__init__()
        _check_sizes(input_size, hidden_size, num_layers, dropout, proj_size)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        out, rows = proj_size or hidden_size, 4 * hidden_size
        self.directions = ("", "_reverse") if bidirectional else ("",)
        for layer in range(num_layers):
            columns = out * len(self.directions) if layer else input_size
            for direction in self.directions:
                shapes: dict[str, tuple[int, ...]]
                shapes = {"weight_ih": (rows, columns), "weight_hh": (rows, out)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                for name, shape in shapes.items():
                    path = f"{name}_l{layer}{direction}"
                    setattr(self, path, Parameter(empty(*shape, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weights again."""
        _uniform(self, self.hidden_size)

    def forward(self, x: Tensor, hx: State | None = None) -> tuple[Tensor, State]:
        """(t, n, input) and (h, c) to (every h of the last layer, (the last h, the last c))."""
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            axes = f"n, t, {self.input_size}" if self.batch_first else f"t, n, {self.input_size}"
            raise ShapeError(
                f"{self} expects ({axes}) or (t, {self.input_size})" + shapes_at_line(input=x.shape)
            )
        if x.ndim == 2:
            states = None if hx is None else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))
            batch = 0 if self.batch_first else 1
            y, (h, c) = self.forward(x.unsqueeze(batch), states)
            return y.squeeze(batch), (h.squeeze(1), c.squeeze(1))
        x = full(x)
        y = x.transpose(0, 1) if self.batch_first else x
        if not y.shape[0]:
            raise ShapeError(f"{self}: there is no time step" + shapes_at_line(input=x.shape))
        states = self._states(y, hx)
        ends: list[State] = []
        for layer in range(self.num_layers):
            y = F.dropout(y, self.dropout, self.training) if layer else y
            y = self._layer(y, layer, states, hx is None, ends)
        h, c = (stack([end[i] for end in ends]) for i in range(2))
        return (y.transpose(0, 1) if self.batch_first else y), (h, c)

    def _states(self, x: Tensor, hx: State | None) -> State:
        count = self.num_layers * len(self.directions)
        shapes = [
            (count, x.shape[1], n) for n in (self.proj_size or self.hidden_size, self.hidden_size)
        ]
        if hx is None:
            return _zeros(x, shapes[0]), _zeros(x, shapes[1])
        h, c = full(hx[0]), full(hx[1])
        _check_state(self, x, h=(h, shapes[0]), c=(c, shapes[1]))
        return h, c

    def _layer(
        self, x: Tensor, layer: int, states: State, at_rest: bool, ends: list[State]
    ) -> Tensor:
        """One layer over all times, in each direction; its last states are added to `ends`."""
        results = []
        for direction in self.directions:
            h, c = states[0][len(ends)], states[1][len(ends)]
            suffix = f"_l{layer}{direction}"
            y, end = self._run(x.flip(0) if direction else x, h, c, at_rest, suffix)
            results.append(y.flip(0) if direction else y)
            ends.append(end)
        return cat(results, -1) if len(results) > 1 else results[0]

    def _run(
        self, x: Tensor, h: Tensor, c: Tensor, at_rest: bool, suffix: str
    ) -> tuple[Tensor, State]:
        """(h of all times, the last state): one product for all inputs, then one for each step."""
        own = vars(self)
        weight_hh, project = own["weight_hh" + suffix], own.get("weight_hr" + suffix)
        bias = own["bias_ih" + suffix] + own["bias_hh" + suffix] if self.bias else None
        from_x = F.linear(x, own["weight_ih" + suffix], bias).unbind(0)
        outputs: list[Tensor] = []
        for gates in from_x:
            # An h of zeros adds nothing, so the first step of several does without that product;
            # of a single step it stays, for the weight has a gradient then too: zeros.
            if outputs or not at_rest or len(from_x) == 1:
                gates = gates + F.linear(h, weight_hh)
            h, c = lstm_step(gates, c)
            h = h if project is None else F.linear(h, project)
            outputs.append(h)
        return stack(outputs), (h, c)

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        usual = {
            "proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0,
            "bidirectional": False,
        }  # fmt: skip
        own = vars(self)
        return ", ".join(parts + [f"{k}={own[k]}" for k, v in usual.items() if own[k] != v])


def _uniform(module: Module, hidden_size: int) -> None:
    bound = 1.0 / math.sqrt(hidden_size)
    for parameter in module.parameters():
        init.uniform_(parameter, -bound, bound)


def _zeros(like: Tensor, shape: Sequence[int]) -> Tensor:
    return zeros(*shape, dtype=like.dtype)


def _check_state(module: Module, x: Tensor, **states: tuple[Tensor, Sequence[int]]) -> None:
    for name, (state, shape) in states.items():
        if tuple(state.shape) != tuple(shape):
            raise ShapeError(
                f"{module} expects a state {name} of {tuple(int(s) for s in shape)}"
                + shapes_at_line(input=x.shape, **{name: state.shape})
            )
        one_type(type(module).__name__, input=x, **{name: state})


def _check_sizes(inputs: int, hidden: int, layers: int, dropout: float, projection: int) -> None:
    problem = None
    if min(inputs, hidden, layers) < 1:
        problem = f"sizes are at least 1, not {inputs}, {hidden} and {layers} layers"
    elif not 0.0 <= dropout <= 1.0:
        problem = f"the probability dropout must be between 0 and 1, not {dropout}"
    elif dropout and layers == 1:
        problem = f"dropout={dropout} lies between layers, and there is one: num_layers=2 or more"
    elif not 0 <= projection < hidden:
        problem = f"proj_size is less than hidden_size {hidden}, not {projection}"
    if problem is not None:
        raise ValueError(f"LSTM: {problem}" + at_line())
