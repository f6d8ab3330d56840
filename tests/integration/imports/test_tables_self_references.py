"""Rows that refer to other rows of the same file: in any order, by id or by name, over chunks."""

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import pytest
from fastapi import Header
from pydantic import BaseModel
from table_site import table_site

from bulkport import ConflictPolicy, Reference, Resource
from bulkport.errors import ResourceDeclarationError
from import_steps import NDJSON, STRICT
from table_sizes import scaled, small_chunks


class Node(BaseModel):
    id: int
    parent: int | None = None
    name: str = "x"


class Part(BaseModel):
    name: str
    parent_id: int | None = None


NODES = Resource(name="nodes", label="Node", label_field="id", model=Node, table="nodes")
PARTS = Resource(
    name="parts",
    label="Part",
    label_field="name",
    model=Part,
    table="parts",
    references=(Reference("parent_id", table="parts", label="Part", lookup_field="parent", lookup_column="name"),),
)
PLAIN = "CREATE TABLE nodes (id int PRIMARY KEY, parent int REFERENCES nodes, name text CHECK (name <> 'bad'))"
DEFERRED = PLAIN.replace("REFERENCES nodes", "REFERENCES nodes DEFERRABLE INITIALLY DEFERRED")
PARTS_TABLE = """
    CREATE TABLE parts (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE CHECK (name <> 'bad'),
        parent_id bigint REFERENCES parts
    )
"""


def _dangling(parent: int) -> tuple[str, str]:
    return ("parent", f"parent refers to something that does not exist: {parent}")


def _tree(count: int) -> list[dict[str, Any]]:
    """A child refers to the row at half its id; shuffled, so that about half of them come before their parents."""
    rows = [{"id": i, "parent": i // 2 or None} for i in range(1, count + 1)]
    random.Random(7).shuffle(rows)
    return rows


@pytest.mark.parametrize("tables", [PLAIN, DEFERRED], ids=["plain", "deferred"])
@small_chunks(2000)
@pytest.mark.parametrize("headers", [NDJSON, {**NDJSON, **STRICT}], ids=["lenient", "strict"])
async def test_children_may_precede_their_parents(
    database_url: str, tables: str, limits: Mapping[str, Any], headers: Mapping[str, str]
) -> None:
    async with table_site(database_url, tables, NODES, **limits) as site:
        count = scaled(600)
        job, bad = await site.load(_tree(count), headers=headers)
        assert (job["status"], job["successCount"], bad) == ("Completed", count, {}), job
        assert await site.rows("SELECT count(*) FROM nodes") == [(count,)]


@pytest.mark.parametrize("tables", [PLAIN, DEFERRED], ids=["plain", "deferred"])
@small_chunks(2000)
async def test_only_rows_whose_parent_does_not_exist_are_bad(
    database_url: str, tables: str, limits: Mapping[str, Any]
) -> None:
    async with table_site(database_url, tables, NODES, **limits) as site:
        count = scaled(800)
        rows = _tree(count)
        orphan, below_it, bad_one = 2 * count, 2 * count + 1, 2 * count + 2
        rows[21] = {"id": orphan, "parent": 9 * count}
        rows += [{"id": below_it, "parent": orphan}, {"id": bad_one, "parent": 1, "name": "bad"}]
        lost = {number for number, row in enumerate(rows, start=1) if row["id"] in (orphan, below_it)}
        moved = {row["id"] for row in _tree(count)} - {row["id"] for row in rows}
        below = set(moved)
        for row in sorted(rows, key=lambda row: row["id"]):
            if row["parent"] in below:
                below.add(row["id"])
        lost |= {number for number, row in enumerate(rows, start=1) if row["id"] in below}
        job, bad = await site.load(rows)
        assert job["status"] == "PartialSuccess"
        bad_name = bad.pop(len(rows))
        assert bad_name == [("name", "name 'bad' breaks the rule nodes_name_check: name <> 'bad'::text")]
        assert bad == {number: [_dangling(rows[number - 1]["parent"])] for number in lost}
        assert await site.rows("SELECT count(*) FROM nodes") == [(len(rows) - 1 - len(lost),)]


@small_chunks(1000)
@pytest.mark.parametrize("order", ["reverse", "shuffled"])
async def test_a_chain_of_references_works_in_any_order(
    database_url: str, order: str, limits: Mapping[str, Any]
) -> None:
    count = scaled(2000)
    rows = [{"id": i, "parent": i - 1 or None} for i in range(count, 0, -1)]
    if order == "shuffled":
        random.Random(5).shuffle(rows)
    async with table_site(database_url, PLAIN, NODES, **limits) as site:
        job, bad = await site.load(rows)
        assert (job["status"], job["successCount"], bad) == ("Completed", count, {})


class Branch(BaseModel):
    name: str
    parent: str | None = None


@small_chunks(300)
async def test_a_parent_can_be_given_beside_a_column_missing_from_the_file(
    database_url: str, limits: Mapping[str, Any]
) -> None:
    tables = """
        CREATE TABLE branches (org int DEFAULT 1, name text, parent text, PRIMARY KEY (org, name),
                               FOREIGN KEY (org, parent) REFERENCES branches);
    """
    branches = Resource(name="branches", label="Branch", label_field="name", model=Branch, table="branches")
    count = scaled(60)
    async with table_site(database_url, tables, branches, **limits) as site:
        rows: list[dict[str, Any]] = [{"name": f"b{i}", "parent": f"b{i + 1}"} for i in range(count)]
        job, bad = await site.load([{"name": "x", "parent": "nowhere"}, *rows, {"name": f"b{count}"}])
        assert (job["successCount"], list(bad)) == (count + 1, [1])


@small_chunks(300)
async def test_a_cycle_by_id_is_written_as_a_whole(database_url: str, limits: Mapping[str, Any]) -> None:
    rows = [{"id": i, "parent": i % 40 + 1} for i in range(1, 41)]
    async with table_site(database_url, PLAIN, NODES, **limits) as site:
        job, bad = await site.load(rows)
        assert (job["status"], job["successCount"], bad) == ("Completed", 40, {})


@small_chunks(1000)
@pytest.mark.parametrize("policy", [ConflictPolicy.REJECT, ConflictPolicy.UPDATE])
async def test_parents_are_found_by_name_in_the_same_file(
    database_url: str, limits: Mapping[str, Any], policy: ConflictPolicy
) -> None:
    key: dict[str, Any] = {} if policy is ConflictPolicy.REJECT else {"conflict": policy, "conflict_key": ("name",)}
    parts = Resource(
        name="parts",
        label="Part",
        label_field="name",
        model=Part,
        table="parts",
        references=PARTS.references,
        **key,
    )
    async with table_site(database_url, PARTS_TABLE, parts, **limits) as site:
        count = scaled(300)
        rows = [{"name": f"p{i}", "parent": f"p{i // 2}"} for i in range(2, count)] + [{"name": "p1"}]
        random.Random(3).shuffle(rows)
        rows += [{"name": "lost", "parent": "nobody"}, {"name": "below", "parent": "lost"}]
        job, bad = await site.load(rows)
        assert (job["status"], job["successCount"]) == ("PartialSuccess", count - 1), (job, bad)
        assert bad == {
            count: [("parent", "Part 'nobody' does not exist")],
            count + 1: [("parent", "Part 'lost' does not exist")],
        }
        found = await site.rows(
            "SELECT c.name, p.name FROM parts c LEFT JOIN parts p ON p.id = c.parent_id WHERE c.name IN ('p1', 'p7')"
        )
        assert sorted(found) == [("p1", None), ("p7", "p3")]


@small_chunks(300)
async def test_a_cycle_by_name_is_written_as_a_whole_beside_bad_rows(
    database_url: str, limits: Mapping[str, Any]
) -> None:
    circle = [{"name": f"p{i}", "parent": f"p{(7 * i + 1) % 60}"} for i in range(60)]
    others = [{"name": "lost", "parent": "nobody"}, {"name": "bad", "parent": "p1"}, {"name": "below", "parent": "p2"}]
    async with table_site(database_url, PARTS_TABLE, PARTS, **limits) as site:
        job, bad = await site.load(circle + others)
        assert (job["status"], job["successCount"], set(bad)) == ("PartialSuccess", 61, {61, 62}), (job, bad)
        assert bad[61] == [("parent", "Part 'nobody' does not exist")]
        assert bad[62][0][0] == "name"
        found = await site.rows(
            "SELECT c.name, p.name FROM parts c JOIN parts p ON p.id = c.parent_id WHERE c.name IN ('p3', 'below')"
        )
        assert sorted(found) == [("below", "p2"), ("p3", "p22")]


@small_chunks(300)
async def test_only_a_cycle_with_a_bad_row_is_rejected(database_url: str, limits: Mapping[str, Any]) -> None:
    rows = [{"id": i, "parent": i % 20 + 1} for i in range(1, 21)]
    rows += [{"id": i, "parent": i - 1 if i > 31 else 50} for i in range(31, 51)]
    rows[30] = {**rows[30], "name": "bad"}
    async with table_site(database_url, PLAIN, NODES, **limits) as site:
        job, bad = await site.load([*rows, {"id": 60, "parent": 31}, {"id": 61, "parent": 1}])
        assert job["status"] == "PartialSuccess"
        assert set(bad) == {*range(21, 41), 41}
        assert "breaks the rule nodes_name_check" in bad[31][0][1]
        assert bad[32] == [_dangling(41)]
        assert await site.rows("SELECT count(*) FROM nodes") == [(21,)]


@small_chunks(60)
async def test_a_repeated_name_refers_to_the_row_that_stays(database_url: str, limits: Mapping[str, Any]) -> None:
    async with table_site(database_url, PARTS_TABLE, PARTS, **limits) as site:
        job, bad = await site.load([{"name": "a", "parent": "b"}, {"name": "b"}, {"name": "b"}])
        assert (job["status"], job["successCount"]) == ("PartialSuccess", 2), bad
        assert bad == {3: [("name", "Part with this name already exists")]}
        found = await site.rows("SELECT p.name FROM parts c JOIN parts p ON p.id = c.parent_id WHERE c.name = 'a'")
        assert found == [("b",)]


class Step(BaseModel):
    name: str
    before_id: int | None = None
    after_id: int | None = None


@small_chunks(300)
async def test_several_self_references_by_name_are_resolved(database_url: str, limits: Mapping[str, Any]) -> None:
    tables = """
        CREATE TABLE steps (
            id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text,
            before_id bigint REFERENCES steps, after_id bigint REFERENCES steps
        )
    """
    steps = Resource(
        name="steps",
        label="Step",
        label_field="name",
        model=Step,
        table="steps",
        references=tuple(
            Reference(f"{side}_id", table="steps", label="Step", lookup_field=side, lookup_column="name")
            for side in ("before", "after")
        ),
    )
    async with table_site(database_url, tables, steps, **limits) as site:
        rows = [
            {"name": f"s{i}"} | ({"before": f"s{i - 1}"} if i else {}) | ({"after": f"s{i + 1}"} if i < 49 else {})
            for i in range(50)
        ]
        job, bad = await site.load(rows)
        assert (job["status"], job["successCount"], bad) == ("Completed", 50, {})
        found = "SELECT count(*) FROM steps s JOIN steps a ON a.id = s.after_id WHERE a.before_id = s.id"
        assert await site.rows(found) == [(49,)]


async def _org(x_org: Annotated[int, Header()]) -> int:
    return x_org


FOLDERS = Resource(
    name="folders",
    label="Folder",
    label_field="id",
    model=Node,
    table="folders",
    context={"org_id": _org},
    references=(
        Reference("parent", table="folders", label="Folder", where="name NOT LIKE '%gone'", match={"org_id": "org_id"}),
    ),
)
FOLDERS_TABLE = """
    CREATE TABLE folders (org_id int NOT NULL, id int PRIMARY KEY, parent int REFERENCES folders, name text);
    INSERT INTO folders VALUES (1, 1, NULL, 'mine'), (1, 2, NULL, 'is gone'), (2, 3, NULL, 'of others');
"""


@small_chunks(60)
async def test_a_self_reference_respects_its_context_and_filter(database_url: str, limits: Mapping[str, Any]) -> None:
    async with table_site(database_url, FOLDERS_TABLE, FOLDERS, **limits) as site:
        rows = [{"id": 10 + parent, "parent": parent} for parent in (1, 2, 3, 11, 20)] + [{"id": 20}]
        job, bad = await site.load(rows, headers={**NDJSON, "x-org": "1"})
        assert (job["status"], job["successCount"]) == ("PartialSuccess", 4)
        assert bad == {number: [("parent", f"Folder {number} does not exist")] for number in (2, 3)}


def test_a_reference_can_match_only_context_columns() -> None:
    with pytest.raises(ResourceDeclarationError, match="matches org_id, which the context does not have"):
        replace(FOLDERS, context={})
