"""A headless Chromium for tests; where there is none they skip."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

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

    def press(self, key: str) -> None:
        self.driver.switch_to.active_element.send_keys(key)

    def problems(self) -> list[dict[str, Any]]:
        """Everything on the console: errors, refused requests, warnings."""
        return list(self.driver.get_log("browser"))

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
