from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_origin

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from config.load import DEFAULT_FILE, HIDDEN, LoadedSettings, load_settings
from config.settings import Environment, ModelSettings, Role, Settings
from config.shape import setting_keys
from errors import ConfigurationError

SHIPPED = DEFAULT_FILE.read_text(encoding="utf-8")
SHA = "ab" * 32

GUIDE = """
environment: production

models:
  - name: ppo_usdcop_v3
    algorithm: PPO
    onnx_path: models/onnx/ppo_usdcop_v3.onnx
    observation_dim: 45
    action_space_size: 3
    weight: 1.0
    enabled: true

risk_limits:
  max_daily_loss: -0.02
  max_drawdown: -0.05
  max_consecutive_losses: 5
  min_confidence: 0.60
  max_trades_per_day: 50
  max_position_size: 0.10

trading_hours:
  start_hour: 8
  end_hour: 12
  end_minute: 55
  timezone: America/Bogota
  trading_days: [0, 1, 2, 3, 4]

monitoring:
  enable_drift_detection: true
  drift_check_interval_minutes: 60
  drift_threshold: 0.15
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    return tmp_path


def load(
    project: Path, text: str = SHIPPED, environ: Mapping[str, str] | None = None
) -> LoadedSettings:
    file = project / "config" / "mlops.yaml"
    file.write_text(text, encoding="utf-8")
    return load_settings(environ or {}, file)


def refusal(project: Path, text: str = SHIPPED, **environ: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(project, text, environ)
    line = str(caught.value)
    assert "\n" not in line
    return line


def changed(old: str, new: str) -> str:
    assert SHIPPED.count(old) == 1, old
    return SHIPPED.replace(old, new)


class TestTheShippedFile:
    def test_names_every_setting(self) -> None:
        shipped = yaml.safe_load(SHIPPED)
        for path in _settings_of(Settings):
            holder: Any = shipped
            *sections, name = path
            for section in sections:
                holder = holder[section]
            assert name in holder, ".".join(path)

    def test_names_or_comments_every_setting_of_a_model(self) -> None:
        text = SHIPPED[SHIPPED.index("\nmodels:") : SHIPPED.index("\nensemble:")]
        assert [name for name in ModelSettings.model_fields if f"{name}:" not in text] == []

    def test_holds_the_defaults(self) -> None:
        settings = Settings.model_validate(yaml.safe_load(SHIPPED))
        assert settings == Settings(models=settings.models)

    def test_serves_three_models_of_the_store(self) -> None:
        models = load_settings({}).settings.models
        assert [(model.name, model.action_space_size) for model in models] == [
            ("ppo_usdcop_v3", 3),
            ("sac_usdcop_v2", 1),
            ("a2c_macro_v1", 3),
        ]
        assert all(model.tag == model.name for model in models)

    def test_has_a_comment_on_every_setting_of_the_risk_limits(self) -> None:
        section = SHIPPED[SHIPPED.index("risk_limits:") : SHIPPED.index("trading_hours:")]
        assert all("#" in line for line in section.splitlines()[1:] if line.strip())

    def test_is_found_beside_the_code_from_any_folder(self, project: Path) -> None:
        assert load_settings({}).file == DEFAULT_FILE


def _settings_of(
    section: type[BaseModel], above: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and get_origin(kind) is None and issubclass(kind, BaseModel):
            yield from _settings_of(kind, (*above, name))
        else:
            yield (*above, name)


def test_the_file_of_the_replaced_system_loads_unchanged(project: Path) -> None:
    settings = load(project, GUIDE).settings
    assert settings.risk_limits.max_daily_loss == -0.02
    assert settings.trading_hours.start_hour == 8
    assert settings.models[0].onnx_path == "models/onnx/ppo_usdcop_v3.onnx"
    assert settings.environment is Environment.PRODUCTION


class TestLayers:
    def test_a_default_stands_when_nothing_sets_it(self, project: Path) -> None:
        loaded = load(project, GUIDE)
        assert loaded.provenance["cache.ttl_seconds"] == (300, "default")

    def test_the_file_goes_before_the_default(self, project: Path) -> None:
        loaded = load(project, GUIDE + "cache: {ttl_seconds: 60}\n")
        assert loaded.provenance["cache.ttl_seconds"] == (60, "config/mlops.yaml")

    def test_the_environment_goes_before_the_file(self, project: Path) -> None:
        loaded = load(project, environ={"MAX_DAILY_LOSS": "-0.01"})
        assert loaded.settings.risk_limits.max_daily_loss == -0.01
        assert loaded.provenance["risk_limits.max_daily_loss"] == (-0.01, "MAX_DAILY_LOSS")

    def test_a_setting_of_a_model_that_the_file_leaves_out_is_a_default(
        self, project: Path
    ) -> None:
        assert load(project).provenance["models.0.onnx_path"] == (None, "default")

    def test_a_path_given_to_the_loader_goes_before_the_variable(self, project: Path) -> None:
        loaded = load(project, environ={"MLOPS_CONFIG_PATH": "elsewhere.yaml"})
        assert loaded.file == project / "config" / "mlops.yaml"

    def test_the_variable_names_the_file(self, project: Path) -> None:
        (project / "other.yaml").write_text(GUIDE, encoding="utf-8")
        loaded = load_settings({"MLOPS_CONFIG_PATH": "other.yaml"})
        assert loaded.file == project / "other.yaml"
        assert loaded.provenance["environment"].origin == "other.yaml"

    def test_the_listing_names_every_setting_once(self, project: Path) -> None:
        keys = set(load(project).provenance)
        expected = {".".join(path) for path in _settings_of(Settings)} - {"models"}
        assert expected <= keys

    def test_the_same_input_gives_the_same_settings(self, project: Path) -> None:
        assert load(project) == load(project)


class TestPaths:
    def test_the_storage_path_is_relative_to_the_project(self, project: Path) -> None:
        settings = load(project, changed('model_storage_path: "."', "model_storage_path: store"))
        assert settings.settings.model_storage_path == str(project / "store")

    def test_without_a_config_folder_it_is_relative_to_the_file(
        self, project: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "etc").mkdir()
        file = tmp_path / "etc" / "desk.yaml"
        file.write_text(GUIDE, encoding="utf-8")
        assert load_settings({}, file).settings.model_storage_path == str(tmp_path / "etc")

    def test_an_absolute_storage_path_stays(self, project: Path) -> None:
        loaded = load(project, environ={"MODEL_STORAGE_PATH": "/models/onnx"})
        assert loaded.settings.model_storage_path == "/models/onnx"

    def test_the_state_is_relative_to_the_working_directory(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (project / "run").mkdir()
        monkeypatch.chdir(project / "run")
        loaded = load(project)
        assert loaded.settings.state_path == str(project / "run" / "var" / "state.db")


class TestRefusals:
    def test_a_misspelt_key_says_what_was_probably_meant(self, project: Path) -> None:
        text = changed("max_daily_loss: -0.02", "max_dayly_loss: -0.02")
        assert refusal(project, text) == (
            "config/mlops.yaml: risk_limits.max_dayly_loss is not a setting; "
            "did you mean max_daily_loss?"
        )

    def test_a_positive_loss_limit_says_what_is_allowed(self, project: Path) -> None:
        assert refusal(project, changed("max_daily_loss: -0.02", "max_daily_loss: 0.02")) == (
            "config/mlops.yaml: risk_limits.max_daily_loss is 0.02; "
            "it must be below 0 and at least -1 (-0.02 is -2%)"
        )

    def test_an_end_before_the_start_is_refused(self, project: Path) -> None:
        line = refusal(project, changed("end_hour: 12", "end_hour: 7"))
        assert line == (
            "config/mlops.yaml: trading_hours: "
            "the session's end 07:55:00 must be after its start 08:00:00"
        )

    def test_a_key_in_the_wrong_section_says_where_it_belongs(self, project: Path) -> None:
        line = refusal(project, GUIDE + "max_trades_per_day: 3\n")
        assert line.endswith("did you mean risk_limits.max_trades_per_day?")

    def test_an_unlike_key_lists_what_there_is(self, project: Path) -> None:
        line = refusal(project, GUIDE + "ensemble: {zzz: 1}\n")
        assert line == "config/mlops.yaml: ensemble.zzz is not a setting; ensemble takes strategy"

    def test_a_misspelt_key_is_named_before_the_key_that_it_leaves_missing(
        self, project: Path
    ) -> None:
        line = refusal(project, changed("  - name: ppo_usdcop_v3 ", "  - nmae: ppo_usdcop_v3 "))
        assert "models.0.nmae is not a setting; did you mean name?" in line
        assert line.endswith("(and 1 more)")

    @pytest.mark.parametrize(
        "value", ['"-0.02"', ".nan", "-.inf", "true", "null", "[-0.02]", "-1.5", "0", "-2%"]
    )
    def test_what_is_no_loss_limit_is_refused(self, project: Path, value: str) -> None:
        line = refusal(project, changed("max_daily_loss: -0.02", f"max_daily_loss: {value}"))
        assert "risk_limits.max_daily_loss is " in line
        assert "below 0 and at least -1 (-0.02 is -2%)" in line

    @pytest.mark.parametrize("value", ["5.0", '"5"', "true", "010", "5_0", "0"])
    def test_what_is_no_count_of_losses_is_refused(self, project: Path, value: str) -> None:
        text = changed("max_consecutive_losses: 5 ", f"max_consecutive_losses: {value} ")
        assert "risk_limits.max_consecutive_losses is " in refusal(project, text)

    @pytest.mark.parametrize("value", ["yes", "on", "1", '"true"'])
    def test_only_true_and_false_are_truth_values(self, project: Path, value: str) -> None:
        text = changed("require_position: false", f"require_position: {value}")
        assert "it must be true or false" in refusal(project, text)

    @pytest.mark.parametrize(
        "value", ["20261224", "86400", "2026-12-24T10:00:00", "24.12.2026", "soon"]
    )
    def test_a_closed_day_must_be_a_date(self, project: Path, value: str) -> None:
        line = refusal(project, changed("closed: []", f"closed: [{value}]"))
        assert "calendar.closed.0 is " in line
        assert "year first: 2026-12-24" in line

    @pytest.mark.parametrize("value", ["720", "11", "11h", "25:00"])
    def test_an_early_close_must_be_a_time_of_day(self, project: Path, value: str) -> None:
        line = refusal(project, changed("early_close: {}", f"early_close: {{2026-12-24: {value}}}"))
        assert "calendar.early_close.2026-12-24" in line

    def test_an_unquoted_time_of_day_is_read_as_one(self, project: Path) -> None:
        text = changed("early_close: {}", "early_close: {2026-12-24: 11:00}")
        (closing,) = load(project, text).settings.calendar.early_close.values()
        assert closing.isoformat() == "11:00:00"

    def test_a_day_is_not_both_open_and_closed(self, project: Path) -> None:
        text = changed("closed: []", "closed: [2026-12-24]").replace(
            "open: []", "open: [2026-12-24]"
        )
        assert "2026-12-24 is both in `closed` and in `open`" in refusal(project, text)

    def test_a_closed_day_does_not_close_early(self, project: Path) -> None:
        text = changed("closed: []", "closed: [2026-12-24]")
        text = text.replace("early_close: {}", "early_close: {2026-12-24: 11:00}")
        assert "a closed day has no session" in refusal(project, text)

    def test_an_unknown_environment_lists_those_there_are(self, project: Path) -> None:
        line = refusal(project, changed("environment: production", "environment: prod"))
        assert line.endswith("is 'prod'; it must be one of development, staging, production")

    @pytest.mark.parametrize("origin", ["'*'", "https://a.example/", "a.example", "HTTPS://A.B"])
    def test_what_is_no_origin_is_refused(self, project: Path, origin: str) -> None:
        text = changed("allowed_origins: []", f"allowed_origins: [{origin}]")
        assert "access.allowed_origins.0 is " in refusal(project, text)

    def test_a_contradiction_of_two_layers_names_both(self, project: Path) -> None:
        line = refusal(project, MIN_CONFIDENCE="0.9")
        assert line.startswith("MIN_CONFIDENCE, config/mlops.yaml: risk_limits: ")

    def test_a_long_value_is_shortened(self, project: Path) -> None:
        line = refusal(project, changed("environment: production", f"environment: {'x' * 500}"))
        assert len(line) < 250

    def test_a_value_of_several_lines_stays_one_line(self, project: Path) -> None:
        text = changed("environment: production", 'environment: "a\\n\\nb"')
        assert "environment is " in refusal(project, text)


class TestEnvironment:
    @pytest.mark.parametrize(
        ("variable", "text", "key", "value"),
        [
            ("MLOPS_ENVIRONMENT", "development", "environment", "development"),
            ("REDIS_HOST", "redis", "redis.host", "redis"),
            ("REDIS_PORT", "6380", "redis.port", 6380),
            ("REDIS_PASSWORD", "12345", "redis.password", HIDDEN),
            ("MAX_DAILY_LOSS", "-0.03", "risk_limits.max_daily_loss", -0.03),
            ("MAX_DRAWDOWN", "-6e-2", "risk_limits.max_drawdown", -0.06),
            ("MIN_CONFIDENCE", "0.7", "risk_limits.min_confidence", 0.7),
            ("MODEL_STORAGE_PATH", "/models/onnx", "model_storage_path", "/models/onnx"),
            ("MLOPS__BOOK", "123", "book", "123"),
            ("MLOPS__MODELS__0__WEIGHT", "0.25", "models.0.weight", 0.25),
            ("MLOPS__MODELS__1__ENABLED", "false", "models.1.enabled", False),
            ("MLOPS__MODELS__2__ACTION_SPACE_SIZE", "1", "models.2.action_space_size", 1),
            ("MLOPS__TRADING_HOURS__TRADING_DAYS", "[0, 1]", "trading_hours.trading_days", [0, 1]),
            ("MLOPS__CALENDAR__CLOSED", '["2026-12-24"]', "calendar.closed", ["2026-12-24"]),
            ("MLOPS__CALENDAR__KNOWN_UNTIL", "2028-12-31", "calendar.known_until", "2028-12-31"),
            ("MLOPS__LOGGING__LEVEL", "DEBUG", "logging.level", "DEBUG"),
            ("MLOPS__ACCESS__OPEN_METRICS", "false", "access.open_metrics", False),
        ],
    )
    def test_a_variable_sets_its_setting(
        self, project: Path, variable: str, text: str, key: str, value: object
    ) -> None:
        assert load(project, environ={variable: text}).provenance[key] == (value, variable)

    def test_a_password_of_digits_is_text(self, project: Path) -> None:
        password = load(project, environ={"REDIS_PASSWORD": "012"}).settings.redis.password
        assert password is not None
        assert password.get_secret_value() == "012"

    def test_every_setting_has_a_variable(self, project: Path) -> None:
        for key, (value, _) in load(project).provenance.items():
            if value is None or key.startswith(("models.", "calendar.early_close")):
                continue
            variable = "MLOPS__" + key.upper().replace(".", "__")
            text = str(value).lower() if isinstance(value, bool) else str(value)
            assert load(project, environ={variable: text}).provenance[key].origin == variable

    def test_a_mapping_is_given_whole(self, project: Path) -> None:
        environ = {"MLOPS__CALENDAR__EARLY_CLOSE": '{"2026-12-24": "11:00"}'}
        value, origin = load(project, environ=environ).provenance["calendar.early_close"]
        assert (value, origin) == ({"2026-12-24": "11:00:00"}, "MLOPS__CALENDAR__EARLY_CLOSE")

    def test_one_entry_of_a_default_list_can_be_replaced(self, project: Path) -> None:
        loaded = load(
            project,
            GUIDE,
            {"MLOPS__CALENDAR__COUNTRIES__0": "US"} | {"MLOPS__CALENDAR__COUNTRIES__1": "CO"},
        )
        assert loaded.settings.calendar.countries == ("US", "CO")

    def test_an_entry_of_a_list_keeps_the_others_and_names_both_origins(
        self, project: Path
    ) -> None:
        variable = "MLOPS__TRADING_HOURS__TRADING_DAYS__4"
        value, origin = load(project, environ={variable: "5"}).provenance[
            "trading_hours.trading_days"
        ]
        assert value == [0, 1, 2, 3, 5]
        assert origin == f"{variable}, config/mlops.yaml"

    def test_a_model_can_be_added(self, project: Path) -> None:
        model = '{"name": "dqn_v1", "algorithm": "DQN", "tag": "dqn_v1"}'
        loaded = load(project, environ={"MLOPS__MODELS__3": model})
        assert loaded.settings.models[3].name == "dqn_v1"

    def test_a_model_beyond_the_next_one_is_refused(self, project: Path) -> None:
        line = refusal(project, MLOPS__MODELS__7__WEIGHT="1")
        assert line.startswith("MLOPS__MODELS__7__WEIGHT: there are 3 entries")

    def test_a_variable_that_names_no_setting_stops_like_a_misspelt_key(
        self, project: Path
    ) -> None:
        assert refusal(project, MLOPS__RISK_LIMITS__MAX_DAYLY_LOSS="-0.01") == (
            "MLOPS__RISK_LIMITS__MAX_DAYLY_LOSS: risk_limits.max_dayly_loss is not a setting; "
            "did you mean max_daily_loss?"
        )

    def test_a_variable_goes_no_deeper_than_the_settings(self, project: Path) -> None:
        assert "risk_limits.min_confidence takes no keys" in refusal(
            project, MLOPS__RISK_LIMITS__MIN_CONFIDENCE__X="1"
        )

    def test_a_list_takes_numbers_only(self, project: Path) -> None:
        assert "models is a list" in refusal(project, MLOPS__MODELS__PPO__WEIGHT="1")

    def test_a_section_is_not_set_whole(self, project: Path) -> None:
        line = refusal(project, MLOPS__RISK_LIMITS="{}")
        assert "for example MLOPS__RISK_LIMITS__MAX_DAILY_LOSS" in line

    def test_a_misspelt_short_name_is_refused(self, project: Path) -> None:
        line = refusal(project, MLOPS_ENVIROMENT="development")
        assert line == (
            "MLOPS_ENVIROMENT is not a setting; did you mean MLOPS_ENVIRONMENT or "
            "MLOPS__ENVIRONMENT?"
        )

    @pytest.mark.parametrize(
        ("variable", "meant"),
        [
            ("MLOPS_MAX_DAILY_LOSS", "MAX_DAILY_LOSS or MLOPS__RISK_LIMITS__MAX_DAILY_LOSS"),
            (
                "MLOPS_RISK_LIMITS__MAX_DAILY_LOSS",
                "MAX_DAILY_LOSS or MLOPS__RISK_LIMITS__MAX_DAILY_LOSS",
            ),
            (
                "MLOPS_RISK_LIMITS_MAX_DAILY_LOSS",
                "MAX_DAILY_LOSS or MLOPS__RISK_LIMITS__MAX_DAILY_LOSS",
            ),
            (
                "mlops_max_dayly_loss",
                "MAX_DAILY_LOSS or MLOPS__RISK_LIMITS__MAX_DAILY_LOSS",
            ),
            ("MLOPS_MIN_CONFIDENCE", "MIN_CONFIDENCE or MLOPS__RISK_LIMITS__MIN_CONFIDENCE"),
            ("MLOPS_REDIS_PORT", "REDIS_PORT or MLOPS__REDIS__PORT"),
            ("MLOPS_REDIS_HOST", "REDIS_HOST or MLOPS__REDIS__HOST"),
            ("MLOPS_API_KEY", "MLOPS_API_KEYS or MLOPS__ACCESS__KEYS"),
            ("MLOPS_CONFIGPATH", "MLOPS_CONFIG_PATH"),
            ("MLOPS_MAX_TRADES_PER_DAY", "MLOPS__RISK_LIMITS__MAX_TRADES_PER_DAY"),
        ],
    )
    def test_a_setting_by_a_wrong_name_stops_the_start_and_hears_the_right_one(
        self, project: Path, variable: str, meant: str
    ) -> None:
        line = refusal(project, **{variable: "-0.001"})
        assert line == f"{variable} is not a setting; did you mean {meant}?"

    def test_every_setting_with_one_underscore_for_two_is_recognised(self, project: Path) -> None:
        for key in setting_keys():
            right = "MLOPS__" + key.upper().replace(".", "__")
            wrong = right.replace("__", "_")
            if wrong != "MLOPS_ENVIRONMENT":  # that one is a short name
                assert f"{right}?" in refusal(project, **{wrong: "1"})

    def test_a_secret_by_a_wrong_name_is_not_shown(self, project: Path) -> None:
        line = refusal(project, MLOPS_REDIS_PASSWORD="hunter2")
        assert "REDIS_PASSWORD or MLOPS__REDIS__PASSWORD" in line
        assert "hunter2" not in line

    # It may be a limit that somebody set: what is ignored in silence is not in force.
    @pytest.mark.parametrize("variable", ["MLOPS_DASHBOARD_THEME", "MLOPS_"])
    def test_no_variable_that_begins_like_ours_is_ignored(
        self, project: Path, variable: str
    ) -> None:
        assert refusal(project, **{variable: "dark"}) == (
            f"{variable} is not a setting; other variables must not begin with MLOPS_, and "
            "settings are named like MLOPS__RISK_LIMITS__MAX_DAILY_LOSS"
        )

    @pytest.mark.parametrize(
        "variable",
        [
            "MLOPS_SERVICE_HOST",
            "MLOPS_SERVICE_PORT_HTTP",
            "MLOPS_PORT",
            "MLOPS_PORT_80_TCP_ADDR",
            "MLOPS_API_PORT",
        ],
    )
    def test_a_variable_that_kubernetes_injects_for_our_service_is_explained(
        self, project: Path, variable: str
    ) -> None:
        assert "enableServiceLinks: false" in refusal(project, **{variable: "tcp://10.0.0.1:80"})

    def test_other_programs_variables_are_left_alone(self, project: Path) -> None:
        others = {"PATH": "/bin", "MLOPSY": "dark", "REDIS": "x"}
        assert load(project, environ=others).settings == load(project).settings

    def test_both_names_with_one_value_are_fine(self, project: Path) -> None:
        environ = {"MAX_DAILY_LOSS": "-0.03", "MLOPS__RISK_LIMITS__MAX_DAILY_LOSS": "-0.030"}
        assert load(project, environ=environ).settings.risk_limits.max_daily_loss == -0.03

    def test_both_names_with_two_values_are_refused_naming_both(self, project: Path) -> None:
        line = refusal(project, MAX_DAILY_LOSS="-0.03", MLOPS__RISK_LIMITS__MAX_DAILY_LOSS="-0.04")
        assert "MAX_DAILY_LOSS and MLOPS__RISK_LIMITS__MAX_DAILY_LOSS" in line

    @pytest.mark.parametrize("text", ["abc", "nan", ".nan", "inf", "1.5", "[0.6]", "0,6", "{"])
    def test_what_is_no_confidence_is_refused(self, project: Path, text: str) -> None:
        assert refusal(project, MIN_CONFIDENCE=text).startswith("MIN_CONFIDENCE: ")

    def test_an_empty_variable_counts_as_not_set(self, project: Path) -> None:
        loaded = load(project, environ={"MIN_CONFIDENCE": "", "MLOPS_API_KEYS": ""})
        assert loaded.provenance["risk_limits.min_confidence"].origin == "config/mlops.yaml"

    def test_an_empty_redis_host_chooses_the_embedded_store(self, project: Path) -> None:
        loaded = load(project, changed("host: null", "host: redis"), {"REDIS_HOST": ""})
        assert loaded.provenance["redis.host"] == (None, "REDIS_HOST")

    def test_the_port_that_kubernetes_injects_is_explained(self, project: Path) -> None:
        line = refusal(project, REDIS_PORT="tcp://10.0.0.1:6379")
        assert "enableServiceLinks: false" in line

    @given(st.floats(allow_nan=False, min_value=-1, max_value=0, exclude_max=True))
    def test_any_loss_limit_in_range_reads_back_exactly(self, value: float) -> None:
        loaded = load_settings({"MAX_DAILY_LOSS": repr(value)})
        assert loaded.settings.risk_limits.max_daily_loss == value

    @given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])))
    def test_any_text_is_a_limit_or_one_line(self, text: str) -> None:
        try:
            load_settings({"MAX_DRAWDOWN": text})
        except ConfigurationError as error:
            assert "\n" not in str(error)  # noqa: PT017  # text that is valid is fine too


class TestKeys:
    def test_keys_come_from_one_variable(self, project: Path) -> None:
        environ = {"MLOPS_API_KEYS": f"desk:trader:{SHA}, risk:admin:{'cd' * 32}"}
        keys = load(project, environ=environ).settings.access.keys
        assert [(key.name, key.role) for key in keys] == [
            ("desk", Role.TRADER),
            ("risk", Role.ADMIN),
        ]

    def test_they_replace_those_of_the_file(self, project: Path) -> None:
        text = changed("keys: [] ", f"keys: [{{name: old, role: admin, sha256: {SHA}}}] ")
        keys = load(
            project, text, {"MLOPS_API_KEYS": f"new:trader:{'cd' * 32}"}
        ).settings.access.keys
        assert [key.name for key in keys] == ["new"]

    @pytest.mark.parametrize(
        "entry", [f"desk:{SHA}", f"desk:trader:{SHA}:x", f"desk:trader:{SHA},", "usdcop_key"]
    )
    def test_an_entry_of_another_form_is_refused(self, project: Path, entry: str) -> None:
        assert "must be name:role:sha256" in refusal(project, MLOPS_API_KEYS=entry)

    def test_two_keys_of_one_name_are_refused(self, project: Path) -> None:
        line = refusal(project, MLOPS_API_KEYS=f"a:trader:{SHA},a:admin:{'cd' * 32}")
        assert "two keys share one name" in line


class TestSecrets:
    SECRET = "hunter2hunter2"

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("password: null", "password: {inner: SECRET}"),
            ("password: null", "password: [SECRET]"),
            ("password: null", 'password: "SECRET\\q"'),
            ("password: null", "password: *SECRET"),
            ("password: null", "password: !SECRET x"),
            ("password: null", "password: @SECRET"),
            ("password: null", "pasword: SECRET"),
            ("redis:\n", "redis: SECRET\nbook2:\n"),
            ("keys: [] ", "keys: SECRET "),
            ("keys: [] ", "keys: [SECRET] "),
            ("keys: [] ", "keys: [{name: a, role: SECRET, sha256: x}] "),
            ("keys: [] ", "keys: [{name: a, role: trader, sha256: SECRET}] "),
            ("keys: [] ", "keys: [{name: SECRET!, role: trader, sha256: x}] "),
        ],
    )
    def test_an_error_never_shows_one(self, project: Path, old: str, new: str) -> None:
        line = refusal(project, changed(old, new.replace("SECRET", self.SECRET)))
        assert self.SECRET not in line

    @pytest.mark.parametrize(
        "entry", ["SECRET", "a:SECRET:b", "a:trader:SECRET", "SECRET!:trader:x", "a:b:c:SECRET"]
    )
    def test_an_error_in_the_keys_never_shows_one(self, project: Path, entry: str) -> None:
        line = refusal(project, MLOPS_API_KEYS=entry.replace("SECRET", self.SECRET))
        assert self.SECRET not in line

    def test_the_listing_hides_them(self, project: Path) -> None:
        environ = {"REDIS_PASSWORD": self.SECRET, "MLOPS_API_KEYS": f"desk:trader:{SHA}"}
        provenance = load(project, environ=environ).provenance
        assert self.SECRET not in str(provenance)
        assert SHA not in str(provenance)
        assert provenance["redis.password"].value == HIDDEN
        assert provenance["access.keys.0.role"].value == "trader"

    def test_the_settings_do_not_print_them(self, project: Path) -> None:
        environ = {"REDIS_PASSWORD": self.SECRET, "MLOPS_API_KEYS": f"desk:trader:{SHA}"}
        text = repr(load(project, environ=environ).settings)
        assert self.SECRET not in text
        assert SHA not in text
