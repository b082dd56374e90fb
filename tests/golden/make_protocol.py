"""Writes tests/golden/protocol/*.json, which pytest and vitest both read.

The meaning of every frame and the outcome of every script stand here, written by hand; only
the bytes are packed (by msgpack, not by the server's own codec). Bytes within JSON are
{"$bytes": "<hex>"}. Run `python -m tests.golden.make_protocol` after a change of the protocol.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import msgpack

HERE = Path(__file__).parent / "protocol"
Json = dict[str, Any]


def hexed(data: bytes) -> Json:
    return {"$bytes": data.hex()}


def geometry(left: float, top: float, *points: tuple[int, int, int]) -> bytes:
    return struct.pack("<ff", left, top) + b"".join(struct.pack("<hhB", *p) for p in points)


POINTS = geometry(10.0, 20.5, (0, 0, 128), (16, -8, 255), (-32, 160, 0))
KEY = bytes(range(16))
BLOB = "0f" * 32

STROKE: Json = {
    "type": "stroke", "id": "stroke-1", "by": "", "z": "a0", "points": hexed(POINTS), "size": 8.0,
    "color": "#1e1e1e", "opacity": 1.0, "erase": False, "pen": True, "layer": None,
    "x": 0.0, "y": 0.0,
}  # fmt: skip
FRAME: Json = {
    "type": "frame", "id": "frame-1", "by": "", "z": "a1", "x": 0.0, "y": -100.0, "w": 256.0,
    "h": 256.0, "prompt": "a red house", "negative": "", "clip_skip": 0,
    "loras": {"ink": 0.75}, "model": "dreams", "steps": 20, "guidance": 4.0, "seed": None,
    "variation_seed": 3, "variation": 0.25, "sampler": "dpmpp_2m",
    "strength": 0.7, "hires": 2.0, "hires_strength": 0.5, "control": "controlnet",
    "control_strength": 0.5, "control_start": 0.0, "control_end": 0.75, "count": 1, "live": False,
}  # fmt: skip
LAYER: Json = {
    "type": "layer", "id": "layer-1", "by": "", "z": "a0", "name": "Layer", "visible": True,
    "opacity": 1.0,
}  # fmt: skip
IMAGE: Json = {
    "type": "image", "id": "image-1", "by": "", "z": "a2", "blob": BLOB, "x": 1.5, "y": 2.0,
    "w": 64.0, "h": 32.0, "opacity": 1.0, "layer": None,
}  # fmt: skip
MASK: Json = {
    "type": "mask", "id": "mask-1", "by": "", "z": "a0", "frame": "frame-1",
    "points": hexed(POINTS), "size": 24.0, "erase": False, "pen": False, "x": 0.0, "y": 0.0,
}  # fmt: skip
NOTE: Json = {
    "type": "note", "id": "note-1", "by": "", "z": "a0", "x": 10.0, "y": -20.0,
    "text": "ask Bo 😀", "color": "#ffe27a",
}  # fmt: skip
CHAT: Json = {
    "type": "chat", "id": "chat-1", "by": "", "text": "你好", "name": "Ann",
    "at_ms": 1_790_000_000_000,
}  # fmt: skip
COMMENT: Json = {
    "type": "comment", "id": "comment-1", "by": "", "text": "too dark?", "x": 5.0, "y": 6.5,
    "thread": None, "resolved": False, "name": "Bob", "at_ms": 1_790_000_000_000,
}  # fmt: skip
JOB: Json = {
    "type": "job", "id": "job-1", "by": "ann", "frame": "frame-1", "state": "running", "count": 2,
    "done": 1, "live": False, "attempt": 1, "seed": 7, "prompt": "a red house", "reason": "",
}  # fmt: skip
CANDIDATE: Json = {
    "type": "candidate", "id": "cand-1", "by": "ann", "frame": "frame-1", "job": "job-1",
    "index": 0, "blob": BLOB, "seed": 7, "x": 0.0, "y": -100.0, "w": 256.0, "h": 256.0,
    "prompt": "a red house", "live": False, "masked": False,
    "above": "a0", "strip": "", "num_previews": 0, "state": "open",
}  # fmt: skip
MODEL: Json = {
    "name": "embedded", "id": "embedded",
    "native_px": 256, "multiple_px": 32, "min_px": 64, "max_px": 512,
    "device": "cpu", "dtype": "float32", "steps": 20, "guidance": 4.0, "sampler": "dpmpp_2m",
    "samplers": ["euler", "dpmpp_2m"], "live_steps": 4, "loras": ["ink", "gouache"],
    "controls": [{"name": "controlnet", "kind": "scribble"}],
}  # fmt: skip
ENGINE: Json = {
    "t": "engine", "state": "ready", "detail": "", "model": MODEL,
    "models": [{"id": "embedded", "title": "embedded"}, {"id": "dreams", "title": "Dreams"}],
    "infos": [MODEL],
}  # fmt: skip
PERSON: Json = {
    "session": "s1", "person": "ann", "name": "Ann", "color": "#aa0000", "role": "host",
    "muted": False,
}  # fmt: skip
ACCESS: Json = {
    "type": "access", "id": ":access:room", "by": "ann", "open": True, "role": "editor",
    "talk": True, "model": "",
}  # fmt: skip
MEMBER: Json = {
    "type": "member", "id": ":member:bob", "by": "ann", "person": "bob", "name": "Bob",
    "role": None, "muted": True, "banned": False,
}  # fmt: skip
INVITE: Json = {
    "type": "invite", "id": ":invite:op-00007", "by": "ann", "role": "viewer",
    "digest": "0f" * 32, "expires_ms": 1_790_000_000_000,
}  # fmt: skip
LOCK: Json = {"type": "lock", "id": ":lock:frame-1", "by": "ann", "of": "frame-1"}
POLL: Json = {
    "type": "poll", "id": ":poll:room", "by": "ann", "over": "notes", "dots": 3, "voters": 2,
    "revealed": True, "tally": {"note-1": 4},
}  # fmt: skip
BALLOT: Json = {"type": "ballot", "id": ":ballot:ann", "by": "ann", "dots": {"note-1": 2}}
VERSION: Json = {
    "type": "version", "id": "version-1", "by": "ann", "name": "First", "seq": 7,
    "at_ms": 1_790_000_000_000,
}  # fmt: skip
TIMER: Json = {
    "type": "timer", "id": ":timer:room", "by": "ann", "ends_ms": 1_790_000_000_000,
}  # fmt: skip
STYLE: Json = {
    "kind": "stroke", "size": 8.0, "color": "#1e1e1e", "opacity": 1.0, "erase": False,
    "pen": True, "layer": None, "frame": None,
}  # fmt: skip


def by(record: Json, person: str, **fields: object) -> Json:
    return {**record, "by": person, **fields}


def put(record: Json) -> Json:
    return {"c": "put", "record": record}


def patch(record: str, **fields: object) -> Json:
    return {"c": "patch", "id": record, "fields": fields}


def delete(record: str) -> Json:
    return {"c": "delete", "id": record}


def edit(record: str, base: int, delta: list[int | str], field: str = "prompt") -> Json:
    return {"c": "edit", "id": record, "field": field, "base": base, "delta": delta}


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


def op(person: str, id: str, *changes: Json) -> Json:
    return {"by": person, "send": {"t": "op", "id": id, "changes": list(changes)}}


def asks(person: str, **message: object) -> Json:
    return {"by": person, "send": message}


def applied(step: Json, seq: int, *changes: Json) -> Json:
    """What everybody else gets, or everybody, where the author's op was altered or server-made."""
    message = {"t": "applied", "seq": seq, "id": step["send"]["id"], "by": step["by"]}
    return {**step, "applied": {**message, "changes": list(changes)}, "author": "applied"}


def taken(step: Json, seq: int) -> Json:
    """The room took the op just as it was sent, `by` and `base` apart: its author gets `ack`."""
    stamped: list[Json] = []
    for change in step["send"]["changes"]:
        if change["c"] == "put":
            stamped.append(put(by(change["record"], step["by"])))
        elif change["c"] == "edit":
            stamped.append({**change, "base": seq - 1})
        else:
            stamped.append(change)
    return {**applied(step, seq, *stamped), "author": "ack"}


def acked(step: Json, seq: int) -> Json:
    """Only the author hears of it: the op was known, or changed nothing (seq 0)."""
    return {**step, "ack": seq}


def refused(step: Json, code: str) -> Json:
    return {**step, "refused": code}


def made(seq: int, *changes: Json) -> Json:
    """Made by the server in the name of somebody."""
    message = {"t": "applied", "seq": seq, "id": f":{seq}", "by": "ann"}
    return {"by": "ann", "append": {**message, "changes": list(changes)}}


def last_writer_wins() -> Json:
    return {
        "name": "the last writer wins, field by field",
        "steps": [
            taken(op("ann", "op-00001", put(STROKE)), 1),
            taken(op("bob", "op-00002", patch("stroke-1", x=5.0, color="#00ff00")), 2),
            taken(op("ann", "op-00003", patch("stroke-1", x=7.0)), 3),
            taken(op("ann", "op-00004", put(LAYER), patch("stroke-1", layer="layer-1")), 4),
        ],
        "records": [
            by(STROKE, "ann", x=7.0, color="#00ff00", layer="layer-1"),
            by(LAYER, "ann"),
        ],
    }


def delete_beats_patch() -> Json:
    late = op("bob", "op-00003", patch("stroke-1", x=5.0), patch("layer-1", name="Sky"))
    return {
        "name": "delete beats patch, and what is left of an op is applied",
        "steps": [
            taken(op("ann", "op-00001", put(STROKE), put(LAYER)), 1),
            taken(op("ann", "op-00002", delete("stroke-1")), 2),
            applied(late, 3, patch("layer-1", name="Sky")),
            acked(op("bob", "op-00004", delete("stroke-1"), patch("stroke-1", x=1.0)), 0),
        ],
        "records": [by(LAYER, "ann", name="Sky")],
    }


def once_only() -> Json:
    first = op("ann", "op-00001", put(STROKE))
    return {
        "name": "an op that comes again is acknowledged again and not applied again",
        "steps": [
            taken(first, 1),
            taken(op("bob", "op-00002", delete("stroke-1")), 2),
            acked(first, 1),
        ],
        "records": [],
    }


def refusals() -> Json:
    other = {**STROKE, "id": "stroke-2"}
    short = {**other, "points": hexed(bytes(14))}
    return {
        "name": "an op is refused whole",
        "steps": [
            taken(op("ann", "op-00001", put(STROKE), put(FRAME)), 1),
            refused(op("bob", "op-00002", put(other), put(STROKE)), "exists"),
            refused(op("bob", "op-00003", patch("stroke-1", x=3.0), put(JOB)), "server_owned"),
            refused(op("bob", "op-00004", patch("stroke-1", by="bob")), "read_only"),
            refused(op("bob", "op-00005", patch("frame-1", prompt="mine")), "text_field"),
            refused(op("bob", "op-00006", patch("stroke-1", size=-1.0)), "bad_record"),
            refused(op("bob", "op-00007", patch("stroke-1", radius=1.0)), "bad_record"),
            refused(op("bob", "op-00008", put({**MASK, "frame": "frame-2"})), "missing_frame"),
            refused(op("bob", "op-00009", put(short)), "bad_record"),
            refused(op("bob", "op-00010", put({**other, "z": "a"})), "bad_record"),
            refused(op("bob", "op-00011", edit("frame-1", 1, [50, "x"])), "bad_edit"),
            refused(op("bob", "op-00012", edit("stroke-1", 1, ["x"], "color")), "bad_edit"),
        ],
        "records": [by(STROKE, "ann"), by(FRAME, "ann")],
    }  # fmt: skip


def typing_together() -> Json:
    late = op("bob", "op-00003", edit("frame-1", 1, [2, "big "]))
    later = op("bob", "op-00005", edit("frame-1", 3, [6, -4, "green"]))
    return {
        "name": "two people type into one prompt",
        "steps": [
            taken(op("ann", "op-00001", put(FRAME)), 1),
            taken(op("ann", "op-00002", edit("frame-1", 1, [1, " blue", -4])), 2),
            applied(late, 3, edit("frame-1", 2, [6, "big "])),
            taken(op("ann", "op-00004", edit("frame-1", 3, [1, " very 😀"])), 4),
            applied(later, 5, edit("frame-1", 4, [13, -4, "green"])),
            taken(op("ann", "op-00006", edit("frame-1", 4, [1, -7])), 6),
        ],
        "records": [by(FRAME, "ann", prompt="a bluegreen house")],
    }


def undo_and_redo() -> Json:
    return {
        "name": "undo takes back one's own, and nobody's newer change",
        "steps": [
            taken(op("ann", "op-00001", put(STROKE)), 1),
            taken(op("ann", "op-00002", patch("stroke-1", x=1.0, y=1.0)), 2),
            taken(op("bob", "op-00003", patch("stroke-1", x=9.0)), 3),
            applied(asks("ann", t="undo", id="op-00004"), 4, patch("stroke-1", y=0.0)),
            applied(asks("ann", t="redo", id="op-00005"), 5, patch("stroke-1", y=1.0)),
            applied(asks("bob", t="undo", id="op-00006"), 6, patch("stroke-1", x=1.0)),
            applied(asks("ann", t="undo", id="op-00007"), 7, patch("stroke-1", x=0.0, y=0.0)),
            applied(asks("ann", t="undo", id="op-00008"), 8, delete("stroke-1")),
            applied(asks("ann", t="redo", id="op-00009"), 9, put(by(STROKE, "ann"))),
            refused(asks("bob", t="undo", id="op-00010"), "nothing_to_undo"),
        ],
        "records": [by(STROKE, "ann")],
    }


def undo_spares_others() -> Json:
    return {
        "name": "undo doesn't delete what somebody else has changed since",
        "steps": [
            taken(op("ann", "op-00001", put(STROKE)), 1),
            taken(op("ann", "op-00002", delete("stroke-1")), 2),
            applied(asks("ann", t="undo", id="op-00003"), 3, put(by(STROKE, "ann"))),
            taken(op("bob", "op-00004", patch("stroke-1", x=4.0)), 4),
            refused(asks("ann", t="redo", id="op-00005"), "nothing_to_redo"),
            refused(asks("ann", t="undo", id="op-00006"), "nothing_to_undo"),
            applied(asks("bob", t="undo", id="op-00007"), 5, patch("stroke-1", x=0.0)),
            applied(asks("ann", t="undo", id="op-00008"), 6, delete("stroke-1")),
        ],
        "records": [],
    }


def candidates() -> Json:
    top = {**IMAGE, "id": "image-9", "z": "a1", "x": 0.0, "y": -100.0, "w": 256.0, "h": 256.0}
    accepted = [put(by(top, "bob")), patch("cand-1", state="accepted")]
    accept = {"t": "accept", "candidate": "cand-1", "image": "image-9"}
    return {
        "name": "a candidate is accepted over what it was made from, which can be undone",
        "steps": [
            taken(op("ann", "op-00001", put(STROKE), put(FRAME)), 1),
            made(2, put(JOB), put(CANDIDATE)),
            refused(op("bob", "op-00002", patch("cand-1", state="accepted")), "server_owned"),
            applied(asks("bob", id="op-00003", **accept), 3, *accepted),
            refused(asks("ann", id="op-00004", **{**accept, "image": "image-8"}), "not_open"),
            applied(
                asks("bob", t="undo", id="op-00005"), 4,
                patch("cand-1", state="open"), delete("image-9"),
            ),
            applied(
                asks("ann", t="discard", id="op-00006", candidate="cand-1"), 5,
                patch("cand-1", state="discarded"),
            ),
        ],
        "records": [
            by(STROKE, "ann"), by(FRAME, "ann"), JOB, {**CANDIDATE, "state": "discarded"},
        ],
    }  # fmt: skip


def hosts() -> Json:
    """Ann is the host here, and Bob an editor."""
    lock = {"t": "moderate", "deed": {"d": "lock", "record": "frame-1", "locked": True}}
    sweep = {"t": "moderate", "deed": {"d": "take_back", "person": "bob"}}
    other = {**STROKE, "id": "stroke-2"}
    return {
        "name": "a host locks, and takes back what somebody did",
        "steps": [
            taken(op("ann", "op-00001", put(STROKE), put(FRAME)), 1),
            taken(op("bob", "op-00002", patch("stroke-1", x=5.0, y=5.0), put(other)), 2),
            refused(asks("bob", id="op-00003", **lock), "not_host"),
            applied(asks("ann", id="op-00004", **lock), 3, put(LOCK)),
            refused(op("bob", "op-00005", patch("frame-1", steps=9)), "locked"),
            refused(op("bob", "op-00006", edit("frame-1", 3, ["x"])), "locked"),
            refused(op("bob", "op-00007", put(MASK)), "locked"),
            refused(op("bob", "op-00008", delete(LOCK["id"])), "server_owned"),
            refused(op("bob", "op-00009", put(ACCESS)), "server_owned"),
            taken(op("ann", "op-00010", patch("stroke-1", y=6.0), patch("frame-1", steps=9)), 4),
            applied(
                asks("ann", id="op-00011", **sweep), 5,
                delete("stroke-2"), patch("stroke-1", x=0.0),
            ),
            applied(
                asks("ann", t="undo", id="op-00012"), 6,
                patch("stroke-1", x=5.0), put(by(other, "bob")),
            ),
        ],
        "records": [
            by(STROKE, "ann", x=5.0, y=6.0), by(FRAME, "ann", steps=9), LOCK, by(other, "bob"),
        ],
    }  # fmt: skip


def decided(id: str, **deed: object) -> Json:
    return asks("ann", t="moderate", id=id, deed=deed)


def saying() -> Json:
    """Where scripts are played, all names are "" and all times 0."""
    line, pinned = ({**record, "name": "", "at_ms": 0} for record in (CHAT, COMMENT))
    answer = {**pinned, "id": "comment-2", "text": "yes", "x": 0.0, "y": 0.0, "thread": "comment-1"}
    version = {**VERSION, "by": ""}
    stamped = by({**version, "at_ms": 0, "seq": 5}, "bob")
    return {
        "name": "what is said is stamped, stays as it is, and undo passes over it",
        "steps": [
            applied(op("ann", "op-00001", put(CHAT)), 1, put(by(line, "ann"))),
            applied(op("bob", "op-00002", put(COMMENT), put(STROKE)), 2,
                    put(by(pinned, "bob")), put(by(STROKE, "bob"))),
            taken(op("ann", "op-00003", put(answer)), 3),
            taken(op("ann", "op-00004", patch("comment-1", resolved=True)), 4),
            applied(op("bob", "op-00005", put(version)), 5, put(stamped)),
            refused(op("bob", "op-00006", patch("chat-1", text="no")), "read_only"),
            refused(op("bob", "op-00007", delete("chat-1")), "not_yours"),
            refused(op("ann", "op-00008", patch("version-1", seq=1)), "read_only"),
            taken(op("ann", "op-00009", patch("version-1", name="Best")), 6),
            applied(asks("bob", t="undo", id="op-00010"), 7, delete("stroke-1")),
            refused(asks("bob", t="undo", id="op-00011"), "nothing_to_undo"),
            applied(op("ann", "op-00012", delete("comment-1")), 8,
                    delete("comment-1"), delete("comment-2")),
        ],
        "records": [by(line, "ann"), {**stamped, "name": "Best"}],
    }  # fmt: skip


def notes() -> Json:
    late = op("bob", "op-00003", edit("note-1", 1, ["Please "], "text"))
    return {
        "name": "a note is written by several, moved and taken back",
        "steps": [
            taken(op("ann", "op-00001", put(NOTE)), 1),
            taken(op("ann", "op-00002", edit("note-1", 1, [3, " them:", -3], "text"),
                     patch("note-1", x=0.0)), 2),
            taken(late, 3),
            applied(asks("ann", t="undo", id="op-00004"), 4, patch("note-1", x=10.0)),
        ],
        "records": [by(NOTE, "ann", text="Please ask them: 😀")],
    }  # fmt: skip


def layers() -> Json:
    inside = {**STROKE, "layer": "layer-1"}
    return {
        "name": "a frame that goes and comes back brings its mask",
        "steps": [
            taken(op("ann", "op-00001", put(LAYER), put(inside), put(FRAME), put(MASK)), 1),
            taken(op("bob", "op-00002", patch("layer-1", visible=False, opacity=0.5)), 2),
            taken(op("bob", "op-00003", delete("mask-1"), delete("frame-1")), 3),
            applied(asks("bob", t="undo", id="op-00004"), 4,
                    put(by(FRAME, "ann")), put(by(MASK, "ann"))),
        ],
        "records": [
            by(LAYER, "ann", visible=False, opacity=0.5), by(inside, "ann"), by(FRAME, "ann"),
            by(MASK, "ann"),
        ],
    }  # fmt: skip


def decisions() -> Json:
    member = by({**MEMBER, "name": "", "muted": False}, "ann")
    access = {**ACCESS, "talk": False}
    return {
        "name": "what hosts decide about people are records, and no decision is no record",
        "steps": [
            applied(decided("op-00001", d="role", person="bob", role="editor"), 1,
                    put({**member, "role": "editor"})),
            applied(decided("op-00002", d="mute", person="bob", muted=True), 2,
                    patch(":member:bob", muted=True)),
            acked(decided("op-00003", d="mute", person="bob", muted=True), 0),
            applied(decided("op-00004", d="mute", person="bob", muted=False), 3,
                    patch(":member:bob", muted=False)),
            applied(decided("op-00005", d="role", person="bob", role=None), 4,
                    delete(":member:bob")),
            refused(decided("op-00006", d="ban", person="ann", banned=True), "yourself"),
            applied(decided("op-00007", d="ban", person="bob", banned=True), 5,
                    put({**member, "banned": True})),
            applied(decided("op-00008", d="access", open=False, role="viewer", talk=False), 6,
                    put({**access, "open": False, "role": "viewer"})),
            applied(decided("op-00009", d="model", model="dreams"), 7,
                    patch(":access:room", model="dreams")),
            applied(decided("op-00010", d="timer", seconds=60), 8,
                    put({**TIMER, "ends_ms": 60_000})),
            applied(decided("op-00011", d="timer", seconds=90), 9,
                    delete(":timer:room"), put({**TIMER, "ends_ms": 90_000})),
            applied(decided("op-00012", d="stop_timer"), 10, delete(":timer:room")),
            refused(decided("op-00013", d="revoke", invite=":invite:none"), "missing"),
            refused(asks("ann", t="undo", id="op-00014"), "nothing_to_undo"),
        ],
        "records": [
            {**member, "banned": True},
            {**access, "open": False, "role": "viewer", "model": "dreams"},
        ],
    }  # fmt: skip


def clearing() -> Json:
    line = {**CHAT, "name": "", "at_ms": 0}
    return {
        "name": "a room is cleared of all but what was said and decided, and that can be undone",
        "steps": [
            taken(op("bob", "op-00001", put(STROKE), put(FRAME), put(MASK)), 1),
            taken(op("bob", "op-00002", put(line)), 2),
            applied(decided("op-00003", d="lock", record="frame-1", locked=True), 3, put(LOCK)),
            applied(decided("op-00004", d="clear"), 4,
                    delete("stroke-1"), delete("frame-1"), delete(LOCK["id"]), delete("mask-1")),
            acked(decided("op-00005", d="clear"), 0),
            applied(asks("ann", t="undo", id="op-00006"), 5,
                    put(by(MASK, "bob")), put(LOCK), put(by(FRAME, "bob")), put(by(STROKE, "bob"))),
        ],
        "records": [by(STROKE, "bob"), by(FRAME, "bob"), by(MASK, "bob"), by(line, "bob"), LOCK],
    }  # fmt: skip


def polling() -> Json:
    """Whoever gives dots sees their own; everybody else hears how many have."""
    poll = {**POLL, "voters": 0, "revealed": False, "tally": {}, "dots": 2}
    ballot = {**BALLOT, "id": ":ballot:bob", "by": "bob"}
    given = patch(":ballot:bob", dots={"note-1": 1})
    ballots = (put(ballot), given, delete(":ballot:bob"))

    def voted(step: Json, seq: int, *changes: Json) -> Json:
        heard = applied(step, seq, *changes)
        shown = [change for change in changes if change not in ballots]
        others = {**heard["applied"], "changes": shown}
        return {**heard, "seen_by": "bob", "others": others}

    return {
        "name": "dots are their giver's until a host reveals them",
        "steps": [
            taken(op("bob", "op-00001", put(NOTE)), 1),
            refused(asks("bob", t="vote", id="op-00002", dots={"note-1": 1}), "no_poll"),
            applied(decided("op-00003", d="poll", over="notes", dots=2), 2, put(poll)),
            refused(asks("bob", t="vote", id="op-00004", dots={"note-1": 3}), "too_many"),
            voted(asks("bob", t="vote", id="op-00005", dots={"note-1": 2}), 3,
                  put(ballot), patch(":poll:room", voters=1)),
            voted(asks("bob", t="vote", id="op-00006", dots={"note-1": 1}), 4,
                  given),
            refused(op("bob", "op-00007", delete(":ballot:bob")), "server_owned"),
            voted(decided("op-00008", d="reveal"), 5,
                  patch(":poll:room", revealed=True, tally={"note-1": 1}), delete(":ballot:bob")),
            applied(decided("op-00009", d="close_poll"), 6, delete(":poll:room")),
        ],
        "records": [by(NOTE, "bob")],
    }  # fmt: skip


def room() -> Json:
    scripts = (
        last_writer_wins(), delete_beats_patch(), once_only(), refusals(), typing_together(),
        undo_and_redo(), undo_spares_others(),
        candidates(), hosts(), saying(), notes(), layers(), decisions(), clearing(), polling(),
    )  # fmt: skip
    return {"scripts": list(scripts)}


def main() -> None:
    for name, content in {
        "frames": frames(), "text": text(), "strokes": strokes(), "room": room()
    }.items():  # fmt: skip
        path = HERE / f"{name}.json"
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
