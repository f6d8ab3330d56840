"""Composes the parts of pulling for which packages are installed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bulkport.extras import has_extra
from bulkport.imports.body.part_store import PartStore
from bulkport.imports.ingest import Intake
from bulkport.imports.resource import Resources
from bulkport.jobs.port import JobEngine
from bulkport.limits import ImportLimits
from bulkport.pools import AsyncPool
from bulkport.pulls.access import SourceAccess
from bulkport.pulls.checker import SourceChecker
from bulkport.pulls.object_parts import ObjectParts
from bulkport.pulls.puller import Puller
from bulkport.pulls.stores import ObjectStore, StoreReader

if TYPE_CHECKING:
    from bulkport.egress import EgressPolicy


def source_access(policy: "EgressPolicy | None", stores: Mapping[str, ObjectStore]) -> SourceAccess:
    """Which sources requests may name; by default https outside of private networks."""
    if not has_extra("webhooks"):
        return SourceAccess(None, stores)
    from bulkport.egress import EgressPolicy  # noqa: PLC0415 # needs the extra

    return SourceAccess(policy or EgressPolicy(), stores)


def part_store(staging: ObjectStore | None) -> PartStore | None:
    """Where the bytes of uploads wait; None: in the database."""
    return None if staging is None else ObjectParts(staging)


def open_puller(
    pool: AsyncPool,
    engine: JobEngine,
    resources: Resources,
    limits: ImportLimits,
    access: SourceAccess,
    *,
    chunk_workers: int,
) -> Puller:
    """What fetches bodies in a worker; the task that looks at recurring sources is added to the engine."""
    web = None
    if access.policy is not None:
        from bulkport.egress import Egress  # noqa: PLC0415 # needs the extra
        from bulkport.pulls.web_source import WebReader  # noqa: PLC0415

        web = WebReader(Egress(access.policy, seconds=limits.body_idle_seconds))
    intake = Intake(engine, pool, pool, limits, chunk_workers)
    puller = Puller(pool, intake, web, StoreReader(access.stores), seconds=limits.pull_seconds)
    engine.add_task(SourceChecker(pool, intake, resources, puller, engine).task())
    return puller
