"""Kills without a store: whatever an operator's file may hold, a kill that was meant is one."""

import resource
from pathlib import Path

import pytest

from flags.kills import ALL, LocalKills, killed_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a kill file may be written."""
    return tmp_path / "kills"


def test_without_a_file_only_the_keys_given_are_killed(path: Path) -> None:
    assert LocalKills().read() == frozenset()
    assert LocalKills(["a", "b"]).read() == {"a", "b"}
    assert LocalKills(["a"], path).read() == {"a"}


@pytest.mark.parametrize(
    ("content", "killed"),
    [
        (b"streaming\n", {"streaming"}),
        (b"streaming", {"streaming"}),
        (b"  a  \r\n\r\n\tb # because\r\n# c\n", {"a", "b"}),
        (b"a\nb\na\n", {"a", "b"}),
        (b"*\n", {ALL}),
        (b"a\n*", {"a", ALL}),
        ("\ufeffstreaming\n".encode(), {"streaming"}),
    ],
)
def test_the_file_names_a_key_on_each_line(path: Path, content: bytes, killed: set[str]) -> None:
    path.write_bytes(content)

    assert LocalKills(path=path).read() == killed
    assert LocalKills(["given"], path).read() == killed | {"given"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n\t\n",
        b"# streaming\n",
        b"\xff\n",
        "streaming".encode("utf-16"),
        b"a\n" * 50_000 + b"b",
    ],
    ids=["empty", "blank", "comments", "no text", "another encoding", "too long"],
)
def test_a_file_that_tells_no_key_kills_every_flag(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    assert ALL in LocalKills(path=path).read()


def test_a_file_just_not_too_long_is_read(path: Path) -> None:
    path.write_bytes(b"a\n" * 50_000)

    assert LocalKills(path=path).read() == {"a"}


def test_a_path_that_cannot_be_read_kills_every_flag(path: Path) -> None:
    path.mkdir()
    below_a_file = path / "file" / "kills"
    (path / "file").touch()

    assert LocalKills(["a"], path).read() == {"a", ALL}
    assert LocalKills(path=below_a_file).read() == {ALL}


@pytest.mark.parametrize("is_there", [False, True])
def test_where_no_file_can_be_opened_one_that_is_there_still_counts(
    path: Path, *, is_there: bool
) -> None:
    if is_there:
        path.write_text("streaming")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        killed = LocalKills(["a"], path).read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert killed == ({"a", ALL} if is_there else {"a"})


def test_the_file_counts_as_long_as_it_is_there(path: Path) -> None:
    kills = LocalKills(path=path)
    before = kills.read()
    path.write_text("streaming")
    meanwhile = kills.read()
    path.unlink()

    after = kills.read()

    assert [set(read) for read in (before, meanwhile, after)] == [set(), {"streaming"}, set()]


def test_all_is_every_flag_that_there_is() -> None:
    assert set(killed_of({"a", ALL}, ["a", "b"])) == {"a", "b"}
    assert set(killed_of({"a", "z"}, ["a", "b"])) == {"a", "z"}
