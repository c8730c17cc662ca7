"""Links that are right in the repository, made right on the site: pages, pictures, and the repository for the rest."""

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

REPOSITORY = "https://github.com/TuckerSeg/SlicerTuckerSeg/blob/main/"

PICTURES = "Resources/Screenshots/"

PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
}
"""Files of the repository's root that are pages of the site, and the pages."""

_LINK = re.compile(r"(\]\(|src=\")(?!\w+:|#|/)([^)\s\"#]+)")


def place_of(file: str) -> str | None:
    """Where a file of the repository is on the site; None where it is not there. Both are relative to their roots."""
    if file in PAGES:
        return PAGES[file]
    if file.startswith(PICTURES):
        return f"pictures/{file.removeprefix(PICTURES)}"
    return file.removeprefix("docs/") if file.startswith("docs/") else None


def on_the_site(markdown: str, file: str, page: str) -> str:
    """The text of `file`, a path in the repository, with links as they have to be in `page`, a path on the site."""

    def replaced(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(file), found[2]))
        place = place_of(target)
        if place is not None:
            return found[1] + posixpath.relpath(place, posixpath.dirname(page) or ".")
        return found[1] + (REPOSITORY + target if (ROOT / target).exists() else found[2])

    return _LINK.sub(replaced, markdown)
