"""What is odd about valid rows is said once."""

import pytest
from pydantic import BaseModel

from bulkport.imports.body.member_names import MemberNames
from bulkport.imports.formats import CsvRecords, match_header
from bulkport.imports.options import ReadingOptions
from bulkport.imports.resource import Resource
from bulkport.imports.validation import ChunkValidator
from bulkport.imports.validation.remarks import once, repeated_members_remark
from bulkport.imports.values.column_type import ColumnType
from bulkport.imports.values.options import ValueOptions


class Thing(BaseModel):
    name: str
    size: int = 0


RESOURCE = Resource(name="things", label="Thing", label_field="name", model=Thing, table="t")


def json_remarks(*records: str) -> list[str]:
    validator = ChunkValidator(RESOURCE, streamed=True)
    validator.finish(validator.decode_json([record.encode() for record in records], 1), {})
    return validator.remarks


def cell_remarks(*names: str, options: ValueOptions | None = None) -> list[str]:
    validator = ChunkValidator(RESOURCE, streamed=True, options=options or ValueOptions())
    records = CsvRecords.of_rows([[name] for name in names], 1)
    validator.finish(validator.decode_text(records, match_header(["name"], RESOURCE), 1), {})
    return validator.remarks


def test_a_duplicate_member_is_reported_once() -> None:
    twice = '{"name":"a","name":"b"}'
    assert json_remarks(twice, twice, '{"name": "c", "size" : 1}') == [
        "name is given twice in a record; the last value was used"
    ]
    assert json_remarks('{"name":"x","other":{"name":1}}', '{"name":"\\":\\"name\\":"}', "{", "[1]") == []


def test_many_duplicate_members_cost_little_and_are_abbreviated() -> None:
    many = "{" + ",".join(f'"a{number}":1,"a{number}":2' for number in range(20_000)) + "}"
    assert len(json_remarks(many, many.replace('"a', '"b'))) <= 20
    # Those after the first few hundred records are not looked for.
    assert json_remarks(*['{"name":"a","size":1}'] * 600, '{"name":"a","name":"b"}') == []
    assert json_remarks('{"' + "n" * 5000 + '":1,"' + "n" * 5000 + '":2,"name":"a"}') == [
        "n" * 100 + " is given twice in a record; the last value was used"
    ]


@pytest.mark.parametrize("other", ["x ", " x", "x\u00a0", "x\t", "\u200bx", "x\n"])
def test_keys_that_differ_only_in_whitespace_are_reported(other: str) -> None:
    (remark,) = cell_remarks("x", "y", other)
    assert remark.startswith("values of name differ only in blanks, such as ")
    assert ascii(other) in remark
    assert remark.endswith("trim=true treats them as equal")
    assert json_remarks('{"name":"x"}', '{"name":"y"}') == []


def test_all_keys_of_a_chunk_are_compared() -> None:
    assert len(cell_remarks(*(f"n{number}" for number in range(5000)), "ü", "ü ")) == 1


@pytest.mark.parametrize(
    ("cells", "options", "remark"),
    [
        (
            ["NULL", "a"],
            ValueOptions(),
            "name has cells of NULL, which were read as text; nullWords=NULL takes them for null",
        ),
        ([r"\N"], ValueOptions(), r"name has cells of \N, which were read as text; nullWords=\N takes them for null"),
        (
            ['="007"'],
            ValueOptions(),
            "name has texts that are written as formulas and were read with their signs, such as ",
        ),
        (["1.2345678901234568e+18"], ValueOptions(), "name has numbers of which a spreadsheet has kept"),
        (
            ["1.23457E+17"],
            ValueOptions(),
            "name has numbers of which a spreadsheet has kept the first digits alone, such as ",
        ),
        (["NULL"], ValueOptions(null_words=("NULL",)), None),
        (["null", "NULLs", "1E5", "A+E+12"], ValueOptions(), None),
    ],
)
def test_suspicious_cell_texts_are_reported(cells: list[str], options: ValueOptions, remark: str | None) -> None:
    validator = ChunkValidator(RESOURCE, streamed=True, options=options, columns={"name": ColumnType("text")})
    validator.note_odd_cells(CsvRecords.of_rows([[cell] for cell in cells], 1), match_header(["name"], RESOURCE))
    assert [found.startswith(remark or "") for found in validator.remarks] == [True] * (remark is not None)


def test_a_duplicate_member_under_an_alias_is_reported_by_its_field() -> None:
    names = MemberNames(RESOURCE, ReadingOptions(map={"n": "name", "nom": "name"}))
    for record in ('{"n":"a","n":"b"}', '{"n":"a","nom":"b"}', '{"size":{"a":1},"nom":"a","nom":"b"}'):
        assert json_remarks(names(record.encode()).decode()) == [repeated_members_remark("name")]
        assert names(record.encode()).endswith(b'"name":"b"}')
    assert json_remarks(names(b'{"n":"a","x":{"n":1}}').decode()) == []


def test_other_keys_are_not_reported() -> None:
    assert cell_remarks("x", "y ", "z", "a b", "x") == []
    assert cell_remarks("x", "x ", options=ValueOptions(trim=True)) == []


def test_warnings_that_differ_only_in_their_example_are_reported_once() -> None:
    assert once(["a, such as 1", "b", "a, such as 2", "b"]) == ["a, such as 1", "b"]
