"""The spoken sentence is found in what is shown, whatever markup made of it."""

import pytest
from playwright.async_api import Page

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="module")]

_MARK = """async ({text, said, grown}) => {
  const {Prose} = await import('/assets/view/messages/prose.js');
  const {rangesOf} = await import('/assets/view/messages/spoken_mark.js');
  const root = document.createElement('div');
  document.querySelector('main').replaceChildren(root);
  const prose = new Prose(root);
  if (grown) for (let end = 1; end <= text.length; end += 3) prose.grow(text.slice(0, end));
  if (grown) prose.grow(text); else prose.finish(text);
  const before = root.cloneNode(true);
  const found = said.map((part) => {
    const start = [...text.slice(0, text.indexOf(part))].length;
    const ranges = rangesOf(prose, {start, end: start + [...part].length});
    return ranges.map(String).join('|');
  });
  return {found, isUntouched: root.isEqualNode(before)};
}"""

_CASES = {
    "plain": ("One here. Two there.", {"Two there.": "Two there."}),
    "emphasis": (
        "Say **two *words* now**. Then go.",
        {"Say **two *words* now**.": "Say two words now."},
    ),
    "link": (
        "See [here](https://here.example/has) has it. And then.",
        {
            "See [here](https://here.example/has) has it.": "See here has it.",
            "And then.": "And then.",
        },
    ),
    "code-in-line": (
        "Use `a_b * c` here. Or not.",
        {"Use `a_b * c` here.": "Use a_b * c here.", "Or not.": "Or not."},
    ),
    "list": (
        "1. First of all\n2. Second\n   - inner one\n\nAfter.",
        {"2. Second": "Second", "- inner one": "inner one", "After.": "After."},
    ),
    "tasks": (
        "- [ ] Buy milk\n- [x] Buy tea",
        {"- [ ] Buy milk": "Buy milk", "- [x] Buy tea": "Buy tea"},
    ),
    "heading": (
        "# A heading\n\nText of it.",
        {"# A heading": "A heading", "Text of it.": "Text of it."},
    ),
    "entities": (
        "Fish &amp; &lt;so&gt; it is. Then a < b.",
        {"Fish &amp; &lt;so&gt; it is.": "Fish & <so> it is.", "Then a < b.": "Then a < b."},
    ),
    "emoji": ("👩‍👩‍👧 Hi 🎉 you. Next 👍 one.", {"Next 👍 one.": "Next 👍 one."}),
    "quote": ("> Said he. Said she.\n\nEnd.", {"Said she.": "Said she.", "End.": "End."}),
    "code-between": (
        "Look. \n\n```py\nLook = 1\n```\n\nLook again.",
        {"Look again.": "Look again."},
    ),
    "whole-with-code": (
        "A b.\n\n```\nA b.\n```\n\nC d.",
        {"A b.\n\n```\nA b.\n```\n\nC d.": "A b.|C d."},
    ),
    "escapes": (
        "Five \\* six \\_ seven. Eight.",
        {"Five \\* six \\_ seven.": "Five * six _ seven.", "Eight.": "Eight."},
    ),
    "lines": ("First line\nsecond line. Third.", {"Third.": "Third."}),
    "reference": (
        "See [the page][far away] now. Then on.\n\n[far away]: https://x.example/",
        {"Then on.": "Then on."},
    ),
    "arabic": ("مرحبا بك. كيف **حالك**؟", {"كيف **حالك**؟": "كيف حالك؟"}),
    "chinese": ("你好。**今天**天气好。", {"**今天**天气好。": "今天天气好。"}),
}


@pytest.mark.parametrize("name", _CASES)
@pytest.mark.parametrize("grown", [False, True], ids=["whole", "grown"])
async def test_a_sentence_is_found(modules: Page, name: str, grown: bool) -> None:
    text, sentences = _CASES[name]

    answer = await modules.evaluate(_MARK, {"text": text, "said": list(sentences), "grown": grown})

    assert answer["found"] == list(sentences.values())
    assert answer["isUntouched"]


async def test_the_mark_follows_the_text_while_it_grows(modules: Page) -> None:
    marked = await modules.evaluate(
        """async () => {
          const {Prose} = await import('/assets/view/messages/prose.js');
          const {SpokenMark} = await import('/assets/view/messages/spoken_mark.js');
          const root = document.createElement('div');
          document.querySelector('main').replaceChildren(root);
          const prose = new Prose(root);
          const mark = new SpokenMark(prose);
          const shown = () => [...(CSS.highlights.get('spoken') ?? [])].map(String).join('|');
          const seen = [];
          const text = '- one **is said** here\\n- two\\n\\nEnd.';
          prose.grow(text.slice(0, 14));
          mark.show({start: 0, end: 23});
          seen.push(shown());
          for (const end of [20, 22, 26, text.length]) {
            prose.grow(text.slice(0, end));
            mark.refresh();
            seen.push(shown());
          }
          prose.finish(text);
          mark.refresh();
          seen.push(shown());
          mark.show(null);
          seen.push(shown());
          return seen;
        }"""
    )

    whole = "one is said here"
    assert marked[0] == "one is said"[: len(marked[0])] != ""
    assert marked[2:] == [whole, whole, whole, whole, ""]


async def test_a_long_text_is_searched_in_no_time_worth_noting(modules: Page) -> None:
    # As many steps as characters, not their square: a text ten times as long as any answer.
    found = await modules.evaluate(
        """async () => {
          const {align} = await import('/assets/speech/alignment.js');
          const source = 'word **bold** and [a link](https://x.example/y) on. '.repeat(400);
          const shown = 'word bold and a link on. '.repeat(400);
          const places = align(source, shown);
          const found = [...places].filter((place) => place >= 0);
          const isOrdered = found.every((place, index) => !index || place > found[index - 1]);
          return [places[shown.length - 2] - source.lastIndexOf('.'), isOrdered];
        }"""
    )

    assert found == [0, True]
