"""Pages that belong together, with the actions on them: what a dashboard is put together of."""

from collections.abc import Sequence
from dataclasses import dataclass

from bulkport.dashboard.actions import Action
from bulkport.dashboard.pages import Download, Page, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One entry of the navigation and what is behind it."""

    section: Section
    pages: Sequence[Page]
    actions: Sequence[Action] = ()
    downloads: Sequence[Download] = ()
