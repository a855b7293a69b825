"""The characters that matter to the splitter, by what they do. Data only.

Source: Unicode 15, properties Sentence_Terminal and Emoji; CommonMark 0.31 for block markers.
"""

NEWLINES = "\n\r\x0b\x0c\x85\u2028\u2029"
BLANKS = " \t\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000\ufeff"  # for a regex class

# Marks that end a sentence of a script with blanks between words, if what follows agrees.
SOFT_STOPS = ".!?\u2026\u203c\u203d\u2047\u2048\u2049"

# Marks that end a sentence by themselves, with or without a blank behind them.
HARD_STOPS = (
    "\u3002\uff01\uff1f\uff61\uff0e\ufe12\ufe52\ufe56\ufe57"  # Chinese, Japanese, Korean
    "\u0964\u0965"  # danda: Devanagari, Bengali and their neighbours
    "\u061f\u06d4\u061e"  # Arabic, Urdu
    "\u0589"  # Armenian
    "\u104b"  # Burmese
    "\u17d4\u17d5"  # Khmer
    "\u1362\u1367\u1368"  # Ethiopic
    "\u0f0d\u0f0e"  # Tibetan
    "\u1803\u1809"  # Mongolian
    "\u037e"  # the Greek question mark's own code point
    "\u0700\u0701\u0702\u07f9\u1c7e\u1c7f\ua4ff\ua60e\ua6f3\uaaf0\uabeb"  # smaller scripts
)

BULLETS = "\u2022\u2043\u2023\u25e6\u25aa\u25cf"

# Stand behind a stop and belong to its sentence.
# Guillemets of either kind, as German and Danish turn them: a stop is glued to one that closes.
QUOTE_CLOSERS = "\"'\u201d\u2019\u201c\u00bb\u203a\u00ab\u2039\u300d\u300f"
CLOSERS = QUOTE_CLOSERS + ")]}*_~`\uff09\u3011\u3009\u300b\u3015\uff3d"
# May stand before the first word of a sentence.
OPENERS = (
    "\"'\u201c\u201e\u00ab\u2039\u2018\u201a\u00bb([{*_~#`\u00bf\u00a1\u300c\u300e\uff08\u300a"
)
DASHES = "-\u2013\u2014\u2015"

# Pictures and what joins them to sequences (selectors, skin tones, joiner, keycap, tags).
EMOJI = (
    "\u231a-\u23ff\u2600-\u27bf\u2b05-\u2b55\U0001f000-\U0001faff"
    "\ufe0e\ufe0f\u200d\u20e3\U000e0020-\U000e007f"
)

# Chinese and Japanese letters: their neighbours may stand without a blank.
HAN_KANA = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
EAST_ASIAN_PAIRS = {"\u300d": "\u300c", "\u300f": "\u300e", "\uff09": "\uff08", "\u300b": "\u300a"}
