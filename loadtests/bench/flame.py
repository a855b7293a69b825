"""`python -m loadtests.bench.flame`: where a token's time goes, as a picture.

The embedded server streams at a steady pace while py-spy samples it, its C code too. py-spy is not
among the development packages: install it anywhere, and name it with `--py-spy`. Only the event
loop's thread is drawn, while it works; what takes less than a share is left out.
"""

import argparse
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import anyio

from loadtests.bench import measure
from loadtests.bench.measure import BenchError, Streams, Workload
from loadtests.bench.processes import ROOT, Cores
from loadtests.bench.run import stand
from loadtests.bench.targets import CHATSTREAM

LEAST_SHARE = 0.004

_PER_S = 250
_LOOP = "uv_run"  # the event loop's turn: what called it says nothing
_WAITS = ("epoll_wait", "epoll_pwait")
_FRAME = re.compile(r"^(?P<name>.+) \((?P<file>[^()]*?)(?::\d+)?\)$")
_WIDTH, _ROW, _CHAR, _TOP = 1_200, 17, 6.6, 46
_LEAST_LETTERS = 3
_COLOURS = {"ours": "#79b8ff", "python": "#ffd33d", "c": "#d1d5da", "kernel": "#f9826c"}
_LEGEND = (
    ("ours", "this server"),
    ("python", "other Python"),
    ("c", "C code"),
    ("kernel", "system calls"),
)
_SYSTEM_CALLS = frozenset({"write", "read", "writev", "recv", "send", "__libc_read"})
_STYLE = (
    "text { font: 11px ui-monospace, monospace; fill: #1b1f23 } .page { fill: #24292f; "
    "font: 13px system-ui, sans-serif } @media (prefers-color-scheme: dark) "
    "{ .page { fill: #e6edf3 } }"
)

Stack = tuple[str, ...]


@dataclass(slots=True)
class Frame:
    """A function as called from where it stands; `samples` with what it has called."""

    name: str
    samples: int = 0
    called: "dict[str, Frame]" = field(default_factory=dict)


def stacks(raw: str) -> Counter[Stack]:
    """Return how often each stack was seen in the event loop's thread while it did not wait.

    Args:
        raw: Lines of frames, outermost first, with `;` between them and the count at the end.
    """
    found: Counter[Stack] = Counter()
    for line in raw.splitlines():
        told, _, count = line.rpartition(" ")
        frames = [_short(frame) for frame in told.split(";") if not frame.startswith("0x")]
        names = [frame.partition(" ")[0] for frame in frames]
        if _LOOP in names and names[-1] not in _WAITS:
            within = frames[names.index(_LOOP) + 1 :]
            once = [
                each for each, before in zip(within, ["", *within], strict=False) if each != before
            ]
            found[tuple(once)] += int(count)
    return found


def _short(frame: str) -> str:
    """Return a frame without its line, so that a function is one."""
    parts = _FRAME.match(frame)
    return f"{parts['name']} ({parts['file']})" if parts else frame


def tree(seen: Counter[Stack]) -> Frame:
    """Return the stacks as calls."""
    root = Frame("event loop, while it works")
    for stack, count in seen.items():
        at = root
        at.samples += count
        for name in stack:
            at = at.called.setdefault(name, Frame(name))
            at.samples += count
    return root


def svg(root: Frame, told: str) -> str:
    """Return the picture of calls, the outermost at the top; `told` stands above it."""
    boxes = list(_boxes(root, root.samples, (0.0, 0)))
    height = _TOP + _ROW * (1 + max(depth for _, depth in boxes))
    legend, at = [], 0
    for kind, name in _LEGEND:
        legend.append(
            f'<rect x="{at}" y="24" width="12" height="12" fill="{_COLOURS[kind]}"/>'
            f'<text class="page" x="{at + 17}" y="35">{name}</text>'
        )
        at += 120
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img">\n<style>{_STYLE}</style>\n'
        f'<text class="page" x="0" y="14">{escape(told)}</text>\n'
        + "\n".join([*legend, *(box for box, _ in boxes)])
        + "\n</svg>\n"
    )


def _boxes(frame: Frame, samples: int, at: tuple[float, int]) -> Iterator[tuple[str, int]]:
    left, depth = at
    share = frame.samples / samples
    width, top = share * _WIDTH, _TOP + depth * _ROW
    room = int(width / _CHAR) - 1
    name = frame.name if len(frame.name) <= room else frame.name.partition(" ")[0][: max(0, room)]
    size = f'width="{max(0.5, width - 0.5):.1f}" height="{_ROW - 1}"'
    box = f'<rect x="{left:.1f}" y="{top}" {size} fill="{_COLOURS[kind(frame.name)]}"/>'
    if room >= _LEAST_LETTERS:
        box += f'<text x="{left + 3:.1f}" y="{top + 12}">{escape(name)}</text>'
    yield f"<g><title>{escape(frame.name)}: {share:.1%}</title>{box}</g>", depth
    for called in sorted(frame.called.values(), key=lambda each: -each.samples):
        if called.samples >= LEAST_SHARE * samples:
            yield from _boxes(called, samples, (left, depth + 1))
            left += called.samples / samples * _WIDTH


def kind(name: str) -> str:
    """Return whose code a frame is."""
    function, _, file = name.partition(" (")
    if function in _SYSTEM_CALLS and "libc" in file:
        return "kernel"
    if ".py" not in file:
        return "c"
    return "ours" if (ROOT / file.partition("/")[0]).is_dir() else "python"


async def record(py_spy: str, workload: Workload, seconds: float) -> Counter[Stack]:
    """Sample a server that streams.

    Raises:
        BenchError: It does not start, or cannot be sampled.
    """
    async with stand(Cores.split(), [CHATSTREAM]) as bench:
        model = workload.model(seconds)
        async with (
            measure.serving(bench, CHATSTREAM, model) as (server, port),
            Streams(CHATSTREAM, model, port, workload).open(),
        ):
            return stacks(await _sampled(py_spy, server.pid, seconds))


async def _sampled(py_spy: str, pid: int, seconds: float) -> str:
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        how = ["record", "--native", "--format", "raw", "--rate", str(_PER_S), "--output", str(raw)]
        command = [py_spy, *how, "--duration", str(round(seconds)), "--pid", str(pid)]
        done = await anyio.run_process(command, check=False)
        if done.returncode or not raw.exists():
            raise BenchError(f"py-spy: {done.stderr.decode(errors='replace').strip()}")
        return raw.read_text(encoding="utf-8")


async def _draw(told: argparse.Namespace) -> None:
    workload = Workload(told.streams, told.rate)
    seen = await record(told.py_spy, workload, told.seconds)
    title = f"CPU of the server's event loop, {workload.title}; {seen.total():,} samples"
    told.output.write_text(svg(tree(seen), title), encoding="utf-8")
    print(f"written to {told.output}")


def main() -> int:
    """Sample and draw; return the exit status."""
    options = argparse.ArgumentParser(prog="python -m loadtests.bench.flame")
    options.add_argument("--py-spy", default=shutil.which("py-spy"), help="where it is")
    options.add_argument("--streams", type=int, default=200, help="(%(default)s)")
    options.add_argument("--rate", type=float, default=40.0, help="tokens/s each (%(default)s)")
    options.add_argument("--seconds", type=float, default=20.0, help="(%(default)s)")
    options.add_argument("--output", type=Path, default=ROOT / "docs" / "images" / "flame.svg")
    told = options.parse_args()
    if told.py_spy is None:
        print("flame: install py-spy in an environment of its own, and name it", file=sys.stderr)
        return 1
    anyio.run(_draw, told, backend_options={"use_uvloop": True})
    return 0


if __name__ == "__main__":
    sys.exit(main())
