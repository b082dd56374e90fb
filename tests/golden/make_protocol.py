"""Writes tests/golden/protocol/*.json, which pytest and vitest both read.

The meaning of every frame and the outcome of every script (`scripts.py`) are written by hand; only
the bytes are packed (by msgpack, not by the server's own codec). Bytes within JSON are
{"$bytes": "<hex>"}. Run `python -m tests.golden.make_protocol` after a change of the protocol.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import msgpack

from tests.golden.samples import (
    ACCESS,
    BALLOT,
    CANDIDATE,
    CHAT,
    COMMENT,
    ENGINE,
    FRAME,
    IMAGE,
    INVITE,
    JOB,
    KEY,
    LAYER,
    LOCK,
    MASK,
    MEMBER,
    NOTE,
    PERSON,
    POINTS,
    POLL,
    STROKE,
    STYLE,
    TIMER,
    VERSION,
    Json,
    by,
    delete,
    edit,
    geometry,
    hexed,
    patch,
    put,
)
from tests.golden.scripts import room

HERE = Path(__file__).parent / "protocol"

DEEDS: list[Json] = [
    {"d": "access", "open": False, "role": "viewer", "talk": True},
    {"d": "model", "model": "dreams"},
    {"d": "invite", "role": "editor", "expires_ms": 1_790_000_000_000},
    {"d": "revoke", "invite": ":invite:op-00007"},
    {"d": "role", "person": "bob", "role": None},
    {"d": "mute", "person": "bob", "muted": True},
    {"d": "kick", "person": "bob"},
    {"d": "ban", "person": "bob", "banned": True},
    {"d": "lock", "record": "frame-1", "locked": True},
    {"d": "clear"},
    {"d": "take_back", "person": "bob"},
    {"d": "poll", "over": "candidates", "dots": 3},
    {"d": "reveal"},
    {"d": "close_poll"},
    {"d": "gather"},
    {"d": "timer", "seconds": 300},
    {"d": "stop_timer"},
]

CLIENT: dict[str, Json] = {
    "hello": {"t": "hello", "protocol": 1, "key": hexed(KEY), "name": "Änn 😀", "color": "#aa0000"},
    "hello that resumes": {
        "t": "hello", "protocol": 1, "key": hexed(KEY), "name": "", "color": "#888888",
        "resume": {"epoch": "e1", "seq": 300},
    },
    "put a stroke": {"t": "op", "id": "op-00001", "changes": [put(STROKE)]},
    "patch, edit and delete": {
        "t": "op", "id": "op-00002",
        "changes": [
            patch("stroke-1", x=12.5, layer=None),
            edit("frame-1", 17, [2, -3, "blue 😀"]),
            delete("image-1"),
        ],
    },
    "undo": {"t": "undo", "id": "op-00003"},
    "redo": {"t": "redo", "id": "op-00004"},
    "generate": {"t": "generate", "id": "job-1", "frame": "frame-1"},
    "cancel": {"t": "cancel", "frame": "frame-1"},
    "accept": {"t": "accept", "id": "op-00005", "candidate": "cand-1", "image": "image-9"},
    "discard": {"t": "discard", "id": "op-00006", "candidate": "cand-1"},
    **{
        f"moderate: {deed['d']}": {"t": "moderate", "id": "op-00007", "deed": deed}
        for deed in DEEDS
    },
    "vote": {"t": "vote", "id": "op-00008", "dots": {"note-1": 2, "note-2": 1}},
    "presence": {"t": "presence", "cursor": [1.5, -2.25], "tool": "brush"},
    "presence without a cursor": {"t": "presence", "cursor": None, "tool": ""},
    "look": {"t": "look", "sight": [-10.5, 0.0, 640.0, 480.0]},
    "first ink": {
        "t": "ink", "stroke": "stroke-2", "first": 0, "points": hexed(POINTS), "style": STYLE,
        "end": False,
    },
    "more ink": {
        "t": "ink", "stroke": "stroke-2", "first": 3, "points": hexed(POINTS), "style": None,
        "end": False,
    },
    "end of ink": {
        "t": "ink", "stroke": "stroke-2", "first": 3, "points": hexed(b""), "style": None,
        "end": True,
    },
    "profile": {"t": "profile", "name": "Ann", "color": "#00aa00"},
    "ping": {"t": "ping", "n": 41},
}  # fmt: skip

SERVER: dict[str, Json] = {
    "welcome": {
        "t": "welcome", "protocol": 1, "session": "s1", "person": "ann", "epoch": "e1",
        "seq": 300, "mode": "snapshot", "people": [PERSON],
        "limits": {"message_bytes": 1048576, "blob_bytes": 33554432, "blob_px": 67108864},
        "engine": ENGINE, "now_ms": 1_790_000_000_000, "badge": "b1",
    },
    "snapshot of every kind of record": {
        "t": "snapshot",
        "records": [
            by(LAYER, "ann"), by(STROKE, "ann"), by(IMAGE, "bob"), by(FRAME, "bob"),
            by(MASK, "bob"), by(NOTE, "ann"), by(CHAT, "ann"), by(COMMENT, "bob"),
            JOB, CANDIDATE, ACCESS, MEMBER, INVITE, LOCK, POLL,
            BALLOT, VERSION, TIMER,
        ],
    },
    "ready": {"t": "ready", "seq": 300},
    "applied": {
        "t": "applied", "seq": 301, "id": "op-00002", "by": "bob",
        "changes": [
            put(by(STROKE, "bob")), patch("stroke-1", x=12.5, layer=None), delete("image-1"),
            edit("frame-1", 300, [2, -3, "blue 😀"]),
        ],
    },
    "ack": {"t": "ack", "id": "op-00001", "seq": 70000},
    "ack of an op that changed nothing": {"t": "ack", "id": "op-00001", "seq": 0},
    "refused": {
        "t": "refused", "id": "op-00001", "code": "exists",
        "reason": "there is a record stroke-1 already: give the new one an id of its own",
    },
    "history": {"t": "history", "undo": 3, "redo": 0},
    "invited": {"t": "invited", "id": "op-00007", "link": "op-00007.secret"},
    "joined": {"t": "joined", "person": PERSON},
    "left": {"t": "left", "session": "s1"},
    "peer presence": {"t": "peer_presence", "session": "s1", "cursor": [1.5, -2.25], "tool": "pan"},
    "peer look": {"t": "peer_look", "session": "s1", "sight": [-10.5, 0.0, 640.0, 480.0]},
    "gathered": {"t": "gathered", "session": "s1"},
    "peer ink": {
        "t": "peer_ink", "session": "s1", "stroke": "stroke-2", "first": 0,
        "points": hexed(POINTS), "style": STYLE, "end": False,
    },
    "preview": {
        "t": "preview", "frame": "frame-1", "job": "job-1", "index": 0, "step": 3, "steps": 20,
        "box": [0.0, -100.0, 256.0, 256.0], "jpeg": hexed(b"\xff\xd8\xff\xe0"),
    },
    "engine": ENGINE,
    "engine that starts": {
        "t": "engine", "state": "starting", "detail": "loading", "model": None, "models": [],
        "infos": [],
    },
    "disk that is full": {"t": "disk", "state": "full"},
    "disk that works": {"t": "disk", "state": "ok"},
    "pong": {"t": "pong", "n": 41},
}  # fmt: skip


def pack(message: object) -> bytes:
    packed: bytes = msgpack.packb(unhexed(message), use_bin_type=True)
    return packed


def unhexed(value: object) -> object:
    if isinstance(value, dict):
        if set(value) == {"$bytes"}:
            return bytes.fromhex(value["$bytes"])
        return {key: unhexed(item) for key, item in value.items()}
    return [unhexed(item) for item in value] if isinstance(value, list) else value


def bad_frames() -> list[Json]:
    """Frames after which the server closes the connection with 4400."""
    hello = CLIENT["hello"]
    cases: list[tuple[str, bytes]] = [
        ("nothing", b""),
        ("a byte that MessagePack never uses", b"\xc1"),
        ("cut off", pack(hello)[:-3]),
        ("something after the end", pack(hello) + b"\x00"),
        ("a list", pack([1, 2])),
        ("an unknown message", pack({"t": "teleport"})),
        ("no kind", pack({"protocol": 1})),
        ("an unknown field", pack({**CLIENT["ping"], "admin": True})),
        ("a missing field", pack({"t": "undo"})),
        ("a wrong type", pack({"t": "ping", "n": "41"})),
        ("text where bytes belong", pack({**hello, "key": "AAAAAAAAAAAAAAAAAAAAAAAA"})),
        ("a number that is none", pack({"t": "presence", "cursor": [float("nan"), 0.0]})),
        ("a sight that is none", pack({"t": "look", "sight": [0.0, 0.0, float("nan"), 1.0]})),
        ("a sight of nothing", pack({"t": "look", "sight": [0.0, 0.0, 0.0, 1.0]})),
        ("an infinite number", pack({"t": "presence", "cursor": [float("inf"), 0.0]})),
        ("an id that ends in a newline", pack({"t": "undo", "id": "op-00003\n"})),
        ("an extension type", msgpack.packb({"t": "ping", "n": msgpack.ExtType(4, b"x")})),
        ("an array that claims 4 billion items", b"\x81\xa1t\xdd\xff\xff\xff\xff"),
        ("a string that claims 4 GB", b"\x81\xa1t\xdb\xff\xff\xff\xff"),
        ("a thousand nested lists", b"\x91" * 1000 + b"\xc0"),
        ("a key that is no string", b"\x81\x01\x02"),
        ("text that is no UTF-8", b"\x81\xa1t\xa2\xff\xfe"),
    ]
    return [{"name": name, "hex": data.hex()} for name, data in cases]


def frames() -> Json:
    def listed(messages: dict[str, Json]) -> list[Json]:
        return [
            {"name": name, "hex": pack(message).hex(), "message": message}
            for name, message in messages.items()
        ]

    return {"client": listed(CLIENT), "server": listed(SERVER), "bad": bad_frames()}


def text() -> Json:
    apply = [
        ("", ["a"], "a"),
        ("abc", [1, "X"], "aXbc"),
        ("abc", [1, -1], "ac"),
        ("abc", [-3], ""),
        ("abc", ["X", -1, "Y", 1, "Z"], "XYbZc"),
        ("a😀b", [1, -1, "é"], "aéb"),
        ("a😀b", [2, "😀"], "a😀😀b"),
        ("日本語", [1, -1, 1], "日語"),
    ]
    bad = [
        ("abc", [4]),
        ("abc", [-4]),
        ("abc", [2, -2]),
        ("abc", [0]),
        ("abc", [""]),
        ("😀", [2, "x"]),
    ]
    # text, an edit that the room took first, one made on the same text, what becomes of each
    # when it is applied after the other, the text that both orders end in
    transform = [
        ("abc", ["X"], ["Y"], [1, "Y"], ["X"], "XYabc"),
        ("abc", [3, "X"], ["Y"], ["Y"], [4, "X"], "YabcX"),
        ("abc", [-2], [1, "Y"], ["Y"], [-1, 1, -1], "Yc"),
        ("abc", [-2], [1, -2], [-1], [-1], ""),
        ("abc", [1, -1], [1, -1], [], [], "ac"),
        ("abcdef", [1, -4], [3, "Y"], [1, "Y"], [1, -2, 1, -2], "aYf"),
        ("abcdef", [3, "X"], [1, -4], [1, -2, 1, -2], [1, "X"], "aXf"),
        ("abc", [1, "X", -1], [1, "Y", -1], [2, "Y"], [1, "X"], "aXYc"),
        ("a😀b", [2, "X"], [1, -1, "😎"], [1, -1, 1, "😎"], [1, "X"], "aX😎b"),
    ]
    return {
        "apply": [{"text": t, "delta": d, "result": r} for t, d, r in apply],
        "bad": [{"text": t, "delta": d} for t, d in bad],
        "transform": [
            {
                "text": t,
                "first": a,
                "second": b,
                "second_after_first": b2,
                "first_after_second": a2,
                "result": r,
            }
            for t, a, b, b2, a2, r in transform
        ],
    }


def strokes() -> Json:
    wide = geometry(-1e6, 0.1, (0, 0, 255), (32767, -32768, 1))
    (tenth,) = struct.unpack("<f", struct.pack("<f", 0.1))
    decode = [
        (POINTS, [[10.0, 20.5, 128 / 255], [11.0, 20.0, 1.0], [9.0, 30.0, 0.0]]),
        (geometry(0.0, 0.0, (8, 8, 255)), [[0.5, 0.5, 1.0]]),
        (wide, [[-1e6, tenth, 1.0], [-1e6 + 32767 / 16, tenth - 2048, 1 / 255]]),
    ]
    encode = [
        ([[10.0, 20.5, 128 / 255], [11.0, 20.0, 1.0], [9.0, 30.0, 0.0]], POINTS),
        (
            [[0.0, 0.0, 0.5], [0.03, 0.0, 2.0], [0.06, 0.0, -1.0], [0.09, 0.0, 0.0]],
            geometry(0.0, 0.0, (0, 0, 128), (0, 0, 255), (1, 0, 0), (0, 0, 0)),
        ),
        (
            [[0.0, 0.0, 1.0], [-0.03125, 0.03125, 1.0]],
            geometry(0.0, 0.0, (0, 0, 255), (0, 1, 255)),
        ),
        (
            [[0.0, 0.0, 1.0], [4000.0, -4.0, 1.0]],
            geometry(0.0, 0.0, (0, 0, 255), (32000, -32, 255), (32000, -32, 255)),
        ),
    ]
    bad = [b"", bytes(8), bytes(12), bytes(14), struct.pack("<ff", float("nan"), 0) + bytes(5)]
    bad.append(struct.pack("<ff", 0, 2e7) + bytes(5))
    return {
        "decode": [{"hex": data.hex(), "points": points} for data, points in decode],
        "encode": [{"points": points, "hex": data.hex()} for points, data in encode],
        "bad": [data.hex() for data in bad],
    }


def main() -> None:
    for name, content in {
        "frames": frames(), "text": text(), "strokes": strokes(), "room": room()
    }.items():  # fmt: skip
        path = HERE / f"{name}.json"
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
