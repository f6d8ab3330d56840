"""What was tried for rows that missed their target, by row; the page shows it beside the miss."""

TRIED: dict[str, str] = {}
