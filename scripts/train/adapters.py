"""Style adapters: LoRAs for styles that the base model was never shown, one file each.

Captions name no style, so an adapter alone turns the picture into its style (Hu et al. 2021).
What a technique changes is texture and contrast, which convolutions make; of the attention only
what it brings home is adapted.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, cast

import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor

from .devices import Device, Progress, seed_everything
from .diffusion import sample_timesteps, velocity_loss
from .drawings import Order
from .latents import LatentSet, open_latents
from .replays import replayed
from .styles import EXTRA_STYLES
from .unet import Trained

if TYPE_CHECKING:
    from pathlib import Path

    from .sampling import Stage

RANK: Final = 3
TARGETS: Final = ("conv_in", "conv1", "conv2", "conv_out", "to_v", "to_out.0")
_SCENES: Final[dict[Stage, int]] = {"centred": 300, "placed": 500, "composed": 400}
_BATCH: Final = 32
_LEARNING_RATE: Final = 4e-3


def train_adapters(folder: Path, device: Device, seed: int, num_samples: int) -> None:
    """One adapter for each extra style into `folder`/loras; those that are there are kept."""
    for i, style in enumerate(EXTRA_STYLES):
        if not (folder / "loras" / f"{style}.safetensors").exists():
            trained = Trained.load(folder, device)
            save_adapter(folder, style, train_adapter(trained, style, seed + i, num_samples))


def train_adapter(trained: Trained, style: str, seed: int, num_samples: int) -> dict[str, Tensor]:
    """The adapter's weights in peft's format."""
    seed_everything(seed)
    unet, device = trained.unet, trained.device
    orders = [Order(stage, seed, count, style=style) for stage, count in _SCENES.items()]
    tokenizer = trained.conditioner.tokenizer
    scenes = LatentSet.joined([*open_latents(None, trained.vae, tokenizer, device, orders)])
    unet.add_adapter(
        LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights=True, target_modules=list(TARGETS))
    )
    weights = [p for p in unet.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    learn = replayed(partial(_pass, trained), weights, device)
    progress = Progress(f"adapter {style}", num_samples, 20 * _BATCH)
    for done in range(0, num_samples, _BATCH):
        batch = scenes.pick(_BATCH)
        loss = learn(
            batch.latents,
            torch.randn_like(batch.latents),
            sample_timesteps(_BATCH, True, device.name),
            trained.conditioner.embed(batch.ids),
        )
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        for group in optimiser.param_groups:
            group["lr"] = _LEARNING_RATE * min(1.0, (done + 1) / 640) * (1.01 - done / num_samples)
        optimiser.step()
        optimiser.zero_grad(set_to_none=False)
        if progress.is_due(done + _BATCH):
            progress.report(done + _BATCH, loss=loss.item())
    return {name: value.detach().cpu() for name, value in get_peft_model_state_dict(unet).items()}


def _pass(
    trained: Trained, latents: Tensor, epsilon: Tensor, timesteps: Tensor, text: Tensor
) -> Tensor:
    def predict(noised: Tensor, timesteps: Tensor) -> Tensor:
        with trained.device.autocast():
            return cast("Tensor", trained.unet(noised, timesteps, text, return_dict=False)[0])

    loss = velocity_loss(trained.noise, latents, epsilon, timesteps, predict)
    loss.backward()
    return loss.detach()


def save_adapter(folder: Path, style: str, weights: dict[str, Tensor]) -> None:
    """Writes float16 safetensors that `load_lora_weights` of stock pipelines reads."""
    StableDiffusionPipeline.save_lora_weights(
        folder / "loras",
        unet_lora_layers={name: value.half().contiguous() for name, value in weights.items()},
        weight_name=f"{style}.safetensors",
    )
