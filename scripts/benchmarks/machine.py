"""What figures were measured on, in words."""

from __future__ import annotations

import platform
from pathlib import Path


def processor() -> str:
    """The processor's name as it gives it, or else its kind."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
