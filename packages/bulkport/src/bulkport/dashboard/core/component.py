"""Pages that belong together, with the actions on them: what a dashboard is put together of."""

from collections.abc import Sequence
from dataclasses import dataclass

from bulkport.dashboard.core.action import Action
from bulkport.dashboard.core.page import Download, Page, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One entry of the navigation and what is behind it."""

    section: Section
    pages: Sequence[Page]
    actions: Sequence[Action] = ()
    downloads: Sequence[Download] = ()
