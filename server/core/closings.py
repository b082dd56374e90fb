"""Why somebody who has kept to the protocol is disconnected: the code, and what they are told."""

from __future__ import annotations

NO_ROOM = 4404, "no such room, or none that you may enter: start from the first page"
NOT_ANY_MORE = 4403, "the link you came by has ended, or the room was closed to strangers"
KICKED = 4410, "a host has sent you out"
BANNED = 4411, "a host has banned you"
FULL = 4423, "as many people are here as the room holds: try again later"
NOT_SAVED_REASON = "the room can't be saved at the moment: keep your edits and connect again"
NOT_SAVED = 4503, NOT_SAVED_REASON
