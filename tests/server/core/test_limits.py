"""Token buckets, and what one may do to another by using them up. Rules L4, L5, S11."""

from __future__ import annotations

import msgspec
import pytest

from server.core.access import Grant
from server.core.limits import (
    MIN_TIDIED,
    Buckets,
    FlowLimits,
    Kind,
    Meter,
    Rate,
    Rates,
    TokenBucket,
)
from server.core.tickets import MAX_TICKETS, Tickets
from server.settings import SettingsError, from_command_line
from tests.support.sessions import new_meter

FEW, MANY = Rate(1, 3), Rate(1_000, 1_000)
WHOSE = ("connection", "person", "room", "address")
KINDS: tuple[Kind, ...] = ("ops", "ink", "cursors", "blobs", "pictures")


def only(whose: str) -> Rates:
    return Rates(*(FEW if name == whose else MANY for name in WHOSE))


def meters(limits: FlowLimits, shared: str) -> tuple[Meter, Meter]:
    """Two that have only `shared` in common."""
    buckets = Buckets(limits)
    made = []
    for number in ("1", "2"):
        of = {name: name if name == shared else f"{name}{number}" for name in WHOSE}
        meter = new_meter(buckets, of["room"], of["connection"], of["address"])
        meter.belongs_to(of["person"])
        made.append(meter)
    return made[0], made[1]


def taken(meter: Meter, kind: Kind, now: float = 0.0) -> int:
    return sum(meter.take(kind, now) for _ in range(10))


@pytest.mark.parametrize("whose", WHOSE)
@pytest.mark.parametrize("kind", KINDS)
def test_l4_each_kind_is_counted_for_connection_person_room_and_address(
    kind: Kind, whose: str
) -> None:
    limits = msgspec.structs.replace(FlowLimits(), **{kind: only(whose)})
    one, other = meters(limits, shared=whose)
    assert taken(one, kind) == 3
    assert taken(other, kind) == 0
    assert taken(one, kind, now=2.0) == 2
    apart = next(name for name in WHOSE if name != whose)
    one, other = meters(limits, shared=apart)
    assert taken(one, kind) == taken(other, kind) == 3


def test_l4_what_is_refused_uses_up_nothing_of_the_others() -> None:
    limits = FlowLimits(ops=Rates(FEW, MANY, Rate(1, 6), MANY))
    one, other = meters(limits, shared="room")
    for _ in range(100):
        one.take("ops", 0.0)
    assert taken(other, "ops") == 3


def test_l5_by_the_usual_limits_no_one_can_use_up_what_a_room_has() -> None:
    limits = FlowLimits()
    for kind in KINDS:
        rates: Rates = getattr(limits, kind)
        for most in ("per_s", "burst"):
            connection, person, room, address = (
                getattr(getattr(rates, whose), most) for whose in WHOSE
            )
            assert connection <= person <= address <= room, kind
            assert room >= 3 * person, kind


def test_l4_links_are_counted_by_address() -> None:
    buckets = Buckets(FlowLimits(links=FEW))
    assert [buckets.take_link("a", 0.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert buckets.take_link("b", 0.0)
    assert buckets.take_link("a", 1.0)


def test_l4_buckets_that_filled_up_again_are_forgotten() -> None:
    buckets = Buckets(FlowLimits(links=FEW))
    for second in range(4 * MIN_TIDIED):
        buckets.take_link(f"address-{second}", float(second))
    assert buckets.num_buckets <= 2 * MIN_TIDIED


def test_l4_who_holds_a_bucket_that_was_forgotten_shares_the_new_one() -> None:
    limits = msgspec.structs.replace(FlowLimits(), ops=only("address"))
    buckets = Buckets(limits)
    one, other = (new_meter(buckets, "room", id) for id in ("1", "2"))
    assert taken(one, "ops", now=0.0) == 3
    for number in range(2 * MIN_TIDIED):
        buckets.take_link(f"address-{number}", now=1_000.0)
    assert taken(other, "ops", now=1_000.0) == 3
    assert taken(one, "ops", now=1_000.0) == 0


def test_l4_rates_are_written_as_they_are_read() -> None:
    rates = FlowLimits().ops
    assert Rates.parse(str(rates)) == rates
    assert Rate.parse("0.5/10") == Rate(0.5, 10)
    for bad in ("", "1", "1/2/3", "0/5", "1/0", "-1/5", "nan/5", "1/inf", "x/5"):
        with pytest.raises(ValueError, match=r"expected|could not|not enough|too many"):
            Rate.parse(bad)
    with pytest.raises(ValueError, match="expected a rate for each"):
        Rates.parse("1/2 1/2 1/2")


def test_l4_limits_are_settings() -> None:
    given = ["--rate-ops", "1/2 3/4 5/6 7/8", "--rate-links=0.5/9", "--max-room-records", "7"]
    settings = from_command_line(given, {"ATELIER_RATE_INK": "1/1 1/1 1/1 1/1"})
    assert settings.flow_limits.ops == Rates(Rate(1, 2), Rate(3, 4), Rate(5, 6), Rate(7, 8))
    assert settings.flow_limits.links == Rate(0.5, 9)
    assert settings.flow_limits.cursors == FlowLimits().cursors
    assert settings.room_limits.max_records == 7
    with pytest.raises(SettingsError, match="expected four rates such as 10/60"):
        from_command_line(["--rate-ops", "1/2"], {})
    with pytest.raises(SettingsError, match="expected a rate such as 10/60"):
        from_command_line(["--rate-links", "often"], {})


def test_s11_a_bucket_gives_one_after_a_burst_only_with_time() -> None:
    bucket = TokenBucket(Rate(per_s=2, burst=1), now=0.0)
    assert [bucket.take(now) for now in (0.0, 0.4, 0.5, 0.9, 1.0)] == [
        True, False, True, False, True,
    ]  # fmt: skip


def test_a14_a_ticket_is_good_once_for_one_room_and_not_for_long() -> None:
    tickets = Tickets(lasts_s=30.0)
    grant = Grant(invite=":invite:one")
    first, second, third = (tickets.issue("room", grant, now=0.0) for _ in range(3))
    assert tickets.redeem("room", first, now=29.0) == grant
    assert tickets.redeem("room", first, now=29.0) is None
    assert tickets.redeem("other", second, now=1.0) is None
    assert tickets.redeem("room", second, now=1.0) is None
    assert tickets.redeem("room", third, now=30.0) is None
    assert tickets.redeem("room", "", now=0.0) is None


def test_a14_the_oldest_tickets_make_room_for_new_ones() -> None:
    tickets = Tickets(lasts_s=30.0)
    oldest = tickets.issue("room", Grant(), now=0.0)
    for _ in range(MAX_TICKETS):
        newest = tickets.issue("room", Grant(), now=0.0)
    assert tickets.redeem("room", oldest, now=0.0) is None
    assert tickets.redeem("room", newest, now=0.0) == Grant()
