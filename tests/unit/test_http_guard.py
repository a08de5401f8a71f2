"""Who may ask: requests by an allowed name, and not from pages of another origin."""

import pytest

from milvus_backup_server.http.guard import AllowedHosts, refusal

LOOPBACK = AllowedHosts("127.0.0.1", ())
EVERYWHERE = AllowedHosts("0.0.0.0", ())  # noqa: S104 - the operator's decision
EVERYWHERE_6 = AllowedHosts("::", ())
ONE_ADDRESS = AllowedHosts("192.168.1.5", ())
NAMED = AllowedHosts("0.0.0.0", ("Backup.Example", "milvus-backup"))  # noqa: S104
ANY = AllowedHosts("0.0.0.0", ("*",))  # noqa: S104


@pytest.mark.parametrize(
    ("hosts", "host", "allowed"),
    [
        (LOOPBACK, "localhost", True),
        (LOOPBACK, "localhost:8080", True),
        (LOOPBACK, "LOCALHOST:1", True),
        (LOOPBACK, "localhost.:8080", True),
        (LOOPBACK, "127.0.0.1:8080", True),
        (LOOPBACK, "127.8.8.8", True),
        (LOOPBACK, "[::1]:8080", True),
        (LOOPBACK, "evil.example", False),
        (LOOPBACK, "localhost.evil.example:8080", False),
        (LOOPBACK, "evil-localhost", False),
        (LOOPBACK, "127.0.0.1.evil.example", False),
        (LOOPBACK, "192.168.1.5:8080", False),
        (LOOPBACK, "0.0.0.0:8080", False),
        (LOOPBACK, "[2001:db8::1]", False),
        (LOOPBACK, "", False),
        (LOOPBACK, "localhost:8080:8080", False),
        (LOOPBACK, "localhost:x", False),
        (LOOPBACK, "user@localhost", False),
        (LOOPBACK, "localhost/evil", False),
        (LOOPBACK, "localhost, evil.example", False),
        (LOOPBACK, "[::1", False),
        (EVERYWHERE, "192.168.1.5:8080", True),
        (EVERYWHERE, "[2001:db8::1]:8080", True),
        (EVERYWHERE, "localhost", True),
        (EVERYWHERE, "backup.example", False),
        (EVERYWHERE, "evil.example:8080", False),
        (EVERYWHERE_6, "192.168.1.5", True),
        (EVERYWHERE_6, "evil.example", False),
        (ONE_ADDRESS, "192.168.1.5:8080", True),
        (ONE_ADDRESS, "127.0.0.1", True),
        (ONE_ADDRESS, "192.168.1.6", False),
        (NAMED, "backup.example", True),
        (NAMED, "BACKUP.example:443", True),
        (NAMED, "milvus-backup:8080", True),
        (NAMED, "x.backup.example", False),
        (ANY, "whatever.example", True),
        (ANY, "not a name", False),
    ],
)
def test_names(hosts: AllowedHosts, host: str, allowed: bool) -> None:
    assert (refusal({"host": host}, hosts) == "") is allowed


def test_a_request_without_a_name_is_refused() -> None:
    assert "allowedHosts" in refusal({}, ANY)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"origin": "http://localhost:8080"}, True),
        ({"origin": "HTTP://localhost:8080"}, False),
        ({"origin": "http://LOCALHOST:8080"}, True),
        ({"origin": "http://localhost:3000"}, False),
        ({"origin": "http://localhost"}, False),
        ({"origin": "http://127.0.0.1:8080"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "http://localhost:8080.evil.example"}, False),
        ({"origin": "http://evil.example/localhost:8080"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "file://"}, False),
        ({"origin": "chrome-extension://localhost:8080"}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "new-word"}, False),
        ({"sec-fetch-site": ""}, False),
        ({"sec-fetch-site": "same-origin", "origin": "http://localhost:8080"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "http://localhost:8080"}, False),
        ({"sec-fetch-site": "same-origin", "origin": "http://evil.example"}, False),
    ],
)
def test_pages(headers: dict[str, str], allowed: bool) -> None:
    assert (refusal({"host": "localhost:8080", **headers}, LOOPBACK) == "") is allowed


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("backup.example", "http://backup.example", True),
        ("backup.example", "https://backup.example", True),
        ("backup.example:80", "http://backup.example", True),
        ("backup.example:443", "https://backup.example", True),
        ("backup.example:443", "http://backup.example", False),
        ("[::1]:8080", "http://[::1]:8080", True),
        ("[::1]:8080", "http://[::1]", False),
    ],
)
def test_the_own_origin_behind_a_proxy_or_with_a_default_port(
    host: str, origin: str, allowed: bool
) -> None:
    assert (refusal({"host": host, "origin": origin}, NAMED) == "") is allowed


@pytest.mark.parametrize("header", ["host", "origin", "sec-fetch-site"])
def test_a_refusal_shows_the_reason_and_not_all_of_a_long_value(header: str) -> None:
    found = refusal({"host": "localhost", header: "x" * 1000}, LOOPBACK)
    assert 20 < len(found) < 250
