"""Rows that the model or the database refuses are row errors with their exact number; all others are stored."""

from typing import Any

import pytest
from shop_site import OpenShop

from import_steps import CSV, NDJSON, STRICT, bad_rows, fetch, imported, messages, ndjson

PRODUCTS = "/api/products/bulk"


def product(sku: str, **members: Any) -> dict[str, Any]:
    base = {"title": "Mug", "quantity": 1, "unitPrice": "9.90", "availableFrom": "2024-01-31", "size": "S"}
    return {"sku": sku, **base, **members}


REFUSED_BY_THE_MODEL: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    (product("lower"), [("sku", "sku must be in capitals")]),
    (product("A" * 21), [("sku", "sku must be at most 20 characters")]),
    (product(" "), [("sku", "sku must not be blank")]),
    (product("M1", quantity="many"), [("quantity", "quantity must be a whole number, not 'many'")]),
    (product("M2", quantity=1.5), [("quantity", "quantity must be a whole number, not 1.5")]),
    (product("M3", unitPrice="dear"), [("unitPrice", "unitPrice must be a number, not 'dear'")]),
    (
        product("M4", availableFrom="2023-02-29"),
        [("availableFrom", "availableFrom '2023-02-29' is not a date; there is no such day")],
    ),
    (product("M5", size="XXL"), [("size", "size must be 'S' or 'L', not 'XXL'")]),
    (product("M6", note="Mug"), [("", "the note repeats the title")]),
    (
        product("M7", quantity=None, size=None),
        [("quantity", "quantity must not be null"), ("size", "size must not be null")],
    ),
    (
        {"sku": "M8", "quantity": 1},
        [(name, f"{name} is required") for name in ("title", "unitPrice", "availableFrom", "size")],
    ),
    (product("M9", title="nul \0 inside"), [("title", "title must not contain the character NUL")]),
    (product("M10", title=True), [("title", "title must be text")]),
]
REFUSED_BY_THE_DATABASE = [
    (product("D1", quantity=2**31), ("quantity", "quantity is out of range")),
    (product("D2", quantity=-(2**80)), ("quantity", "quantity is out of range")),
    (product("D3", unitPrice="1e31"), ("unitPrice", "breaks the rule price_not_absurd: ")),
    (product("D4", title="forbidden"), ("title", "title 'forbidden' breaks the rule products_title_check: ")),
    (product("D5", unitPrice="1e200000"), ("unitPrice", "unitPrice")),
    (product("D6", stockCode="too long"), ("stockCode", "value too long")),
    (product("STORED"), ("sku", "Product with this sku already exists")),
    (product("D7", currency="€€€€"[:3], stockCode="     x"), ("stockCode", "value too long")),
]


_REPEATED = 190


def _mixed(count: int) -> tuple[list[dict[str, Any]], dict[int, list[tuple[str, str]]], dict[int, tuple[str, str]]]:
    """Good rows mixed with bad ones: the rows, and the errors of the model and the database by row number."""
    rows = [product(f"G{i}") for i in range(count)]
    by_model = {7 + 11 * i: case for i, case in enumerate(REFUSED_BY_THE_MODEL)}
    by_database = {4 + 11 * i: case for i, case in enumerate(REFUSED_BY_THE_DATABASE)}
    for number, (row, _) in {**by_model, **by_database}.items():
        rows[number - 1] = row
    assert not by_model.keys() & by_database.keys()
    rows[_REPEATED - 1] = product("G0")  # as the first row
    return (
        rows,
        {number: errors for number, (_, errors) in by_model.items()},
        {**{number: error for number, (_, error) in by_database.items()}, _REPEATED: ("sku", "already exists")},
    )


async def _store_one(site: OpenShop) -> None:
    job = await imported(site.api, PRODUCTS, content=ndjson([product("STORED")]), headers=NDJSON)
    assert job["status"] == "Completed", job


@pytest.mark.parametrize("count", [200, 6000])
async def test_every_bad_row_is_reported_and_every_good_one_stored(open_shop: OpenShop, count: int) -> None:
    await _store_one(open_shop)
    rows, by_model, by_database = _mixed(count)
    job = await imported(open_shop.api, PRODUCTS, content=ndjson(rows), headers=NDJSON)
    bad = by_model.keys() | by_database.keys()
    assert job["status"] == "PartialSuccess", job
    assert (job["processedRecords"], job["successCount"], job["failureCount"]) == (count, count - len(bad), len(bad))

    entries = await bad_rows(open_shop.api, job["id"])
    assert [entry["row"] for entry in entries] == sorted(bad)
    assert [entry["record"] for entry in entries] == [rows[number - 1] for number in sorted(bad)]
    found = await messages(open_shop.api, job["id"])
    assert {number: found[number] for number in by_model} == by_model
    for number, (field, message) in by_database.items():
        assert len(found[number]) == 1
        assert found[number][0][0] == field, found[number]
        assert message in found[number][0][1]

    stored = {sku for (sku,) in await fetch(open_shop.url, "SELECT sku FROM products")}
    assert stored == {row["sku"] for number, row in enumerate(rows, start=1) if number not in bad} | {"STORED"}
    assert job["errorSummary"].startswith("Product 'D1': quantity is out of range: 2147483648; the column takes ")


async def test_a_strict_import_with_any_rejected_row_stores_nothing(open_shop: OpenShop) -> None:
    await _store_one(open_shop)
    good = [product(f"G{i}") for i in range(100)]
    for bad, message in [
        (product("x"), "sku must be in capitals"),
        (product("STORED"), "Product with this sku already exists"),
        (product("G1"), "Product with this sku already exists"),
        (
            product("D1", quantity=2**31),
            "quantity is out of range: 2147483648; the column takes -2147483648 to 2147483647",
        ),
    ]:
        rows = [*good, bad, product("LAST")]
        job = await imported(open_shop.api, PRODUCTS, content=ndjson(rows), headers={**NDJSON, **STRICT})
        assert (job["status"], job["successCount"], job["failureCount"]) == ("Failed", 0, 1), job
        assert job["errorSummary"] == f"Product '{bad['sku']}': {message}"
        assert list(await messages(open_shop.api, job["id"])) == [101]
        assert await fetch(open_shop.url, "SELECT sku FROM products") == [("STORED",)]


async def test_a_strict_import_of_many_chunks_is_all_or_nothing(small_chunks: OpenShop) -> None:
    rows = [product(f"G{i}") for i in range(150)]
    rows[140] = product("G3")
    job = await imported(small_chunks.api, PRODUCTS, content=ndjson(rows), headers={**NDJSON, **STRICT})
    assert (job["status"], job["processedRecords"], job["successCount"], job["failureCount"]) == ("Failed", 150, 0, 1)
    assert list(await messages(small_chunks.api, job["id"])) == [141]
    assert await fetch(small_chunks.url, "SELECT count(*) FROM products") == [(0,)]
    rows[140] = product("G140")
    job = await imported(small_chunks.api, PRODUCTS, content=ndjson(rows), headers={**NDJSON, **STRICT})
    assert (job["status"], job["successCount"]) == ("Completed", 150)
    assert await fetch(small_chunks.url, "SELECT count(*) FROM products") == [(150,)]


async def test_rows_are_numbered_across_all_chunks(small_chunks: OpenShop) -> None:
    rows = [product(f"G{i}", quantity=(2**31 if i % 10 == 3 else 1)) for i in range(200)]
    rows[77] = product("bad")
    job = await imported(small_chunks.api, PRODUCTS, content=ndjson(rows), headers=NDJSON)
    assert job["status"] == "PartialSuccess"
    numbers = [entry["row"] for entry in await bad_rows(small_chunks.api, job["id"])]
    assert numbers == sorted([*range(4, 201, 10), 78])


async def test_unreadable_rows_are_bad_rows(open_shop: OpenShop) -> None:
    lines = [
        ndjson([product("A")]).strip(),
        b'{"sku": "torn',
        b"[1, 2]",
        b"null",
        b"\xff\xfe",
        b"",
        b'{"sku": "' + b"[" * 3000 + b'"}',
        b"[" * 3000,
        ndjson([product("B")]).strip(),
    ]
    job = await imported(open_shop.api, PRODUCTS, content=b"\n".join(lines), headers=NDJSON)
    assert (job["status"], job["totalRecords"], job["successCount"]) == ("PartialSuccess", 8, 2)
    entries = await bad_rows(open_shop.api, job["id"])
    assert [entry["row"] for entry in entries] == [2, 3, 4, 5, 6, 7]
    assert entries[0]["record"] == '{"sku": "torn'
    assert "not valid JSON" in entries[0]["errors"][0]["message"]
    assert entries[1]["errors"] == [{"field": "", "message": "the row must be a JSON object"}]
    assert await fetch(open_shop.url, "SELECT sku FROM products ORDER BY id") == [("A",), ("B",)]


async def test_csv_rows_of_the_wrong_width_are_bad_rows(open_shop: OpenShop) -> None:
    header = b"sku,title,quantity,unitPrice,availableFrom,size\n"
    body = header + (
        b"A,ok,1,1,2024-01-01,S\n"
        b"B,too few,1\n"
        b"C,too many,1,1,2024-01-01,S,more\n"
        b"\n"
        b'D,"quoted"badly,1,1,2024-01-01,S\n'
        b"E,\xff,1,1,2024-01-01,S\n"
        b"F,ok, 2 ,1,2024-01-01,S\n"
        b'G,"two\nlines",3,1,2024-01-01,L\n'
        b'H,"never closed,4,1,2024-01-01,L\nI,swallowed,5,1,2024-01-01,L\n'
    )
    job = await imported(open_shop.api, PRODUCTS, content=body, headers=CSV)
    stored = await fetch(open_shop.url, "SELECT sku, title, quantity FROM products ORDER BY id")
    assert stored == [("A", "ok", 1), ("F", "ok", 2), ("G", "two\nlines", 3)]
    assert (job["status"], job["totalRecords"], job["failureCount"]) == ("PartialSuccess", 8, 5)
    entries = await bad_rows(open_shop.api, job["id"])
    assert [entry["row"] for entry in entries] == [2, 3, 4, 5, 8]
    assert entries[0]["record"] == "B,too few,1"
    assert entries[0]["errors"][0]["message"] == "the row has 3 fields where the header has 6"
