"""The dashboard: watch and control background jobs and imports in a browser.

`Dashboard` is mounted in an application. It knows nothing of jobs; it is given components: pages, their entry in the
navigation, and actions.

- `core/`: pages, actions, rendering, live updates, security. Knows of no page.
- `access/`: who may see the dashboard and who may act.
- `pages/`: one module a page; each makes a `Component`. Built on `core` alone.
- `templates/` extend `frame.html` and use the macros in `components.html` and `charts.html`.
- `static/`: one style sheet, one script, icons. Nothing is loaded from elsewhere and nothing is inline (strict CSP).
"""

from bulkport.extras import require_extra

for _module in ("jinja2", "itsdangerous", "fastapi"):
    require_extra("dashboard", _module)

from bulkport.dashboard.access.link import LinkAccess
from bulkport.dashboard.access.sessions import Session, Sessions
from bulkport.dashboard.access.viewers import Access, Authorize, ClosedAccess, HookAccess, OpenAccess
from bulkport.dashboard.core.action import Action, ActionRefused, ActionRequest, Audit, Done, Form
from bulkport.dashboard.core.audit_log import AuditEntry, AuditLog
from bulkport.dashboard.core.masking import DEFAULT_MASKED_NAMES, Masking
from bulkport.dashboard.core.page import Counts, Entry, Page, PageNotFound, PageRequest, Query, Search, Section
from bulkport.dashboard.core.viewer import Role, Viewer
from bulkport.dashboard.dashboard import Dashboard
from bulkport.dashboard.pages.job_format import JobFormat

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
    "JobFormat",
    "LinkAccess",
    "Masking",
    "OpenAccess",
    "Page",
    "PageNotFound",
    "PageRequest",
    "Query",
    "Role",
    "Search",
    "Section",
    "Session",
    "Sessions",
    "Viewer",
]
