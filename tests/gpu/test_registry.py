"""The registry of models: ids, paths, titles."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu.errors import ModelError
from gpu.models.registry import only, read_registry

EMBEDDED = Path("/models/embedded")


def written(folder: Path, text: str) -> Path:
    file = folder / "models.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_m12_a_registry_names_models_and_the_first_is_the_default(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        '[models.dreams]\npath = "dreams.safetensors"\ntitle = "Träume"\n'
        '[models.xl]\npath = "/big/xl"\n',
    )

    registry = read_registry(file, EMBEDDED)

    assert registry.default == "dreams"
    assert registry.paths == {
        "dreams": tmp_path / "dreams.safetensors",
        "xl": Path("/big/xl"),
        "embedded": EMBEDDED,
    }
    assert [listing.title for listing in registry.listings] == ["Träume", "xl", "embedded"]
    assert read_registry(file, EMBEDDED, "xl").default == "xl"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "models"),
        ("[models]", "length"),
        ('[models."../up"]\npath = "x"', "matching regex"),
        ("[models.a]", "path"),
        ('[models.a]\npath = "x"\nweights = "y"', "weights"),
        ("[models.a", "correct it"),
    ],
)
def test_m12_a_registry_that_makes_no_sense_says_where(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(ModelError, match=complaint):
        read_registry(written(tmp_path, text), EMBEDDED)


def test_m12_a_registry_or_a_default_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"a registry of models at .*nowhere"):
        read_registry(tmp_path / "nowhere", EMBEDDED)
    file = written(tmp_path, '[models.a]\npath = "x"')
    with pytest.raises(ModelError, match=r"one of .*models.toml's \(a, embedded\), got b"):
        read_registry(file, EMBEDDED, "b")


def test_m12_one_model_alone_is_a_registry_too() -> None:
    assert only(EMBEDDED, EMBEDDED).default == "embedded"
    assert only(Path("/m/dreams.safetensors"), EMBEDDED).titles == {"model": "dreams"}
    assert only(Path("/m/dreams-1.5"), EMBEDDED).titles == {"model": "dreams-1.5"}
