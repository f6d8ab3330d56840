"""Workbooks and Parquet files: cells by type, the sheet and the header found, and no file brings a server down."""

import asyncio
import io
import shutil
import subprocess
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from files_read import read_file
from pydantic import BaseModel

from bulkport import Resource
from bulkport.errors import BadRequest, CsvHeaderError, MalformedBody, TooLarge
from bulkport.imports.formats import BodyFormat
from bulkport.limits import MIB, ImportLimits

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
HIDDEN = '"hidden"'
LIBREOFFICE = shutil.which("soffice")


def workbook(sheets: dict[str, list[list[Any]]], *, hidden: tuple[str, ...] = ()) -> bytes:
    """An .xlsx file (ECMA-376). Dates are day numbers with a date format, as in any workbook."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        numbers = range(1, len(sheets) + 1)
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" ContentType="application/'
            'vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
            '<Override PartName="/xl/workbook.xml" ContentType="application/'
            'vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" '
            f'Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        listed = "".join(
            f'<sheet name="{name}" sheetId="{number}" {"state=" + HIDDEN if name in hidden else ""} r:id="r{number}"/>'
            for number, name in zip(numbers, sheets, strict=True)
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{listed}</sheets></workbook>',
        )
        targets = "".join(
            f'<Relationship Id="r{number}" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet{number}.xml"/>'
            for number in numbers
        )
        styles = f'<Relationship Id="styles" Type="{_RELATIONS}/styles" Target="styles.xml"/>'
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships">{targets}{styles}</Relationships>',
        )
        archive.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{_MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="22"/>'
            '<xf numFmtId="20"/></cellXfs></styleSheet>',
        )
        for number, rows in zip(numbers, sheets.values(), strict=True):
            body = "".join(
                f'<row r="{position}">{"".join(map(_cell, row))}</row>' for position, row in enumerate(rows, start=1)
            )
            archive.writestr(
                f"xl/worksheets/sheet{number}.xml",
                f'<worksheet xmlns="{_MAIN}"><sheetData>{body}</sheetData></worksheet>',
            )
    return file.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, datetime):
        days = (value - datetime(1899, 12, 30, tzinfo=UTC)).total_seconds() / 86_400
        return f'<c s="2"><v>{days}</v></c>'
    if isinstance(value, date):
        return f'<c s="1"><v>{(value - date(1899, 12, 30)).days}</v></c>'
    if isinstance(value, int | float):
        return f"<c><v>{value}</v></c>"
    if value is None:
        return "<c/>"
    if value.startswith("="):
        return f"<c><f>{value[1:]}</f><v>3</v></c>"
    return f'<c t="inlineStr"><is><t xml:space="preserve">{value}</t></is></c>'


def read_workbook(body: bytes, *query: tuple[str, str], **options: Any) -> Any:
    return read_file(body, *query, format_=BodyFormat.EXCEL, **options)


def test_cells_are_read_by_type() -> None:
    values = [
        5,
        5.5,
        True,
        False,
        date(2024, 1, 31),
        datetime(2024, 1, 31, 23, 59, 1, tzinfo=UTC),
        "=1+2",
        "a\n b",
        "007",
        1e20,
        None,
    ]
    body = workbook({"Sheet1": [["name", "size"], *([f"row {i}", v] for i, v in enumerate(values))]})
    found = read_workbook(body)
    assert found.named("size") == [
        "5", "5.5", "true", "false", "2024-01-31", "2024-01-31T23:59:01", "3", "a\n b", "007", "1e+20", "",
    ]  # fmt: skip
    assert found.reading == {"sheet": "Sheet1", "detected": ["sheet"]}
    assert found.warnings == []
    # Text is read by what the import says, so cells that are not text are written like that.
    german = read_workbook(body, ("decimal", ","), ("trueWords", "ja"), ("falseWords", "nein"))
    assert german.named("size")[:4] == ["5", "5,5", "ja", "nein"]


def test_the_sheet_and_the_header_are_detected_or_chosen() -> None:
    body = workbook(
        {
            "Notes": [["read me"], ["please"]],
            "Old": [["name"], ["hidden"]],
            "Articles": [["Price list"], [], ["Artikel", "Größe"], ["A", "XL"], [None, None]],
            "More": [["name"], ["B"]],
        },
        hidden=("Old",),
    )
    found = read_workbook(body)
    assert found.rows == [{"article_name": "A", "size": "XL"}]
    assert found.reading["sheet"] == "Articles"
    assert found.reading["headerRow"] == 3
    assert read_workbook(body, ("sheet", "More")).named() == ["B"]
    assert read_workbook(body, ("sheet", "m\u200bore")).named() == ["B"]  # without regard to case and the unseen
    assert read_workbook(body, ("sheet", "2")).named() == ["hidden"]
    with pytest.raises(MalformedBody, match="no sheet 'Prices'; there are 'Notes', 'Old'"):
        read_workbook(body, ("sheet", "Prices"))
    with pytest.raises(CsvHeaderError, match="no column articleName"):
        read_workbook(body, ("sheet", "Notes"))


def test_workbook_columns_can_be_renamed() -> None:
    body = workbook({"S": [["Was", "size"], ["A", "x"]]})
    assert read_workbook(body, ("map", "Was:articleName"), ("set", "price:1")).rows == [
        {"article_name": "A", "size": "x", "price": "1"}
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"PK\x03\x04 no archive", "cannot be read: it is not a readable workbook"),
        (workbook({"S": [["name"]]})[:-200], "cannot be read"),
    ],
)
def test_a_file_that_is_not_a_workbook_is_rejected(body: bytes, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        read_workbook(body)


def test_files_that_decompress_to_too_much_are_rejected() -> None:
    row = '<row r="{0}"><c r="{1}{0}"><v>1</v></c></row>'
    far = row.format(1, "A") + row.format(1048576, "XFD")
    long = f'<row r="1"><c t="inlineStr"><is><t>{"x" * 300 * MIB}</t></is></c></row>'
    bodies = [
        _with_sheet(f'<worksheet xmlns="{_MAIN}"><sheetData>{rows}</sheetData></worksheet>') for rows in (far, long)
    ]
    limits = ImportLimits(max_file_memory_bytes=300 * MIB)
    for body in bodies:
        with pytest.raises((TooLarge, MalformedBody)):
            read_workbook(body, limits=limits)
    many = workbook({"S": [["name", "size"], *([["a", "b"]] * 100)]})
    with pytest.raises(MalformedBody, match="has 202 cells, and 200 is the limit"):
        read_workbook(many, limits=ImportLimits(max_file_cells=200))
    with pytest.raises(TooLarge, match="may have 1,000 bytes at most"):
        read_workbook(many, limits=ImportLimits(max_file_bytes=1000))


def _with_sheet(text: str) -> bytes:
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook({"S": []}))) as old,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, text if name.endswith("sheet1.xml") else old.read(name))
    return file.getvalue()


def test_parquet_keeps_every_digit_and_type() -> None:
    moment = datetime(2024, 1, 31, 12, 0, 1, 123456, tzinfo=UTC)
    table = pa.table(
        {
            "articleName": ["A", "B"],
            "price": pa.array([Decimal("1234567890123456.10"), None], pa.decimal128(20, 2)),
            "day": [date(2024, 1, 31), None],
            "at": pa.array([moment, None], pa.timestamp("us", tz="UTC")),
            "at_ns": pa.array([1706702401123456789, None], pa.timestamp("ns")),
            "tags": [["x", 'y"'], None],
            "data": [b"\x00\xff", None],
            "flag": [True, None],
            "count": [3.0, None],
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    found = read_file(file.getvalue(), format_=BodyFormat.PARQUET)
    assert found.rows[0] == (
        b'{"articleName":"A","price":1234567890123456.10,"day":"2024-01-31","at":"2024-01-31T12:00:01.123456+00:00",'
        b'"at_ns":"2024-01-31 12:00:01.123456789","tags":["x","y\\""],"data":"\\\\x00ff","flag":true,"count":3}'
    )
    assert b'"price":null' in found.rows[1]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array(["A"])] * 2, names=["articleName"] * 2), file)
    with pytest.raises(MalformedBody, match="has the column 'articleName' twice"):
        read_file(file.getvalue(), format_=BodyFormat.PARQUET)
    with pytest.raises(MalformedBody, match="is not a Parquet file"):
        read_file(b"PAR1 no", format_=BodyFormat.PARQUET)


def test_reading_a_workbook_does_not_block_the_event_loop() -> None:
    body = workbook({"S": [["name", "size"], *([f"row {i}", i] for i in range(20_000))]})

    async def longest_wait() -> float:
        loop, longest = asyncio.get_running_loop(), 0.0
        reading = asyncio.create_task(asyncio.to_thread(read_workbook, body))
        while not reading.done():
            before = loop.time()
            await asyncio.sleep(0)
            longest = max(longest, loop.time() - before)
        assert len((await reading).rows) == 20_000
        return longest

    assert asyncio.run(longest_wait()) < 5


@pytest.mark.skipif(LIBREOFFICE is None, reason="LibreOffice is not installed")
@pytest.mark.parametrize(
    ("language", "name", "size"),
    [("en-US", "name", "size"), ("de", "Artikel", "Größe"), ("ja", "商品名", "サイズ")],
)
@pytest.mark.parametrize("kind", ["xlsx", "ods", "csv"])
def test_libreoffice_spreadsheets_are_read_without_settings(
    tmp_path: Path, kind: str, language: str, name: str, size: str
) -> None:
    source = tmp_path / "table.fods"
    source.write_text(_flat_document(name, size, language), encoding="utf-8")
    assert LIBREOFFICE is not None
    # Comma, semicolon; UTF-8, Windows-1252, Shift JIS: what their dialogs propose.
    separator, charset = {"en-US": (44, "76"), "de": (59, "ANSI"), "ja": (44, "64")}[language]
    filters = {"csv": f"csv:Text - txt - csv (StarCalc):{separator},34,{charset},1,,0,false,true,false"}
    subprocess.run(
        [
            LIBREOFFICE, "--headless", f"-env:UserInstallation=file://{tmp_path}/profile", f"--language={language}",
            "--convert-to", filters.get(kind, kind), "--outdir", str(tmp_path), str(source),
        ],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    body = (tmp_path / f"table.{kind}").read_bytes()
    found = read_file(body, format_=BodyFormat.CSV if kind == "csv" else BodyFormat.EXCEL, resource=SOLD)
    assert found.named() == (["りんご", "バナナ"] if language == "ja" else ["Müller", "Straße"])
    assert found.named("size") == ["1", "2"]
    if kind != "csv":  # in which numbers and dates are written as the language does
        assert found.named("price") == ["1234.5", "-0.25"]
        assert found.named("day") == ["2026-12-31", "2024-02-29"]
        assert found.named("paid") == ["true", "false"]


class Sold(BaseModel):
    """An article with columns of several types."""

    article_name: str
    size: int
    price: Decimal
    day: date
    paid: bool


SOLD = Resource(
    name="sold",
    label="Sold",
    label_field="article_name",
    model=Sold,
    table="sold",
    aliases={
        "article_name": ["name", "Artikel", "商品名"],
        "size": ["Größe", "サイズ"],
        "price": ["Preis", "価格"],
        "day": ["Tag", "日付"],
        "paid": ["bezahlt", "支払済"],
    },
)
TITLES = {"de": ["Preis", "Tag", "bezahlt"], "ja": ["価格", "日付", "支払済"], "en-US": ["price", "day", "paid"]}


def _flat_document(name: str, size: str, language: str) -> str:
    names = ["りんご", "バナナ"] if language == "ja" else ["Müller", "Straße"]
    rows = [
        [_text_cell(title) for title in (name, size, *TITLES[language])],
        [_text_cell(names[0]), *_value_cells(1, 1234.5, "2026-12-31", "true")],
        [_text_cell(names[1]), *_value_cells(2, -0.25, "2024-02-29", "false")],
    ]
    body = "".join(f"<table:table-row>{''.join(cells)}</table:table-row>" for cells in rows)
    space = "urn:oasis:names:tc:opendocument:xmlns:"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document xmlns:office="{space}office:1.0" '
        f'xmlns:table="{space}table:1.0" xmlns:text="{space}text:1.0" xmlns:style="{space}style:1.0" '
        f'xmlns:number="{space}datastyle:1.0" office:version="1.2" '
        'office:mimetype="application/vnd.oasis.opendocument.spreadsheet">'
        f"<office:automatic-styles>{_DAY_STYLES[language]}"
        '<number:boolean-style style:name="words"><number:boolean/></number:boolean-style>'
        '<style:style style:name="day" style:family="table-cell" style:data-style-name="days"/>'
        '<style:style style:name="word" style:family="table-cell" style:data-style-name="words"/>'
        "</office:automatic-styles><office:body><office:spreadsheet>"
        f'<table:table table:name="{language}">{body}</table:table>'
        "</office:spreadsheet></office:body></office:document>"
    )


# Days as each of them is written: 12/31/2026, 31.12.2026, 2026年12月31日.
_YEAR, _MONTH, _DAY = '<number:year number:style="long"/>', "<number:month/>", "<number:day/>"
_DAY_STYLES = {
    language: f'<number:date-style style:name="days" number:language="{language[:2]}">{parts}</number:date-style>'
    for language, parts in {
        "en-US": f"{_MONTH}<number:text>/</number:text>{_DAY}<number:text>/</number:text>{_YEAR}",
        "de": f"{_DAY}<number:text>.</number:text>{_MONTH}<number:text>.</number:text>{_YEAR}",
        "ja": f"{_YEAR}<number:text>年</number:text>{_MONTH}<number:text>月</number:text>{_DAY}"
        "<number:text>日</number:text>",
    }.items()
}


def _text_cell(text: str) -> str:
    return f'<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>'


def _value_cells(size: int, price: float, day: str, paid: str) -> list[str]:
    kinds = [
        f'float" office:value="{size}',
        f'float" office:value="{price}',
        f'date" table:style-name="day" office:date-value="{day}',
    ]
    return [
        f'<table:table-cell office:value-type="{kind}"/>'
        for kind in (*kinds, f'boolean" table:style-name="word" office:boolean-value="{paid}')
    ]


def _sheet(*rows: str, prefix: str = "") -> bytes:
    """A workbook of one sheet whose rows are given in XML."""
    file = io.BytesIO(workbook({"S": [["x"]]}))
    changed = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            is_sheet = name.endswith("sheet1.xml")
            space = f"xmlns:{prefix[:-1]}" if prefix else "xmlns"
            data = f"<{prefix}sheetData>{''.join(rows)}</{prefix}sheetData>"
            xml = f'<{prefix}worksheet {space}="{_MAIN}">{data}</{prefix}worksheet>'
            new.writestr(name, xml if is_sheet else old.read(name))
    return changed.getvalue()


def _text_at(place: str, text: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


def test_errors_and_formulas_without_a_value_are_read_as_displayed() -> None:
    cells = {
        '<c r="D{}" t="e"><v>#N/A</v></c>': "#N/A",
        '<c r="D{}" t="e"><f>1/0</f><v>#DIV/0!</v></c>': "#DIV/0!",
        '<c t="e" r="D{}"><v>#REF!</v></c>': "#REF!",
        '<c r="D{}" t="e"><f>A1#</f><v>#SPILL!</v></c>': "#SPILL!",
        '<c r="D{}" t="e"><v>#GETTING_DATA</v></c>': "#GETTING_DATA",
        '<c r="D{}"><f>A1&amp;"x"</f></c>': '=A1&"x"',
        '<c r="D{}"><f>A1</f><v></v></c>': "=A1",
        '<c r="D{}" t="str"><f>IF(A1="","",A1)</f><v></v></c>': "",
        '<c t="str" r="D{}"><f>A1</f><v/></c>': "",
        '<c r="D{}"><f>1+1</f><v>2</v></c>': "2",
        '<c r="D{}" t="str"><f>A1</f><v>shown</v></c>': "shown",
        '<c r="D{}"/>': "",
        '<c r="D{}"><v>9007199254740991</v></c>': "9007199254740991",
        '<c r="D{}"><v>9007199254740993</v></c>': "9007199254740993",
        '<c r="D{}"><v>-1234567890123456789</v></c>': "-1234567890123456789",
        '<c r="D{}"><v>1.2345678901234567E+18</v></c>': "1.2345678901234568e+18",
    }
    head = f'<row r="3">{_text_at("C3", "name")}{_text_at("D3", "size")}</row>'
    rows = [
        f'<row r="{number}">{_text_at(f"C{number}", "x")}{cell.format(number)}</row>'
        for number, cell in enumerate(cells, start=4)
    ]
    found = read_file(_sheet(head, *rows), format_=BodyFormat.EXCEL)
    assert found.named("size") == list(cells.values())
    assert found.reading["headerRow"] == 3
    assert read_file(_sheet(head, *rows), ("headerRow", "3"), format_=BodyFormat.EXCEL).rows == found.rows
    prefixed = [row.replace("</", "\0").replace("<", "<x:").replace("\0", "</x:") for row in (head, *rows)]
    assert read_file(_sheet(*prefixed, prefix="x:"), format_=BodyFormat.EXCEL).rows == found.rows


def test_stray_cells_far_from_the_table_are_ignored() -> None:
    head = f'<row r="1">{_text_at("A1", "name")}{_text_at("B1", "size")}</row>'
    row = f'<row r="2">{_text_at("A2", "x")}{_text_at("B2", "y")}</row>'
    below = read_file(
        _sheet(head, row, f'<row r="1048576">{_text_at("A1048576", "z")}</row>'), format_=BodyFormat.EXCEL
    )
    assert below.named() == ["x", "z"]
    beside = read_file(_sheet(head, row, f'<row r="3">{_text_at("XFD3", "z")}</row>'), format_=BodyFormat.EXCEL)
    assert beside.named() == ["x", "the row has 16384 fields where the header has 2000"]


def test_numbers_that_are_not_a_date_never_become_one() -> None:
    numbers = {"-5": "-5", "-0.25": "-0.25", "60": "60", "59": "1900-02-28", "61": "1900-03-01", "0.25": "06:00:00"}
    rows = [
        f'<row r="{row}">{_text_at(f"A{row}", "x")}'
        f'<c r="B{row}" s="{3 if "." in number else 1}"><v>{number}</v></c></row>'
        for row, number in enumerate(numbers, start=2)
    ]
    head = f'<row r="1">{_text_at("A1", "name")}{_text_at("B1", "size")}</row>'
    assert read_file(_sheet(head, *rows), format_=BodyFormat.EXCEL).named("size") == list(numbers.values())


def test_unread_sheets_are_reported() -> None:
    sheets = {"Jan": [["name"], ["A"]], "Feb": [["name"], ["B"]], "Notes": [["x"]]}
    found = read_workbook(workbook(sheets, hidden=("Notes",)))
    assert (found.named(), found.warnings) == (
        ["A"],
        ["Only the sheet 'Jan' was read; sheet= names another one: 'Feb'"],
    )
    assert read_workbook(workbook(sheets), ("sheet", "Feb")).warnings == []
    cover = workbook({"Cover": [["x"]], "Data": [["name"], ["A"]]}, hidden=("Data",))
    with pytest.raises(CsvHeaderError, match="The sheet 'Cover' was read; sheet= names another one: 'Data'"):
        read_workbook(cover)


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (pa.array([1706659200123456789], pa.timestamp("ns")), '"2024-01-31 00:00:00.123456789"'),
        (pa.array([1706659200123456000], pa.timestamp("ns", "UTC")), '"2024-01-31T00:00:00.123456+00:00"'),
        (pa.array([400_000_000_000_000_000], pa.timestamp("us")), '"14645-06-30 15:06:40.000000"'),
        (pa.array([36_000_123_456_789], pa.time64("ns")), '"10:00:00.123456789"'),
        (pa.array([[1706659200123456789]], pa.list_(pa.timestamp("ns"))), '["2024-01-31 00:00:00.123456789"]'),
        (pa.array([[("a", 1), ("b", None)]], pa.map_(pa.string(), pa.int64())), '{"a":1,"b":null}'),
        (pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())), '[["a",1],["a",2]]'),
        (pa.array([[1, None]], pa.large_list(pa.int64())), "[1,null]"),
        (pa.array([Decimal("1.10")], pa.decimal256(76, 2)), "1.10"),
        (pa.array([90_061_000_000_000], pa.duration("ns")), '"PT90061S"'),
        (pa.array([-1], pa.duration("ns")), '"PT-0.000000001S"'),
        (pa.array([[1]], pa.list_(pa.duration("ns"))), '["PT0.000000001S"]'),
        (pa.array([2**62], pa.duration("s")), '"PT4611686018427387904S"'),
        (pa.array([1], pa.timestamp("us", "Mars/Olympus")), '"1970-01-01T00:00:00.000001+00:00"'),
        (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
        (pa.array(["a"]).dictionary_encode(), '"a"'),
        (pa.array([b"abcd"], pa.binary(4)), '"\\\\x61626364"'),
    ],
    ids=str,
)
def test_parquet_values_of_every_type_are_reported_whole(values: pa.Array, written: str) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"articleName": ["x"], "size": values}), file)
    (row,) = read_file(file.getvalue(), format_=BodyFormat.PARQUET).rows
    told = row.decode().partition('"size":')[2].removesuffix("}")
    assert told.replace("2024-01-31T", "2024-01-31 ") == written.replace("2024-01-31T", "2024-01-31 ")
