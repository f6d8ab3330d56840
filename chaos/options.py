"""Options of a run."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a run.

    Parameters
    ----------
    seconds
        How long faults are injected.
    seed
        Where contents, faults and their moments come from. Processes run as fast as they do, so that a run with the
        same seed meets the same faults, but not at the same instruction.
    """

    seconds: float
    seed: int
    faults: tuple[str, ...] = ()
    """Kinds of faults; empty: all."""
    pause_seconds: float = 0.5
    """Mean pause between two faults."""
    clients: int = 4
    rows: int = 30_000
    """Records of the largest import."""
    workers: int = 2
    jobs_per_second: float = 20.0
    disk_bytes: int = 3 * 2**30
    """Size of the disk that PostgreSQL has, where one can be made to be filled."""
    settle_seconds: float = 180.0
    """Longest wait after the last fault."""
    enough_faults: int = 0
    """Faults after which the run ends before its time, once enough imports and rows were acknowledged too; 0: it lasts
    its time."""
    enough_imports: int = 10
    enough_rows: int = 1_000
    settings: dict[str, str] = field(default_factory=dict)
    """`COMMANDAPI_…` settings of all processes."""
