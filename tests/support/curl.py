"""curl's command lines: run by curl, or where there is none the same request sent from here."""

import argparse
import shlex
import shutil
import subprocess
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit


def curl(command: str, folder: Path) -> bytes:
    """Run a curl command line in a folder and return the body of the answer, whatever its status.

    Raises:
        subprocess.CalledProcessError: curl could not reach the server.
    """
    if shutil.which("curl") is None:
        return request(command, folder)
    quiet = ["curl", "--silent", "--show-error", *_arguments(command)]
    return subprocess.run(quiet, check=True, cwd=folder, capture_output=True).stdout


def request(command: str, folder: Path) -> bytes:
    """Do what a curl command line says, as far as the tutorial needs it, without curl."""
    options = _parser().parse_args(_arguments(command))
    url = urlsplit(options.url)
    body = options.data_raw
    if options.data_binary:
        body = (folder / options.data_binary.removeprefix("@")).read_bytes()
    headers = dict(header.split(": ", 1) for header in options.header)
    connection = HTTPConnection(url.netloc)
    try:
        path = f"{url.path}?{url.query}" if url.query else url.path
        connection.request(options.request, path, body, {"Accept": "*/*", **headers})
        answer = connection.getresponse().read()
    finally:
        connection.close()
    if not options.output:
        return answer
    (folder / options.output).write_bytes(answer)
    return b""


def _arguments(command: str) -> list[str]:
    return shlex.split(command.replace("\\\n", ""))[1:]  # as a shell joins lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--location", action="store_true")
    parser.add_argument("--request", default="GET")
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--data-raw")
    parser.add_argument("--data-binary")
    parser.add_argument("--output")
    return parser
