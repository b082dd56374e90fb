"""The golden files, which the browser's tests read as well, hold for the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest

from server.core import codec, polls, strokes, text
from server.core.access import Standing
from server.core.errors import ProtocolError, Refusal
from server.core.ids import NOBODY, Epoch, PersonId, RoomId
from server.core.messages import ClientMessage, Moderate, ServerMessage
from server.core.moderation import Decider
from server.core.records import Change, Record
from server.core.room import Request, Room, Settled, Taken
from tests.golden.make_protocol import unhexed

FOLDER = Path(__file__).parents[2] / "golden" / "protocol"
Json = dict[str, Any]


def golden(name: str) -> Json:
    content: Json = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return content


def named(cases: list[Json]) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in cases]


def client_message(content: object) -> ClientMessage:
    message: ClientMessage = msgspec.convert(
        unhexed(content), ClientMessage, builtin_types=(bytes,)
    )
    return message


@pytest.mark.parametrize("case", named(golden("frames")["client"]))
def test_s1_a_golden_frame_of_a_client_means_what_it_says(case: Json) -> None:
    assert codec.decode(bytes.fromhex(case["hex"])) == client_message(case["message"])


@pytest.mark.parametrize("case", named(golden("frames")["server"]))
def test_s1_a_golden_frame_of_the_server_means_what_it_says(case: Json) -> None:
    message: ServerMessage = msgspec.convert(
        unhexed(case["message"]), ServerMessage, builtin_types=(bytes,)
    )
    assert msgpack.unpackb(codec.encode(message)) == unhexed(case["message"])
    assert codec.decode_server(bytes.fromhex(case["hex"])) == message


@pytest.mark.parametrize("case", named(golden("frames")["bad"]))
def test_s2_a_bad_golden_frame_is_a_protocol_error(case: Json) -> None:
    with pytest.raises(ProtocolError) as caught:
        codec.decode(bytes.fromhex(case["hex"]))
    assert caught.value.code == 4400
    assert caught.value.reason


@pytest.mark.parametrize("case", golden("text")["apply"])
def test_r7_golden_deltas_apply(case: Json) -> None:
    assert text.apply(case["text"], case["delta"]) == case["result"]


@pytest.mark.parametrize("case", golden("text")["bad"])
def test_r7_golden_bad_deltas_are_refused(case: Json) -> None:
    with pytest.raises(text.DeltaError):
        text.apply(case["text"], case["delta"])


@pytest.mark.parametrize("case", golden("text")["transform"])
def test_r7_golden_deltas_transform_so_that_both_orders_agree(case: Json) -> None:
    first, second = case["first"], case["second"]
    late = text.transform(second, first, first=False)
    early = text.transform(first, second, first=True)

    assert late == case["second_after_first"]
    assert early == case["first_after_second"]
    assert text.apply(text.apply(case["text"], first), late) == case["result"]
    assert text.apply(text.apply(case["text"], second), early) == case["result"]


@pytest.mark.parametrize("case", golden("strokes")["decode"])
def test_r8_golden_strokes_decode(case: Json) -> None:
    points = strokes.decode_points(bytes.fromhex(case["hex"]))
    assert points == [tuple(point) for point in case["points"]]


@pytest.mark.parametrize("case", golden("strokes")["encode"])
def test_r8_golden_strokes_encode(case: Json) -> None:
    assert strokes.encode_points(case["points"]).hex() == case["hex"]


@pytest.mark.parametrize("case", golden("strokes")["bad"])
def test_r8_golden_bad_strokes_are_refused(case: str) -> None:
    with pytest.raises(strokes.GeometryError):
        strokes.decode_points(bytes.fromhex(case))


@pytest.mark.parametrize("script", named(golden("room")["scripts"]))
def test_r1_a_room_follows_its_golden_script(script: Json) -> None:
    room = Room(RoomId("r" * 22), Epoch("e1"))
    for step in script["steps"]:
        take_step(room, step)

    expected = msgspec.convert(unhexed(script["records"]), list[Record], builtin_types=(bytes,))
    assert room.records == {record.id: record for record in expected}


def take_step(room: Room, step: Json) -> None:
    by = PersonId(step["by"])
    if "append" in step:
        made = room.append(changes_of(step["append"]), by, at_ms=0)
        assert isinstance(made, Taken)
        assert_applied(made, step["append"])
        return
    request = client_message(step["send"])
    seq = room.seq
    if "refused" in step:
        with pytest.raises(Refusal) as caught:
            ask(room, request, by)
        assert caught.value.code == step["refused"]
        assert room.seq == seq
        return
    outcome = ask(room, request, by)
    if "ack" in step:
        assert outcome == Settled(step["ack"])
        return
    assert isinstance(outcome, Taken)
    assert_applied(outcome, step["applied"])
    assert outcome.as_asked == (step["author"] == "ack")
    others = changes_of(step["others"] if "others" in step else step["applied"])
    assert polls.shown_changes(outcome.entry.changes, NOBODY) == others


def ask(room: Room, request: ClientMessage, by: PersonId) -> Taken | Settled:
    """Ann is the host of every script."""
    standing = Standing("host" if by == "ann" else "editor")
    if isinstance(request, Moderate):
        return room.moderate(request, Decider(person=by, now_ms=0), standing)
    assert isinstance(request, Request)
    return room.request(request, by, at_ms=0, standing=standing)


def assert_applied(taken: Taken, message: Json) -> None:
    entry = taken.entry
    assert entry.changes == changes_of(message)
    assert (entry.seq, entry.id, entry.by) == (message["seq"], message["id"], message["by"])


def changes_of(message: Json) -> list[Change]:
    changes: list[Change] = msgspec.convert(
        unhexed(message["changes"]), list[Change], builtin_types=(bytes,)
    )
    return changes
