"""All settings of the Command API, read from the environment with the prefix `COMMANDAPI_`."""

import ipaddress
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bulkport.egress import EgressPolicy
from bulkport.imports.retention import ImportRetention
from bulkport.jobs import RetentionPolicy
from bulkport.limits import ImportLimits
from bulkport.pulls.stores import ObjectStore
from commandapi.data_folder import default_data_folder
from commandapi.object_stores import StoreSettings
from commandapi.ownership import Tenancy
from commandapi.registrations.issuer_url import IssuerUrl, is_insecure

if TYPE_CHECKING:
    from bulkport.fastapi.request_limits import RequestLimits


class Environment(StrEnum):
    """Where the server runs; decides on log format, docs page and what is reachable."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
]
"""Least severe message that is logged; any case."""


class Settings(BaseSettings):
    """One field is one environment variable: `database_url` is `COMMANDAPI_DATABASE_URL`."""

    model_config = SettingsConfigDict(env_prefix="COMMANDAPI_", extra="ignore")

    database_url: str | None = Field(
        default=None,
        description="PostgreSQL 15 or newer, such as postgresql://user:password@host/database. "
        "If unset, an embedded PostgreSQL runs in data_dir.",
    )
    environment: Environment = Field(
        default_factory=lambda given: Environment.PRODUCTION if given.get("database_url") else Environment.DEVELOPMENT,
        description="Default: development on the embedded database, production on a configured one.",
    )
    data_dir: Path = Field(
        default_factory=default_data_folder,
        description="Data folder of the embedded database.",
    )
    log_level: LogLevel = "INFO"
    tenancy: Tenancy = Field(
        default=Tenancy.SHARED,
        description="`shared`: all users share one catalogue; `isolated`: each user has a private one.",
    )

    oidc_issuer: IssuerUrl | None = Field(
        default=None, description="OpenID Connect issuer, such as https://tenant.example/"
    )
    oidc_audience: str | None = Field(default=None, description="Audience that tokens must have.")
    oidc_cache_seconds: float = Field(default=600, gt=0, description="How long the issuer's signing keys are cached.")
    oidc_refresh_seconds: float = Field(
        default=10,
        ge=0,
        description="Minimum interval between requests to the issuer that an unknown key or a failure causes.",
    )
    oidc_timeout_seconds: float = Field(default=5, gt=0, description="Timeout of requests to the issuer.")
    requests_per_minute: int = Field(
        default=180_000, ge=1, description="Requests per user and minute, across all server processes."
    )
    key_overlap_seconds: float = Field(
        default=86_400.0, ge=0, description="How long a key remains valid after it was rotated."
    )
    max_api_keys: int = Field(default=20, ge=1, description="Active API keys per user.")

    docs_enabled: bool | None = Field(
        default=None, description="Serve the API docs page; default: only in development."
    )

    dashboard_path: str = Field(default="/hangfire", pattern=r"^(/[\w.~-]+)+$", description="Path of the dashboard.")
    dashboard_open: bool = Field(
        default=False, description="Makes everyone who can reach the server an operator of the dashboard."
    )
    dashboard_oidc_client_id: str | None = Field(
        default=None, description="Client id of the dashboard at the issuer; if unset, sign-in is off."
    )
    dashboard_oidc_client_secret: SecretStr | None = Field(
        default=None, description="Client secret; if unset, the dashboard is a public client (PKCE)."
    )
    dashboard_oidc_scope: str = Field(default="openid profile email", description="Scopes that the sign-in requests.")
    dashboard_role_claim: str = Field(
        default="roles",
        min_length=1,
        description="Claim of the ID token that lists the roles; dots address nested objects.",
    )
    dashboard_operator_role: str = Field(default="operator", min_length=1, description="Role that may act.")
    dashboard_viewer_role: str = Field(default="viewer", min_length=1, description="Role that may only read.")
    dashboard_session_secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="Signs the dashboard's cookies; the same for all servers. Required for sign-in in production.",
    )
    dashboard_session_seconds: float = Field(default=28800, gt=0, description="How long a sign-in lasts.")
    dashboard_public_url: str | None = Field(
        default=None,
        description="Public URL of the dashboard if a proxy hides it; the sign-in returns there.",
    )
    key_page_path: str = Field(
        default="/keys",
        pattern=r"^(/[\w.~-]+)+$",
        description="Path of the page where signed-in users manage their API keys.",
    )
    key_page_public_url: str | None = Field(default=None, description="Public URL of that page if a proxy hides it.")
    dashboard_masked_names: str = Field(
        default="password,token,secret,api_key,authorization",
        description="Names of arguments whose values the dashboard hides, comma-separated.",
    )

    cors_origins: str | None = Field(default=None, description="Origins whose web pages may call the API; * for all.")
    api_pool_size: int = Field(default=10, ge=1, description="Database connections per server process for requests.")
    database_wait_seconds: float = Field(
        default=3.0, gt=0, description="Longest wait of a request for a database connection, before a 503."
    )
    database_start_seconds: float = Field(
        default=60.0, ge=0, description="How long serve and worker wait for PostgreSQL at startup."
    )
    metrics_token: SecretStr | None = Field(default=None, description="Bearer token for /metrics.")
    metrics_allowed_networks: str = Field(
        default="127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7",
        description="Networks that may read /metrics without a token, but not through a proxy; comma-separated.",
    )
    statement_seconds: float = Field(default=30.0, gt=0, description="Longest SQL statement of a request.")
    loop_patience_seconds: float = Field(
        default=0.25, gt=0, description="Event loop lag above which the log names the request that blocks the loop."
    )
    max_query_bytes: int = Field(default=8 * 1024, ge=1, description="Size of the query string.")
    max_header_bytes: int = Field(default=64 * 1024, ge=1, description="Size of all request headers.")
    max_headers: int = Field(default=200, ge=20, description="Number of request headers.")
    header_seconds: float = Field(default=10.0, gt=0, description="Time in which the request headers must arrive.")
    send_seconds: float = Field(default=60.0, gt=0, description="How long a client may stop reading its response.")
    max_connections: int = Field(default=4000, ge=1, description="Client connections per server process.")
    max_connections_per_address: int = Field(default=1000, ge=1, description="Client connections per address.")
    max_user_requests: int = Field(default=400, ge=1, description="Concurrent requests per user and server process.")
    max_user_queued_imports: int = Field(default=100_000, ge=1, description="Unfinished imports per user.")
    max_user_queued_rows: int = Field(
        default=10_000_000_000, ge=1, description="Records in a user's unfinished imports."
    )
    max_user_queued_bytes: int = Field(
        default=256 * 2**30, ge=1, description="Size of the bodies of a user's unfinished imports."
    )
    max_user_stored_bytes: int = Field(
        default=64 * 2**30, ge=1, description="Storage per user: waiting imports, error reports and uploads."
    )
    disk_watermark_bytes: int = Field(default=512 * 2**20, ge=0, description="Free disk space that must remain.")
    max_reported_rows: int = Field(
        default=100_000, ge=0, description="Rejected rows that are reported individually per import."
    )
    upload_limit: int = Field(default=32, ge=1, description="Concurrent long uploads per server process.")
    user_upload_limit: int = Field(default=8, ge=1, description="Concurrent long uploads per user.")
    spool_dir: str | None = Field(default=None, description="Folder for long bodies while they are received.")

    worker_concurrency: int = Field(default=20, ge=1, description="Concurrent background jobs per worker process.")
    worker_chunk_slots: int = Field(default=2, ge=1, description="Concurrent chunks per worker process.")
    worker_nice: int = Field(default=5, ge=0, le=19, description="Niceness of the workers that serve starts.")
    light_workers: int = Field(default=1, ge=0, description="Workers without heavy tasks that serve starts besides.")
    worker_heartbeat_seconds: float = Field(default=3.0, gt=0)
    worker_stalled_seconds: float = Field(
        default=12.0, gt=0, description="Time without a heartbeat after which a worker is considered dead."
    )
    worker_shutdown_seconds: float = Field(default=20.0, ge=0, description="Grace period for running jobs on SIGTERM.")

    jobs_keep_succeeded_days: float | None = Field(
        default=7, ge=0, le=36_500, description="Retention of succeeded and cancelled background jobs."
    )
    jobs_keep_failed_days: float | None = Field(
        default=30, ge=0, le=36_500, description="Retention of failed background jobs."
    )
    imports_keep_days: float | None = Field(
        default=90, ge=0, le=36_500, description="Retention of finished imports with their error reports."
    )
    audit_keep_days: float | None = Field(default=365, ge=0, le=36_500, description="Retention of the audit.")

    chunk_workers: int = Field(default=2, ge=1, description="Background jobs per large import.")
    import_max_attempts: int = Field(default=10, ge=1, description="Attempts without progress before an import fails.")
    import_retry_base_seconds: float = Field(
        default=1.0, gt=0, description="Delay after the first failed attempt; it doubles."
    )
    import_retry_max_seconds: float = Field(default=60.0, gt=0)
    import_max_outage_seconds: float = Field(
        default=21_600.0, gt=0, description="How long consecutive attempts may lose the database connection."
    )

    max_envelope_records: int = Field(default=1000, ge=1)
    max_envelope_bytes: int = Field(default=32 * 2**20, ge=1)
    max_body_bytes: int = Field(default=64 * 2**30, ge=1)
    max_record_bytes: int = Field(default=2**20, ge=1)
    max_compression_ratio: int = Field(default=200, ge=1)
    chunk_bytes: int = Field(default=640_000, ge=1)
    max_file_bytes: int = Field(default=64 * 2**20, ge=1, description="Size of a workbook or Parquet file.")
    max_file_cells: int = Field(default=5_000_000, ge=1, description="Cells in a sheet or Parquet file.")
    max_file_memory_bytes: int = Field(
        default=2**30, ge=2**28, description="Memory of the process that reads a workbook or Parquet file."
    )
    body_idle_seconds: float = Field(default=60.0, gt=0)
    body_min_rate: int = Field(default=1024, ge=0, description="Minimum rate of a body in bytes per second.")
    body_grace_seconds: float = Field(default=30.0, ge=0, description="Grace period before the minimum rate applies.")
    body_cpu_seconds: float = Field(
        default=60.0, gt=0, description="Processor time for reading one body, plus one second per 16 MiB."
    )
    max_rows: int = Field(default=1_000_000_000, ge=1)
    max_blank_lines: int = Field(default=1_000_000, ge=0)
    egress_allowed_networks: str = Field(
        default="", description="Private networks that webhooks and sources may reach, comma-separated."
    )
    egress_allow_http: bool = Field(default=False, description="Allows webhooks and sources without TLS.")
    stores: dict[str, StoreSettings] = Field(
        default={},
        description="Object stores and folders that imports may be pulled from, as JSON: "
        '`{"exports": {"url": "s3://bucket/prefix", "options": {"region": "eu-central-1"}, "users": ["ada"]}}`.',
    )
    staging: StoreSettings | None = Field(
        default=None,
        description="Object store or folder for resumable uploads until they are imported, as JSON: "
        '`{"url": "s3://bucket/uploads", "options": {"region": "eu-central-1"}}`. If unset, PostgreSQL.',
    )
    undo: Literal["created", "full"] = Field(
        default="created",
        description="`created`: an undo removes rows that the import created; `full`: it also restores rows that "
        "the import updated or deleted, whose old values are stored with it.",
    )
    pull_seconds: float = Field(default=21_600.0, gt=0, description="Longest time for fetching one file from a source.")
    max_staged_uploads: int = Field(default=100, ge=1)
    max_staged_bytes: int = Field(default=10 * 2**30, ge=1)
    staged_seconds: float = Field(default=86_400.0, gt=0)
    idempotency_seconds: float = Field(default=86_400.0, gt=0, description="How long an Idempotency-Key is remembered.")

    @field_validator(
        "oidc_issuer",
        "oidc_audience",
        "dashboard_oidc_client_id",
        "dashboard_oidc_client_secret",
        "dashboard_session_secret",
        "dashboard_public_url",
        "key_page_public_url",
        "spool_dir",
        "metrics_token",
        "cors_origins",
        mode="before",
    )
    @classmethod
    def _unset_when_blank(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator(
        "jobs_keep_succeeded_days", "jobs_keep_failed_days", "imports_keep_days", "audit_keep_days", mode="before"
    )
    @classmethod
    def _for_good_when_never(cls, value: object) -> object:
        return None if value == "never" else value

    @field_validator("metrics_allowed_networks")
    @classmethod
    def _require_address_networks(cls, value: str) -> str:
        for word in _words(value):
            ipaddress.ip_network(word)
        return value

    @field_validator("egress_allowed_networks")
    @classmethod
    def _require_networks(cls, value: str) -> str:
        EgressPolicy.of(_words(value))
        return value

    @model_validator(mode="after")
    def _require_https_in_production(self) -> Self:
        if self.environment is Environment.PRODUCTION and self.oidc_issuer and is_insecure(self.oidc_issuer):
            raise ValueError("COMMANDAPI_OIDC_ISSUER must be an https address in production")
        return self

    @model_validator(mode="after")
    def _require_what_sign_in_needs(self) -> Self:
        if self.dashboard_oidc_client_id is None:
            return self
        if self.oidc_issuer is None:
            raise ValueError("COMMANDAPI_DASHBOARD_OIDC_CLIENT_ID needs COMMANDAPI_OIDC_ISSUER")
        if self.environment is Environment.PRODUCTION and self.dashboard_session_secret is None:
            raise ValueError(
                "COMMANDAPI_DASHBOARD_OIDC_CLIENT_ID needs COMMANDAPI_DASHBOARD_SESSION_SECRET in production"
            )
        return self

    def import_limits(self) -> ImportLimits:
        """The limits of the bulk endpoints."""
        return ImportLimits(
            max_envelope_records=self.max_envelope_records,
            max_envelope_bytes=self.max_envelope_bytes,
            max_body_bytes=self.max_body_bytes,
            max_record_bytes=self.max_record_bytes,
            max_compression_ratio=self.max_compression_ratio,
            chunk_bytes=self.chunk_bytes,
            max_file_bytes=self.max_file_bytes,
            max_file_cells=self.max_file_cells,
            max_file_memory_bytes=self.max_file_memory_bytes,
            body_idle_seconds=self.body_idle_seconds,
            body_min_rate=self.body_min_rate,
            body_grace_seconds=self.body_grace_seconds,
            body_cpu_seconds=self.body_cpu_seconds,
            max_rows=self.max_rows,
            max_blank_lines=self.max_blank_lines,
            max_user_uploads=self.user_upload_limit,
            spool_folder=self.spool_dir,
            max_reported_rows=self.max_reported_rows,
            max_user_queued_imports=self.max_user_queued_imports,
            max_user_queued_rows=self.max_user_queued_rows,
            max_user_queued_bytes=self.max_user_queued_bytes,
            max_user_stored_bytes=self.max_user_stored_bytes,
            disk_watermark_bytes=self.disk_watermark_bytes,
            watched_folders=(str(self.data_dir),) if self.data_dir.exists() else (),
            idempotency_seconds=self.idempotency_seconds,
            pull_seconds=self.pull_seconds,
            max_staged_uploads=self.max_staged_uploads,
            max_staged_bytes=self.max_staged_bytes,
            staged_seconds=self.staged_seconds,
            max_concurrent_uploads=self.upload_limit,
            database_wait_seconds=self.database_wait_seconds,
        )

    def request_limits(self) -> "RequestLimits":
        """Limits on every request."""
        from bulkport.fastapi.request_limits import RequestLimits  # noqa: PLC0415  # commands need no web framework

        return RequestLimits(
            max_query_bytes=self.max_query_bytes,
            max_header_bytes=self.max_header_bytes,
            max_headers=self.max_headers,
            body_idle_seconds=self.body_idle_seconds,
            body_min_rate=self.body_min_rate,
            body_grace_seconds=self.body_grace_seconds,
        )

    def job_retention(self) -> RetentionPolicy:
        """How long finished background jobs are kept."""
        succeeded, failed = _days(self.jobs_keep_succeeded_days), _days(self.jobs_keep_failed_days)
        return RetentionPolicy(succeeded=succeeded, failed=failed, cancelled=succeeded)

    def import_retention(self) -> ImportRetention:
        """Retention of imports."""
        return ImportRetention(ended=_days(self.imports_keep_days))

    def audit_retention(self) -> timedelta | None:
        """Retention of the dashboard's audit log; None for ever."""
        return _days(self.audit_keep_days)

    @property
    def metrics_allowed(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """`metrics_allowed_networks`, one by one."""
        return [ipaddress.ip_network(word) for word in _words(self.metrics_allowed_networks)]

    @property
    def masked_names(self) -> list[str]:
        """`dashboard_masked_names`, one by one."""
        return _words(self.dashboard_masked_names)

    def egress_policy(self) -> EgressPolicy:
        """Which addresses webhooks may name."""
        return EgressPolicy.of(_words(self.egress_allowed_networks), allow_http=self.egress_allow_http)

    def object_stores(self) -> dict[str, ObjectStore]:
        """Stores that imports may be pulled from."""
        return {name: store.object_store() for name, store in self.stores.items()}

    @property
    def shows_docs(self) -> bool:
        """Whether `/openapi.json` and the docs page answer."""
        if self.docs_enabled is not None:
            return self.docs_enabled
        return self.environment is Environment.DEVELOPMENT


def _days(days: float | None) -> timedelta | None:
    return None if days is None else timedelta(days=days)


@lru_cache
def get_settings() -> Settings:
    """The process's settings, read once."""
    return Settings()


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
