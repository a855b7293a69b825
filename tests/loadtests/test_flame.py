"""The picture of where time goes is drawn from samples as py-spy writes them."""

from xml.etree import ElementTree as ET

import pytest

from loadtests.bench import flame

_MAIN = "0x7f (libc.so.6);main (server/__main__.py:18);uv_run (core.c:452)"
_RAW = f"""\
{_MAIN};emit (streaming/turn.py:1);write (libc.so.6) 60
{_MAIN};emit (streaming/turn.py:9);emit (streaming/turn.py:9);<genexpr> (anyio/a.py:2) 39
{_MAIN};uv__io_poll (linux.c:1);epoll_wait (libc.so.6) 500
0x7f (libc.so.6);thread_run (libpython.so);get (queue.py:3) 700
{_MAIN};rare (x.c:1) 1
"""


def test_only_the_loops_work_is_kept_and_a_function_is_one_wherever_its_lines_are() -> None:
    found = flame.stacks(_RAW)

    assert found == {
        ("emit (streaming/turn.py)", "write (libc.so.6)"): 60,
        ("emit (streaming/turn.py)", "<genexpr> (anyio/a.py)"): 39,
        ("rare (x.c)",): 1,
    }


def test_a_box_is_as_wide_as_its_share_and_small_ones_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flame, "LEAST_SHARE", 0.02)

    picture = ET.fromstring(flame.svg(flame.tree(flame.stacks(_RAW)), "a <run>"))  # noqa: S314

    space = "{http://www.w3.org/2000/svg}"
    titles = [each.text for each in picture.iter(f"{space}title")]
    assert titles == [
        "event loop, while it works: 100.0%",
        "emit (streaming/turn.py): 99.0%",
        "write (libc.so.6): 60.0%",
        "<genexpr> (anyio/a.py): 39.0%",
    ]
    widths = [float(each.get("width") or 0) for each in picture.iter(f"{space}rect")][4:]
    assert widths == pytest.approx([1_199.5, 1_187.5, 719.5, 467.5], abs=0.1)


def test_a_frame_tells_whose_code_it_is() -> None:
    assert flame.kind("emit (streaming/turn.py)") == "ours"
    assert flame.kind("_run_coro (anyio/_core/_tasks.py)") == "python"
    assert flame.kind("uv__read (stream.c)") == "c"
    assert flame.kind("write (libc.so.6)") == "kernel"
