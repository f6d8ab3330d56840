"""What a client sends is what the table holds, to the last character, by every format and both ways to write."""

import csv
import gzip
import io
import itertools
import json
import sys
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from shop_site import OpenShop

from import_steps import CSV, LENIENT, NDJSON, STRICT, execute, fetch, imported, ndjson

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXTS = [
    "plain",
    "",
    "two\nlines",
    "crlf\r\nand a lone\rreturn",
    "tab\tin, comma; semicolon | bar",
    "back\\slash \\n \\t \\\\ at the end\\",
    '"quoted" and ""doubled"" and \'single\'',
    "\\.",
    "\\N",
    "NULL",
    "a\n\\.\nb",
    "\x1d\x1e\x1f\x08\x0b\x0c\x01\x7f",
    "Grüße, 日本語, 👩\u200d👧, e\u0301, \u2028\u2029\ufeff",
    "  spaces around  ",
    "{1,2}",
    "long " * 5000,
]
_STAND_INS = set("\x1d\x1e\x1f")
PRICES = ["0", "-0.01", "12345678901234567890.12345678901234567890", "-99999999999999999999", "1E+5", "0.10"]


def _products(count: int) -> list[dict[str, Any]]:
    return [
        {
            "sku": f"P{i}",
            "title": TEXTS[i % len(TEXTS)],
            "quantity": [0, -1, 2**31 - 1, -(2**31)][i % 4],
            "unitPrice": PRICES[i % len(PRICES)],
            "availableFrom": ["2024-02-29", "0001-01-01", "9999-12-31"][i % 3],
            "size": "SL"[i % 2],
            "currency": ["EUR", "USD", "a b", "日本語"][i % 4],
            "note": None if i % 3 == 0 else f"note {TEXTS[(i + 5) % len(TEXTS)]}",
        }
        for i in range(count)
    ]


def _expected(products: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (
            product["sku"],
            product["title"],
            product["quantity"],
            Decimal(product["unitPrice"]),
            date.fromisoformat(product["availableFrom"]),
            product["size"],
            product["currency"],
            product["note"],
            None,
        )
        for product in products
    ]


def _sku(row: tuple[Any, ...]) -> str:
    return str(row[0])


async def _stored(site: OpenShop) -> list[tuple[Any, ...]]:
    return await fetch(
        site.url,
        "SELECT sku, title, quantity, price, available_from, size, currency, note, stock_code"
        " FROM products ORDER BY id",
    )


def _envelope(products: list[dict[str, Any]]) -> bytes:
    return json.dumps({"products": products}, indent=2).encode()


def _csv(products: list[dict[str, Any]], delimiter: str = ",") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(products[0]), delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(products)
    return text.getvalue().encode()


BODIES = {
    "json": (_envelope, {"content-type": "application/json; charset=utf-8"}),
    "ndjson": (ndjson, NDJSON),
    "csv": (_csv, CSV),
}
ENCODINGS = {"identity": bytes, "gzip": gzip.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("body_format", BODIES)
async def test_values_arrive_as_sent(open_shop: OpenShop, body_format: str) -> None:
    write, content_type = BODIES[body_format]
    products = _products(64)
    for encoding, handling in itertools.product(ENCODINGS, (STRICT, LENIENT, {})):
        body = ENCODINGS[encoding](write(products))
        headers = {**content_type, **handling, "content-encoding": encoding}
        job = await imported(open_shop.api, "/api/products/bulk", content=body, headers=headers)
        counts = (job["totalRecords"], job["processedRecords"], job["successCount"], job["failureCount"])
        assert (job["status"], *counts) == ("Completed", 64, 64, 64, 0)
        assert (job["format"], job["bytes"]) == (body_format, len(body))
        # Cells of these words may be meant as null, which an import says.
        words = [warning.partition(",")[0] for warning in job["warnings"]]
        expected = [f"title has cells of {word}" for word in ("NULL", "\\N")] if body_format == "csv" else []
        assert (job["errorSummary"], words) == (None, expected)
        assert await _stored(open_shop) == _expected(products)
        await execute(open_shop.url, "TRUNCATE products CASCADE")


async def test_large_chunks_use_copy_and_store_the_same(open_shop: OpenShop) -> None:
    short = [product for product in _products(5000) if max(map(len, (product["title"], product["note"] or ""))) < 100]
    # COPY's text is made in one go, or value by value where the data hold the signs that stand in for separators.
    plain = [product for product in short if _STAND_INS.isdisjoint(product["title"] + (product["note"] or ""))]
    assert len(short) > len(plain) > 3500
    for (write, content_type), products in itertools.product((BODIES["ndjson"], BODIES["csv"]), (short, plain)):
        job = await imported(open_shop.api, "/api/products/bulk", content=write(products), headers=content_type)
        assert job["status"] == "Completed", job
        assert sorted(await _stored(open_shop), key=_sku) == sorted(_expected(products), key=_sku)
        await execute(open_shop.url, "TRUNCATE products CASCADE")


async def test_rows_keep_their_order_and_values_across_many_chunks(small_chunks: OpenShop) -> None:
    products = _products(200)
    job = await imported(small_chunks.api, "/api/products/bulk", content=_csv(products), headers=CSV)
    assert job["status"] == "Completed", job
    chunks = await fetch(small_chunks.url, "SELECT count(*), sum(record_count) FROM bulkport.import_chunks")
    assert chunks[0][0] > 20
    assert chunks[0][1] == 200
    assert sorted(await _stored(small_chunks), key=_sku) == sorted(_expected(products), key=_sku)


async def test_null_and_empty_text_stay_distinct(open_shop: OpenShop) -> None:
    base = {"title": "", "quantity": 1, "unitPrice": 1, "availableFrom": "2024-01-01", "size": "S"}
    rows = [
        {**base, "sku": "NULL", "note": None},
        {**base, "sku": "NONE"},
        {**base, "sku": "WORD", "note": "null"},
        {**base, "sku": "SPACE", "note": " "},
    ]
    job = await imported(open_shop.api, "/api/products/bulk", content=ndjson(rows), headers=NDJSON)
    assert job["status"] == "Completed", job
    stored = dict(await fetch(open_shop.url, "SELECT sku, note FROM products"))
    assert stored == {"NULL": None, "NONE": None, "WORD": "null", "SPACE": " "}
    # An empty cell is not a value: null if the field may be null, the empty text where it may not.
    body = b"sku,title,quantity,unit price,AVAILABLE_FROM,size,note\r\nC1,,1,1,2024-01-01,S,\r\n"
    job = await imported(open_shop.api, "/api/products/bulk", content=body, headers=CSV)
    assert job["status"] == "Completed", job
    assert await fetch(open_shop.url, "SELECT title, note, currency FROM products WHERE sku = 'C1'") == [
        ("", None, "EUR")
    ]


async def test_csv_with_another_delimiter_is_read(open_shop: OpenShop) -> None:
    products = _products(48)
    for name, delimiter in {";": ";", "|": "|", "tab": "\t", "\t": "\t"}.items():
        job = await imported(
            open_shop.api,
            "/api/products/bulk",
            params={"delimiter": name},
            content=b"\xef\xbb\xbf" + _csv(products, delimiter),
            headers=CSV,
        )
        assert job["status"] == "Completed", job
        assert await _stored(open_shop) == _expected(products)
        await execute(open_shop.url, "TRUNCATE products CASCADE")
