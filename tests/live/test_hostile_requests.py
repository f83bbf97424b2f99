"""What no well-meaning client sends: the answer is an error of the one shape, or of the server."""

import gzip
import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from api.access import ROUTES
from tests.live.server import Server
from tests.live.test_routes import ZEROS

pytestmark = pytest.mark.live

JSON = {"Content-Type": "application/json"}
HALT = "/v1/risk/halt"


@pytest.fixture
def wire(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        yield connection


def told(wire: socket.socket, first_line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    """The answer to a request as it is written here, with nothing put right."""
    lines = [first_line, b"Host: localhost", b"Connection: close", *headers, b"", body]
    wire.sendall(b"\r\n".join(lines))
    received = b""
    while piece := wire.recv(65_536):
        received += piece
    return received


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def has_the_one_shape(answer: httpx.Response) -> bool:
    return set(answer.json()["error"]) == {"code", "message", "detail"}


def assert_alive(server: Server) -> None:
    with server.client() as client:
        assert client.get("/health").status_code == 200


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "DELETE"])
def test_every_route_refuses_every_other_method(client: httpx.Client, method: str) -> None:
    for route in ROUTES:
        path = route.partition(" ")[2].replace("{", "").replace("}", "")
        answer = client.request(method, path)
        assert answer.status_code == 405, path
        assert answer.headers["allow"] in {"GET", "POST"}
        assert method == "HEAD" or has_the_one_shape(answer)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/static_content/../../../etc/passwd", 404),
        (b"/static_content/%2e%2e%2f%2e%2e%2fhttp_app.py", 404),
        (b"/static_content/%2e%2e", 404),
        (b"/static_content/..%5chttp_app.py", 404),
        (b"/static_content/swagger-ui.css%00", 404),
        (b"/v1/../health", 404),
        (b"/v1/%2e%2e/health", 404),
        (b"//health", 404),
        (b"/health/", 404),
        (b"/health%00", 404),
        (b"/health%0a", 404),
        (b"/v1/decisions/%ff%fe", 404),
        (b"/v1/decisions/%00", 404),
        (b"/v1/decisions/%ED%A0%80", 404),
        (b"/v1/decisions/a%2fb", 404),
        (b"/v1/features/%00", 400),
        (b"/v1/decisions?limit=%ff", 400),
        (b"/v1/decisions?before=%00", 400),
        (b"/v1/decisions?limit=1&limit=2", 400),
        (b"/v1/decisions?limit=1&l%69mit=2", 400),
        (b"/v1/decisions?limit=" + b"9" * 5_000, 400),
        (b"/v1/decisions/\xff\xfe", 400),
        (b"/v1/decisions?\xff", 400),
        (b"*", 404),
        (b"/%", 404),
    ],
)
def test_a_path_leads_where_it_says_or_nowhere(
    wire: socket.socket, target: bytes, status: int
) -> None:
    answer = told(wire, b"GET " + target + b" HTTP/1.1")
    assert status_of(answer) == status
    assert b"Traceback" not in answer


@pytest.mark.parametrize(("length", "status"), [(30_000, 404), (60_000, 431)])
def test_a_long_path_is_answered_shortly(client: httpx.Client, length: int, status: int) -> None:
    answer = client.get("/v1/decisions/" + "a" * length)
    assert answer.status_code == status
    assert has_the_one_shape(answer)
    assert len(answer.content) < 300


@pytest.mark.parametrize(
    "header",
    [
        b"X-Split: a\rSet-Cookie: b",
        b"X-Nothing: a\x00b",
        b"X-Folded: a\r\n b",
        b"X-Space : a",
        b"no header at all",
    ],
)
def test_a_broken_header_is_400(wire: socket.socket, server: Server, header: bytes) -> None:
    assert status_of(told(wire, b"GET /health HTTP/1.1", header)) == 400
    assert_alive(server)


def test_a_long_header_harms_nothing(wire: socket.socket, server: Server) -> None:
    answer = told(wire, b"GET /health HTTP/1.1", b"X-Long: " + b"a" * 500_000)
    assert status_of(answer) == 431
    assert b"aaaa" not in answer
    assert_alive(server)


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Length: 2", b"Content-Length: 2"),
        (b"Content-Length: 2", b"Content-Length: 3"),
        (b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        (b"Content-Length: 2", b"Transfer-Encoding: gzip"),
        (b"Content-Length: -1",),
        (b"Content-Length: 0x2",),
        (b"Content-Length: " + b"9" * 5_000,),
    ],
)
def test_a_body_of_two_lengths_or_of_none_is_400(
    wire: socket.socket, headers: tuple[bytes, ...]
) -> None:
    json_type = b"Content-Type: application/json"
    answer = told(wire, b"POST /v1/risk/halt HTTP/1.1", json_type, *headers, body=b"{}")
    assert status_of(answer) == 400


def test_a_compressed_body_is_415(client: httpx.Client) -> None:
    answer = client.post(
        HALT, content=gzip.compress(b"{}"), headers={**JSON, "Content-Encoding": "gzip"}
    )
    assert answer.status_code == 415
    assert has_the_one_shape(answer)


ZEROS_TEXT = json.dumps(ZEROS).encode()


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/v1/inference", b'{"observation": %b, "dry_run": true, "dry_run": false}', "twice"),
        (HALT, b'{"mode": "REDUCING", "m\\u006fde": "HALTED"}', "twice"),
        (HALT, b'{"reason": "\\ud800"}', "JSON"),
        (HALT, b'{"reason": "\\ude00\\ud83d"}', "JSON"),
        (HALT, b'{"reason": "\xed\xa0\x80"}', "JSON"),
        (HALT, b'{"reason": "\xff"}', "JSON"),
        (HALT, b'{"reason": "a\x00b"}', "JSON"),
        (HALT, b'{"reason": "a\\u0000b"}', "reason"),
        (HALT, b'{"reason": "\\u001b[2J"}', "reason"),
        (HALT, b"\xef\xbb\xbf{}", "JSON"),
        (HALT, b"{} {}", "JSON"),
        (HALT, b"null", "object"),
        ("/v1/inference", b'{"observation": %b, "order_id": "a\\u0000"}', "order_id"),
        ("/v1/inference", b'{"observation": %b, "order_id": "\\ud83d\\ude00"}', "order_id"),
        ("/v1/inference", b'{"observation": %b, "model_name": "\\u0000"}', "not loaded"),
        ("/v1/inference", b'{"features": {"\\u0000": 1}}', "unknown"),
        ("/v1/inference", b'{"observation": [' + b"9" * 4_000 + b"]}", "finite"),
        ("/v1/inference", b'{"observation": [' + b"9" * 5_000 + b"]}", "out of range"),
        ("/v1/inference/batch", b'{"observations": [[' + b"9" * 5_000 + b"]]}", "out of range"),
        ("/v1/risk/position", b'{"position": 1e400, "as_of": "2026-03-02T13:05:00Z"}', "finite"),
    ],
)
def test_a_body_that_tries_something_is_400_and_told_why(
    client: httpx.Client, path: str, body: bytes, says: str
) -> None:
    answer = client.post(path, content=body.replace(b"%b", ZEROS_TEXT), headers=JSON)
    assert answer.status_code == 400, answer.text
    assert has_the_one_shape(answer)
    assert says in answer.json()["error"]["message"]


def test_nothing_of_this_is_a_fault_on_the_log(server: Server) -> None:
    assert "Traceback" not in server.log.read_text()
