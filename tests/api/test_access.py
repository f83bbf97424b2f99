import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access import (
    OPEN,
    OTHER,
    ROUTES,
    Access,
    Caller,
    check_access,
    current_caller,
    digest_of,
    is_local_host,
    is_loopback,
    may,
)
from config.settings import (
    AccessKey,
    AccessSettings,
    Algorithm,
    Environment,
    ModelSettings,
    Role,
    Settings,
)
from errors import ConfigurationError

MODEL = ModelSettings(name="ppo", algorithm=Algorithm.PPO, tag="ppo")
SECRETS = {Role.VIEWER: "usdcop_v", Role.TRADER: "usdcop_t", Role.ADMIN: "usdcop_a"}
KEYS = tuple(
    AccessKey(name=role.value, role=role, sha256=digest_of(secret))
    for role, secret in SECRETS.items()
)


def settings(
    keys: tuple[AccessKey, ...] = KEYS,
    environment: Environment = Environment.PRODUCTION,
    *,
    open_metrics: bool = True,
) -> Settings:
    access = AccessSettings(keys=keys, open_metrics=open_metrics)
    return Settings(models=(MODEL,), environment=environment, access=access)


class TestRoles:
    @pytest.mark.parametrize("role", list(Role))
    def test_every_role_may_do_what_its_own_needs(self, role: Role) -> None:
        assert may(role, role)

    def test_roles_are_ordered(self) -> None:
        order = [Role.VIEWER, Role.TRADER, Role.ADMIN]
        for weak, strong in itertools.combinations(order, 2):
            assert may(strong, weak)
            assert not may(weak, strong)

    @pytest.mark.parametrize("role", list(Role))
    def test_every_role_may_do_what_is_open(self, role: Role) -> None:
        assert may(role, OPEN)


class TestKeys:
    @pytest.mark.parametrize("role", list(Role))
    def test_a_key_proves_its_caller(self, role: Role) -> None:
        header = f"Bearer {SECRETS[role]}".encode()
        assert Access(settings()).authenticate(header) == Caller(role.value, role)

    @pytest.mark.parametrize(
        "header", [b"bearer usdcop_t", b"BEARER usdcop_t", b"Bearer  usdcop_t "]
    )
    def test_the_scheme_is_in_any_case_and_spaces_do_not_count(self, header: bytes) -> None:
        assert Access(settings()).authenticate(header) is not None

    @pytest.mark.parametrize(
        "header",
        [
            None,
            b"",
            b"Bearer",
            b"Bearer ",
            b"usdcop_t",
            b"Basic usdcop_t",
            b"Bearer usdcop_T",
            b"Bearer usdcop_t,usdcop_a",
            b"Bearer " + digest_of("usdcop_t").encode(),
            b"Bearer \xff\xfe",
        ],
    )
    def test_anything_else_proves_nobody(self, header: bytes | None) -> None:
        assert Access(settings()).authenticate(header) is None

    @given(st.binary())
    def test_no_header_that_was_not_made_from_a_key_proves_anybody(self, header: bytes) -> None:
        assert Access(settings()).authenticate(b"Bearer x" + header) is None

    def test_a_key_is_stored_as_its_digest_only(self) -> None:
        access = Access(settings())
        assert "usdcop_t" not in repr(vars(access))


class TestStart:
    @pytest.mark.parametrize("environment", [Environment.PRODUCTION, Environment.STAGING])
    def test_without_keys_only_development_starts(self, environment: Environment) -> None:
        with pytest.raises(ConfigurationError) as caught:
            check_access(settings((), environment))
        line = str(caught.value)
        assert "\n" not in line
        assert "usdcop keys new" in line
        assert "MLOPS_ENVIRONMENT=development" in line

    def test_access_cannot_be_made_without_the_check(self) -> None:
        with pytest.raises(ConfigurationError):
            Access(settings(()))

    def test_development_starts_without_keys(self) -> None:
        assert Access(settings((), Environment.DEVELOPMENT)).without_keys

    @pytest.mark.parametrize("environment", list(Environment))
    def test_keys_are_enough_everywhere(self, environment: Environment) -> None:
        assert not Access(settings(KEYS, environment)).without_keys


class TestRoutes:
    def test_acts_that_loosen_a_limit_need_an_admin(self) -> None:
        admin = {route for route, role in ROUTES.items() if role is Role.ADMIN}
        assert admin == {"POST /v1/risk/reset", "POST /v1/risk/resume"}

    def test_no_act_is_open_to_a_viewer(self) -> None:
        acts = [role for route, role in ROUTES.items() if not route.startswith("GET ")]
        assert acts
        assert all(role in (Role.TRADER, Role.ADMIN) for role in acts)

    def test_only_probes_and_the_page_are_open(self) -> None:
        opened = {route for route, role in ROUTES.items() if role is OPEN}
        assert opened == {
            "GET /health",
            "GET /livez",
            "GET /readyz",
            "GET /healthz",
            "GET /dashboard",
            "GET /dashboard/{file}",
        }

    @pytest.mark.parametrize("route", [route for route in ROUTES if "{" not in route])
    def test_each_route_is_found_by_its_path(self, route: str) -> None:
        method, _, path = route.partition(" ")
        methods = Access(settings(open_metrics=False)).methods(path)
        assert methods is not None
        assert methods[method] == ROUTES[route]

    def test_a_free_segment_stands_for_any_one(self) -> None:
        access = Access(settings())
        methods = access.methods("/v1/decisions/0192-af")
        assert methods == {"GET": Role.VIEWER}
        assert access.methods("/v1/features/2026-11-23T13:00:00Z") is not None
        assert access.methods("/v1/decisions/a/b") is None
        assert access.methods("/v1/decisions/") is None

    @pytest.mark.parametrize(
        "path",
        [
            "",
            "/v1/risk/reset\n",
            "/v1/risk/reset/",
            "//v1/risk/reset",
            "/V1/risk/reset",
            "/v1/risk/../risk/reset",
            "/v1/risk/reset;x",
            "/v1/nothing",
        ],
    )
    def test_a_path_that_only_resembles_a_route_is_none(self, path: str) -> None:
        assert Access(settings()).methods(path) is None

    @pytest.mark.parametrize(
        ("path", "route"),
        [
            ("/v1/inference", "/v1/inference"),
            ("/v1/decisions/0198-a", "/v1/decisions/{id}"),
            ("/v1/features/latest", "/v1/features/latest"),
            ("/v1/features/2026-03-02T13:05:00Z", "/v1/features/{timestamp}"),
            ("/v1/decisions/", OTHER),
            ("/wp-login.php", OTHER),
            ("", OTHER),
        ],
    )
    def test_every_path_counts_as_one_of_few_routes(self, path: str, route: str) -> None:
        assert Access(settings()).route(path) == route

    def test_head_is_none_of_its_methods(self) -> None:
        # The frameworks answer it with 405 on their GET routes.
        assert Access(settings()).methods("/health") == {"GET": None}

    def test_the_scrape_is_open_or_not_as_configured(self) -> None:
        opened = Access(settings(open_metrics=True)).methods("/metrics")
        closed = Access(settings(open_metrics=False)).methods("/metrics")
        assert opened is not None
        assert closed is not None
        assert (opened["GET"], closed["GET"]) == (OPEN, Role.VIEWER)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_addresses_of_this_machine_are_loopback(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "0.0.0.0", "::", "::ffff:10.0.0.1", "testclient", "", "localhost"]
)
def test_other_addresses_are_not(address: str) -> None:
    assert not is_loopback(address)


@pytest.mark.parametrize("host", [b"localhost", b"LocalHost:8090", b"127.0.0.1:1", b"[::1]:8090"])
def test_hosts_of_this_machine_are_local(host: bytes) -> None:
    assert is_local_host(host)


@pytest.mark.parametrize(
    "host",
    [b"", b"evil.example", b"localhost.evil.example", b"127.0.0.1.evil.example", b"[::2]", b"["],
)
def test_other_hosts_are_not(host: bytes) -> None:
    assert not is_local_host(host)


def test_there_is_no_caller_outside_of_a_request() -> None:
    with pytest.raises(LookupError):
        current_caller.get()
