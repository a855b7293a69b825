"""How the audio maker keeps audio: keys that tell nothing, values that may be broken."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.cache.memory import MemoryCache
from streaming.speech.base import Audio, Utterance
from streaming.speech.making.audio_cache import AudioCache, audio_key
from tests.streaming.speech.makers import HELLO, UNAVAILABLE, SilentCache, a_studio
from tests.support.speakers import ScriptedSpeaker, audio_of
from tests.support.virtual_time import run_in_virtual_time

AUDIO = Audio("audio/ogg", b"OggS...", 1.25)

FIELDS = st.lists(st.text("ab", max_size=3), min_size=5, max_size=5)


def key_of(fields: list[str]) -> str:
    engine, identity, voice, language, text = fields
    return audio_key(engine, identity, Utterance(text, language, voice))


@given(FIELDS, FIELDS)
def test_keys_are_equal_only_where_everything_is(one: list[str], other: list[str]) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)


def test_fields_that_only_read_alike_when_joined_have_different_keys() -> None:
    pieces = ["a", "b", "c", "d", "e", "f"]
    splits = [[*pieces[:n], pieces[n] + pieces[n + 1], *pieces[n + 2 :]] for n in range(5)]

    assert len({key_of(fields) for fields in splits}) == 5


def test_a_key_tells_nothing_of_the_text_and_takes_any() -> None:
    key = audio_key("google", "1", Utterance("My secret is 4711. \ud800"))

    assert len(key) == 64
    assert set(key) <= set("0123456789abcdef")


async def test_audio_comes_back_as_it_was_kept() -> None:
    cache = AudioCache(MemoryCache(max_bytes=10_000, ttl_s=60))

    await cache.keep("k", AUDIO)

    assert await cache.find("k") == AUDIO
    assert await cache.find("other") is None


def packed(**changes: Any) -> bytes:
    whole = {"media_type": "audio/ogg", "data": b"OggS...", "duration_s": 1.25}
    return msgspec.msgpack.encode({**whole, **changes})


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xc1",
        b"not msgpack",
        packed()[:-1],
        packed() + b"x",
        packed(media_type="text/html"),
        packed(data=b""),
        packed(data=None),
        packed(duration_s=math.nan),
        packed(duration_s=math.inf),
        packed(duration_s=-1.0),
        packed(duration_s="long"),
        msgspec.msgpack.encode(["audio/ogg", b"OggS", 1.0]),
    ],
)
async def test_a_broken_value_counts_as_a_miss_and_is_made_anew(value: bytes) -> None:
    google, memory = ScriptedSpeaker("google"), MemoryCache(max_bytes=10_000, ttl_s=60)
    studio = a_studio([google], cache=memory)
    await memory.put(audio_key("google", "1", HELLO), value)

    made = await studio.maker.make(HELLO)
    again = await studio.maker.make(HELLO)

    assert (made.from_cache, again.from_cache) == (False, True)


async def test_audio_of_another_identity_is_never_served() -> None:
    memory = MemoryCache(max_bytes=10_000, ttl_s=60)
    old = a_studio([ScriptedSpeaker("google", identity="rate 1")], cache=memory)
    new = a_studio([ScriptedSpeaker("google", identity="rate 2")], cache=memory)
    await old.maker.make(HELLO)

    made = await new.maker.make(HELLO)

    assert not made.from_cache


def test_a_cache_that_never_answers_is_done_without() -> None:
    async def main() -> bool:
        studio = a_studio([ScriptedSpeaker("google")], cache=SilentCache())
        return (await studio.maker.make(HELLO)).from_cache

    assert run_in_virtual_time(main) is False


async def test_what_is_kept_can_be_had_without_making_anything() -> None:
    google, espeak = ScriptedSpeaker("google", [UNAVAILABLE]), ScriptedSpeaker("espeak")
    studio = a_studio([google, espeak], retries=0)

    before = await studio.maker.cached(HELLO)
    await studio.maker.make(HELLO)
    after = await studio.maker.cached(HELLO)

    assert (before, after) == (None, audio_of("espeak", "Hello."))
    assert (len(google.asked), len(espeak.asked)) == (1, 1)
