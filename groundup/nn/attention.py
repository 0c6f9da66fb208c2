"""Multi-head attention as a module.

Names, arguments and initial distributions are PyTorch's. Must not know training loops.
"""

from __future__ import annotations

from groundup.tensor import DType, ShapeError, Tensor, empty, float32, where
from groundup.tensor.errors import at_line
from groundup.tensor.misuse import named

from . import functional as F
from . import init
from .functional.checks import shapes_at_line
from .functional.products import attention_weights, causal_sum
from .layers import Linear
from .module import Module, Parameter


class MultiheadAttention(Module):
    """MultiHead(Q, K, V) = concat(head_1, …, head_h) · W_O + b_O,
    head_i = Attention(Q·W_Q,i + b, K·W_K,i + b, V·W_V,i + b)

    embed_dim: of queries, keys, values and results; num_heads: h, each embed_dim / h wide.
    dropout: of attention weights, in training. batch_first: inputs are (n, l, embed_dim), in place
    of (l, n, embed_dim). Parameters: in_proj_weight (3·embed_dim, embed_dim: W_Q, W_K, W_V),
    in_proj_bias, out_proj.weight, out_proj.bias.
    Source: Vaswani et al., "Attention is all you need", 2017, section 3.2.2.
    Raises ValueError when the heads do not divide embed_dim, ShapeError, on call, for an input that
    is not embed_dim wide.

    >>> y, weights = MultiheadAttention(8, 2)(*[gu.zeros(5, 3, 8)] * 3)
    >>> y.shape, weights.shape
    ((5, 3, 8), (3, 5, 5))
    """

    @named
    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        batch_first: bool = False,
        dtype: DType = float32,
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: {num_heads} heads must divide an embed_dim of {embed_dim}"
                + at_line()
            )
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.batch_first = batch_first
        self.in_proj_weight = Parameter(empty(3 * embed_dim, embed_dim, dtype=dtype))
        self.in_proj_bias = Parameter(empty(3 * embed_dim, dtype=dtype)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weights again: Glorot's for W_Q, W_K, W_V together, biases 0."""
        self.out_proj.reset_parameters()
        init.xavier_uniform_(self.in_proj_weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """(l, n, e), (s, n, e), (s, n, e) to (result, as the query; weights (n, l, s) or None).

        key_padding_mask: (n, s); attn_mask: (l, s) or (n·heads, l, s). As in PyTorch, and unlike
        in `scaled_dot_product_attention`, True is where a key may *not* be seen; numbers are added.
        average_attn_weights: False gives the weights of each head, (n, heads, l, s).
        is_causal: query i sees the keys j ≤ i only; where an attn_mask is given, that decides.
        """
        for role, t in (("query", query), ("key", key), ("value", value)):
            if t.ndim not in (2, 3) or t.shape[-1] != self.embed_dim:
                raise ShapeError(
                    f"MultiheadAttention of embed_dim {self.embed_dim}: the {role} does not fit"
                    + shapes_at_line(query=query.shape, key=key.shape, value=value.shape)
                )
        if query.ndim == 2:
            pad = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
            batch = 0 if self.batch_first else 1
            inputs = [t.unsqueeze(batch) for t in (query, key, value)]
            args = (pad, need_weights, attn_mask, average_attn_weights, is_causal)
            y, weights = self.forward(inputs[0], inputs[1], inputs[2], *args)
            return y.squeeze(batch), None if weights is None else weights.squeeze(0)
        q, k, v = self._heads(query, key, value)
        mask = self._mask(key_padding_mask, attn_mask)
        causal = is_causal and attn_mask is None
        weights = attention_weights(q, k, mask, causal)
        weights = F.dropout(weights, self.dropout, self.training)
        y = causal_sum(weights, v) if causal else weights @ v
        y = y.transpose(1, 2).flatten(2)  # (n, l, e)
        y = self.out_proj(y if self.batch_first else y.transpose(0, 1))
        if not need_weights:
            return y, None
        return y, weights.mean(1) if average_attn_weights else weights

    def _heads(self, *inputs: Tensor) -> list[Tensor]:
        """Queries, keys and values as (n, heads, l, e / heads)."""
        biases = [None] * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        result = []
        for x, weight, bias in zip(inputs, self.in_proj_weight.chunk(3), biases, strict=True):
            y = F.linear(x if self.batch_first else x.transpose(0, 1), weight, bias)
            result.append(y.unflatten(-1, (self.num_heads, -1)).transpose(1, 2))
        return result

    def _mask(self, keys: Tensor | None, pairs: Tensor | None) -> Tensor | None:
        """Both masks as one that is added to the scores (n, heads, l, s)."""
        added = None
        if keys is not None:
            added = _added(keys)[:, None, None, :]
        if pairs is not None:
            each = _added(pairs)
            each = each if each.ndim == 2 else each.unflatten(0, (-1, self.num_heads))
            added = each if added is None else added + each
        return added

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, {self.num_heads}, batch_first={self.batch_first}"


def _added(mask: Tensor) -> Tensor:
    """A mask as numbers: −∞ where True."""
    return mask if mask.dtype.is_float else where(mask, -float("inf"), 0.0)
