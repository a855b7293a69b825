"""supervisord, asked over its socket: its instances, their ends and their beginnings."""

import http.client
import socket
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GROUP = "chatstream"
STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL = 0, 10, 20, 30, 40, 100, 200
"""States as supervisor numbers them."""
_NOT_RUNNING = 70
_CALL_S = 10.0


class SupervisorError(Exception):
    """supervisord did not do what it was asked; the message says what to look at."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One server process as supervisor sees it; `pid` is 0 where there is none."""

    name: str
    port: int
    state: int
    pid: int
    log: str

    @property
    def has_failed(self) -> bool:
        """It ended before it had run for `startsecs`."""
        return self.state in {BACKOFF, FATAL}


class Supervisor:
    """The instances of one supervisord.

    Args:
        path: Its socket.
        stop_s: Seconds that an instance may take to be stopped: longer than its `stopwaitsecs`.
    """

    def __init__(self, path: Path, *, stop_s: float) -> None:
        self._path = path
        self._stop_s = stop_s

    def instances(self) -> list[Instance]:
        """Return the instances by port.

        Raises:
            SupervisorError: supervisord cannot be reached.
        """
        found = self._call("getAllProcessInfo", within_s=_CALL_S)
        return sorted(
            (_instance(info) for info in found if info["group"] == GROUP),
            key=lambda each: each.port,
        )

    def stop(self, name: str) -> None:
        """Ask an instance to leave, and wait until it has; nothing where it does not run.

        Raises:
            SupervisorError: it is still there.
        """
        self._call("stopProcess", f"{GROUP}:{name}", within_s=self._stop_s, ignore=_NOT_RUNNING)

    def start(self, name: str) -> None:
        """Start an instance; whether it comes to serve is not waited for.

        Raises:
            SupervisorError: supervisord cannot start it.
        """
        self._call("startProcess", f"{GROUP}:{name}", False, within_s=_CALL_S)

    def signal(self, name: str, signal: str) -> None:
        """Send an instance a signal; nothing where it does not run.

        Raises:
            SupervisorError: supervisord cannot be reached.
        """
        place = f"{GROUP}:{name}"
        self._call("signalProcess", place, signal, within_s=_CALL_S, ignore=_NOT_RUNNING)

    def _call(self, method: str, *arguments: Any, within_s: float, ignore: int = 0) -> Any:
        transport = _Transport(self._path, within_s)
        try:
            with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as server:
                return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == ignore:
                return None
            raise SupervisorError(f"supervisord: {method}: {fault.faultString}") from None
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            line = f"supervisord does not answer at {self._path} ({error}); is it started?"
            raise SupervisorError(line) from None


def _instance(info: dict[str, Any]) -> Instance:
    name = str(info["name"])
    port = int(name.rpartition("-")[2])
    return Instance(name, port, int(info["state"]), int(info["pid"]), str(info["stdout_logfile"]))


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, within_s: float) -> None:
        super().__init__("localhost", timeout=within_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path, within_s: float) -> None:
        super().__init__()
        self._path = path
        self._within_s = within_s

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        del host
        return _Connection(self._path, self._within_s)
