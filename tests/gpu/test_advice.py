"""What a model's folder says of its use. Rule M6."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpu.errors import ModelError
from gpu.models.advice import Advice, read_advice

if TYPE_CHECKING:
    from pathlib import Path


def test_m6_a_model_may_say_how_it_is_best_used(tmp_path: Path) -> None:
    assert read_advice(tmp_path) == read_advice(tmp_path / "model.safetensors") == Advice()
    (tmp_path / "studio.json").write_text('{"steps": 8, "guidance": 1.5}')
    assert read_advice(tmp_path) == Advice(steps=8, guidance=1.5)


@pytest.mark.parametrize("text", ["", "[]", '{"steps": 0}', '{"step": 8}', '{"sampler": "none"}'])
def test_m6_advice_that_makes_no_sense_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    (tmp_path / "studio.json").write_text(text)
    with pytest.raises(ModelError, match=r"studio\.json: .*remove the file"):
        read_advice(tmp_path)


def test_m6_what_a_folder_leaves_out_is_as_usual_with_its_family(tmp_path: Path) -> None:
    usual = Advice(steps=28, guidance=3.5, sampler="euler", live_steps=8)
    assert read_advice(tmp_path, usual) == usual
    (tmp_path / "studio.json").write_text('{"steps": 12}')

    assert read_advice(tmp_path, usual) == Advice(
        steps=12, guidance=3.5, sampler="euler", live_steps=8
    )
