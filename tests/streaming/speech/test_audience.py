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
