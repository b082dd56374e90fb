"""The command line: every stage has its options, with defaults that repeat the release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.train import cli

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("preview", cli.preview),
        ("autoencoder", cli.autoencoder),
        ("text", cli.text),
        ("unet", cli.unet),
        ("export", cli.export_model),
        ("evaluate", cli.measure),
        ("all", cli.everything),
    ],
)
def test_each_stage_has_its_command(name: str, command: cli.Command) -> None:
    assert cli.parse([name]).command is command


def test_all_takes_the_options_of_every_stage() -> None:
    options = cli.parse(["--seed", "3", "all", "--samples", "64", "--placed-from", "32", "--json"])

    assert (options.seed, options.samples, options.placed_from, options.json) == (3, 64, 32, True)
    assert options.text_steps == 950


def test_preview_leaves_a_sheet(tmp_path: Path) -> None:
    cli.preview(cli.parse(["--work", str(tmp_path), "preview"]))

    assert (tmp_path / "grids" / "preview.png").stat().st_size > 50_000
