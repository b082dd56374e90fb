"""The text side: a byte-fallback BPE tokenizer and a small CLIP text encoder.

The encoder is trained to predict a caption's tags, then frozen: trained jointly with the UNet it
learns almost nothing. Unlike CLIP's, its last tokens all summarise the prompt, since the tags are
read from the end token or from any padding after it.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Final, cast

import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .captions import LANGUAGES, Caption, caption
from .colours import COLOURS
from .devices import Device, Progress, freeze, load_checkpoint, seed_everything
from .muon import Optimiser
from .places import PLACES
from .runs import resume_run, save_run
from .sampling import STAGES, sample_scene
from .scenes import MAX_COUNT, POSITIONS
from .styles import STYLES
from .things import KINDS

if TYPE_CHECKING:
    from pathlib import Path

MAX_TOKENS: Final = 64
HIDDEN: Final = 128

_VOCABULARY: Final = 1800
_BATCH: Final = 96
_LEARNING_RATE: Final = 2.5e-3
_BEGIN, _END = "<|startoftext|>", "<|endoftext|>"
# CLIP's own pre-tokenizer (Radford et al. 2021).
_WORDS: Final = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

_ITEM_TAGS: Final[tuple[str, ...]] = (
    *(f"kind:{name}" for name in KINDS),
    *(f"colour:{name}" for name in COLOURS),
    "size:small",
    "size:big",
    *(f"count:{count}" for count in range(2, MAX_COUNT + 1)),
    # Each token could know this from where it stands; said aloud, the UNet hears it too.
    *(f"position:{position}" for position in POSITIONS),
)
_WHOLE_TAGS: Final[tuple[str, ...]] = (
    *(f"place:{name}" for name in PLACES),
    *(f"style:{name}" for name in STYLES[1:]),
    "touching",
)
# The tags that each of the last tokens says, from left to right: its column in the head's output.
SLOTS: Final[tuple[tuple[str, ...], ...]] = (
    *(tuple(f"{position}.{tag}" for tag in _ITEM_TAGS) for position in POSITIONS),
    _WHOLE_TAGS,
)
TAGS: Final[tuple[str, ...]] = tuple(tag for slot in SLOTS for tag in slot)
_TAG_INDEX: Final = {tag: i for i, tag in enumerate(TAGS)}
LONGEST_CAPTION: Final = MAX_TOKENS - len(SLOTS)


def sample_captions(rng: random.Random, count: int, held_out: bool = False) -> list[Caption]:
    return [
        caption(rng, sample_scene(rng, rng.choice(STAGES)), held_out=held_out) for _ in range(count)
    ]


def train_tokenizer(folder: Path, seed: int) -> CLIPTokenizer:
    """A tokenizer for captions. All 256 bytes are tokens, so no text is ever unknown."""
    texts = [one.text for one in sample_captions(random.Random(seed), 16_000)]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = _learn_merges(texts, alphabet)
    names = [*alphabet, *(f"{letter}</w>" for letter in alphabet), *map("".join, merges)]
    names = [*dict.fromkeys(names), _BEGIN, _END]
    vocabulary = {name: i for i, name in enumerate(names)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS)
    tokenizer.save_pretrained(folder)
    return load_tokenizer(folder)


def _learn_merges(texts: list[str], alphabet: list[str]) -> list[tuple[str, ...]]:
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    learner.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    learner.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=_VOCABULARY,
            end_of_word_suffix="</w>",
            min_frequency=3,
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    return [tuple(merge) for merge in json.loads(learner.to_str())["model"]["merges"]]


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    return cast("CLIPTokenizer", CLIPTokenizer.from_pretrained(folder))


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=4 * HIDDEN,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=MAX_TOKENS,
        projection_dim=HIDDEN,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def tokenise(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Token ids, int64 (batch, 64)."""
    encoded = tokenizer(texts, padding="max_length", max_length=MAX_TOKENS, truncation=True)
    return torch.tensor(encoded.input_ids)


@torch.no_grad()
def embed(encoder: CLIPTextModel, tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """What the UNet attends to: float32 (batch, 64, 128)."""
    ids = tokenise(tokenizer, texts).to(encoder.device)
    return cast("Tensor", encoder(ids).last_hidden_state).float()


def tag_targets(captions: list[Caption]) -> Tensor:
    """float32 (batch, num_tags): 1 where the caption names the tag."""
    targets = torch.zeros(len(captions), len(TAGS))
    for row, one in enumerate(captions):
        targets[row, [_TAG_INDEX[tag] for tag in one.tags]] = 1.0
    return targets


class TagReader(nn.Module):
    """The text encoder with linear heads that read each slot's tags from its token."""

    def __init__(self, encoder: CLIPTextModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.item_head = nn.Linear(HIDDEN, len(_ITEM_TAGS))
        self.whole_head = nn.Linear(HIDDEN, len(_WHOLE_TAGS))
        for head in (self.item_head, self.whole_head):
            nn.init.zeros_(head.weight)
            nn.init.constant_(head.bias, -3.5)

    def forward(self, ids: Tensor) -> Tensor:
        """Tag logits (batch, num_tags) from ids (batch, 64)."""
        hidden = self.encoder(ids).last_hidden_state[:, -len(SLOTS) :].float()
        items = self.item_head(hidden[:, :-1]).flatten(1)
        return torch.cat([items, self.whole_head(hidden[:, -1])], dim=1)


def train_text(folder: Path, device: Device, seed: int, num_steps: int) -> CLIPTextModel:
    """Trains tokenizer and encoder into `folder`; resumes. The encoder comes back frozen."""
    seed_everything(seed)
    tokenizer_folder = folder / "tokenizer"
    if not tokenizer_folder.exists():
        train_tokenizer(tokenizer_folder, seed)
    tokenizer = load_tokenizer(tokenizer_folder)
    reader = TagReader(build_text_encoder(tokenizer)).to(device.name)
    optimiser = Optimiser(reader, ("embedding", "_head"), adam_ratio=1.4)
    step = resume_run(folder / "text.pt", reader, optimiser).get("step", 0)
    rng, progress = random.Random(seed + step), Progress("text", num_steps, 100, step)
    while step < num_steps:
        loss = _tag_loss(reader, tokenizer, device, sample_captions(rng, _BATCH))
        loss.backward()
        warm = min(1.0, (step + 1) / 20)
        optimiser.step(_LEARNING_RATE * warm * (1.02 - step / num_steps))
        step += 1
        progress.report(step, loss=loss.item())
        if step % 500 == 0 or step == num_steps:
            save_run(folder / "text.pt", reader, optimiser, step=step)
    freeze(reader)
    reader.encoder.save_pretrained(folder / "text_encoder", safe_serialization=True)
    for name, recall in measure_recall(reader, tokenizer, seed + 1).items():
        print(f"text held-out wordings, {name}: all tags right {recall:.3f}", flush=True)
    return reader.encoder


def _tag_loss(
    reader: TagReader, tokenizer: CLIPTokenizer, device: Device, captions: list[Caption]
) -> Tensor:
    ids = tokenise(tokenizer, [one.text for one in captions]).to(device.name)
    with device.autocast():
        logits = reader(ids)
    targets = tag_targets(captions).to(device.name)
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1).mean()


def load_reader(folder: Path) -> TagReader:
    """The trained tag reader, frozen, on the CPU."""
    state = load_checkpoint(folder / "text.pt")
    assert state is not None, "train the text stage first: scripts/train_embedded text"
    tokenizer = load_tokenizer(folder / "tokenizer")
    reader = TagReader(build_text_encoder(tokenizer))
    reader.load_state_dict(cast("dict[str, Tensor]", state["model"]))
    return cast("TagReader", freeze(reader))


@torch.no_grad()
def measure_recall(
    reader: TagReader, tokenizer: CLIPTokenizer, seed: int, count: int = 600
) -> dict[str, float]:
    """On held-out wordings: how often all tags of an attribute are read, and no others."""
    rng = random.Random(seed)
    captions = sample_captions(rng, count, held_out=True)
    ids = tokenise(tokenizer, [one.text for one in captions])
    read = reader(ids.to(next(reader.parameters()).device)).cpu() > 0
    named = tag_targets(captions) > 0
    figures = {}
    for attribute in ("kind", "colour", "size", "count", "place", "style"):
        columns = [i for i, tag in enumerate(TAGS) if f".{attribute}:" in f".{tag}"]
        rows = named[:, columns].any(1)
        right = (read[:, columns] == named[:, columns]).all(1)
        figures[attribute] = right[rows].float().mean().item()
    for language in LANGUAGES:
        rows = torch.tensor([one.language == language for one in captions])
        figures[language] = (read == named).all(1)[rows].float().mean().item()
    return figures
