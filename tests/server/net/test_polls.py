"""Ballots go to nobody but whose they are, whichever way one asks. Rule T13."""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import TYPE_CHECKING

import httpx
import pytest

from server.client import RoomClient
from server.core import codec
from server.core.deeds import OpenPoll, Reveal
from server.core.polls import POLL_ID, ballot_id
from server.core.records import Ballot, Note, Poll, Put
from tests.server.net.serving import Served, serving, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.core.messages import ServerMessage

pytestmark = pytest.mark.anyio


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(settings_for(tmp_path)) as served:
        yield served


def notes() -> list[Put]:
    return [Put(Note(id=id, z="a0", x=0.0, y=0.0)) for id in ("note-a", "note-b")]


async def test_t13_ballots_are_hidden_on_the_server(served: Served) -> None:
    heard: list[ServerMessage] = []
    async with (
        RoomClient(served.url, served.new_room_id(), on_message=heard.append) as ann,
        RoomClient(served.url, ann.room) as bo,
        RoomClient(served.url, ann.room, key=bo.key) as bo_at_home,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        await ann.submit(*notes())
        await ann.decide(OpenPoll(over="notes", dots=2))
        await bo.until(lambda bo: POLL_ID in bo.records)
        seq = await bo.vote({"note-b": 2})
        await ann.until(lambda ann: ann.seq == seq)
        await bo_at_home.until(lambda bo: bo.seq == seq)
        mine = Ballot(id=ballot_id(bo.person), by=bo.person, dots={"note-b": 2})
        assert bo.records[mine.id] == bo_at_home.records[mine.id] == mine

        async with RoomClient(served.url, ann.room) as late:
            assert mine.id not in late.records
            poll = late.records[POLL_ID]
            assert isinstance(poll, Poll)
            assert (poll.voters, poll.tally) == (1, {})
        async with RoomClient(served.url, ann.room, key=bo.key) as again:
            assert again.records[mine.id] == mine

        badge = {"authorization": f"Bearer {ann.badge}"}
        history = await http.get(f"/rooms/{ann.room}/history", headers=badge)
        saved = await http.get(f"/rooms/{ann.room}/archive", headers=badge)
        with zipfile.ZipFile(BytesIO(saved.content)) as archive:
            told = history.content + archive.read("records.jsonl")
        told += b"".join(map(codec.encode, heard))
        assert b":ballot:" not in told
        assert mine.id not in ann.records

        seq = await ann.decide(Reveal())
        for client in (ann, bo, bo_at_home):
            await client.until(lambda client: client.seq == seq)
            poll = client.records[POLL_ID]
            assert isinstance(poll, Poll)
            assert poll.tally == {"note-b": 2}
            assert mine.id not in client.records


async def test_t13_who_resumes_misses_nothing_and_sees_no_more(served: Served) -> None:
    async with (
        RoomClient(served.url, served.new_room_id()) as ann,
        RoomClient(served.url, ann.room) as bo,
        RoomClient(served.url, ann.room) as cat,
    ):
        await ann.submit(*notes())
        await ann.decide(OpenPoll(over="notes", dots=2))
        await cat.until(lambda cat: POLL_ID in cat.records)
        await cat.close()
        seq = await bo.vote({"note-a": 1})
        await cat.connect()
        assert cat.welcome is not None
        assert cat.welcome.mode == "tail"
        assert cat.seq == seq
        assert ballot_id(bo.person) not in cat.records


async def test_t13_ballots_outlive_a_restart(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    async with (
        serving(settings) as served, RoomClient(served.url, served.new_room_id()) as ann
    ):  # fmt: skip
        await ann.submit(*notes())
        await ann.decide(OpenPoll(over="notes", dots=2))
        await ann.vote({"note-a": 2})
    async with (
        serving(settings) as served, RoomClient(served.url, ann.room, key=ann.key) as again
    ):  # fmt: skip
        ballot = again.records[ballot_id(again.person)]
        assert isinstance(ballot, Ballot)
        assert ballot.dots == {"note-a": 2}
