"""The GPU worker as the server sees it: `Engine` runs the process, EnginePort is its interface."""

from server.engine.client import (
    Engine,
    EnginePort,
    ModelUnavailable,
    OnEvent,
    OnStatus,
    QueueFull,
)
from server.engine.process import Patience, worker_command

__all__ = [
    "Engine",
    "EnginePort",
    "ModelUnavailable",
    "OnEvent",
    "OnStatus",
    "Patience",
    "QueueFull",
    "worker_command",
]
