"""What may be a password, and how it is hashed beside everything else."""

import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from argon2 import PasswordHasher as Argon2

import accounts.passwords
from accounts.errors import PasswordsBusyError
from accounts.passwords import MAX_CHARS, PasswordHasher, password_fault

EMAIL = "ann.lee@example.com"
GOOD = "three wise owls"
WELL_KNOWN = """
    password 12345678 123456789 1234567890 qwertyuiop 11111111 iloveyou sunshine princess football
    baseball superman trustno1 password1 password123 1q2w3e4r qwerty123 1qaz2wsx zaq12wsx passw0rd
    p@ssw0rd welcome1 welcome123 admin123 letmein1 abc12345 michelle jennifer starwars 87654321
    00000000 88888888 123123123 987654321 qwer1234 asdfghjkl computer changeme Summer2024
    Winter2025!
"""


async def test_a_password_is_that_of_its_hash_alone() -> None:
    async with _hasher() as hasher:
        made = await hasher.hash(GOOD)

        assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert await hasher.hash(GOOD) != made
        assert await hasher.verify(made, GOOD)
        for wrong in (
            "",
            "x",
            GOOD.upper(),
            f"{GOOD} ",
            GOOD[:-1],
            "\ud800",
            "\x00",
            "x" * 100_000,
        ):
            assert not await hasher.verify(made, wrong)


async def test_nobodys_password_and_a_damaged_hash_are_no() -> None:
    async with _hasher() as hasher:
        for stored in (None, "", "damaged", "$2b$12$abcdefghijklmnopqrstuv"):
            assert not await hasher.verify(stored, GOOD)


async def test_a_password_is_the_same_from_any_keyboard() -> None:
    composed = "Größe\u00a0und Wörter"

    async with _hasher() as hasher:
        made = await hasher.hash(unicodedata.normalize("NFD", composed))

        assert await hasher.verify(made, composed)
        assert await hasher.verify(made, composed.replace("\u00a0", " "))
        assert not await hasher.verify(made, composed.casefold())


async def test_a_long_password_counts_to_its_last_character() -> None:
    longest = "ab cd" * 25 + "xyz"
    assert len(longest) == MAX_CHARS

    async with _hasher() as hasher:
        made = await hasher.hash(longest)

        assert await hasher.verify(made, longest)
        assert not await hasher.verify(made, longest[:-1] + "Z")
        with pytest.raises(ValueError, match="too long"):
            await hasher.hash("x" * 1_000_000)


async def test_a_hash_with_other_parameters_is_told() -> None:
    former = Argon2(time_cost=1, memory_cost=8192, parallelism=1).hash(GOOD)

    async with _hasher() as hasher:
        assert await hasher.verify(former, GOOD)
        assert hasher.needs_rehash(former)
        assert not hasher.needs_rehash(await hasher.hash(GOOD))


async def test_who_is_one_too_many_is_told_at_once_and_the_others_are_served() -> None:
    async with _hasher(max_waiting=2) as hasher, _busy(hasher, calls=3):
        with pytest.raises(PasswordsBusyError) as busy:
            await hasher.hash(GOOD)
        assert busy.value.retry_after_s > 0

    async with _hasher(max_waiting=2) as hasher:
        async with _busy(hasher, calls=3):
            pass

        await hasher.hash(GOOD)  # there is room again


async def test_who_waits_too_long_is_told_so() -> None:
    async with _hasher(max_wait_s=0.001) as hasher:
        with pytest.raises(PasswordsBusyError):
            await hasher.hash(GOOD)


async def test_who_goes_away_gives_their_place_back() -> None:
    async with _hasher(max_waiting=1) as hasher, _busy(hasher, calls=1):
        for _ in range(10):
            with anyio.move_on_after(0) as gone:
                await hasher.hash(GOOD)
            assert gone.cancelled_caught


async def test_the_loop_goes_on_while_a_password_is_hashed() -> None:
    ticks = 0
    async with _hasher() as hasher, anyio.create_task_group() as tasks:

        async def tick() -> None:
            nonlocal ticks
            while True:
                await anyio.lowlevel.checkpoint()
                ticks += 1

        tasks.start_soon(tick)
        await hasher.hash(GOOD)
        tasks.cancel_scope.cancel()

    assert ticks > 20


@pytest.mark.long
async def test_many_sign_ins_at_once_take_the_memory_of_one() -> None:
    hasher = PasswordHasher(max_at_once=1, max_wait_s=100.0)
    before = _most_resident_bytes()
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(hasher.verify, None, GOOD)
    hasher.close()

    assert _most_resident_bytes() - before < 3 * 19 * 2**20


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("1234567", "fewer than 8"),
        ("e\u0301" * 7, "fewer than 8"),
        ("👍" * 7, "fewer than 8"),
        ("x y" * 43, "more than 128"),
        ("x" * 1_000_000, "more than 128"),
        ("three\x00owls", "cannot be typed"),
        ("three\towls", "cannot be typed"),
        ("three\ud800owls", "cannot be typed"),
        ("PassWord1", "common"),
        (" iloveyou ", "common"),
        (EMAIL, "address"),
        ("Ann.Lee!2024", "address"),
        ("Chatstream", "ours"),
        ("123chatstream!!", "ours"),
        ("anneliese", "name"),
        ("Anneliese_99", "name"),
    ],
)
def test_what_cannot_be_a_password_is_told(password: str, fault: str) -> None:
    assert fault in (password_fault(password, email=EMAIL, name="Anneliese") or "")


@pytest.mark.parametrize(
    "password",
    [GOOD, "a" * 64, "x y" * 42, "👍" * 8, "пять мудрых сов", "        z", "ann.lee and the owls"],
)
def test_anything_else_may_be_one(password: str) -> None:
    assert password_fault(password, email=EMAIL, name="") is None


@pytest.mark.parametrize("password", WELL_KNOWN.split())
def test_the_well_known_ones_are_refused(password: str) -> None:
    fault = password_fault(password, email=EMAIL, name="")

    assert fault is not None
    assert "common" in fault


def test_the_list_is_long_enough_and_as_it_is_compared() -> None:
    path = Path(accounts.passwords.__file__).with_name("common_passwords.txt")
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("# ")]

    assert len(lines) == len(set(lines)) > 3000
    assert all(line == line.casefold().strip() and len(line) >= 8 for line in lines)


@asynccontextmanager
async def _hasher(
    *, max_waiting: int = 9, max_wait_s: float = 20.0
) -> AsyncIterator[PasswordHasher]:
    """Yield a hasher of one thread; close it after use."""
    hasher = PasswordHasher(max_at_once=1, max_waiting=max_waiting, max_wait_s=max_wait_s)
    yield hasher
    hasher.close()


@asynccontextmanager
async def _busy(hasher: PasswordHasher, *, calls: int) -> AsyncIterator[None]:
    """Have so many calls under way in the block; they are served before it ends."""
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for _ in range(calls):
                tasks.start_soon(hasher.verify, None, GOOD)
            await anyio.wait_all_tasks_blocked()
            yield


def _most_resident_bytes() -> int:
    """Return the most memory that this process has held."""
    line = next(
        line
        for line in Path("/proc/self/status").read_text("ascii").splitlines()
        if line.startswith("VmHWM")
    )
    return int(line.split()[1]) * 1024
