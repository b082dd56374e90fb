"""Who gets into a room, and who has to leave it, over real sockets. Rules A1 to A15, L2, L3."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import httpx
import jwt
import pytest
import websockets
from websockets.asyncio.client import connect

from server.client import Disconnected, RoomClient
from server.core import codec
from server.core.deeds import (
    Ban,
    Clear,
    Kick,
    MakeInvite,
    Mute,
    Revoke,
    SetAccess,
    SetLock,
    SetRole,
    TakeBack,
)
from server.core.errors import Refusal
from server.core.ids import RoomId, new_room_id
from server.core.limits import FlowLimits, Rate, Rates
from server.core.messages import Generate, Hello, Ink, PeerInk, Presence, Refused, ServerMessage
from server.core.records import Frame, Invite, Layer, Member, Patch, Put
from tests.server.net.serving import Served, serving, settings_for
from tests.server.net.test_http import path, picture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.hosted import HostedRoom
    from server.seats import Seat

pytestmark = pytest.mark.anyio
TOKEN_KEY = "k" * 32
FRAME = Frame(id="frame", z="a0", x=0.0, y=0.0, w=64.0, h=64.0)


@pytest.fixture(params=[True, False], ids=["direct", "asgi"])
async def served(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(settings_for(tmp_path, token_key=TOKEN_KEY), direct=request.param) as served:
        yield served


@pytest.fixture
async def ann(served: Served) -> AsyncIterator[RoomClient]:
    """The host of a room."""
    async with RoomClient(served.url, served.new_room_id(), name="Ann") as ann:
        yield ann


def layer(id: str) -> Put:
    return Put(Layer(id=id, z="a0"))


def guest(of: RoomClient, **how: object) -> RoomClient:
    return RoomClient(of.server, of.room, **how)  # type: ignore[arg-type]


def token(room: str, role: str = "editor", sub: str = "bob") -> str:
    claims = {"room": room, "role": role, "sub": sub, "name": "Bob", "exp": time.time() + 60}
    return jwt.encode(claims, TOKEN_KEY)


def role_of(client: RoomClient) -> str:
    assert client.welcome is not None
    me = client.people[client.welcome.session]
    return "muted" if me.muted else me.role


async def closing(client: RoomClient) -> int:
    with pytest.raises(Disconnected) as caught:
        await client.until(lambda _: False)
    return caught.value.code


async def refused_entry(client: RoomClient) -> tuple[int, str]:
    with pytest.raises(Disconnected) as caught:
        await client.connect()
    return caught.value.code, caught.value.reason


async def test_a1_who_comes_first_has_made_the_room_and_is_its_host(
    served: Served, ann: RoomClient
) -> None:
    assert role_of(ann) == "host"
    async with guest(ann) as bob:
        assert role_of(bob) == "editor"
    await ann.close()
    async with guest(ann, key=ann.key) as again:
        assert role_of(again) == "host"
    foreign = RoomId(new_room_id(bytes(32)))
    assert (await refused_entry(RoomClient(served.url, foreign)))[0] == 4404
    assert (await refused_entry(RoomClient(served.url, "r" * 22)))[0] == 4404


async def test_a3_a_link_lets_in_with_its_role_until_it_is_revoked(ann: RoomClient) -> None:
    await ann.decide(SetAccess(open=False))
    links = {role: await ann.invite(MakeInvite(role=role)) for role in ("editor", "viewer")}
    async with guest(ann, link=links["editor"]) as bob, guest(ann, link=links["viewer"]) as cat:
        assert (role_of(bob), role_of(cat)) == ("editor", "viewer")
        (invite,) = [
            r for r in bob.records.values() if isinstance(r, Invite) and r.role == "editor"
        ]
        assert links["editor"].partition(".")[2] not in repr(bob.records)
        async with asyncio.timeout(1):
            await ann.decide(Revoke(invite=invite.id))
            assert await closing(bob) == 4403
        assert (await refused_entry(bob))[0] == 4404
        await cat.until(lambda client: invite.id not in client.records)


async def test_a3_who_came_by_a_link_that_expires_is_out_with_the_next_sweep(
    served: Served, ann: RoomClient
) -> None:
    await ann.decide(SetAccess(open=False))
    now_ms = served.hub.now_ms()
    link = await ann.invite(MakeInvite(role="editor", expires_ms=now_ms + 60_000))
    async with guest(ann, link=link) as bob:
        served.hub.sweep()
        await bob.submit(layer("one"))
        served.hub.clock_ms = lambda: now_ms + 60_000
        with pytest.raises(Refusal, match="viewer"):
            await bob.submit(layer("two"))
        served.hub.sweep()
        assert await closing(bob) == 4403
        assert (await refused_entry(bob))[0] == 4404


async def test_a4_absent_and_forbidden_look_the_same_and_take_the_same_time(
    tmp_path: Path,
) -> None:
    async with serving(settings_for(tmp_path, refusal_s=1.0)) as served:
        waits: list[float] = []
        times = iter(range(1_000_000))
        served.hub.clock = lambda: next(times) / 1_000_000

        async def wait(seconds: float) -> None:
            waits.append(seconds)

        served.hub.sleep = wait
        async with RoomClient(served.url, served.new_room_id()) as ann:
            await ann.decide(SetAccess(open=False))
            absent = RoomClient(served.url, new_room_id(bytes(32)))
            assert await refused_entry(guest(ann)) == await refused_entry(absent)
            bad_link, worse = guest(ann, link="op-00000.x"), guest(absent, link="op-00000.x")
            assert await refused_entry(bad_link) == await refused_entry(worse)
            bad_token, worse = guest(ann, token="x.y.z"), guest(absent, token="x.y.z")
            assert await refused_entry(bad_token) == await refused_entry(worse)
        # Each waited for what was left of the same second.
        assert len(waits) == 6
        assert all(0.999 < wait < 1.0 for wait in waits)


async def test_a4_closing_a_room_sends_strangers_out_and_opening_lets_them_watch(
    ann: RoomClient,
) -> None:
    async with guest(ann) as bob, guest(ann) as cat:
        await ann.decide(SetRole(person=cat.person, role="editor"))
        await ann.decide(SetAccess(open=False))
        assert await closing(bob) == 4403
        await cat.submit(layer("one"))
        await ann.decide(SetAccess(open=True, role="viewer"))
        async with guest(ann) as dan:
            assert role_of(dan) == "viewer"
            with pytest.raises(Refusal, match="viewer"):
                await dan.submit(layer("two"))
            await ann.decide(SetAccess(open=True, role="editor"))
            await dan.until(lambda client: role_of(client) == "editor")
            await dan.submit(layer("two"))


async def test_a5_viewers_and_muted_people_change_nothing_but_are_seen(ann: RoomClient) -> None:
    heard: list[ServerMessage] = []
    await ann.submit(Put(FRAME))
    link = await ann.invite(MakeInvite(role="viewer"))
    async with (
        guest(ann, on_message=heard.append) as dan,
        guest(ann, link=link) as cat,
        guest(ann) as bob,
    ):
        await ann.decide(Mute(person=bob.person, muted=True))
        await bob.until(lambda client: role_of(client) == "muted")
        for client, code in ((cat, "viewer"), (bob, "muted")):
            with pytest.raises(Refusal, match=code):
                await client.submit(Patch("frame", {"steps": 5}))
            with pytest.raises(Refusal, match=code):
                await client.undo()
            assert await asked(client, Generate(id="job-one", frame="frame")) == code
            await client.send(Ink(stroke="s", first=0, points=bytes(13)))
            await client.send(Presence(cursor=(1.0, 2.0), tool="pan"))
            assert await uploaded(client) == (403, code)
        await dan.until(lambda _: sum(type(m).__name__ == "PeerPresence" for m in heard) >= 2)
        assert not any(isinstance(message, PeerInk) for message in heard)
        await ann.decide(Mute(person=bob.person, muted=False))
        await bob.submit(Patch("frame", {"steps": 5}))


async def asked(client: RoomClient, request: Generate) -> str:
    """The code with which a request is refused."""
    told: list[str] = []

    def hear(message: ServerMessage) -> None:
        if isinstance(message, Refused) and message.id == request.id:
            told.append(message.code)

    client.on_message = hear
    await client.send(request)
    await client.until(lambda _: bool(told))
    return told[0]


async def uploaded(client: RoomClient, badge: str | None = None) -> tuple[int, str]:
    data = picture()
    badge = client.badge if badge is None else badge
    async with httpx.AsyncClient(base_url=client.server, trust_env=False) as http:
        headers = {b"authorization": f"Bearer {badge}".encode()} if badge else {}
        answer = await http.put(path(client.room, data), content=data, headers=headers)
    return answer.status_code, answer.json().get("error", "")


async def test_a6_what_is_locked_makes_no_pictures_but_for_hosts(ann: RoomClient) -> None:
    await ann.submit(Put(FRAME))
    await ann.decide(SetLock(record="frame", locked=True))
    async with guest(ann) as bob:
        assert await asked(bob, Generate(id="job-bob", frame="frame")) == "locked"
        with pytest.raises(Refusal, match="locked"):
            await bob.submit(Patch("frame", {"steps": 5}))
        job = await ann.generate("frame")
        await bob.until(lambda client: f"{job}-0" in client.records)
        with pytest.raises(Refusal, match="locked"):
            await bob.accept(f"{job}-0")


async def test_a7_nobody_gives_themselves_a_role(ann: RoomClient) -> None:
    async with guest(ann) as bob:
        member = Member(id=f":member:{bob.person}", person=bob.person, role="host")
        for change in (Put(member), Patch(f":member:{ann.person}", {"role": "viewer"})):
            with pytest.raises(Refusal, match="server_owned"):
                await bob.submit(change)
        with pytest.raises(Refusal, match="not_host"):
            await bob.decide(SetRole(person=bob.person, role="host"))
        assert role_of(bob) == "editor"


async def test_a8_who_is_kicked_is_out_and_may_come_again(ann: RoomClient) -> None:
    async with guest(ann) as bob, guest(ann, key=bob.key) as also_bob:
        await ann.decide(Kick(person=bob.person))
        assert await closing(bob) == await closing(also_bob) == 4410
        await ann.until(lambda client: len(client.people) == 1)
        await bob.connect()


async def test_a8_a_ban_outlives_the_server(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, token_key=TOKEN_KEY)
    async with (
        serving(settings) as served,
        RoomClient(served.url, served.new_room_id()) as ann,
        guest(ann) as bob,
        guest(ann, token=token(ann.room)) as cat,
    ):
        for person in (bob.person, cat.person):
            await ann.decide(Ban(person=person, banned=True))
        assert await closing(bob) == await closing(cat) == 4411
    async with serving(settings) as served:
        for client in (bob, cat):
            client.server = served.url
            assert (await refused_entry(client))[0] == 4404
        cat.token = token(ann.room, role="host")
        cat.key = bytes(16)
        assert (await refused_entry(cat))[0] == 4404, "it is the person who is banned"
        ann.server = served.url
        async with ann:
            assert role_of(ann) == "host"
            await ann.decide(Ban(person=bob.person, banned=False))
            await bob.connect()
            await bob.close()


async def test_a8_a9_what_is_being_made_ends_with_its_maker(
    served: Served, ann: RoomClient
) -> None:
    async with guest(ann) as bob, guest(ann) as cat:
        told = served.generation.told
        for deed, person in (
            (Clear(), None), (TakeBack(person=bob.person), bob.person),
            (Ban(person=bob.person, banned=True), bob.person),
        ):  # fmt: skip
            with pytest.raises(Refusal, match="not_host"):
                await cat.decide(deed)
            told.clear()
            await ann.decide(deed)
            assert f"withdraw {person}" in told
        with pytest.raises(Refusal, match="yourself"):
            await ann.decide(Ban(person=ann.person, banned=True))
        assert f"withdraw {ann.person}" not in told


async def test_a9_what_somebody_did_is_taken_back_and_a_room_cleared(ann: RoomClient) -> None:
    async with guest(ann) as bob:
        await ann.submit(layer("anns"))
        await bob.submit(layer("bobs"), Patch("anns", {"name": "x"}))
        bobs = bob.person
    await ann.decide(TakeBack(person=bobs))
    async with guest(ann) as cat:
        assert cat.canvas == {"anns": Layer(id="anns", z="a0", by=ann.person)}
        await ann.decide(Clear())
        await cat.until(lambda client: not client.canvas)
        assert cat.records == ann.records
        await ann.undo()
        await cat.until(lambda client: client.canvas.keys() == {"anns"})


async def test_a10_what_hosts_decide_is_in_the_log_and_survives_a_restart(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, snapshot_every=3)
    async with (
        serving(settings) as served,
        RoomClient(served.url, served.new_room_id()) as ann,
        guest(ann) as bob,
    ):
        await ann.submit(Put(FRAME))
        await ann.decide(SetRole(person=bob.person, role="viewer"))
        await ann.decide(SetAccess(open=False))
        await ann.decide(SetLock(record="frame", locked=True))
        link = await ann.invite(MakeInvite(role="editor"))
        await bob.until(lambda client: client.seq == ann.seq)
        assert bob.records == ann.records
        kept = dict(ann.records)
    async with serving(settings) as served:
        bob.server = served.url
        async with bob:
            assert bob.records == kept
            assert role_of(bob) == "viewer"
            async with guest(bob, link=link) as cat:
                assert role_of(cat) == "editor"


async def test_a11_a_token_of_another_login_lets_in_with_its_role_and_name(
    ann: RoomClient,
) -> None:
    await ann.decide(SetAccess(open=False))
    async with (
        guest(ann, token=token(ann.room)) as bob,
        guest(ann, token=token(ann.room), key=bytes(16)) as elsewhere,
    ):
        assert bob.person == elsewhere.person != ann.person
        assert role_of(bob) == "editor"
        assert ann.people[bob.welcome.session].name == "Bob"  # type: ignore[union-attr]


async def test_a11_who_comes_first_by_a_token_is_what_it_says(served: Served) -> None:
    room = served.new_room_id()
    async with RoomClient(served.url, room, token=token(room)) as bob:
        assert role_of(bob) == "editor"
        with pytest.raises(Refusal, match="not_host"):
            await bob.decide(Clear())
        async with guest(bob, token=token(room, "host", "ann")) as ann:
            await ann.decide(SetAccess(open=False))


async def test_a12_a_trusted_proxy_says_who_somebody_is(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, proxy_header="X-User", trusted_proxies="127.0.0.1")
    async with serving(settings) as served:
        room = served.new_room_id()
        persons = []
        for user, key in (("ann", bytes(16)), ("ann", bytes(17)), ("bob", bytes(16))):
            uri = f"{served.url.replace('http', 'ws')}/ws/{room}"
            async with connect(uri, additional_headers={"X-User": user}, proxy=None) as socket:
                await socket.send(codec.encode(Hello(protocol=1, key=key)))
                welcome = codec.decode_server(await socket.recv(decode=False))
                persons.append(welcome.person)  # type: ignore[union-attr]
        assert persons[0] == persons[1] != persons[2]


async def test_a14_a_ticket_opens_one_socket(served: Served, ann: RoomClient) -> None:
    link = await ann.invite(MakeInvite(role="viewer"))
    async with httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
        asked = await http.post(f"/rooms/{ann.room}/tickets", json={"link": link})
        assert asked.status_code == 201
        assert asked.headers["cache-control"] == "no-store"
        ticket = asked.json()["ticket"]
        uri = f"{served.url.replace('http', 'ws')}/ws/{ann.room}?ticket="
        async with connect(uri + ticket, proxy=None) as socket:
            await socket.send(codec.encode(Hello(protocol=1, key=bytes(16))))
            await socket.recv()
        for bad in (ticket, "", "é", "x" * 5_000):
            async with connect(uri + bad, proxy=None) as socket:
                with pytest.raises(websockets.ConnectionClosed):
                    await socket.recv()
                assert socket.close_code == 4401, bad


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"link": 5}', b'{"more": ""}', b'{"link": "' + b"x" * 300 + b'"}',
             b'{"link": "' + b"x" * 20_000 + b'"}']
)  # fmt: skip
async def test_a14_nonsense_instead_of_a_link_is_told_so(ann: RoomClient, body: bytes) -> None:
    async with httpx.AsyncClient(base_url=ann.server, trust_env=False) as http:
        answer = await http.post(f"/rooms/{ann.room}/tickets", content=body)
        assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
        foreign = await http.post(
            f"/rooms/{ann.room}/tickets", content=body, headers={"origin": "http://evil.example"}
        )
        assert (foreign.status_code, foreign.json()["error"]) == (403, "bad_origin")


async def test_a15_pictures_are_stored_for_those_who_are_in_the_room(
    served: Served, ann: RoomClient
) -> None:
    assert await uploaded(ann) == (201, "")
    for badge in ("", "x", "é", ann.badge[:-1]):
        assert await uploaded(ann, badge) == (404, "no_room")
    async with RoomClient(served.url, served.new_room_id()) as other:
        assert await uploaded(ann, other.badge) == (404, "no_room")
    badge = ann.badge
    await ann.close()
    assert await uploaded(ann, badge) == (404, "no_room")


@pytest.mark.parametrize("is_ban", [True, False], ids=["ban", "mute"])
async def test_a15_what_a_host_decides_while_a_picture_is_sent_counts(
    served: Served, ann: RoomClient, is_ban: bool
) -> None:
    data, begun, find = picture(), asyncio.Event(), served.hub.seat_of

    def seat_of(room: RoomId, badge: str) -> tuple[HostedRoom, Seat] | None:
        begun.set()
        return find(room, badge)

    served.hub.seat_of = seat_of  # type: ignore[method-assign]
    async with (
        httpx.AsyncClient(base_url=ann.server, trust_env=False) as http,
        guest(ann) as bob,
    ):
        person = bob.person

        async def slowly() -> AsyncIterator[bytes]:
            yield data[:10]
            await begun.wait()
            deed = Ban(person=person, banned=True) if is_ban else Mute(person=person, muted=True)
            await ann.decide(deed)
            yield data[10:]

        headers = {"authorization": f"Bearer {bob.badge}"}
        answer = await http.put(path(ann.room, data), content=slowly(), headers=headers)
        assert answer.status_code in ((403, 404) if is_ban else (403,))
        assert (await http.get(path(ann.room, data))).status_code == 404


async def test_l3_a_room_takes_so_many_people_and_always_a_host(tmp_path: Path) -> None:
    async with (
        serving(settings_for(tmp_path, max_people=2)) as served,
        RoomClient(served.url, served.new_room_id()) as ann,
        guest(ann),
    ):
        assert (await refused_entry(guest(ann)))[0] == 4423
        async with guest(ann, key=ann.key):
            assert len(served.hub.rooms[0].seats) == 3


async def test_l3_one_person_takes_no_more_than_a_third_of_the_places(tmp_path: Path) -> None:
    async with (
        serving(settings_for(tmp_path, max_people=15)) as served,
        RoomClient(served.url, served.new_room_id()) as ann,
        contextlib.AsyncExitStack() as stack,
    ):
        key = bytes(16)
        for _ in range(5):
            await stack.enter_async_context(guest(ann, key=key))
        assert (await refused_entry(guest(ann, key=key)))[0] == 4423
        await stack.enter_async_context(guest(ann))


async def test_l2_a_room_holds_as_much_as_the_settings_say(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, max_room_records=4, max_room_bytes=2_000)
    async with serving(settings) as served, RoomClient(served.url, served.new_room_id()) as ann:
        await ann.submit(layer("one"), layer("two"))
        with pytest.raises(Refusal, match="room_full"):
            await ann.submit(layer("three"))
        await ann.decide(Clear())
        await ann.submit(layer("three"))


async def test_l4_too_many_uploads_and_links_get_429(tmp_path: Path) -> None:
    once = Rate(0.001, 1)
    limits = FlowLimits(blobs=Rates(once, once, once, once), links=once)
    async with (
        serving(settings_for(tmp_path), flow_limits=limits) as served,
        RoomClient(served.url, served.new_room_id()) as ann,
    ):
        assert await uploaded(ann) == (201, "")
        assert await uploaded(ann) == (429, "rate")
        async with guest(ann, link=await ann.invite(MakeInvite(role="viewer"))) as bob:
            assert await refused_entry(guest(bob, link=bob.link)) == (
                4429, "too many tries from here: wait a little",
            )  # fmt: skip
