"""Query parameters that are misspelled are refused; the application's own are passed over."""

import pytest

from bulkport.errors import ValidationFailed
from bulkport.fastapi.parameter_names import require_spelling

KNOWN = ("mode", "dryRun", "delimiter", "dateFormat", "map", "set", "tag", "startAt")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("dry_run", "dryRun"),
        ("dryrun", "dryRun"),
        ("dry-run", "dryRun"),
        ("Mode", "mode"),
        ("delimeter", "delimiter"),
        ("date_fromat", "dateFormat"),
        ("start_at", "startAt"),
    ],
)
def test_a_misspelled_parameter_is_rejected_with_a_suggestion(given: str, meant: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        require_spelling(["mode", given], KNOWN)
    assert refused.value.errors == {given: [f"{given} is not a parameter of this request; did you mean {meant}?"]}


@pytest.mark.parametrize("given", ["mode", "tenant", "orgId", "ma", "sets", "tags", "utm_source", "d" * 8000, ""])
def test_known_and_unrelated_parameters_pass(given: str) -> None:
    require_spelling([given], KNOWN)
