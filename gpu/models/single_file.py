"""Checkpoints in one .safetensors file, under the names that their authors trained them with.

Such a file leaves out the shapes of its parts, its noise schedule and the vocabulary: a folder
beside this module has them, so that nothing comes over the network.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gpu.models.parts import quieten

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpu.models.checkpoint import Shapes
    from gpu.models.family import LoadOptions, Report

MERGES = Path(__file__).parent / "sd1" / "tokenizer" / "merges.txt.gz"
"""CLIP's vocabulary, of which all of Stable Diffusion's text encoders know the same."""
OPENAI_PADDING, OPEN_CLIP_PADDING = "<|endoftext|>", "!"
"""What fills up a window is how one tells OpenAI's CLIP from OpenCLIP."""
_UNET = "model.diffusion_model."
_FIRST = _UNET + "input_blocks.0.0.weight"
_DECODER = "first_stage_model.decoder.conv_in.weight"
_CHANNELS = (4, 9)


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of file with a U-Net, told by its parts and the width of the text it reads."""

    title: str
    folder: Path
    """Configs in diffusers' layout."""
    text_width: int
    text_layer: str
    """The U-Net's first layer that reads text."""
    encoders: tuple[str, ...]
    """A tensor of each text encoder."""
    paddings: Mapping[str, str]
    """By its name in the pipeline, the token that fills up a tokenizer's windows."""

    def fits(self, shapes: Shapes) -> bool:
        reads = f"{_UNET}{self.text_layer}.transformer_blocks.0.attn2.to_k.weight"
        if not {_FIRST, _DECODER, reads, *self.encoders} <= set(shapes):
            return False
        return shapes[_FIRST][1] in _CHANNELS and shapes[reads][1] == self.text_width


def load_unet_file(
    pipeline: str, options: LoadOptions, layout: Layout, shapes: Shapes, report: Report
) -> Any:
    """The named diffusers pipeline with the file's weights, the U-Net's in `options.dtype`."""
    report("importing the model's classes")
    import diffusers

    quieten()
    report("reading the weights")
    path = str(options.path)
    settings: dict[str, Any] = {
        "config": str(layout.folder),
        "local_files_only": True,
    }
    unet = diffusers.UNet2DConditionModel.from_single_file(
        path,
        **settings,
        subfolder="unet",
        in_channels=shapes[_FIRST][1],
        torch_dtype=options.dtype,
    )
    tokenizers = {name: clip_tokenizer(MERGES, pad) for name, pad in layout.paddings.items()}
    return getattr(diffusers, pipeline).from_single_file(
        path, **settings, unet=unet, torch_dtype=torch.float32, **tokenizers
    )


def clip_tokenizer(merges_gz: Path, pad_token: str = OPENAI_PADDING) -> Any:
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
    return CLIPTokenizer(vocab=vocabulary, merges=pairs, model_max_length=77, pad_token=pad_token)


def _byte_letters() -> dict[int, str]:
    """GPT-2's map of bytes to printable letters; the vocabulary's numbers follow its order."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return dict(bytes_to_unicode())
