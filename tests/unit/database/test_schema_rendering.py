"""Statements are written for the schema `bulkport`; for another one each name's prefix changes, and nothing else."""

import re
from pathlib import Path

import psycopg
import pytest

import bulkport
from bulkport.database import InvalidSchemaName, cursor_classes, render, schema_name

SCRIPTS = sorted(Path(bulkport.__file__).parent.rglob("*.sql"))


@pytest.mark.parametrize(
    ("statement", "rendered"),
    [
        ("SELECT * FROM bulkport.jobs j", 'SELECT * FROM "etl".jobs j'),
        ("SELECT bulkport.claim(1)::bulkport.job_state", 'SELECT "etl".claim(1)::"etl".job_state'),
        ("SELECT to_regclass('bulkport.jobs')", "SELECT to_regclass('\"etl\".jobs')"),
        ("SELECT pg_get_serial_sequence('bulkport.jobs', 'id')", "SELECT pg_get_serial_sequence('\"etl\".jobs', 'id')"),
        ("SELECT nextval('bulkport.jobs_id')", "SELECT nextval('\"etl\".jobs_id')"),
        ("SELECT pg_relation_size('bulkport.jobs')", "SELECT pg_relation_size('\"etl\".jobs')"),
        ("SELECT 'bulkport.jobs'::regclass", "SELECT '\"etl\".jobs'::regclass"),
        ("CREATE SCHEMA IF NOT EXISTS bulkport;", 'CREATE SCHEMA IF NOT EXISTS "etl";'),
        # Texts, and longer names.
        ("SELECT bulkport.enqueue('bulkport.process_import')", "SELECT \"etl\".enqueue('bulkport.process_import')"),
        ("SELECT my_bulkport.x, a.bulkport.y", "SELECT my_bulkport.x, a.bulkport.y"),
        ("SELECT 'bulkport', bulkport FROM t", "SELECT 'bulkport', bulkport FROM t"),
    ],
)
def test_each_qualified_name_is_rewritten_but_no_text(statement: str, rendered: str) -> None:
    assert render(statement, "etl") == rendered
    assert render(statement) is statement


def test_the_default_schema_costs_nothing() -> None:
    assert cursor_classes("bulkport") == (psycopg.Cursor, psycopg.AsyncCursor)
    assert cursor_classes("etl") is cursor_classes("etl")


@pytest.mark.parametrize("name", ["", "Etl", "a-b", 'a"b', "pg_jobs", "public", "x" * 64, "1st"])
def test_a_name_that_needs_quoting_is_rejected(name: str) -> None:
    with pytest.raises(InvalidSchemaName):
        schema_name(name)


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_no_table_name_is_left_unrendered_in_a_script(file: Path) -> None:
    script = re.sub(r"--[^\n]*", "", file.read_text(encoding="utf-8"))
    left = re.findall(r"(\w*)\(?'(bulkport\.\w+)", render(script, "etl"))
    assert [found for found in left if found[0] not in {"pg_notify", "hashtext", "hashtextextended"}] == []
