"""References to other tables, by id and by name; foreign keys that are not declared are the database's to check."""

from typing import Any
from uuid import uuid4

from shop_site import OpenShop

from import_steps import CSV, LENIENT, NDJSON, STRICT, execute, fetch, imported, messages, ndjson

PARTS = "/api/parts/bulk"


async def _makers(site: OpenShop) -> dict[str, str]:
    await execute(
        site.url, "INSERT INTO shelf.makers (maker_name) VALUES ('Acme'), ('Bolt & Söhne'), ('Twin'), ('Twin')"
    )
    return {
        name: str(identity)
        for name, identity in await fetch(site.url, "SELECT maker_name, min(id::text) FROM shelf.makers GROUP BY 1")
    }


async def test_ids_and_names_are_resolved(open_shop: OpenShop) -> None:
    makers = await _makers(open_shop)
    nobody = str(uuid4())
    rows: list[dict[str, Any]] = [
        {"partNumber": "1", "maker": makers["Acme"]},
        {"partNumber": "2", "makerName": "Acme"},
        {"partNumber": "3", "makerName": "Bolt & Söhne"},
        {"partNumber": "4", "makerName": "Nobody"},
        {"partNumber": "5", "maker": nobody},
        {"partNumber": "6"},
        {"partNumber": "7", "maker": makers["Acme"], "makerName": "Acme"},
        {"partNumber": "8", "makerName": "Twin"},
        {"partNumber": "9", "maker": None, "makerName": "Acme"},
        {"partNumber": "2", "makerName": "Acme"},
    ]
    bad = {
        4: [("makerName", "Maker 'Nobody' does not exist")],
        5: [("maker", f"Maker {nobody} does not exist")],
        6: [("maker", "maker or makerName is required")],
        7: [("makerName", "makerName must not be given together with maker")],
        10: [("maker", "Part with this maker and partNumber already exists")],
    }
    expected = {
        "1": makers["Acme"],
        "2": makers["Acme"],
        "3": makers["Bolt & Söhne"],
        "8": makers["Twin"],
        "9": makers["Acme"],
    }
    csv_body = "part_number,maker,MAKER NAME\n" + "".join(
        f"{row['partNumber']},{row.get('maker') or ''},{row.get('makerName', '')}\n" for row in rows
    )
    for headers, body in ((NDJSON, ndjson(rows)), (CSV, csv_body.encode())):
        job = await imported(open_shop.api, PARTS, content=body, headers=headers)
        assert await messages(open_shop.api, job["id"]) == bad
        stored = await fetch(open_shop.url, "SELECT part_number, maker::text FROM parts")
        assert dict(stored) == expected
        await execute(open_shop.url, "TRUNCATE parts")


async def test_references_are_checked_in_envelopes_and_streams_alike(open_shop: OpenShop) -> None:
    makers = await _makers(open_shop)
    rows = [{"partNumber": "1", "maker": makers["Acme"]}, {"partNumber": "2", "maker": str(uuid4())}]
    job = await imported(open_shop.api, PARTS, json={"parts": rows})
    assert (job["status"], list(await messages(open_shop.api, job["id"]))) == ("PartialSuccess", [2])
    job = await imported(open_shop.api, PARTS, json={"parts": rows}, headers=STRICT)
    assert (job["status"], job["successCount"], job["failureCount"]) == ("Failed", 0, 1)
    assert await fetch(open_shop.url, "SELECT count(*) FROM parts") == [(1,)]
    # Names are for streams; in an envelope they are unknown fields.
    rows = [{"partNumber": "3", "makerName": "Acme"}]
    answer = await open_shop.api.post(PARTS, json={"parts": rows})
    assert answer.json()["errors"] == {"parts[0].maker": ["maker is required"]}
    job = await imported(open_shop.api, PARTS, json={"parts": rows}, headers=LENIENT)
    assert (job["status"], job["warnings"]) == ("Failed", ["Unknown fields were ignored: makerName"])


async def test_an_undeclared_deferred_foreign_key_is_a_row_error(open_shop: OpenShop) -> None:
    makers = await _makers(open_shop)
    rows = [{"partNumber": str(i), "maker": makers["Acme"], "fits": 404 if i in {3, 8} else None} for i in range(20)]
    for headers, stored in ((NDJSON, 18), ({**NDJSON, **STRICT}, 18)):
        job = await imported(open_shop.api, PARTS, content=ndjson(rows), headers=headers)
        found = await messages(open_shop.api, job["id"])
        assert found[4] == found[9] == [("fits", "fits refers to something that does not exist: 404")]
        assert await fetch(open_shop.url, "SELECT count(*) FROM parts") == [(stored,)]


async def test_a_maker_deleted_meanwhile_is_reported_missing(open_shop: OpenShop) -> None:
    makers = await _makers(open_shop)
    rows = [{"partNumber": "1", "maker": makers["Acme"]}]
    await execute(open_shop.url, "DELETE FROM shelf.makers WHERE maker_name = 'Acme'")
    job = await imported(open_shop.api, PARTS, content=ndjson(rows), headers=NDJSON)
    assert (job["status"], job["errorSummary"]) == ("Failed", f"Part '1': Maker {makers['Acme']} does not exist")
