"""Latents as the tokens of a transformer: FLUX.1 takes them so, with their places beside them."""

from __future__ import annotations

import torch
from torch import Tensor

PATCH = 2
"""A token is so many latent cells wide and high."""


def packed(latents: Tensor) -> Tensor:
    """(R, C, h, w) to (R, h/2 * w/2, 4C): a token is a patch of 2 x 2 cells."""
    rows, channels, height, width = latents.shape
    patches = latents.reshape(rows, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def unpacked(tokens: Tensor, height: int, width: int) -> Tensor:
    """What `packed` made, as it was."""
    rows, _, channels = tokens.shape
    patches = tokens.reshape(
        rows, height // PATCH, width // PATCH, channels // PATCH**2, PATCH, PATCH
    )
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(rows, -1, height, width)


def places(height: int, width: int) -> Tensor:
    """(h/2 * w/2, 3): 0, row and column of each token."""
    grid = torch.zeros(height // PATCH, width // PATCH, 3)
    grid[..., 1] = torch.arange(height // PATCH)[:, None]
    grid[..., 2] = torch.arange(width // PATCH)[None]
    return grid.flatten(0, 1)
