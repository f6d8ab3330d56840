"""Assembles the pages of the site: `docs/`, the README as the start page, and the generated reference."""

import re
import shutil
from pathlib import Path
from typing import Final

from documentation.reference import python_reference

ROOT: Final = Path(__file__).parents[1]
REPOSITORY: Final = "https://github.com/bulkport/bulkport/blob/main/"

_LINK: Final = re.compile(r"(?P<before>\]\(|src=\"|srcset=\"|href=\")(?P<target>[^)\"#\s]+)(?P<rest>[^)\"]*)")
_ABSOLUTE: Final = re.compile(r"^[a-z]+:")


def assemble(folder: Path) -> None:
    """Write all pages to a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    docs = ROOT / "docs"
    for source in sorted(docs.rglob("*")):
        target = folder / source.relative_to(docs)
        if source.suffix == ".md":
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_with_site_links(source), encoding="utf-8")
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    (folder / "index.md").write_text(_with_site_links(ROOT / "README.md"), encoding="utf-8")
    (folder / "changelog.md").write_text(_with_site_links(ROOT / "CHANGELOG.md"), encoding="utf-8")
    (folder / "reference" / "python.md").write_text(python_reference(), encoding="utf-8")


def _with_site_links(page: Path) -> str:
    """The page with links into the site, or to the repository if the site has no such page."""
    docs = ROOT / "docs"
    here = page.parent if page.is_relative_to(docs) else docs

    def linked(found: re.Match[str]) -> str:
        target = found["target"]
        if _ABSOLUTE.match(target):
            return found[0]
        path = (page.parent / target).resolve()
        if path in (ROOT / "README.md", ROOT / "CHANGELOG.md"):
            path = docs / {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}[path.name]
        if path.is_relative_to(docs) and not path.is_dir():
            address = (
                path.relative_to(here, walk_up=True).as_posix() if hasattr(path, "walk") else _relative(path, here)
            )
        else:
            address = REPOSITORY + (path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else "")
        return f"{found['before']}{address}{found['rest']}"

    return _LINK.sub(linked, page.read_text(encoding="utf-8"))


def _relative(path: Path, here: Path) -> str:
    """As `Path.relative_to(walk_up=True)` of Python 3.12."""
    shared = next(one for one in (here, *here.parents) if path.is_relative_to(one))
    return "../" * len(here.relative_to(shared).parts) + path.relative_to(shared).as_posix()
