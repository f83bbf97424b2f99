"""The head of a request has bounds: bytes, and seconds."""

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
import uvicorn

from api.heads import MAX_HEAD_BYTES, BoundedHeads, bound_heads


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    content = str(len(body)).encode()
    length = (b"content-length", str(len(content)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": content})


@pytest.fixture
def port() -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(echo, lifespan="off", log_config=None))
    server.config.load()
    bound_heads(server)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head is due in half a second."""
    monkeypatch.setattr(BoundedHeads, "head_seconds", 0.5)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def heard(connection: socket.socket) -> tuple[int, str, bytes]:
    """Status, head and content of all that is said until the server closes."""
    said = b""
    while piece := connection.recv(65536):
        said += piece
    if not said:
        return 0, "", b""
    head, _, content = said.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode().lower(), content


def asked(port: int, content: bytes) -> tuple[int, str, bytes]:
    with closing(connected(port)) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        return heard(connection)


def head(padding: int, *lines: str) -> bytes:
    text = "".join(f"{line}\r\n" for line in (f"X-Padding: {'a' * padding}", *lines))
    return f"POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{text}\r\n".encode()


@pytest.mark.parametrize("padding", [0, MAX_HEAD_BYTES - 200])
def test_a_head_within_its_bounds_is_taken_however_large_the_body_is(
    port: int, padding: int
) -> None:
    body = b"b" * 3_000_000
    with closing(connected(port)) as connection:
        connection.sendall(head(padding, f"Content-Length: {len(body)}") + body)
        assert heard(connection)[::2] == (200, str(len(body)).encode())


@pytest.mark.parametrize(
    "content",
    [
        head(MAX_HEAD_BYTES),
        b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEAD_BYTES // 5) + b"\r\n",
    ],
    ids=["a long header", "a long address", "many headers"],
)
def test_a_head_that_is_too_large_is_refused_in_the_shape_of_every_error(
    port: int, content: bytes
) -> None:
    with closing(connected(port)) as connection:
        connection.sendall(content)
        status, lines, body = heard(connection)
    assert status == 431
    assert "connection: close" in lines
    error = json.loads(body)["error"]
    assert (error["code"], error["detail"]) == ("head_too_large", None)
    assert str(MAX_HEAD_BYTES) in error["message"]
    assert asked(port, head(0))[0] == 200


def test_a_head_without_an_end_is_refused_too(port: int) -> None:
    with closing(connected(port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Endless: ")
        time.sleep(0.1)
        connection.sendall(b"a" * (MAX_HEAD_BYTES + 1))
        assert heard(connection)[0] == 431


def test_whoever_is_refused_may_end_what_it_sends_and_reads_why(port: int) -> None:
    for _ in range(20):
        with closing(connected(port)) as connection:
            connection.sendall(head(900_000))
            assert heard(connection)[0] == 431


def test_a_head_without_an_end_is_not_read_to_its_end(port: int) -> None:
    with closing(connected(port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Endless: ")
        sent = sent_until_closed(connection, b"a" * 65536, pause=0)
    assert sent < 20_000_000  # what the system keeps for both sides


def test_what_is_not_http_is_refused_in_the_shape_of_every_error(port: int) -> None:
    status, lines, body = asked(port, b"\x16\x03\x01 hello\r\n\r\n")
    assert status == 400
    assert "content-type: application/json" in lines
    assert json.loads(body)["error"]["code"] == "invalid_request"


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost", b"\r\n\r\n"])
def test_a_connection_whose_first_head_does_not_come_is_closed(port: int, begun: bytes) -> None:
    with closing(connected(port)) as connection:
        connection.sendall(begun)
        assert heard(connection) == (0, "", b"")


@pytest.mark.usefixtures("soon")
def test_a_later_head_that_does_not_come_to_its_end_is_closed_too(port: int) -> None:
    with closing(connected(port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHo")
        status, _, content = heard(connection)
    assert (status, content) == (200, b"0")


@pytest.mark.usefixtures("soon")
def test_drops_of_a_head_do_not_hold_it_open(port: int) -> None:
    with closing(connected(port)) as connection:
        assert sent_until_closed(connection, b"X", pause=0.05) < 200


def sent_until_closed(connection: socket.socket, piece: bytes, *, pause: float) -> int:
    sent = 0
    with suppress(OSError):  # reset or a broken pipe, as it comes
        while sent < 100_000_000:
            sent += connection.send(piece)
            time.sleep(pause)
    return sent


@pytest.mark.usefixtures("soon")
def test_a_body_may_take_longer_than_a_head(port: int) -> None:
    with closing(connected(port)) as connection:
        connection.sendall(head(0, "Content-Length: 2"))
        time.sleep(1)
        connection.sendall(b"bb")
        assert heard(connection)[::2] == (200, b"2")


def test_requests_that_follow_one_another_are_each_answered(port: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        for _ in range(5):
            connection.request("POST", "/", b"bbbb")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"4")
            time.sleep(0.2)
