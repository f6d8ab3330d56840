"""Bulkport: durable bulk imports for FastAPI and PostgreSQL.

An application declares resources and gets endpoints that take any number of records, and workers that store them
exactly once::

    products = Resource(name="products", label="Product", label_field="name", model=Product, table="products")
    bulkport = Bulkport([products])

`Bulkport` (`facade.py`) is where to begin reading. A request to import goes through `http` and `intake`; a worker
through `background` and `processing`; `docs/walkthrough.md` follows one import all the way.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bulkport.app import Bulkport
    from bulkport.imports.options import ReadingOptions
    from bulkport.imports.resource import ConflictPolicy, Reference, Resource
    from bulkport.imports.validation import NotBlank
    from bulkport.limits import ImportLimits
    from bulkport.worker_settings import WorkerSettings

__all__ = [
    "Bulkport",
    "ConflictPolicy",
    "ImportLimits",
    "NotBlank",
    "ReadingOptions",
    "Reference",
    "Resource",
    "WorkerSettings",
]

_MODULES = {
    "Bulkport": "bulkport.app",
    "ConflictPolicy": "bulkport.imports.resource",
    "ImportLimits": "bulkport.limits",
    "NotBlank": "bulkport.imports.validation",
    "ReadingOptions": "bulkport.imports.options",
    "Reference": "bulkport.imports.resource",
    "Resource": "bulkport.imports.resource",
    "WorkerSettings": "bulkport.worker_settings",
}


def __getattr__(name: str) -> Any:
    # On first use: a command line that only sends imports need not load a web framework.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_MODULES[name]), name)
