"""Who somebody is to logins other than ours: signed tokens, and the header of a trusted proxy.

A token is a JWT signed with HMAC-SHA-256. A proxy that has checked who somebody is says so in a
header, which is believed only from addresses that the settings name.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Annotated, Any

import jwt
import msgspec
from msgspec import Meta

from server.core.access import Grant
from server.core.records import Name, Role
from server.settings import SettingsError

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from server.core.ids import RoomId
    from server.settings import Settings

ALGORITHM = "HS256"
MIN_KEY_BYTES = 32
"""As long as the hash: a shorter key would be easier to guess than to break."""
MAX_LOGIN = 200


class Claims(msgspec.Struct, frozen=True):
    """What a token says; claims that aren't named here are ignored."""

    room: str
    role: Role
    sub: Annotated[str, Meta(min_length=1, max_length=MAX_LOGIN)]
    exp: float
    """Seconds since 1970."""
    name: Name = ""


class Logins:
    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError where a setting would let in the wrong people."""
        self._key = settings.token_key.encode()
        if 0 < len(self._key) < MIN_KEY_BYTES:
            raise SettingsError(
                f"token_key: expected at least {MIN_KEY_BYTES} bytes, got {len(self._key)}: "
                "make one with `openssl rand -hex 32`"
            )
        self._header = settings.proxy_header
        self._proxies = _networks(settings.trusted_proxies)
        if self._header and not self._proxies:
            raise SettingsError(
                "proxy_header: anybody could send it: say in trusted_proxies who is believed"
            )

    def grant_of(self, room: RoomId, token: str, now_ms: int) -> Grant | None:
        """What a token gives in this room; None if it is forged, expired or for another one."""
        if not self._key:
            return None
        options: Any = {"require": ["exp"], "verify_exp": False, "verify_aud": False}
        try:
            content = jwt.decode(token, self._key, algorithms=[ALGORITHM], options=options)
            claims = msgspec.convert(content, Claims)
        except (jwt.InvalidTokenError, msgspec.ValidationError):
            return None
        # By the server's own clock, which tests can set.
        if claims.room != room or claims.exp * 1_000 <= now_ms:
            return None
        return Grant(role=claims.role, login=claims.sub, name=claims.name)

    def login_of(self, connection: HTTPConnection) -> str:
        """Who the proxy says this is; "" if none says so that is believed."""
        if not self._header or not self._is_proxy(_peer(connection)):
            return ""
        said = connection.headers.getlist(self._header)
        # Of two, one may be what somebody sent to the proxy.
        return said[0].strip()[:MAX_LOGIN] if len(said) == 1 else ""

    def address_of(self, connection: HTTPConnection) -> str:
        """Where somebody is: the last address on the way here that is no trusted proxy."""
        address = _peer(connection)
        forwarded = ",".join(connection.headers.getlist("x-forwarded-for"))
        for before in reversed(forwarded.split(",")):
            if not self._is_proxy(address) or not before.strip():
                break
            address = before.strip()
        return _neighbourhood(address)

    def _is_proxy(self, address: str) -> bool:
        ip = _ip(address)
        return ip is not None and any(ip in network for network in self._proxies)


def is_allowed_origin(connection: HTTPConnection, settings: Settings) -> bool:
    """Browsers always say where a page is from: another site's may not use this one's rooms."""
    origin = connection.headers.get("origin")
    if origin is None or origin in settings.origins:
        return True
    _, _, host = origin.partition("://")
    return host != "" and host == connection.headers.get("host")


def _networks(text: str) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(part.strip()) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise SettingsError(
            f"trusted_proxies: expected addresses or networks with commas between: {error}"
        ) from None


def _peer(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""


def _ip(address: str) -> IPv4Address | IPv6Address | None:
    """IPv4 stays IPv4 on a socket that listens to both (RFC 4291, 2.5.5.2)."""
    try:
        ip = ip_address(address)
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def _neighbourhood(address: str) -> str:
    """Whoever has one IPv6 address has the 2**64 that begin alike."""
    ip = _ip(address)
    if isinstance(ip, IPv6Address):
        return str(ip_network((ip, 64), strict=False))
    return address[:64] if ip is None else str(ip)
