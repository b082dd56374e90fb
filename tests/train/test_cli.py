"""The command line: every stage has its options, with defaults that repeat the release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.train import cli
from scripts.train.evaluate import EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("preview", cli.preview),
        ("autoencoder", cli.autoencoder),
        ("text", cli.text),
        ("unet", cli.unet),
        ("lora", cli.lora),
        ("control", cli.control),
        ("decoder", cli.decoder),
        ("export", cli.export_model),
        ("evaluate", cli.measure),
        ("examples", cli.examples),
        ("all", cli.everything),
    ],
)
def test_each_stage_has_its_command(name: str, command: cli.Command) -> None:
    assert cli.parse([name]).command is command


def test_all_takes_the_options_of_every_stage() -> None:
    options = cli.parse(["--seed", "3", "all", "--samples", "64", "--placed-from", "32", "--json"])

    assert (options.seed, options.samples, options.placed_from, options.json) == (3, 64, 32, True)
    assert options.text_steps == 1800
    assert (options.lora_samples, options.start_from) == (6400, None)


def test_first_screen_offers_the_prompts_that_its_pictures_show() -> None:
    shown = (cli.ROOT / "web" / "src" / "ui" / "examples.ts").read_text(encoding="utf-8")

    for name, prompt in EXAMPLES.items():
        assert f'en: "{prompt}"' in shown
        assert f"examples/{name}.webp" in shown
        assert (cli.EXAMPLES / f"{name}.webp").stat().st_size < 30_000


def test_preview_leaves_a_sheet(tmp_path: Path) -> None:
    cli.preview(cli.parse(["--work", str(tmp_path), "preview"]))

    assert (tmp_path / "grids" / "preview.png").stat().st_size > 50_000
