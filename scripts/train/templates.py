"""Sentence patterns of captions, English and Chinese, and those that training never sees.

Slots: {thing} is everything that is shown, {place} and {position} are phrases. A pattern of a
caption is used where it has exactly the slots at hand; {a}, {b} and {c} are single things.
"""

from __future__ import annotations

from typing import Final, Literal

Language = Literal["en", "zh"]
# How several things stand to one another.
Relation = Literal["beside", "above", "on", "three"]
Templates = dict[frozenset[str], tuple[str, ...]]

SENTENCES: Final[dict[Language, Templates]] = {
    "en": {
        frozenset(): (
            "{thing}", "{thing}", "{thing}", "there is {thing}", "i would like {thing}",
            "can you draw {thing}", "imagine {thing}", "let me have {thing}", "draw me {thing}",
            "give me {thing}", "this is {thing}", "how about {thing}", "would you paint {thing}",
            "try {thing}", "get {thing}", "one day {thing}", "that is {thing}", "{thing} now",
            "we need {thing}",
        ),
        frozenset({"place"}): (
            "{thing} {place}", "{thing} {place}", "{place}, {thing}", "{thing}, {place}",
            "{thing} standing {place}", "{thing} that is {place}", "{place} there is {thing}",
            "{thing} floating {place}", "{place} you find {thing}", "{thing} all alone {place}",
            "picture {thing} {place}", "{place} is {thing}", "can you draw {thing} {place}",
            "draw me {thing} {place}", "give me {thing}, {place}", "this is {thing} {place}",
            "how about {thing}, {place}", "would you paint {thing} {place}", "{place} try {thing}",
            "{place} stands {thing}", "{place} sits {thing}", "{thing}, painted {place}",
            "{thing}, found {place}", "{thing} shown {place}", "{place} i noticed {thing}",
            "{place} they met {thing}", "{thing} which lives {place}",
        ),
        frozenset({"position"}): (
            "{thing} {position}", "{position} {thing}", "{position} is {thing}",
            "{thing}, {position}", "{position}, {thing}", "{thing} placed {position}",
            "{position} there is {thing}", "{position} you find {thing}", "draw {thing} {position}",
            "set {thing} {position}", "would you paint {thing} {position}",
            "{position} they met {thing}", "{position} i noticed {thing}",
        ),
        frozenset({"place", "position"}): (
            "{thing} {position} {place}", "{thing} {place}, {position}",
            "{place}, {thing} {position}", "{position} {thing} {place}",
            "{position}, {thing} {place}", "{thing} {place} {position}",
            "{thing}, {place}, {position}", "{place} there is {thing} {position}",
            "{place} you find {thing} {position}", "i want {thing} {place} and {position}",
            "{place}, {position}, there is {thing}", "set {thing} {position}, {place}",
            "{place}, {position} is {thing}", "would you paint {thing} {position}, {place}",
            "{place}, {position}, they met {thing}", "{place}, {position}, i noticed {thing}",
            "draw {thing} {position}, {place}",
        ),
    },
    "zh": {
        frozenset(): ("{thing}", "{thing}", "有{thing}", "我想看{thing}", "请给我{thing}",
                      "可以画{thing}吗", "麻烦画{thing}", "来{thing}", "想要{thing}",
                      "这是{thing}"),
        frozenset({"place"}): (
            "{thing}{place}", "{place},{thing}", "{place}有{thing}", "{place}的{thing}",
            "{thing},{place}", "{place}画{thing}", "{place}还有{thing}", "{place}放着{thing}",
            "{place}是{thing}", "{thing}待{place}", "{place}立着{thing}", "{place}多了{thing}",
            "{thing},就{place}", "{place}找到{thing}", "{thing}停{place}", "{place}藏着{thing}",
            "{thing}来到{place}",
        ),
        frozenset({"position"}): (
            "{thing}{position}", "{position}有{thing}", "{position}的{thing}",
            "{position}画{thing}", "{position}立着{thing}", "{position}找到{thing}",
            "{thing}停{position}",
        ),
        frozenset({"place", "position"}): (
            "{place}有{thing},{position}", "{thing}{position},{place}",
            "{thing}{place},{position}", "{place},{thing}{position}",
            "{position}有{thing},{place}", "{place},{position}有{thing}",
            "{place}画{thing},{position}", "{place}还有{thing}{position}",
            "{place}找到{thing}{position}", "{place}立着{thing}{position}",
        ),
    },
}  # fmt: skip
HELD_OUT_SENTENCES: Final[dict[Language, Templates]] = {
    "en": {
        frozenset(): ("could you create {thing}",),
        frozenset({"place"}): ("{place} we see {thing}", "look at {thing}, seen {place}"),
        frozenset({"position"}): ("{position} we see {thing}",),
        frozenset({"place", "position"}): (
            "{place}, {position}, we see {thing}", "could you put {thing} {position}, {place}",
        ),
    },
    "zh": {
        frozenset(): ("能不能画出{thing}",),
        frozenset({"place"}): ("{place}能看到{thing}", "{thing}出现{place}"),
        frozenset({"position"}): ("{position}能看到{thing}",),
        frozenset({"place", "position"}): ("{place}能看到{thing}{position}",),
    },
}  # fmt: skip

RELATIONS: Final[dict[Language, dict[Relation, tuple[str, ...]]]] = {
    "en": {
        "beside": (
            "{a} and {b}", "{a} and {b}", "{a} next to {b}", "{a} beside {b}", "{a} with {b}",
            "{a} to the left of {b}", "{b} to the right of {a}", "{a} and {b} side by side",
            "{a} on the left and {b} on the right", "{b} on the right and {a} on the left",
            "{a} left of {b}", "on the left {a}, on the right {b}", "{a} by {b}",
            "{a} with {b} to its right", "{b} with {a} to its left", "right of {a} is {b}",
            "left of {b} is {a}", "{a} plus {b}", "first {a}, then {b}",
            "{a}, on its right {b}", "{b}, on its left {a}", "{a} has {b} on its right",
            "{b} has {a} on its left", "on the right of {a} {b}", "on the left of {b} {a}",
            "to the right of {a} is {b}", "to the left of {b} is {a}",
            "{a} and {b} on the right of it", "{b} and {a} on the left of it",
            "{a} and right of it {b}", "{b} and left of it {a}", "{a} which has {b} to the right",
            "{b} which has {a} to the left", "{a} along with {b}", "{a} in company of {b}",
        ),
        "above": (
            "{a} above {b}", "{b} below {a}", "{b} under {a}", "{a} over {b}", "{b} beneath {a}",
            "{a} at the top and {b} at the bottom", "{a} flying over {b}",
            "{a} hovering above {b}", "{b} with {a} above it", "{a} up above {b}",
            "{a} in the sky above {b}", "{a} with {b} below it", "{a} gliding above {b}",
            "{a} high above {b}", "{a} somewhere above {b}", "below {a} is {b}",
        ),
        "on": (
            "{a} on {b}", "{a} on top of {b}", "{a} standing on {b}", "{a} sitting on {b}",
            "{b} with {a} on top", "{a} lying on {b}", "{a} perched on {b}", "{a} that is on {b}",
            "{a} up on {b}", "{a} placed on {b}", "{a} waiting on {b}", "{a} balanced on {b}",
        ),
        "three": (
            "{a}, {b} and {c}", "{a}, {b} and {c} in a row", "{a} and {b} and {c}",
            "{a}, {b}, {c}", "{a} on the left, {b} in the middle, {c} on the right",
            "{a} and {b} as well as {c}", "first {a}, then {b}, then {c}", "{a} with {b} and {c}",
            "{a} along with {b} along with {c}", "{a} & {b} & {c}", "{a} next to {b} next to {c}",
        ),
    },
    "zh": {
        "beside": (
            "{a}和{b}", "{a}和{b}", "{a}与{b}", "{a}在{b}旁边", "{a}在{b}的左边", "{b}在{a}的右边",
            "左边是{a},右边是{b}", "左边有{a},右边有{b}", "{a}跟{b}在一起",
            "{a}右边是{b}", "{b}左边是{a}", "{a}的右边有{b}", "{a}、{b}", "{a}还有{b}",
            "{b}的左边有{a}", "{a}紧靠{b}", "{a}同{b}", "{a}加{b}", "{a}外加{b}", "{a}配{b}",
            "{a}陪着{b}",
        ),
        "above": (
            "{a}在{b}的上方", "{b}在{a}的下方", "{b}上方有{a}", "{b}在{a}下面",
            "上面是{a},下面是{b}", "{a}飞过{b}上空",
            "{b}上空有{a}", "{a}悬在{b}上方", "{a}在{b}上空", "上方是{a},下方是{b}",
            "{a}浮在{b}上方", "{a}停在{b}上方",
        ),
        "on": ("{a}在{b}上", "{b}上有{a}", "{a}站在{b}上", "{a}坐在{b}上", "{b}顶上有{a}",
               "{a}趴在{b}上", "{a}躺在{b}上", "{a}放在{b}上", "{a}立在{b}上", "{a}蹲在{b}上",
               "{a}靠在{b}上", "{a}摆在{b}上"),
        "three": (
            "{a}、{b}和{c}", "{a},{b},{c}", "{a},{b}和{c}", "左边是{a},中间是{b},右边是{c}",
            "{a}、{b}、{c}", "{a}还有{b}还有{c}", "{a}和{b}和{c}", "{a}与{b}与{c}",
            "{a}加{b}加{c}", "{a}同{b}同{c}",
        ),
    },
}  # fmt: skip
# Relations with a slot {x} for words that mean nothing: any verb may stand there.
STRANGE_RELATIONS: Final[dict[Language, dict[Relation, tuple[str, ...]]]] = {
    "en": {
        "beside": (
            "{a} {x} {b}", "{a} {x} {b}", "{a}, {x} {b}", "{a} {x} on its right {b}",
            "{b} {x} on its left {a}",
        ),
        "above": ("{a} {x} above {b}", "{a} {x} over {b}", "{b} {x} below {a}"),
        "on": ("{a} {x} on {b}", "{a} {x} on top of {b}", "{a}, {x} on {b}"),
        "three": ("{a} {x} {b} {x} {c}", "{a}, {b} {x} {c}"),
    },
    "zh": {
        "beside": ("{a}{x}{b}", "{a}{x}{b}", "{a}{x},右边是{b}"),
        "above": ("{a}{x}在{b}上方", "{a}{x}在{b}上空"),
        "on": ("{a}{x}在{b}上", "{b}上{x}{a}"),
        "three": ("{a}{x}{b}{x}{c}",),
    },
}  # fmt: skip
HELD_OUT_RELATIONS: Final[dict[Language, dict[Relation, tuple[str, ...]]]] = {
    "en": {
        "beside": ("{a} together with {b}", "{a}, and to its right {b}"),
        "above": ("{a} floating above {b}",),
        "on": ("{a} resting on {b}",),
        "three": ("{a} plus {b} plus {c}",),
    },
    "zh": {
        "beside": ("{a}挨着{b}", "{a}以及{b}"),
        "above": ("{a}飘在{b}上方",),
        "on": ("{a}待在{b}上",),
        "three": ("{a}以及{b}以及{c}",),
    },
}

# {}: what is drawn.
STYLE_WORDS: Final[dict[str, dict[Language, tuple[str, ...]]]] = {
    "flat": {
        "en": ("{}, flat design", "{}, flat illustration", "a flat drawing of {}", "{}, flat style",
               "flat vector art of {}", "{}, in flat colors"),
        "zh": ("{},扁平风格", "扁平插画:{}", "{},扁平化", "扁平风格的{}"),
    },
    "outlined": {
        "en": ("{}, outlined", "{}, with bold outlines", "a cartoon of {}", "{}, comic style",
               "{}, line art", "a coloring book page of {}"),
        "zh": ("{},粗线条", "{},描边风格", "漫画风格的{}", "卡通画:{}", "{},勾线"),
    },
    "watercolour": {
        "en": ("a watercolor of {}", "a watercolour painting of {}", "{}, watercolor",
               "{}, in watercolour", "{}, watercolor style"),
        "zh": ("水彩画:{}", "{},水彩", "水彩风格的{}", "{},水彩画"),
    },
    "pixel": {
        "en": ("pixel art of {}", "{}, pixel art", "{}, 8-bit", "a pixel {}", "{}, retro game"),
        "zh": ("像素画:{}", "{},像素风", "像素风格的{}", "{},像素艺术"),
    },
    "crayon": {
        "en": ("a crayon drawing of {}", "{}, crayon", "{}, drawn with crayons", "{}, wax crayon",
               "a child's drawing of {}"),
        "zh": ("蜡笔画:{}", "{},蜡笔", "蜡笔风格的{}", "{},儿童画"),
    },
    "pencil": {
        "en": ("a pencil sketch of {}", "a sketch of {}", "{}, pencil drawing", "{}, sketch",
               "{}, drawn in pencil"),
        "zh": ("铅笔画:{}", "{},素描", "素描风格的{}", "{},铅笔草图", "草图:{}"),
    },
}  # fmt: skip
# Ways to name a style by its bare word, between words that may mean nothing.
STYLE_PATTERNS: Final[dict[Language, tuple[str, ...]]] = {
    "en": ("{}, {style}", "{} in {style} style", "{style}, {}", "{}, made with {style}",
           "{}, {x} {style}", "{}, {style} {x}", "{x} {style} {}", "{}, {x} {style} {x}"),
    "zh": ("{},{style}", "用{style}画{}", "{},用{style}画", "{style},{}", "以{style}画的{}",
           "{},{x}{style}", "{},{style}{x}", "{},{x}{style}{x}", "{x}{style}{x}{}"),
}  # fmt: skip
BARE_STYLES: Final[dict[str, dict[Language, tuple[str, ...]]]] = {
    "flat": {"en": ("flat", "flat design"), "zh": ("扁平", "扁平风")},
    "outlined": {"en": ("outline", "outlined", "comic"), "zh": ("描边", "勾线", "漫画")},
    "watercolour": {"en": ("watercolor", "watercolour"), "zh": ("水彩", "水彩画")},
    "pixel": {"en": ("pixel", "pixel art", "pixels"), "zh": ("像素", "像素风")},
    "crayon": {"en": ("crayon", "crayons"), "zh": ("蜡笔", "蜡笔画")},
    "pencil": {"en": ("pencil", "sketch"), "zh": ("铅笔", "素描")},
}
HELD_OUT_STYLE_WORDS: Final[dict[Language, str]] = {
    "en": "{}, done as {style}",
    "zh": "{},用{style}的画法",
}
# What stands for {style} there: the words that name the style and nothing else.
STYLE_NAMES: Final[dict[str, dict[Language, str]]] = {
    "flat": {"en": "flat art", "zh": "扁平"},
    "outlined": {"en": "comic outlines", "zh": "描边"},
    "watercolour": {"en": "watercolor art", "zh": "水彩"},
    "pixel": {"en": "pixel graphics", "zh": "像素"},
    "crayon": {"en": "crayon art", "zh": "蜡笔"},
    "pencil": {"en": "pencil work", "zh": "素描"},
}

NUMBERS: Final[dict[int, dict[Language, str]]] = {
    2: {"en": "two", "zh": "两"},
    3: {"en": "three", "zh": "三"},
    4: {"en": "four", "zh": "四"},
}
SIZE_WORDS: Final[dict[str, dict[Language, tuple[str, ...]]]] = {
    "small": {"en": ("small", "little", "tiny"), "zh": ("小", "小小的", "很小的")},
    "big": {"en": ("big", "large", "huge"), "zh": ("大", "大大的", "巨大的")},
}
CORNER_WORDS: Final[dict[str, dict[Language, tuple[str, ...]]]] = {
    "top left": {
        "en": ("in the top left corner", "at the top left", "in the upper left corner"),
        "zh": ("在左上角", "在左上方"),
    },
    "top right": {
        "en": ("in the top right corner", "at the top right", "in the upper right corner"),
        "zh": ("在右上角", "在右上方"),
    },
    "bottom left": {
        "en": ("in the bottom left corner", "at the bottom left", "in the lower left corner"),
        "zh": ("在左下角", "在左下方"),
    },
    "bottom right": {
        "en": ("in the bottom right corner", "at the bottom right", "in the lower right corner"),
        "zh": ("在右下角", "在右下方"),
    },
}
