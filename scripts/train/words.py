"""The words for everything that a scene may hold, in English and Chinese."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Noun:
    """A kind's names, most usual first; a name given twice is said twice as often.

    `plural` matches `english` name by name; `measure` is the Chinese measure word that counts it.
    """

    english: tuple[str, ...]
    plural: tuple[str, ...]
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
    "circle": Noun(
        ("circle", "circle", "ball", "disc"),
        ("circles", "circles", "balls", "discs"),
        ("圆形", "圆", "圆圈", "球"),
    ),
    "square": Noun(
        ("square", "square", "box"), ("squares", "squares", "boxes"), ("正方形", "方块", "方形")
    ),
    "triangle": Noun(("triangle",), ("triangles",), ("三角形", "三角")),
    "diamond": Noun(
        ("diamond", "diamond", "rhombus"), ("diamonds", "diamonds", "rhombuses"), ("菱形", "菱形块")
    ),
    "star": Noun(("star",), ("stars",), ("星星", "五角星"), "颗"),
    "heart": Noun(("heart", "love heart"), ("hearts", "love hearts"), ("心", "爱心", "心形"), "颗"),
    "sun": Noun(("sun", "sunshine"), ("suns", "suns"), ("太阳",)),
    "moon": Noun(
        ("moon", "crescent moon", "crescent"),
        ("moons", "crescent moons", "crescents"),
        ("月亮", "弯月", "月牙"),
        "轮",
    ),
    "cloud": Noun(("cloud",), ("clouds",), ("云", "云朵", "云彩"), "朵"),
    "rainbow": Noun(("rainbow",), ("rainbows",), ("彩虹",), "道"),
    "mountain": Noun(
        ("mountain", "mountain", "snowy mountain", "mountain peak"),
        ("mountains", "mountains", "snowy mountains", "mountain peaks"),
        ("山", "山峰", "雪山", "高山"),
        "座",
    ),
    "hill": Noun(
        ("hill", "hill", "hillock"), ("hills", "hills", "hillocks"), ("山丘", "山包"), "座"
    ),
    "tree": Noun(("tree",), ("trees",), ("树", "树木"), "棵"),
    "pine": Noun(
        ("pine tree", "pine", "fir tree", "christmas tree"),
        ("pine trees", "pines", "fir trees", "christmas trees"),
        ("松树", "圣诞树", "杉树"),
        "棵",
    ),
    "flower": Noun(
        ("flower", "flower", "blossom"),
        ("flowers", "flowers", "blossoms"),
        ("花", "花朵", "鲜花"),
        "朵",
    ),
    "mushroom": Noun(("mushroom", "toadstool"), ("mushrooms", "toadstools"), ("蘑菇",)),
    "apple": Noun(("apple",), ("apples",), ("苹果",)),
    "house": Noun(
        ("house", "house", "cottage", "home"),
        ("houses", "houses", "cottages", "homes"),
        ("房子", "屋子", "房屋"),
        "座",
    ),
    "castle": Noun(
        ("castle", "castle", "fortress", "palace"),
        ("castles", "castles", "fortresses", "palaces"),
        ("城堡", "城堡", "宫殿"),
        "座",
    ),
    "bridge": Noun(
        ("bridge", "bridge", "stone bridge"),
        ("bridges", "bridges", "stone bridges"),
        ("桥", "石桥", "拱桥", "桥梁"),
        "座",
    ),
    "lighthouse": Noun(("lighthouse",), ("lighthouses",), ("灯塔",), "座"),
    "fish": Noun(("fish",), ("fish",), ("鱼", "鱼儿"), "条"),
    "whale": Noun(("whale",), ("whales",), ("鲸鱼", "鲸"), "头"),
    "bird": Noun(
        ("bird", "bird", "songbird"), ("birds", "birds", "songbirds"), ("鸟", "鸟儿"), "只"
    ),
    "butterfly": Noun(("butterfly",), ("butterflies",), ("蝴蝶",), "只"),
    "cat": Noun(
        ("cat", "cat", "kitten", "kitty"),
        ("cats", "cats", "kittens", "kitties"),
        ("猫", "猫咪"),
        "只",
    ),
    "dog": Noun(
        ("dog", "dog", "puppy", "doggy"),
        ("dogs", "dogs", "puppies", "doggies"),
        ("狗", "狗狗"),
        "只",
    ),
    "rabbit": Noun(
        ("rabbit", "rabbit", "bunny", "hare"),
        ("rabbits", "rabbits", "bunnies", "hares"),
        ("兔子", "兔子", "兔"),
        "只",
    ),
    "person": Noun(
        ("person", "man", "woman", "boy", "girl", "child"),
        ("people", "men", "women", "boys", "girls", "children"),
        ("人", "男孩", "女孩", "孩子"),
    ),
    "robot": Noun(("robot",), ("robots",), ("机器人",)),
    "boat": Noun(
        ("boat", "sailboat", "ship", "sailing boat"),
        ("boats", "sailboats", "ships", "sailing boats"),
        ("船", "帆船"),
        "艘",
    ),
    "car": Noun(
        ("car", "car", "automobile"), ("cars", "cars", "automobiles"), ("汽车", "车", "轿车"), "辆"
    ),
    "train": Noun(
        ("train", "train", "steam train", "locomotive"),
        ("trains", "trains", "steam trains", "locomotives"),
        ("火车", "火车", "列车", "蒸汽火车"),
        "列",
    ),
    "rocket": Noun(
        ("rocket", "rocket", "spaceship", "rocket ship"),
        ("rockets", "rockets", "spaceships", "rocket ships"),
        ("火箭", "火箭", "宇宙飞船"),
        "枚",
    ),
    "balloon": Noun(
        ("balloon", "hot air balloon"), ("balloons", "hot air balloons"), ("气球", "热气球")
    ),
    "kite": Noun(("kite",), ("kites",), ("风筝",), "只"),
    "cake": Noun(
        ("cake", "cake", "birthday cake"),
        ("cakes", "cakes", "birthday cakes"),
        ("蛋糕", "蛋糕", "生日蛋糕"),
    ),
    "cup": Noun(
        ("cup", "mug", "coffee cup", "teacup"),
        ("cups", "mugs", "coffee cups", "teacups"),
        ("杯子", "茶杯", "咖啡杯", "马克杯"),
    ),
    "umbrella": Noun(
        ("umbrella", "umbrella", "parasol"),
        ("umbrellas", "umbrellas", "parasols"),
        ("雨伞", "伞"),
        "把",
    ),
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
    "grey": (("grey", "gray", "silver"), ("灰色", "灰", "银色")),
    "turquoise": (("turquoise", "cyan", "teal"), ("青色", "青绿色", "青")),
}

LANDSCAPE_WORDS: Final[dict[str, Setting]] = {
    "meadow": Setting(
        ("in a meadow", "on a green meadow", "on the grass", "in a field", "under a blue sky",
         "on a sunny day", "on a lawn", "in the park", "in the countryside"),
        ("meadow", "grass", "field", "sunny day"),
        ("在草地上", "在草原上", "在田野里", "在蓝天下", "在公园里"),
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
        ("night", "starry night", "night sky"),
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
        ("in the snow", "on snow", "in winter", "on a snowy day", "in a snowy field"),
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
    "street": Setting(
        ("in the street", "on the street", "in the city", "in a town", "on the road",
         "in a city street", "downtown"),
        ("street", "city", "town", "road", "city street"),
        ("在街上", "在城市里", "在路上", "在马路边", "在街道上", "在城里", "在马路上"),
        ("街道", "城市", "马路", "街上"),
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
    "digital art of", "a simple drawing of", "show me", "i want", "make", "there is", "here is",
    "a scene with", "gazing at", "a glance at", "pointing at", "focus on", "working on",
    "thinking of", "all about", "say hello to", "i dream of", "my favourite", "here comes",
    "once more", "a story about", "help me with", "what about", "hello,", "ok,", "next:",
)  # fmt: skip
SUFFIXES: Final = (
    "beautiful", "highly detailed", "soft light", "masterpiece", "cute", "colorful", "digital art",
    "high quality", "simple", "minimal", "4k", "nice colors", "illustration", "bright", "painting",
    "please",
)  # fmt: skip
ADJECTIVES: Final = (
    "cute", "pretty", "lovely", "shiny", "beautiful", "happy", "nice", "simple", "old", "bright",
)  # fmt: skip
CHINESE_PREFIXES: Final = (
    "画", "请画", "一幅画:", "一张图片:", "画一幅画,", "帮我画", "我想要", "插画:", "一幅插画,",
    "请生成", "这里有", "一幅美丽的画:",
    "你好,", "请问,", "帮忙画", "试试", "来一张", "想象", "给我画", "接下来画", "生成",
)  # fmt: skip
CHINESE_SUFFIXES: Final = (
    "高清", "插画", "大师作品", "漂亮", "可爱", "简单", "色彩鲜艳", "细节丰富", "柔和的光线",
    "很好看",
)  # fmt: skip
CHINESE_ADJECTIVES: Final = ("可爱的", "漂亮的", "美丽的", "好看的", "简单的")

# Words that name nothing that the model knows: it must learn to pass over them.
STRANGERS: Final = (
    "the", "very", "some", "style", "famous", "morning", "ancient", "magic", "dream", "quiet",
    "in", "my", "best", "award", "winning", "light", "cinematic", "epic", "studio", "artist",
    "funny", "warm", "calm", "new", "friendly", "fantasy", "world", "today", "wooden", "modern",
    "texture", "render", "concept", "sharp", "elegant", "charming", "just", "and", "with", "is",
    "was", "are", "be", "has", "had", "have", "do", "does", "did", "can", "may", "must", "should",
    "shall", "will", "might", "i", "he", "she", "it", "they", "our", "your", "his", "her", "their",
    "me", "us", "them", "who", "what", "when", "where", "why", "how", "which", "this", "that",
    "these", "those", "there", "here", "then", "than", "so", "too", "also", "only", "even", "still",
    "again", "always", "never", "often", "maybe", "perhaps", "really", "quite", "rather", "almost",
    "about", "after", "before", "during", "until", "while", "because", "if", "or", "but", "for",
    "from", "into", "of", "to", "through", "without", "within", "like", "around", "between",
    "make", "take", "give", "get", "go", "come", "find", "think", "know", "want", "need", "use",
    "show", "tell", "ask", "try", "call", "keep", "let", "begin", "help", "talk", "turn", "start",
    "play", "run", "move", "live", "believe", "bring", "happen", "write", "provide", "sit",
    "stand", "lose", "pay", "meet", "include", "continue", "learn", "change", "lead", "watch",
    "follow", "stop", "speak", "read", "spend", "grow", "open", "walk", "win", "offer", "remember",
    "love", "consider", "appear", "buy", "wait", "serve", "send", "expect", "build", "stay", "fall",
    "reach", "remain", "suggest", "raise", "sell", "require", "decide", "pull", "sleeping",
    "dancing", "singing", "eating", "reading", "playing", "holding", "wearing", "smiling",
    "flying", "swimming", "jumping", "leaning", "hanging", "drifting", "waiting", "thing", "things",
    "time", "year", "way", "life", "hand", "part", "place", "case", "week",
    "company", "system", "program", "question", "work", "number", "point", "room",
    "mother", "area", "money", "story", "fact", "month", "lot", "study", "book", "eye", "job",
    "word", "business", "issue", "side", "kind", "head", "service", "friend", "father", "power",
    "hour", "game", "line", "end", "member", "law", "name", "president", "team", "minute", "idea",
    "body", "back", "parent", "face", "others", "level", "office", "door", "health",
    "art", "war", "history", "party", "result", "reason", "research", "moment", "air", "teacher",
    "force", "education", "good", "first", "last", "long", "great", "own", "other", "young",
    "important", "different", "next", "early", "public", "same", "able", "real", "full", "wild",
    "tall", "thin", "round", "soft", "hard", "fast", "slow", "clean", "fresh", "sweet", "brave",
    "strange", "silly", "gentle", "proud", "lonely", "playful", "cozy", "vintage", "detailed",
    "awesome", "amazing", "perfect", "8k", "hd", "trending", "photo", "realistic", "closeup",
    "angle", "shot", "scene", "view", "portrait", "poster", "card", "logo", "icon", "kids",
    "nursery", "holiday", "summer", "spring", "autumn", "weekend",
)  # fmt: skip
CHINESE_STRANGERS: Final = (
    "的", "很", "非常", "风格", "梦幻", "艺术", "古老", "安静", "温暖", "现代", "世界", "早晨",
    "电影感", "朋友", "快乐", "有", "一些", "我的", "精美", "魔法", "今天", "昨天", "时候", "这个",
    "那个", "什么", "怎么", "我们", "他们", "大家", "正在", "已经", "还是", "因为", "所以", "但是",
    "可以", "应该", "觉得", "喜欢", "知道", "开始", "继续", "需要", "希望", "准备", "故事", "生活",
    "时间", "地方", "问题", "工作", "学校", "老师", "孩子", "东西", "感觉", "气氛", "清晰", "真实",
    "写实", "精致", "复古", "浪漫", "神秘", "童话", "幻想", "唯美", "手绘感", "海报", "封面",
    "图标", "跳舞", "唱歌", "睡觉", "奔跑", "玩耍", "微笑", "等待", "生日", "节日", "春季", "周末",
)  # fmt: skip
