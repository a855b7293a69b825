"""The words the splitter knows, by language. Data only; `table` gives them their meaning."""

from streaming.splitting.words.east_slavic import BULGARIAN, KAZAKH, RUSSIAN, UKRAINIAN
from streaming.splitting.words.english import ENGLISH
from streaming.splitting.words.germanic import DANISH, DUTCH, GERMAN, NORWEGIAN, SWEDISH
from streaming.splitting.words.others import (
    ARMENIAN,
    BENGALI,
    FINNISH,
    GEORGIAN,
    GREEK,
    HINDI,
    HUNGARIAN,
    INDONESIAN,
    MARATHI,
    TAMIL,
    TURKISH,
    VIETNAMESE,
)  # fmt: skip
from streaming.splitting.words.romance import (
    CATALAN,
    FRENCH,
    ITALIAN,
    PORTUGUESE,
    ROMANIAN,
    SPANISH,
)  # fmt: skip
from streaming.splitting.words.shape import Words
from streaming.splitting.words.shared import SHARED
from streaming.splitting.words.west_slavic import CROATIAN, CZECH, POLISH, SLOVAK, SLOVENIAN

__all__ = ["LANGUAGES", "SHARED", "Words"]

LANGUAGES: dict[str, Words] = {
    "bg": BULGARIAN,
    "bn": BENGALI,
    "ca": CATALAN,
    "cs": CZECH,
    "da": DANISH,
    "de": GERMAN,
    "el": GREEK,
    "en": ENGLISH,
    "es": SPANISH,
    "fi": FINNISH,
    "fr": FRENCH,
    "hi": HINDI,
    "hr": CROATIAN,
    "hu": HUNGARIAN,
    "hy": ARMENIAN,
    "id": INDONESIAN,
    "it": ITALIAN,
    "ka": GEORGIAN,
    "kk": KAZAKH,
    "mr": MARATHI,
    "nb": NORWEGIAN,
    "nl": DUTCH,
    "nn": NORWEGIAN,
    "no": NORWEGIAN,
    "pl": POLISH,
    "pt": PORTUGUESE,
    "ro": ROMANIAN,
    "ru": RUSSIAN,
    "sk": SLOVAK,
    "sl": SLOVENIAN,
    "sv": SWEDISH,
    "ta": TAMIL,
    "tr": TURKISH,
    "uk": UKRAINIAN,
    "vi": VIETNAMESE,
}
