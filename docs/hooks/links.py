"""Links of the site. Documents link to files where the repository has them; here those links lead to the site's pages.

Files outside docs/ that documents may link to are published with the site, at the path they have in the repository.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = (
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "data_prep/hg38/README.md",
    "bench/README.md",
    "bench/*.yaml",
    "bench/results/*.svg",
    "recipes/*",
    "hdna/downstream/benefits/benefits.schema.json",
)
TARGET = re.compile(r"(?<=\]\()(?![a-z]+:|#)[^)#\s]+")
"""Where a relative link leads, up to its anchor."""


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the published files."""
    from mkdocs.structure.files import File

    for path in (path for pattern in PUBLISHED for path in sorted(ROOT.glob(pattern))):
        name = path.relative_to(ROOT).as_posix()
        files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """Point each relative link to the place its file has in the site."""
    source = Path(str(page.file.abs_src_path)).parent
    docs = Path(config.docs_dir)

    def in_site(match: re.Match[str]) -> str:
        file = (source / match[0]).resolve()
        name = file.relative_to(docs if file.is_relative_to(docs) else ROOT)
        return Path(os.path.relpath(name, Path(page.file.src_uri).parent)).as_posix()

    return TARGET.sub(in_site, markdown)
