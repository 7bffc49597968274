"""A real archive on loopback, for tests that store DICOM objects: Orthanc, as Debian packages it."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_START = 60.0
"""Seconds that it may take to start on a busy machine; two are usual."""


def program() -> str | None:
    """Return where Orthanc is installed; Debian puts it beside the programs of root."""
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")


class Archive:
    """A running Orthanc."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send a request; return the answer's content."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, (method, path, answer.status, content[:300])
        return content

    def store(self, content: bytes) -> str:
        """Store an object; return what the archive calls it."""
        answer = json.loads(self.ask("POST", "/instances", content))
        assert answer["Status"] == "Success", answer
        return str(answer["ID"])

    def fetch(self, name: str) -> bytes:
        """Return an object as the archive gives it."""
        return self.ask("GET", f"/instances/{name}/file")

    def tell(self, path: str) -> object:
        """Return an answer in JSON."""
        return json.loads(self.ask("GET", path))


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Archive]:
    """Start an archive that keeps what it stores below a folder, listens on loopback only, and ends with the body."""
    found = program()
    assert found is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "DicomServerEnabled": False,
        "AuthenticationEnabled": False,
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings), encoding="ascii")
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([found, str(folder / "orthanc.json")], stdout=log, stderr=log)
        try:
            archive, end = Archive(port), time.monotonic() + _START
            while True:
                try:
                    archive.tell("/system")
                    break
                except OSError:
                    assert process.poll() is None, (folder / "orthanc.log").read_text(errors="replace")[-2000:]
                    assert time.monotonic() < end, "Orthanc does not start"
                    time.sleep(0.1)
            yield archive
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
