"""What the conflict policies promise for rows whose key is stored already, or occurs again."""

from hashlib import sha256
from typing import Any

import pytest
from shop_site import OpenShop

from import_steps import NDJSON, STRICT, bad_rows, execute, fetch, imported, messages, ndjson

STORED = "INSERT INTO offers VALUES ('A', '111', 'stored A'), ('B', '222', 'stored B')"


def offer(sku: str, title: str, barcode: str | None = None) -> dict[str, Any]:
    return {"sku": sku, "title": title, "barcode": barcode}


async def _offers(site: OpenShop) -> dict[str, tuple[str | None, str]]:
    return {sku: rest for sku, *rest in await fetch(site.url, "SELECT sku, barcode, title FROM offers")}


async def test_reject_reports_rows_with_an_existing_key(open_shop: OpenShop) -> None:
    await execute(open_shop.url, STORED)
    rows = [offer("A", "new"), offer("C", "first"), offer("C", "again"), offer("D", "new", "222"), offer("E", "new")]
    job = await imported(open_shop.api, "/api/offers-reject/bulk", content=ndjson(rows), headers=NDJSON)
    assert (job["status"], job["successCount"]) == ("PartialSuccess", 2)
    assert await messages(open_shop.api, job["id"]) == {
        1: [("sku", "Offer with this sku already exists")],
        3: [("sku", "Offer with this sku already exists")],
        4: [("barcode", "Offer with this barcode already exists")],
    }
    assert await _offers(open_shop) == {
        "A": ["111", "stored A"],
        "B": ["222", "stored B"],
        "C": [None, "first"],
        "E": [None, "new"],
    }


async def test_a_repeated_key_is_free_if_its_first_row_is_rejected(open_shop: OpenShop) -> None:
    await execute(open_shop.url, "INSERT INTO offers VALUES ('A', '111', 'stored')")
    rows = [offer("C", "refused for its barcode", "111"), offer("C", "welcome"), offer("C", "too late")]
    job = await imported(open_shop.api, "/api/offers-reject/bulk", content=ndjson(rows), headers=NDJSON)
    assert list(await messages(open_shop.api, job["id"])) == [1, 3]
    assert (await _offers(open_shop))["C"] == [None, "welcome"]


async def test_thousands_of_duplicates_are_found_together(open_shop: OpenShop) -> None:
    rows = [offer(f"S{i % 4000}", "title", f"{i % 3000}") for i in range(8000)]
    rows[0]["title"] = "too wide for the index of its key"
    rows[0]["sku"] = "".join(sha256(bytes([i])).hexdigest() for i in range(200))
    job = await imported(open_shop.api, "/api/offers-reject/bulk", content=ndjson(rows), headers=NDJSON)
    bad = [entry["row"] for entry in await bad_rows(open_shop.api, job["id"])]
    # Row 3001 has the barcode of row 1, which was refused; from row 3002 on barcode or key, and then both, are taken.
    assert bad == [1, *range(3002, 8001)]
    assert job["successCount"] == 3000


async def test_skip_leaves_stored_rows_and_keeps_the_first(open_shop: OpenShop) -> None:
    await execute(open_shop.url, STORED)
    rows = [offer("A", "new"), offer("C", "first"), offer("C", "again"), offer("D", "new")]
    for headers in (NDJSON, {**NDJSON, **STRICT}):
        job = await imported(open_shop.api, "/api/offers-skip/bulk", content=ndjson(rows), headers=headers)
        assert (job["status"], job["successCount"]) == ("Completed", 4)
        stored = {sku: title for sku, (_, title) in (await _offers(open_shop)).items()}
        assert stored == {"A": "stored A", "B": "stored B", "C": "first", "D": "new"}


async def test_update_replaces_stored_rows_and_keeps_the_last(open_shop: OpenShop) -> None:
    await execute(open_shop.url, STORED)
    rows = [offer("A", "new", "111"), offer("C", "first"), offer("C", "again"), offer("D", "new")]
    for headers in (NDJSON, {**NDJSON, **STRICT}):
        job = await imported(open_shop.api, "/api/offers-update/bulk", content=ndjson(rows), headers=headers)
        assert (job["status"], job["successCount"]) == ("Completed", 4)
        stored = {sku: title for sku, (_, title) in (await _offers(open_shop)).items()}
        assert stored == {"A": "new", "B": "stored B", "C": "again", "D": "new"}


async def test_the_last_row_of_a_body_wins_across_its_chunks(small_chunks: OpenShop) -> None:
    rows = [offer(f"S{i % 7}", f"{i:04} {'x' * 40}") for i in range(700)]
    job = await imported(small_chunks.api, "/api/offers-update/bulk", content=ndjson(rows), headers=NDJSON)
    assert (job["status"], job["successCount"]) == ("Completed", 700)
    stored = {sku: title[:4] for sku, (_, title) in (await _offers(small_chunks)).items()}
    assert stored == {f"S{i % 7}": f"{i:04}" for i in range(693, 700)}
    # No second background job works on the import background_task its own: chunks are written in body order.
    assert await fetch(small_chunks.url, "SELECT count(*) FROM bulkport.all_jobs") == [(1,)]


async def test_chunks_decoded_ahead_report_their_own_rows(
    small_chunks: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkport.imports.worker.read_ahead._FEWEST_RECORDS", 1)
    rows = [offer(f"S{i % 7}", f"{i:04} {'x' * 40}") for i in range(140)]
    rows[60]["shade"] = "red"
    rows[100]["title"] = None
    job = await imported(small_chunks.api, "/api/offers-update/bulk", content=ndjson(rows), headers=NDJSON)
    assert (job["status"], job["successCount"]) == ("PartialSuccess", 139)
    assert list(await messages(small_chunks.api, job["id"])) == [101]
    stored = {sku: title[:4] for sku, (_, title) in (await _offers(small_chunks)).items()}
    assert stored == {f"S{i % 7}": f"{i:04}" for i in range(133, 140)}
    told = "SELECT bool_and((unknown_fields IS NOT NULL) = (first_row + record_count > 61)) FROM bulkport.import_chunks"
    assert await fetch(small_chunks.url, told) == [(True,)]


async def test_a_chunk_that_lost_a_deadlock_is_retried_before_the_one_decoded_ahead(
    small_chunks: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkport.imports.worker.read_ahead._FEWEST_RECORDS", 1)
    await execute(
        small_chunks.url,
        """
        CREATE SEQUENCE tries;
        CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('tries') = 1 THEN RAISE EXCEPTION 'lost' USING ERRCODE = 'deadlock_detected'; END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER lose AFTER INSERT ON offers FOR EACH ROW WHEN (NEW.sku = 'S303') EXECUTE FUNCTION lose();
        """,
    )
    # The key K is in the chunk of S303, which is tried again, and in the one after.
    rows = [offer("K" if 300 <= i < 310 and i != 303 else f"S{i}", f"{i:04} {'x' * 40}") for i in range(340)]
    job = await imported(small_chunks.api, "/api/offers-update/bulk", content=ndjson(rows), headers=NDJSON)
    assert (job["status"], job["successCount"], job["attempts"]) == ("Completed", 340, 1)
    assert await fetch(small_chunks.url, "SELECT last_value FROM tries") == [(2,)]
    of_s303 = (
        "SELECT first_row + record_count - 1 FROM bulkport.import_chunks WHERE first_row <= 304 ORDER BY 1 DESC LIMIT 1"
    )
    ((last,),) = await fetch(small_chunks.url, of_s303)
    assert 304 <= last < 310
    assert (await _offers(small_chunks))["K"][1][:4] == "0309"


async def test_chunk_workers_that_decode_ahead_share_the_chunks_of_an_import(
    small_chunks: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkport.imports.worker.read_ahead._FEWEST_RECORDS", 1)
    rows = [offer(f"S{i}", f"{i:04} {'x' * 40}") for i in range(700)]
    for number in range(50, 700, 50):
        rows[number]["title"] = None
    rows[650] = offer("S1", "taken")
    job = await imported(small_chunks.api, "/api/offers-reject/bulk", content=ndjson(rows), headers=NDJSON)
    assert (job["status"], job["successCount"]) == ("PartialSuccess", 687)
    assert list(await messages(small_chunks.api, job["id"])) == list(range(51, 701, 50))
    stored = {sku: title[:4] for sku, (_, title) in (await _offers(small_chunks)).items()}
    assert stored == {f"S{i}": f"{i:04}" for i in range(700) if not i or i % 50}
    assert await fetch(small_chunks.url, "SELECT count(*) FROM bulkport.all_jobs") == [(2,)]


async def test_other_unique_keys_are_enforced_by_the_database_under_skip_and_update(open_shop: OpenShop) -> None:
    for policy, title in {"skip": "stored A", "update": "new A"}.items():
        await execute(open_shop.url, f"TRUNCATE offers; {STORED}")
        rows = [offer("A", "new A", "111"), offer("C", "has B's barcode", "222"), offer("D", "new", "444")]
        job = await imported(open_shop.api, f"/api/offers-{policy}/bulk", content=ndjson(rows), headers=NDJSON)
        assert await messages(open_shop.api, job["id"]) == {
            2: [("barcode", "Offer with this barcode already exists")]
        }, policy
        assert await _offers(open_shop) == {
            "A": ["111", title],
            "B": ["222", "stored B"],
            "D": ["444", "new"],
        }


async def test_rows_without_a_key_never_conflict(open_shop: OpenShop) -> None:
    rows = [
        {"title": "one"},
        {"title": "two", "code": None},
        {"title": "three", "code": "X"},
        {"title": "4", "code": "X"},
    ]
    job = await imported(open_shop.api, "/api/coupons/bulk", content=ndjson(rows), headers=NDJSON)
    assert (job["status"], job["successCount"]) == ("Completed", 4)
    assert await fetch(open_shop.url, "SELECT title FROM coupons ORDER BY title") == [("one",), ("three",), ("two",)]
