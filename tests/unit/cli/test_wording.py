"""Numbers and foreign text in a terminal."""

import pytest

from bulkport.cli.wording import counted, harmless, lasting, sized


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (32_100_000, "32.1 MB"), (999_960, "1.0 MB")],
)
def test_sizes_have_units(count: int, text: str) -> None:
    assert sized(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.00 s"), (9.99, "9.99 s"), (12.14, "12.1 s"), (200.4, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations_are_as_exact_as_necessary(seconds: float, text: str) -> None:
    assert lasting(seconds) == text


def test_counts_are_pluralised() -> None:
    assert [counted(number, "row") for number in (0, 1, 32_136)] == ["0 rows", "1 row", "32,136 rows"]


def test_foreign_text_cannot_control_the_terminal() -> None:
    hostile = "a\x1b[2Jb\x9b31mc\u202ed\nnext\tline\ud800"
    shown = harmless(hostile)
    assert shown == "a�[2Jb�31mc�d next line�"
    assert shown.isprintable()


def test_foreign_text_keeps_its_letters_and_is_truncated() -> None:
    assert harmless("Grüße, 世界 🙂") == "Grüße, 世界 🙂"
    assert harmless("x" * 1000, longest=10) == "x" * 9 + "…"
