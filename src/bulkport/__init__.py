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
    from bulkport.facade import Bulkport
    from bulkport.limits import ImportLimits
    from bulkport.resources import ConflictPolicy, Reference, Resource
    from bulkport.validation import NotBlank
    from bulkport.worker_settings import WorkerSettings

__all__ = ["Bulkport", "ConflictPolicy", "ImportLimits", "NotBlank", "Reference", "Resource", "WorkerSettings"]

_MODULES = {
    "Bulkport": "bulkport.facade",
    "ConflictPolicy": "bulkport.resources",
    "ImportLimits": "bulkport.limits",
    "NotBlank": "bulkport.validation",
    "Reference": "bulkport.resources",
    "Resource": "bulkport.resources",
    "WorkerSettings": "bulkport.worker_settings",
}


def __getattr__(name: str) -> Any:
    # On first use: a command line that only sends imports need not load a web framework.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_MODULES[name]), name)
