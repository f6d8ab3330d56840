"""Lists in pages: the query parameters, the envelope, and the two statements behind them."""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Annotated, Any, Final, Generic, TypeVar

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from bulkport.errors import ValidationFailed
from bulkport.fastapi.schemas import WireQuery, WireView

ItemT = TypeVar("ItemT", bound=WireView)

MAX_PAGE_SIZE: Final = 100
MAX_SEARCH_CHARACTERS: Final = 250
MAX_PAGE_BYTES: Final = 2 * 2**20
"""Of texts of any length: what is written as JSON on the event loop is written in milliseconds."""


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul_character", "must not contain the character NUL")
    return text


class PageQuery(WireQuery):
    """Query parameters that every list takes; a resource's own adds `sort_by`."""

    page_index: Annotated[int, Field(ge=1, le=2**31 - 1, description="Page number, starting at 1.")] = 1
    page_size: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE, description="Items per page.")] = 20
    search: Annotated[
        str,
        AfterValidator(_without_nul),
        Field(max_length=MAX_SEARCH_CHARACTERS, description="Text to find anywhere in an item, ignoring case."),
    ] = ""
    descending: Annotated[bool, Field(description="Sort in descending order.")] = False


class Page(WireView, Generic[ItemT]):
    """One page of a list."""

    items: list[ItemT]
    """Items of the page."""
    page_index: int
    """Number of the page, from 1."""
    page_size: int
    """Items per page."""
    total_count: Annotated[int, Field(description="Number of items on all pages.")]
    total_pages: int
    """Number of pages."""
    has_previous_page: bool
    """Whether there is a previous page."""
    has_next_page: bool
    """Whether there is a next page."""


async def read_page(
    session: AsyncSession,
    matching: Select[Any],
    query: PageQuery,
    page: type[Page[ItemT]],
    *,
    identity: InstrumentedAttribute[int],
    sort_by: InstrumentedAttribute[Any],
    search_in: Sequence[InstrumentedAttribute[str]],
    long_texts: Sequence[InstrumentedAttribute[str]] = (),
) -> Page[ItemT]:
    """Read the page that `query` asks for.

    Items that are equal in `sort_by` are ordered by their id, so none is on two pages.

    Parameters
    ----------
    matching:
        Selects the mapped objects, before search, order and limit.
    page:
        Model of the answer, such as `Page[PlatformView]`.
    identity, sort_by, search_in:
        Attributes of the mapped class: its id, the one to sort by, and those the search text may be found in.
    long_texts:
        Attributes of which all on a page may have `MAX_PAGE_BYTES` together.

    Raises
    ------
    ValidationFailed
        They have more; a page of one item may always be read.
    """
    if query.search:
        matching = matching.where(or_(*(text.icontains(query.search, autoescape=True) for text in search_in)))
    total_count = await session.scalar(matching.with_only_columns(func.count(), maintain_column_froms=True)) or 0
    order = [column.desc() if query.descending else column.asc() for column in dict.fromkeys((sort_by, identity))]
    matching = matching.order_by(*order).limit(query.page_size).offset((query.page_index - 1) * query.page_size)
    if long_texts and query.page_size > 1:
        # How long a stored text is, PostgreSQL knows without reading it.
        sizes = reduce(add, (func.octet_length(text) for text in long_texts))
        measured = matching.with_only_columns(identity, sizes, maintain_column_froms=True)
        size_of: dict[int, int] = dict(map(tuple, await session.execute(measured)))
        if (size := sum(size_of.values())) > MAX_PAGE_BYTES:
            told = f"the items of this page have {size:,} bytes, and a page may have {MAX_PAGE_BYTES:,}"
            raise ValidationFailed({"pageSize": [f"pageSize must be smaller here: {told}"]})
        by_id = {
            getattr(item, identity.key): item
            for item in await session.scalars(select(identity.class_).where(identity.in_(size_of)))
        }
        items = [by_id[found] for found in size_of if found in by_id]
    else:
        items = list(await session.scalars(matching))
    total_pages = -(-total_count // query.page_size)
    return page.model_validate(
        {
            "items": items,
            "page_index": query.page_index,
            "page_size": query.page_size,
            "total_count": total_count,
            "total_pages": total_pages,
            "has_previous_page": query.page_index > 1,
            "has_next_page": query.page_index < total_pages,
        }
    )
