"""The JSON API for imports of all users and the audit log."""

from typing import Any, Final

from bulkport.dashboard.core.audit_log import AuditFilter, AuditLog
from bulkport.dashboard.core.language import t
from bulkport.dashboard.core.page import Download, PageNotFound, PageRequest
from bulkport.dashboard.pages.api import resource
from bulkport.errors import BadRequest, JobNotFound
from bulkport.identifiers import MAX_BIGINT, ImportId
from bulkport.imports.admin import UNFINISHED, ImportFilter, OperatedImports
from bulkport.imports.states import ImportStatus

_MAX_LISTED: Final = 200
_MAX_KINDS: Final = 50
_UNFINISHED: Final = "in-flight"


def import_downloads(imports: OperatedImports) -> list[Download]:
    """`imports` and `imports/{import_id}`."""

    async def list_imports(request: PageRequest) -> Any:
        query = request.query
        found = await imports.find(
            ImportFilter(
                statuses=_statuses(query.get("status")),
                resource=query.get("resource") or None,
                user_id=query.get("user") or None,
                tag=query.get("tag") or None,
                text=query.get("text") or None,
            ),
            before=ImportId(query.number("before", MAX_BIGINT - 1, least=0, most=MAX_BIGINT - 1)),
            limit=query.number("size", 50, least=1, most=_MAX_LISTED),
        )
        return {"imports": found.items, "before": found.before}

    async def one_import(request: PageRequest) -> Any:
        number: int = request.params["import_id"]
        try:
            if number >= MAX_BIGINT:
                raise JobNotFound
            found = await imports.get(ImportId(number))
        except JobNotFound:
            raise PageNotFound(t("Import #{number} not found.", number=number)) from None
        return {"import": found, "errors": await imports.error_kinds(ImportId(number), most=_MAX_KINDS)}

    return [resource("imports", list_imports), resource("imports/{import_id:int}", one_import)]


def audit_downloads(audit: AuditLog) -> list[Download]:
    """`audit`."""

    async def list_entries(request: PageRequest) -> Any:
        query = request.query
        wanted = AuditFilter(query.get("actor") or None, query.get("action") or None, query.get("target") or None)
        size = query.number("size", 50, least=1, most=_MAX_LISTED)
        before = query.number("before", 0, least=0, most=MAX_BIGINT) or None
        entries = await audit.entries(wanted, before=before, limit=size)
        return {"entries": entries, "before": entries[-1].id if len(entries) == size else None}

    return [resource("audit", list_entries)]


def _statuses(status: str) -> frozenset[ImportStatus] | None:
    if not status:
        return None
    if status == _UNFINISHED:
        return UNFINISHED
    try:
        return frozenset({ImportStatus(status)})
    except ValueError:
        known = ", ".join((_UNFINISHED, *ImportStatus))
        raise BadRequest(t("Unknown status {status}; known are {known}.", status=f'"{status}"', known=known)) from None
