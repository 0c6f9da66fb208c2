"""gpt: a transformer on characters, 6 layers of 384, 6 heads, 4 texts of 256 tokens (72.6 GFLOP).

Radford et al., "Language models are unsupervised multitask learners" (GPT-2), 2019: norms in front
of attention and MLP and at the end, learned positions; biases throughout but in the head, which is
not tied to the embedding (10.80M parameters so). No dropout: its draws differ between libraries.
"""

from __future__ import annotations

from typing import Any

from groundup.cli.workloads import Loss, Workload
from groundup.cli.workloads.jax_layers import Layers

HEADS = 6


def model(
    nn: Any,
    layers: int = 6,
    width: int = 384,
    heads: int = HEADS,
    vocabulary: int = 65,
    context: int = 256,
) -> Any:
    """The model, in groundup's nn or torch's: ids (n, t) to scores (n, t, vocabulary)."""

    class Attention(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            q, k, v = (
                part.unflatten(-1, (heads, width // heads)).transpose(1, 2)
                for part in self.qkv(x).chunk(3, -1)
            )
            y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.out(y.transpose(1, 2).flatten(2))

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.attention = nn.LayerNorm(width), Attention()
            self.norm2 = nn.LayerNorm(width)
            self.mlp = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Embedding(vocabulary, width)
            self.position = nn.Embedding(context, width)
            self.blocks = nn.Sequential(*[Block() for _ in range(layers)])
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, vocabulary, bias=False)

        def forward(self, ids: Any) -> Any:
            x = self.token(ids) + self.position.weight[: ids.shape[1]]
            return self.head(self.norm(self.blocks(x)))

    return GPT()


def ours() -> Any:
    """The model in groundup."""
    from groundup import nn

    return model(nn)


def theirs(torch: Any) -> Any:
    """The model in torch."""
    return model(torch.nn)


def loss_in_jax(jax: Any, heads: int = HEADS) -> Loss:
    """The loss as a function of the parameters in JAX."""
    f, np = Layers(jax), jax.numpy

    def attention(p: Any, path: str, x: Any) -> Any:
        n, t, width = x.shape
        qkv = f.linear(p, f"{path}.qkv", x).reshape(n, t, 3, heads, width // heads)
        q, k, v = (qkv[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
        scores = q @ k.transpose(0, 1, 3, 2) / (width // heads) ** 0.5
        scores = np.where(np.tril(np.ones((t, t), bool)), scores, -np.inf)
        y = jax.nn.softmax(scores, axis=-1) @ v
        return f.linear(p, f"{path}.out", y.transpose(0, 2, 1, 3).reshape(n, t, width))

    def loss(p: Any, x: Any, y: Any) -> Any:
        x = p["token.weight"][x] + p["position.weight"][: x.shape[1]]
        for i in range(f.count(p, "blocks")):
            path = f"blocks.{i}"
            x = x + attention(p, f"{path}.attention", f.layer_norm(p, f"{path}.norm1", x))
            z = f.linear(p, f"{path}.mlp.0", f.layer_norm(p, f"{path}.norm2", x))
            x = x + f.linear(p, f"{path}.mlp.2", jax.nn.gelu(z, approximate=False))
        return f.cross_entropy(f.linear(p, "head", f.layer_norm(p, "norm", x)), y)

    return loss


WORKLOAD = Workload("gpt", (4, 256), 65, 10_795_776, 0.1, ours, theirs, loss_in_jax, tokens=65)
