"""The command line: `python -m server --host H --port P --data DIR --model M`.

Runs in the foreground. Prints one line to stdout, once a page can be opened; the model may
still be loading then. What keeps it from starting is one line on stderr and exit status 2.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import socket
import sys
import tempfile
from typing import TYPE_CHECKING

import uvicorn

from server.app import JOURNAL, KEY, create_app
from server.core.errors import StoreError
from server.net.protocol import DirectProtocol
from server.settings import Settings, SettingsError, from_command_line
from server.storage.journal import SqliteJournal
from server.storage.key import load_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from starlette.applications import Starlette

CANNOT_START = 2
GRACEFUL_S = 5


class Server(uvicorn.Server):
    """Says when it is ready."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            print(f"Atelier is ready at http://{shown}:{port}/", flush=True)


class CannotStart(Exception):
    """The text says why, and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = from_command_line(sys.argv[1:] if arguments is None else arguments, os.environ)
        check_data_dir(settings.data_dir)
        check_web_dir(settings.web_dir)
        with lock(settings.data_dir):
            asyncio.run(check_journal(settings.data_dir))
            load_key(settings.data_dir / KEY)
            return serve(settings, listen(settings.host, settings.port))
    except (CannotStart, SettingsError, StoreError) as error:
        print(f"Atelier can't start: {error}", file=sys.stderr)
        return CANNOT_START


def serve(settings: Settings, listening: socket.socket) -> int:
    """Serve until a signal; the exit status."""
    server = Server(configured(create_app(settings), settings))
    asyncio.run(server.serve([listening]))
    return 0 if server.started else CANNOT_START


def configured(app: Starlette, settings: Settings) -> uvicorn.Config:
    """uvicorn, as Atelier wants it."""
    return uvicorn.Config(
        app,
        ws=DirectProtocol,
        ws_max_size=settings.max_message_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=settings.ping_s,
        ws_ping_timeout=settings.ping_s,
        timeout_graceful_shutdown=GRACEFUL_S,
        lifespan="on",
        log_level="warning",
        access_log=False,
        # Whom to believe about addresses is a setting of ours, for this and for logins.
        proxy_headers=False,
        server_header=False,
    )


def check_data_dir(folder: Path) -> None:
    """Make the folder, and write to it; raises CannotStart."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CannotStart(
            f"the data folder {folder} can't be written ({error.strerror}): "
            "make it writable, or choose another with --data"
        ) from None


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the folder for this process: two writers of one journal would undo each other."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotStart(
                f"another server uses the data folder {folder}: stop it, or choose another "
                "folder with --data"
            ) from None
        yield


async def check_journal(folder: Path) -> None:
    """Raises StoreError if the journal isn't one, before anybody is told of an address."""
    async with SqliteJournal(folder / JOURNAL):
        pass


def check_web_dir(folder: Path) -> None:
    if not (folder / "index.html").is_file():
        raise CannotStart(
            f"there is no web client in {folder}: start with scripts/run, which builds it, "
            "or run `npm ci && npm run build` in the folder web"
        )


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; raises CannotStart."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
    except OSError as error:
        raise CannotStart(
            f"can't listen on {host} port {port} ({error.strerror}): "
            "choose another with --port (0 takes any free one) or --host"
        ) from None
    return listening


if __name__ == "__main__":
    sys.exit(main())
