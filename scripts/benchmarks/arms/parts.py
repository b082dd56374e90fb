"""What all arms share: the weights, the preview map, the decoder, and how an arm is spoken to.

Every arm computes with the same U-Net in the same number format, reads embeddings from the
same cache, and makes previews and PNGs by the same functions, beside its steps.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from PIL import Image

from gpu import inpaint
from gpu.api import Cancelled, Done, Failed, Preview
from gpu.engine import PREVIEW_INTERVAL_S
from gpu.previews import encode_jpeg, fit
from gpu.samplers.table import Tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from gpu.api import Event, Job, JobId
    from gpu.models.family import Family, LoadOptions, Words
    from gpu.previews import PreviewFit

    Emit = Callable[[Event], None]


class Arm(Protocol):
    """Takes jobs and tells of them through the callback that it was made with."""

    def start(self) -> None: ...

    def submit(self, job: Job) -> None: ...

    def cancel(self, job: JobId) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    options: LoadOptions
    family: Family
    tables: Tables
    previews: PreviewFit
    pipeline: Any
    """diffusers' own, with weights from the same files."""

    def words(self, job: Job) -> tuple[Words, Words | None]:
        """Embeddings of prompt and negative prompt, from the family's cache."""
        if job.guidance <= 1:
            return self.family.encode_prompt(job.prompt), None
        return self.family.encode_pair(job.prompt, job.negative)

    def noise(self, job: Job) -> tuple[Tensor, torch.Generator]:
        """A job's first noise (1, C, h, w) and the generator of the noise that follows."""
        factor = self.family.latent_factor
        generator = torch.Generator().manual_seed(job.seed)
        shape = (1, self.family.latent_channels, job.height // factor, job.width // factor)
        return torch.randn(shape, generator=generator), generator

    def png(self, latents: Tensor) -> bytes:
        """Decode (1, C, h, w) latents."""
        pixels = self.family.decode(latents)[0]
        array = ((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        picture = Image.fromarray(array.permute(1, 2, 0).contiguous().numpy())
        return inpaint.encode_png(picture)


def load_parts(options: LoadOptions) -> Parts:
    from diffusers import StableDiffusionPipeline

    from gpu.models.load import load

    family = load(options, lambda _detail: None)
    pipeline = StableDiffusionPipeline.from_pretrained(
        options.path, dtype=options.dtype, local_files_only=True
    )
    pipeline.unet.to(memory_format=torch.channels_last)
    pipeline.vae.to(memory_format=torch.channels_last)
    pipeline.set_progress_bar_config(disable=True)
    tables = Tables(family.scheduler_config, family.pace)
    return Parts(options, family, tables, fit(family)[0], pipeline)


def predicted_x0(scheduler: Any, stepped: Sequence[Tensor]) -> Tensor:
    """What the last step of a diffusers scheduler took the finished latents to be."""
    if len(stepped) > 1:
        return stepped[1]
    # The multistep solvers keep it instead of returning it.
    x0: Tensor = scheduler.model_outputs[-1]
    return x0


class Rival(ABC):
    """A queue, a thread that serves it, and what is done beside it: previews, decoding, PNGs."""

    def __init__(self, parts: Parts, emit: Emit) -> None:
        self.parts = parts
        self._emit = emit
        self.queue: list[Job] = []
        self.changed = threading.Condition()
        self.closing = False
        self._open: dict[JobId, float] = {}
        self._shown: dict[JobId, float] = {}
        self._previewing = ThreadPoolExecutor(1, "rival-preview")
        self._finishing = ThreadPoolExecutor(1, "rival-finish")
        self._thread = threading.Thread(target=self._run, name="rival", daemon=True)

    # --- from outside ----------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def submit(self, job: Job) -> None:
        with self.changed:
            self._open[job.id] = time.monotonic()
            self.queue.append(job)
            self.changed.notify()

    def cancel(self, job: JobId) -> None:
        with self.changed:
            self.queue = [other for other in self.queue if other.id != job]
        self.end(job, Cancelled(job, "asked"))

    def close(self) -> None:
        with self.changed:
            self.closing = True
            self.changed.notify()
        self._thread.join()
        self._previewing.shutdown()
        self._finishing.shutdown()

    # --- for those who serve ---------------------------------------------------------------

    @abstractmethod
    def serve(self) -> None:
        """Serve some of the queue, which isn't empty."""

    @property
    def is_idle(self) -> bool:
        return not self.queue

    def is_open(self, job: Job) -> bool:
        return job.id in self._open and not self.closing

    def show(self, jobs: Sequence[Job], x0: Tensor, step: int | Sequence[int]) -> None:
        """Make previews of those whose last one is long enough ago; not of the last step."""
        now = time.monotonic()
        steps = [step] * len(jobs) if isinstance(step, int) else step
        due = [
            row
            for row, job in enumerate(jobs)
            if steps[row] < job.steps
            and self.is_open(job)
            and now - self._shown.get(job.id, 0.0) >= PREVIEW_INTERVAL_S
        ]
        if not due:
            return
        self._shown.update((jobs[row].id, now) for row in due)
        pixels = self.parts.previews.map.render(x0[due].float())
        of = [(jobs[row], steps[row]) for row in due]
        self._previewing.submit(self._send, of, pixels)

    def finish(self, job: Job, latents: Tensor) -> None:
        self._finishing.submit(self._decode, job, latents)

    def end(self, job: JobId, event: Event) -> None:
        if self._open.pop(job, None) is not None:
            self._shown.pop(job, None)
            self._emit(event)

    def done(self, job: Job, png: bytes) -> None:
        begun = self._open.get(job.id, 0.0)
        self.end(job.id, Done(job=job.id, png=png, seconds=time.monotonic() - begun))

    # --- threads ---------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: not self.is_idle or self.closing)
            if self.closing:
                return
            try:
                with torch.inference_mode():
                    self.serve()
            except Exception as error:
                # A rival that stops would look like a slow one.
                for job in list(self._open):
                    self.end(job, Failed(job, f"{type(error).__name__}: {error}"))
                raise

    def _send(self, of: Sequence[tuple[Job, int]], pixels: Tensor) -> None:
        for (job, step), picture in zip(of, pixels, strict=True):
            if self.is_open(job):
                box = (0, 0, job.width, job.height)
                jpeg = encode_jpeg(picture)
                self._emit(Preview(job=job.id, step=step, steps=job.steps, box=box, jpeg=jpeg))

    def _decode(self, job: Job, latents: Tensor) -> None:
        if self.is_open(job):
            self.done(job, self.parts.png(latents))
