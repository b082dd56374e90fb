"""Stable Diffusion's architecture: CLIP text encoder, U-Net with cross-attention, autoencoder.

Serves SD 1.x (AutoencoderKL, 8 pixels a cell) and the embedded model (AutoencoderTiny, 16).
Loads a diffusers folder or a single .safetensors file; never a pickle, never code from the
model, never over the network.
"""

from __future__ import annotations

import gzip
import json
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpu.models.adapters import AdapterShelf
from gpu.models.checkpoint import check_component, check_tokenizer, require_safetensors
from gpu.models.controls import ControlShelf, residuals
from gpu.models.family import (
    Adapters,
    Family,
    LoadOptions,
    ModelError,
    Reading,
    Report,
    Steering,
)
from gpu.models.text import PromptReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SD1 = Path(__file__).parent / "sd1"
_AUTOENCODERS = ("AutoencoderKL", "AutoencoderTiny")
_PLAIN = Reading()
_UNET = "model.diffusion_model.input_blocks."
_SD1_TENSORS = (
    _UNET + "0.0.weight",
    _UNET + "1.1.transformer_blocks.0.attn2.to_k.weight",
    "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
    "first_stage_model.decoder.conv_in.weight",
)
"""One tensor of each part of a single-file checkpoint, under the names it was trained with."""


class StableDiffusion:
    """See `family.Family` for the methods."""

    def __init__(
        self,
        name: str,
        unet: Any,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        scheduler_config: Mapping[str, Any],
        options: LoadOptions,
        report: Report,
    ) -> None:
        self.name = name
        self.device = options.device
        self.dtype = options.dtype
        self.scheduler_config = scheduler_config
        self.latent_channels = int(unet.config.in_channels)
        self.latent_factor = _factor(vae)
        self.native_px = int(unet.config.sample_size) * self.latent_factor
        num_halvings = len(unet.config.block_out_channels) - 1
        self.multiple_px = self.latent_factor * 2**num_halvings
        self._unet = unet.to(options.device, memory_format=torch.channels_last).eval()
        self._vae = vae.eval()
        self._text_encoder = text_encoder.eval()
        self._offloads = _place((self._text_encoder, self._vae), options)
        self._fetching = threading.Lock()
        self._adapters = AdapterShelf(self._unet, self._text_encoder, options, report)
        self.adapter_names = self._adapters.names
        self._controls = ControlShelf(
            options.beside, self._unet, self.latent_factor, self._load_control, report
        )
        self.controls = self._controls.infos
        self._reader = PromptReader(
            tokenizer, self._text_encoder, options, self._adapters.text_encoder, self._fetched
        )

    def take_adapters(self, chosen: Mapping[str, float]) -> Adapters:
        return self._adapters.take(chosen)

    def take_control(self, name: str) -> Any:
        return self._controls.take(name)

    def _load_control(self, folder: Path) -> Any:
        from diffusers import ControlNetModel

        # Diffusers makes the dtype it loads in the process's default meanwhile, and steps are
        # being taken on another thread: it must be the one that is the default anyway.
        network = _load_part(ControlNetModel, folder, torch.float32)
        return network.to(self.device, self.dtype, memory_format=torch.channels_last).eval()

    def encode_prompt(self, text: str, reading: Reading = _PLAIN) -> Tensor:
        return self._reader.read(text, reading)

    def encode_image(self, pixels: Tensor, generator: torch.Generator | None) -> Tensor:
        pixels = pixels.to(self.device, self._vae.dtype, memory_format=torch.channels_last)
        with self._fetched(), torch.inference_mode():
            encoded = self._vae.encode(pixels)
            if hasattr(encoded, "latents"):
                latents = encoded.latents
            elif generator is None:
                latents = encoded.latent_dist.mode()
            else:
                latents = encoded.latent_dist.sample(generator)
        return (latents.float() * self._vae.config.scaling_factor).contiguous()

    def decode(self, latents: Tensor) -> Tensor:
        with self._fetched(), torch.inference_mode():
            scaled = (latents / self._vae.config.scaling_factor).to(
                self.device, self._vae.dtype, memory_format=torch.channels_last
            )
            pixels: Tensor = self._vae.decode(scaled, return_dict=False)[0]
        return pixels.float()

    def denoise(
        self,
        latents: Tensor,
        timesteps: Tensor,
        prompts: Tensor,
        adapters: Sequence[Adapters] = (),
        controls: Sequence[Steering | None] = (),
    ) -> Tensor:
        latents = latents.to(self.dtype, memory_format=torch.channels_last)
        down, middle = residuals(latents, timesteps, prompts, controls) or (None, None)
        with self._adapters.unet.rows(adapters):
            output: Tensor = self._unet(
                latents,
                timesteps,
                encoder_hidden_states=prompts,
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
                return_dict=False,
            )[0]
        return output

    @contextmanager
    def _fetched(self) -> Iterator[None]:
        """Use text encoder or autoencoder, put away again afterwards with low VRAM.

        Then one thread at a time: none may put away what another is computing with.
        """
        if not self._offloads:
            yield
            return
        with self._fetching:
            try:
                yield
            finally:
                for hook in self._offloads:
                    hook.offload()


def load(options: LoadOptions, report: Report) -> Family:
    """Load the model at `options.path`; raises ModelError with what to do where that can't be."""
    path = options.path
    if not path.exists():
        raise ModelError(
            f"expected a diffusers folder or a .safetensors file at {path}, found nothing there: "
            "check --model"
        )
    model = _load_folder(options, report) if path.is_dir() else _load_file(options, report)
    if options.low_vram and options.device.type == "cpu":
        report("--low-vram has little effect on a CPU: all its memory is main memory")
    if options.attention == "xformers":
        _use_xformers(model._unet, options, report)
    return model


def _load_folder(options: LoadOptions, report: Report) -> StableDiffusion:
    folder = options.path
    parts = _parts(folder)
    for name in ("unet", "vae", "text_encoder"):
        check_component(folder / name)
    check_tokenizer(folder / "tokenizer")
    report("importing the model's classes")
    import diffusers
    import transformers

    _quieten(diffusers, transformers)
    report("reading the weights")
    unet, vae, text_encoder = (
        _load_part(cls, folder / name, dtype)
        for cls, name, dtype in (
            (diffusers.UNet2DConditionModel, "unet", options.dtype),
            (getattr(diffusers, parts["vae"]), "vae", _autoencoder_dtype(parts["vae"], options)),
            (transformers.CLIPTextModel, "text_encoder", torch.float32),
        )
    )
    _require_plain(folder, unet, vae, text_encoder)
    tokenizer = transformers.CLIPTokenizer.from_pretrained(
        folder / "tokenizer", local_files_only=True, trust_remote_code=False
    )
    config = _read_json(folder / "scheduler" / "scheduler_config.json")
    name = folder.resolve().name
    return StableDiffusion(name, unet, vae, text_encoder, tokenizer, config, options, report)


def _require_plain(folder: Path, unet: Any, vae: Any, text_encoder: Any) -> None:
    """The parts fit each other, and the U-Net takes latents, a time and a text, nothing more."""
    wanted = {
        "in_channels": (vae.config.latent_channels,),
        "cross_attention_dim": (text_encoder.config.hidden_size,),
        "addition_embed_type": (None, "text"),
        "class_embed_type": (None,),
        "num_class_embeds": (None,),
    }
    for name, values in wanted.items():
        if (found := unet.config.get(name)) not in values:
            raise ModelError(
                f"{folder}: expected its unet's {name} to be {values[-1]}, got {found}: "
                "Stable Diffusion 1.x models can be used, not XL, inpainting or depth ones"
            )


def _autoencoder_dtype(name: str, options: LoadOptions) -> torch.dtype:
    """The tiny one keeps within half a grey level of fp32; SD 1.x's overflows below it."""
    return options.dtype if name == "AutoencoderTiny" else torch.float32


def _quieten(*libraries: Any) -> None:
    for library in libraries:
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def _load_part(cls: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Load one part; only its safetensors are ever opened."""
    try:
        return cls.from_pretrained(
            folder, torch_dtype=dtype, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{folder} could not be loaded as {cls.__name__}: {error}") from error


def _parts(folder: Path) -> dict[str, str]:
    """The class of each part by model_index.json, all of them ones that are known here."""
    index = _read_json(folder / "model_index.json")
    parts = {name: str(value[1]) for name, value in index.items() if isinstance(value, list)}
    known = {
        "unet": ("UNet2DConditionModel",),
        "vae": _AUTOENCODERS,
        "text_encoder": ("CLIPTextModel",),
        "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
    }
    for name, classes in known.items():
        if parts.get(name) not in classes:
            raise ModelError(
                f"{folder}: expected {name} to be {' or '.join(classes)}, got {parts.get(name)}; "
                "Stable Diffusion 1.x models can be used"
            )
    return parts


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"expected {path}: this is no complete diffusers folder") from None
    except ValueError as error:
        raise ModelError(f"{path} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path}: expected a JSON object")
    return value


def _load_file(options: LoadOptions, report: Report) -> StableDiffusion:
    """A single-file SD 1.x checkpoint; its config and vocabulary are the ones in `sd1/`."""
    require_safetensors(options.path)
    if options.path.suffix != ".safetensors":
        raise ModelError(f"{options.path} holds safetensors: rename it to end in .safetensors")
    _require_sd1(options.path)
    report("importing the model's classes")
    import diffusers
    import transformers

    _quieten(diffusers, transformers)
    report("reading the weights")
    pipeline = diffusers.StableDiffusionPipeline.from_single_file(
        str(options.path),
        config=str(_SD1),
        tokenizer=clip_tokenizer(_SD1 / "tokenizer" / "merges.txt.gz"),
        local_files_only=True,
        torch_dtype=torch.float32,
    )
    return StableDiffusion(
        options.path.stem,
        pipeline.unet.to(options.dtype),
        pipeline.vae,
        pipeline.text_encoder,
        pipeline.tokenizer,
        _read_json(_SD1 / "scheduler" / "scheduler_config.json"),
        options,
        report,
    )


def _require_sd1(path: Path) -> None:
    """Tell Stable Diffusion 1.x by its parts and the width of its text, before loading it."""
    from safetensors import SafetensorError, safe_open

    try:
        file = safe_open(path, "pt")
    except SafetensorError as error:
        raise ModelError(
            f"{path} is not a whole safetensors file ({error}): download it again"
        ) from error
    with file:
        names = set(file.keys())
        missing = [part for part in _SD1_TENSORS if part not in names]
        found = "parts of it are missing: " + ", ".join(missing)
        if not missing:
            widths = [tuple(file.get_slice(part).get_shape())[1] for part in _SD1_TENSORS[:2]]
            found = f"its U-Net takes {widths[0]} channels and text {widths[1]} wide"
            if widths == [4, 768]:
                return
    raise ModelError(
        f"{path}: expected a Stable Diffusion 1.x checkpoint with U-Net, text encoder and "
        f"autoencoder (4 channels, text 768 wide); {found}"
    )


def clip_tokenizer(merges_gz: Path) -> Any:
    """CLIP's tokenizer from its merge list, as OpenAI's own `SimpleTokenizer` numbers it."""
    from transformers import CLIPTokenizer

    with gzip.open(merges_gz, "rt", encoding="utf-8") as file:
        merges = file.read().split("\n")[1 : 49152 - 256 - 2 + 1]
    letters = list(_byte_letters().values())
    tokens = letters + [letter + "</w>" for letter in letters]
    tokens += [merge.replace(" ", "") for merge in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    pairs: Any = [tuple(merge.split()) for merge in merges]
    return CLIPTokenizer(vocab=vocabulary, merges=pairs, model_max_length=77)


def _byte_letters() -> dict[int, str]:
    """GPT-2's map of bytes to printable letters; the vocabulary's numbers follow its order."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return dict(bytes_to_unicode())


def _factor(vae: Any) -> int:
    """Pixels along a side of a latent cell, which no config of AutoencoderTiny says."""
    blocks = vae.config.get("block_out_channels") or vae.config.encoder_block_out_channels
    return int(2 ** (len(blocks) - 1))


def _place(modules: tuple[Any, ...], options: LoadOptions) -> list[Any]:
    """Put modules onto the device; with low VRAM only while each is used (accelerate's hooks)."""
    if not options.low_vram:
        for module in modules:
            module.to(options.device, memory_format=torch.channels_last)
        return []
    from accelerate import cpu_offload_with_hook

    return [cpu_offload_with_hook(module, options.device)[1] for module in modules]


def _use_xformers(unet: Any, options: LoadOptions, report: Report) -> None:
    try:
        if options.device.type != "cuda":
            raise ValueError("it needs a CUDA device")
        unet.enable_xformers_memory_efficient_attention()
    except (
        ImportError,
        ModuleNotFoundError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        reason = str(error).splitlines()[0]
        report(f"xformers attention can't be used here ({reason}); using torch's SDPA")
