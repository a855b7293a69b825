"""The operators' command, as operators run it: a program of its own, a real file, a real Redis."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from flags.bucketing import bucket
from flags.cli import shown
from flags.cli.documents import read_definition, read_document
from flags.cli.invocation import RefusedError
from flags.model import InFlight
from flags.store.file import FileFlagStore
from flags.store.redis import RedisFlagStore
from tests.flags.shell import LIMIT_S, Shell, an_editor, asked, flag_in
from tests.support.redis import RedisServer, running_redis

pytestmark = pytest.mark.long

PASSWORD = "zu-geheim"  # noqa: S105  # of a server that lives as long as this test

BETA: Mapping[str, object] = {
    "description": "Wer sieht 日本語 👩‍🚀\x1b[31m",
    "rollout": {"percentage": 1},
    "rules": [{"name": "beta", "when": {"$segment": "insiders"}, "serve": "on"}],
}
DOCUMENT = {
    "flags": {
        "beta": BETA,
        "words": {"type": "string", "variants": {"a": "ö", "b": ""}, "off_variant": "a"},
    },
    "segments": {"insiders": {"include": ["züri", "u1"], "description": "ours"}},
}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis"), password=PASSWORD) as server:
        yield server


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def redis_url(redis: RedisServer, database: int) -> str:
    return f"redis://:{PASSWORD}@127.0.0.1:{redis.port}/{database}"


@pytest.mark.parametrize("kind", ["file", "redis"])
def test_a_flag_is_made_raised_and_killed_and_its_history_tells(
    kind: str, tmp_path: Path, redis: RedisServer
) -> None:
    shell = (
        Shell(tmp_path, DATA_DIR="kept/here")
        if kind == "file"
        else Shell(tmp_path, REDIS_URL=redis_url(redis, 1))
    )
    definition = json.dumps({"description": BETA["description"], "rollout": {"percentage": 1}})

    made = shell.done("put", "beta", "-", "--why", "für 日本", given=definition)
    raised = shell.done("set", "beta", "2.5%", "--if-version", "1")
    killed = shell.run("kill", "beta", "--abort", "--why", "errors rise")
    history = shell.done("history", "beta", "--limit", "2")

    assert (made["version"], made["description"]) == (1, BETA["description"])
    assert raised["rollout"] == {"percentage": 2.5, "salt": "beta", "serve": "on"}
    assert "turns in flight are stopped; its rollout is 0 %, was 2.5 % (version 3)" in killed.out
    changes = history["changes"]
    assert isinstance(changes, list)
    assert [each["action"] for each in changes] == ["kill", "rollout"]
    assert changes[0]["why"] == "errors rise"
    assert changes[0]["after"]["in_flight"] == "abort"
    assert changes[0]["who"].startswith("cli:")
    assert "@" in changes[0]["who"]
    assert (tmp_path / "kept").exists() == (kind == "file")


async def test_a_killed_flag_is_heard_of_again_only_after_the_end_of_the_kill(
    shell: Shell,
) -> None:
    editor = await an_editor(FileFlagStore(shell.folder / "f.json"), why="für 日本")
    await editor.put_flag("beta", {"description": BETA["description"]}, asked())
    await editor.kill("beta", asked(), in_flight=InFlight.DRAIN)

    unheard = shell.run("set", "beta", "5", "--file", "f.json")
    ended = shell.run("end-kill", "beta", "--file", "f.json")
    page, history = shell.together("get beta --file f.json", "history beta --file f.json")
    deleted = shell.done("delete", "beta", "--if-version", "5", "--file", "f.json")

    assert "nobody gets it until end-kill" in unheard.out
    assert ended.out == "beta is evaluated again, at 5 %; set or ramp raises it (version 5).\n"
    assert "rollout      5 % get on\n" in page.out
    assert "Wer sieht 日本語 👩‍🚀\\x1b[31m\n" in page.out
    assert history.out.splitlines()[-1].split()[3:6] == ["ada", "put", "für"]
    assert history.out.endswith("created at 1 %\n")
    assert deleted == {"deleted": "beta"}


def test_what_is_exported_is_taken_in_elsewhere_as_it_was(shell: Shell) -> None:
    (shell.folder / "in.json").write_text(json.dumps(DOCUMENT), encoding="utf-8")

    taken = shell.done("import", "in.json", "--file", "one.json")
    again = shell.done("import", "in.json", "--file", "one.json")
    exported = shell.run("export", "out.json", "--file", "one.json")
    shell.done("import", "out.json", "--file", "two.json")
    second = shell.run("export", "--file", "two.json")
    itself = shell.run("export", "two.json", "--file", "two.json")
    segments, segment, missing, listed = shell.together(
        "segments --file two.json",
        "segment insiders --file two.json --json",
        "segment outsiders --file two.json",
        "list --file two.json",
    )

    assert taken == {"version": 1, "flags": ["beta", "words"], "segments": ["insiders"]}
    assert again == {"version": 1, "flags": [], "segments": []}
    assert exported.out == "2 flags and 1 segments are in out.json.\n"
    assert second.out == (shell.folder / "out.json").read_text(encoding="utf-8")
    definition = second.answer["flags"]
    assert isinstance(definition, dict)
    assert definition["beta"]["rules"][0]["when"] == {"$segment": "insiders"}
    assert not {"version", "epoch", "updated_at"} & definition["beta"].keys()
    assert itself.status == 1
    assert "where the flags themselves are kept" in itself.err
    assert segments.out.splitlines()[1].split()[:4] == ["insiders", "2", "0", "no"]
    assert (segment.answer["include"], segment.answer["version"]) == (["u1", "züri"], 1)
    assert (missing.status, "no segment 'outsiders'" in missing.err) == (1, True)
    assert [line.split()[:4] for line in listed.out.splitlines()[1:]] == [
        ["beta", "on", "1", "%"],
        ["words", "on", "0", "%"],
    ]


async def test_an_explanation_says_what_decided_and_when_a_unit_comes_in(shell: Shell) -> None:
    (shell.folder / "data").mkdir()
    editor = await an_editor(FileFlagStore(shell.folder / "data" / "flags.json"))
    rules = [{"name": "swiss", "when": {"country": "CH", "age": {"$gte": 18}}, "serve": "on"}]
    await editor.put_flag("beta", {"rollout": {"percentage": 5}, "rules": rules}, asked())

    by_rule = shell.done(
        "explain", "beta", "züri", "--attribute", "age=18", "--attribute", "country=CH"
    )
    outside = shell.run("explain", "beta", "züri")
    (shell.folder / "data" / "killed-flags").write_text("beta\n", encoding="ascii")
    killed = shell.done("explain", "beta", "züri")

    place = bucket("beta", "beta", "züri")
    assert (by_rule["variant"], by_rule["reason"]) == ("on", "targeting_match")
    assert (by_rule["bucket"], by_rule["salt"]) == (place, "beta")
    assert by_rule["enters_at"] == (place + 1) / 1000
    steps = by_rule["steps"]
    assert isinstance(steps, list)
    assert [step["step"] for step in steps if step["decided"]] == ["rule"]
    assert f"is in from  {shown.per_cent((place + 1) / 1000)}\n" in outside.out
    assert ">  default     off\n" in outside.out
    assert (killed["variant"], killed["reason"]) == ("off", "disabled")


def test_a_file_that_is_not_there_is_no_flags_and_is_not_made_by_looking(shell: Shell) -> None:
    listed, *refused = shell.together("list", "set beta 5", "history beta", "explain beta u1")

    assert (listed.status, listed.out) == (0, "There are no flags in data/flags.json yet.\n")
    assert [ran.status for ran in refused] == [1, 1, 1]
    there_is_none = "There is no flag 'beta' in data/flags.json; `list` shows those that are.\n"
    assert refused[0].err == refused[2].err == there_is_none
    assert refused[1].err == "No change of the flag 'beta' is known in data/flags.json.\n"
    assert list(shell.folder.iterdir()) == []


def test_a_definition_that_means_nothing_is_refused_in_one_line(shell: Shell) -> None:
    given = b'{"rollout": {"percentage": 100.5}}'
    ran = shell.run("put", "beta", "-", "--json", given=given)

    assert (ran.status, ran.err) == (1, "Refused: rollout.percentage: must be from 0 to 100.\n")
    assert ran.answer["error"] == {"code": "flag_invalid", "detail": ran.err.strip()}
    assert not (shell.folder / "data" / "flags.json").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (b"\xff\xfe{", "is not JSON"),
        (b"", "is not JSON"),
        (b'{"a":' * 20_000, "is not JSON"),
        (b'{"kill": true, "kill": false}', "stands twice"),
        (b'{"rollout": {"percentage": NaN}}', "NaN is not a number"),
        (b"[]", "is not a JSON object"),
    ],
)
def test_a_definition_that_cannot_be_read_is_refused(
    given: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / "beta.json").write_bytes(given)

    with pytest.raises(RefusedError) as refused:
        read_definition(str(tmp_path / "beta.json"))

    assert words in str(refused.value)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    for read in (read_definition, read_document):
        with pytest.raises(RefusedError, match=r"none\.json: No such file"):
            read(str(tmp_path / "none.json"))
        with pytest.raises(RefusedError, match="directory"):
            read(str(tmp_path))


async def test_a_change_of_somebody_else_is_not_overwritten(shell: Shell) -> None:
    editor = await an_editor(FileFlagStore(shell.folder / "f.json"))
    await editor.set_percentage("beta", 3, asked())

    late = shell.run("set", "beta", "5", "--if-version", "1", "--file", "f.json", "--json")

    assert late.status == 1
    assert late.answer["error"] == {"code": "version_conflict", "detail": late.err.strip()}
    assert "beta is at version 2, not 1; look at it" in late.err
    assert (await flag_in(FileFlagStore(shell.folder / "f.json"))).rollout.percentage == 3


def test_a_redis_that_does_not_answer_ends_the_command_soon_and_keeps_its_password(
    redis: RedisServer, tmp_path: Path
) -> None:
    redis.pause()
    try:
        paused = Shell(tmp_path, REDIS_URL=redis_url(redis, 2)).run("set", "beta", "5", "--json")
    finally:
        redis.resume()
    nobody, stranger = Shell(tmp_path).together(
        "list --redis redis://:zu-geheim@127.0.0.1:1",
        f"list --redis redis://:falsch@127.0.0.1:{redis.port}",
    )

    assert [ran.status for ran in (paused, nobody, stranger)] == [69, 69, 69]
    error = paused.answer["error"]
    assert isinstance(error, dict)
    assert error["code"] == "flag_store_unavailable"
    assert f"redis://127.0.0.1:{redis.port}/2 cannot be used" in paused.err
    assert "look before you repeat it" in paused.err
    assert "repeat" not in nobody.err
    said = "".join(ran.out + ran.err for ran in (paused, nobody, stranger))
    assert "geheim" not in said
    assert "falsch" not in said


def test_configuration_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"REDIS_URL=\xff\xfe\n")
    (tmp_path / "damaged.json").write_bytes(b'{"checksum": "no", "content": {}}')

    unreadable = Shell(tmp_path).run("list")
    usage = Shell(tmp_path).run("list", "--redis", "redis://u:geheim@localhost:x")
    damaged = Shell(tmp_path).run("list", "--file", "damaged.json")
    (tmp_path / ".env").write_text("REDIS_URL=http://u:geheim@localhost", encoding="ascii")
    wrong = Shell(tmp_path).run("list", "--json")

    assert (unreadable.status, unreadable.err) == (78, ".env cannot be read: it is not UTF-8\n")
    assert (wrong.status, usage.status, damaged.status) == (78, 2, 69)
    assert wrong.err.startswith("REDIS_URL: ")
    assert usage.err.startswith("--redis: ")
    assert "damaged.json is damaged" in damaged.err
    assert "geheim" not in wrong.err + wrong.out + usage.err


def test_only_the_store_that_is_used_is_loaded(redis: RedisServer, tmp_path: Path) -> None:
    file = Shell(tmp_path, PYTHONPROFILEIMPORTTIME="1").run("list")
    other = Shell(tmp_path, PYTHONPROFILEIMPORTTIME="1").run("list", "--redis", redis_url(redis, 3))

    assert (file.status, other.status) == (0, 0)
    assert "flags.store.file" in file.err
    assert "redis" not in file.err
    assert "flags.store.redis" in other.err
    assert "flags.store.file" not in other.err


async def test_output_survives_closed_pipes_and_narrow_terminals(tmp_path: Path) -> None:
    await an_editor(FileFlagStore(tmp_path / "f.json"), why="für 日本\x1b]0;x\x07")
    narrow = Shell(tmp_path, PYTHONIOENCODING="ascii").run("history", "beta", "--file", "f.json")
    process = Shell(tmp_path).start("list", "--file", "f.json")
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()

    assert narrow.status == 0
    assert r"f\xfcr \u65e5\u672c\x1b]0;x\x07" in narrow.out
    assert (process.wait(LIMIT_S), said) == (0, b"")


async def test_a_ramp_takes_every_step_and_never_goes_down(
    redis: RedisServer, tmp_path: Path
) -> None:
    shell = Shell(tmp_path, REDIS_URL=redis_url(redis, 4))
    store = RedisFlagStore(redis_url(redis, 4))
    await an_editor(store)
    await store.close()

    ran = shell.run("ramp", "beta", "2", "10", "--steps", "1.5,5", "--every", "0.1s", "--json")
    lower = shell.run("ramp", "beta", "5")

    steps = ran.answer["steps"]
    assert isinstance(steps, list)
    assert [step["percentage"] for step in steps] == [2, 5, 10]
    assert (ran.status, ran.answer["ended"], ran.answer["version"]) == (0, "done", 4)
    assert "beta: 1 % → 2 % → 5 % → 10 %, 0.1 s between two steps" in ran.err
    assert (lower.status, lower.err) == (
        1,
        "beta is at 10 %: a ramp never goes down; set does.\n",
    )
