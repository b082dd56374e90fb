"""Sessions without a hub, for tests of the protocol alone."""

from __future__ import annotations

from server.core.access import STRANGER, Grant
from server.core.ids import RoomId, SessionId
from server.core.limits import Buckets, FlowLimits, Meter
from server.core.session import Session


def new_session(
    room: RoomId, limits: FlowLimits | None = None, grant: Grant = STRANGER, id: str = "s1"
) -> Session:
    return Session(SessionId(id), room, new_meter(Buckets(limits or FlowLimits()), room, id), grant)


def new_meter(buckets: Buckets, room: str, connection: str, address: str = "192.0.2.1") -> Meter:
    return Meter(buckets, connection=connection, room=room, address=address, now=0.0)
