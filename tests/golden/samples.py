"""One record of each kind, and changes, as the golden files and scripts use them."""

from __future__ import annotations

import struct
from typing import Any

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
    "code": "",
}  # fmt: skip
CANDIDATE: Json = {
    "type": "candidate", "id": "cand-1", "by": "ann", "frame": "frame-1", "job": "job-1",
    "index": 0, "blob": BLOB, "seed": 7, "x": 0.0, "y": -100.0, "w": 256.0, "h": 256.0,
    "prompt": "a red house", "live": False, "masked": False,
    "layer": None, "above": "a0", "strip": "", "num_previews": 0, "state": "open",
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
