"""The application as it is shipped: in this process, and as a server."""

from collections.abc import Iterator

import httpx
import pytest

from tests.integration.running import Running, running
from tests.live.server import ALL_DAY, Server


@pytest.fixture
def service() -> Iterator[Running]:
    """The shipped configuration and models, an empty ledger, Monday morning in Bogotá."""
    with running() as started:
        yield started


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("guide"), ALL_DAY) as started:
        yield started


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened
