"""Finds the family of a model by its files, and loads it.

A folder is told by the classes of its parts, a file by the names and shapes of its tensors:
nothing is opened that isn't safetensors by its content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpu.errors import ModelError
from gpu.models import flux, stable_diffusion, stable_diffusion_3, stable_diffusion_xl, z_image
from gpu.models.checkpoint import read_shapes, require_safetensors
from gpu.models.parts import part_classes

if TYPE_CHECKING:
    from pathlib import Path

    from gpu.models.family import Family, LoadOptions, Report

_OF_FOLDERS = (stable_diffusion, stable_diffusion_xl, stable_diffusion_3, flux, z_image)
_OF_FILES = (stable_diffusion, stable_diffusion_xl)


def load(options: LoadOptions, report: Report) -> Family:
    """Load the model at `options.path`; raises ModelError with what to do where that can't be."""
    path = options.path
    if not path.exists():
        raise ModelError(
            f"expected a diffusers folder or a .safetensors file at {path}, found nothing there: "
            "check --model, or its path in the registry"
        )
    if options.parts is not None:
        family = _load_with_parts(options, options.parts, report)
    else:
        family = _load_folder(options, report) if path.is_dir() else _load_file(options, report)
    if options.low_vram and options.device.type == "cpu":
        report("--low-vram has little effect on a CPU: all its memory is main memory")
    return family


def _load_folder(options: LoadOptions, report: Report) -> Family:
    classes = part_classes(options.path)
    for family in _OF_FOLDERS:
        if family.claims(classes):
            return family.load_folder(options, classes, report)
    raise ModelError(
        f"{options.path}: expected the parts of Stable Diffusion, FLUX.1 or Z-Image, got "
        f"{', '.join(sorted(classes)) or 'none'}: use another model"
    )


def _load_with_parts(options: LoadOptions, parts: Path, report: Report) -> Family:
    """A file with a transformer, perhaps more, and a folder with the rest."""
    require_safetensors(options.path)
    classes = part_classes(parts)
    for family in _OF_FOLDERS:
        if family.claims(classes) and "transformer" in classes:
            return family.load_folder(options, classes, report)
    raise ModelError(
        f"{parts}: expected the parts of Stable Diffusion 3, FLUX.1 or Z-Image beside "
        f"{options.path.name}, got {', '.join(sorted(classes)) or 'none'}: correct the registry"
    )


def _load_file(options: LoadOptions, report: Report) -> Family:
    path = options.path
    require_safetensors(path)
    if path.suffix != ".safetensors":
        raise ModelError(f"{path} holds safetensors: rename it to end in .safetensors")
    shapes = read_shapes(path)
    for family in _OF_FILES:
        layout = family.layout_of(shapes)
        if layout is not None:
            return family.load_file(options, layout, shapes, report)
    raise ModelError(
        f"{path}: expected a Stable Diffusion 1.x, 2.x or XL checkpoint with U-Net, text encoder "
        f"and autoencoder, got {len(shapes)} tensors of something else: use another file, a "
        "diffusers folder, or for a flow-matching model a registry that names its parts"
    )
