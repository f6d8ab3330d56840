"""Every import route serves a resource of any application, with nothing of the Command API in the process."""

import csv
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

from shop_site import OpenShop

from import_steps import CSV, NDJSON, STRICT, accepted, bad_rows, imported, kept, ndjson

_GOOD: dict[str, Any] = {"title": "Mug", "quantity": 1, "unitPrice": 1, "availableFrom": "2024-01-31", "size": "S"}


def test_the_shop_needs_nothing_from_the_command_api() -> None:
    program = (
        "import sys, import_shop as shop; app = shop.shop_app(shop.shop_bulkport(), 'postgresql://');"
        "assert app.openapi()['paths'];"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'commandapi'], 'commandapi is loaded'"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


async def test_status_list_and_detail_are_served(open_shop: OpenShop) -> None:
    answer = await open_shop.api.post("/api/products/bulk", json={"products": [{"sku": "A", **_GOOD}]})
    assert answer.status_code == 202
    job = answer.json()
    assert job == {
        "id": job["id"],
        "hangfireJobId": job["hangfireJobId"],
        "message": "Bulk import job successfully queued",
        "totalRecords": 1,
    }
    assert answer.headers["location"] == f"/api/products/bulk/{job['id']}/status"
    other = await imported(open_shop.api, "/api/coupons/bulk", content=ndjson([{"title": "ten"}]), headers=NDJSON)

    status = (await open_shop.api.get(answer.headers["location"])).json()
    detail = (await open_shop.api.get(f"/api/imports/{job['id']}")).json()
    assert (detail["resource"], detail["format"], detail["links"]["errors"]) == (
        "products",
        "json",
        f"/api/imports/{job['id']}/errors",
    )
    assert {name: detail[name] for name in status if name != "status"}.keys() <= status.keys()
    listed = (await open_shop.api.get("/api/imports")).json()["items"]
    assert [item["id"] for item in listed] == [other["id"], job["id"]]
    assert (await open_shop.api.get("/api/imports", params={"resource": "coupons"})).json()["items"] == [other]
    unknown = await open_shop.api.get("/api/imports", params={"resource": "platforms"})
    assert unknown.status_code == 400
    assert list(unknown.json()["errors"]) == ["resource"]


async def test_a_job_belongs_to_its_shopkeeper_and_its_resource(open_shop: OpenShop) -> None:
    job_id = await accepted(open_shop.api, "/api/coupons/bulk", content=ndjson([{"title": "ten"}]), headers=NDJSON)
    own = [f"/api/coupons/bulk/{job_id}/status", f"/api/imports/{job_id}", f"/api/imports/{job_id}/errors"]
    for path in own:
        assert (await open_shop.api.get(path)).status_code == 200
        assert (await open_shop.rival.get(path)).status_code == 403
    for api in (open_shop.api, open_shop.rival):
        answer = await api.get(f"/api/products/bulk/{job_id}/status")
        assert (answer.status_code, answer.json()["message"]) == (404, "Job not found")
    assert (await open_shop.rival.get("/api/imports")).json() == {"items": [], "nextCursor": None}


async def test_an_envelope_is_validated_as_a_whole(open_shop: OpenShop) -> None:
    rows = [{"sku": "A", **_GOOD}, {"sku": "low", **_GOOD}, {"sku": "B", **_GOOD, "note": "Mug", "size": "?"}]
    rows.append({"sku": "C", **_GOOD, "note": "Mug"})
    for headers in ({}, STRICT):
        answer = await open_shop.api.post("/api/products/bulk", json={"products": rows}, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["errors"] == {
            "products[1].sku": ["sku must be in capitals"],
            "products[2].size": ["size must be 'S' or 'L', not '?'"],
            "products[3]": ["the note repeats the title"],
        }
    assert await kept(open_shop.url) == dict.fromkeys(await kept(open_shop.url), 0)
    messages = {
        b'{"products": null}': "Products list cannot be null",
        b"{}": "Products list cannot be null",
        b'{"products": []}': "Products list must contain at least one product",
    }
    for body, message in messages.items():
        answer = await open_shop.api.post(
            "/api/products/bulk", content=body, headers={"content-type": "application/json"}
        )
        assert (answer.status_code, answer.json()["detail"]) == (400, message)


async def test_the_error_report_is_available_in_every_format(open_shop: OpenShop) -> None:
    text = 'sku;Title;QUANTITY;unit_price;available-from;size;colour\nA;"x, ""y""\nz";1;1;2024-01-31;S;red\n'
    text += 'b;"x, ""y""\nz";one;1;2024-01-31;S;blue\nC;short\n'
    job = await imported(
        open_shop.api, "/api/products/bulk", params={"delimiter": ";"}, content=text.encode(), headers=CSV
    )
    assert (job["status"], job["failureCount"]) == ("PartialSuccess", 2)
    assert job["warnings"] == ["Unknown fields were ignored: colour"]
    path = f"/api/imports/{job['id']}/errors"
    record = {
        "sku": "b",
        "title": 'x, "y"\nz',
        "quantity": "one",
        "unitPrice": "1",
        "availableFrom": "2024-01-31",
        "size": "S",
        "colour": "blue",
    }
    errors = [
        {"field": "sku", "message": "sku must be in capitals"},
        {"field": "quantity", "message": "quantity must be a whole number, not 'one'"},
    ]
    wrong_width = [{"field": "", "message": "the row has 2 fields where the header has 7"}]
    entries = [
        {"row": 2, "errors": errors, "record": record},
        {"row": 3, "errors": wrong_width, "record": "C;short"},
    ]
    assert (await open_shop.api.get(path)).json() == {"items": entries, "nextCursor": None}
    assert await bad_rows(open_shop.api, job["id"]) == entries
    report = await open_shop.api.get(path, headers={"accept": "text/csv"})
    assert report.headers["content-type"].startswith("text/csv")
    lines = list(csv.reader(io.StringIO(report.text, newline="")))
    assert lines == [
        ["sku", "Title", "QUANTITY", "unit_price", "available-from", "size", "colour", "row", "error"],
        [*record.values(), "2", "sku must be in capitals; quantity must be a whole number, not 'one'"],
        ["C;short", "", "", "", "", "", "", "3", "the row has 2 fields where the header has 7"],
    ]
