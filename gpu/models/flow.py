"""What the flow-matching transformers share: Stable Diffusion 3, FLUX.1 and Z-Image.

Their autoencoder, adapters and controls, and how their steps shift with a picture's size. How a
prompt is read and what the transformer is given is each family's own.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from gpu.models.adapters import AdapterShelf
from gpu.models.attention import use_xformers
from gpu.models.autoencoder import Autoencoder
from gpu.models.compiled import Denoiser
from gpu.models.controls import ControlShelf, added
from gpu.models.family import Reading, Row, Words
from gpu.models.packing import PATCH
from gpu.models.parts import Reserve, weight_bytes
from gpu.models.quantised import quantise
from gpu.prompts import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import Tensor

    from gpu.models.adapters import Mixer
    from gpu.models.advice import Advice
    from gpu.models.controls import Steered
    from gpu.models.family import Adapters, ControlNet, LoadOptions, Report
    from gpu.models.flow_controls import FlowControls
    from gpu.models.flow_parts import Parts
    from gpu.models.lora_file import Part

_PLAIN = Reading()
_MAX_PROMPTS = 128
_CLIPS: tuple[Part, ...] = ("text_encoder", "text_encoder_2")
"""Text encoders that may be CLIP's, the ones that adapters add to."""


class FlowFamily(ABC):
    """See `family.Family` for the methods; a subclass reads prompts, and says what its
    transformer is given."""

    control_nets: type[FlowControls]
    rowless: tuple[str, ...] = ()
    """Modules of the transformer that see all rows' tokens end to end."""
    fills = False
    takes_guidance = False
    native_px = 1024
    usual: Advice

    def __init__(self, parts: Parts, options: LoadOptions, report: Report) -> None:
        self.name = parts.name
        self.device = options.device
        self.dtype = options.dtype
        self.scheduler_config = parts.scheduler_config
        self._transformer = parts.transformer.to(options.device).eval()
        encoders = [encoder.eval() for encoder in parts.encoders.values()]
        self._reserve = Reserve([*encoders, parts.vae.eval()], options)
        self._autoencoder = Autoencoder(parts.vae, options, self._reserve)
        self.latent_channels = self._autoencoder.channels
        self.latent_factor = self._autoencoder.factor
        self.draws_posterior = self._autoencoder.draws_posterior
        self.multiple_px = self.latent_factor * PATCH
        quantise([self._transformer, *encoders], options, report)
        self.num_bytes = weight_bytes([self._transformer, parts.vae, *encoders])
        if options.attention == "xformers":
            use_xformers(self._transformer, options, report)
        self._denoiser = Denoiser(self._transformer, report)
        adapted: dict[Part, Any] = {"transformer": self._transformer}
        for part in _CLIPS:
            if "CLIP" in type(parts.encoders.get(part)).__name__:
                adapted[part] = parts.encoders[part]
        self._adapters = AdapterShelf(adapted, options, report, self.rowless)
        self.adapter_names = self._adapters.names
        self._nets = self.control_nets(
            self._transformer, self._autoencoder, self._native, options, report
        )
        self._controls = ControlShelf(options.beside, self._nets.check, self._nets.load, report)
        self.controls = self._controls.infos

    @abstractmethod
    def encode_prompt(self, text: str, reading: Reading = _PLAIN) -> Words:
        """See `family.Family.encode_prompt`."""

    @abstractmethod
    def inputs(self, latents: Tensor, timesteps: Tensor, rows: Sequence[Row]) -> dict[str, Any]:
        """What the transformer is given, by its names, on the device of `latents`."""

    def latents(self, output: Any, size: tuple[int, int]) -> Tensor:
        """The transformer's output as (R, C, h, w)."""
        return output

    def compile(self) -> None:
        self._denoiser.compile()

    def take_adapters(self, chosen: Mapping[str, float]) -> Adapters:
        return self._adapters.take(chosen)

    def adapter_versions(self, names: Iterable[str]) -> tuple[object, ...]:
        return self._adapters.versions(names)

    def take_control(self, name: str) -> ControlNet:
        return self._controls.take(name)

    def encode_image(self, pixels: Tensor, generator: torch.Generator | None) -> Tensor:
        return self._autoencoder.encode(pixels, generator)

    def decode(self, latents: Tensor) -> Tensor:
        return self._autoencoder.decode(latents)

    def denoise(self, latents: Tensor, timesteps: Tensor, rows: Sequence[Row]) -> Tensor:
        latents = latents.to(self.dtype)
        inputs = self.inputs(latents, timesteps, rows)

        def run(steered: Steered) -> Sequence[Tensor | None]:
            with self._mixed(steered.rows if self._nets.shares_blocks else ()):
                return self._nets.parts(steered, inputs)

        parts = added(rows, latents, run)
        is_plain = parts is None and not any(row.adapters for row in rows)
        steering = {} if parts is None else self._nets.places(parts)
        with self._mixed(rows):
            output = self._denoiser(plain=is_plain, **inputs, **steering)
        return self.latents(output, (latents.shape[2], latents.shape[3]))

    def _mixed(self, rows: Sequence[Row]) -> AbstractContextManager[None]:
        """Within this, this thread's forwards get what the rows' adapters add."""
        return self._adapters.mixers["transformer"].rows([row.adapters for row in rows])

    def _native(self) -> tuple[Tensor, Row, dict[str, Any]]:
        """See `flow_controls.Native`."""
        cells = self.native_px // self.latent_factor
        words = self.encode_prompt("")
        with torch.device("meta"):
            pooled = None if words.pooled is None else torch.empty(words.pooled.shape)
            row = Row(Words(torch.empty(words.tokens.shape), pooled))
            latents = torch.empty(1, self.latent_channels, cells, cells)
            return latents, row, self.inputs(latents, torch.empty(1), [row])

    def pace(self, scheduler: Any, num_steps: int, size: tuple[int, int]) -> None:
        """Even steps, shifted by the picture's size where the scheduler does that."""
        even = torch.linspace(1.0, 1 / num_steps, num_steps, dtype=torch.float64).tolist()
        scheduler.set_timesteps(sigmas=even, mu=shift(scheduler.config, size))


def shift(config: Mapping[str, Any], size: tuple[int, int], most: float = 1.15) -> float:
    """How far steps go towards noise for latents of a size, linear in its tokens (Esser et al.
    2024); `most` is for a config that doesn't say."""
    least, fewest = config.get("base_shift", 0.5), config.get("base_image_seq_len", 256)
    most, highest = config.get("max_shift", most), config.get("max_image_seq_len", 4096)
    slope = (most - least) / (highest - fewest)
    num_tokens = (size[0] // PATCH) * (size[1] // PATCH)
    return float(num_tokens * slope + (least - slope * fewest))


class PlainReader:
    """Embeds prompts by an encoder that knows no weights, and remembers the latest."""

    def __init__(self, encode: Callable[[str], Tensor], mixer: Mixer | None = None) -> None:
        """`encode` makes (tokens, width) of a text, or (width,); `mixer` adds adapters to it."""
        self._encode = encode
        self._mixer = mixer
        self._known: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, text: str, adapters: Adapters = ()) -> Tensor:
        used = adapters if self._mixer is not None else ()
        key = (plain(text), tuple((adapter.key, weight) for adapter, weight in used))
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
        with nullcontext() if self._mixer is None else self._mixer.rows([used]):
            embedded = self._encode(plain(text))
        with self._lock:
            self._known[key] = embedded
            while len(self._known) > _MAX_PROMPTS:
                self._known.popitem(last=False)
        return embedded


def plain(text: str) -> str:
    """A prompt without its syntax: what weights and BREAK would say is lost."""
    return " ".join("".join(span.text for span in passage) for passage in parse(text))


def padded_ids(tokenizer: Any, text: str, length: int, device: torch.device) -> Tensor:
    """(1, length) token ids of a text, cut or filled up."""
    found = tokenizer(
        text, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )
    return found.input_ids.to(device)
