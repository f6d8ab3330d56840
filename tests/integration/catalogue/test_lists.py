"""Paging, search and order of lists."""

import httpx
import pytest
from catalogue_steps import COMMANDS, PLATFORMS, add_command, add_platform, listed

from application_client import assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_page_has_exactly_the_documented_members(api: httpx.AsyncClient) -> None:
    for name in ("C", "A", "B"):
        await add_platform(api, name)
    answer = await api.get(PLATFORMS, params={"pageSize": 2})
    assert answer.status_code == 200
    page = answer.json()
    assert list(page) == [
        *("items", "pageIndex", "pageSize", "totalCount", "totalPages", "hasPreviousPage", "hasNextPage")
    ]
    assert [list(item) for item in page["items"]] == [["id", "platformName", "createdAt"]] * 2
    assert [item["platformName"] for item in page["items"]] == ["A", "B"]
    numbers = {name: value for name, value in page.items() if name != "items"}
    assert numbers == {
        "pageIndex": 1,
        "pageSize": 2,
        "totalCount": 3,
        "totalPages": 2,
        "hasPreviousPage": False,
        "hasNextPage": True,
    }
    last = (await api.get(PLATFORMS, params={"pageSize": 2, "pageIndex": 2})).json()
    assert [item["platformName"] for item in last["items"]] == ["C"]
    assert (last["hasPreviousPage"], last["hasNextPage"]) == (True, False)


async def test_an_empty_list_has_no_pages(api: httpx.AsyncClient) -> None:
    assert (await api.get(PLATFORMS)).json() == {
        "items": [],
        "pageIndex": 1,
        "pageSize": 20,
        "totalCount": 0,
        "totalPages": 0,
        "hasPreviousPage": False,
        "hasNextPage": False,
    }


async def test_pages_contain_every_item_once_even_if_all_are_equal(api: httpx.AsyncClient) -> None:
    added = [await add_platform(api, "same") for _ in range(7)]
    for descending in ("false", "true"):
        seen: list[int] = []
        for index in range(1, 5):
            seen += await listed(api, PLATFORMS, "id", pageSize=2, pageIndex=index, descending=descending)
        assert seen == (added if descending == "false" else added[::-1])


@pytest.mark.parametrize("index", [2, 10**6, 2**31 - 1])
async def test_a_page_beyond_the_last_is_empty(api: httpx.AsyncClient, index: int) -> None:
    await add_platform(api)
    page = (await api.get(PLATFORMS, params={"pageIndex": index, "pageSize": 100})).json()
    assert (page["items"], page["totalCount"], page["hasNextPage"], page["hasPreviousPage"]) == ([], 1, False, True)


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("pageSize", "101", "pageSize must be at most 100"),
        ("pageSize", "0", "pageSize must be at least 1"),
        ("pageSize", "x", "pageSize must be a whole number"),
        ("pageSize", "1.5", "pageSize must be a whole number"),
        ("pageIndex", "0", "pageIndex must be at least 1"),
        ("pageIndex", "-1", "pageIndex must be at least 1"),
        ("pageIndex", str(2**31), f"pageIndex must be at most {2**31 - 1}"),
        ("pageIndex", str(10**30), f"pageIndex must be at most {2**31 - 1}"),
        ("descending", "perhaps", "descending must be true or false"),
        ("search", "a\0b", "search must not contain the character NUL"),
    ],
)
@pytest.mark.parametrize("path", [PLATFORMS, COMMANDS])
async def test_a_bad_parameter_is_named(
    api: httpx.AsyncClient, path: str, parameter: str, value: str, message: str
) -> None:
    problem = assert_problem(await api.get(path, params={parameter: value}), 400)
    assert problem["errors"] == {parameter: [message]}


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (PLATFORMS, ["platformName", "id", "createdAt"]),
        (COMMANDS, ["howTo", "commandLine", "platformId", "id", "createdAt"]),
    ],
)
async def test_only_known_fields_sort_and_the_rejection_lists_them(
    api: httpx.AsyncClient, path: str, allowed: list[str]
) -> None:
    for wrong in ("secret", "platform_name", "id; DROP TABLE platforms", "ID"):
        (message,) = assert_problem(await api.get(path, params={"sortBy": wrong}), 400)["errors"]["sortBy"]
        assert all(f"'{name}'" in message for name in allowed)
    for name in allowed:
        assert (await api.get(path, params={"sortBy": name})).status_code == 200


async def test_lists_sort_by_each_field_in_both_directions(api: httpx.AsyncClient) -> None:
    added = [await add_platform(api, name) for name in ("b", "a", "c")]
    for field in ("id", "createdAt"):
        assert await listed(api, PLATFORMS, "id", sortBy=field) == added
        assert await listed(api, PLATFORMS, "id", sortBy=field, descending=True) == added[::-1]
    assert await listed(api, PLATFORMS, "platformName") == ["a", "b", "c"]
    assert await listed(api, PLATFORMS, "platformName", descending=True) == ["c", "b", "a"]
    commands = [await add_command(api, platform, f"h{platform}", "x") for platform in reversed(added)]
    assert await listed(api, COMMANDS, "id", sortBy="platformId") == commands[::-1]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("ock", ["Docker", "docker-compose"]),
        ("DOCK", ["Docker", "docker-compose"]),
        ("r-c", ["docker-compose"]),
        ("ÜBER", ["über"]),
        ("%", ["100%"]),
        ("_", ["snake_case"]),
        ("\\", ["C:\\tools"]),
        ("/", ["a/b"]),
        ("'", ["it's"]),
        ("e_c", ["snake_case"]),
        ("no such", []),
    ],
)
async def test_a_search_matches_literal_text_anywhere_ignoring_case(
    api: httpx.AsyncClient, search: str, found: list[str]
) -> None:
    for name in ("Docker", "docker-compose", "über", "100%", "snake_case", "C:\\tools", "a/b", "it's"):
        await add_platform(api, name)
    assert sorted(await listed(api, PLATFORMS, "platformName", search=search)) == found
    assert (await api.get(PLATFORMS, params={"search": search})).json()["totalCount"] == len(found)


async def test_an_empty_parameter_counts_as_absent(api: httpx.AsyncClient) -> None:
    await add_platform(api)
    answer = await api.get(f"{PLATFORMS}?search=&sortBy=&pageSize=&pageIndex=&descending=")
    assert answer.status_code == 200
    assert (answer.json()["totalCount"], answer.json()["pageSize"]) == (1, 20)


async def test_an_unknown_parameter_is_ignored(api: httpx.AsyncClient) -> None:
    assert (await api.get(PLATFORMS, params={"colour": "blue"})).status_code == 200


async def test_a_page_is_limited_to_what_is_written_in_milliseconds(api: httpx.AsyncClient) -> None:
    platform = await add_platform(api, "long")
    for number in range(3):
        await add_command(api, platform, f"{number}", "x" * 900_000)
    address = f"{PLATFORMS}/{platform}/commands"
    too_long = assert_problem(await api.get(address), 400)
    assert "the items of this page have 2,700,000 bytes" in too_long["errors"]["pageSize"][0]
    for size, count in ((2, 2), (1, 1)):
        page = (await api.get(address, params={"pageSize": size, "descending": True})).json()
        assert [item["howTo"] for item in page["items"]] == ["2", "1", "0"][:count]
        assert page["totalCount"] == 3
