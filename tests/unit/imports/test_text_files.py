# ruff: noqa: RUF001 # texts of other scripts are what is tested
"""Files from spreadsheets, databases and editors are read, or rejected with a clear message."""

import csv
import io
import re
import time

import pytest
from files_read import ARTICLES, read_file
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkport import Resource
from bulkport.errors import CsvHeaderError, MalformedBody, RecordTooLarge, ValidationFailed
from bulkport.imports.formats import BadRecord, BodyFormat
from bulkport.imports.formats.csv.resent_report import neutralized, without_neutralizing
from bulkport.imports.formats.json_hints import hint
from bulkport.limits import ImportLimits
from drawn_examples import examples

TEXT = "Artikel;Preis;Größe\nMüller – groß;1,5;XL\nStraße;2;\n"


@pytest.mark.parametrize(
    "charset", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "mac_roman"]
)
@pytest.mark.parametrize("bite", [1, 7, 1 << 20])
def test_text_in_any_charset_is_detected(charset: str, bite: int) -> None:
    found = read_file(TEXT.encode(charset), bite=bite)
    assert found.named() == ["Müller – groß", "Straße"]
    assert found.named("size") == ["XL", ""]
    assert found.reading["delimiter"] == ";"
    is_sure = charset.startswith(("utf-8", "utf-16", "utf-32")) and not charset.endswith("e")
    assert bool(found.warnings) is not is_sure


@pytest.mark.parametrize(
    ("charset", "text", "name"),
    [
        ("cp932", "商品名,サイズ\nりんご,大\nバナナ,小\n", "りんご"),
        ("cp932", "name,size\nテスト,x\n", "テスト"),
        ("euc_jp", "商品名,サイズ\nりんご,大\nバナナ,小\n", "りんご"),
        ("cp1250", "name;size\nŁódź żółta;Kraków\ngęś świeża;ćma\n", "Łódź żółta"),
        ("cp1251", "name;size\nМосква;большой\nкнига;малый\n", "Москва"),
        ("koi8_r", "name;size\nМосква;большой\nкнига;малый\n", "Москва"),
        ("cp1253", "name;size\nΑθήνα;μεγάλο\nΘεσσαλονίκη;μικρό\n", "Αθήνα"),
        ("cp1254", "name;size\nİstanbul;çiğdem\nışık;ağaç\n", "İstanbul"),
        ("gb18030", "name,size\n苹果手机,大\n中华人民共和国,小\n", "苹果手机"),
        ("cp949", "name,size\n사과나무,큰\n바나나,작은\n", "사과나무"),
        ("cp850", "name,size\nMüller,größer\nStraße,süß\n", "Müller"),
        ("cp932", "name,size\n日本語,x\n", "日本語"),
        ("cp932", "name,size\n鈴木一郎,x\n佐藤花子,y\n", "鈴木一郎"),
        ("big5", "name,size\n數據庫,軟體\n", "數據庫"),
        ("cp949", "name,size\n데이터,서울\n", "데이터"),
        ("cp874", "name,size\nกรุงเทพ,เชียงใหม่\n", "กรุงเทพ"),
        ("cp1251", "name,size\nПривет мир,x\nПока,y\n", "Привет мир"),
        ("koi8_r", "name,size\nМосква,x\n", "Москва"),
        ("cp1255", "name,size\nירושלים,תל אביב\n", "ירושלים"),
        ("iso8859_2", "name;size\nŻółć gęślą jaźń;x\nŁódź świąteczna;y\n", "Żółć gęślą jaźń"),
        ("cp1254", "name,size\nİstanbul şehri,x\n", "İstanbul şehri"),
        ("cp1252", "name,size\nStraße,Größe\n", "Straße"),
        ("cp1252", "name,size\nÞórður,x\n", "Þórður"),
        ("cp437", "name,size\nMüller,x\n", "Müller"),
        ("mac_roman", "name,size\nCafé Zürich,x\n", "Café Zürich"),
    ],
)
def test_charsets_of_the_world_are_detected_and_reported(charset: str, text: str, name: str) -> None:
    found = read_file(text.encode(charset))
    assert found.named()[0] == name
    assert found.reading["encoding"] in found.warnings[0]
    assert "encoding" in found.reading["detected"]
    assert read_file(text.encode(charset), ("charset", charset)).named()[0] == name


@given(text=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=200))
@settings(max_examples=examples(150))
def test_valid_utf8_is_never_taken_for_another_charset(text: str) -> None:
    body = b'name\n"' + text.replace('"', '""').encode() + b'"\n'
    found = read_file(body)
    assert found.reading["encoding"] == "utf-8"
    assert found.named() == [text]


def test_a_few_foreign_bytes_in_utf8_are_reported_and_not_lost() -> None:
    found = read_file("name,size\nMüller,ß\nÄrzte,–\n".encode() + b"M\xfcller,x\nplain,y\n")
    assert found.named()[:2] == ["Müller", "Ärzte"]
    bad = found.rows[2]
    assert isinstance(bad, BadRecord)
    assert bad.raw == "M\\xFCller,x"
    assert "byte 0xFC at character 2, which is 'ü' in windows-1252" in bad.message
    assert "save the file as UTF-8, or send charset=windows-1252" in bad.message
    assert found.named()[3] == "plain"


def test_foreign_bytes_deep_in_a_file_are_reported() -> None:
    body = b"name\n" + b"plain\n" * 20_000 + b"M\xfcller\n"
    found = read_file(body)
    assert isinstance(found.rows[-1], BadRecord)
    assert "charset=windows-1252" in found.rows[-1].message


def test_a_header_with_undecodable_bytes_is_rejected_with_the_likely_charset() -> None:
    with pytest.raises(MalformedBody, match=r"not valid UTF-8: byte 0xFF .* charset=windows-1252"):
        read_file(b"name,\xff\nA,B\n")


def test_bytes_outside_the_named_charset_affect_only_their_row() -> None:
    found = read_file(b"name\nA\nB\x81\nC\n", ("charset", "windows-1252"))
    assert found.named()[::2] == ["A", "C"]
    assert found.rows[1].raw == "B\\x81"
    assert "not valid windows-1252: byte 0x81" in found.rows[1].message


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_detected(delimiter: str) -> None:
    found = read_file(f"name{delimiter}price\nA, B; C|D{delimiter}1\n".replace(delimiter * 2, "").encode())
    assert found.reading["delimiter"] == delimiter


def test_excels_sep_line_sets_the_delimiter() -> None:
    body = b"sep=;\r\nname;price\r\nA;1\r\n"
    for query in ((), (("delimiter", ";"),)):
        assert read_file(body, *query).named() == ["A"]
    assert read_file(b'"sep=\t"\r\nname\tprice\r\nA\t1\r\n').named() == ["A"]
    with pytest.raises(CsvHeaderError, match="says sep=;, and the request says delimiter=,"):
        read_file(body, ("delimiter", ","))
    with pytest.raises(CsvHeaderError, match="says sep=:; the delimiter must be one of"):
        read_file(b"sep=:\nname:price\n")


@pytest.mark.parametrize(
    "header", ["\u200bname", "na\ufeffme", "\xa0name ", "\ufeff\u2060NAME", "na\xadme", "article\u200b name"]
)
def test_invisible_characters_are_not_part_of_a_header(header: str) -> None:
    assert read_file(f"{header},price\nA,1\n".encode()).named() == ["A"]


def test_composed_and_decomposed_headers_are_equal() -> None:
    assert read_file("name,Gro\u0308ße\nA,XL\n".encode()).named("size") == ["XL"]


def test_lines_that_end_with_carriage_returns_are_read() -> None:
    body = b'name,size\r"A, ""B""\r\nsecond line",x\rC,"y\rz"\r'
    for bite in (1, 5, 1000):
        found = read_file(body, bite=bite)
        assert found.named() == ['A, "B"\r\nsecond line', "C"]
        assert found.named("size") == ["x", "y\rz"]
    lines = read_file(b'{"name": 1}\r{"name": 2}\r', format_=BodyFormat.NDJSON)
    assert lines.counts == [2]


@pytest.mark.parametrize("bite", [1, 4, 1000])
def test_other_line_ends_are_read(bite: int) -> None:
    doubled = b'name,size\r\r\n"A\r\r\nB",x\r\r\nC,"\r\ry"\r\r\n'  # as Windows writes a file of text
    found = read_file(doubled, bite=bite)
    assert (found.named(), found.named("size")) == (["A\r\r\nB", "C"], ["x", "\r\ry"])
    mainframe = "name,size\x85Ä,x\x85B,y\x85".encode("cp1140")
    assert read_file(mainframe, ("charset", "cp1140"), bite=bite).named() == ["Ä", "B"]


def test_rows_of_empty_cells_are_ignored_and_counted() -> None:
    found = read_file(b'name,price,size\nA,1,\n,,\nB,,x\n , ,\t\n"","",""\n,,\r\n   \n,,')
    assert found.named() == ["A", "B"]
    assert found.warnings == ["6 rows of empty cells were ignored"]
    assert read_file(b"name\nA\n  \n").named() == ["A", "  "]  # in the only column blanks may be a value


def test_form_feeds_at_the_start_of_a_page_are_not_part_of_a_value() -> None:
    for bite in (1, 1 << 20):
        found = read_file(b"\x0cname,size\nA,x\n\x0c\n\x0cname,size\n\x0cB,y\n", bite=bite)
        assert found.named() == ["A", "B"]
        assert found.warnings[-1] == "3 form feeds were ignored at the beginning of a row"


DRAWN = {
    "psql": " name | size \n------+------\n A    | x    \n B    | y    \n(2 rows)\n\n",
    "mysql": "+------+------+\n| name | size |\n+------+------+\n| A    | x    |\n| B    | y    |\n+------+------+\n",
    "markdown": "| name | size |\n|:-----|-----:|\n| A | x |\n| B | y |\n",
    "sap": "Goods\n\n--------------\n|name  |size |\n--------------\n|A     |x    |\n|B     |y    |\n--------------\n",
    "sqlcmd": "name;size\n----;----\nA;x\nB;y\n\n(2 rows affected)\n",
    "sqlplus": "name,size\n====,====\nA,x\nB,y\n",
}


@pytest.mark.parametrize("body", DRAWN.values(), ids=list(DRAWN))
@pytest.mark.parametrize("bite", [5, 1 << 20])
def test_dashes_drawn_around_a_table_are_ignored_and_counted(body: str, bite: int) -> None:
    found = read_file(body.encode(), ("trim", "true"), bite=bite)
    assert [name.strip() for name in found.named()] == ["A", "B"]
    assert "of dashes w" in found.warnings[-1]
    assert any("is a count of rows" in warning for warning in found.warnings) is ("rows" in body)
    padded = [warning for warning in read_file(body.encode()).warnings if "trim=true" in warning]
    assert bool(padded) is ("| " in body or " |" in body)


@pytest.mark.parametrize(
    "body",
    [
        "name\n---\nA\n",
        "name,size\n--,--\nA,\n",
        'name,size\n"---","---"\nA,\n',
        "name,size\n---,x\nA,\n",
        "name\nA\n(2 rows)\n",
        "name,size\nA,\n2 rows,\n",
    ],
)
def test_dashes_and_counts_can_be_values(body: str) -> None:
    assert len(read_file(body.encode()).rows) == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("name^size\nA^x\n", "separated by '^'; the delimiter must be one of"),
        ("name\x01size\nA\x01x\n", r"separated by '\\x01'"),
        ("name      size\n--------- ----\nA         x\n", "separated by blanks"),
        ("A,x\nB,y\n", "The first row must name the columns"),
        ("name (required),size\nA,x\n", "Did you mean articleName by 'name (required)'"),
        ("name*,size\nA,x\n", "Did you mean articleName by 'name*'"),
        ("\u00ef\u00bb\u00bfname,size\nA,x\n", "a byte order mark that was read in another charset"),
        ('"name,size"\n"A,x"\n', "If each row stands in one pair of quotes, take these away"),
        ("name,size\x85A,x\x85B,y\x85", "The CSV lines end with U+0085 (NEL); end them with newlines"),
        ("name,size\u2028A,x\u2028", "The CSV lines end with U+2028"),
        ("ID;PWXL;N;E\nC;Y1;X1;K\n", "is a SYLK file"),
        ("INSERT INTO articles VALUES ('A');\n", "looks like SQL"),
        ("- name: A\n  size: x\n", "looks like YAML"),
        ("SQLite format 3\0\1", "is a SQLite database"),
    ],
)
def test_a_file_that_is_not_a_table_with_a_header_is_identified(body: str, message: str) -> None:
    with pytest.raises((CsvHeaderError, MalformedBody), match=re.escape(message.replace("\\\\", "\\"))):
        read_file(body.encode())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("“A, B”,x", 'typographic quotes are not recognised; use "'),
        ("'A, B',x", "send quote='"),
        ('="007",x', "take away the ="),
        ('"A,x"', "the whole row is in quotes: take them away"),
    ],
)
def test_other_quote_characters_are_reported(row: str, message: str) -> None:
    (bad,) = read_file(f"name,size\n{row}\n".encode()).rows
    assert message in bad.message


@pytest.mark.parametrize("charset", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["商品名,サイズ\nりんご,大\n", "商品名\tサイズ\r\nりんご\t大\r\n"])
def test_utf16_text_can_begin_with_any_script(charset: str, text: str) -> None:
    found = read_file(text.encode(charset))
    assert (found.named(), found.reading["encoding"]) == (["りんご"], charset)


def test_a_quoted_field_can_contain_lines_of_delimiters() -> None:
    found = read_file(b'name,size\n"A\n,\n,,\n",x\n')
    assert found.named() == ["A\n,\n,,\n"]
    assert found.warnings == []


@pytest.mark.parametrize(
    "end",
    [b"\x1a", b"\n\x1a", b"\r\n\x1a\r\n", b"\n\x1a\x1a", b"\n\x1a" + bytes(99), bytes(5), b"\n" + bytes(512)],
)
def test_padding_at_the_end_of_a_file_is_ignored(end: bytes) -> None:
    assert read_file(b"name,size\nA,x" + end).named("size") == ["x"]
    assert len(read_file(b'{"name":"A"}' + end, format_=BodyFormat.NDJSON).rows) == 1


def test_trailing_empty_cells_are_allowed() -> None:
    assert read_file(b"name,price,\nA,1,\nB,2\n").named() == ["A", "B"]
    found = read_file(b"name,price\nA,1,\nB,2,,\nC,3,x\n")
    assert found.named() == ["A", "B", "the row has 3 fields where the header has 2"]


def test_concatenated_files_with_repeated_headers_are_read() -> None:
    part = "\ufeffname,price\nA,1\n".encode()
    found = read_file(part + part + part.removesuffix(b"\n") + part)
    assert found.named() == ["A"] * 4
    assert any("header row came 3 times more" in warning for warning in found.warnings)
    assert any("U+FEFF" in warning for warning in found.warnings)
    lines = read_file('\ufeff{"name":1}\n\ufeff{"name":2}\n'.encode(), format_=BodyFormat.NDJSON)
    assert len(lines.rows) == 2
    assert "byte order mark (U+FEFF)" in lines.warnings[0]


def test_a_value_can_equal_the_name_of_its_column() -> None:
    assert read_file(b"name\nA\nname\n").named() == ["A", "name"]


def test_titles_above_the_header_are_skipped_and_reported() -> None:
    body = b"Price list 2026,,\n,,\nas of January,,\nname,price,size\nA,1,x\n"
    found = read_file(body)
    assert found.named() == ["A"]
    assert found.reading["headerRow"] == 4
    assert "row 4" in found.warnings[0]
    assert read_file(body, ("skipRows", "3")).named() == ["A"]
    assert read_file(body, ("headerRow", "4")).warnings == []
    with pytest.raises(CsvHeaderError, match="no column articleName"):
        read_file(body, ("headerRow", "1"))


def test_second_headers_and_units_below_the_header_are_not_records() -> None:
    assert read_file(b"name,price,size\n,[EUR],(cm)\nA,1,x\n").named() == ["A"]
    found = read_file("articleName,size\nArtikel,Größe\nA,x\n".encode())
    assert found.named() == ["A"]
    assert found.warnings == ["Row 2, below the header, has the header once more; it was not read"]
    assert read_file(b"Goods,,\nname,price,size\nA,1,x\n").named() == ["A"]
    assert read_file(b"name,price\nkg,EUR\nA,1\n", ("dataRow", "3")).named() == ["A"]


def test_a_header_of_two_rows_is_joined() -> None:
    found = read_file("name,Maße,,\n,Größe,price,x\nA,XL,1,y\n".replace(",x", ",").replace(",y", ",").encode())
    assert found.rows == [{"article_name": "A", "size": "XL", "price": "1"}]
    assert found.warnings == ["Row 2 names columns too and was read as part of the header"]
    assert read_file(b"name,x\nsize,\n").named() == ["size"]
    required = read_file(b"Measures,,Text\nsize,price,\n,,name\nXL,1,A\n", ("delimiter", ","))
    assert (required.named(), required.named("size")) == (["A"], ["XL"])
    assert required.warnings[-1] == "Row 3 names columns too and was read as part of the header"


def test_comments_are_not_records() -> None:
    body = b'# made by hand\nname,size\n#A,x\nB,"y\n#z"\n'
    assert read_file(body, ("comment", "#")).rows == [{"article_name": "B", "size": "y\n#z"}]
    assert read_file(body.replace(b"#", b"//"), ("comment", "//")).named() == ["B"]


def test_mysql_and_pandas_escapes_are_read() -> None:
    body = rb"""name,size
"say \"so\", C:\\new",\N
a\,b,tab\there
"two\
lines",'
"""
    found = read_file(body, ("escape", "\\"))
    assert found.named() == ['say "so", C:\\new', "a,b", "two\nlines"]
    assert found.named("size") == ["", "tab\there", "'"]
    bad = read_file(b'name,size\n"5\\" x",1\n').rows[0]
    assert "send escape=\\" in bad.message


@given(
    rows=st.lists(
        st.lists(
            st.text(alphabet=st.sampled_from(list('ab\\",;\t\n é')), min_size=1, max_size=6), min_size=2, max_size=2
        ),
        min_size=1,
        max_size=8,
    ),
    delimiter=st.sampled_from([",", ";", "\t"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    bite=st.integers(1, 50),
)
@settings(max_examples=examples(150))
def test_escapes_of_the_csv_module_are_read_back(
    rows: list[list[str]], delimiter: str, quoting: int, bite: int
) -> None:
    rows = [row for row in rows if any(cell.strip(" \t\n") for cell in row)]
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=delimiter,
        escapechar="\\",
        doublequote=False,
        quoting=quoting,
        lineterminator="\n",  # type: ignore[arg-type]
    )
    writer.writerows([["name", "size"], *rows])
    found = read_file(text.getvalue().encode(), ("escape", "\\"), ("delimiter", delimiter), bite=bite)
    assert [list(row.values()) for row in found.rows] == rows


def test_a_space_before_a_quote_is_reported() -> None:
    (row,) = read_file(b'name, size\n"A", "x, y"\n').rows
    assert isinstance(row, BadRecord)
    assert row.message == "a quote must open its field, and be doubled inside it; take away the blank before it"


def test_quotes_can_be_single_or_absent() -> None:
    assert read_file(b"name,size\n'it''s, \"so\"',x\n", ("quote", "'")).named() == ['it\'s, "so"']
    assert read_file(b'name;size\n5" disk;"x\n', ("quote", "none")).rows == [{"article_name": '5" disk', "size": '"x'}]


def test_columns_are_found_by_aliases_and_by_the_requests_mapping() -> None:
    found = read_file("Bezeichnung,Grösse\nA,x\n".encode(), ("map", "Grösse:size"), ("set", "price:9"))
    assert found.rows == [{"article_name": "A", "size": "x", "price": "9"}]
    with pytest.raises(ValidationFailed, match="articles has no field 'colour'; it has articleName"):
        read_file(b"name\nA\n", ("map", "Farbe:colour"))
    with pytest.raises(CsvHeaderError, match="set= gives a value too"):
        read_file(b"name,price\nA,1\n", ("set", "price:9"))
    with pytest.raises(CsvHeaderError, match="Did you mean articleName by 'artcle name'"):
        read_file(b"artcle name,price\nA,1\n")
    lines = read_file(b'{"Bezeichnung": "A", "x": 1}\n', ("set", "price:9"), format_=BodyFormat.NDJSON)
    assert lines.rows == [b'{"articleName":"A","x":1,"price":"9"}']


def test_mapped_columns_missing_from_the_file_are_reported() -> None:
    found = read_file(b"name\nA\n", ("map", "Farbe:size"))
    assert found.warnings == ["map names columns that the file does not have: Farbe"]


def test_a_stray_byte_is_not_attributed_to_a_charset_in_which_it_makes_no_word() -> None:
    found = read_file("name\nŁódź\n".encode() + b"M\x9fller\nCaf\x8e\n\xa3\xf3d\xbc\n")
    assert found.named()[:1] == ["Łódź"]
    for row in found.rows[1:]:
        assert isinstance(row, BadRecord)
        assert "windows-1252" not in row.message
        assert "name its charset (charset=)" in row.message


def test_json_formats_are_read_or_named() -> None:
    array = b'[\n  {"name": "a},", "n": {"x": [1]}},\n  {"name": "b"}\n]\n'
    found = read_file(array, format_=BodyFormat.JSON_ARRAY, bite=3)
    assert found.rows == [b'{"articleName":"a},","n":{"x": [1]}}', b'{"articleName":"b"}']
    sequence = b'\x1e{"articleName":\n "a"}\n\x1e{"articleName": "b"}\n'
    assert len(read_file(sequence, format_=BodyFormat.JSON_SEQ).rows) == 2
    with pytest.raises(MalformedBody, match=r"looks like pretty-printed JSON; .* each object on one line"):
        read_file(b'{\n  "name": "a"\n}\n', format_=BodyFormat.NDJSON)
    with pytest.raises(MalformedBody, match="one object with a list of objects in it"):
        read_file(b'{"articles": [{"name": "a"}, {"name": "b"}]}\n', format_=BodyFormat.NDJSON)
    for text, message in {
        '{"name": ObjectId("5")}': "written for MongoDB's shell",
        '{"name": undefined}': "JSON writes null, or leaves the member out",
        r'{"name": "C:\dir"}': "a backslash must be doubled",
        ")]}',{}": "leave out what stands before the JSON",
        '12:00 INFO {"name": "a"}': "leave out what stands before the object",
    }.items():
        assert message in hint(text.encode())
    with pytest.raises(MalformedBody, match="pretty-printed"):
        read_file(b'{ "name": "a",\r\n  "n": 1\r\n}\r\n{ "name": "b",\r\n "n": 1\r\n}', format_=BodyFormat.NDJSON)


@given(
    values=st.lists(st.text(alphabet=st.sampled_from(list('a{}[],"\\\n é:')), max_size=12), min_size=1, max_size=30),
    bite=st.integers(1, 60),
    indent=st.sampled_from([None, 1]),
)
@settings(max_examples=examples(100))
def test_arrays_are_split_only_between_elements(values: list[str], bite: int, indent: int | None) -> None:
    import json

    plain = Resource(name="a", label="A", label_field="article_name", model=ARTICLES.model, table="a")
    records = [{"articleName": value, "size": None} for value in values]
    body = json.dumps(records, indent=indent).encode()
    limits = ImportLimits(chunk_bytes=40, max_record_bytes=400)
    found = read_file(body, format_=BodyFormat.JSON_ARRAY, bite=bite, limits=limits, resource=plain)
    assert [json.loads(row) for row in found.rows] == records


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (b'[{"a": 1} {"b": 2}]', MalformedBody, "not valid JSON"),
        (b'[{"a": 1}', MalformedBody, "not closed"),
        (b'[{"a": 1}]]', MalformedBody, "not valid JSON"),
        (b'[{"a": NaN}]', MalformedBody, "not valid JSON"),
        (b"[{" + b'"a": [' * 100_000, RecordTooLarge, "larger than"),
        (b'[{"a": "' + b"x" * 5000 + b'"},{"a": "' + b"x" * 200_000 + b'"}]', RecordTooLarge, "larger than"),
    ],
)
def test_malformed_arrays_are_rejected(body: bytes, error: type[Exception], message: str) -> None:
    limits = ImportLimits(chunk_bytes=1000, max_record_bytes=10_000)
    with pytest.raises(error, match=re.escape(message)):
        read_file(body, format_=BodyFormat.JSON_ARRAY, limits=limits)


def test_an_unchanged_report_is_rejected_again_and_a_corrected_one_accepted() -> None:
    report = (
        "name,size,row,error\r\n"
        '"T a,x,extra",,1,the row has 3 fields where the header has 2\r\n'
        "T b,,2,the row has 1 field where the header has 2\r\n"
        '"T M\\xFCller,z",,3,the row is not valid UTF-8: byte 0xFC at character 4\r\n'
        '"T 5"" c,x",,4,"a quote must open its field, and be doubled inside it"\r\n'
        '"T d,mended",,5,the row has 1 field where the header has 2\r\n'
        "T e,mended too,6,the row has 1 field where the header has 2\r\n"
        '"{""a"": ",,7,the row is not valid JSON: EOF while parsing a string\r\n'
        "  ,x,8,articleName must not be blank\r\n"
    )
    found = read_file(report.encode())
    raw = [row.raw if isinstance(row, BadRecord) else (row["article_name"], row["size"]) for row in found.rows]
    assert raw == [
        "T a,x,extra",
        "T b",
        "T M\\xFCller,z",
        'T 5" c,x',
        ("T d", "mended"),
        ("T e", "mended too"),
        '{"a": ',
        ("  ", "x"),
    ]
    assert found.rows[0].message == "the row has 3 fields where the header has 2"


@given(cell=st.text(alphabet=st.sampled_from(list("'=+-@\t\rab")), max_size=6))
def test_neutralizing_is_reversible(cell: str) -> None:
    assert without_neutralizing(neutralized(cell)) == cell
    assert not neutralized(cell).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_neutralized_files_are_read_as_written() -> None:
    body = b"name,size\n'=1+1,'-5\n''=x,'plain\n"
    found = read_file(body, ("neutralize", "true"))
    assert found.rows == [{"article_name": "=1+1", "size": "-5"}, {"article_name": "'=x", "size": "'plain"}]
    assert read_file(body).named()[0] == "'=1+1"


def test_splitting_is_linear_in_the_number_of_empty_rows() -> None:
    started = time.perf_counter()
    found = read_file(b"name,size\n" + b",\n" * 300_000 + b'"a","b"\n' + b'"",""\n' * 100_000)
    assert len(found.rows) == 1
    assert time.perf_counter() - started < 60
