"""Distinct types for ids that must not be mistaken for one another."""

from typing import Final, NewType

ImportId = NewType("ImportId", int)
"""Primary key of an import job (`bulk_import_jobs.id`), a positive 64-bit integer."""

BackgroundJobId = NewType("BackgroundJobId", str)
"""Id of a background job as its engine names it; at most 100 characters."""

UserId = NewType("UserId", str)
"""The tenant: the `sub` claim of the token the API key was registered with."""

MAX_BIGINT: Final = 2**63 - 1
"""Largest value of PostgreSQL's `bigint`."""
