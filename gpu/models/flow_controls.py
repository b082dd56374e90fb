"""ControlNets of the flow-matching families: which fit, how one is read, and its forward.

Nearly all of them see a picture as the autoencoder encodes it. Knows nothing of jobs, nor of how
a prompt was read.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gpu.errors import ModelError
from gpu.models.controls import Steered, require
from gpu.models.family import ControlNet, Row
from gpu.models.flops import flops_of, twin
from gpu.models.packing import PATCH, packed
from gpu.models.parts import load_part, weight_bytes
from gpu.models.quantised import quantise

if TYPE_CHECKING:
    from pathlib import Path

    from gpu.models.autoencoder import Autoencoder
    from gpu.models.controls import Added
    from gpu.models.family import LoadOptions, Report

Inputs = Mapping[str, Any]
"""What a transformer is given, by its names."""
Native = Callable[[], tuple[Tensor, Row, Inputs]]
"""Latents of one picture of the native size, its row, and what the transformer is given of both,
on the meta device."""


class FlowControls(ABC):
    """See `controls.ControlShelf` for `check` and `load`; a subclass knows one family's."""

    shares_blocks = False
    """A control runs blocks of the transformer itself, and what adapters add to them."""

    def __init__(
        self,
        transformer: Any,
        autoencoder: Autoencoder,
        native: Native,
        options: LoadOptions,
        report: Report,
    ) -> None:
        self._transformer = transformer
        self._autoencoder = autoencoder
        self._native = native
        self._options = options
        self._report = report

    @abstractmethod
    def check(self, path: Path, config: Mapping[str, Any]) -> None:
        """Raise ModelError unless the control was made for transformers like this one."""

    @abstractmethod
    def load(self, path: Path) -> ControlNet:
        """Read a control's folder; raises ModelError."""

    @abstractmethod
    def parts(self, steered: Steered, inputs: Inputs) -> Sequence[Tensor | None]:
        """What a control adds after each of the transformer's blocks, see `controls.added`."""

    @abstractmethod
    def places(self, parts: Added) -> dict[str, Any]:
        """What all controls add, by the transformer's names for it."""

    def _alike(self, *names: str) -> dict[str, tuple[Any, ...]]:
        return {name: (self._transformer.config.get(name),) for name in names}

    def _read(self, cls: Any, path: Path) -> tuple[Any, int]:
        """A control's module on its device, and what its weights take."""
        module = load_part(cls, path, self._options.dtype).to(self._options.device).eval()
        quantise([module], self._options, self._report)
        return module, weight_bytes([module])

    def _cost(self, control: Any, channels: int) -> float:
        """What a control that is shown pictures of so many channels adds to a step at the native
        size, as a part of one without; `control` is a twin, see `flops`."""
        transformer = twin(self._transformer)
        latents, row, inputs = self._native()

        def steered() -> object:
            seen = latents.new_empty(1, channels, *latents.shape[2:])
            index, strengths = torch.zeros(1, dtype=torch.int64), latents.new_ones(1)
            return self.parts(Steered(control, [row], [0], index, seen, strengths), inputs)

        return flops_of(steered) / flops_of(lambda: transformer(**inputs))


class SD3Controls(FlowControls):
    def check(self, path: Path, config: Mapping[str, Any]) -> None:
        alike = ("in_channels", "patch_size", "num_attention_heads", "attention_head_dim")
        wanted: dict[str, tuple[Any, ...]] = {"_class_name": ("SD3ControlNetModel",)}
        wanted |= self._alike(*alike, "pooled_projection_dim")
        wanted["joint_attention_dim"] = (self._transformer.config.joint_attention_dim, None)
        wanted["extra_conditioning_channels"] = (0,)
        require(path, config, wanted, {"extra_conditioning_channels": 0})

    def load(self, path: Path) -> ControlNet:
        from diffusers import SD3ControlNetModel

        module, num_bytes = self._read(SD3ControlNetModel, path)
        steering = twin(module)
        if not module.config.use_pos_embed:
            # Those for the large model take in latents as it does, by what it learnt.
            module.pos_embed = self._transformer.pos_embed
            steering.pos_embed = twin(self._transformer).pos_embed
        is_centred = not module.config.force_zeros_for_pooled_projection

        def see(pixels: Tensor, _generator: torch.Generator | None) -> Tensor:
            # The pipeline draws from the posterior, by no seed: its mode is the same each time.
            return self._autoencoder.encode(pixels * 2 - 1, None, is_centred=is_centred)

        return ControlNet(module, see, self._cost(steering, self._autoencoder.channels), num_bytes)

    def parts(self, steered: Steered, inputs: Inputs) -> Sequence[Tensor | None]:
        module = steered.module
        tokens = inputs["encoder_hidden_states"][steered.index]
        pooled = inputs["pooled_projections"][steered.index]
        is_blind = module.config.force_zeros_for_pooled_projection
        (made,) = module(
            hidden_states=inputs["hidden_states"][steered.index],
            controlnet_cond=steered.seen,
            conditioning_scale=steered.strengths.reshape(-1, 1, 1),
            encoder_hidden_states=None if module.context_embedder is None else tokens,
            pooled_projections=torch.zeros_like(pooled) if is_blind else pooled,
            timestep=inputs["timestep"][steered.index],
            return_dict=False,
        )
        num_blocks = len(self._transformer.transformer_blocks)
        return [made[int(block / (num_blocks / len(made)))] for block in range(num_blocks)]

    def places(self, parts: Added) -> dict[str, Any]:
        return {"block_controlnet_hidden_states": parts}


class FluxControls(FlowControls):
    def check(self, path: Path, config: Mapping[str, Any]) -> None:
        alike = ("in_channels", "num_attention_heads", "attention_head_dim", "joint_attention_dim")
        wanted: dict[str, tuple[Any, ...]] = {"_class_name": ("FluxControlNetModel",)}
        wanted |= self._alike(*alike, "pooled_projection_dim", "axes_dims_rope")
        # One network for several kinds is told by a number which it is; no config says what 2 is.
        wanted["num_mode"] = (None,)
        embedded = config.get("conditioning_embedding_channels")
        if embedded is not None:
            wanted["conditioning_embedding_channels"] = (self._autoencoder.channels,)
            wanted["patch_size"] = (PATCH,)
        require(path, config, wanted, {"axes_dims_rope": (16, 56, 56)})

    def load(self, path: Path) -> ControlNet:
        from diffusers import FluxControlNetModel

        module, num_bytes = self._read(FluxControlNetModel, path)
        steering = twin(module)
        embed = module.input_hint_block

        def see(pixels: Tensor, generator: torch.Generator | None) -> Tensor:
            signed = pixels * 2 - 1
            if embed is None:
                return self._autoencoder.encode(signed, generator)
            embedded: Tensor = embed(signed.to(self._options.dtype))
            return embedded

        if embed is not None:
            # The picture is the same in all steps: it is embedded before the first.
            module.input_hint_block = nn.Identity()
            steering.input_hint_block = nn.Identity()
        return ControlNet(module, see, self._cost(steering, self._autoencoder.channels), num_bytes)

    def parts(self, steered: Steered, inputs: Inputs) -> Sequence[Tensor | None]:
        module = steered.module
        is_embedded = module.input_hint_block is not None
        blocks, singles = module(
            hidden_states=inputs["hidden_states"][steered.index],
            controlnet_cond=steered.seen if is_embedded else packed(steered.seen),
            conditioning_scale=steered.strengths.reshape(-1, 1, 1),
            timestep=inputs["timestep"][steered.index],
            guidance=self._guidance(steered),
            pooled_projections=inputs["pooled_projections"][steered.index],
            encoder_hidden_states=inputs["encoder_hidden_states"][steered.index],
            txt_ids=inputs["txt_ids"],
            img_ids=inputs["img_ids"],
            return_dict=False,
        )
        spread = _in_turn if is_embedded else _in_order
        num_blocks, num_singles = self._num_blocks
        return [*spread(blocks, num_blocks), *_in_order(singles, num_singles)]

    def _guidance(self, steered: Steered) -> Tensor | None:
        if not steered.module.config.guidance_embeds:
            return None
        scales = torch.tensor([row.guidance for row in steered.rows], device="cpu")
        return scales.to(steered.index.device, non_blocking=True)

    @property
    def _num_blocks(self) -> tuple[int, int]:
        transformer = self._transformer
        return len(transformer.transformer_blocks), len(transformer.single_transformer_blocks)

    def places(self, parts: Added) -> dict[str, Any]:
        num_blocks, _ = self._num_blocks
        blocks, singles = parts[:num_blocks], parts[num_blocks:]
        return {
            "controlnet_block_samples": None if blocks[0] is None else blocks,
            "controlnet_single_block_samples": None if singles[0] is None else singles,
        }


def _in_order(made: Sequence[Tensor] | None, num_blocks: int) -> list[Tensor | None]:
    """Each in so many blocks one after another, as FLUX.1's transformer lays them out."""
    if made is None:
        return [None] * num_blocks
    each = math.ceil(num_blocks / len(made))
    return [made[block // each] for block in range(num_blocks)]


def _in_turn(made: Sequence[Tensor], num_blocks: int) -> list[Tensor | None]:
    """One after another, and again: XLabs' controls."""
    return [made[block % len(made)] for block in range(num_blocks)]


class ZImageControls(FlowControls):
    shares_blocks = True

    def check(self, path: Path, config: Mapping[str, Any]) -> None:
        wanted: dict[str, tuple[Any, ...]] = {"_class_name": ("ZImageControlNetModel",)}
        wanted |= self._alike("dim", "n_heads", "n_kv_heads", "all_patch_size", "all_f_patch_size")
        require(path, config, wanted, {})
        taken, fewest = config.get("control_in_dim") or 0, self._autoencoder.channels
        if taken < fewest:
            raise ModelError(f"{path}: expected it to take {fewest} channels or more, got {taken}")
        num_blocks = len(self._transformer.layers)
        last = max(config.get("control_layers_places") or [0])
        if last >= num_blocks:
            raise ModelError(f"{path}: expected it to add to {num_blocks} blocks, got {last + 1}")

    def load(self, path: Path) -> ControlNet:
        from diffusers import ZImageControlNetModel

        module, num_bytes = self._read(ZImageControlNetModel, path)
        join = ZImageControlNetModel.from_transformer
        channels = int(module.config.control_in_dim)
        cost = self._cost(join(twin(module), twin(self._transformer)), channels)

        def see(pixels: Tensor, _generator: torch.Generator | None) -> Tensor:
            encoded = self._autoencoder.encode(pixels * 2 - 1, None)
            # Those that fill holes too are shown none.
            return functional.pad(encoded, (0, 0, 0, 0, 0, channels - encoded.shape[1]))

        return ControlNet(join(module, self._transformer), see, cost, num_bytes)

    def parts(self, steered: Steered, inputs: Inputs) -> Sequence[Tensor | None]:
        made = steered.module(
            [inputs["x"][number] for number in steered.numbers],
            inputs["t"][steered.index],
            [inputs["cap_feats"][number] for number in steered.numbers],
            list(steered.seen.unsqueeze(2).unbind()),
            conditioning_scale=steered.strengths.reshape(-1, 1, 1),
        )
        return [made.get(block) for block in range(len(self._transformer.layers))]

    def places(self, parts: Added) -> dict[str, Any]:
        by_block = {block: part for block, part in enumerate(parts) if part is not None}
        return {"controlnet_block_samples": by_block}
