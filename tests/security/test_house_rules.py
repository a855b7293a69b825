"""Rules of this house that no linter knows."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ["server", "streaming", "history", "accounts", "chatbots", "metrics", "flags"]
FRAMERS = {
    "streaming/frames.py",  # a turn's events
    "streaming/speech/inline.py",  # audio, put into a frame of the above
    "streaming/event_log/replay.py",  # reads them
    "server/operator_streams.py",  # operators' figures
}
_FRAME = re.compile(r"""\\n(?:data|event): """)


def test_frames_of_event_streams_are_made_where_line_ends_cannot_break_them() -> None:
    sources = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]

    makers = {
        str(path.relative_to(ROOT))
        for path in sources
        if _FRAME.search(path.read_text(encoding="utf-8"))
    }

    assert makers == FRAMERS
