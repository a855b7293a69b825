"""What a machine does to its processes: a full disk, no memory, no descriptors, a silent network.

All of it is Linux's and root's. What this kernel, or this container, does not allow skips its test
and says why, also where services are required; a program that is not installed fails there.
"""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

_CGROUPS = Path("/sys/fs/cgroup")
_SUBNET = "10.213.47"
_RUN_S = 10.0


def program(name: str, package: str) -> str:
    """Return where a program is; without it skip the test, or fail where services are required."""
    path = shutil.which(name, path=os.defpath + ":/usr/sbin:/sbin")
    if path is not None:
        return path
    reason = f"{name} is not installed ({package})"
    if os.environ.get("REQUIRE_SERVICES") == "1":  # noqa: TID251 - a switch of the tests, not a setting
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def small_disk(folder: Path, *, size_bytes: int) -> Iterator[Path]:
    """Mount a file system of this size at a new folder until the block ends."""
    mount, umount = program("mount", "mount"), program("umount", "mount")
    folder.mkdir(parents=True)
    _allowed(mount, "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run([umount, "--lazy", str(folder)], check=True, timeout=_RUN_S)


def fill(folder: Path) -> Path:
    """Take all room that a disk has left; return the file to delete for some."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as filler, suppress(OSError):
        while filler.write(bytes(512)):
            pass
    return path


@contextmanager
def memory_limited(pid: int, *, limit_bytes: int) -> Iterator[None]:
    """Let a process have so much memory more than it has; beyond that the kernel kills it."""
    group, limit = _memory_group()
    try:
        try:
            group.mkdir()
            (group / limit).write_text(str(limit_bytes))
            (group / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            pytest.skip(f"no memory can be limited here: {error}")
        yield
    finally:
        with suppress(OSError):  # it may not have come about
            for each in (group / "cgroup.procs").read_text().split():
                (group.parent / "cgroup.procs").write_text(each)
            group.rmdir()


def _memory_group() -> tuple[Path, str]:
    name = f"chatstream-test-{os.getpid()}"
    if (_CGROUPS / "memory").is_dir():
        return _CGROUPS / "memory" / name, "memory.limit_in_bytes"
    return _CGROUPS / name, "memory.max"


def limit_descriptors(pid: int, *, allowed: int) -> int:
    """Let a process have so many file descriptors, no matter how many it has; return the former."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (allowed, hard))
    return soft


class Wire:
    """A network of two: this machine, and a namespace that `prefix` runs a command in.

    Attributes:
        here: This machine's address on it.
        prefix: Put before a command.
    """

    def __init__(self, ip: str, name: str, iptables: str) -> None:
        self.here = f"{_SUBNET}.1"
        self.prefix = [ip, "netns", "exec", name]
        self._iptables = iptables

    def drop(self) -> None:
        """Let all packets of the other side vanish, both ways: nobody is told."""
        for chain in ("INPUT", "OUTPUT"):
            _allowed(*self.prefix, self._iptables, "-A", chain, "-j", "DROP")


@contextmanager
def wired() -> Iterator[Wire]:
    """Have a network namespace with a wire to it until the block ends."""
    ip, iptables = program("ip", "iproute2"), program("iptables", "iptables")
    name = f"chatstream-{os.getpid()}"
    near, far = f"cs{os.getpid()}a", f"cs{os.getpid()}b"
    _allowed(ip, "netns", "add", name)
    try:
        _allowed(ip, "link", "add", near, "type", "veth", "peer", "name", far)
        _allowed(ip, "link", "set", far, "netns", name)
        _allowed(ip, "addr", "add", f"{_SUBNET}.1/24", "dev", near)
        _allowed(ip, "link", "set", near, "up")
        _allowed(ip, "-n", name, "addr", "add", f"{_SUBNET}.2/24", "dev", far)
        _allowed(ip, "-n", name, "link", "set", far, "up")
        yield Wire(ip, name, iptables)
    finally:
        subprocess.run([ip, "netns", "del", name], check=False, timeout=_RUN_S)
        subprocess.run([ip, "link", "del", near], check=False, timeout=_RUN_S, capture_output=True)


def _allowed(*command: str) -> None:
    """Run a command that the kernel or the container may refuse: then the test is skipped."""
    done = subprocess.run(command, check=False, timeout=_RUN_S, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"not allowed here: {' '.join(command)}: {done.stderr.strip()}")


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Clock:
    """The wall clock of those processes that are started with `settings` and this home folder.

    The machine's own clock is never touched, nor what counts seconds: only the time of day.
    """

    def __init__(self, library: Path) -> None:
        self.settings: dict[str, Any] = {
            "ld_preload": library,
            "faketime_no_cache": 1,
            "faketime_dont_fake_monotonic": 1,
        }

    def jump(self, home: Path, by_s: int) -> None:
        """Set the clock of the processes whose home this is; seconds from the true time."""
        made = home / ".faketimerc.new"
        made.write_text(f"{by_s:+d}s\n", encoding="ascii")
        made.rename(home / ".faketimerc")


def fake_clock() -> Clock:
    """Return a clock that can be set; skips or fails without libfaketime."""
    program("faketime", "faketime")
    return Clock(next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")))
