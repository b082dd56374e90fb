"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from scripts.benchmarks import engine, gpu, options, picture, rooms

if TYPE_CHECKING:
    from types import ModuleType

# Each has `add_arguments(parser)` and `run(arguments)`, which gives the exit status.
COMMANDS: Final[dict[str, tuple[ModuleType, str]]] = {
    "picture": (picture, "from Generate to the first preview and the picture"),
    "engine": (engine, "our engine beside its rivals"),
    "rooms": (rooms, "what rooms cost, beside a bare server and two peers"),
    "options": (options, "--weights and --compile"),
    "gpu": (gpu, "real shapes, beside diffusers' pipelines"),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure Atelier.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, summary) in COMMANDS.items():
        module.add_arguments(commands.add_parser(name, help=summary, description=summary))
    arguments = parser.parse_args()
    status: int = COMMANDS[arguments.command][0].run(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
