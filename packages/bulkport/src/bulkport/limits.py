"""What one import may cost the server. Every number is a setting of the application."""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True)
class ImportLimits:
    """Limits on the bodies that a bulk endpoint accepts.

    Sizes are in bytes, times in seconds.
    """

    max_envelope_records: int = 1000
    """Records in one JSON envelope; more is answered 400. Policy, not need: streams have no such cap."""
    max_envelope_bytes: int = 32 * MIB
    """Size of a JSON envelope after decompression; more is answered 413."""
    max_body_bytes: int = 64 * GIB
    """Size of a streamed body after decompression; more is answered 413."""
    max_record_bytes: int = 1 * MIB
    """Size of one NDJSON line or CSV record; more is answered 413."""
    max_compression_ratio: int = 200
    """Decompressed bytes for each compressed byte, once `compression_ratio_floor_bytes` have come out."""
    compression_ratio_floor_bytes: int = 16 * MIB
    """Bodies below this decompressed size may have any ratio: short runs of repeated rows compress well."""
    chunk_bytes: int = 640_000
    """Target size of a chunk. 160 KB costs a third of the speed, 2 MB gains nothing but memory."""
    body_idle_seconds: float = 60.0
    """Longest pause of a client in the middle of a body; then 408."""
    body_min_rate: int = 1024
    """Bytes a second that a body must arrive with, once `body_grace_seconds` were spent on waiting for it; else 408."""
    body_grace_seconds: float = 30.0
    """Time that a client may take whatever its rate."""
    body_cpu_seconds: float = 60.0
    """Processor time that reading one body may take, beside one second for each 16 MiB of it; then 413."""
    max_rows: int = 1_000_000_000
    """Records of one streamed body; more is answered 413."""
    max_blank_lines: int = 1_000_000
    """Blank lines of one streamed body; more is answered 413."""
    max_file_bytes: int = 64 * MIB
    """Size of a workbook or a Parquet file; more is answered 413. It waits in a temporary file."""
    max_file_cells: int = 5_000_000
    """Cells of its sheet; more is answered 400."""
    max_file_memory_bytes: int = GIB
    """Memory of the process that reads it; two at a time, for each server process. What needs more is answered 413."""
    max_concurrent_uploads: int = 28
    """Concurrently received bodies longer than a chunk; more wait a moment, then get 503 with Retry-After."""
    max_staged_uploads: int = 100
    """Resumable uploads that a user may have at once; more get 409."""
    max_staged_bytes: int = 10 * GIB
    """Bytes of them; an upload that is larger is answered 413."""
    staged_seconds: float = 24 * 3600.0
    """How long a resumable upload waits for its bytes, and then for its import."""
    pull_seconds: float = 6 * 3600.0
    """Longest time that a worker fetches one body from its source."""
    max_user_uploads: int = 8
    """Those of one user; more wait a moment, then 429 with Retry-After."""
    max_user_queued_imports: int = 100_000
    """Imports of one user that have not ended; more are answered 429 with Retry-After."""
    max_user_queued_rows: int = 10_000_000_000
    """Records of them; more is answered 429."""
    max_user_queued_bytes: int = 256 * GIB
    """Bytes of their bodies; more is answered 429."""
    max_user_stored_bytes: int = 64 * GIB
    """Bytes of a user's waiting imports, error reports, old rows and resumable uploads; more is answered 507."""
    disk_watermark_bytes: int = 512 * MIB
    """Free disk space below which bodies are refused with 507, so that what was accepted can still be imported."""
    watched_folders: tuple[str, ...] = ()
    """Folders whose disks must have that much free, beside the one of `spool_folder`: the database's, if it is here."""
    max_reported_rows: int = 100_000
    """Bad rows of one import that are reported one by one; the others are counted by their messages."""
    spool_folder: str | None = None
    """Where long bodies wait for their end, compressed, and workbooks grow until they are complete; None: the system's
    folder for temporary files."""
    idempotency_seconds: float = 24 * 3600.0
    """How long the answer to a request with an `Idempotency-Key` is kept for requests that come again."""
    database_wait_seconds: float = 3.0
    """Longest wait for a database connection, free or at all; then 503 with Retry-After."""
