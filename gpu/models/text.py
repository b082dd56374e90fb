"""Prompts to embeddings: windows of tokens through a CLIP text encoder, and weights on top.

A text longer than the encoder's window is cut into several, after a comma where one is near
the end, and their embeddings are laid end to end, as AUTOMATIC1111's web UI does. Weights too
are applied as there: each token's embedding is multiplied by its weight, then the window as a
whole so that its mean is what it was. Knows nothing of jobs or of the denoiser.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpu.models.family import Words
from gpu.prompts import parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from gpu.models.adapters import Mixer
    from gpu.models.family import LoadOptions, Reading
    from gpu.prompts import Passage

MAX_WINDOWS = 8
"""Longer prompts are cut: every window makes each step dearer."""
_MAX_PROMPTS = 128
_BACKTRACK = 20 / 75
"""A window ends after a comma if one is in this last part of it."""

Encode = Callable[[Any, Tensor, int], tuple[Tensor, Tensor | None]]
"""(1, tokens) ids and the number of layers to leave out, to (1, tokens, width) and (1, width)."""
Token = tuple[int, float]
"""Its id and its weight."""


def last_states(encoder: Any, ids: Tensor, clip_skip: int) -> tuple[Tensor, Tensor | None]:
    """Stable Diffusion 1.x and 2.x read the last layer, or an earlier one, normed as the last."""
    if not clip_skip:
        return encoder(ids)[0], None
    states = encoder(ids, output_hidden_states=True).hidden_states
    # Newer releases of transformers have the layers in the model itself.
    layers = getattr(encoder, "text_model", encoder)
    return layers.final_layer_norm(states[-1 - clip_skip]), None


def penultimate_states(encoder: Any, ids: Tensor, clip_skip: int) -> tuple[Tensor, Tensor | None]:
    """Stable Diffusion XL and 3 read the layer before the last, or an earlier one, as it is; an
    encoder with a projection tells what the whole window says, too."""
    encoded = encoder(ids, output_hidden_states=True)
    return encoded.hidden_states[-2 - clip_skip], getattr(encoded, "text_embeds", None)


def of_one_length(prompt: Words, negative: Words, empty: Words) -> tuple[Words, Words]:
    """Both with equally many windows: the shorter one is filled up with the empty prompt's."""
    longest = max(prompt.length, negative.length)
    return _filled_up(prompt, empty, longest), _filled_up(negative, empty, longest)


def _filled_up(words: Words, empty: Words, length: int) -> Words:
    missing = (length - words.length) // empty.length
    return Words(torch.cat([words.tokens, *[empty.tokens] * missing]), words.pooled)


class PromptReader:
    """Embeds prompts on the text encoder's device, and remembers the latest."""

    def __init__(
        self,
        tokenizer: Any,
        encoder: Any,
        options: LoadOptions,
        mixer: Mixer,
        fetched: Callable[[], AbstractContextManager[None]],
        encode: Encode = last_states,
    ) -> None:
        """`mixer` adds adapters to the encoder; `fetched` is entered while it computes, to bring
        it onto the device."""
        self._encode = encode
        self._mixer = mixer
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._device = options.device
        self._dtype = options.dtype
        self._fetched = fetched
        self._window = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
        comma = tokenizer(",", add_special_tokens=False).input_ids
        self._comma = comma[0] if comma != [tokenizer.unk_token_id] else None
        self._known: OrderedDict[tuple[object, ...], Words] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, text: str, reading: Reading) -> Words:
        """A prompt in `dtype`; one of more than `MAX_WINDOWS` is cut. What the whole prompt says
        is what its first window does."""
        mixed = tuple((adapter.key, weight) for adapter, weight in reading.adapters)
        key = (text, reading.clip_skip, mixed)
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
        self._check(reading)
        windows = self._windows(text)[:MAX_WINDOWS]
        with self._fetched(), self._mixer.rows([reading.adapters]), torch.inference_mode():
            embedded = [self._embed(window, reading) for window in windows]
        pooled = embedded[0].pooled
        words = Words(
            torch.cat([window.tokens for window in embedded]).to(self._dtype),
            None if pooled is None else pooled.to(self._dtype),
        )
        with self._lock:
            self._known[key] = words
            while len(self._known) > _MAX_PROMPTS:
                self._known.popitem(last=False)
        return words

    def _check(self, reading: Reading) -> None:
        num_layers = int(self._encoder.config.num_hidden_layers)
        if reading.clip_skip >= num_layers:
            raise ValueError(
                f"expected a clip skip below {num_layers}, the number of this model's text layers, "
                f"got {reading.clip_skip}"
            )

    def _windows(self, text: str) -> list[list[Token]]:
        windows = [
            window
            for passage in parse(text)
            for window in _cut(list(self._tokens(passage)), self._window - 2, self._comma)
        ]
        return [window for window in windows if window] or [[]]

    def _tokens(self, passage: Passage) -> Iterator[Token]:
        for span in passage:
            for token in self._tokenizer(span.text, add_special_tokens=False).input_ids:
                yield token, span.weight

    def _embed(self, window: list[Token], reading: Reading) -> Words:
        """In fp32: the begin token, the window's own, the end token and padding."""
        rest = self._window - 2 - len(window)
        ids = [self._tokenizer.bos_token_id, *(token for token, _ in window)]
        ids += [self._tokenizer.eos_token_id, *[self._tokenizer.pad_token_id] * rest]
        tensor = torch.tensor([ids], device=self._device)
        tokens, pooled = self._encode(self._encoder, tensor, reading.clip_skip)
        encoded = tokens[0]
        weights = [weight for _, weight in window]
        if any(weight != 1 for weight in weights):
            encoded = emphasise(encoded, torch.tensor([1.0, *weights, 1.0, *[1.0] * rest]))
        return Words(encoded, None if pooled is None else pooled[0])


def emphasise(encoded: Tensor, weights: Tensor) -> Tensor:
    """Scale (tokens, width) `encoded` by (tokens,) `weights` and restore its mean.

    The factor that restores it can't be more than the weights themselves could have changed: an
    encoder whose embeddings average about zero would otherwise be thrown far off.
    """
    scaled = encoded * weights[:, None].to(encoded)
    most, least = max(1.0, float(weights.max())), min(1.0, max(0.1, float(weights.min())))
    factor = (encoded.mean() / scaled.mean()).nan_to_num(1.0).clamp(1 / most, 1 / least)
    return scaled * factor


def _cut(tokens: list[Token], size: int, comma: int | None) -> Iterator[list[Token]]:
    """Windows of at most `size` tokens; one that is empty for an empty passage."""
    start = 0
    while len(tokens) - start > size:
        end = start + size
        earliest = end - int(size * _BACKTRACK)
        commas = (i + 1 for i in range(end - 1, earliest - 1, -1) if tokens[i][0] == comma)
        end = next(commas, end)
        yield tokens[start:end]
        start = end
    yield tokens[start:]
