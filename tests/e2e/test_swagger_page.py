"""The Swagger page in a real browser that has no network but this machine."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as conditions
from selenium.webdriver.support.wait import WebDriverWait

from tests.support.browser import BrowserMissing, chromium, requested_hosts, running_chromium
from tests.support.environment import Environment
from tests.support.tutorial import Tutorial, running_server

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("milvus-one")]

SECONDS = 60
ROUTES = {
    "/hello",
    "/create",
    "/list",
    "/get_backup",
    "/delete",
    "/restore",
    "/restore_secondary",
    "/get_restore",
    "/check",
}


class SwaggerPage:
    """What a reader does with the page."""

    def __init__(self, browser: WebDriver, url: str) -> None:
        self._browser = browser
        self._wait = WebDriverWait(browser, SECONDS, poll_frequency=0.05)
        browser.get(url)

    def paths(self) -> set[str]:
        """Return the paths that the page shows."""
        shown = "[data-path]"
        self._wait.until(conditions.presence_of_element_located((By.CSS_SELECTOR, shown)))
        found = self._browser.find_elements(By.CSS_SELECTOR, shown)
        return {str(element.get_attribute("data-path")) for element in found}

    def try_out(self, method: str, path: str) -> WebElement:
        """Open an operation, and press "Try it out" if the page does not begin with that."""
        block = self._found(f".opblock-{method}:has([data-path='{path}'])")
        self._press(block.find_element(By.CSS_SELECTOR, ".opblock-summary-control"))
        button = self._found(".try-out__btn", block)
        if button.text == "Try it out":
            self._press(button)
        return block

    def execute(self, block: WebElement) -> tuple[str, Any]:
        """Press "Execute" and return the status and the JSON that the page shows."""
        self._press(self._found(".execute", block))
        answer = self._found(".live-responses-table .response", block)
        status = answer.find_element(By.CSS_SELECTOR, ".response-col_status").text
        body = self._found(".live-responses-table .highlight-code code", block)
        return status.split()[0], json.loads(body.text)

    def example(self, block: WebElement) -> Any:
        """Return the request that the page proposes."""
        return json.loads(self._body(block).get_attribute("value") or "")

    def write_body(self, block: WebElement, body: str) -> None:
        """Replace the example in the field of the request's body."""
        field = self._body(block)
        field.clear()
        field.send_keys(body)

    def complaints(self) -> list[str]:
        """Return what the browser's console says of errors, refused answers apart."""
        entries = self._browser.execute("getLog", {"type": "browser"})["value"]
        texts = [str(entry["message"]) for entry in entries if entry["level"] == "SEVERE"]
        return [text for text in texts if "the server responded with a status of" not in text]

    def _body(self, block: WebElement) -> WebElement:
        return self._found(".body-param__text", block)

    def _found(self, selector: str, inside: WebElement | None = None) -> WebElement:
        place = inside or self._browser
        return self._wait.until(lambda _: place.find_element(By.CSS_SELECTOR, selector))

    def _press(self, element: WebElement) -> None:
        # What is pressed may lie outside of the window, or under what is being unfolded.
        self._browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        self._wait.until(conditions.element_to_be_clickable(element)).click()


@pytest.fixture
def browser() -> Iterator[WebDriver]:
    try:
        programs = chromium()
    except BrowserMissing as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))
    with running_chromium(programs) as running:
        yield running


@pytest.fixture
def port(environment: Environment, tmp_path: Path) -> Iterator[int]:
    """The port of a server as the tutorial starts it."""
    folder = Tutorial(tmp_path, environment.seaweed, environment.milvus).folder
    with running_server(folder) as listening:
        yield listening


def test_calls_are_made_from_the_page_and_no_other_host_is_asked(
    browser: WebDriver, port: int
) -> None:
    page = SwaggerPage(browser, f"http://127.0.0.1:{port}/api/v1/docs/index.html")
    assert page.paths() >= ROUTES

    status, listed = page.execute(page.try_out("get", "/list"))
    assert status == "200"
    assert isinstance(listed["data"], list)

    create = page.try_out("post", "/create")
    assert page.example(create) == {
        "async": True,
        "backup_name": "my_backup",
        "collection_names": ["hello_milvus"],
    }
    page.write_body(create, '{"backup_name": 5}')
    status, refused = page.execute(create)
    assert status == "400"
    assert "backup_name" in json.dumps(refused)

    assert page.complaints() == []
    assert requested_hosts(browser) == {f"127.0.0.1:{port}"}
