"""lstm-lm: a language model of two LSTM layers of 650, 10,000 words, 20×35 tokens (55.7 GFLOP).

Zaremba, Sutskever & Vinyals, "Recurrent neural network regularization", 2014: their medium
network, without its dropout, whose draws differ between libraries; the state starts at 0.
"""

from __future__ import annotations

from typing import Any

from groundup.cli.workloads import Loss, Workload
from groundup.cli.workloads.jax_layers import Layers


def model(nn: Any, vocabulary: int = 10_000, width: int = 650, layers: int = 2) -> Any:
    """The model, in groundup's nn or torch's: ids (n, t) to scores (n, t, vocabulary)."""

    class LanguageModel(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(vocabulary, width)
            self.lstm = nn.LSTM(width, width, layers, batch_first=True)
            self.head = nn.Linear(width, vocabulary)

        def forward(self, ids: Any) -> Any:
            outputs, _ = self.lstm(self.embedding(ids))
            return self.head(outputs)

    return LanguageModel()


def ours() -> Any:
    """The model in groundup."""
    from groundup import nn

    return model(nn)


def theirs(torch: Any) -> Any:
    """The model in torch."""
    return model(torch.nn)


def theirs_jax(jax: Any) -> Loss:
    """The loss as a function of the parameters in JAX: the steps are a scan."""
    f, np = Layers(jax), jax.numpy

    def layer(p: Any, number: int, x: Any) -> Any:
        """(t, n, width) to the h of all times; the inputs of all gates are one product."""
        get = {
            k: p[f"lstm.{k}_l{number}"] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        from_x = x @ get["weight_ih"].T + (get["bias_ih"] + get["bias_hh"])

        def step(state: Any, gates: Any) -> Any:
            h, c = state
            i, forget, g, o = np.split(gates + h @ get["weight_hh"].T, 4, axis=-1)
            c = jax.nn.sigmoid(forget) * c + jax.nn.sigmoid(i) * np.tanh(g)
            h = jax.nn.sigmoid(o) * np.tanh(c)
            return (h, c), h

        start = np.zeros((x.shape[1], get["weight_hh"].shape[1]), x.dtype)
        return jax.lax.scan(step, (start, start), from_x)[1]

    def loss(p: Any, x: Any, y: Any) -> Any:
        x = p["embedding.weight"][x].transpose(1, 0, 2)
        for number in range(sum(path.startswith("lstm.weight_ih") for path in p)):
            x = layer(p, number, x)
        return f.cross_entropy(f.linear(p, "head", x.transpose(1, 0, 2)), y)

    return loss


WORKLOAD = Workload(
    "lstm-lm", (20, 35), 10_000, 19_780_400, 0.5, ours, theirs, theirs_jax, tokens=10_000
)
