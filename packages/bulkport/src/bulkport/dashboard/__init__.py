"""The dashboard: see and steer background work, in a browser.

`Dashboard` (`dashboard.py`) is mounted in an application and knows nothing of jobs: it is given pages, sections,
actions and counts. `pages.py` says what a page is, `actions.py` what an action is; templates build on
`templates/frame.html` and the macros in `components.html` and `charts.html`.

- `access/`: who may see and who may act. `csrf.py`: forms are the dashboard's own.
- `live/`: one poller a server process and a stream of changed fragments to each open page.
- `formatting.py`, `charts.py`, `tables.py`, `masking.py`: what templates show, computed.
- `static/`: one style sheet, one script, icons. Nothing comes from elsewhere, and nothing is inline (strict CSP).
"""

from bulkport.dashboard.access.viewers import (
    Access,
    Authorize,
    ClosedAccess,
    HookAccess,
    LoopbackAccess,
    Role,
    Viewer,
)
from bulkport.dashboard.actions import Action, ActionRefused, ActionRequest, Audit, Done, Form
from bulkport.dashboard.audit import AuditEntry, AuditLog
from bulkport.dashboard.dashboard import Dashboard
from bulkport.dashboard.masking import DEFAULT_MASKED_NAMES, Masking
from bulkport.dashboard.pages import Counts, Entry, Page, PageNotFound, PageRequest, Query, Search, Section

__all__ = [
    "DEFAULT_MASKED_NAMES",
    "Access",
    "Action",
    "ActionRefused",
    "ActionRequest",
    "Audit",
    "AuditEntry",
    "AuditLog",
    "Authorize",
    "ClosedAccess",
    "Counts",
    "Dashboard",
    "Done",
    "Entry",
    "Form",
    "HookAccess",
    "LoopbackAccess",
    "Masking",
    "Page",
    "PageNotFound",
    "PageRequest",
    "Query",
    "Role",
    "Search",
    "Section",
    "Viewer",
]
