from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.browser import Page, chromium

__all__ = ["chromium"]


@pytest.fixture
def show(chromium: Any, tmp_path: Path) -> Callable[[str], Page]:
    """``show(html)``: open a page from a file, as a user would."""

    def open_page(html: str) -> Page:
        file = tmp_path / "page.html"
        file.write_text(html, "utf-8")
        chromium.set_window_size(1200, 900)
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        chromium.get_log("browser")
        chromium.get("file://" + urllib.parse.quote(str(file)))
        return Page(chromium)

    return open_page
