"""The syntax of prompts, and what becomes of it in the text encoder."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu import prompts
from gpu.models.family import Reading
from gpu.models.text import MAX_WINDOWS, emphasise
from gpu.prompts import MAX_WEIGHT, Span, parse

if TYPE_CHECKING:
    from gpu.models.stable_diffusion import StableDiffusion

WINDOW = 12
ANY_PROMPT = st.lists(
    st.sampled_from(["(", ")", "[", "]", ":", "\\", "1.3", "-2", "cat", " ", ",", " BREAK ", "猫"]),
    max_size=60,
).map("".join)


def spans(prompt: str) -> list[tuple[str, float]]:
    (passage,) = parse(prompt)
    return [(span.text, round(span.weight, 4)) for span in passage]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a cat", [("a cat", 1.0)]),
        ("a (cat) here", [("a ", 1.0), ("cat", 1.1), (" here", 1.0)]),
        ("((cat))", [("cat", 1.21)]),
        ("[cat]", [("cat", 0.9091)]),
        ("(cat:1.3)", [("cat", 1.3)]),
        ("(cat : .5 )", [("cat ", 0.5)]),
        ("(a (b:2):1.2)", [("a ", 1.2), ("b", 2.4)]),
        ("((cat):1.5)", [("cat", 1.65)]),
        (r"\(cat\) [\]]", [("(cat) ", 1.0), ("]", 0.9091)]),
        (r"a \\ b \n", [(r"a \ b \n", 1.0)]),
        ("(cat:9)", [("cat", MAX_WEIGHT)]),
        ("(cat:-1)", [("cat", 0.0)]),
        ("(a:b) x:1.3", [("a:b", 1.1), (" x:1.3", 1.0)]),
        ("", []),
    ],
)
def test_g39_brackets_say_how_much_words_weigh(
    prompt: str, expected: list[tuple[str, float]]
) -> None:
    assert spans(prompt) == expected


@pytest.mark.parametrize("prompt", ["(cat", "cat)", "a :( b", "[[", "(a]", "cat:1.3)", "[(", ")("])
def test_g39_a_bracket_without_its_partner_is_text(prompt: str) -> None:
    assert spans(prompt) == [(prompt, 1.0)]


def test_g39_the_nearest_partner_counts_and_what_is_between_is_text() -> None:
    assert spans("(a [b)") == [("a [b", 1.1)]
    assert spans("((a)") == [("(", 1.0), ("a", 1.1)]


def test_g40_break_is_a_word_of_its_own() -> None:
    assert parse("a BREAK (b BREAK c)") == (
        (Span("a ", 1.0),),
        (Span("b ", 1.1),),
        (Span(" c", 1.1),),
    )
    assert parse("BREAKFAST") == ((Span("BREAKFAST", 1.0),),)


@given(ANY_PROMPT | st.text())
@settings(deadline=None, max_examples=200)
def test_g39_any_text_is_a_prompt(prompt: str) -> None:
    for passage in parse(prompt):
        for span in passage:
            assert 0 <= span.weight <= MAX_WEIGHT


def steps_of(prompt: str) -> int:
    """Lines of `gpu.prompts` that were run to read it."""
    count = 0

    def trace(frame: Any, event: str, _argument: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename != prompts.__file__:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        parse(prompt)
    finally:
        sys.settrace(before)
    return count


@given(ANY_PROMPT.filter(bool))
@settings(deadline=None, max_examples=40)
def test_g39_reading_takes_as_many_steps_as_the_text_is_long(unit: str) -> None:
    once, twice = steps_of(unit * 20), steps_of(unit * 40)

    assert twice <= 2 * once + 50
    assert once <= 30 * len(unit * 20) + 100


@pytest.mark.parametrize("unit", ["(", "[", "([", ")", "(a:1.3", "[(])"])
def test_g39_unbalanced_brackets_cost_no_more(unit: str) -> None:
    assert steps_of(unit * 2000) <= 2.1 * steps_of(unit * 1000)


# --- in the text encoder ---------------------------------------------------------------------


def encoder_output(tiny: StableDiffusion, text: str) -> torch.Tensor:
    """What the stock pipeline feeds the denoiser."""
    reader = tiny._reader
    ids = reader._tokenizer(
        text, padding="max_length", max_length=WINDOW, truncation=True, return_tensors="pt"
    ).input_ids
    with torch.inference_mode():
        encoded: torch.Tensor = reader._encoder(ids)[0][0]
    return encoded


@pytest.mark.parametrize("text", ["", "a cat", "(cat", r"\(a", "abcdefghij"])
def test_g39_without_weights_not_a_bit_differs(tiny: StableDiffusion, text: str) -> None:
    stock = encoder_output(tiny, text.replace("\\", ""))

    assert torch.equal(tiny.encode_prompt(text).tokens, stock)


def test_g39_weights_scale_tokens_and_keep_the_mean(tiny: StableDiffusion) -> None:
    plain, weighted = tiny.encode_prompt("ab cd").tokens, tiny.encode_prompt("ab (cd:1.5)").tokens

    weights = torch.ones(WINDOW)
    weights[3:5] = 1.5
    scaled = plain * weights[:, None]
    expected = scaled * (plain.mean() / scaled.mean()).clamp(1 / 1.5, 1)
    torch.testing.assert_close(weighted, expected)


def test_g39_an_encoder_whose_mean_is_about_zero_is_not_thrown_off() -> None:
    encoded = torch.tensor([[1.0, -1.0], [1.0, -1.000001], [2.0, -2.0]])

    weighted = emphasise(encoded, torch.tensor([1.0, 1.4, 1.0]))

    factors = weighted / encoded
    assert float(factors.min()) >= 1 / 1.4 - 1e-6
    assert float(factors.max()) <= 1.4 + 1e-6
    assert torch.equal(emphasise(torch.zeros(2, 2), torch.ones(2)), torch.zeros(2, 2))


def test_g40_long_prompts_are_cut_after_a_comma_near_the_windows_end(
    tiny: StableDiffusion,
) -> None:
    cut = tiny.encode_prompt("abcdefgh, ijkl").tokens

    assert cut.shape[0] == 2 * WINDOW
    assert torch.equal(cut[:WINDOW], tiny.encode_prompt("abcdefgh,").tokens)
    assert torch.equal(cut[WINDOW:], tiny.encode_prompt("ijkl").tokens)
    assert torch.equal(cut, tiny.encode_prompt("abcdefgh, BREAK ijkl").tokens)


def test_g40_a_prompt_without_commas_is_cut_where_the_window_ends(tiny: StableDiffusion) -> None:
    letters = " ".join("abcdefghijklm")

    assert torch.equal(
        tiny.encode_prompt(letters).tokens,
        tiny.encode_prompt("a b c d e f g h i j BREAK k l m").tokens,
    )


def test_g40_more_windows_than_allowed_are_cut(tiny: StableDiffusion) -> None:
    assert tiny.encode_prompt("a red house " * 50).tokens.shape[0] == MAX_WINDOWS * WINDOW


def test_g41_a_clip_skip_that_leaves_no_layer_is_refused(tiny: StableDiffusion) -> None:
    with pytest.raises(ValueError, match="expected a clip skip below 2"):
        tiny.encode_prompt("a", Reading(clip_skip=2))
