"""Tests of `shop.py`, as an application has them for its jobs and its imports."""

import httpx
import pytest
from sqlalchemy.exc import IntegrityError

from bulkport.testing import assert_enqueued, assert_not_enqueued, drain, import_file, inline
from shop import bulkport, products, welcome


async def test_a_new_tenant_gets_an_email(api: httpx.AsyncClient) -> None:
    assert (await api.post("/tenants", params={"name": "Acme"})).status_code == 201
    await assert_enqueued(bulkport, welcome, "Acme")
    drained = await drain(bulkport)
    assert drained.succeeded == 1


async def test_an_existing_tenant_gets_no_email(api: httpx.AsyncClient) -> None:
    with pytest.raises(IntegrityError):
        await api.post("/tenants", params={"name": "Anvils Ltd"})
    await assert_not_enqueued(bulkport, welcome)


async def test_the_email_greets_the_tenant_by_name() -> None:
    with inline(bulkport) as jobs:
        await bulkport.enqueue(welcome, "Acme")
    assert jobs.jobs[0].result == "Welcome, Acme"


async def test_products_are_imported_for_one_tenant(api: httpx.AsyncClient) -> None:
    result = await import_file(bulkport, products, b"sku,name\nA1,Anvil\nB2,Bell\n", context={"tenant_id": 1})
    assert (result.status, result.succeeded) == ("Completed", 2)
