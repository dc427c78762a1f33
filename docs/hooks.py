"""What MkDocs needs for this repository: pages that stand outside docs/, and the package as one tree.

Links between pages are written as they work in the repository (``../benchmarks/RESULTS.md``). Files outside docs/ that
the site shows come under ``repository/``, and links to them are turned that way.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
SHOWN = (
    "benchmarks/RESULTS.md",
    "benchmarks/*.png",
    "benchmarks/*.csv",
    "benchmarks/*.jsonl.gz",
    "benchmarks/reproduce_small.json",
    "examples/README.md",
    "examples/*.py",
    "examples/*.ipynb",
    "me2sdk/data/README.md",
    "me2sdk/data/*_card.md",
    "me2sdk/data/small/README.md",
)
_LINK = re.compile(r"(\]\()([^)\s:#]+)(#[^)\s]*)?(\))")


@event_priority(100)  # before mkdocstrings reads where to look
def on_config(config: Any) -> Any:
    """Put the three source folders together as the package that they install as, for the API reference."""
    tree = Path(tempfile.mkdtemp(prefix="me2sdk-docs-")) / "me2sdk"
    tree.mkdir()
    for entry in (ROOT / "me2sdk").iterdir():
        (tree / entry.name).symlink_to(entry)
    for name in ("adapters", "train"):
        (tree / name).symlink_to(ROOT / name)
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [str(tree.parent)]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the files outside docs/."""
    for pattern in SHOWN:
        for path in sorted(ROOT.glob(pattern)):
            where = f"repository/{path.relative_to(ROOT).as_posix()}"
            files.append(File.generated(config, where, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links to files outside docs/, and from them."""
    here = PurePosixPath(_in_repository(page.file.src_uri)).parent

    def turned(found: re.Match[str]) -> str:
        target = os.path.normpath(here / found[2])
        where = target.removeprefix("docs/") if target.startswith("docs/") else f"repository/{target}"
        if files.get_file_from_path(where) is None:
            return found[0]  # MkDocs says that it leads nowhere
        relative = os.path.relpath(where, PurePosixPath(page.file.src_uri).parent)
        return f"{found[1]}{relative}{found[3] or ''}{found[4]}"

    return _LINK.sub(turned, markdown)


def _in_repository(source: str) -> str:
    return source.removeprefix("repository/") if source.startswith("repository/") else f"docs/{source}"
