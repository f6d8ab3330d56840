"""CSV records that cannot be read spoil themselves only, and say why."""

import pytest

from bulkport.imports.formats import BadRecord, CsvDialect, csv_records

DIALECT = CsvDialect(["a", "b"])
GOOD = b'1,2\n"x ""y""\nz",4\n'

NOT_UTF_8 = "the row is not valid UTF-8:"
SAVE = "save the file as UTF-8"
CLOSING = "a closing quote must be followed by the delimiter or the end of the row"


def the_bad_one(record: bytes) -> BadRecord:
    """The bad record between good ones, which must be read as if it was not there."""
    rows = list(csv_records(GOOD + record + b"\n" + GOOD, DIALECT))
    good = [["1", "2"], ['x "y"\nz', "4"]]
    assert [rows[:2], rows[3:]] == [good, good]
    bad = rows[2]
    assert isinstance(bad, BadRecord)
    return bad


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"1", "the row has 1 field where the header has 2"),
        (b"1,2,3", "the row has 3 fields where the header has 2"),
        (b'"1\n2"', "the row has 1 field where the header has 2"),
        (b'"1"x,2', "a closing quote must be followed by the delimiter or the end of the row"),
        (b'1,x"2"', "a quote must open its field, and be doubled inside it"),
        (b"1\r2,3", "a carriage return must be inside quotes"),
        (
            b"1,caf\xe9",
            f"{NOT_UTF_8} byte 0xE9 at character 6, which is 'é' in windows-1252; {SAVE}, or send charset=windows-1252",
        ),
        (
            b'1,"caf\x81\n"',
            f"{NOT_UTF_8} byte 0x81 at character 7; {SAVE}, or name its charset (charset=)",
        ),
        (
            b'"1\\"2",3',
            f"{CLOSING}; where quotes are escaped by backslashes, send escape=\\",
        ),
    ],
)
def test_a_bad_record_affects_no_other(record: bytes, message: str) -> None:
    bad = the_bad_one(record)
    assert bad.raw == record.decode(errors="backslashreplace").replace("\\xe9", "\\xE9")
    assert bad.message == message


def test_bad_records_of_unquoted_text_keep_their_text() -> None:
    rows = list(csv_records(b"1,2\r\n3\r\n4,5,6\r\n7,8\r\n", DIALECT))
    assert [row.raw if isinstance(row, BadRecord) else row for row in rows] == [["1", "2"], "3", "4,5,6", ["7", "8"]]


def test_a_stray_quote_consumes_at_most_the_next_quoted_field() -> None:
    rows = list(csv_records(b'1,"2\n3,4\n5,"6"\n7,8\n', DIALECT))
    assert rows[1:] == [["7", "8"]]
    assert isinstance(rows[0], BadRecord)
    assert rows[0].raw == '1,"2\n3,4\n5,"6"'


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (b"", "a quote is opened but never closed"),
        (b"\n", "a quote is opened but never closed"),
        (b"\n3,4\n", "a quote is opened but never closed, so 1 more line to the end of the body belongs to this row"),
        (
            b"\n3,4\n5,6",
            "a quote is opened but never closed, so 2 more lines to the end of the body belong to this row",
        ),
    ],
)
def test_an_unclosed_quote_at_the_end_is_one_bad_record(rest: bytes, message: str) -> None:
    rows = list(csv_records(b'1,2\n3,"4' + rest, DIALECT))
    assert rows == [["1", "2"], BadRecord((b'3,"4' + rest).decode(), message)]


def test_latin1_text_affects_only_rows_with_foreign_bytes() -> None:
    lines = ["Docker,1", "Café,2", '"Git, ""hub""",3', '"Müller",4']
    rows = list(csv_records("\n".join(lines).encode("latin-1"), DIALECT))
    assert [row.raw if isinstance(row, BadRecord) else row for row in rows] == [
        ["Docker", "1"],
        "Caf\\xE9,2",
        ['Git, "hub"', "3"],
        '"M\\xFCller",4',
    ]


def test_fields_above_the_csv_modules_limit_are_read() -> None:
    large = "x" * 200_000
    assert list(csv_records(f'1,2\n"{large}",3\n"4",5\n'.encode(), DIALECT)) == [["1", "2"], [large, "3"], ["4", "5"]]


def test_cells_of_a_single_column_and_blank_lines_are_read() -> None:
    assert list(csv_records(b'a\r\n\r\n""\r\n b \r\n', CsvDialect(["x"]))) == [["a"], [""], [" b "]]
