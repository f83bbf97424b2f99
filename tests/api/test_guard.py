import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from itertools import count
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from api.access import ANONYMOUS, LOCAL, Access, Caller, current_caller, digest_of
from api.failures import Failure
from api.guard import Guard
from config.settings import (
    AccessKey,
    AccessSettings,
    Algorithm,
    Environment,
    ModelSettings,
    Role,
    Settings,
)
from errors import NotFound, StoreUnavailable

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LIMIT = 1000
BATCH = "/v1/inference/batch"
INFERENCE = "/v1/inference"
TRADER = {"authorization": "Bearer usdcop_trader"}
VIEWER = {"authorization": "Bearer usdcop_viewer"}
ADMIN = {"authorization": "Bearer usdcop_admin"}
KEYS = tuple(
    AccessKey(name=f"{role}-desk", role=role, sha256=digest_of(f"usdcop_{role}")) for role in Role
)


def access(
    keys: tuple[AccessKey, ...] = KEYS, *, open_metrics: bool = True, origins: tuple[str, ...] = ()
) -> Access:
    model = ModelSettings(name="ppo", algorithm=Algorithm.PPO, tag="ppo")
    environment = Environment.PRODUCTION if keys else Environment.DEVELOPMENT
    section = AccessSettings(keys=keys, open_metrics=open_metrics, allowed_origins=origins)
    return Access(Settings(models=(model,), environment=environment, access=section))


def guarded(
    app: Any, rules: Access | None = None, answered: Callable[..., None] | None = None
) -> Guard:
    ids = count(1)
    return Guard(
        app,
        access=rules or access(),
        max_body_bytes=LIMIT,
        bulky={BATCH: 10 * LIMIT},
        body_seconds=0.2,
        new_request_id=lambda: f"request-{next(ids)}",
        answered=answered,
    )


async def echo(request: Request) -> Response:
    """What a handler gets to see."""
    body = (await request.body()).decode()
    caller = current_caller.get()
    assert request.state.caller == caller
    return JSONResponse(
        {
            "body": body,
            "caller": caller.name,
            "role": caller.role,
            "type": request.headers.get("content-type"),
            "length": request.headers.get("content-length"),
            "id": request.state.request_id,
        }
    )


def router(*routes: Route) -> Starlette:
    posts = [INFERENCE, "/v1/risk/reset", "/v1/risk/halt"]
    gets = ["/v1/models", "/health", "/livez", "/metrics", "/v1/decisions/{id}"]
    return Starlette(
        routes=[
            *routes,
            *(Route(path, echo, methods=["POST"]) for path in posts),
            *(Route(path, echo, methods=["GET"]) for path in gets),
        ]
    )


class Client:
    """Calls an app as uvicorn would, each call in a loop of its own."""

    def __init__(self, app: Any, *, peer: str = "127.0.0.1", host: str = "localhost:8090") -> None:
        self._app = app
        self._peer = peer
        self._base = f"http://{host}"

    def __call__(self, method: str, path: str, **request: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, client=(self._peer, 40000))
            async with httpx.AsyncClient(transport=transport, base_url=self._base) as client:
                return await client.request(method, path, **request)

        return asyncio.run(call())


def served(app: Any = None, rules: Access | None = None, **where: str) -> Client:
    return Client(guarded(app if app is not None else router(), rules), **where)


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error of an answer, which must have the one shape."""
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    content = response.json()
    assert set(content) == {"error"}
    assert set(content["error"]) == {"code", "message", "detail"}
    error: dict[str, Any] = content["error"]
    return error


class TestWhoMayCall:
    @pytest.mark.parametrize("key", [TRADER, ADMIN])
    def test_a_key_of_enough_rank_is_served_by_name(self, key: dict[str, str]) -> None:
        response = served()("POST", INFERENCE, headers=key, json={"observation": []})
        assert response.status_code == 200
        assert response.json()["caller"] == key["authorization"].rpartition("_")[2] + "-desk"

    def test_without_a_key_it_is_401_with_a_challenge(self) -> None:
        response = served()("POST", INFERENCE, json={})
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="usdcop"'
        assert "Authorization: Bearer" in error_of(response)["message"]

    @pytest.mark.parametrize("header", ["Bearer nobody", "Basic dXNlcg==", "usdcop_trader", ""])
    def test_a_wrong_key_is_401(self, header: str) -> None:
        response = served()("POST", INFERENCE, headers={"authorization": header}, json={})
        assert response.status_code == 401
        assert 'error="invalid_token"' in response.headers["www-authenticate"]
        assert error_of(response)["code"] == "unauthorized"

    @pytest.mark.parametrize("name", ["key", "token", "api_key", "access_token", "authorization"])
    def test_a_key_in_the_url_is_not_read(self, name: str) -> None:
        response = served()("POST", f"{INFERENCE}?{name}=usdcop_trader", json={})
        assert response.status_code == 401

    def test_a_key_of_too_low_rank_is_403_and_told_what_it_needs(self) -> None:
        response = served()("POST", "/v1/risk/reset", headers=TRADER)
        assert response.status_code == 403
        message = error_of(response)["message"]
        assert "needs the role admin" in message
        assert "'trader-desk'" in message

    def test_a_viewer_reads_and_does_not_decide(self) -> None:
        call = served()
        assert call("GET", "/v1/models", headers=VIEWER).status_code == 200
        assert call("POST", INFERENCE, headers=VIEWER, json={}).status_code == 403

    @pytest.mark.parametrize("path", ["/health", "/livez"])
    def test_probes_need_no_key(self, path: str) -> None:
        response = served()("GET", path)
        assert response.json()["caller"] == ANONYMOUS.name

    def test_the_scrape_needs_a_key_when_it_is_not_open(self) -> None:
        assert served()("GET", "/metrics").status_code == 200
        closed = served(rules=access(open_metrics=False))
        assert closed("GET", "/metrics").status_code == 401
        assert closed("GET", "/metrics", headers=VIEWER).status_code == 200

    def test_an_unknown_route_is_401_without_a_key_and_404_with_one(self) -> None:
        call = served()
        assert call("GET", "/v1/nothing").status_code == 401
        response = call("GET", "/v1/nothing", headers=VIEWER)
        assert response.status_code == 404
        assert error_of(response)["code"] == "not_found"

    def test_a_route_without_an_entry_is_unreachable(self) -> None:
        app = router(Route("/v1/new", echo, methods=["POST"]))
        assert served(app)("POST", "/v1/new", headers=ADMIN, json={}).status_code == 404

    def test_a_line_break_does_not_get_a_viewer_past_the_table(self) -> None:
        app = Starlette(routes=[Route("/v1/risk/reset", PlainTextResponse("reached"))])
        path = "/v1/risk/reset%0A"
        assert Client(app)("POST", path).text == "reached"
        assert served(app)("POST", path, headers=VIEWER).status_code == 404

    def test_a_prefix_of_the_server_does_not_get_a_viewer_past_the_table(self) -> None:
        app = guarded(router())

        async def prefixed(scope: Message, receive: Receive, send: Send) -> None:
            await app({**scope, "root_path": "/desk"}, receive, send)

        call = Client(prefixed)
        assert call("POST", "/desk/v1/risk/reset", headers=VIEWER).status_code == 403
        assert call("POST", "/desk/v1/risk/reset", headers=ADMIN).status_code == 200

    def test_another_method_is_405_and_told_which_there_are(self) -> None:
        response = served()("GET", INFERENCE, headers=TRADER)
        assert response.status_code == 405
        assert response.headers["allow"] == "POST"
        assert error_of(response)["code"] == "method_not_allowed"

    def test_head_on_a_route_that_answers_get_has_no_body(self) -> None:
        app = router(Route("/v1/alerts", PlainTextResponse("x"), methods=["POST"]))
        response = served(app)("HEAD", "/v1/alerts", headers=VIEWER)
        assert response.status_code == 405
        assert response.content == b""
        assert response.headers["content-type"] == "application/json"

    def test_the_caller_is_gone_after_the_request(self) -> None:
        async def run() -> str:
            app = guarded(router())
            await exchange(app, "POST", INFERENCE, TRADER, [body_of(b"")])
            return current_caller.get(Caller("nobody", Role.VIEWER)).name

        assert asyncio.run(run()) == "nobody"

    def test_each_of_many_requests_at_once_keeps_its_own_caller(self) -> None:
        async def slow(request: Request) -> Response:
            before = current_caller.get()
            await asyncio.sleep(0.01)
            assert current_caller.get() == before
            return JSONResponse({"caller": before.name})

        async def run() -> list[str]:
            app = guarded(router(Route("/v1/risk/mark", slow, methods=["POST"])))
            exchanges = [
                exchange(app, "POST", "/v1/risk/mark", key, [body_of(b"")])
                for key in [TRADER, ADMIN] * 10
            ]
            sent = await asyncio.gather(*exchanges)
            return [json.loads(messages[-1]["body"])["caller"] for messages in sent]

        assert asyncio.run(run()) == ["trader-desk", "admin-desk"] * 10


class TestWithoutKeys:
    def test_this_machine_is_served_as_admin(self) -> None:
        response = served(rules=access(()))("POST", "/v1/risk/reset")
        assert (response.status_code, response.json()["caller"]) == (200, LOCAL.name)

    @pytest.mark.parametrize("host", ["127.0.0.1", "[::1]:8090", "LOCALHOST:8090"])
    def test_by_each_of_its_names(self, host: str) -> None:
        assert served(rules=access(()), host=host)("GET", "/health").status_code == 200

    @pytest.mark.parametrize("path", ["/health", "/v1/models", "/metrics", "/v1/nothing"])
    def test_another_machine_is_not_served_anything(self, path: str) -> None:
        response = served(rules=access(()), peer="10.0.0.7")("GET", path)
        assert response.status_code == 403
        assert "usdcop keys new" in error_of(response)["message"]

    @pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8090", "10.0.0.1"])
    def test_a_name_that_a_page_pointed_here_is_not_served(self, host: str) -> None:
        assert served(rules=access(()), host=host)("GET", "/v1/models").status_code == 403

    @pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip"])
    def test_a_forwarding_header_never_makes_a_request_local(self, header: str) -> None:
        headers = {header: "127.0.0.1"}
        for peer in ("10.0.0.7", "127.0.0.1"):
            call = served(rules=access(()), peer=peer)
            assert call("GET", "/v1/models", headers=headers).status_code == 403

    def test_a_peer_without_an_address_is_not_served(self) -> None:
        async def run() -> list[Message]:
            return await exchange(
                guarded(router(), access(())), "GET", "/v1/models", {"host": "localhost"}, [], None
            )

        assert asyncio.run(run())[0]["status"] == 403

    def test_with_keys_a_forwarding_header_means_nothing(self) -> None:
        headers = {"x-forwarded-for": "127.0.0.1"}
        assert served()("GET", "/v1/models", headers=headers).status_code == 401
        assert served()("GET", "/v1/models", headers=headers | VIEWER).status_code == 200


class TestOrigins:
    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "http://localhost:9999", "", "localhost:8090"]
    )
    def test_a_page_of_another_origin_is_403(self, origin: str) -> None:
        headers = TRADER | {"origin": origin}
        response = served()("POST", INFERENCE, headers=headers, json={})
        assert response.status_code == 403
        assert "access-control-allow-origin" not in response.headers

    def test_that_holds_without_keys_too(self) -> None:
        headers = {"origin": "https://evil.example"}
        response = served(rules=access(()))("POST", INFERENCE, headers=headers, json={})
        assert response.status_code == 403

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_the_services_own_page_is_served(self, scheme: str) -> None:
        headers = TRADER | {"origin": f"{scheme}://localhost:8090"}
        assert served()("POST", INFERENCE, headers=headers, json={}).status_code == 200

    def test_a_configured_origin_is_served_and_may_read_the_answer(self) -> None:
        call = served(rules=access(origins=("https://desk.example",)))
        for headers in (TRADER, {}):
            response = call(
                "POST", INFERENCE, headers=headers | {"origin": "https://desk.example"}, json={}
            )
            assert response.status_code == (200 if headers else 401)
            assert response.headers["access-control-allow-origin"] == "https://desk.example"
            assert response.headers["vary"] == "Origin"

    def test_a_browser_asking_first_is_told_what_a_configured_origin_may_send(self) -> None:
        headers = {"origin": "https://desk.example", "access-control-request-method": "POST"}
        response = served(rules=access(origins=("https://desk.example",)))(
            "OPTIONS", INFERENCE, headers=headers
        )
        assert response.status_code == 204
        assert response.headers["access-control-allow-headers"] == "Authorization, Content-Type"

    def test_a_browser_asking_first_for_another_origin_is_403(self) -> None:
        headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        assert served()("OPTIONS", INFERENCE, headers=headers).status_code == 403


class TestBodies:
    def test_an_empty_body_reaches_the_handler_as_an_empty_object(self) -> None:
        seen = served()("POST", "/v1/risk/reset", headers=ADMIN).json()
        assert (seen["body"], seen["type"], seen["length"]) == ("{}", "application/json", "2")

    def test_an_empty_body_may_come_with_any_content_type(self) -> None:
        headers = ADMIN | {"content-type": "application/x-www-form-urlencoded"}
        seen = served()("POST", "/v1/risk/reset", headers=headers).json()
        assert (seen["body"], seen["type"]) == ("{}", "application/json")

    @pytest.mark.parametrize(
        "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
    )
    def test_json_is_taken(self, content_type: str) -> None:
        headers = TRADER | {"content-type": content_type}
        response = served()("POST", INFERENCE, headers=headers, content=b'{"a": 1}')
        assert response.json()["body"] == '{"a": 1}'

    @pytest.mark.parametrize(
        "content_type",
        [
            None,
            "",
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
            "application/vnd.bentoml+pickle",
            "application/jsonx",
            "text/plain; application/json",
        ],
    )
    def test_any_other_body_is_415(self, content_type: str | None) -> None:
        headers = TRADER | ({} if content_type is None else {"content-type": content_type})
        response = served()("POST", INFERENCE, headers=headers, content=b"{}")
        assert response.status_code == 415
        assert "application/json" in error_of(response)["message"]

    @pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, identity"])
    def test_an_encoded_body_is_415(self, encoding: str) -> None:
        headers = TRADER | {"content-type": "application/json", "content-encoding": encoding}
        response = served()("POST", INFERENCE, headers=headers, content=b"{}")
        assert response.status_code == 415

    def test_a_body_encoded_as_itself_is_taken(self) -> None:
        headers = TRADER | {"content-type": "application/json", "content-encoding": "identity"}
        assert served()("POST", INFERENCE, headers=headers, content=b"{}").status_code == 200

    def test_the_largest_body_passes_and_one_byte_more_is_413(self) -> None:
        call = served()
        headers = TRADER | {"content-type": "application/json"}
        fits, larger = (b'"' + b"x" * size + b'"' for size in (LIMIT - 2, LIMIT - 1))
        assert call("POST", INFERENCE, headers=headers, content=fits).status_code == 200
        response = call("POST", INFERENCE, headers=headers, content=larger)
        assert response.status_code == 413
        assert str(LIMIT) in error_of(response)["message"]
        assert response.headers["connection"] == "close"

    def test_deep_json_is_400(self) -> None:
        headers = TRADER | {"content-type": "application/json"}
        response = served()("POST", INFERENCE, headers=headers, content=b"[" * 400 + b"]" * 400)
        assert response.status_code == 400
        assert "levels deep" in error_of(response)["message"]

    def test_who_may_not_call_is_told_so_before_the_body_is_read(self) -> None:
        async def unread() -> Message:
            raise AssertionError("the body was read")

        async def run() -> list[Message]:
            sent: list[Message] = []
            await guarded(router())(scope_of("POST", INFERENCE, {}), unread, collect(sent))
            return sent

        assert asyncio.run(run())[0]["status"] == 401


def scope_of(
    method: str, path: str, headers: dict[str, str], peer: tuple[str, int] | None = ("10.0.0.7", 1)
) -> Message:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": raw,
        "client": peer,
        "scheme": "http",
        "http_version": "1.1",
    }


def body_of(chunk: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": chunk, "more_body": more}


def collect(sent: list[Message]) -> Send:
    async def send(message: Message) -> None:
        sent.append(message)

    return send


async def exchange(
    app: Any,
    method: str,
    path: str,
    headers: dict[str, str],
    incoming: Iterable[Message],
    peer: tuple[str, int] | None = ("10.0.0.7", 1),
) -> list[Message]:
    """One request as raw messages; the client goes away after the last one."""
    messages = iter(incoming)
    sent: list[Message] = []

    async def receive() -> Message:
        return next(messages, {"type": "http.disconnect"})

    await app(scope_of(method, path, headers, peer), receive, collect(sent))
    return sent


class TestRawMessages:
    JSON = TRADER | {"content-type": "application/json"}

    def send(self, *incoming: Message, app: Any = None, **headers: str) -> list[Message]:
        target = guarded(app if app is not None else router())
        every = self.JSON | {name.replace("_", "-"): value for name, value in headers.items()}
        return asyncio.run(exchange(target, "POST", INFERENCE, every, incoming))

    def test_a_body_in_pieces_arrives_whole(self) -> None:
        pieces = [body_of(piece, more=True) for piece in (b"", b'{"a"', b": ", b"1}")]
        sent = self.send(*pieces, body_of(b""), transfer_encoding="chunked")
        assert json.loads(sent[-1]["body"])["body"] == '{"a": 1}'

    def test_pieces_are_counted_whatever_the_header_says(self) -> None:
        pieces = [body_of(b"1" * 300, more=True) for _ in range(10)]
        sent = self.send(*pieces, content_length="10")
        assert sent[0]["status"] == 413

    def test_a_declared_length_beyond_the_limit_is_refused_unread(self) -> None:
        assert self.send(content_length=str(LIMIT + 1))[0]["status"] == 413

    def test_a_length_that_is_no_number_decides_nothing(self) -> None:
        assert self.send(body_of(b"{}"), content_length="many")[0]["status"] == 200

    def test_an_endless_body_is_read_no_further_than_the_limit(self) -> None:
        read = 0

        async def receive() -> Message:
            nonlocal read
            read += 100
            return body_of(b"1" * 100, more=True)

        sent: list[Message] = []
        scope = scope_of("POST", INFERENCE, self.JSON)
        asyncio.run(guarded(router())(scope, receive, collect(sent)))
        assert sent[0]["status"] == 413
        assert read <= LIMIT + 100

    def test_a_body_that_does_not_arrive_is_408(self) -> None:
        async def receive() -> Message:
            await asyncio.sleep(60)
            raise AssertionError("waited on")

        sent: list[Message] = []
        scope = scope_of("POST", INFERENCE, self.JSON)
        asyncio.run(guarded(router())(scope, receive, collect(sent)))
        assert sent[0]["status"] == 408
        assert "0.2 s" in json.loads(sent[1]["body"])["error"]["message"]

    def test_a_bulky_route_takes_a_larger_body_than_the_others(self) -> None:
        pieces = [body_of(b" " * (5 * LIMIT), more=True), body_of(b"{}")]
        target = guarded(router(Route(BATCH, echo, methods=["POST"])))
        sent = asyncio.run(exchange(target, "POST", BATCH, self.JSON, pieces))
        assert sent[0]["status"] == 200
        assert self.send(*pieces)[0]["status"] == 413

    @pytest.mark.parametrize("before", [0, 1, 3])
    def test_a_client_that_goes_away_while_sending_reaches_no_handler(self, before: int) -> None:
        async def handler(scope: Message, receive: Receive, send: Send) -> None:
            raise AssertionError("reached")

        pieces = [body_of(b"1", more=True) for _ in range(before)]
        assert self.send(*pieces, app=handler) == []

    def test_a_handler_learns_that_the_client_went_away(self) -> None:
        seen: list[str] = []

        async def handler(scope: Message, receive: Receive, send: Send) -> None:
            seen.extend([(await receive())["type"], (await receive())["type"]])
            await JSONResponse({})(scope, receive, send)

        self.send(body_of(b"{}"), app=handler)
        assert seen == ["http.request", "http.disconnect"]

    def test_the_first_of_two_content_types_counts_as_in_the_frameworks(self) -> None:
        scope = scope_of("POST", INFERENCE, TRADER)
        scope["headers"] += [
            (b"content-type", b"text/plain"),
            (b"content-type", b"application/json"),
        ]
        sent: list[Message] = []

        async def receive() -> Message:
            return body_of(b"{}")

        asyncio.run(guarded(router())(scope, receive, collect(sent)))
        assert sent[0]["status"] == 415

    def test_a_websocket_is_closed(self) -> None:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        asyncio.run(guarded(router())({"type": "websocket"}, receive, collect(sent)))
        assert [message["type"] for message in sent] == ["websocket.close"]

    def test_the_lifespan_passes(self) -> None:
        seen: list[str] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            seen.append(scope["type"])

        async def receive() -> Message:
            return {"type": "lifespan.startup"}

        asyncio.run(guarded(app)({"type": "lifespan"}, receive, collect([])))
        assert seen == ["lifespan"]


def answering(response: Response, path: str = "/v1/risk/mark") -> Starlette:
    async def handler(request: Request) -> Response:
        return response

    return router(Route(path, handler, methods=["POST", "GET"]))


class TestWhatIsCounted:
    def told(self, calls: Iterable[tuple[str, str, dict[str, str]]], app: Any = None) -> list[Any]:
        answers: list[Any] = []
        guard = guarded(app or router(), answered=lambda *answer: answers.append(answer))
        for method, path, headers in calls:
            Client(guard)(method, path, headers=headers)
        assert all(seconds > 0 for *_, seconds in answers)
        return [(route, status) for route, status, _ in answers]

    def test_each_request_counts_once_by_its_route_and_its_status(self) -> None:
        found = self.told(
            [
                ("POST", INFERENCE, TRADER),
                ("POST", INFERENCE, VIEWER),
                ("GET", "/v1/decisions/17", VIEWER),
                ("GET", "/v1/decisions/18", VIEWER),
                ("GET", "/v1/models/../../etc/passwd", VIEWER),
                ("GET", "/no/such", VIEWER),
                ("GET", "/health", {}),
            ]
        )
        assert found == [
            (INFERENCE, 200),
            (INFERENCE, 403),
            ("/v1/decisions/{id}", 200),
            ("/v1/decisions/{id}", 200),
            ("other", 404),
            ("other", 404),
            ("/health", 200),
        ]

    def test_a_fault_counts_as_what_the_caller_was_told(self) -> None:
        def fails(_: Request) -> Response:
            raise RuntimeError("inside")

        app = Starlette(routes=[Route("/health", fails)])
        assert self.told([("GET", "/health", {})], app) == [("/health", 500)]

    def test_a_stream_took_as_long_as_its_beginning(self) -> None:
        async def stream(request: Request) -> Response:
            request.scope["state"]["answered_at"] = time.perf_counter()

            async def parts() -> AsyncIterator[bytes]:
                yield b"first"
                await asyncio.sleep(0.2)
                yield b"last"

            return StreamingResponse(parts())

        answers: list[Any] = []
        app = Starlette(routes=[Route("/health", stream)])
        guard = guarded(app, answered=lambda *answer: answers.append(answer))
        assert Client(guard)("GET", "/health").text == "firstlast"
        ((route, status, seconds),) = answers
        assert (route, status) == ("/health", 200)
        assert seconds < 0.2

    def test_a_client_that_goes_away_unanswered_counts_as_such(self) -> None:
        answers: list[Any] = []
        guard = guarded(router(), answered=lambda *answer: answers.append(answer))
        headers = [(b"host", b"localhost"), (b"authorization", TRADER["authorization"].encode())]
        scope = {"type": "http", "method": "POST", "path": INFERENCE, "headers": headers}

        async def gone() -> Message:
            return {"type": "http.disconnect"}

        async def unheard(_: Message) -> None:
            raise AssertionError("there is nobody to answer")

        asyncio.run(guard(scope, gone, unheard))
        assert [answer[:2] for answer in answers] == [(INFERENCE, 499)]


class TestAnswers:
    def test_every_answer_has_a_request_id_of_its_own(self) -> None:
        call = served()
        answers = [
            call("POST", INFERENCE, headers=TRADER, json={}),
            call("POST", INFERENCE, json={}),
            call("GET", "/v1/nothing", headers=TRADER),
        ]
        ids = [answer.headers["x-request-id"] for answer in answers]
        assert ids == ["request-1", "request-2", "request-3"]
        assert answers[0].json()["id"] == "request-1"

    def test_no_browser_keeps_an_answer_or_guesses_what_it_is(self) -> None:
        call = served()
        for answer in (call("POST", INFERENCE, headers=TRADER), call("GET", "/v1/nothing")):
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"

    def test_the_files_of_a_page_may_be_kept(self) -> None:
        app = router(Route("/static_content/{file}", PlainTextResponse("x"), methods=["GET"]))
        answer = served(app)("GET", "/static_content/page.css", headers=VIEWER)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "cache-control" not in answer.headers

    def test_a_callers_own_request_id_is_not_believed(self) -> None:
        headers = TRADER | {"x-request-id": "forged"}
        response = served()("POST", INFERENCE, headers=headers, json={})
        assert response.headers.get_list("x-request-id") == ["request-1"]

    def test_a_good_answer_passes_unchanged(self) -> None:
        app = answering(PlainTextResponse("as it is", headers={"x-own": "1"}))
        response = served(app)("POST", "/v1/risk/mark", headers=TRADER)
        assert (response.text, response.headers["x-own"]) == ("as it is", "1")

    def test_a_streamed_answer_passes_in_pieces(self) -> None:
        app = answering(StreamingResponse(iter(["a", "b", "c"])))
        assert served(app)("POST", "/v1/risk/mark", headers=TRADER).text == "abc"

    def test_an_error_in_our_shape_passes_unchanged(self) -> None:
        failure = Failure(409, "another P&L", "conflict", {"trade_id": "t1"})
        app = answering(Response(failure.body, 409, media_type="application/json"))
        response = served(app)("POST", "/v1/risk/mark", headers=TRADER)
        assert (response.status_code, response.content) == (409, failure.body)

    def test_an_error_of_another_shape_is_rewritten(self) -> None:
        app = answering(JSONResponse([{"error": "no"}], 400, headers={"retry-after": "3"}))
        response = served(app)("POST", "/v1/risk/mark", headers=TRADER)
        assert error_of(response)["message"] == "no"
        assert response.headers["retry-after"] == "3"
        assert int(response.headers["content-length"]) == len(response.content)

    def test_a_failed_validation_of_a_framework_is_said_in_our_words(self) -> None:
        detail = [{"type": "extra_forbidden", "loc": ["query", "foo"], "msg": "x"}]
        app = answering(JSONResponse({"error": "1", "detail": detail}, 400), INFERENCE)
        response = served(app)("POST", INFERENCE, headers=TRADER)
        assert error_of(response)["message"] == "unknown field 'foo'"

    def test_a_streamed_error_is_rewritten_once(self) -> None:
        app = answering(StreamingResponse(iter(['{"detail"', ': "no"}']), 400))
        response = served(app)("POST", "/v1/risk/mark", headers=TRADER)
        assert error_of(response)["message"] == "no"

    def test_a_huge_error_is_cut(self) -> None:
        app = answering(JSONResponse({"detail": "x" * 3_000_000}, 400))
        response = served(app)("POST", "/v1/risk/mark", headers=TRADER)
        assert response.status_code == 400
        assert len(error_of(response)["message"]) < 400

    def test_an_exception_of_the_framework_is_rewritten(self) -> None:
        async def handler(request: Request) -> Response:
            raise HTTPException(404, "gone", headers={"x-own": "1"})

        app = router(Route("/v1/risk/mark", handler, methods=["POST"]))
        response = served(app)("POST", "/v1/risk/mark", headers=TRADER)
        assert (response.status_code, response.headers["x-own"]) == (404, "1")
        assert error_of(response)["code"] == "not_found"

    def test_the_report_of_an_unhealthy_service_is_no_error(self) -> None:
        report = {"status": "unhealthy", "ledger": "locked"}
        response = served(answering(JSONResponse(report, 503), "/health"))("GET", "/health")
        assert (response.status_code, response.json()) == (503, report)
        assert response.headers["x-request-id"]

    def test_another_503_is_one(self) -> None:
        app = answering(PlainTextResponse("busy", 503))
        response = served(app)("POST", "/v1/risk/mark", headers=TRADER)
        assert error_of(response)["code"] == "not_ready"


def raising(error: Exception) -> Any:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise error

    return app


class TestFaults:
    def test_an_unexpected_one_is_a_500_that_tells_nothing_and_is_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.ERROR):
            response = served(raising(KeyError("hunter2")))("POST", INFERENCE, headers=TRADER)
        assert response.status_code == 500
        assert error_of(response)["code"] == "internal_error"
        assert "hunter2" not in response.text
        assert "request-1" in caplog.text
        assert "KeyError" in caplog.text
        (line,) = caplog.records
        assert (line.__dict__["request_id"], line.__dict__["caller"]) == (
            "request-1",
            "trader-desk",
        )

    def test_one_that_a_framework_answers_and_raises_again_is_answered_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def handler(request: Request) -> Response:
            raise KeyError("hunter2")

        app = router(Route("/v1/risk/mark", handler, methods=["POST"]))
        with caplog.at_level(logging.ERROR):
            response = served(app)("POST", "/v1/risk/mark", headers=TRADER)
        assert response.status_code == 500
        assert error_of(response)["message"] == "the service failed; its log says why"
        assert "KeyError" in caplog.text

    @pytest.mark.parametrize(
        ("error", "status"), [(NotFound("no decision 7"), 404), (StoreUnavailable("locked"), 503)]
    )
    def test_an_error_of_our_own_has_its_status(self, error: Exception, status: int) -> None:
        response = served(raising(error))("POST", INFERENCE, headers=TRADER)
        assert (response.status_code, error_of(response)["message"]) == (status, str(error))

    def test_an_app_that_answers_nothing_is_a_500(self) -> None:
        async def silent(scope: Message, receive: Receive, send: Send) -> None:
            return

        response = served(silent)("POST", INFERENCE, headers=TRADER)
        assert (response.status_code, error_of(response)["code"]) == (500, "internal_error")

    def test_an_error_without_an_end_is_still_answered(self) -> None:
        async def unfinished(scope: Message, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 404, "headers": []})

        response = served(unfinished)("POST", INFERENCE, headers=TRADER)
        assert (response.status_code, error_of(response)["code"]) == (404, "not_found")

    def test_half_an_answer_is_cut_off_instead_of_looking_whole(self) -> None:
        async def halfway(scope: Message, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{", "more_body": True})
            raise KeyError("lost")

        sent: list[Message] = []

        async def receive() -> Message:
            return body_of(b"")

        with pytest.raises(KeyError):
            asyncio.run(
                guarded(halfway)(scope_of("POST", INFERENCE, TRADER), receive, collect(sent))
            )
        assert [message["type"] for message in sent] == [
            "http.response.start",
            "http.response.body",
        ]

    def test_a_cancelled_request_stays_cancelled(self) -> None:
        async def run() -> None:
            async def receive() -> Message:
                return body_of(b"")

            async def endless(scope: Message, receive: Receive, send: Send) -> None:
                await asyncio.Event().wait()

            scope = scope_of("POST", INFERENCE, TRADER)
            task = asyncio.create_task(guarded(endless)(scope, receive, collect([])))
            await asyncio.sleep(0)
            task.cancel()
            await task

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(run())


def test_a_service_that_leaves_sends_callers_elsewhere_with_every_answer() -> None:
    leaving = [False]
    guard = Guard(
        router(),
        access=access(),
        max_body_bytes=LIMIT,
        new_request_id=lambda: "request",
        leaving=lambda: leaving[0],
    )
    client = Client(guard)
    asked = {"/v1/models": VIEWER, "/v1/nothing": VIEWER, "/v1/decisions/1": {}}
    for leaving[0], told in ((False, None), (True, "close")):
        answers = [client("GET", path, headers=headers) for path, headers in asked.items()]
        assert [answer.status_code for answer in answers] == [200, 404, 401]
        assert {answer.headers.get("connection") for answer in answers} == {told}
