"""Whose import job is whose: 401 without a key before all else, 403 for another user's job, 404 for none."""

from collections.abc import AsyncIterator

from catalogue_site import COMMANDS, PLATFORMS, CatalogueSite, platforms

from application_client import client_of, open_application
from import_steps import NDJSON, NOTHING, accepted, kept, ndjson

NO_JOB_IDS = ["0", "-1", "x", "1.0", "01", "%201", "1e3", "%D9%A1", str(2**63), str(2**64), "9" * 300, "404"]


def _paths(job_id: object) -> list[str]:
    return [
        f"{PLATFORMS}/{job_id}/status",
        f"/api/imports/{job_id}",
        f"/api/imports/{job_id}/errors",
    ]


async def test_a_job_is_its_users_with_any_of_their_keys(idle_site: CatalogueSite) -> None:
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


async def test_a_job_that_is_none_is_not_found(idle_site: CatalogueSite) -> None:
    job_id = await accepted(idle_site.ann, PLATFORMS, json={"platforms": platforms(1)})
    paths = [path for no_id in NO_JOB_IDS for path in _paths(no_id)]
    paths.append(f"{COMMANDS}/{job_id}/status")
    for path in paths:
        for api in (idle_site.ann, idle_site.bob):
            answer = await api.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), path
            assert answer.json()["message"] == "Job not found"
            assert answer.headers["cache-control"] == "no-store"


async def test_without_a_valid_key_nothing_else_is_told(idle_site: CatalogueSite) -> None:
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


async def test_a_strangers_body_is_not_read(database_url: str) -> None:
    asked = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal asked
        asked += 1
        yield b"{}"

    async with open_application(database_url) as app, client_of(app) as stranger:
        answer = await stranger.post(PLATFORMS, content=body(), headers=NDJSON)
    assert (answer.status_code, asked) == (401, 0)
    assert await kept(database_url) == NOTHING
