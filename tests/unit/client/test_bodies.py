"""What a file's name says about its body, and which files can be sent."""

from pathlib import Path

import pytest

from bulkport.client import BodyKind, FileSource, SourceUnusable
from bulkport.imports.body_format import BodyFormat


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rows.csv", BodyKind(BodyFormat.CSV)),
        ("ROWS.CSV", BodyKind(BodyFormat.CSV)),
        ("rows.tsv.gz", BodyKind(BodyFormat.CSV, "gzip", "\t")),
        ("rows.ndjson.zst", BodyKind(BodyFormat.NDJSON, "zstd")),
        ("rows.jsonl", BodyKind(BodyFormat.NDJSON)),
        ("a.b/rows.2024.json", BodyKind(BodyFormat.JSON)),
    ],
)
def test_suffixes_determine_format_and_compression(name: str, expected: BodyKind) -> None:
    assert BodyKind.of_name(name) == expected


@pytest.mark.parametrize("name", ["rows", "rows.txt", "rows.gz", ".csv.bak", ""])
def test_other_names_determine_nothing(name: str) -> None:
    assert BodyKind.of_name(name) is None


def test_the_format_option_wins_and_compression_stays() -> None:
    assert BodyKind.of_name("rows.txt.gz", format=BodyFormat.NDJSON) == BodyKind(BodyFormat.NDJSON, "gzip")
    assert BodyKind.of_name("rows.csv", format=BodyFormat.JSON) == BodyKind(BodyFormat.JSON)
    assert BodyKind.of_name("", format=BodyFormat.CSV) == BodyKind(BodyFormat.CSV)


def test_a_file_is_read_whole_in_blocks(tmp_path: Path) -> None:
    path = tmp_path / "rows.ndjson"
    path.write_bytes(b"x" * 600_001)
    source = FileSource(path)
    pieces = list(source.blocks())
    assert source.size == sum(map(len, pieces)) == 600_001
    assert len(pieces) > 1


def test_a_growing_file_is_cut_at_its_initial_size(tmp_path: Path) -> None:
    path = tmp_path / "rows.ndjson"
    path.write_bytes(b"first\n")
    source = FileSource(path)
    path.write_bytes(b"first\nsecond\n")
    assert b"".join(source.blocks()) == b"first\n"


def test_a_shrinking_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.ndjson"
    path.write_bytes(b"first\nsecond\n")
    source = FileSource(path)
    path.write_bytes(b"first\n")
    with pytest.raises(SourceUnusable, match="shorter"):
        list(source.blocks())


def test_a_missing_file_a_folder_and_an_empty_file_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    for path, reason in [
        (tmp_path / "missing.csv", "does not exist"),
        (tmp_path, "is a folder"),
        (tmp_path / "empty.csv", "is empty"),
    ]:
        with pytest.raises(SourceUnusable, match=reason):
            FileSource(path)
