"""The command line: one subcommand for each stage, `all` for everything from nothing."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from diffusers import AutoencoderTiny

from .adapters import train_adapters
from .autoencoder import measure_psnr, train_autoencoder
from .control import ControlPlan, train_control
from .curriculum import CurriculumPlan
from .decoder import train_decoder
from .devices import Device
from .evaluate import describe, evaluate, paint_examples
from .export import build_pipeline, export
from .grids import save_grid
from .sampling import STAGES, sample_scene
from .scenes import SIZE_PX, draw_scene
from .text import load_reader, load_tokenizer, train_text
from .unet import UNetPlan, load_unet, train_unet

ROOT: Final = Path(__file__).resolve().parents[2]
EXAMPLES: Final = ROOT / "web" / "src" / "ui" / "examples"
Command = Callable[[argparse.Namespace], None]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="train_embedded", description="Trains the embedded model from nothing."
    )
    parser.add_argument("--work", type=Path, default=ROOT / ".train", help="checkpoints, grids")
    parser.add_argument("--model", type=Path, default=ROOT / "gpu" / "models" / "embedded")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    stages: list[tuple[str, Command, str]] = [
        ("preview", preview, "draw a sheet of training scenes"),
        ("autoencoder", autoencoder, "train the autoencoder"),
        ("text", text, "train tokenizer and text encoder"),
        ("unet", unet, "train the UNet"),
        ("lora", lora, "train the style adapters"),
        ("control", control, "train the scribble ControlNet"),
        ("decoder", decoder, "polish the autoencoder's decoder"),
        ("export", export_model, "pack the checkpoints into the model folder"),
        ("evaluate", measure, "measure the model folder"),
        ("examples", examples, "paint the pictures of the studio's first screen"),
        ("all", everything, "all of these, from nothing"),
    ]
    for name, command, summary in stages:
        stage = commands.add_parser(name, help=summary, description=summary)
        stage.set_defaults(command=command)
        _add_options(stage, name)
    return parser.parse_args(arguments)


def _add_options(stage: argparse.ArgumentParser, name: str) -> None:
    for stages, option, settings in _options():
        if name in (*stages.split(), "all"):
            stage.add_argument(option, **settings)


def _options() -> list[tuple[str, str, dict[str, Any]]]:
    """The stages that take it, its name, and what `add_argument` is told of it."""
    plan, lines = UNetPlan(), ControlPlan()
    curriculum: dict[str, int] = dataclasses.asdict(plan.curriculum)
    counted: list[tuple[str, str, int]] = [
        ("autoencoder", "--autoencoder-steps", 2600),
        ("text", "--text-steps", 1800),
        ("unet", "--samples", plan.num_samples),
        ("unet", "--batch", plan.batch),
        ("lora", "--lora-samples", 6400),
        ("control", "--control-samples", lines.num_samples),
        ("control", "--control-scenes", lines.num_scenes),
        ("control", "--control-batch", lines.batch),
        ("decoder", "--decoder-steps", 900),
        *(("unet", f"--{name.replace('_', '-')}", value) for name, value in curriculum.items()),
    ]
    compiles = {"action": "store_true", "help": "torch.compile: minutes, once"}
    as_json = {"action": "store_true", "help": "print figures as JSON"}
    minutes = {"type": float, "default": plan.minutes, "help": "end by then at the latest"}
    per_kind = {"type": int, "default": 3, "help": "pictures for each kind"}
    start = {"type": Path, "help": "teach this exported model further"}
    return [
        *((stage, option, {"type": int, "default": value}) for stage, option, value in counted),
        ("unet control", "--compile", compiles),
        ("unet", "--minutes", minutes),
        ("control", "--control-minutes", minutes),
        ("autoencoder unet", "--start-from", start),
        ("evaluate", "--json", as_json),
        ("evaluate", "--per-kind", per_kind),
    ]


def _device(options: argparse.Namespace) -> Device:
    return Device.open(options.device, options.threads)


def preview(options: argparse.Namespace) -> None:
    rng = random.Random(options.seed)
    pictures = [draw_scene(sample_scene(rng, STAGES[i // 32])) for i in range(96)]
    path = options.work / "grids" / "preview.png"
    save_grid(path, pictures, 12, SIZE_PX // 2)
    print(path)


def autoencoder(options: argparse.Namespace) -> None:
    device = _device(options)
    model = train_autoencoder(
        options.work, device, options.seed, options.autoencoder_steps, options.start_from
    )
    print(f"autoencoder: {measure_psnr(model, device, options.seed + 7):.1f} dB over whole scenes")


def text(options: argparse.Namespace) -> None:
    train_text(options.work, _device(options), options.seed, options.text_steps)


def unet(options: argparse.Namespace) -> None:
    names = [field.name for field in dataclasses.fields(CurriculumPlan)]
    plan = UNetPlan(
        num_samples=options.samples,
        batch=options.batch,
        minutes=options.minutes,
        compile=options.compile,
        start_from=options.start_from,
        curriculum=CurriculumPlan(**{name: getattr(options, name) for name in names}),
    )
    train_unet(options.work, _device(options), options.seed, plan)


def lora(options: argparse.Namespace) -> None:
    train_adapters(options.work, _device(options), options.seed, options.lora_samples)


def control(options: argparse.Namespace) -> None:
    plan = ControlPlan(
        options.control_samples,
        options.control_scenes,
        options.control_batch,
        options.control_minutes,
    )
    train_control(options.work, _device(options), options.seed, plan, options.compile)


def decoder(options: argparse.Namespace) -> None:
    device = _device(options)
    model = train_decoder(options.work, device, options.seed, options.decoder_steps)
    print(f"autoencoder: {measure_psnr(model, device, options.seed + 7):.1f} dB over whole scenes")


def export_model(options: argparse.Namespace) -> None:
    """Packs whatever is trained; a UNet that has no checkpoint yet stays untrained."""
    tokenizer = load_tokenizer(options.work / "tokenizer")
    vae = cast("AutoencoderTiny", AutoencoderTiny.from_pretrained(options.work / "vae"))
    model = load_unet(options.work)
    pipeline = build_pipeline(vae, load_reader(options.work).encoder, tokenizer, model)
    print(f"{options.model}: {export(pipeline, options.work, options.model) / 1e6:.1f} MB")


def measure(options: argparse.Namespace) -> None:
    figures = evaluate(
        options.work, options.model, _device(options), options.seed, options.per_kind
    )
    serialised = json.dumps(figures, indent=2)
    (options.work / "figures.json").write_text(serialised + "\n", encoding="utf-8")
    print(serialised if options.json else describe(figures))


def examples(options: argparse.Namespace) -> None:
    paint_examples(options.model, _device(options), EXAMPLES)


def everything(options: argparse.Namespace) -> None:
    trained = (autoencoder, text, unet, lora, control, decoder)
    for stage in (preview, *trained, export_model, measure, examples):
        stage(options)


def main() -> None:
    options = parse()
    options.command(options)
