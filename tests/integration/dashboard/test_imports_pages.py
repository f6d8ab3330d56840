"""The pages about imports, of real imports by a real worker."""

import html
import json
import re
from collections.abc import AsyncIterator

import pytest

from command_site import CommandSite, open_command_site, until
from import_steps import settled

PLATFORMS = [{"platformName": f"Platform {number}"} for number in range(60)]


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[CommandSite]:
    """An open Command API whose imports are cut into chunks of a few rows."""
    async with open_command_site(database_url, chunk_bytes=200) as site:
        yield site


def listed(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'<tr data-row id="import-(\d+)"', page)]


def words(page: str) -> str:
    """The text of a page on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


async def test_empty_lists_say_what_to_do(site: CommandSite) -> None:
    assert "Files sent to a bulk endpoint appear here" in await site.page("imports")
    assert "No active imports" in await site.page("imports?status=in-flight")
    for query in ("user=nobody", "user=a%00", "resource=%00"):
        assert "No matching imports" in await site.page(f"imports?{query}")
    assert "Import #7 not found" in await site.page("imports/7", status=404)
    assert "not found" in await site.page("imports/99999999999999999999999", status=404)


async def test_the_list_is_filtered_and_paged(site: CommandSite) -> None:
    good = [await site.send(PLATFORMS[start : start + 10]) for start in (0, 10, 20)]
    async with site.worker():
        bad = await site.send([{"platformName": ""}])
        for import_id in (*good, bad):
            await settled(site.api, import_id)
    waiting = await site.send(PLATFORMS[30:40])
    newest = [waiting, bad, *reversed(good)]
    assert listed(await site.page("imports")) == newest
    assert listed(await site.page("imports?status=Completed")) == list(reversed(good))
    assert listed(await site.page("imports?status=Failed")) == [bad]
    assert listed(await site.page("imports?status=in-flight")) == [waiting]
    assert listed(await site.page("imports?user=ann&resource=platforms")) == newest
    assert listed(await site.page("imports?user=bob")) == []
    assert listed(await site.page("imports?resource=commands")) == []
    assert "Go to import 3" in await site.page("imports?user=%233")
    first = await site.page("imports?size=2")
    assert listed(first) == newest[:2]
    found = re.search(r'href="([^"]+)" rel="next"', first)
    assert found is not None
    second = await site.page(html.unescape(found[1]).removeprefix("./"))
    assert listed(second) == newest[2:4]


async def test_an_import_shows_its_errors_and_links_to_the_full_report(site: CommandSite) -> None:
    records = [*PLATFORMS[:20], *({"platformName": name} for name in ("x" * 101, "", ""))]
    import_id = await site.send(records)
    async with site.worker():
        await settled(site.api, import_id)
    page = await site.page(f"imports/{import_id}")
    text = words(page)
    assert "Completed with errors" in text
    assert re.search(r"Imported 20\b.*Rejected rows 3\b", text)
    kinds = [words(kind) for kind in re.findall(r'<tr data-row id="kind-\d+">(.*?)</tr>', page, re.DOTALL)]
    assert kinds == [
        "platformName platformName must not be blank (empty) 2× 2 22",  # noqa: RUF001
        "platformName platformName must be at most 100 characters 1 21",
    ]
    assert re.findall(r'<tr data-row id="row-(\d+)"', page) == ["21", "22", "23"]
    read = json.loads(await site.page(f"api/v1/imports/{import_id}"))
    assert (read["import"]["status"], read["import"]["failureCount"]) == ("PartialSuccess", 3)
    assert [kind["rows"] for kind in read["errors"]] == [2, 1]
    for status, found in (("PartialSuccess", [import_id]), ("Failed", []), ("", [import_id])):
        listed_too = json.loads(await site.page(f"api/v1/imports?status={status}&resource=platforms"))
        assert [one["id"] for one in listed_too["imports"]] == found
    problem = json.loads(await site.page("api/v1/imports?status=Done", status=400))
    assert problem["detail"].startswith('Unknown status "Done"; known are in-flight, Pending, ')
    assert json.loads(await site.page("api/v1/imports/999", status=404))["detail"] == "Import #999 not found."
    assert json.loads(await site.page("api/v1/audit?target=nobody")) == {"entries": [], "before": None}
    csv = await site.browser.get(f"/hangfire/imports/{import_id}/errors.csv")
    assert csv.status_code == 200
    assert csv.headers["content-disposition"] == f'attachment; filename="import-{import_id}-errors.csv"'
    assert csv.headers["cache-control"] == "no-store"
    assert len(csv.text.splitlines()) == 4
    lines = (await site.browser.get(f"/hangfire/imports/{import_id}/errors.ndjson")).text.splitlines()
    assert [json.loads(line)["row"] for line in lines] == [21, 22, 23]
    assert (await site.browser.get(f"/hangfire/imports/{import_id}/errors.pdf")).status_code == 404


async def test_rejected_rows_are_filtered_by_error_and_paged(site: CommandSite) -> None:
    names = ["x" * 101, *("" for _ in range(30)), "y" * 101]
    import_id = await site.send([*PLATFORMS[:10], *({"platformName": name} for name in names)])
    async with site.worker():
        await settled(site.api, import_id)
    page = await site.page(f"imports/{import_id}")
    links = re.findall(r'<a class="cut" href="([^"]+)#errors"', page)
    blank, too_long = (html.unescape(link).removeprefix("./").removeprefix("../") for link in links)
    narrowed = await site.page(f"imports/{too_long.removeprefix('imports/')}")
    assert re.findall(r'<tr data-row id="row-(\d+)"', narrowed) == ["11", "42"]
    assert "platformName: platformName must be at most 100 characters" in words(narrowed)
    first = await site.page(f"imports/{blank.removeprefix('imports/')}")
    assert re.findall(r'<tr data-row id="row-(\d+)"', first) == [str(row) for row in range(12, 32)]
    found = re.search(r'href="([^"#]+)#errors" rel="next"', first)
    assert found is not None
    second = await site.page("imports/" + html.unescape(found[1]).rpartition("imports/")[2].removeprefix("./"))
    assert re.findall(r'<tr data-row id="row-(\d+)"', second) == [str(row) for row in range(32, 42)]
    nothing = await site.page(f"imports/{import_id}?field=platformName&message=never%00")
    assert "No matching rows" in nothing


async def test_imports_are_found_by_tag_name_and_file(site: CommandSite) -> None:
    labels = "name=July+catalogue&tag=nightly&tag=acme"
    answer = await site.api.post(
        f"/api/platforms/bulk?{labels}",
        content=b"platformName\nDocker\n",
        headers={"content-type": "text/csv", "content-disposition": 'attachment; filename="vendor.csv"'},
    )
    tagged = answer.json()["id"]
    await site.send(PLATFORMS[:10])
    for query in ("tag=acme", "text=july", "text=VENDOR", "tag=nightly&user=ann"):
        assert listed(await site.page(f"imports?{query}")) == [tagged], query
    assert listed(await site.page("imports?tag=weekly")) == []
    page = await site.page("imports")
    assert '<option value="acme">1 import</option>' in page
    assert "tag=acme" in page
    assert "tag=acme" in await site.page(f"imports/{tagged}")
    for search, leads_to in (("import:july", "text=july"), ("resource:platforms tag:acme", "tag=acme")):
        found = await site.browser.get("/hangfire/search", params={"q": search})
        assert found.status_code == 303
        assert "imports?" in found.headers["location"]
        assert leads_to in found.headers["location"]


async def test_the_chunk_map_shows_chunks_in_progress(site: CommandSite) -> None:
    import_id = await site.send(PLATFORMS)
    assert "0 in progress" in await site.page(f"imports/{import_id}")
    async with site.worker(chunk_slots=1):
        async with site.held():

            async def has_one_in_hand() -> bool:
                return "0 done, 0 validated, 1 in progress" in await site.page(f"imports/{import_id}")

            await until(has_one_in_hand, "a chunk in hand")
        await settled(site.api, import_id)
    page = await site.page(f"imports/{import_id}")
    assert "0 in progress, 0 waiting" in page
    assert "All rows imported" in page


async def test_an_import_and_its_background_job_link_to_each_other(site: CommandSite) -> None:
    import_id = await site.send(PLATFORMS)
    job_id = (await site.status_of(import_id))["hangfireJobId"]
    assert f'href="../jobs/{job_id}"' in await site.page(f"imports/{import_id}")
    assert f'href="../imports/{import_id}"' in await site.page(f"jobs/{job_id}")
