"""What a turn says, as the page knows it: sentences, units, resets, and what is taken."""

from typing import Any

import pytest
from playwright.async_api import Page

from tests.web.test_turn import Event, delta, entry, started

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="module")]

_REDUCE = """async ({events, known}) => {
  const turn = await import('/assets/turn.js');
  let state = turn.newTurn({turnId: 't1', keepsAudio: true, ...known});
  for (const event of events) state = turn.reduce(state, event);
  return {...state.speech, status: state.status, isWriting: turn.isWriting(state)};
}"""

ONE, TWO = "One is said. ", "Two is said."


async def reduced(page: Page, *events: Event, **known: object) -> dict[str, Any]:
    return dict(await page.evaluate(_REDUCE, {"events": list(events), "known": known}))


def sentence(seq: int, index: int, start: int, end: int, *, kind: str = "text") -> Event:
    return entry(
        seq, "sentence.completed", index=index, text="…", kind=kind, start=start, end=end
    )  # fmt: skip


def chunk(seq: int, index: int, of: int, *, epoch: int = 1, data: str = "AAAA") -> Event:
    return entry(
        seq, "speech.chunk", epoch=epoch, index=index, sentence=of, media_type="audio/wav",
        duration_s=1.5, bytes=3, audio_id=f"t1.{index}", url=f"/speech/t1.{index}", data=data,
    )  # fmt: skip


SPOKEN: list[Event] = [
    started(),
    delta(2, ONE),
    sentence(3, 0, 0, 13),
    chunk(4, 0, 0),
    delta(5, TWO),
    sentence(6, 1, 13, 25),
    chunk(7, 1, 1),
]


def units(state: dict[str, Any]) -> list[tuple[int, int, str]]:
    return [(unit["index"], unit["sentence"], unit["data"]) for unit in state["units"]]


async def test_repeated_entries_add_no_unit_and_no_sentence(modules: Page) -> None:
    state = await reduced(modules, *SPOKEN, *SPOKEN, chunk(7, 1, 1))

    assert units(state) == [(0, 0, "AAAA"), (1, 1, "AAAA")]
    assert [found["index"] for found in state["sentences"]] == [0, 1]
    assert state["next"] == 2


async def test_a_unit_that_failed_keeps_its_place(modules: Page) -> None:
    failed = entry(4, "speech.failed", index=0, sentence=0, code="speech_unavailable")

    state = await reduced(modules, *SPOKEN[:3], failed, delta(5, TWO), chunk(6, 1, 1))

    assert [unit["failed"] for unit in state["units"]] == ["speech_unavailable", ""]
    assert state["next"] == 2


async def test_audio_is_kept_only_where_somebody_hears_it(modules: Page) -> None:
    state = await reduced(modules, *SPOKEN, keepsAudio=False)

    assert units(state) == [(0, 0, ""), (1, 1, "")]


async def test_only_so_much_audio_waits_in_memory(modules: Page) -> None:
    many = [chunk(2 + index, index, index) for index in range(40)]

    state = await reduced(modules, started(), *many)

    assert sum(unit["data"] != "" for unit in state["units"]) == 32
    assert state["next"] == 40


async def test_what_the_player_took_is_let_go_also_after_the_end(modules: Page) -> None:
    end = entry(8, "turn.completed", message_id="m1", stored=True, text=ONE + TWO)
    taken: Event = {"type": "speech.taken", "data": {"through": 0}}

    state = await reduced(modules, *SPOKEN, end, taken)

    assert units(state) == [(0, 0, ""), (1, 1, "AAAA")]


async def test_a_declined_speech_lets_go_of_all_audio_to_come_too(modules: Page) -> None:
    declined: Event = {"type": "speech.declined", "data": {}}

    state = await reduced(modules, *SPOKEN[:4], declined, *SPOKEN[4:])

    assert units(state) == [(0, 0, ""), (1, 1, "")]


async def test_a_reset_for_a_lost_cursor_withdraws_nothing(modules: Page) -> None:
    lost = entry(
        20, "turn.reset", text=ONE + TWO + " Three.", reason="cursor_lost", sentence=3, speech=4
    )  # fmt: skip

    state = await reduced(modules, *SPOKEN, lost, chunk(21, 4, 3))

    # Units 2 and 3 were missed: they are asked for by their address.
    assert units(state) == [(0, 0, "AAAA"), (1, 1, "AAAA"), (4, 3, "AAAA")]
    assert state["next"] == 5


async def test_an_answer_begun_anew_withdraws_what_spoke_the_old_text(modules: Page) -> None:
    anew = entry(8, "turn.reset", epoch=2, text=ONE, reason="takeover", sentence=1, speech=1)

    state = await reduced(modules, *SPOKEN, anew)
    assert units(state) == [(0, 0, "AAAA")]
    assert state["next"] == 1

    state = await reduced(
        modules, *SPOKEN, anew, delta(9, "Another."), chunk(10, 1, 1, epoch=2, data="BBBB")
    )
    assert units(state) == [(0, 0, "AAAA")], "the epoch of a delta that is overtaken"
    state = await reduced(
        modules,
        *SPOKEN,
        anew,
        delta(9, "Another.", epoch=2),
        chunk(10, 1, 1, epoch=2, data="BBBB"),
    )
    assert units(state) == [(0, 0, "AAAA"), (1, 1, "BBBB")]


async def test_a_reset_that_knows_of_fewer_units_does_not_repeat_what_was_heard(
    modules: Page,
) -> None:
    expired = entry(8, "turn.reset", text=ONE + TWO, reason="log_expired", sentence=0, speech=0)

    state = await reduced(modules, *SPOKEN, expired, chunk(9, 0, 0, data="BBBB"))

    assert units(state) == [(0, 0, "AAAA"), (1, 1, "AAAA")]


async def test_a_turn_that_only_speaks_is_written_and_can_be_left(modules: Page) -> None:
    done = entry(8, "text.done", text=ONE + TWO, message_id="m1", stored=True)
    left: Event = {"type": "turn.left", "data": {}}

    state = await reduced(modules, *SPOKEN, done)
    assert (state["status"], state["isWriting"]) == ("running", False)

    assert (await reduced(modules, *SPOKEN, done, left))["status"] == "completed"
    assert (await reduced(modules, *SPOKEN, left))["status"] == "running"


_PIECES = """async ({unit, following, sentences, isLast, share}) => {
  const {piecesOf, pieceAt} = await import('/assets/speech/state.js');
  return pieceAt(piecesOf(unit, following, {sentences, length: 100, isLast}), share);
}"""


@pytest.mark.parametrize(
    ("following", "share", "expected"),
    [
        pytest.param(1, 0.9, (0, 10), id="one-sentence"),
        pytest.param(4, 0.1, (0, 10), id="several-at-first"),
        pytest.param(4, 0.6, (10, 20), id="several-in-the-middle-and-no-code"),
        pytest.param(4, 1.0, (30, 40), id="several-at-last"),
        pytest.param("unknown", 1.0, (0, 10), id="what-follows-is-not-known-yet"),
        pytest.param("nothing", 1.0, (40, 50), id="the-last-unit-speaks-all-the-rest"),
        pytest.param(0, 1.0, (0, 10), id="another-clause-of-it"),
    ],
)
async def test_a_unit_is_shown_as_the_sentences_that_it_speaks(
    modules: Page,
    following: int | str,
    share: float,
    expected: tuple[int, int],
) -> None:
    sentences = [
        {"index": index, "kind": "code" if index == 2 else "text", "start": index * 10,
         "end": index * 10 + 10, "text": ""}
        for index in range(5)
    ]  # fmt: skip

    piece = await modules.evaluate(
        _PIECES,
        {
            "unit": {"sentence": 0, "range": None},
            "following": {"sentence": following, "range": None} if following in range(9) else None,
            "sentences": sentences,
            "isLast": following == "nothing",
            "share": share,
        },
    )

    assert (piece["start"], piece["end"]) == expected


async def test_pauses_follow_the_text(modules: Page) -> None:
    text = "One. Two.\n\n- Three\n- Four"
    bounds = [(0, 5), (5, 11), (11, 19), (19, 25)]
    sentences = [
        {"index": index, "kind": "text", "start": start, "end": end, "text": text[start:end]}
        for index, (start, end) in enumerate(bounds)
    ]

    pauses = await modules.evaluate(
        """async ({text, sentences}) => {
          const {pauseBetween} = await import('/assets/speech/state.js');
          const unit = (sentence) => ({sentence, range: null});
          const pairs = [[null, 0], [0, 0], [0, 1], [1, 2], [2, 3]];
          return pairs.map(([a, b]) =>
            pauseBetween(a === null ? null : unit(a), unit(b), sentences, [...text]));
        }""",
        {"text": text, "sentences": sentences},
    )

    assert pauses == [0, 0, 0.2, 0.35, 0.35]


async def test_voices_are_grouped_by_language_the_users_own_first(modules: Page) -> None:
    voices = [
        {"name": name, "language": language}
        for name, language in [("zuri", "sw"), ("b", "en-US"), ("anna", "de"), ("a", "en-GB")]
    ]

    groups = await modules.evaluate(
        """async (voices) => {
          const {groupVoices} = await import('/assets/speech/preference.js');
          return groupVoices(voices, ['de-AT', 'en-GB']).map(
            ({label, voices}) => [label, voices.map(({name}) => name)]);
        }""",
        voices,
    )

    assert groups == [["Deutsch", ["anna"]], ["Englisch", ["a", "b"]], ["Suaheli", ["zuri"]]]
