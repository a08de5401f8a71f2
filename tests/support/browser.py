"""A real headless Chromium, driven over WebDriver, that tells what it asked of the network."""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from selenium.webdriver import ChromeOptions
from selenium.webdriver.chrome.remote_connection import ChromeRemoteConnection
from selenium.webdriver.remote.webdriver import WebDriver

from tests.support.processes import (
    ChildProcess,
    free_ports,
    http_ok,
    plain_environment,
    run_directory,
)

PACKAGES = ("chromium", "chromium-driver")
"""What Debian has; the driver is built from the browser's source and always fits it."""
_PROGRAMS = ("chromium", "chromedriver")
_START_SECONDS = 90
_INSIDE = {"blob", "chrome", "data"}  # addresses of what the browser has itself
_LOCK = Path(tempfile.gettempdir()) / "milvus-backup-chromium.lock"


class BrowserMissing(Exception):
    """There is no Chromium with its driver here; the message says why and what would help."""


class Programs(NamedTuple):
    """The browser and its driver."""

    browser: str
    driver: str


def chromium() -> Programs:
    """Find Chromium and its driver; in CI, as root on a Debian, install them if they are missing.

    Raises:
        BrowserMissing: they are not here, and this is no place to install them.
        subprocess.CalledProcessError: Debian's packages could not be installed.
    """
    found = _found()
    if found is None and os.environ.get("CI") == "true" and _can_install():
        _install()
        found = _found()
    if found is None:
        wanted = " ".join(PACKAGES)
        raise BrowserMissing(f"no Chromium with chromedriver: apt-get install {wanted}")
    return found


def _found() -> Programs | None:
    browser, driver = (shutil.which(name) for name in _PROGRAMS)
    return Programs(browser, driver) if browser and driver else None


def _can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _install() -> None:
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # apt refuses a second one at the same time
        if _found() is None:
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            for arguments in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
                command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", *arguments]
                subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL)


@contextmanager
def running_chromium(programs: Programs) -> Iterator[WebDriver]:
    """Run a headless Chromium for the time of a block.

    It resolves no name: only addresses of this machine answer, as where there is no network.

    Raises:
        StartError: the browser or its driver did not start.
    """
    # Both are started here: a Chromium that its driver starts has a process group of its own, and
    # outlives a driver that is killed.
    browser_port, driver_port = free_ports(2)
    directory = run_directory("chromium")
    browser_command = [programs.browser, *_arguments(directory, browser_port), "about:blank"]
    driver_command = [programs.driver, f"--port={driver_port}"]
    with (
        _running(browser_command, directory, browser_port, "json/version"),
        _running(driver_command, directory, driver_port, "status") as url,
    ):
        options = ChromeOptions()
        options.debugger_address = f"127.0.0.1:{browser_port}"
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        driver = WebDriver(ChromeRemoteConnection(url, ignore_proxy=True), options=options)
        try:
            yield driver
        finally:
            driver.quit()


@contextmanager
def _running(command: list[str], directory: Path, port: int, ready: str) -> Iterator[str]:
    """Run a program until the end of the block, and yield the URL at which it answers."""
    url = f"http://127.0.0.1:{port}"
    process = ChildProcess(
        command,
        directory=directory,
        log=directory / f"{port}.log",
        ports=[port],
        environment=plain_environment(HOME=str(directory)),
    )
    try:
        process.wait_until(lambda: http_ok(f"{url}/{ready}"), timeout=_START_SECONDS)
        yield url
    finally:
        process.kill()
        shutil.rmtree(directory, ignore_errors=True)


def requested_hosts(browser: WebDriver) -> set[str]:
    """Return the hosts that were asked for anything since the last call, by the network log."""
    entries = browser.execute("getLog", {"type": "performance"})["value"]
    events = [json.loads(entry["message"])["message"] for entry in entries]
    urls = [urlsplit(url) for event in events for url in _urls(event)]
    return {url.netloc for url in urls if url.scheme not in _INSIDE}


def _urls(event: dict[str, Any]) -> Iterator[str]:
    if event["method"] == "Network.requestWillBeSent":
        yield event["params"]["request"]["url"]
    if event["method"] == "Network.webSocketCreated":
        yield event["params"]["url"]


def _arguments(directory: Path, port: int) -> Iterator[str]:
    yield "--headless=new"
    yield f"--remote-debugging-port={port}"
    yield f"--user-data-dir={directory / 'profile'}"
    yield "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    yield "--disable-background-networking"
    yield "--disable-breakpad"  # its handler would stay behind
    yield "--disable-dev-shm-usage"  # containers give it 64 MB
    yield "--no-first-run"
    if os.geteuid() == 0:
        # Chromium's sandbox does not run as root, which tests in containers are; only our own page
        # is opened.
        yield "--no-sandbox"
