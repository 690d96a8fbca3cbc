"""Downloads from a real server on this machine that fails in prescribed ways."""

import hashlib
import os
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rethinking.data import download as module
from rethinking.data.download import download
from rethinking.data.published import SourceFile
from rethinking.run.files import UserError

CONTENT = bytes(range(256)) * 2000
HALF = len(CONTENT) // 2
DIGESTS = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "md5": hashlib.md5(CONTENT).hexdigest()}


class Handler(BaseHTTPRequestHandler):
    """Answers each request with the next behaviour that the test queued; the last one repeats."""

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        behaviour = server.behaviours.pop(0) if len(server.behaviours) > 1 else server.behaviours[0]
        getattr(self, behaviour)()

    def answer(self, status, body, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def whole(self):
        """A server that can resume."""
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if start >= len(CONTENT):
            self.answer(416, b"", Content_Range=f"bytes */{len(CONTENT)}")
        elif start:
            content_range = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
            self.answer(206, CONTENT[start:], Content_Range=content_range)
        else:
            self.answer(200, CONTENT)

    def ignores_range(self):
        self.answer(200, CONTENT)

    def other_range(self):
        self.answer(206, CONTENT[:HALF], Content_Range=f"bytes 0-{HALF - 1}/{len(CONTENT)}")

    def truncated(self):
        self.answer(200, CONTENT[:HALF], length=len(CONTENT))

    def cut(self):
        """A server that can resume, but closes each connection after a twelfth of the file."""
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        content_range = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        some = CONTENT[start : start + len(CONTENT) // 12 + 1]
        self.answer(206 if start else 200, some, length=len(CONTENT) - start, Content_Range=content_range)

    def stalls(self):
        self.answer(200, CONTENT[:HALF], length=len(CONTENT))
        # A client that waits longer than this sees the connection close, which is another fault.
        self.server.released.wait(3)

    def labelled_gzip(self):
        self.answer(200, CONTENT, Content_Encoding="gzip")

    def wrong(self):
        self.answer(200, CONTENT[::-1])

    def endless(self):
        self.send_response(200)
        self.end_headers()
        with suppress(ConnectionError):
            for _ in range(100):
                self.wfile.write(CONTENT)
            self.server.released.set()

    def log_in(self):
        """What a network sends in place of every file until one has logged in."""
        self.answer(200, b"<!DOCTYPE html><html>Please log in</html>")

    def leads_astray(self):
        self.answer(302, b"", Location="http://[::1/data.bin")

    def missing(self):
        self.answer(404, b"not here")

    def unavailable(self):
        self.answer(503, b"later")

    def fails(self):
        self.answer(500, b"")

    def timed_out(self):
        self.answer(408, b"")

    def too_many(self):
        self.answer(429, b"")

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.behaviours, server.released = [], ["whole"], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}/data.bin"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "data.bin"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Download without waiting."""
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 5)


def fetch(urls, path, **changes):
    download(SourceFile("data.bin", urls, **{"size": len(CONTENT), **DIGESTS, **changes}), path)


SOME = CONTENT[:1000]


@pytest.mark.parametrize(
    ("behaviours", "part", "starts"),
    [
        (["whole"], None, [0]),
        (["unavailable", "unavailable", "whole"], None, [0, 0, 0]),
        (["fails", "timed_out", "too_many", "whole"], None, [0, 0, 0, 0]),
        (["labelled_gzip"], None, [0]),
        (["whole"], SOME, [1000]),
        (["whole"], CONTENT, [len(CONTENT)]),  # answered 416, no body
        (["whole"], b"x" * 1000, [1000, 0]),
        (["whole"], b"x" * (len(CONTENT) + 1), [len(CONTENT) + 1, 0]),
        (["ignores_range", "missing"], SOME, [1000]),
        (["other_range", "whole"], SOME, [1000, 0]),
    ],
    ids=[
        "plain",
        "503",
        "500, 408, 429",
        "gzip",
        "killed",
        "complete",
        "stale",
        "too long",
        "no range",
        "another range",
    ],
)
def test_download_leaves_only_the_file(server, path, behaviours, part, starts):
    """Whatever the server does and whatever part of the file an earlier download left; from where it is asked for."""
    if part is not None:
        path.parent.mkdir(parents=True)
        path.with_name(f"data.bin.{os.geteuid()}.part").write_bytes(part)
    server.behaviours = behaviours
    fetch([server.url], path)
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    assert server.requests == [("/data.bin", f"bytes={start}-" if start else None) for start in starts]


def test_what_another_user_left_of_a_download_is_in_nobodys_way(server, shared, request, monkeypatch):
    """Nor does anything stay of it once that user finds the file."""
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    server.behaviours = ["truncated", "whole"]
    shared.chmod(0o1777)
    with pytest.raises(UserError, match="could not be downloaded"):
        fetch([server.url], shared / "data.bin")
    request.getfixturevalue("nobody")
    fetch([server.url], shared / "data.bin")
    assert (shared / "data.bin").read_bytes() == CONTENT
    os.seteuid(0)
    fetch([server.url], shared / "data.bin")
    assert [each.name for each in shared.iterdir()] == ["data.bin"]


def test_404_is_not_tried_again(server, path):
    server.behaviours = ["missing"]
    with pytest.raises(UserError) as error:
        fetch([server.url], path)
    assert len(server.requests) == 1
    message = str(error.value)
    assert f"{server.url}: the server answered 404" in message
    assert "datasets.<name>.source: archive" in message
    assert "source: images" in message
    assert not path.exists()


def test_page_to_log_in_is_recognised(server, path):
    server.behaviours = ["log_in"]
    with pytest.raises(UserError, match="closed after 41 of 512,000 bytes; it seems to be an HTML page, perhaps"):
        fetch([server.url], path)


@pytest.mark.parametrize("first", ["missing", "leads_astray"])
def test_next_mirror_after_a_fault_that_stays(server, path, first):
    server.behaviours = [first, "whole"]
    fetch([server.url.replace("data", "gone"), server.url], path)
    assert [request[0] for request in server.requests] == ["/gone.bin", "/data.bin"]
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_truncated_body_is_resumed(server, path, size):
    server.behaviours = ["truncated", "whole"]
    fetch([server.url], path, size=size)
    assert server.requests == [("/data.bin", None), ("/data.bin", f"bytes={HALF}-")]
    assert path.read_bytes() == CONTENT


def test_attempts_that_bring_something_are_not_counted(server, path):
    server.behaviours = ["cut", "cut", *3 * ["unavailable"], *4 * ["cut"], *3 * ["unavailable"], "cut"]
    fetch([server.url], path)
    assert path.read_bytes() == CONTENT
    assert len(server.requests) == 18  # twelve parts and six refusals


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_server_that_begins_again_each_time_and_never_ends_is_given_up(server, path, size):
    server.behaviours = ["truncated"]
    with pytest.raises(UserError, match="could not be downloaded"):
        fetch([server.url], path, size=size)
    assert len(server.requests) == 5


def test_stall_ends_and_is_resumed(server, path, monkeypatch, capsys):
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.2)
    server.behaviours = ["stalls", "whole"]
    fetch([server.url], path)
    assert path.read_bytes() == CONTENT
    assert "no data for 0.2 s" in capsys.readouterr().out
    assert server.requests[1][1].startswith("bytes=")


def test_stalling_for_ever_is_an_error(server, path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(module, "ATTEMPTS", 2)
    server.behaviours = ["stalls"]
    with pytest.raises(UserError, match="no answer or no data"):
        fetch([server.url], path)
    assert len(server.requests) == 2


def test_attempts_are_limited_and_pauses_double(server, path, monkeypatch):
    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.5)
    server.behaviours = ["unavailable"]
    with pytest.raises(UserError, match="503"):
        fetch([server.url], path)
    assert len(server.requests) == 5
    assert pauses == [0.5, 1, 2, 4]


def test_wrong_checksum_is_refused_after_one_more_try(server, path):
    server.behaviours = ["wrong"]
    with pytest.raises(UserError) as error:
        fetch([server.url], path)
    assert len(server.requests) == 2
    assert DIGESTS["sha256"] in str(error.value)
    assert hashlib.sha256(CONTENT[::-1]).hexdigest() in str(error.value)
    assert list(path.parent.iterdir()) == []


def test_an_endless_body_is_cut(server, path):
    server.behaviours = ["endless"]
    with pytest.raises(UserError, match="has sha256"):
        fetch([server.url], path)
    assert not server.released.is_set()


def test_next_mirror_after_wrong_checksum(server, path):
    server.behaviours = ["wrong", "wrong", "whole"]
    fetch([server.url, server.url], path)
    assert path.read_bytes() == CONTENT


def test_wrong_md5_alone_is_refused(server, path):
    with pytest.raises(UserError, match="md5"):
        fetch([server.url], path, md5="0" * 32)
    assert not path.exists()


def test_valid_file_is_not_fetched_again(server, path):
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    fetch([server.url], path)
    assert server.requests == []


def test_invalid_file_is_replaced(server, path):
    path.parent.mkdir()
    path.write_bytes(b"something else")
    fetch([server.url], path)
    assert path.read_bytes() == CONTENT


def test_a_wrong_file_that_is_there_is_named_where_there_is_no_other(server, path):
    path.parent.mkdir()
    path.write_bytes(b"something else")
    server.behaviours = ["missing"]
    found = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(UserError, match=rf"bin is there, but has sha256 {found}, expected {DIGESTS['sha256']}"):
        fetch([server.url], path)
    assert path.read_bytes() == b"something else"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/data.bin", "http://no-such-host.invalid/data.bin"])
def test_unreachable_server(path, url):
    with pytest.raises(UserError) as error:
        fetch([url], path)
    assert f"{url}: no connection" in str(error.value)
    assert "datasets.<name>.source: archive" in str(error.value)


def test_malformed_address_is_not_tried_again(path, capsys):
    with pytest.raises(UserError, match="not-an-address"):
        fetch(["not-an-address"], path)
    assert capsys.readouterr().out == "downloading not-an-address\n"
