"""The words for everything that a scene may hold, in English and Chinese."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Noun:
    """A kind's names; `measure` is the Chinese measure word that counts it."""

    english: tuple[str, ...]
    chinese: tuple[str, ...]
    measure: str = "个"


@dataclass(frozen=True, slots=True)
class Setting:
    """A place or position: as a phrase after the thing, and as a bare word."""

    phrases: tuple[str, ...]
    bare: tuple[str, ...]
    chinese_phrases: tuple[str, ...]
    chinese_bare: tuple[str, ...]


NOUNS: Final[dict[str, Noun]] = {
    "circle": Noun(("circle", "circle", "ball", "disc"), ("圆形", "圆", "圆圈", "球")),
    "square": Noun(("square", "square", "box"), ("正方形", "方块", "方形")),
    "triangle": Noun(("triangle",), ("三角形", "三角")),
    "star": Noun(("star",), ("星星", "五角星"), "颗"),
    "heart": Noun(("heart", "love heart"), ("心", "爱心", "心形"), "颗"),
    "sun": Noun(("sun", "sunshine"), ("太阳",)),
    "moon": Noun(("moon", "crescent moon", "crescent"), ("月亮", "弯月", "月牙"), "轮"),
    "cloud": Noun(("cloud",), ("云", "云朵", "云彩"), "朵"),
    "tree": Noun(("tree",), ("树", "大树", "树木"), "棵"),
    "flower": Noun(("flower", "flower", "blossom"), ("花", "花朵", "鲜花"), "朵"),
    "mushroom": Noun(("mushroom", "toadstool"), ("蘑菇",)),
    "house": Noun(("house", "house", "cottage", "home"), ("房子", "小屋", "屋子"), "座"),
    "boat": Noun(("boat", "sailboat", "ship", "sailing boat"), ("船", "小船", "帆船"), "艘"),
    "fish": Noun(("fish",), ("鱼", "小鱼"), "条"),
    "cat": Noun(("cat", "cat", "kitten", "kitty"), ("猫", "小猫", "猫咪"), "只"),
    "car": Noun(("car", "car", "automobile"), ("汽车", "车", "小汽车"), "辆"),
    "apple": Noun(("apple",), ("苹果",)),
    "balloon": Noun(("balloon", "hot air balloon"), ("气球", "热气球")),
}

COLOUR_WORDS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "red": (("red", "red", "crimson", "scarlet"), ("红色", "红")),
    "orange": (("orange",), ("橙色", "橘色", "橙", "橘")),
    "yellow": (("yellow", "yellow", "golden"), ("黄色", "黄", "金色")),
    "green": (("green", "green", "emerald"), ("绿色", "绿")),
    "blue": (("blue",), ("蓝色", "蓝")),
    "purple": (("purple", "purple", "violet"), ("紫色", "紫")),
    "pink": (("pink", "pink", "rose"), ("粉色", "粉红色", "粉")),
    "brown": (("brown",), ("棕色", "褐色", "棕")),
    "black": (("black",), ("黑色", "黑")),
    "white": (("white",), ("白色", "白")),
}

LANDSCAPE_WORDS: Final[dict[str, Setting]] = {
    "meadow": Setting(
        ("in a meadow", "on a green meadow", "on the grass", "in a field", "under a blue sky",
         "on a sunny day", "on a lawn", "in the park", "on green hills", "in the countryside"),
        ("meadow", "grass", "field", "sunny day", "green hills"),
        ("在草地上", "在草原上", "在田野里", "在蓝天下", "在公园里", "在绿色的山坡上"),
        ("草地", "草原", "田野", "蓝天"),
    ),
    "sunset": Setting(
        ("at sunset", "at dusk", "in the evening", "in front of a sunset", "under a sunset sky",
         "in the evening light"),
        ("sunset", "dusk", "evening", "sunset sky"),
        ("在夕阳下", "在日落时", "在黄昏", "在傍晚", "在晚霞中"),
        ("夕阳", "日落", "黄昏", "傍晚", "晚霞"),
    ),
    "night": Setting(
        ("at night", "under the stars", "under a starry sky", "in the night sky",
         "in the dark night", "on a starry night"),
        ("night", "starry night", "night sky", "stars at night"),
        ("在夜晚", "在夜里", "在星空下", "在晚上", "在夜空中"),
        ("夜晚", "星空", "夜空", "夜里", "晚上"),
    ),
    "sea": Setting(
        ("on the sea", "at sea", "on the ocean", "on the water", "over the sea", "by the sea",
         "on the waves"),
        ("sea", "ocean", "water", "waves"),
        ("在海上", "在海面上", "在大海上", "在海边"),
        ("大海", "海洋", "海面", "海"),
    ),
    "underwater": Setting(
        ("underwater", "under the sea", "under water", "at the bottom of the sea",
         "beneath the waves", "in the deep ocean"),
        ("underwater", "deep sea", "seabed", "underwater scene"),
        ("在水下", "在海底", "在水里", "在深海里"),
        ("水下", "海底", "水里", "深海"),
    ),
    "snow": Setting(
        ("in the snow", "on snow", "in winter", "on a snowy day", "in a snowy field",
         "on snowy hills"),
        ("snow", "winter", "snowy", "snowy day"),
        ("在雪地里", "在雪中", "在冬天", "在雪地上"),
        ("雪地", "冬天", "下雪", "雪"),
    ),
    "desert": Setting(
        ("in the desert", "on the sand", "on sand dunes", "in a sandy desert", "on a dune"),
        ("desert", "sand", "dunes", "sand dunes"),
        ("在沙漠里", "在沙丘上", "在沙漠中", "在沙地上"),
        ("沙漠", "沙丘", "沙地"),
    ),
}  # fmt: skip

# `{}` stands for the colour's word.
PLAIN_WORDS: Final = Setting(
    ("on a {} background", "against a {} background", "on {}", "with a {} background",
     "in front of a {} backdrop", "on a plain {} background"),
    ("{} background", "{} backdrop", "background {}"),
    ("在{}背景上", "在{}的背景上", "在{}背景前"),
    ("{}背景", "{}的背景", "背景{}"),
)  # fmt: skip

POSITION_WORDS: Final[dict[str, Setting]] = {
    "centre": Setting(
        ("in the middle", "in the centre", "in the center"),
        ("centre", "middle", "centered", "center"),
        ("在中间", "在中央", "在正中"),
        ("中间", "居中", "中央"),
    ),
    "left": Setting(
        ("on the left", "on the left side", "to the left", "at the left", "at left"),
        ("left", "left side"),
        ("在左边", "在左侧", "在左面"),
        ("左边", "左侧", "靠左"),
    ),
    "right": Setting(
        ("on the right", "on the right side", "to the right", "at the right", "at right"),
        ("right", "right side"),
        ("在右边", "在右侧", "在右面"),
        ("右边", "右侧", "靠右"),
    ),
    "top": Setting(
        ("at the top", "near the top", "in the upper part", "high up", "at the upper edge"),
        ("top", "up", "upper part"),
        ("在上方", "在上面", "在顶部"),
        ("上方", "上面", "顶部"),
    ),
    "bottom": Setting(
        ("at the bottom", "near the bottom", "in the lower part", "low down", "at the lower edge"),
        ("bottom", "down", "lower part"),
        ("在下方", "在下面", "在底部"),
        ("下方", "下面", "底部"),
    ),
}

PREFIXES: Final = (
    "a painting of", "a picture of", "an illustration of", "a drawing of", "a photo of", "draw",
    "paint", "please draw", "please paint", "an image of", "a beautiful painting of",
    "digital art of", "a simple drawing of", "show me", "i want", "make", "a sketch of",
    "a cartoon of", "vector art of", "there is", "here is", "a scene with", "an icon of",
)  # fmt: skip
SUFFIXES: Final = (
    "beautiful", "highly detailed", "cartoon", "vector art", "soft light", "masterpiece", "cute",
    "colorful", "digital art", "flat illustration", "high quality", "simple", "minimal",
    "children's book", "storybook style", "clean lines", "4k", "nice colors", "in a simple style",
    "illustration", "bright", "painting", "please",
)  # fmt: skip
ADJECTIVES: Final = (
    "big", "large", "cute", "pretty", "lovely", "little", "small", "shiny", "beautiful", "happy",
    "nice", "simple", "huge", "single", "old", "bright",
)  # fmt: skip
CHINESE_PREFIXES: Final = (
    "画", "请画", "一幅画:", "一张图片:", "画一幅画,", "帮我画", "我想要", "插画:", "一幅插画,",
    "请生成", "这里有", "一幅美丽的画:", "卡通画:", "简笔画,",
)  # fmt: skip
CHINESE_SUFFIXES: Final = (
    "高清", "插画", "卡通", "卡通风格", "大师作品", "漂亮", "可爱", "简单", "色彩鲜艳", "细节丰富",
    "柔和的光线", "矢量图", "扁平风格", "很好看", "儿童画",
)  # fmt: skip
CHINESE_ADJECTIVES: Final = ("可爱的", "漂亮的", "美丽的", "大", "小", "巨大的", "好看的", "简单的")

# Words that name nothing that the model knows: it must learn to pass over them.
STRANGERS: Final = (
    "the", "very", "with", "some", "style", "famous", "morning", "ancient", "magic", "dream",
    "quiet", "of", "and", "in", "my", "best", "award", "winning", "light", "cinematic", "epic",
    "studio", "artist", "funny", "warm", "calm", "new", "friendly", "fantasy", "world", "today",
    "wooden", "modern", "texture", "render", "concept", "sharp", "elegant", "charming", "just",
)  # fmt: skip
CHINESE_STRANGERS: Final = (
    "的", "很", "非常", "风格", "梦幻", "艺术", "古老", "安静", "温暖", "现代", "世界", "早晨",
    "电影感", "朋友", "快乐", "有", "一些", "我的", "精美", "魔法",
)  # fmt: skip
