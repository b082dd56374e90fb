"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from scripts.benchmarks import engine, picture, rooms


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure Atelier.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("picture", help="from Generate to the first preview and the picture")
    one.add_argument("--runs", type=int, default=7, help="requests to take the median of [7]")
    one.add_argument("--json", action="store_true", help="print the figures as JSON")
    many = commands.add_parser("rooms", help="what rooms cost, beside a bare server and two peers")
    rooms.add_arguments(many)
    engine.add_arguments(commands.add_parser("engine", help="our engine beside its rivals"))
    arguments = parser.parse_args()
    if arguments.command == "rooms":
        return rooms.run(arguments)
    if arguments.command == "engine":
        return engine.run(arguments)
    figures = asyncio.run(picture.measure(arguments.runs))
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:28} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
