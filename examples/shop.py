"""An existing application on SQLAlchemy and asyncpg, with its own tenants, products and sign-in.

The lines between the marks add imports, jobs and the dashboard; `docs/tutorial.md` explains them.
"""

import os
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException, Request
from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql+asyncpg://localhost/shop")


class Base(DeclarativeBase):
    """Base of the tables."""


class Tenant(Base):
    """A customer of the shop software."""

    __tablename__ = "tenants"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)


class Product(Base):
    """Something that a tenant sells."""

    __tablename__ = "products"
    __table_args__ = (UniqueConstraint("tenant_id", "sku"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    sku: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(200))


engine = create_async_engine(DATABASE_URL)
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI(title="Shop")


async def current_tenant(x_tenant: Annotated[str, Header()] = "") -> int:
    """The tenant of a request; a real application checks a token."""
    if not x_tenant.isdecimal():
        raise HTTPException(401, "Who are you?")
    return int(x_tenant)


def operator(request: Request) -> str | None:
    """The operator of the shop who sent a request, if any; a real application checks a session."""
    return request.headers.get("x-operator") or os.environ.get("OPERATOR")


# --- Bulkport ---
from bulkport import Bulkport, Resource  # noqa: E402

products = Resource.of(Product, name="products", context={"tenant_id": current_tenant})
bulkport = Bulkport(DATABASE_URL, resources=[products])
app.router.lifespan_context = bulkport.lifespan
app.include_router(bulkport.router(user=current_tenant))
app.mount("/jobs", bulkport.dashboard(access=operator))


@bulkport.task(queue="mail")
async def welcome(tenant: str) -> str:
    return f"Welcome, {tenant}"


# --- until here ---


@app.post("/tenants", status_code=201)
async def create_tenant(name: str) -> dict[str, int]:
    """Sign up: the tenant and the job that welcomes them are stored in one transaction."""
    async with sessions.begin() as session:
        session.add(tenant := Tenant(name=name))
        await session.flush()
        await bulkport.enqueue(welcome.call(name), connection=session)
    return {"id": tenant.id}


async def create_tables() -> None:
    """Create the application's own tables; a real one uses Alembic."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
