"""Whose import job is whose: 401 without a key before all else, 403 for another user's job, 404 for none."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from catalogue_site import COMMANDS, PLATFORMS, CatalogueSite, platforms

from application_client import client_of, open_application
from bulkport.database.row_security import RowSecurity, UserConnections
from bulkport.identifiers import UserId
from bulkport.imports import read
from bulkport.imports.states import ListedStatus
from bulkport.pools import open_pool
from import_steps import NDJSON, NOTHING, accepted, execute, kept, ndjson

NO_JOB_IDS = ["0", "-1", "x", "1.0", "01", "%201", "1e3", "%D9%A1", str(2**63), str(2**64), "9" * 300, "404"]


def _paths(job_id: object) -> list[str]:
    return [
        f"{PLATFORMS}/{job_id}/status",
        f"/api/imports/{job_id}",
        f"/api/imports/{job_id}/errors",
    ]


async def test_a_user_reads_their_jobs_with_any_of_their_keys(idle_site: CatalogueSite) -> None:
    job_id = await accepted(idle_site.ann, PLATFORMS, json={"platforms": platforms(1)})
    for path in _paths(job_id):
        mine = await idle_site.ann.get(path)
        assert mine.status_code == 200
        assert (await idle_site.ann_again.get(path)).json() == mine.json()
        refused = await idle_site.bob.get(path)
        assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")
        assert "message" not in refused.json()
    assert (await idle_site.bob.get("/api/imports")).json()["items"] == []
    assert len((await idle_site.ann_again.get("/api/imports")).json()["items"]) == 1


async def test_an_unknown_job_is_not_found(idle_site: CatalogueSite) -> None:
    job_id = await accepted(idle_site.ann, PLATFORMS, json={"platforms": platforms(1)})
    paths = [path for no_id in NO_JOB_IDS for path in _paths(no_id)]
    paths.append(f"{COMMANDS}/{job_id}/status")
    for path in paths:
        for api in (idle_site.ann, idle_site.bob):
            answer = await api.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), path
            assert answer.json()["message"] == "Job not found"
            assert answer.headers["cache-control"] == "no-store"


async def test_without_a_valid_key_nothing_is_revealed(idle_site: CatalogueSite) -> None:
    job_id = await accepted(idle_site.ann, PLATFORMS, json={"platforms": platforms(1)})
    before = await kept(idle_site.url)
    key = idle_site.ann.headers["x-api-key"]
    flipped = key[:-1] + ("A" if key[-1] != "A" else "B")
    for bad_key in (None, "", "x", key[:-1], flipped, key + "A", key[:36]):
        headers = {} if bad_key is None else {"x-api-key": bad_key}
        answers = [
            await idle_site.stranger.post(path, content=body, headers={**headers, **content_type})
            for path in (PLATFORMS, COMMANDS)
            for body, content_type in (
                (b"{", {"content-type": "application/json"}),
                (b"\x00", {"content-type": "image/png"}),
                (ndjson(platforms(1)), NDJSON),
            )
        ]
        answers += [
            await idle_site.stranger.get(path, headers=headers)
            for path in (
                *_paths(job_id),
                *_paths("x"),
                *_paths(404),
                "/api/imports",
                "/api/imports?limit=x&status=y",
                f"/api/imports/{job_id}/errors?limit=-1",
            )
        ]
        for answer in answers:
            assert answer.status_code == 401, answer.request.url
            assert answer.headers["content-type"] == "application/problem+json"
            assert "www-authenticate" in answer.headers
    assert await kept(idle_site.url) == before


async def test_the_body_of_an_unauthenticated_request_is_not_read(database_url: str) -> None:
    asked = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal asked
        asked += 1
        yield b"{}"

    async with open_application(database_url) as app, client_of(app) as stranger:
        answer = await stranger.post(PLATFORMS, content=body(), headers=NDJSON)
    assert (answer.status_code, asked) == (401, 0)
    assert await kept(database_url) == NOTHING


_MANY = """
    INSERT INTO bulkport.bulk_import_jobs (resource, user_id, background_job_id, format, handling, status, name, tags,
        metadata, total_records, total_chunks, body_bytes, completed_at)
    SELECT CASE WHEN n % 2000 = 7 THEN 'commands' ELSE 'platforms' END, 'ann', '1', 'ndjson', 'lenient',
           CASE WHEN n % 2000 = 3 THEN 'Failed' ELSE 'Completed' END, CASE WHEN n = 5 THEN 'rare' ELSE 'nightly' END,
           CASE WHEN n % 1500 = 1 THEN ARRAY['seldom'] ELSE '{often}' END,
           CASE WHEN n % 1500 = 1 THEN '{"batch": 7}'::jsonb END, 1, 1, 1, now()
    FROM generate_series(1, 4000) n
"""
_READ = """
    SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::bigint FROM pg_stat_xact_all_tables
    WHERE schemaname = 'bulkport' AND relname = 'bulk_import_jobs'
"""


async def test_a_list_reads_only_what_it_shows_whatever_the_filter(
    idle_site: CatalogueSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "_STRETCH", 1000)
    await execute(idle_site.url, _MANY)
    await execute(idle_site.url, "ANALYZE bulkport.bulk_import_jobs")
    async with open_pool(idle_site.url, name="lists", most=1) as pool:
        of_ann = UserConnections(RowSecurity(pool), "ann")
        wanted: list[tuple[dict[str, Any], int]] = [
            ({}, 20),
            ({"resource": "commands"}, 2),
            ({"name": "rare"}, 1),
            ({"status": ListedStatus.FAILED}, 2),
            ({"status": ListedStatus.SCHEDULED}, 0),
            ({"status": ListedStatus.COMPLETED, "name": "nightly"}, 20),
        ]
        for filters, count in wanted:
            async with of_ann.connection() as connection:
                found = await read.list_jobs(connection, UserId("ann"), limit=20, **filters)
                row = await (await connection.execute(_READ)).fetchone()
            assert (len(found.jobs), found.before is None) == (count, count < 20), filters
            assert row is not None
            assert row[0] <= 100, (filters, row)
    # What no index finds is looked for in stretches, whose ends are cursors.
    for query in ({"tag": "seldom"}, {"metadata": '{"batch": 7}'}):
        sizes, cursor = [], ""
        while cursor is not None:
            page = (await idle_site.ann.get("/api/imports", params={**query, "cursor": cursor})).json()
            sizes.append(len(page["items"]))
            cursor = page["nextCursor"]
        assert (sum(sizes), len(sizes)) == (3, 5), query
