"""One sampler step for a whole batch, whatever mix of samplers and steps its rows are at."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
