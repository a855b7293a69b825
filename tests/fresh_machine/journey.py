"""The way of a reader of docs/deployment.md: all that it tells to run, and what is so then."""

import importlib.metadata
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.deploy.sources import BROKEN, NEWER, Edit
from tests.fresh_machine.guide import blocks
from tests.fresh_machine.machine import CommandError, Machine
from tests.support.server import ROOT

DOMAIN, ADMIN = "chat.example.com", "you@example.com"
CHECKOUT, CURRENT = "/usr/local/src/chatstream", "/opt/chatstream/current"
SETTINGS, ORIGIN = "/etc/chatstream/environment", "/srv/chatstream.git"
ELSEWHERE = "python3 -m pip download"
"""Begins the block that the page has for two machines, of which one has no way out."""
BOTH = "curl -s localhost:8000/health localhost:8001/health"
SMOKE = f"{CURRENT}/scripts/smoke https://{DOMAIN} --email {ADMIN} --password-stdin"
CONTROL = "supervisorctl -c /etc/chatstream/supervisord.conf"
DESCRIPTORS = 65_536
"""What `deploy/supervisor/render` asks for where it is told nothing."""
HERE = Path(__file__).parent


class Journey:
    """The whole way, once.

    Args:
        machine: Not yet started.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._password = ""

    def go(self) -> None:
        """Follow the page, then let things break, to the last step; print what each took.

        Raises:
            CommandError: something is not as the page says.
        """
        self._took("in all: prepare", self._prepare)
        self._took("in all: the first time", self._first_time)
        failed = []
        for step in (
            self._looks_right, self._comes_back, self._logs_rotate, self._starts_at_boot,
            self._backup_and_restore, self._new_release, self._bad_release, self._goes_back,
            self._stops_streaming, self._systemd_instead, self._is_fenced,
        ):  # fmt: skip
            try:
                self._took(f"in all:{step.__name__.replace('_', ' ')}", step)
            except CommandError as error:
                failed.append(step.__name__)
                _say(f"FAIL:{step.__name__.replace('_', ' ')}: {error}")
        if failed:
            raise CommandError(f"not as the page says: {', '.join(failed)}")

    def _prepare(self) -> None:
        """Give the machine what comes before the page: name, certificate, repository."""
        root = self._machine.root
        key, certificate = root / "etc/ssl/chat.key", root / "etc/ssl/chat.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90"]
        command += ["-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:{DOMAIN}"]
        _here(*command, "-keyout", key, "-out", certificate)
        key.chmod(0o600)
        trusted = root / "usr/local/share/ca-certificates/chat.crt"
        trusted.write_bytes(certificate.read_bytes())
        _here("chroot", root, "update-ca-certificates")
        with (root / "etc/hosts").open("a") as hosts:
            hosts.write(f"127.0.0.1 localhost {DOMAIN}\n")
        _here("git", "clone", "--quiet", "--bare", "--no-hardlinks", ROOT, f"{root}{ORIGIN}")
        for name in ("wire.service", "stored.py"):
            (root / "root" / name).write_bytes((HERE / name).read_bytes())
        self._machine.boot()

    def _first_time(self) -> None:
        """Follow the page; the wire server stands in where MongoDB's vendor is asked for."""
        packages, *others = _page("The first time")
        self._follow(packages.replace("ADDRESS", ORIGIN))
        version = importlib.metadata.version("nx-27017")
        self._run(f"python3 -m venv /opt/wire; /opt/wire/bin/pip install -q nx-27017=={version}")
        self._run("systemctl enable -q --now /root/wire.service; sleep 2")
        for block in others:
            if not block.startswith(ELSEWHERE):
                said = self._follow(_within_limits(block))
                found = re.search(r"shown this once: (\S+)", said)
                self._password = found[1] if found else self._password

    def _looks_right(self) -> None:
        """Look at who runs what, and at what others could read."""
        self._says("ps -o user:20=,args= -e | grep -c '^chatstream .*-m server'", r"^2$")
        self._says("ps -o user:20=,args= -e | grep -c '^www-data .*nginx: worker'", r"^[1-9]")
        self._says(f"stat -c '%a %U' {SETTINGS}", r"^600 chatstream$")
        self._says("stat -c '%a %U' /run/chatstream/supervisor.sock", r"^700 root$")
        values = f"grep -E '_(SECRET|TOKEN)=' {SETTINGS} | cut -d= -f2- | cut -c1-40 > /root/values"
        self._says(f"{values}; ps -ww -e -o args= | grep -cFf /root/values || true", r"^0$")
        self._says("stat -c '%a %U' /var/lib/chatstream", r"^700 chatstream$")
        self._says(f"runuser -u nobody -- cat {SETTINGS} 2>/dev/null || true", r"^$")
        self._says("find /opt/chatstream /etc/chatstream -perm /022 ! -type l", r"^$")
        enabled = "systemctl is-enabled chatstream-supervisor nginx redis-server"
        self._says(enabled, r"^(enabled\n?){3}$")
        self._says(f"curl -s -o /dev/null -w '%{{http_code}}' http://{DOMAIN}/", r"^308$")

    def _comes_back(self) -> None:
        """Kill an instance, nginx and supervisord with -9: each is there again."""
        instance = f"$({CONTROL} pid chatstream:chatstream-8000)"
        for name, pid in (
            ("an instance", instance),
            ("nginx", "$(cat /var/lib/nginx/nginx.pid)"),
            ("supervisord", "$(systemctl show -P MainPID chatstream-supervisor)"),
        ):
            self._took(f"{name}, killed with -9, serves again", partial(self._killed, pid))

    def _logs_rotate(self) -> None:
        """Have the logs changed; the next request is in the new one."""
        log = "/var/log/chatstream/access.json"
        self._run("logrotate --force /etc/logrotate.d/chatstream; sleep 1")
        self._run(f"curl -sf https://{DOMAIN}/health/ready; sleep 1")
        self._says(f"wc -l < {log}; stat -c '%a %U' {log}", r"^[1-9]\d*\n640 www-data$")

    def _starts_at_boot(self) -> None:
        """Start the machine anew: all comes by itself."""
        self._took("it is off", self._machine.power_off)
        self._took("it has started", self._machine.boot)
        self._took("and serves", self._ready)

    def _backup_and_restore(self) -> None:
        """Make an archive as each night, lose everything, restore it: what is stored is equal."""
        self._run(f"{SMOKE} --keep", typed=self._password)
        for block in _page("Each night", "backup.md"):
            self._follow(block)
        stored = f"{CURRENT}/.venv/bin/python /root/stored.py; cd {CHECKOUT}"
        stored += "; deploy/supervisor/start --module flags export"
        self._run("systemctl stop chatstream-supervisor")
        before = self._run(stored)
        self._took("a backup by its unit", partial(self._run, "systemctl start chatstream-backup"))
        archive = self._run("ls -d /var/backups/chatstream/chatstream-*").split()[-1]
        self._run("systemctl stop wire; rm -r /var/lib/wire; redis-cli flushall")
        self._run("systemctl start wire; sleep 2")
        restore = f"runuser -u chatstream -- {CURRENT}/scripts/restore {archive}"
        restore = f"cd /; {restore} --env-file {SETTINGS}"
        try:
            self._took("restored", partial(self._run, restore, shown=True))
            after = self._run(stored)
        finally:
            self._run("systemctl start chatstream-supervisor")
        if after != before:
            raise CommandError(f"what was restored is not what was there:\n{before}\n{after}")
        self._ready()
        check = f"{CURRENT}/scripts/production-check --env-file {SETTINGS} --url https://{DOMAIN}"
        check += " --backups /var/backups/chatstream --nginx-conf /etc/chatstream/nginx/nginx.conf"
        self._run(f"{check} || true", shown=True)

    def _new_release(self) -> None:
        """Commit, and follow the page."""
        self._commit(NEWER)
        for block in _page("A new release"):
            self._follow(block)
        self._says(BOTH, r"99\.2\.0.*99\.2\.0")

    def _bad_release(self) -> None:
        """Commit what ends at its start: the page's command goes back by itself."""
        bad = {**BROKEN, "server/version.py": ('"99.2.0"', '"99.4.0"')}
        self._commit(bad)
        deploy = f"git -C {CHECKOUT} pull -q; {CHECKOUT}/scripts/deploy || echo status $?"
        self._took("refused, and all as before", partial(self._says, deploy, r"status 1$"))
        self._commit({place: (new, old) for place, (old, new) in bad.items()})
        self._says(BOTH, r"99\.2\.0.*99\.2\.0")

    def _goes_back(self) -> None:
        """Follow the page; the release that it names is the first one here."""
        first = self._run("ls -tr /opt/chatstream/releases").split()[0]
        for block in _page("Back"):
            self._follow(re.sub(r"--to \S+", f"--to {first}", block))
        self._says(BOTH, r'"version": ?"0\..*"version": ?"0\.')

    def _stops_streaming(self) -> None:
        """Follow the page; `smoke` says then that nobody is streamed to."""
        for block in _page("Stop streaming at once"):
            self._follow(block)
        self._says(SMOKE, r"a whole answer: [^\n]*off arm", typed=self._password)
        self._run(f"cd {CHECKOUT}; scripts/rollout end-kill; scripts/rollout set 100")

    def _systemd_instead(self) -> None:
        """Follow the page; with eSpeak in the release, so that a child process runs as well."""
        for block in _page("systemd instead of supervisor"):
            self._follow(block)
        speech = "pip install -q --require-hashes -r requirements-espeak.lock"
        self._run(f"cd {CURRENT}; .venv/bin/python -m {speech}")
        for port in (8000, 8001):
            restart = f"systemctl restart chatstream@{port}"
            self._took(restart, partial(self._run, restart))
            self._took("ready", self._ready)

    def _is_fenced(self) -> None:
        """All is served from within the fences, and they are there."""
        self._says(SMOKE, r"speech: espeak.*PASS", typed=self._password)
        self._says("systemd-analyze security --no-pager chatstream@8000 | tail -1", r"OK")
        unit = "chatstream@8000.service"
        self._says(f"systemctl show -P MemoryMax -P TimeoutStopUSec {unit}", r"1342177280")
        pid = f"$(systemctl show -P MainPID {unit})"
        self._says(f"cat /sys/fs/cgroup/memory/system.slice/*/{unit}/memory.limit_in_bytes", r"134")
        self._took("killed with -9, it serves again", partial(self._killed, pid))
        self._took("it leaves", partial(self._run, f"systemctl stop {unit}"))
        self._says(f"systemctl show -P Result {unit}", r"^success$")

    def _killed(self, pid: str) -> None:
        self._run(f"kill -9 {pid}; sleep 0.5")
        self._ready()

    def _ready(self) -> None:
        for url in ("localhost:8000", "localhost:8001", f"https://{DOMAIN}"):
            once = f"curl -sf -m 5 {url}/health/ready"
            self._run(f"for _ in $(seq 300); do {once} && exit 0; sleep 0.2; done; exit 1")

    def _follow(self, block: str) -> str:
        """Run a block of the page as it stands there; what is asked for is the password."""
        script = f"cd {CHECKOUT} 2>/dev/null || true\n{block}"
        began = time.monotonic()
        said = self._run(script, typed=self._password, shown=True)
        _say(f"{time.monotonic() - began:.1f} s: {block.splitlines()[0]} …")
        return said

    def _run(self, script: str, *, typed: str = "", shown: bool = False) -> str:
        said = self._machine.run(script, typed=f"{typed}\n")
        for line in said.splitlines() if shown else ():
            _say(f"| {line}")
        return said

    def _says(self, script: str, pattern: str, *, typed: str = "") -> None:
        said = self._run(script, typed=typed).strip()
        last = said.splitlines()[-1] if said else "nothing"
        _say(f"{script[:70]}: {last}")
        if not re.search(pattern, said, re.DOTALL):
            raise CommandError(f"{script} said, and not {pattern}:\n{said}")

    def _took(self, name: str, step: Callable[[], object]) -> None:
        began = time.monotonic()
        step()
        _say(f"{time.monotonic() - began:.1f} s: {name}")

    def _commit(self, edits: Mapping[str, Edit]) -> None:
        """Edit the repository that the machine's checkout is of."""
        folder = self._machine.root.parent / "work"
        if not folder.exists():
            _here("git", "clone", "--quiet", f"{self._machine.root}{ORIGIN}", folder)
        for place, (old, new) in edits.items():
            text = (folder / place).read_text(encoding="utf-8")
            if old not in text:
                raise CommandError(f"{place} has no {old!r}")
            (folder / place).write_text(text.replace(old, new), encoding="utf-8")
        who = ["-c", "user.name=Tests", "-c", "user.email=tests@example.com"]
        _here("git", "-C", folder, *who, "commit", "--quiet", "--all", "--message", "tests: edit")
        _here("git", "-C", folder, "push", "--quiet")


def _page(section: str, page: str = "deployment.md") -> list[str]:
    """Return the blocks of a page as it is committed: as whoever clones the repository has it."""
    return list(blocks(_here("git", "-C", ROOT, "show", f"HEAD:docs/{page}"), section))


def _within_limits(block: str) -> str:
    """Ask for as many descriptors as there are: in a container root cannot raise them, either."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    few = f"--first-port 8000 --descriptors {most}"
    return block.replace("--first-port 8000", few) if 0 < most < DESCRIPTORS else block


def _here(*command: str | Path) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return done.stdout


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
