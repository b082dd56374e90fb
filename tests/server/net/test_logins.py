"""Tokens of another login, and what a trusted proxy says. Rules A11, A12."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import pytest
from starlette.requests import HTTPConnection

from server.core.access import Grant
from server.core.ids import RoomId
from server.net.logins import Logins
from server.settings import Settings, SettingsError, from_command_line

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "k" * 32
ROOM, OTHER = RoomId("r" * 22), RoomId("q" * 22)
NOW_MS = 1_000_000
CLAIMS = {"room": ROOM, "role": "editor", "sub": "bob@example.org", "exp": 1_001, "name": "Bob"}


def logins(**settings: Any) -> Logins:
    return Logins(Settings(**{"token_key": KEY, **settings}))


def token(key: str = KEY, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return jwt.encode(claims, key, algorithm)


def grant(token: str, room: RoomId = ROOM, now_ms: int = NOW_MS) -> Grant | None:
    return logins().grant_of(room, token, now_ms)


def test_a11_a_token_gives_its_role_in_its_room_until_it_expires() -> None:
    assert grant(token()) == Grant(role="editor", login="bob@example.org", name="Bob")
    assert grant(token(name=None, iat=1, jti="x")) == Grant(role="editor", login="bob@example.org")
    assert grant(token(), room=OTHER) is None
    assert grant(token(), now_ms=1_001_000) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "admin"}, {"role": None}, {"sub": ""}, {"sub": None}, {"sub": "x" * 201},
        {"exp": None}, {"exp": "soon"}, {"room": None}, {"name": "x" * 81}, {"name": 5},
    ],
)  # fmt: skip
def test_a11_a_token_that_doesnt_say_all_is_none(changes: dict[str, Any]) -> None:
    assert grant(token(**changes)) is None


def test_a11_a_forged_token_is_none() -> None:
    other = token("x" * 32)
    head, body, signature = token().split(".")
    forged = jwt.encode({**CLAIMS, "role": "host"}, KEY).split(".")[1]
    unsigned = jwt.encode(CLAIMS, "", algorithm="none")
    longer = token("k" * 64, "HS512")
    for bad in (
        other, unsigned, longer, f"{head}.{forged}.{signature}", f"{head}.{body}.", "", "x.y.z",
        "é" * 10,
    ):  # fmt: skip
        assert grant(bad) is None, bad


def test_a11_without_a_key_there_are_no_tokens_and_a_short_key_is_refused() -> None:
    assert logins(token_key="").grant_of(ROOM, token(), NOW_MS) is None
    with pytest.raises(SettingsError, match="at least 32 bytes, got 31"):
        logins(token_key="k" * 31)
    assert from_command_line([], {"ATELIER_TOKEN_KEY": KEY}).token_key == KEY


def connection(peer: str, headers: Mapping[str, str], *more: tuple[str, str]) -> HTTPConnection:
    fields = (*headers.items(), *more)
    raw = [(name.lower().encode(), value.encode()) for name, value in fields]
    return HTTPConnection({"type": "http", "client": (peer, 1234), "headers": raw})


PROXIED = {"proxy_header": "X-Forwarded-User", "trusted_proxies": "10.0.0.0/8, 192.0.2.7"}


@pytest.mark.parametrize(
    ("peer", "headers", "login"),
    [
        ("10.1.2.3", {"X-Forwarded-User": "bob"}, "bob"),
        ("192.0.2.7", {"x-forwarded-user": " bob "}, "bob"),
        ("192.0.2.8", {"X-Forwarded-User": "bob"}, ""),
        ("nonsense", {"X-Forwarded-User": "bob"}, ""),
        ("10.1.2.3", {}, ""),
        ("::ffff:10.1.2.3", {"X-Forwarded-User": "bob"}, "bob"),
        ("::ffff:192.0.2.8", {"X-Forwarded-User": "bob"}, ""),
    ],
)
def test_a12_a_header_is_believed_of_a_trusted_proxy_only(
    peer: str, headers: dict[str, str], login: str
) -> None:
    assert logins(**PROXIED).login_of(connection(peer, headers)) == login
    assert logins().login_of(connection(peer, headers)) == ""


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9, 10.9.9.9", "203.0.113.9"),
        ("203.0.113.5", "1.1.1.1", "203.0.113.5"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("2001:db8:1:2:3::4", "", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "", "203.0.113.9"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
    ],
)
def test_l4_an_address_is_what_trusted_proxies_say_and_a_network_of_ipv6(
    peer: str, forwarded: str, address: str
) -> None:
    asked = connection(peer, {"X-Forwarded-For": forwarded})
    assert logins(**PROXIED).address_of(asked) == address


def test_l4_of_forwarded_headers_in_several_lines_the_last_address_counts() -> None:
    name = "X-Forwarded-For"
    asked = connection("10.0.0.1", {name: "1.1.1.1"}, (name, "203.0.113.9"))
    assert logins(**PROXIED).address_of(asked) == "203.0.113.9"


def test_a12_a_header_that_comes_twice_is_believed_of_nobody() -> None:
    name = "X-Forwarded-User"
    asked = connection("10.1.2.3", {name: "ann"}, (name, "bob"))
    assert logins(**PROXIED).login_of(asked) == ""


def test_a12_a_header_that_anybody_could_send_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match="trusted_proxies"):
        logins(proxy_header="X-Forwarded-User")
    with pytest.raises(SettingsError, match="expected addresses or networks"):
        logins(trusted_proxies="10.0.0.0/8, somewhere")
