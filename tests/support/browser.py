"""A headless Chromium for tests; where there is none they skip."""

from __future__ import annotations

import shutil
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest


class Page:
    """A page in a headless Chromium, and what went wrong in it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait_for_end(self) -> None:
        """Wait until the page's last element is there; a busy machine hands a page over before that."""
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, 60).until(
            lambda _: self.run(
                "return document.readyState === 'complete' && !!document.querySelector('footer')"
            )
        )

    def press(self, key: str) -> None:
        self.driver.switch_to.active_element.send_keys(key)

    def problems(self) -> list[dict[str, Any]]:
        """Everything on the console: errors, refused requests, warnings."""
        return list(self.driver.get_log("browser"))

    def scheme(self, name: Literal["light", "dark"]) -> None:
        """What the reader's system is set to."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.run("const e = document.documentElement; return e.scrollWidth - e.clientWidth"))

    def requests(self) -> list[str]:
        """Everything that the page loaded beside itself."""
        return list(self.run("return performance.getEntriesByType('resource').map(entry => entry.name)"))


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    control = shutil.which("chromedriver")
    if not binary or not control:
        pytest.skip("Chromium is not installed: apt-get install chromium chromium-driver")
    selenium = pytest.importorskip("selenium.webdriver")
    options = selenium.ChromeOptions()
    options.binary_location = binary
    folder = tmp_path_factory.mktemp("profile")
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        f"--user-data-dir={folder}",
        "--window-size=1200,900",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(control))
    yield driver
    driver.quit()


@pytest.fixture
def show(chromium: Any, tmp_path: Path) -> Callable[..., Page]:
    """``show(html, width=1200)``: open a page from a file, as a user would."""

    def open_page(html: str, width: int = 1200) -> Page:
        file = tmp_path / "page.html"
        file.write_text(html, "utf-8")
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        chromium.get_log("browser")
        chromium.get("file://" + urllib.parse.quote(str(file)))
        return Page(chromium)

    return open_page
