"""Frames to jobs, jobs to previews and candidates: `Generation` is the server's GenerationPort."""

from server.generation.quota import Limits
from server.generation.service import Generation, GenerationSettings

__all__ = ["Generation", "GenerationSettings", "Limits"]
