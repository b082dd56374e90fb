"""The server's settings: one typed class, filled from ATELIER_* variables and flags.

Each field is a flag (`--data-dir` is also `--data`) and a variable (`ATELIER_DATA_DIR`); flags
win. A field's docstring is its help text.
"""

from __future__ import annotations

import argparse
import ast
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX = "ATELIER_"
ROOT = Path(__file__).resolve().parents[1]


class SettingsError(Exception):
    """A setting that can't be used; the text says which, and what to do."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be chosen when the server starts."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all of this machine's."""
    port: int = 8000
    """Port to listen on; 0 for any free one."""
    data_dir: Path = Path("data")
    """Folder of the journal and the pictures; made if it isn't there."""
    model: str = "embedded"
    """Model to load: embedded, a Stable Diffusion 1.x folder or .safetensors file, or none."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """What the model runs on."""
    dtype: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """Number format of the model; auto: bf16 on a GPU or a CPU with AMX, else fp32."""
    attention: Literal["sdpa", "xformers"] = "sdpa"
    """How attention is computed; xformers needs CUDA and `pip install .[xformers]`."""
    max_batch: int = 16
    """Most rows of the model's batch."""
    threads: int = 0
    """CPU threads of the model; 0 for as many as pay."""
    low_vram: bool = False
    """Keep the text encoder and the autoencoder in main memory between their uses."""
    web_dir: Path = ROOT / "web" / "dist"
    """Folder of the built web client."""
    allowed_origins: str = ""
    """Origins other than the server's own that may connect, separated by commas."""
    max_message_bytes: int = 1024 * 1024
    """Longest message that a client may send."""
    max_blob_bytes: int = 32 * 1024 * 1024
    """Largest picture file that may be uploaded."""
    max_blob_px: int = 64 * 1024 * 1024
    """Most pixels (width times height) of an uploaded picture."""
    max_outbox_bytes: int = 8 * 1024 * 1024
    """What may wait for one slow reader before it is disconnected."""
    snapshot_every: int = 1_000
    """Number of ops after which a room is written anew as a whole."""
    keep_entries: int = 2_000
    """Number of ops kept beside a snapshot for those who reconnect."""
    idle_s: float = 60.0
    """Seconds after which a room that nobody is in is unloaded."""
    ping_s: float = 20.0
    """Seconds between two pings of a connection, and to wait for the answer."""

    @property
    def worker_flags(self) -> list[str]:
        """The command line of the GPU worker, but for the model."""
        chosen = ("device", "dtype", "attention", "max_batch", "threads")
        flags = [f"--{name.replace('_', '-')}={getattr(self, name)}" for name in chosen]
        return [*flags, "--low-vram"] if self.low_vram else flags

    @property
    def origins(self) -> frozenset[str]:
        return frozenset(o.strip() for o in self.allowed_origins.split(",") if o.strip())


# It may stand alone.
SWITCH: dict[str, Any] = {"nargs": "?", "const": "true"}
ALIASES = {"data_dir": ["--data"]}


def from_command_line(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Read flags and variables; raises SettingsError. `--help` prints and exits."""
    parser = argparse.ArgumentParser(prog="python -m server", description="Serve Atelier.")
    help_texts = docstrings()
    for field in msgspec.structs.fields(Settings):
        flags = [*ALIASES.get(field.name, ()), "--" + field.name.replace("_", "-")]
        parser.add_argument(
            *flags,
            dest=field.name,
            **(SWITCH if field.default is False else {}),
            metavar=field.name.split("_")[-1].upper(),
            help=f"{help_texts[field.name]} [{field.default}]".replace("%", "%%"),
        )
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value}
    from_variables = {
        name: environment[PREFIX + name.upper()]
        for name in help_texts
        if environment.get(PREFIX + name.upper())
    }
    return _typed({**from_variables, **given})


def docstrings() -> dict[str, str]:
    """The docstring of each field of Settings."""
    (tree,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(tree, ast.ClassDef)
    texts: dict[str, str] = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            assert isinstance(field.target, ast.Name)
            texts[field.target.id] = inspect.cleandoc(ast.literal_eval(text.value))
    return texts


def _typed(values: Mapping[str, str]) -> Settings:
    hints = get_type_hints(Settings)
    typed: dict[str, object] = {}
    for name, value in values.items():
        try:
            typed[name] = msgspec.convert(value, hints[name], strict=False, dec_hook=_path)
        except msgspec.ValidationError:
            raise SettingsError(
                f"{name}: expected {_expected(hints[name])}, got {value!r}: "
                f"change --{name.replace('_', '-')} or {PREFIX}{name.upper()}"
            ) from None
    return Settings(**typed)  # type: ignore[arg-type]


def _expected(hint: type) -> str:
    return " or ".join(get_args(hint)) or hint.__name__


def _path(wanted: type, value: object) -> object:
    assert wanted is Path
    return Path(str(value)).expanduser()
