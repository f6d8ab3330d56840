"""What Alembic's autogenerate is to leave alone."""

from typing import Any

from bulkport.database import DEFAULT_SCHEMA


def include_object(
    item: Any,
    name: str | None = None,
    type_: str = "",
    reflected: bool = False,
    compare_to: object = None,
    *,
    schema: str = DEFAULT_SCHEMA,
) -> bool:
    """Whether Alembic is to compare this object: all but what is in Bulkport's schema.

    For `context.configure(include_object=…)` of an `env.py`; with another schema, as
    `functools.partial(include_object, schema="…")`. Only environments with `include_schemas=True` need it.
    """
    table = getattr(item, "table", item)
    return bool(getattr(table, "schema", None) != schema)
