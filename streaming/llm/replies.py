"""What the offline model says: pure functions of the messages and the documentation."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from streaming.llm.base import PromptMessage
from streaming.llm.passages import Passage, table_head, unwrapped
from streaming.llm.retrieval import PassageIndex, content_words, reads_as_english

_MAX_QUOTES = 3
_MAX_PASSAGES = 6  # the rows of one table make one quote
_MAX_QUOTED_CHARS = 1_300  # with what stands around it below the usual longest answer of 2000
_LONG_QUOTE_CHARS = 500  # a quote of this length gets no further row
_MAX_TOPICS = 10
_MAX_HEADINGS = 5
_LONGEST_GREETING_WORDS = 4

_HINT_MARK = "`OPENAI_API_KEY`"
HINT = (
    f"To talk to a real model set {_HINT_MARK}, or `OPENAI_BASE_URL` for any server that speaks "
    "OpenAI's protocol (vLLM, Ollama, llama.cpp), and start Chatstream again."
)
_SELF = (
    "I am Chatstream's offline model: no language model, no account and no network. I answer in "
    "English, by quoting what Chatstream's own documentation says about your question."
)

_GREETINGS = frozenset(
    """
    hi hello hey hiya howdy greetings yo morning afternoon evening hallo servus moin hola buenos
    dias bonjour salut coucou ciao salve buongiorno ola oi hej hei ahoj czesc privet namaste
    salam shalom merhaba привет здравствуйте مرحبا नमस्ते 你好 您好 こんにちは 안녕하세요
    """.split()  # noqa: SIM905  words, not a table
)
_GREETING_COMPANIONS = frozenset("good day to you there all everyone again how are".split())  # noqa: SIM905
_THANKS = re.compile(
    r"\W*(thanks|thank you|thx|cheers|merci|danke|gracias|great|perfect)\b", re.IGNORECASE
)
_SELF_QUESTION = re.compile(
    r"\b(who|what) are you\b|\bare you (an? |the )?(ai|bot|real|chatgpt|gpt|model|llm|human)\b"
    r"|\bwhat (can|do) you (do|know|answer)\b|\byour (name|model)\b|^\W*help\W*$",
    re.IGNORECASE,
)
_CONNECT_QUESTION = re.compile(
    r"\b(real|other|actual|own|different|better) (ai |language )?(model|llm)\b|\bapi.?key\b"
    r"|\b(connect|use|configure|add|set ?up)\b.*\b(openai|gpt|ollama|vllm|llama|llm|provider)\b",
    re.IGNORECASE,
)
_PROJECT_QUESTION = re.compile(
    r"\b(chatstream|this (project|server|service|app|page))\b", re.IGNORECASE
)


def reply(messages: Sequence[PromptMessage], index: PassageIndex) -> str:
    """Return the answer to the last user message; the same messages get the same answer."""
    asked = [message.text for message in messages if message.role == "user"]
    said = "\n".join(message.text for message in messages if message.role == "assistant")
    question = asked[-1] if asked else ""
    if not question.strip() or _is_greeting(question):
        body = f"Hello! {_SELF}\n\n{_topics(index)}"
    elif _THANKS.match(question) and not content_words(_THANKS.sub("", question, count=1)):
        return "You are welcome. Ask me anything else about Chatstream."
    elif _SELF_QUESTION.search(question):
        body = f"{_SELF}\n\n{_topics(index)}"
    elif _CONNECT_QUESTION.search(question):
        return f"{HINT}\n\n{_found(content_words(question), index, said)}".rstrip()
    else:
        body = _answer(asked, index, said)
    return body if _HINT_MARK in said else f"{body}\n\n{HINT}"


def _answer(asked: Sequence[str], index: PassageIndex, said: str) -> str:
    words = content_words(asked[-1])
    found = _found(words, index, "")
    if found:
        return f"This is what the documentation says:\n\n{found}"
    if not words and _PROJECT_QUESTION.search(asked[-1]):
        return "\n\n".join(_quotes(index.passages[:1])) or _topics(index)
    if len(words) <= 1 and len(asked) > 1:  # "and why?", "and for Firefox?"
        return _further([*words, *content_words(asked[-2])], index, said)
    language = "" if reads_as_english(asked[-1]) else " I understand English only."
    return (
        "I found nothing in Chatstream's documentation that fits this question, and without a "
        f"language model I know nothing else.{language}\n\n{_topics(index)}"
    )


def _further(words: Sequence[str], index: PassageIndex, said: str) -> str:
    found = _found(words, index, said)
    if found:
        return f"The documentation also says:\n\n{found}"
    return f"The documentation says no more about this that I could find.\n\n{_topics(index)}"


def _is_greeting(text: str) -> bool:
    words = re.findall(r"[^\W\d_]+", text.lower())
    return (
        0 < len(words) <= _LONGEST_GREETING_WORDS
        and not _GREETINGS.isdisjoint(words)
        and (_GREETINGS | _GREETING_COMPANIONS).issuperset(words)
    )


def _topics(index: PassageIndex) -> str:
    """Return what can be asked about: each page's title and first headings."""
    topics: dict[str, dict[str, None]] = {}
    for passage in index.passages:
        if passage.headings:
            topics.setdefault(passage.headings[0], {}).update(dict.fromkeys(passage.headings[1:2]))
    if not topics:
        return "There is no documentation beside this server that I could quote from."
    listed = "\n".join(_topic(*topic) for topic in list(topics.items())[:_MAX_TOPICS])
    return f"You can ask me about:\n\n{listed}"


def _topic(title: str, headings: Iterable[str]) -> str:
    listed = ", ".join(list(headings)[:_MAX_HEADINGS])
    return f"- **{title}**: {listed}" if listed else f"- **{title}**"


def _found(words: Sequence[str], index: PassageIndex, said: str) -> str:
    """Return the quotes that fit some words, without those that were given before."""
    quotes = _quotes(index.search(words, limit=_MAX_PASSAGES))
    return "\n\n".join(_within_bounds(quote for quote in quotes if quote not in said))


def _within_bounds(quotes: Iterable[str]) -> Iterator[str]:
    left = _MAX_QUOTED_CHARS
    for quote in islice(quotes, _MAX_QUOTES):
        if len(quote) <= left:
            left -= len(quote)
            yield quote


def _quotes(passages: Iterable[Passage]) -> Iterator[str]:
    """Yield passages as block quotes with their source; rows of one table share one quote."""
    quoted: dict[tuple[str, ...], list[str]] = {}
    for passage in passages:
        lines = passage.text.splitlines()
        head = table_head(lines)
        key = (passage.source, *(head or lines))
        quote = quoted.setdefault(key, list(head))
        if sum(map(len, quote)) < _LONG_QUOTE_CHARS:
            quote.extend(lines[len(head) :])
    for (source, *_), lines in quoted.items():
        text = "\n".join(f"> {line}".rstrip() for line in unwrapped(lines))
        yield f"{text}\n>\n> — `{source}`"
