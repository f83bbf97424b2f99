"""Starting, stopping, dying: what a person who runs the service meets."""

import concurrent.futures
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from api.access import digest_of
from tests.live.server import ALL_DAY, ROOT, Server, environment, post
from tests.live.test_routes import CONFIDENT, ZEROS

pytestmark = pytest.mark.live

NO_PAUSE = {
    "MLOPS__RISK_LIMITS__COOLDOWN_AFTER_LOSS": "0",
    "MLOPS__RISK_LIMITS__MAX_CONSECUTIVE_LOSSES": "1000000",
    "MLOPS__RISK_LIMITS__MAX_TRADES_PER_DAY": "1000000",
}


def until_answering(server: Server, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{server.url}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"no answer within {seconds} s:\n{server.log.read_text()}")


def test_decisions_and_results_survive_kill_9(tmp_path: Path) -> None:
    with Server(tmp_path, {**ALL_DAY, **NO_PAUSE}) as server, server.client() as client:
        decision = post(client, "/v1/inference", observation=CONFIDENT).json()
        post(client, "/v1/risk/trade-result", trade_id="t1", pnl=-1500, pnl_percent=-0.015)

        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)
        time.sleep(0.5)
        until_answering(server)
        assert server.workers() != [worker]
        assert client.get(f"/v1/decisions/{decision['decision_id']}").status_code == 200
        stats = client.get("/v1/risk/summary").json()["daily_stats"]
        assert (stats["trades_today"], stats["pnl_percent"]) == (1, -0.015)

        server.kill()
        server.start()
        until_answering(server)
        tripped = post(
            client, "/v1/risk/trade-result", trade_id="t2", pnl=-500, pnl_percent=-0.005
        ).json()
        assert tripped["tripped"] == ["daily_loss"]
        again = post(
            client, "/v1/risk/trade-result", trade_id="t1", pnl=-1500, pnl_percent=-0.015
        ).json()
        assert again["duplicate"] is True
        refused = post(client, "/v1/inference", observation=CONFIDENT).json()
        assert (refused["signal"], refused["risk_status"]) == ("HOLD", "CIRCUIT_BREAKER_ACTIVE")


def test_sixty_four_callers_and_two_workers_lose_and_double_nothing(tmp_path: Path) -> None:
    two = {"BENTOML_CONFIG_OPTIONS": "services.usdcop.workers=2"}
    # A win larger than any loss keeps the breaker out of it.
    with Server(tmp_path, {**ALL_DAY, **NO_PAUSE, **two}) as server:
        assert len(server.workers()) == 2

        def report(caller: int) -> int:
            stored = 0
            with server.client() as client:
                for number in range(4):
                    body = {"trade_id": f"{caller}-{number}", "pnl": 1, "pnl_percent": 0.00001}
                    for _ in range(2):  # every report is sent twice
                        while True:
                            answer = client.post("/v1/risk/trade-result", json=body)
                            if answer.status_code != 503:
                                break
                        assert answer.status_code == 200, answer.text
                        stored += not answer.json()["duplicate"]
            return stored

        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            assert sum(pool.map(report, range(64))) == 64 * 4
        with server.client() as client:
            stats = client.get("/v1/risk/summary").json()["daily_stats"]
        assert stats["trades_today"] == 256
        assert stats["realized_pnl_percent"] == 0.00256


def test_a_locked_ledger_is_a_hold_and_a_503_and_comes_back(tmp_path: Path) -> None:
    with Server(tmp_path, {**ALL_DAY, **NO_PAUSE}) as server, server.client() as client:
        blocker = sqlite3.connect(tmp_path / "var" / "state.db", isolation_level=None)
        blocker.execute("BEGIN EXCLUSIVE")
        decision = post(client, "/v1/inference", observation=CONFIDENT).json()
        assert (decision["signal"], decision["risk_status"]) == ("HOLD", "SYSTEM_ERROR")
        assert (decision["approved"], decision["state_sequence"]) == (False, None)
        report = {"trade_id": "t", "pnl": 1, "pnl_percent": 0.00001}
        assert client.post("/v1/risk/trade-result", json=report).status_code == 503
        assert client.get("/readyz").status_code == 200
        blocker.execute("ROLLBACK")
        blocker.close()
        assert client.post("/v1/risk/trade-result", json=report).json()["duplicate"] is False
        assert post(client, "/v1/inference", observation=CONFIDENT).json()["approved"] is True


def test_a_ledger_that_is_locked_for_long_answers_every_one_of_many_callers(
    tmp_path: Path,
) -> None:
    with Server(tmp_path, {**ALL_DAY, **NO_PAUSE}) as server:
        blocker = sqlite3.connect(tmp_path / "var" / "state.db", isolation_level=None)
        blocker.execute("BEGIN EXCLUSIVE")

        def ask(caller: int) -> list[str]:
            with server.client() as client:
                decision = post(client, "/v1/inference", observation=CONFIDENT)
                report = {"trade_id": f"t{caller}", "pnl": 1, "pnl_percent": 0.00001}
                result = client.post("/v1/risk/trade-result", json=report)
                return [decision.json()["risk_status"], result.json()["error"]["code"]]

        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(ask, range(32)))
        assert answers == [["SYSTEM_ERROR", "not_ready"]] * 32
        with server.client() as client:
            health = client.get("/health")
            assert health.status_code == 503
            assert "locked" in health.json()["components"]["ledger"]["reason"]

            # A worker that dies meanwhile is replaced by one that answers too.
            (worker,) = server.workers()
            os.kill(worker, signal.SIGKILL)
            deadline = time.monotonic() + 30
            while server.workers() in ([], [worker]) and time.monotonic() < deadline:
                time.sleep(0.1)
            decision = post(client, "/v1/inference", observation=CONFIDENT).json()
            assert decision["risk_status"] == "SYSTEM_ERROR"
            assert client.get("/readyz").status_code == 200
            blocker.execute("ROLLBACK")
            blocker.close()
            assert post(client, "/v1/inference", observation=CONFIDENT).json()["approved"] is True
            assert client.get("/health").status_code == 200


def test_a_ledger_that_is_taken_away_is_no_fresh_one(tmp_path: Path) -> None:
    with Server(tmp_path, {**ALL_DAY, **NO_PAUSE}) as server, server.client() as client:
        loss = {"trade_id": "t1", "pnl": -3000, "pnl_percent": -0.03}
        assert client.post("/v1/risk/trade-result", json=loss).json()["tripped"] == ["daily_loss"]
        kept = tmp_path / "kept"
        (tmp_path / "var").rename(kept)
        for _ in range(2):
            decision = post(client, "/v1/inference", observation=CONFIDENT).json()
            assert (decision["signal"], decision["risk_status"]) == ("HOLD", "SYSTEM_ERROR")
            again = {**loss, "trade_id": "t2"}
            assert client.post("/v1/risk/trade-result", json=again).status_code == 503
            assert client.get("/health").status_code == 503
            (worker,) = server.workers()
            os.kill(worker, signal.SIGKILL)
            deadline = time.monotonic() + 30
            while server.workers() in ([], [worker]) and time.monotonic() < deadline:
                time.sleep(0.1)
        assert not (tmp_path / "var").exists()
        kept.rename(tmp_path / "var")
        decision = post(client, "/v1/inference", observation=CONFIDENT).json()
        assert decision["risk_status"] == "CIRCUIT_BREAKER_ACTIVE"


def test_a_worker_that_is_replaced_serves_what_its_siblings_serve(tmp_path: Path) -> None:
    config = tmp_path / "config" / "mlops.yaml"
    config.parent.mkdir()
    shipped = (ROOT / "config" / "mlops.yaml").read_text()
    config.write_text(shipped)
    variables = {
        **ALL_DAY,
        **NO_PAUSE,
        "MLOPS_CONFIG_PATH": str(config),
        "BENTOML_CONFIG_OPTIONS": "services.usdcop.workers=2",
    }
    with Server(tmp_path, variables) as server:
        with server.client() as client:
            before = client.get("/v1/models").json()["models"]
        # In between somebody registers a newer model and edits the file, twice.
        register = [sys.executable, "-m", "cli", "models", "register", "--name", "ppo_usdcop_v3"]
        subprocess.run(
            [*register, str(ROOT / "models" / "onnx" / "a2c_macro_v1.onnx"), "--algorithm", "A2C"],
            cwd=ROOT,
            env=server.environment,
            check=True,
            capture_output=True,
        )
        config.write_text(shipped.replace("max_daily_loss: -0.02", "max_daily_loss: -0.20"))
        for edited in (None, "nonsense: true"):
            if edited is not None:
                config.write_text(edited)
            workers = server.workers()
            os.kill(workers[0], signal.SIGKILL)
            deadline = time.monotonic() + 30
            while len(set(server.workers()) - {workers[0]}) < 2 and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(3)  # until the new one takes its share of the connections
            limits, versions = set(), set()
            for _ in range(20):
                with server.client() as client:
                    limits.add(client.get("/v1/risk/summary").json()["limits"]["max_daily_loss"])
                    listed = client.get("/v1/models").json()["models"]
                    versions.add(tuple(model["version"] for model in listed))
            assert limits == {-0.02}
            assert versions == {tuple(model["version"] for model in before)}


def test_keys_decide_who_may_do_what(tmp_path: Path) -> None:
    keys = {role: f"usdcop_test-{role}" for role in ("viewer", "trader", "admin")}
    listed = ",".join(f"{role}-key:{role}:{digest_of(key)}" for role, key in keys.items())
    production = {"MLOPS_ENVIRONMENT": "production", "MLOPS_API_KEYS": listed}
    with Server(tmp_path, {**ALL_DAY, **production}) as server:
        with server.client() as nobody:
            assert nobody.get("/health").status_code == 200
            for path in ("/v1/risk/summary", "/v1/decisions", "/docs.json", "/v1/nothing"):
                assert nobody.get(path).status_code == 401
            assert post(nobody, "/v1/inference", observation=ZEROS).status_code == 401
        allowed = {
            "viewer": (200, 403, 403),
            "trader": (200, 200, 403),
            "admin": (200, 200, 200),
        }
        for role, (reads, decides, resets) in allowed.items():
            with server.client(Authorization=f"Bearer {keys[role]}") as client:
                assert client.get("/v1/risk/summary").status_code == reads
                assert post(client, "/v1/inference", observation=ZEROS).status_code == decides
                assert client.post("/v1/risk/reset").status_code == resets
        with server.client(Authorization=f"Bearer {keys['viewer']}") as client:
            callers = {d["caller"] for d in client.get("/v1/decisions").json()["decisions"]}
        assert callers == {"trader-key", "admin-key"}
        with server.client(Authorization="Bearer usdcop_wrong") as client:
            assert client.get("/v1/risk/summary").status_code == 401


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"MLOPS_ENVIRONMENT": "production"}, "usdcop keys new"),
        ({"MAX_DAILY_LOSS": "0.02"}, "max_daily_loss"),
        ({"MLOPS__RISK_LIMITS__MAX_DAYLI_LOSS": "-0.02"}, "max_daily_loss"),
        ({"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}, "127.0.0.1:1"),
        ({"MLOPS__MODELS__0__OBSERVATION_DIM": "44"}, "44"),
        ({"MLOPS__MODELS__0__ALGORITHM": "SAC"}, "ppo_usdcop_v3"),
        ({"MLOPS__MODELS__0__TAG": "ppo_usdcop_v3:0000000000000000"}, "ppo_usdcop_v3"),
        ({"MLOPS__STATE_PATH": "/proc/nowhere/state.db"}, "/proc/nowhere"),
        ({"MLOPS_CONFIG_PATH": "missing.yaml"}, "missing.yaml"),
    ],
)
def test_what_is_wrong_stops_the_start_with_one_line_and_no_crash_loop(
    tmp_path: Path, variables: dict[str, str], says: str
) -> None:
    assert says in refused_start(tmp_path, variables)


def refused_start(folder: Path, variables: dict[str, str]) -> str:
    """The one line that a service says which does not start."""
    server = Server(folder, {**variables, "MLOPS__REDIS__START_WAIT_SECONDS": "0"})
    server.launch()
    try:
        assert server.process.wait(60) != 0
    finally:
        server.kill()
    (line,) = [line for line in server.log.read_text().splitlines() if line.strip()]
    return line


def test_a_model_that_does_not_fit_stops_the_start_by_name(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    shipped = ROOT / "models" / "onnx" / "ppo_usdcop_v3.onnx"
    whole = onnx.load(shipped)
    for entry in whole.metadata_props:
        if entry.key == "feature_schema":
            entry.value = "0" * 64
    (tmp_path / "schema.onnx").write_bytes(whole.SerializeToString())
    for entry in whole.metadata_props:
        if entry.key == "actions":
            entry.value = "SELL,BUY"
    (tmp_path / "actions.onnx").write_bytes(whole.SerializeToString())
    (tmp_path / "cut.onnx").write_bytes(shipped.read_bytes()[:10_000])
    for file, says in (
        ("schema.onnx", "schema"),
        ("actions.onnx", "actions"),
        ("cut.onnx", "cut.onnx"),
        ("absent.onnx", "absent.onnx"),
    ):
        line = refused_start(tmp_path / file.removesuffix(".onnx"), by_file(tmp_path / file))
        assert "ppo_usdcop_v3" in line or file in line
        assert says in line


def by_file(path: Path) -> dict[str, str]:
    path.with_suffix("").mkdir()
    config = path.with_suffix(".yaml")
    config.write_text(
        f"models:\n  - name: ppo_usdcop_v3\n    algorithm: PPO\n    onnx_path: {path.name}\n"
    )
    return {"MLOPS_CONFIG_PATH": str(config)}


def test_a_stored_model_whose_action_order_was_changed_stops_the_start(tmp_path: Path) -> None:
    with Server(tmp_path):
        pass  # registers the shipped models
    (description,) = (tmp_path / "bentoml" / "models" / "ppo_usdcop_v3").glob("*/model.yaml")
    text = description.read_text()
    assert "SELL,HOLD,BUY" in text
    description.write_text(text.replace("SELL,HOLD,BUY", "BUY,HOLD,SELL"))
    (tmp_path / "server.log").unlink()
    line = refused_start(tmp_path, {})
    assert "ppo_usdcop_v3" in line
    assert "SELL,HOLD,BUY" in line
    assert "BUY,HOLD,SELL" in line


def test_a_damaged_ledger_stops_the_start_and_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    state = tmp_path / "var" / "state.db"
    state.write_bytes(b"this is no ledger" * 1000)
    before = state.read_bytes()
    server = Server(tmp_path)
    server.launch()
    try:
        assert server.process.wait(60) != 0
    finally:
        server.kill()
    assert "state.db" in server.log.read_text()
    assert state.read_bytes() == before


def test_a_worker_does_not_outlive_its_arbiter(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        (worker,) = server.workers()
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(20)
        deadline = time.monotonic() + 20
        while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not Path(f"/proc/{worker}").exists()
        server.start()
        assert server.workers() not in ([], [worker])


def test_sigterm_ends_every_process(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        workers = server.workers()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
    for worker in workers:
        assert not Path(f"/proc/{worker}").exists()


def test_the_three_lines_of_python_in_the_readme_work(tmp_path: Path) -> None:
    program = (
        "import numpy as np\n"
        "from bootstrap import open_application\n"
        "application = open_application()\n"
        "one = application.models.predict_one(np.zeros((1, 45), np.float32), 'ppo_usdcop_v3')\n"
        "all_of_them = application.models.predict(np.zeros((1, 45), np.float32))\n"
        "print(application.settings.risk_limits.max_daily_loss, one.signals, all_of_them.signals)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**environment(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("-0.02 (<Signal.")
