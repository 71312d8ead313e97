"""The words of the micro-world. No noun or adjective begins with a vowel, so that the article is always "a"."""

TOPICS: dict[str, tuple[str, ...]] = {
    "animals": ("fox", "dog", "hen", "bear", "goat", "deer", "cat", "wolf"),
    "tools": ("hammer", "saw", "knife", "shovel", "rake", "drill", "chisel", "wrench"),
    "foods": ("bread", "cheese", "soup", "rice", "cake", "pie", "bean", "honey"),
    "places": ("river", "hill", "forest", "lake", "village", "bridge", "tower", "garden"),
    "plants": ("rose", "tulip", "fern", "moss", "pine", "palm", "daisy", "lily"),
    "instruments": ("drum", "flute", "guitar", "harp", "bell", "horn", "piano", "violin"),
    "clothes": ("coat", "hat", "scarf", "glove", "boot", "shirt", "belt", "sock"),
    "jobs": ("baker", "doctor", "farmer", "king", "nurse", "pilot", "sailor", "teacher"),
}
TOPIC_OF = {noun: topic for topic, nouns in TOPICS.items() for noun in nouns}
NOUNS = tuple(TOPIC_OF)
ADJECTIVES = (
    "big", "small", "quiet", "loud", "red", "blue", "green", "old",
    "young", "warm", "cold", "bright", "dark", "heavy", "light", "soft",
)  # fmt: skip
ACTIONS = ("sleeps", "waits", "falls", "moves", "rests", "shines", "stays", "turns")  # need no object
DEEDS = ("finds", "holds", "follows", "watches", "carries", "meets", "likes", "needs")  # need an object
ADVERBS = ("slowly", "quickly", "quietly", "gladly", "often", "rarely", "softly", "boldly")
PREPOSITIONS = ("near", "under", "behind", "beside", "over", "beyond", "past", "below")
DETERMINERS = ("the", "a")

CONTENT = frozenset((*NOUNS, *ADJECTIVES, *ACTIONS, *DEEDS, *ADVERBS))
KIND = (
    dict.fromkeys(NOUNS, "noun")
    | dict.fromkeys(ADJECTIVES, "adjective")
    | dict.fromkeys(ACTIONS, "action")
    | dict.fromkeys(DEEDS, "deed")
    | dict.fromkeys(ADVERBS, "adverb")
    | dict.fromkeys(PREPOSITIONS, "preposition")
    | dict.fromkeys(DETERMINERS, "determiner")
)
REQUIRABLE = tuple(sorted(CONTENT))  # words an instruction may ask for

MARKS = {".": "a period", "!": "an exclamation mark", "?": "a question mark"}
SENTENCE_LENGTHS = range(5, 11)  # words an instruction may ask for
LIST_LENGTHS = range(2, 7)  # items an instruction may ask for

TOWN_BEGINNINGS = tuple(
    a + b for a in ("B", "D", "F", "G", "K", "L", "M", "P") for b in ("ael", "or", "um", "ist", "enn", "ov")
)
TOWN_ENDINGS = tuple(
    a + b for a in ("d", "f", "k", "m", "n", "r", "t", "v") for b in ("ara", "eth", "ino", "olm", "und", "wick")
)
ATTRIBUTES = {  # what the almanac tells of a town, and the words its value is drawn from
    "animal": TOPICS["animals"],
    "tool": TOPICS["tools"],
    "food": TOPICS["foods"],
    "plant": TOPICS["plants"],
    "instrument": TOPICS["instruments"],
    "trade": TOPICS["jobs"],
}
