"""Who listens, and how far they are."""

from streaming.speech.audience import PLAYING_S, Audience


def test_nobody_listens_before_the_first_reader() -> None:
    audience = Audience(100.0)

    assert not audience.is_listening(100.0)
    assert audience.absent_s(130.0) == 30.0


def test_a_reader_listens_until_it_leaves() -> None:
    audience = Audience(0.0)
    audience.joined()
    audience.joined()
    audience.left(50.0)

    assert audience.is_listening(500.0)
    assert audience.absent_s(500.0) == 0.0

    audience.left(500.0)

    assert not audience.is_listening(501.0)
    assert audience.absent_s(501.0) == 1.0


def test_a_report_stands_for_a_reader_for_a_while() -> None:
    audience = Audience(0.0)
    audience.reported(100.0, played_s=1.0, buffered_s=2.0)

    assert audience.is_listening(100.0 + PLAYING_S / 2)
    assert not audience.is_listening(100.0 + PLAYING_S)
    assert audience.absent_s(103.0) == 3.0


def test_what_is_unplayed_is_not_known_without_a_report() -> None:
    assert Audience(0.0).unplayed_s(1.0, 60.0) is None


def test_playback_goes_on_between_reports_as_far_as_its_buffer() -> None:
    audience = Audience(0.0)
    audience.reported(10.0, played_s=20.0, buffered_s=5.0)

    assert audience.unplayed_s(10.0, 60.0) == 40.0
    assert audience.unplayed_s(13.0, 60.0) == 37.0
    assert audience.unplayed_s(99.0, 60.0) == 35.0
    assert audience.unplayed_s(99.0, 10.0) == 0.0


def test_audio_runs_dry_when_all_of_it_was_played_and_not_before() -> None:
    audience = Audience(0.0)
    unreported = audience.dry_s(50.0, 3.0)
    audience.reported(100.0, played_s=1.0, buffered_s=2.0)

    assert unreported == 0.0
    assert audience.dry_s(101.0, 3.0) == 0.0
    assert audience.dry_s(104.0, 3.0) == 2.0
    assert audience.dry_s(104.0, 9.0) == 0.0  # there is more that the page has not fetched


def test_reports_of_a_page_that_waits_do_not_shorten_its_wait() -> None:
    audience = Audience(0.0)
    audience.reported(100.0, played_s=1.0, buffered_s=2.0)
    for now in (102.5, 103.0, 104.0, 105.0):
        played_s = min(now - 99.0, 3.0)
        audience.reported(now, played_s=played_s, buffered_s=3.0 - played_s)

    assert audience.dry_s(106.0, 3.0) == 4.0

    audience.reported(106.0, played_s=3.0, buffered_s=2.0)

    assert audience.dry_s(107.0, 5.0) == 0.0
