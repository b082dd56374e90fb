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

from server.core.limits import FlowLimits, Rate, Rates, RoomLimits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX = "ATELIER_"
FLOW = FlowLimits()
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
    """Model to load: embedded, a Stable Diffusion folder or .safetensors file, or none."""
    models: str = ""
    """Registry of models that frames may choose from, a TOML file; --model is then a key of it."""
    model_memory_gb: float = 0.0
    """What loaded models may take, in gigabytes; 0 for as much as is wise."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """What the model runs on."""
    dtype: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """Number format of the model; auto: bf16 on a GPU or a CPU with AMX, else fp32."""
    attention: Literal["sdpa", "xformers"] = "sdpa"
    """How attention is computed; xformers needs CUDA and `pip install .[xformers]`."""
    weights: Literal["full", "int8", "int4"] = "full"
    """What the model's weights are kept in; int8 and int4 need `pip install .[torchao]`."""
    max_batch: int = 16
    """Most rows of the model's batch."""
    threads: int = 0
    """CPU threads of the model; 0 for as many as pay."""
    low_vram: bool = False
    """Keep the text encoder and the autoencoder in main memory between their uses."""
    compile: bool = False
    """Compile the model before the first request: faster steps for minutes at the first start."""
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
    max_import_bytes: int = 1024 * 1024 * 1024
    """Largest file from which a room may be opened."""
    max_uploads_person: int = 4
    """Most uploads of one person that are under way at a time, of pictures and files of rooms."""
    max_uploads_address: int = 16
    """Most uploads from one address that are under way at a time."""
    upload_stall_s: float = 20.0
    """Seconds after which an upload is given up of which nothing comes any more."""
    max_people: int = 1_000
    """Most connections in a room; hosts get in all the same."""
    max_room_records: int = 50_000
    """Most things in a room; beyond it, deleting still works."""
    max_room_bytes: int = 64 * 1024 * 1024
    """Most bytes in a room, roughly; pictures don't count."""
    max_pictures_person: int = 16
    """Most pictures of one person that are still to come; those of live frames aren't counted."""
    max_pictures_room: int = 48
    """Most pictures of one room that are still to come."""
    max_pictures: int = 192
    """Most pictures that are still to come on this server; its worker holds 256."""
    rate_messages: Rate = FLOW.messages
    """Messages of any kind of one connection, a second and at once; beyond it, it is closed."""
    rate_links: Rate = FLOW.links
    """Links and tokens that one address may try, a second and at once."""
    rate_ops: Rates = FLOW.ops
    """Changes, a second and at once, of one connection, person, room and address."""
    rate_ink: Rates = FLOW.ink
    """Pieces of strokes in progress, likewise."""
    rate_cursors: Rates = FLOW.cursors
    """Movements of cursors, likewise."""
    rate_blobs: Rates = FLOW.blobs
    """Uploads of pictures, likewise."""
    rate_pictures: Rates = FLOW.pictures
    """Requests for pictures to be made, likewise."""
    token_key: str = ""
    """Key, 32 bytes or more, of the signed tokens of another login; better set as a variable."""
    proxy_header: str = ""
    """Header in which a trusted proxy says who somebody is, such as X-Forwarded-User."""
    trusted_proxies: str = ""
    """Addresses and networks of proxies that are believed, separated by commas."""
    ticket_s: float = 30.0
    """Seconds in which a ticket has to be used."""
    refusal_s: float = 1.0
    """Seconds that a refusal at the door takes, so that it doesn't tell whether there is a room."""
    max_outbox_bytes: int = 8 * 1024 * 1024
    """What may wait for one slow reader before it is disconnected."""
    snapshot_every: int = 1_000
    """Number of ops after which a room is written anew as a whole."""
    keep_entries: int = 2_000
    """Number of ops kept beside a snapshot for those who reconnect."""
    keep_history: int = 50_000
    """Number of ops that one can go back over; half as many at least, 64 MiB at most."""
    disk_retry_s: float = 1.0
    """Seconds between two looks whether a disk that was full or failed can be written again."""
    idle_s: float = 60.0
    """Seconds after which a room that nobody is in is unloaded."""
    ping_s: float = 20.0
    """Seconds between two pings of a connection, and to wait for the answer."""

    @property
    def worker_flags(self) -> list[str]:
        """The command line of the GPU worker, but for the model."""
        chosen = (
            "device", "dtype", "attention", "weights", "max_batch", "threads", "model_memory_gb",
        )  # fmt: skip
        flags = [f"--{name.replace('_', '-')}={getattr(self, name)}" for name in chosen]
        flags += [f"--models={Path(self.models).expanduser()}"] if self.models else []
        switches = [
            f"--{name.replace('_', '-')}" for name in ("low_vram", "compile") if getattr(self, name)
        ]
        return [*flags, *switches]

    @property
    def room_limits(self) -> RoomLimits:
        return RoomLimits(max_records=self.max_room_records, max_bytes=self.max_room_bytes)

    @property
    def flow_limits(self) -> FlowLimits:
        names = FlowLimits.__struct_fields__
        return FlowLimits(**{name: getattr(self, f"rate_{name}") for name in names})

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
            typed[name] = _read(value, hints[name])
        except (msgspec.ValidationError, ValueError):
            raise SettingsError(
                f"{name}: expected {_expected(hints[name])}, got {value!r}: "
                f"change --{name.replace('_', '-')} or {PREFIX}{name.upper()}"
            ) from None
    return Settings(**typed)  # type: ignore[arg-type]


def _read(value: str, hint: type) -> object:
    if hint in (Rate, Rates):
        return hint.parse(value)
    return msgspec.convert(value, hint, strict=False, dec_hook=_path)


def _expected(hint: type) -> str:
    if hint is Rate:
        return "a rate such as 10/60 (a second, and at once)"
    if hint is Rates:
        return "four rates such as 10/60 (of a connection, a person, a room and an address)"
    return " or ".join(get_args(hint)) or hint.__name__


def _path(wanted: type, value: object) -> object:
    assert wanted is Path
    return Path(str(value)).expanduser()
