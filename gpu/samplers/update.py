"""One sampler step for a whole batch, whatever mix of samplers and steps its rows are at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def advance(
    latents: Tensor,
    output: Tensor,
    x0_before: Tensor | None,
    noise: Tensor | None,
    coefficients: Tensor,
) -> tuple[Tensor, Tensor]:
    """Apply each row's own coefficients (see `samplers.table.Table`).

    All of `latents`, `output`, `x0_before` and `noise` are (B, C, h, w) fp32 and
    `coefficients` is (B, 6). Returns the next latents and the predicted x0. `x0_before` and
    `noise` may be None where no row needs them.
    """
    a, b, c, d, p, q = coefficients.t().reshape(6, -1, 1, 1, 1).unbind()
    following = a * latents + b * output
    if x0_before is not None:
        following = following.addcmul(c, x0_before)
    if noise is not None:
        following = following.addcmul(d, noise)
    return following, p * latents + q * output


def recall(
    following: Tensor,
    latents: Tensor,
    output: Tensor,
    x0_before: Tensor,
    kept: Tensor,
    memory: Tensor,
) -> tuple[Tensor, Tensor]:
    """What `advance` made, with what the sampler remembered (see `samplers.table.Table.memory`).

    `kept` (B, 2, C, h, w) fp32 and `memory` (B, 12); the rest is as in `advance`. Returns the
    next latents and what to remember next.
    """
    state = torch.cat([torch.stack([latents, output, x0_before], 1), kept], 1)
    mixed = torch.einsum("bk,bkchw->bchw", memory[:, :2], kept)
    return following + mixed, torch.einsum(
        "bmk,bkchw->bmchw", memory[:, 2:].reshape(-1, 2, 5), state
    )


def guide(output: Tensor, guidance: Tensor, guided: Tensor, num_jobs: int) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022) for the rows that have an unconditional twin.

    `output` (num_jobs + G, C, h, w): the conditional rows, then the unconditional ones of the
    G jobs listed in `guided`; `guidance` (G,). Returns (num_jobs, C, h, w) fp32.
    """
    conditional = output[:num_jobs].float()
    if num_jobs == output.shape[0]:
        return conditional
    unconditional = output[num_jobs:].float()
    scale = guidance.reshape(-1, 1, 1, 1)
    if guided.shape[0] == num_jobs:
        return unconditional.lerp(conditional, scale)
    return conditional.index_copy(0, guided, unconditional.lerp(conditional[guided], scale))
