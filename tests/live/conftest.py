"""One service that most live tests share; it never changes what another test relies on."""

from collections.abc import Iterator

import httpx
import pytest

from tests.live.server import ALL_DAY, Server

LIMITS = {
    # Shared by many tests: no result that one reports may stop another's approval.
    "MLOPS__RISK_LIMITS__MAX_DAILY_LOSS": "-1.0",
    "MLOPS__RISK_LIMITS__MAX_DRAWDOWN": "-1.0",
    "MLOPS__RISK_LIMITS__MAX_CONSECUTIVE_LOSSES": "1000000",
    "MLOPS__RISK_LIMITS__MAX_TRADES_PER_DAY": "1000000",
    "MLOPS__RISK_LIMITS__COOLDOWN_AFTER_LOSS": "0",
}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), {**ALL_DAY, **LIMITS}) as started:
        yield started


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened
