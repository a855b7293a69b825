"""Instances change their release one after the other: the next only when the last one serves."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep  # noqa: TID251  # a command of operators: it may wait

from releasing.serving import is_ready, release_of, version_at
from releasing.supervisor import RUNNING, STOPPED, Instance, Supervisor, SupervisorError

_LOOK_EVERY_S = 0.1
_KILL_S = 10.0


class RollError(Exception):
    """An instance does not serve the release; those after it were left alone."""


@dataclass(frozen=True, slots=True)
class Roll:
    """One round over all instances.

    Args:
        supervisor: Who runs them.
        release: What they are to serve, as a resolved folder.
        version: What they then say of themselves.
        ready_s: Seconds from a start until an instance has to serve.
        stop_s: Seconds that one may take to leave; then it is killed.
        say: Takes a line of what was done.
    """

    supervisor: Supervisor
    release: Path
    version: str
    ready_s: float
    stop_s: float
    say: Callable[[str], None]

    def stale(self) -> list[Instance]:
        """Return the instances that do not serve this release now."""
        return [each for each in self.supervisor.instances() if not self.serves(each)]

    def is_served_by_some(self) -> bool:
        """Tell whether some instance is of this release."""
        return any(release_of(e.pid) == self.release for e in self.supervisor.instances())

    def serves(self, instance: Instance) -> bool:
        """Tell whether an instance is of this release, and takes requests."""
        return (
            release_of(instance.pid) == self.release
            and is_ready(instance.port)
            and version_at(instance.port) == self.version
        )

    def run(self, instances: list[Instance]) -> None:
        """Let each leave and come back, in order. Turns that outlast the drain go to the others.

        Whoever ends this midway leaves no instance down: supervisord starts what has left.

        Raises:
            RollError: one did not come to serve in time, or nobody would have been left.
        """
        try:
            for each in instances:
                self._until_another_serves(each)
                began = monotonic()
                pid = self._leave(self._now(each.name))
                left = monotonic()
                self._until_it_serves(each.name, pid)
                self.say(
                    f"{each.name} serves {self.release.name}:"
                    f" left in {left - began:.1f} s, ready after {monotonic() - left:.1f} s"
                )
        except SupervisorError as error:
            raise RollError(str(error)) from None

    def _until_another_serves(self, leaving: Instance) -> None:
        """Wait where it is the only one that serves; one that does not may go at once."""
        others = [e for e in self.supervisor.instances() if e.name != leaving.name]
        until = monotonic() + self.ready_s
        while others and is_ready(leaving.port):
            if any(is_ready(each.port) for each in others if each.state != STOPPED):
                return
            if monotonic() > until:
                raise RollError(f"Only {leaving.name} serves: see the others' logs first.")
            sleep(_LOOK_EVERY_S)

    def _leave(self, instance: Instance) -> int:
        """Let one leave that is to be started again; return its next process, 0 if none is yet."""
        if instance.state != RUNNING:
            self.supervisor.stop(instance.name)
            self.supervisor.start(instance.name)
            return 0
        for signal, within_s in (("TERM", self.stop_s), ("KILL", _KILL_S)):
            self.supervisor.signal(instance.name, signal)
            until = monotonic() + within_s
            while monotonic() < until:
                if (now := self._now(instance.name)).pid != instance.pid:
                    return now.pid
                sleep(_LOOK_EVERY_S)
            self.say(f"{instance.name} has not left {within_s:g} s after SIG{signal}")
        raise RollError(f"{instance.name} does not end; see process {instance.pid}")

    def _now(self, name: str) -> Instance:
        return next(each for each in self.supervisor.instances() if each.name == name)

    def _until_it_serves(self, name: str, pid: int) -> None:
        until = monotonic() + self.ready_s
        while True:
            instance = self._now(name)
            if self.serves(instance):
                return
            if instance.has_failed or pid not in {0, instance.pid}:
                raise RollError(f"{name} ended at its start; see {instance.log}")
            pid = instance.pid
            if monotonic() > until:
                raise RollError(f"{name} was not ready in {self.ready_s:g} s; see {instance.log}")
            sleep(_LOOK_EVERY_S)
