"""What people ask for in a benchmark: requests by their moments, the same for every arm.

Everything follows from the given seed. Knows nothing of arms or engines.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpu.api import Job, JobId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpu.api import Sampler

STEPS = 12
"""As the embedded model advises."""
PROMPTS = ("a red heart", "a cat", "a castle", "a rocket")
"""Of one length for any text encoder: rivals need not know of longer ones."""
_SAMPLERS: tuple[Sampler, ...] = ("dpmpp_2m", "euler", "euler_a", "ddim")


@dataclass(frozen=True, slots=True)
class Request:
    at_s: float
    job: Job
    cancelled_at_s: float | None = None


class Maker:
    """Makes jobs of one shape, each with a seed of its own, so that none was done before."""

    def __init__(self, side_px: int, seed: int) -> None:
        self.rng = random.Random(seed)
        self._side_px = side_px
        self._seed = seed
        self._number = 0

    def job(self, room: str, slot: str = "", **fields: Any) -> Job:
        self._number += 1
        name = f"{self._seed}-{self._number}"
        given: dict[str, Any] = {
            "id": JobId(name),
            "room": room,
            "person": f"{room}-ann",
            "slot": slot or name,
            "prompt": self.rng.choice(PROMPTS),
            "width": self._side_px,
            "height": self._side_px,
            "steps": STEPS,
            "guidance": 1.0,
            "seed": self._seed * 100_000 + self._number,
        }
        return Job(**{**given, **fields})


def saturation(maker: Maker, num: int) -> list[Request]:
    """All at once, from eight rooms."""
    return [Request(0.0, maker.job(f"room{n % 8}")) for n in range(num)]


def poisson(maker: Maker, per_s: float, seconds: float) -> list[Request]:
    """Independent requests from sixteen rooms."""
    found = []
    at_s = maker.rng.expovariate(per_s)
    while at_s < seconds:
        found.append(Request(at_s, maker.job(f"room{maker.rng.randrange(16)}")))
        at_s += maker.rng.expovariate(per_s)
    return found


def rooms(
    maker: Maker, num_rooms: int, per_s: float, seconds: float, pace: float = 1.0
) -> list[Request]:
    """A live frame in each room, edited in bursts: 3 to 7 edits 150 to 400 ms apart, then a rest.

    Each room makes `per_s` edits a second on average; all gaps are `pace` times as long.
    """
    found = []
    for number in range(num_rooms):
        for at_s in _bursts(maker.rng, per_s, seconds, pace):
            room = f"room{number}"
            found.append(Request(at_s, maker.job(room, slot=f"{room}-frame", live=True)))
    return sorted(found, key=lambda request: request.at_s)


def _bursts(rng: random.Random, per_s: float, seconds: float, pace: float) -> Iterator[float]:
    mean_edits, mean_gap_s = 5.0, 0.275 * pace
    rest_s = max(0.2 * pace, mean_edits / per_s - (mean_edits - 1) * mean_gap_s)
    at_s = rng.uniform(0, mean_edits / per_s)
    while at_s < seconds:
        for _ in range(rng.randint(3, 7)):
            if at_s < seconds:
                yield at_s
            at_s += pace * rng.uniform(0.15, 0.4)
        at_s += rng.expovariate(1 / rest_s)


def mixed(maker: Maker, per_s: float, seconds: float) -> list[Request]:
    """Steps, guidance, samplers and two sizes in any combination."""
    rng = maker.rng
    found = []
    for request in poisson(maker, per_s, seconds):
        side_px = request.job.width * rng.choice((1, 1, 1, 2))
        job = maker.job(
            request.job.room,
            width=side_px,
            height=side_px,
            steps=rng.choice((8, 12, 20, 30)),
            guidance=rng.choice((1.0, 3.0, 5.0)),
            sampler=rng.choice(_SAMPLERS),
        )
        found.append(Request(request.at_s, job))
    return found


def storm(maker: Maker, seconds: float, every_s: float, num_open: int = 24) -> list[Request]:
    """Long jobs, of which one is cancelled at every turn, for which another one comes."""
    jobs = [maker.job(f"room{n % 8}", steps=150) for n in range(num_open)]
    begun = {job.id: (0.0, job) for job in jobs}
    found = []
    at_s = seconds / 8
    while at_s < seconds:
        gone = maker.rng.choice(list(begun))
        since_s, job = begun.pop(gone)
        found.append(Request(since_s, job, at_s))
        new = maker.job(f"room{maker.rng.randrange(8)}", steps=150)
        begun[new.id] = (at_s, new)
        at_s += every_s
    found += [Request(since_s, job, seconds) for since_s, job in begun.values()]
    return sorted(found, key=lambda request: request.at_s)
