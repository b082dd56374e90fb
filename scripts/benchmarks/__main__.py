"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from scripts.benchmarks import gpu, options, picture


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure Atelier.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("picture", help="from Generate to the first preview and the picture")
    one.add_argument("--runs", type=int, default=7, help="requests to take the median of [7]")
    one.add_argument("--json", action="store_true", help="print the figures as JSON")
    options.add_arguments(commands.add_parser("options", help="--weights and --compile"))
    gpu.add_arguments(commands.add_parser("gpu", help="real shapes, beside diffusers' pipelines"))
    arguments = parser.parse_args()
    if arguments.command == "options":
        return options.run(arguments)
    if arguments.command == "gpu":
        return gpu.run(arguments)
    figures = asyncio.run(picture.measure(arguments.runs))
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:28} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
