"""The command `rollout watch`: a rollout live, until somebody has seen enough."""

import shutil
import signal
import sys
from datetime import UTC, datetime

import anyio

from flags.cli.invocation import EX_SIGNAL, Invocation
from flags.cli.output import Answer, cut
from flags.cli.rollouts.page import line, page
from flags.cli.rollouts.reading import looked
from flags.errors import FlagsError

EVERY_S = 1.0
_SAID_AGAIN_S = 10.0
_BACK = "\x1b[{lines}F\x1b[J"


async def watch(invocation: Invocation) -> Answer:
    """Show a rollout once a second until Ctrl-C; where nobody looks, a line when it changes."""
    watching = _Watching(invocation)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watching.listen)
        await watching.look_on()
        tasks.cancel_scope.cancel()
    if watching.fault is not None:
        raise watching.fault
    status = 0 if watching.signal in {0, signal.SIGINT} else EX_SIGNAL + watching.signal
    return Answer(None, "", status)


class _Watching:
    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._screen = _Screen() if sys.stdout is not None and sys.stdout.isatty() else None
        self._said: tuple[str, float] = ("", 0.0)
        self._ended = anyio.Event()
        self.signal = 0
        self.fault: FlagsError | None = None
        """What ended it."""

    async def listen(self) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                self.signal = number
                self._ended.set()

    async def look_on(self) -> None:
        """Return when somebody wants it to end, nobody listens any more, or there is no flag."""
        is_first = True
        while not self._ended.is_set():
            try:
                look = await looked(self._invocation)
                is_taken = self._show(page(look), line(look))
            except FlagsError as error:
                if is_first or not error.retryable:
                    self.fault = error
                    return
                lost = f"The flags cannot be reached: {str(error).rstrip('.')}."
                is_taken = self._show(f"{lost}\n", lost)
            if not is_taken:
                return
            is_first = False
            with anyio.move_on_after(EVERY_S):
                await self._ended.wait()

    def _show(self, whole: str, short: str) -> bool:
        if self._screen is not None:
            return self._screen.draw(whole)
        said, at = self._said
        now = anyio.current_time()
        if short == said and now - at < _SAID_AGAIN_S:
            return True
        self._said = (short, now)
        return _written(f"{datetime.now(UTC):%H:%M:%SZ}  {short}\n")


class _Screen:
    """Draws a text over the one before."""

    def __init__(self) -> None:
        self._lines = 0

    def draw(self, text: str) -> bool:
        """Draw, cut to what the terminal shows; false where nobody takes it."""
        size = shutil.get_terminal_size()
        lines = [cut(each, size.columns) for each in text.splitlines()][: size.lines - 1]
        back = _BACK.format(lines=self._lines) if self._lines else ""
        self._lines = len(lines)
        return _written(back + "".join(f"{each}\n" for each in lines))


def _written(text: str) -> bool:
    if sys.stdout is None:
        return False
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        return False
    return True
