"""What MkDocs does besides for this site: pages made from the code, pages and pictures from elsewhere, their links."""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "Testing")]

from mkdocs.structure.files import File  # noqa: E402

from website import commands, licences, links, module  # noqa: E402

MADE = {
    "reference/commands.md": commands.page,
    "reference/module.md": module.page,
    "reference/licences.md": licences.page,
}


def on_files(files: Any, config: Any) -> Any:
    """Pages that are made, pages of the repository's root, and pictures."""
    for page, make in MADE.items():
        files.append(File.generated(config, page, content=make()))
    for file, page in links.PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / file).read_text(encoding="utf-8")))
    for picture in sorted((ROOT / links.PICTURES).iterdir()):
        files.append(File.generated(config, f"pictures/{picture.name}", abs_src_path=str(picture)))
    icon = ROOT / "TuckerSeg" / "Resources" / "Icons" / "TuckerSeg.svg"
    files.append(File.generated(config, "pictures/TuckerSeg.svg", abs_src_path=str(icon)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links as they have to be on the site."""
    here = page.file.src_uri
    file = next((file for file, place in links.PAGES.items() if place == here), f"docs/{here}")
    return links.on_the_site(markdown, file, here)
