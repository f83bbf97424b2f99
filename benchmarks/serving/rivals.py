"""What the service is held against: the same models behind a handler that does nothing else.

Neither has risk limits, a ledger, access control, metrics or bounds on a body. Both decode and
average the models as plainly as one writes it by hand. `fastapi_app` is what an engineer would
deploy; `bare_app` is the least that HTTP and JSON cost in Python.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime
import orjson
from fastapi import FastAPI, Response
from numpy.typing import NDArray
from pydantic import BaseModel, Field

__all__ = ["Models", "bare_app", "fastapi_app"]

_FOLDER = Path(__file__).parents[2] / "models" / "onnx"
_SHARES = {"ppo_usdcop_v3": 0.4, "sac_usdcop_v2": 0.4, "a2c_macro_v1": 0.2}
_ACTIONS = ("SELL", "HOLD", "BUY")
_THRESHOLD = math.atanh(0.3)

Message = MutableMapping[str, Any]
Rows = NDArray[np.float64]


class Models:
    """The three shipped models and their weighted average."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._sessions = {
            name: onnxruntime.InferenceSession(
                _FOLDER / f"{name}.onnx", options, providers=["CPUExecutionProvider"]
            )
            for name in _SHARES
        }

    def decide(self, observation: list[float]) -> dict[str, Any]:
        """One observation."""
        (row,) = self._probabilities([observation]).tolist()
        return _told(row)

    def decide_batch(self, observations: list[list[float]]) -> dict[str, Any]:
        """Many."""
        return {"results": [_told(row) for row in self._probabilities(observations).tolist()]}

    def _probabilities(self, observations: list[list[float]]) -> Rows:
        rows = np.array(observations, np.float32)
        total = np.zeros((len(rows), 3))
        for name, share in _SHARES.items():
            outputs = self._sessions[name].run(None, {"observation": rows})
            total += share * (outputs[0] if len(outputs) == 1 else _gaussian(*outputs))
        return total


def _gaussian(means: NDArray[np.float32], deviations: NDArray[np.float32]) -> Rows:
    """The mass of each action beyond the threshold, before the squashing."""
    scale = deviations.ravel().tolist()
    rows = []
    for mean, deviation in zip(means.ravel().tolist(), scale, strict=True):
        sell = 0.5 * math.erfc((mean + _THRESHOLD) / (deviation * math.sqrt(2)))
        buy = 0.5 * math.erfc((_THRESHOLD - mean) / (deviation * math.sqrt(2)))
        rows.append((sell, 1 - sell - buy, buy))
    return np.array(rows)


def _told(row: list[float]) -> dict[str, Any]:
    confidence = max(row)
    return {
        "signal": _ACTIONS[row.index(confidence)],
        "confidence": confidence,
        "action_probs": dict(zip(_ACTIONS, row, strict=True)),
    }


class _Request(BaseModel):
    observation: Annotated[list[float], Field(min_length=45, max_length=45)]


class _Batch(BaseModel):
    observations: Annotated[list[list[float]], Field(min_length=1, max_length=4096)]


def fastapi_app() -> FastAPI:
    """Plain FastAPI and onnxruntime."""
    app, models = FastAPI(openapi_url=None), Models()

    @app.post("/v1/inference")
    async def inference(request: _Request) -> Response:
        content = models.decide(request.observation)
        return Response(orjson.dumps(content), media_type="application/json")

    @app.post("/v1/inference/batch")
    async def inference_batch(request: _Batch) -> Response:
        content = models.decide_batch(request.observations)
        return Response(orjson.dumps(content), media_type="application/json")

    return app


Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def bare_app() -> Callable[[Message, Receive, Send], Awaitable[None]]:
    """ASGI without a framework."""
    models = Models()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        sent = orjson.loads(body)
        batch = scope["path"] == "/v1/inference/batch"
        content = (
            models.decide_batch(sent["observations"])
            if batch
            else models.decide(sent["observation"])
        )
        text = orjson.dumps(content)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(text)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    return app
