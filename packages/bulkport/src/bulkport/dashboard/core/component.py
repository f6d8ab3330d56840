"""Components of a dashboard: related pages with their actions."""

from collections.abc import Sequence
from dataclasses import dataclass

from bulkport.dashboard.core.action import Action
from bulkport.dashboard.core.page import Download, Page, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """An entry of the navigation and its page."""

    section: Section
    pages: Sequence[Page]
    actions: Sequence[Action] = ()
    downloads: Sequence[Download] = ()
