"""Guesses the language of a text, cheaply: by its letters, and by its commonest words.

Good enough to choose abbreviations and a voice; no substitute for being told.
"""

# ruff: noqa: RUF001  - letters of other scripts are the point

import re
from bisect import bisect_right
from collections import Counter, defaultdict

_MAX_CHARS = 400
_WORD = re.compile(r"[^\W\d_]+")
_NOT_LATIN = re.compile(r"[\u0370-\U0002ffff]")
_LETTER = re.compile(r"[^\W\d_]")

# First code point after 0x36f, last one, language. Ranges are in order.
_SCRIPTS = (
    (0x0370, 0x03FF, "el"), (0x0400, 0x052F, "ru"), (0x0531, 0x058A, "hy"), (0x0590, 0x05FF, "he"),
    (0x0600, 0x06FF, "ar"), (0x0700, 0x074F, "syr"), (0x0750, 0x077F, "ar"), (0x0780, 0x07BF, "dv"),
    (0x0900, 0x0963, "hi"), (0x0980, 0x09FF, "bn"), (0x0A00, 0x0A7F, "pa"), (0x0A80, 0x0AFF, "gu"),
    (0x0B00, 0x0B7F, "or"), (0x0B80, 0x0BFF, "ta"), (0x0C00, 0x0C7F, "te"), (0x0C80, 0x0CFF, "kn"),
    (0x0D00, 0x0D7F, "ml"), (0x0D80, 0x0DFF, "si"), (0x0E00, 0x0E7F, "th"), (0x0E80, 0x0EFF, "lo"),
    (0x0F00, 0x0FFF, "bo"), (0x1000, 0x109F, "my"), (0x10A0, 0x10FF, "ka"), (0x1100, 0x11FF, "ko"),
    (0x1200, 0x139F, "am"), (0x1780, 0x17FF, "km"), (0x1800, 0x18AF, "mn"), (0x1F00, 0x1FFF, "el"),
    (0x3040, 0x30FF, "ja"), (0x3130, 0x318F, "ko"), (0x3400, 0x4DBF, "zh"), (0x4E00, 0x9FFF, "zh"),
    (0xAC00, 0xD7AF, "ko"), (0xF900, 0xFAFF, "zh"), (0xFB50, 0xFDFF, "ar"), (0xFE70, 0xFEFC, "ar"),
    (0xFF66, 0xFF9F, "ja"), (0x20000, 0x2FA1F, "zh"),
)  # fmt: skip
_STARTS = [first for first, _, _ in _SCRIPTS]

# Languages of one script, the letters and words that only some of them have.
_KIN: dict[str, tuple[tuple[str, re.Pattern[str]], ...]] = {
    "ru": (
        ("kk", re.compile("[әғқңұһ]")),
        ("uk", re.compile("[їєґ]|\\bі\\b|ьо")),
        ("be", re.compile("ў")),
        ("sr", re.compile("[ђћљњџј]")),
        (
            "bg",
            re.compile(
                r"ъ[лрнтгбвзкс]|ят\b|\b(?:и|на|е|са|се|да|от|за)\s(?:на|да|се|е|са)\b"
                r"|\b(?:това|този|тази|който|която|което)\b"
            ),
        ),
    ),
    "ar": (("ur", re.compile("[ٹڈڑےںھ]")), ("fa", re.compile("[پچژگ]|\\b(?:است|که|از|این|را)\\b"))),
    "hi": (
        # No word boundary here: to `re` the vowel signs are no letters.
        ("mr", re.compile("ळ|(?:^|\\s)(?:आहे|आणि|आहेत|होते|मध्ये)(?![^\\s।.,!?])")),
        ("ne", re.compile("(?:^|\\s)(?:छ|छन्|गर्न|पनि)(?![^\\s।.,!?])")),
    ),
    "he": (("yi", re.compile("[װױײ]")),),
}

_COMMON = {
    "en": """
        the and of to is in that it for you was with are this have be not but what can they from
        your an i my we on at he she as by me so no or if will do which when how there has more
        would about their all use
    """,
    "de": """
        der die das und ist nicht ein eine zu den von mit sich auf für dem es auch als wie im ich
        sie wir sind wird haben oder aber einen werden bei aus kann hier nur noch wenn dass zum
        was du
    """,
    "fr": """
        le la les et est des une un que pour dans qui vous pas sur avec au ce sont plus par il je
        nous ne se votre mais ou cette aux être du en c'est on très tout leur même peut
    """,
    "es": """
        el la los que y en es un una de para con las por se no del su al lo como más pero esta
        este son puede muy también ser hay cuando sus o está yo te mi todo desde
    """,
    "it": """
        il la che di è e un per non una sono con del della le si da in gli anche più come ma
        questo questa nel alla lo ho se i dei delle può molto tutto ci essere
    """,
    "pt": """
        o a que de e do da em um uma para com não é os as por mais se no na dos das como mas ao
        pode você ser isso também são seu sua muito está pelo pela eu foi
    """,
    "nl": """
        de het een en van is dat in je niet op te voor met zijn die ook aan er maar of als om kan
        wordt hebben deze dit naar bij uit wat ik hij wij worden nog wel geen
    """,
    "pl": """
        i w nie na się jest do to że z jak są o dla po ale od oraz może przez tym co który która
        tak czy być które jego bardzo już tylko można
    """,
    "da": """
        og i det er en til af på at den med for ikke de som har et kan der du vi fra også men
        eller om jeg man være hvis når så hvor blev meget
    """,
    "sv": """
        och i att det är en som på av för med den inte till har kan de ett om du vi från också men
        eller jag man var så när vara ska mycket mer hur
    """,
    "no": """
        og i det er en til av på at den med for ikke de som har et kan der du vi fra også men
        eller om jeg man være hvis når så hvor ble mye
    """,
    "cs": """
        a je se na v to že s z do jsou pro jako ale by si o tak které který nebo při být jeho může
        aby také jen podle byl až má
    """,
    "sk": """
        a je sa na v to že s z do sú pre ako ale by si o tak ktoré ktorý alebo pri byť jeho môže
        aby tiež len podľa bol až má
    """,
    "hu": """
        a az és hogy nem is egy ez meg van de csak mint már vagy ha el kell volt aki minden lehet
    """,
    "fi": """
        ja on ei että se oli hän mutta ovat kun niin myös tai jos joka kuin mitä voi olla tämä sen
    """,
    "ro": """
        și de la în a cu pe nu că este un o din pentru mai sau dar care sunt să al ale fi poate
    """,
    "tr": "ve bir bu da için ile de çok daha olarak gibi var ne olan değil ama kadar en sonra o",
    "id": """
        yang dan di dengan untuk ini dari dalam tidak pada adalah itu akan juga atau ke bisa kami
    """,
    "vi": "và của có cho không được trong một các với những này khi người để đã từ như tôi bạn",
    "hr": "i je se na u da za su od s ne koji kao što sa ili o iz bi ali po nije biti može",
    "ca": "el la els que i en és un una de per amb les no del al com més però aquesta són també",
    "sl": "in je se na v da za so ki z pa od ne kot s po tudi ali iz bi lahko kar ni",
}  # fmt: skip
_TELLING = {
    "de": "ßüäö", "es": "ñ¿¡", "pt": "ãõ", "fr": "œèêçû", "pl": "łąęśżźćń", "da": "æø", "no": "æø",
    "sv": "äå", "cs": "řěů", "sk": "ľĺŕôť", "hu": "őű", "ro": "țșăţş", "tr": "ğış", "vi": "ạảấếộơư",
    "it": "òìù", "fi": "äö", "hr": "đćčšž", "ca": "·ï", "nl": "", "sl": "čšž",
}  # fmt: skip
_MOST_LETTERS = 2
_LEAST_VOTES = 1.0
_SHORT = 60  # characters; in fewer a single word says nothing
_LEAD = 1.5
_HANDICAP = 0.3  # votes given to the default


def _index(lists: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """Return for each listed thing the languages that list it."""
    found: dict[str, tuple[str, ...]] = {}
    for language, listed in lists.items():
        for one in listed:
            found[one] = (*found.get(one, ()), language)
    return found


_SPEAKERS = _index({language: words.split() for language, words in _COMMON.items()})
_WRITERS = _index({language: list(letters) for language, letters in _TELLING.items()})
_TELLING_LETTERS = frozenset(_WRITERS)
_FAMILY = {language: script for script, kin in _KIN.items() for language, _ in kin}


def bare_language(tag: str) -> str:
    """Return the language of a BCP 47 tag in lower case: «de» for «de-CH»; "" if there is none."""
    return tag.strip().replace("_", "-").split("-", 1)[0].lower()


def guess_language(text: str, default: str = "en") -> str:
    """Return the bare code of the language a text is most likely in.

    Pure; looks at the first 400 characters only, so a long text costs no more than a short one.

    Args:
        text: Any text; markup does no harm.
        default: The answer where the text says too little or speaks for it as much as for another.
    """
    text = text[:_MAX_CHARS].lower()
    script = _script(text)
    if script is None:
        return _latin(text, default)
    # Han is Japanese where there is kana, and Chinese elsewhere.
    for language, sign in _KIN.get(script, ()):
        if sign.search(text):
            return language
    return default if _FAMILY.get(default) == script else script


def _script(text: str) -> str | None:
    """Return the language the text's letters stand for; None where most are Latin."""
    if text.isascii():
        return None
    counts: Counter[str] = Counter()
    for character, times in Counter(_NOT_LATIN.findall(text)).items():
        place = bisect_right(_STARTS, ord(character)) - 1
        if place >= 0 and ord(character) <= _SCRIPTS[place][1]:
            counts[_SCRIPTS[place][2]] += times
    total = sum(counts.values())
    # A letter of these says as much as two Latin ones: a word of theirs has fewer.
    if not total or total * 2 < len(_LETTER.findall(text)) - total:
        return None
    if counts["ja"] * 8 >= total:
        return "ja"
    return counts.most_common(1)[0][0]


def _latin(text: str, default: str) -> str:
    """Return the language whose common words and letters the text holds most of."""
    votes: defaultdict[str, float] = defaultdict(float)
    for word in _WORD.findall(text):
        speakers = _SPEAKERS.get(word)
        if speakers:
            vote = 1.0 / len(speakers)
            for language in speakers:
                votes[language] += vote
    letters = _TELLING_LETTERS.intersection(text)
    for letter in filter(letters.__contains__, _WRITERS) if letters else ():
        writers = _WRITERS[letter]
        vote = min(text.count(letter), _MOST_LETTERS) / len(writers)
        for language in writers:
            votes[language] += vote
    if not votes:
        return default
    best, most = max(votes.items(), key=lambda vote: vote[1])
    least = _LEAST_VOTES if len(text) >= _SHORT else 2 * _LEAST_VOTES
    is_clear = most >= least and most >= _LEAD * (votes[default] + _HANDICAP)
    return best if is_clear else default
