"""The documentation site: it builds without a warning, and a browser shows it without asking anybody else."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.browser import Page, chromium

__all__ = ["chromium"]

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    if any(importlib.util.find_spec(name) is None for name in ("mkdocs", "material", "mkdocstrings")):
        pytest.skip("mkdocs is not installed: pip install --group docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """A server of the site."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def show(chromium: Any, address: str) -> Callable[[str], Page]:
    """``show("concepts.html")``: a page of the site."""

    def open_page(path: str) -> Page:
        chromium.set_window_size(1300, 1000)
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        chromium.get_log("browser")
        chromium.get(address + path)
        page = Page(chromium)
        page.wait_for_end()
        return page

    return open_page


def test_no_page_names_a_file_of_another_machine(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        text = page.read_text("utf-8")
        assert not re.findall(r"<(?:script|img|iframe)[^>]+src=\"?(?:https?:)?//[^>]+>", text), page
        assert not re.findall(r"<link[^>]+href=\"?(?:https?:)?//[^>]+>", text), page


def test_files_outside_the_folder_docs_are_there_and_linked(site: Path) -> None:
    shown = (site / "repository/benchmarks/RESULTS.html").read_text("utf-8")
    assert "Best-of-N of scorers" in shown
    assert (site / "repository/benchmarks/grpo.png").is_file()
    assert (site / "repository/examples/rerank_outputs.py").is_file()
    assert 'href="repository/benchmarks/RESULTS.html"' in (site / "concepts.html").read_text("utf-8")


def test_every_public_name_is_documented_with_its_text(site: Path) -> None:
    import me2sdk
    import me2sdk.train

    for module, page in ((me2sdk, "me2sdk"), (me2sdk.train, "train")):
        text = (site / "reference" / f"{page}.html").read_text("utf-8")
        for name in module.__all__:
            assert f'id="{module.__name__}.{name}"' in text, name
    assert "Sample up to <code>n</code> answers from a model" in (site / "reference/me2sdk.html").read_text()


@pytest.mark.parametrize(
    ("path", "heading"),
    [
        ("", "Quickstart"),
        ("concepts.html", "Concepts"),
        ("cli.html", "me2"),
        ("reference/me2sdk.html", "me2sdk"),
    ],
)
def test_pages_show_without_errors_or_requests_elsewhere(
    show: Callable[[str], Page], address: str, path: str, heading: str
) -> None:
    page = show(path)
    assert page.one("h1").text.rstrip("¶ ") == heading
    assert page.problems() == []
    assert all(request.startswith(address) for request in page.requests())
    assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")


def test_the_pictures_are_there_in_light_and_in_dark(show: Callable[[str], Page]) -> None:
    page = show("concepts.html")
    pictures = page.all("article img")
    assert len(pictures) == 2
    for picture in pictures:
        assert page.run("return arguments[0].complete && arguments[0].naturalWidth > 500", picture)
        assert picture.get_attribute("alt")
    assert page.one("body").get_attribute("data-md-color-scheme") == "default"
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    page.driver.refresh()
    assert page.one("body").get_attribute("data-md-color-scheme") == "slate"
    assert page.problems() == []


@pytest.mark.parametrize("where", ["a server", "a folder"])
def test_search_finds_a_word(show: Callable[[str], Page], site: Path, where: str) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    page = show("")
    if where == "a folder":
        page.driver.get((site / "index.html").as_uri())
    page.one(".md-search__input").send_keys("backtrack")
    found = WebDriverWait(page.driver, 30).until(lambda _: page.all(".md-search-result__item"))
    assert "concepts.html" in " ".join(item.get_attribute("innerHTML") for item in found)
    assert page.problems() == []
