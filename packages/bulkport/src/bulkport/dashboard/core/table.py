"""The data of the table in `components.html`: columns, sort order and the link to the next page."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bulkport.dashboard.core.page import PageRequest

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    label: str
    """Its heading; empty for one of buttons."""
    sort_key: str | None = None
    """Its sort key; None if it is not sortable."""
    is_number: bool = False
    """Whether it is aligned right."""
    is_minor: bool = False
    """Whether narrow screens leave it out."""
    is_lesser: bool = False
    """Whether screens of middle width leave it out already."""


@dataclass(frozen=True, slots=True)
class Sorting:
    """The sort order of a table: `sort` and `order` in the page's query."""

    key: str
    descending: bool
    rising: Collection[str] = ()
    """Keys of which the lowest value comes first, unless the query says otherwise; of others the highest does."""

    @classmethod
    def of(cls, request: PageRequest, keys: Sequence[str], default: str, *, rising: Collection[str] = ()) -> "Sorting":
        """What the query says, if it is one of `keys`; else `default`."""
        key = request.query.choice("sort", keys, default)
        order = request.query.choice("order", ("asc", "desc"), "asc" if key in rising else "desc")
        return cls(key, order == "desc", rising)

    def link(self, request: PageRequest, key: str) -> str:
        """A link to the same page sorted by `key`; by the same key again: the other way round."""
        descending = not self.descending if key == self.key else key not in self.rising
        return request.here(sort=key, order="desc" if descending else "asc", cursor=None)


@dataclass(frozen=True, slots=True)
class Paging:
    """The cursor of the next page."""

    size: int
    """Rows on a page."""
    next_cursor: str | None
    """None: this is the last page."""
    sizes: tuple[int, ...] = (25, 50, 100, 200)
    previous_cursor: str | None = None
    """None: this is the first page, or the list cannot go back."""

    @classmethod
    def size_of(cls, request: PageRequest, default: int = 50) -> int:
        """The page size that the query's field `size` asks for."""
        return request.query.number("size", default, least=1, most=200)


def page_of(request: PageRequest, rows: Sequence[Row]) -> tuple[Sequence[Row], Paging]:
    """A page of rows that are all at hand. Its cursor is how many rows come before it."""
    size = Paging.size_of(request)
    start = request.query.number("cursor", 0, least=0, most=len(rows))
    following = str(start + size) if start + size < len(rows) else None
    previous = str(start - size) if start > size else None
    return rows[start : start + size], Paging(size, following, previous_cursor=previous)
