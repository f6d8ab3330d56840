"""`python -m fuzz.by_coverage TARGET`: one property under atheris, guided by the coverage of the readers."""

import sys

import atheris

with atheris.instrument_imports(include=["bulkport.imports"]):
    from fuzz.targets import targets


def main() -> None:
    """Run until the time is over or the property fails."""
    target = targets()[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target.hypothesis.fuzz_one_input)  # type: ignore[attr-defined]
    atheris.Fuzz()


if __name__ == "__main__":
    main()
