"""What a delivery costs: the real server under load, a bare one as the limit, and two peers.

A delivery is a point of ink, or a cursor, that has reached another client. Costs are processor
time of the server's process, with all its threads and what the kernel does for it. The loads are
run on all servers in turn, several times over, so that what the machine does meanwhile falls on
all of them alike; the figures are medians. A run of the whole takes about six minutes.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.benchmarks.load import comings, servers
from scripts.benchmarks.load.drive import Cost, Shape, paced, saturated
from scripts.benchmarks.load.lines import LoadError
from scripts.benchmarks.machine import processor

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from scripts.benchmarks.load.servers import Served

ROUNDS, SECONDS = 3, 3.0
QUICK_ROUNDS, QUICK_SECONDS = 1, 1.5
OURS, LIMIT, PEERS = "atelier", "limit", ("y_websocket", "hocuspocus")

DELIVERIES: dict[str, tuple[Callable[..., Cost], Shape]] = {
    "fixed": (paced, Shape(rooms=4, lines=25, writers=5, per_s=20, strokes=True)),
    "saturated": (saturated, Shape(rooms=4, lines=25, writers=5)),
    "cursor": (paced, Shape(rooms=4, lines=25, writers=25, per_s=10, cursors=True)),
    "room150": (paced, Shape(rooms=1, lines=150, writers=5, per_s=20, strokes=True)),
    "rooms30": (paced, Shape(rooms=30, lines=4, writers=2, per_s=20, strokes=True)),
}
OTHERS = ("stalled", "join_10k", "return_1000")
ABOUT = {
    "atelier": "journal with fsync, access and limits on; rates of ink and messages raised, so "
    "that the saturated load isn't refused; no model, which is a process of its own",
    "limit": "asyncio, a frame for each message, transport.write: nothing is checked or stored",
    "y_websocket": "as its own command starts it: in memory, open to everybody",
    "hocuspocus": "a token is checked, documents are stored in SQLite, as its guide has it",
    "strokes": "every 60th point of a writer, Atelier's clients also put the stroke as an op",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = (*DELIVERIES, *OTHERS)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        metavar="LOAD",
        default=names,
        help=f"some of {', '.join(names)} [all]",
    )
    parser.add_argument("--quick", action="store_true", help="once, shortly: to see that it works")
    parser.add_argument("--no-peers", action="store_true", help="without the other servers")
    parser.add_argument("--core", type=int, help="of the servers; the clients get another [first]")
    parser.add_argument("--json", action="store_true", help="print all as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    found = measure(
        tuple(arguments.only),
        quick=arguments.quick,
        with_peers=not arguments.no_peers,
        core=arguments.core,
    )
    if arguments.json:
        print(json.dumps(found, indent=1))
        return 0
    for name, value in found.items():
        if not isinstance(value, dict):
            print(f"{name:28} {value}")
    return 0


def measure(
    only: tuple[str, ...], *, quick: bool, with_peers: bool, core: int | None
) -> dict[str, Any]:
    """The figures, and beside them what each server's costs were."""
    began = time.monotonic()
    cores = sorted(os.sched_getaffinity(0))
    ours = cores[0] if core is None else core
    others = [other for other in cores if other != ours] or [ours]
    servers.pin(os.getpid(), others[-1])
    bench = Bench(QUICK_ROUNDS if quick else ROUNDS, QUICK_SECONDS if quick else SECONDS)
    with (
        tempfile.TemporaryDirectory() as data,
        servers.Servers(Path(data), ours, with_peers=with_peers) as serving,
    ):
        for name in only:
            _say(f"{name} ...")
            try:
                bench.run(name, serving.all)
            except LoadError as error:
                bench.by_server[name] = {"failed": str(error)}
        peers = servers.versions() if len(serving.all) > len((OURS, LIMIT)) else {}
        without = serving.without
    return {
        **bench.figures,
        "by_server": bench.by_server,
        "peers": peers,
        **({"without_peers": without} if without else {}),
        "about": ABOUT,
        "machine": f"{processor()}, core {ours} for the servers, {others[-1]} for the clients",
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "took_s": round(time.monotonic() - began),
    }


class Bench:
    """The loads, and what has come out so far."""

    def __init__(self, rounds: int, seconds: float) -> None:
        self.figures: dict[str, float] = {}
        self.by_server: dict[str, Any] = {}
        self._rounds = rounds
        self._seconds = seconds

    def run(self, name: str, serving: list[Served]) -> None:
        match name:
            case "stalled":
                self._stalled(serving)
            case "join_10k":
                joins = comings.join_large(serving[0])
                self.figures["join_10k_ms"] = _short(statistics.median(j.cpu_ms for j in joins))
                self.by_server["join_10k_wall_ms"] = [_short(j.wall_ms) for j in joins]
            case "return_1000":
                took = comings.come_back(serving[0])
                self.figures["return_1000_p99_s"] = _short(comings.return_figure(took))
            case _:
                self._deliveries(name, serving)

    def _deliveries(self, name: str, serving: list[Served]) -> None:
        load, shape = DELIVERIES[name]
        costs = self._in_turn(serving, partial(load, shape=shape, seconds=self._seconds))
        medians = {
            server: {field: _median(runs, field) for field in Cost.__struct_fields__}
            for server, runs in costs.items()
            if runs
        }
        self.by_server[name] = {
            server: {field: value for field, value in cost.items() if value}
            for server, cost in medians.items()
        }
        ours = medians[OURS]
        peers = [medians[peer] for peer in PEERS if peer in medians]
        found = {f"{name}_us": ours["us"]}
        if peers:
            found[f"{name}_vs_best_peer"] = _short(ours["us"] / min(p["us"] for p in peers))
        if name == "fixed":
            found["fixed_vs_limit"] = _short(ours["us"] / medians[LIMIT]["us"])
            found |= {"p99_ms": ours["p99_ms"], "ack_p95_ms": ours["ack_p95_ms"]}
            if peers:
                best = min(p["p99_ms"] for p in peers)
                found |= {
                    "p99_ms_best_peer": best,
                    "p99_vs_best_peer": _short(found["p99_ms"] / best),
                }
        self.figures |= found

    def _in_turn(
        self, serving: list[Served], run: Callable[[Served], Cost]
    ) -> dict[str, list[Cost]]:
        costs: dict[str, list[Cost]] = {served.name: [] for served in serving}
        for _ in range(self._rounds):
            for served in serving:
                try:
                    costs[served.name].append(run(served))
                except LoadError as error:
                    if served.name not in PEERS:
                        raise
                    _say(f"  {served.name} is left out of this round: {error}")
        return costs

    def _stalled(self, serving: list[Served]) -> None:
        each = {s.name: _short(comings.stall(s)) for s in serving if s.name != LIMIT}
        self.figures["stalled_rss_mb_each"] = each[OURS]
        self.by_server["stalled_rss_mb_each"] = each


def _median(costs: list[Cost], field: str) -> float:
    return _short(statistics.median(getattr(cost, field) for cost in costs))


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
