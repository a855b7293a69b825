"""A Debian of its own: made by debootstrap, started by systemd-nspawn, with systemd in it.

It shares the network with this machine, and so its ports: nothing else of it. What fetches packages
here does so there: apt's and pip's own configuration, and the authorities that are trusted, are
handed over. Root's alone; what cannot be had here is an `UnfitError` that says what.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PORTS = (80, 443, 6379, 8000, 8001, 27017)
_PROGRAMS = ("debootstrap", "systemd-nspawn", "nsenter", "git", "openssl")
_PACKAGES = "systemd,systemd-sysv,dbus,ca-certificates,iproute2,procps"
_RUN_S, _BOOT_S = 900.0, 120.0
_GROUPS = Path("/sys/fs/cgroup/memory")
_CLEAN = [
    "env",
    "-i",
    "HOME=/root",
    "LANG=C.UTF-8",
    "TERM=dumb",
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
]


class UnfitError(Exception):
    """Such a machine cannot be had here; the text says what is missing."""


class CommandError(Exception):
    """A command ended otherwise than it should; the text has its last lines."""


class Machine:
    """One machine.

    Args:
        root: Its file system, as this machine sees it.
        name: Its name; of its group of processes, too.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.group = _GROUPS / name
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def boot(self) -> None:
        """Start it and wait until all that starts at boot has; memory can be limited in it then.

        Raises:
            UnfitError: systemd does not come up.
        """
        command = ["systemd-nspawn", "--quiet", "--boot", "--directory", str(self.root)]
        command += ["--machine", self._name, "--register=no", "--keep-unit"]
        command += ["--resolv-conf=copy-host", *(f"--bind-ro={path}" for path in _pip_folders())]
        join = ""
        if _GROUPS.is_dir():
            self.group.mkdir(exist_ok=True)
            join = f"echo $$ > {self.group}/cgroup.procs; "
        with self.root.with_suffix(".console").open("ab") as console:
            self._process = subprocess.Popen(
                ["sh", "-c", f'{join}exec "$@"', "sh", *command],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        self._leader = self._first_process(self._process.pid)
        if join:
            self.run(f"mount -o remount,rw,bind {_GROUPS} && systemctl daemon-reexec", check=False)
        self.run("systemctl is-system-running --wait", check=False)

    def run(self, script: str, *, typed: str = "", check: bool = True) -> str:
        """Run a shell script in it as root, to the first command that fails; return what it said.

        Raises:
            CommandError: it failed and `check` is set, or it took a quarter of an hour.
        """
        enter = ["nsenter", "--target", str(self._leader), "--all", *_CLEAN]
        command = [*enter, "bash", "-c", f"cd /root; set -eu -o pipefail; {script}"]
        try:
            done = subprocess.run(
                command,
                input=typed,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=_RUN_S,
                start_new_session=True,  # else a password is asked for at this terminal
            )
        except subprocess.TimeoutExpired:
            raise CommandError(f"not done within {_RUN_S:g} s: {script}") from None
        if check and done.returncode:
            raise CommandError(f"status {done.returncode}: {script}\n{done.stdout[-3000:]}")
        return done.stdout

    def power_off(self) -> None:
        """Let it stop what runs and end; what does not is killed."""
        if self._process is None:
            return
        try:
            self.run("systemctl poweroff", check=False)
            self._process.wait(timeout=_BOOT_S)
        except subprocess.TimeoutExpired:
            # All others there go with their first process.
            os.kill(self._leader or self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def _first_process(self, nspawn: int) -> int:
        until = time.monotonic() + _BOOT_S
        children = Path(f"/proc/{nspawn}/task/{nspawn}/children")
        while time.monotonic() < until and self._process and self._process.poll() is None:
            self._leader = int((children.read_text() or "0").split()[0])
            if self._leader and "up" in self.run(
                "test -S /run/dbus/system_bus_socket; echo up", check=False
            ):
                return self._leader
            time.sleep(0.2)  # noqa: TID251  # a command by hand: it may wait
        raise UnfitError(f"systemd did not come up: see {self.root.with_suffix('.console')}")


@contextmanager
def fresh(cache: Path) -> Iterator[Machine]:
    """Have a new machine, not yet started, until the block ends: then nothing is left of it.

    Args:
        cache: Where the packages of its base are kept for the next time.

    Raises:
        UnfitError: it cannot be made here.
    """
    _require_fitness()
    base = _base(cache)
    folder = Path(tempfile.mkdtemp(prefix="chatstream-fresh-", dir="/var/tmp"))
    machine = Machine(folder / "root", f"chatstream-fresh-{os.getpid()}")
    try:
        machine.root.mkdir()
        subprocess.run(["tar", "-C", machine.root, "-xf", base], check=True, timeout=_RUN_S)
        _hand_over(machine.root)
        yield machine
    finally:
        machine.power_off()
        shutil.rmtree(folder)
        for group in sorted(machine.group.rglob("*/"), reverse=True):
            group.rmdir()
        with suppress(OSError):
            machine.group.rmdir()


def _require_fitness() -> None:
    if missing := [each for each in _PROGRAMS if shutil.which(each) is None]:
        raise UnfitError(f"not installed: {', '.join(missing)}")
    if os.geteuid() != 0:
        raise UnfitError("only root can make a machine")
    for port in PORTS:
        with socket.socket() as place:
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                place.bind(("127.0.0.1", port))
            except OSError:
                raise UnfitError(f"port {port} is taken: a machine would share it") from None


def _base(cache: Path) -> Path:
    made = cache / "debian-12.tar"
    if made.exists():
        return made
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        root, packed = Path(folder) / "root", cache / "debian-12.tar.part"
        _run(
            "debootstrap",
            "--variant=minbase",
            f"--include={_PACKAGES}",
            "bookworm",
            root,
            _mirror(),
        )
        _run("tar", "-C", root, "-cf", packed, ".")
        packed.rename(made)
    return made


def _mirror() -> str:
    for path in _sources():
        if found := re.search(
            r"^(?:URIs:|deb(?: \[.*?\])?)\s+(\S+)", path.read_text(), re.MULTILINE
        ):
            return found[1]
    raise UnfitError("apt has no sources")


def _sources() -> list[Path]:
    folder = Path("/etc/apt")
    listed = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    return [each for each in listed if each.suffix in {".list", ".sources"} and each.is_file()]


def _hand_over(root: Path) -> None:
    """Give it what this machine fetches packages by, and an answer to apt's one question."""
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    for path in _sources():
        shutil.copy(path, root / path.relative_to("/"))
    dumped = subprocess.run(
        ["apt-config", "dump", "Acquire"], check=True, capture_output=True, text=True
    )
    kept = [line for line in dumped.stdout.splitlines() if line.startswith("Acquire::Check")]
    kept.append('APT::Get::Assume-Yes "true";')
    (root / "etc/apt/apt.conf.d/99fresh").write_text("\n".join(kept) + "\n")
    for path in (Path("/etc/pip.conf"), Path("/root/.config/pip/pip.conf")):
        if path.exists():
            target = root / path.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    for path in Path("/usr/local/share/ca-certificates").glob("*.crt"):
        shutil.copy(path, root / "usr/local/share/ca-certificates")
    _run("chroot", root, "update-ca-certificates")


def _pip_folders() -> list[str]:
    """Return the folders of this machine that pip looks into; an index has its files beside it."""
    told = subprocess.run(["pip", "config", "list"], check=True, capture_output=True, text=True)
    indexes = [Path(each).parent for each in re.findall(r"file://(/[^\s'\"]+)", told.stdout)]
    folders = [Path(each) for each in re.findall(r"find-links='(/[^\s'\"]+)", told.stdout)]
    return sorted({str(each) for each in indexes + folders if each.is_dir()})


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_RUN_S)
    if done.returncode:
        raise UnfitError(f"{command[0]}: {(done.stdout + done.stderr).strip().splitlines()[-1]}")
