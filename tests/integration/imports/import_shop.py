"""A shop: an application of its own whose only link to imports is what it declares here.

Nothing of the Command API is imported. Its products have a column of every kind that imports promise to carry.
"""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from bulkport import Bulkport, ConflictPolicy, ImportLimits, NotBlank, Reference, Resource
from bulkport.fastapi import problems
from bulkport.fastapi.middleware import EdgeMiddleware
from bulkport.jobs.port import EngineFactory
from bulkport.jobs.postgres import PostgresEngine

TABLES = """
    CREATE SCHEMA shelf;
    CREATE TABLE shelf.makers (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), maker_name text NOT NULL);
    CREATE TABLE products (
        id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        sku            varchar(20) NOT NULL UNIQUE,
        title          text        NOT NULL CHECK (title <> 'forbidden'),
        quantity       integer     NOT NULL,
        price          numeric     NOT NULL CONSTRAINT price_not_absurd CHECK (price < 1e30),
        available_from date        NOT NULL,
        size           text        NOT NULL,
        currency       char(3)     NOT NULL,
        note           text,
        stock_code     varchar(5)
    );
    CREATE TABLE offers (
        sku      text PRIMARY KEY,
        barcode  text UNIQUE,
        title    text NOT NULL
    );
    CREATE TABLE coupons (code text UNIQUE, title text NOT NULL);
    CREATE TABLE parts (
        part_number text   NOT NULL,
        maker       uuid   NOT NULL REFERENCES shelf.makers (id),
        fits        bigint REFERENCES products (id) DEFERRABLE INITIALLY DEFERRED,
        UNIQUE (maker, part_number)
    );
"""


class Size(StrEnum):
    SMALL = "S"
    LARGE = "L"


class Row(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class Product(Row):
    sku: Annotated[str, NotBlank, Field(max_length=20)]
    title: str
    quantity: int
    unit_price: Decimal
    available_from: date
    size: Size
    currency: Annotated[str, Field(min_length=3, max_length=3)] = "EUR"
    note: str | None = None
    stock_code: str | None = None

    @field_validator("sku")
    @classmethod
    def _is_upper(cls, sku: str) -> str:
        if sku != sku.upper():
            raise ValueError("must be in capitals")
        return sku

    @model_validator(mode="after")
    def _says_something_new(self) -> Self:
        if self.note is not None and self.note == self.title:
            raise ValueError("the note repeats the title")
        return self


class Offer(Row):
    sku: Annotated[str, NotBlank]
    barcode: str | None = None
    title: str


class Coupon(Row):
    code: str | None = None
    title: str


class Part(Row):
    part_number: Annotated[str, NotBlank]
    maker: UUID
    fits: int | None = None


PRODUCTS = Resource(
    name="products",
    label="Product",
    label_field="sku",
    model=Product,
    table="products",
    columns={"unit_price": "price"},
)


def offers(conflict: ConflictPolicy) -> Resource:
    key = () if conflict is ConflictPolicy.REJECT else ("sku",)
    return Resource(
        name=f"offers-{conflict}",
        label="Offer",
        label_field="title",
        model=Offer,
        table="offers",
        conflict=conflict,
        conflict_key=key,
    )


COUPONS = Resource(
    name="coupons",
    label="Coupon",
    label_field="title",
    model=Coupon,
    table="coupons",
    conflict=ConflictPolicy.SKIP,
    conflict_key=("code",),
)

PARTS = Resource(
    name="parts",
    label="Part",
    label_field="part_number",
    model=Part,
    table="public.parts",
    references=(
        Reference("maker", table="shelf.makers", label="Maker", lookup_field="maker_name", lookup_column="maker_name"),
    ),
)


def shop_bulkport(engine: EngineFactory = PostgresEngine, **limits: Any) -> Bulkport:
    resources = [PRODUCTS, *map(offers, ConflictPolicy), COUPONS, PARTS]
    return Bulkport(None, resources=resources, limits=ImportLimits(**limits), engine=engine)


async def shopkeeper(x_shopkeeper: Annotated[str | None, Header()] = None) -> str:
    """Whoever they say they are."""
    if not x_shopkeeper:
        raise HTTPException(401)
    return x_shopkeeper


def shop_app(bulkport: Bulkport, database_url: str) -> FastAPI:
    """The shop's web application."""

    bulkport.database_url = database_url
    app = FastAPI(lifespan=bulkport.lifespan)
    app.add_middleware(EdgeMiddleware)
    problems.install(app)
    app.include_router(bulkport.router(user=shopkeeper, job_id_name="hangfireJobId"), prefix="/api")
    return app
