"""`python -m documentation`: build the site into `build/site` and check its links."""

import os
import subprocess
import sys
from pathlib import Path

from documentation.assemble import ROOT, assemble
from documentation.links import broken_links


def main() -> int:
    """Build; the exit code is 1 where a link is broken."""
    assemble(ROOT / "build" / "pages")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--clean", "-f", str(ROOT / "mkdocs.yml")]
    subprocess.run(command, check=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})  # noqa: S603
    site = ROOT / "build" / "site"
    broken = list(broken_links(site))
    for one in broken:
        sys.stderr.write(f"{one}\n")
    pages = len(list(Path(site).rglob("*.html")))
    sys.stdout.write(f"{pages} pages in {site}; {len(broken)} broken links\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
