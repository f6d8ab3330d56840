"""All rows of a JSON envelope judged before it is accepted."""

from collections.abc import Sequence

from bulkport.imports.resource import Resource
from bulkport.imports.validation.chunk_validator import RowValidator
from bulkport.imports.values.options import PLAIN, ValueOptions


def validate_envelope(
    records: Sequence[bytes], resource: Resource, options: ValueOptions = PLAIN
) -> dict[str, list[str]]:
    """What is wrong with the rows of an envelope.

    Parameters
    ----------
    records:
        The rows as raw JSON, in order.
    options:
        How values are written.

    Returns
    -------
    Messages by path, such as `platforms[3].platformName` (counted from 0), or `platforms[3]` for the whole row; empty
    when all rows are valid.
    """
    validator = RowValidator(resource, streamed=False, options=options)
    found: dict[str, list[str]] = {}
    for row in validator.finish(validator.decode_json(records, 0), {}).errors:
        for error in row.errors:
            path = f"{resource.name}[{row.row}]"
            found.setdefault(f"{path}.{error.field}" if error.field else path, []).append(error.message)
    return found
