"""In which format a client wants what comes in several (`Accept`, RFC 9110 §12.5.1)."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from bulkport.errors import BulkportError
from bulkport.imports.formats import BodyFormat

_FORMATS: Final[Mapping[str, BodyFormat]] = {
    **{form.media_type: form for form in (BodyFormat.JSON, BodyFormat.NDJSON, BodyFormat.CSV, BodyFormat.EXCEL)},
    "application/*": BodyFormat.JSON,
    "*/*": BodyFormat.JSON,
    "text/*": BodyFormat.CSV,
}


_Format = TypeVar("_Format")


class NotAcceptable(BulkportError):
    """The report comes as application/json, application/x-ndjson, text/csv or a workbook (.xlsx)."""

    status = 406
    title = "Not acceptable"


def chosen_format(accept: str | None, asked: str | None = None) -> BodyFormat:
    """The format that an `Accept` header prefers (RFC 9110 §12.5.1); JSON without one.

    Parameters
    ----------
    asked:
        The format by its name in a query, which goes first.

    Raises
    ------
    NotAcceptable
        If it names none.
    """
    if asked is not None:
        return BodyFormat.EXCEL if asked == "xlsx" else BodyFormat(asked)
    if accept is None or not accept.strip():
        return BodyFormat.JSON
    chosen = preferred(accept, _FORMATS)
    if chosen is None:
        raise NotAcceptable
    return chosen


def preferred(accept: str, formats: Mapping[str, _Format]) -> _Format | None:
    """Of formats by their media ranges, the one that an `Accept` header prefers; None: it names none of them."""
    best: tuple[float, int] | None = None
    chosen: _Format | None = None
    for entry in accept.split(","):
        media_range, *parameters = (part.strip().lower() for part in entry.split(";"))
        found = formats.get(media_range)
        # Of equal weights the more specific range counts, then the first.
        rank = (_weight(parameters), -media_range.count("*"))
        if found is not None and rank[0] > 0 and (best is None or rank > best):
            best, chosen = rank, found
    return chosen


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
