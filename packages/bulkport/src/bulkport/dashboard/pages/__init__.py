"""The pages, and what a page is made of (`page.py`).

Each module makes one page or a few that belong together, as a `Part`: what it needs is given to it, and an application
puts the parts together that it has use for.
"""

from bulkport.dashboard.pages.page import (
    Counts,
    CountsSource,
    Download,
    Entry,
    Load,
    Page,
    PageNotFound,
    PageRequest,
    Query,
    Search,
    Section,
    no_counts,
)

__all__ = [
    "Counts",
    "CountsSource",
    "Download",
    "Entry",
    "Load",
    "Page",
    "PageNotFound",
    "PageRequest",
    "Query",
    "Search",
    "Section",
    "no_counts",
]
