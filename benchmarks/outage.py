"""What callers get while Redis is gone, or frozen, and how soon all is well once it is back.

    python -m benchmarks.outage

A service on Redis answers eight callers; then Redis is killed with SIGKILL, and in a second part
stopped with SIGSTOP. Decisions must be HOLD with SYSTEM_ERROR within 250 ms, trade results 503,
/health 503 and /readyz 200; once Redis is back the service must approve again by itself.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import numpy as np
import orjson

from benchmarks.connection import Connection, NoAnswer
from benchmarks.journal import Journal
from benchmarks.stores import RedisStore, service_on, until_healthy, working_folder
from benchmarks.table import print_table
from benchmarks.walk import Walk
from config.settings import RiskLimits
from risk.verification import examine, records_of
from tests.live.server import ROOT

__all__ = ["Outage", "run"]

CALLERS = 8
LONGEST_SECONDS = 0.25
BACK_WITHIN_SECONDS = 2.0

LIMITS = {
    "MAX_DAILY_LOSS": "-1.0",
    "MAX_DRAWDOWN": "-1.0",
    "MAX_CONSECUTIVE_LOSSES": "1000000",
    "MAX_TRADES_PER_DAY": "1000000",
    "COOLDOWN_AFTER_LOSS": "0",
}
_OBSERVATION = orjson.loads((ROOT / "examples" / "observation.json").read_bytes())["observation"]
_RESULT_EVERY = 10
_PAUSE_SECONDS = 0.004


class Sample(NamedTuple):
    """One answer.

    Attributes:
        what: `decision` or `result`.
        began, ended: of a clock that never goes back, seconds.
        outcome: `risk_status` of a decision, status of anything else.
    """

    what: str
    began: float
    ended: float
    outcome: str

    @property
    def seconds(self) -> float:
        """How long its caller waited."""
        return self.ended - self.began


@dataclass
class Outage:
    """What callers got.

    Attributes:
        kind: what happened to Redis.
        samples: answers to requests that were sent while it was away, or were under way when it
            went and were answered while it was away.
        late: those under way that were answered as if it still were there: it was.
        health, ready: statuses of /health and /readyz meanwhile.
        probes: seconds that these took.
        back: seconds from Redis answering again to the first approved decision.
        others: complaints of another kind.
    """

    kind: str
    samples: list[Sample] = field(default_factory=list)
    late: int = 0
    health: set[int] = field(default_factory=set)
    ready: set[int] = field(default_factory=set)
    probes: list[float] = field(default_factory=list)
    back: float = float("inf")
    others: list[str] = field(default_factory=list)

    def seconds(self, what: str) -> list[float]:
        """How long answers of a kind took."""
        return [sample.seconds for sample in self.samples if sample.what == what]

    @property
    def wrong(self) -> list[str]:
        """What was answered that should not have been."""
        due = {"decision": "SYSTEM_ERROR", "result": "503"}
        wrong = [
            f"a {sample.what} was answered {sample.outcome}"
            for sample in self.samples
            if sample.outcome != due[sample.what]
        ]
        if self.health != {503}:
            wrong.append(f"/health was {self.health}")
        if self.ready != {200}:
            wrong.append(f"/readyz was {self.ready}")
        return [*wrong, *self.others]

    @property
    def slow(self) -> list[str]:
        """What took longer than it may."""
        slow = [
            f"a {sample.what} took {sample.seconds * 1000:.0f} ms"
            for sample in self.samples
            if sample.seconds > LONGEST_SECONDS
        ]
        if self.back > BACK_WITHIN_SECONDS:
            slow.append(f"the first approval came {self.back:.2f} s after Redis was back")
        return slow


class _Caller(Thread):
    """Sends one request after the other."""

    def __init__(self, number: int, port: int, journal: Journal, over: Event) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._number, self._over, self._journal = number, over, journal
        self._connection = Connection(port)

    def run(self) -> None:
        """Call until it is over."""
        for turn in count():
            if self._over.is_set():
                break
            began = time.monotonic()
            try:
                if turn % _RESULT_EVERY == 0:
                    what, outcome = "result", self._report(turn)
                else:
                    what, outcome = "decision", self._decide()
            except NoAnswer as error:
                what, outcome = "decision", f"no answer ({error})"
            self.samples.append(Sample(what, began, time.monotonic(), outcome))
            time.sleep(_PAUSE_SECONDS)
        self._connection.close()

    def _report(self, turn: int) -> str:
        body = {
            "trade_id": f"t{self._number}-{turn}",
            "order_id": None,
            "pnl": 1.0,
            "pnl_percent": 0.00001,
            "unrealized_pnl_percent": 0.0,
        }
        status, content = self._connection.post("/v1/risk/trade-result", body)
        if status == 200:
            key = f"trade:{body['trade_id']}"
            self._journal.acknowledge("trade_result", content["event_id"], body, key=key)
        return str(status)

    def _decide(self) -> str:
        status, answer = self._connection.post("/v1/inference", {"observation": _OBSERVATION})
        if status != 200:
            return str(status)
        if answer["state_sequence"] is not None:
            del answer["latency_ms"]
            self._journal.acknowledge("decision", answer["decision_id"], answer)
        if answer["risk_status"] == "SYSTEM_ERROR" and answer["signal"] != "HOLD":
            return f"SYSTEM_ERROR with {answer['signal']}"
        return str(answer["risk_status"])


def run(folder: Path, seconds: float) -> list[Outage]:
    """Both outages, of so many seconds each, on one service that is never restarted."""
    with closing(RedisStore(folder)) as store:
        variables = {f"MLOPS__RISK_LIMITS__{name}": value for name, value in LIMITS.items()}
        with service_on(store, folder, variables=variables) as server:
            (worker,) = server.workers()
            journal, over = Journal(), Event()
            callers = [_Caller(n, server.port, journal, over) for n in range(CALLERS)]
            for caller in callers:
                caller.start()
            outages = []
            for kind in ("killed", "frozen"):
                time.sleep(1)
                outages.append(_endure(kind, store, server.port, seconds, callers))
                until_healthy(server)
            over.set()
            for caller in callers:
                caller.join(20)
            if server.workers() != [worker]:
                outages[-1].others.append("the worker is not the one it was")
            outages[-1].others += _lost(store, journal)
    return outages


def _endure(
    kind: str, store: RedisStore, port: int, seconds: float, callers: Sequence[_Caller]
) -> Outage:
    outage = Outage(kind)
    if kind == "killed":
        store.server.kill()
    else:
        store.server.freeze()
    gone = time.monotonic()
    time.sleep(0.3)  # until somebody has noticed
    while time.monotonic() < gone + seconds:
        _probe(outage, port)
        time.sleep(0.05)
    returns = time.monotonic()
    if kind == "killed":
        store.server.start()
    else:
        store.server.thaw()
    back = time.monotonic()
    _await_approval(outage, callers, back)
    for sample in (sample for caller in callers for sample in caller.samples):
        if sample.began > returns or sample.ended < gone or sample.ended > returns:
            continue
        if sample.began < gone and sample.outcome in {"APPROVED", "200"}:
            outage.late += 1
        else:
            outage.samples.append(sample)
    return outage


def _probe(outage: Outage, port: int) -> None:
    for path, statuses in (("/health", outage.health), ("/readyz", outage.ready)):
        connection, began = Connection(port), time.monotonic()
        statuses.add(connection.get(path).status)
        outage.probes.append(time.monotonic() - began)
        connection.close()


def _await_approval(outage: Outage, callers: Sequence[_Caller], back: float) -> None:
    while time.monotonic() < back + 20:
        approved = [
            sample.ended
            for caller in callers
            for sample in caller.samples[-50:]
            if sample.outcome == "APPROVED" and sample.began > back
        ]
        if approved:
            outage.back = min(approved) - back
            return
        time.sleep(0.01)


def _lost(store: RedisStore, journal: Journal) -> list[str]:
    """Whatever was acknowledged and is not on record, and whatever else is wrong with the log."""
    limits = {name.lower(): float(v) if "." in v else int(v) for name, v in LIMITS.items()}
    walk = Walk(RiskLimits.model_validate(limits))
    with closing(store.opened()) as ledger:
        walk.on(records_of(ledger))
        walk.agrees_with(ledger.head())
        missing = journal.missing(ledger, set(journal.told), set(journal.bound))
        complaint = examine(ledger).complaint
    return [*missing, *walk.violations, *journal.violations, *([complaint] if complaint else [])]


def _tell(outage: Outage) -> None:
    print_table(
        f"Redis is {outage.kind} under {CALLERS} callers",
        {
            "decisions while it is away": _distribution(outage.seconds("decision")),
            "trade results": _distribution(outage.seconds("result")),
            "/health and /readyz": _distribution(outage.probes),
            "statuses of /health": str(sorted(outage.health)),
            "statuses of /readyz": str(sorted(outage.ready)),
            "under way when it went, and served": str(outage.late),
            "first approval after its return": f"{outage.back * 1000:.0f} ms",
            "answered wrongly, lost or doubled": str(len(outage.wrong)),
            f"slower than {LONGEST_SECONDS * 1000:.0f} ms": str(len(outage.slow)),
        },
    )
    for complaint in [*outage.wrong, *outage.slow][:3]:
        print(f"VIOLATION: {complaint}")


def _distribution(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    p50, p99 = np.quantile(seconds, [0.5, 0.99]) * 1000
    return (
        f"{len(seconds):,}, p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {max(seconds) * 1000:.1f}"
        " ms"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 if anything was answered wrongly, lost, or late."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outage")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each outage")
    told = parser.parse_args(arguments)
    with working_folder("outage") as folder:
        outages = run(folder, told.seconds)
    for outage in outages:
        _tell(outage)
    return 1 if any(outage.wrong or outage.slow for outage in outages) else 0


if __name__ == "__main__":
    sys.exit(main())
