"""Every setting as a frozen type: name, unit, range, default.

Fractions are fractions: -0.02 is -2%. Durations carry their unit in the name. Types here
reject what they do not know, so a misspelt key stops start-up instead of being ignored.
`config.load` fills them from YAML and the environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FieldSerializationInfo,
    SecretStr,
    field_serializer,
    field_validator,
    model_validator,
)

__all__ = [
    "REVEAL_SECRETS",
    "AccessKey",
    "AccessSettings",
    "AlertSettings",
    "Algorithm",
    "CacheSettings",
    "CalendarSettings",
    "DeskSettings",
    "EnsembleSettings",
    "EnsembleStrategy",
    "Environment",
    "LoggingSettings",
    "MarketSettings",
    "ModelSettings",
    "MonitoringSettings",
    "OnDrift",
    "RedisSettings",
    "RiskLimits",
    "Role",
    "Settings",
    "TradingHours",
]

REVEAL_SECRETS = {"secrets": "revealed"}
"""Context of `model_dump` that writes secrets out, for a process of the same service."""

IDENTIFIER = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?")
DIGEST = re.compile(r"[0-9a-f]{64}")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
CLOCK_TIME = re.compile(r"\d{2}:\d{2}(:\d{2})?")
WEB_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?", re.IGNORECASE)
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d+)?|https?://\[[0-9a-f:]+\](:\d+)?")


def _identifier(value: str) -> str:
    if not IDENTIFIER.fullmatch(value):
        raise ValueError(
            "must be 1 to 63 lower-case letters, digits, '_', '-' or '.', "
            "with a letter or digit first and last"
        )
    return value


def _digest(value: str) -> str:
    if not DIGEST.fullmatch(value):
        raise ValueError(
            "must be the SHA-256 of the key as 64 lower-case hexadecimal digits, "
            "as `usdcop keys new` prints it"
        )
    return value


def _day(value: object) -> object:
    """Refuse what would be read as seconds since 1970."""
    if isinstance(value, str) and DAY.fullmatch(value):
        return value
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError("must be a date, year first: 2026-12-24")


def _clock_time(value: object) -> object:
    """Refuse what would be read as seconds since midnight."""
    if isinstance(value, time) or (isinstance(value, str) and CLOCK_TIME.fullmatch(value)):
        return value
    raise ValueError("must be a local time of day: '12:00' or '12:00:00'")


def _origin(value: str) -> str:
    if not ORIGIN.fullmatch(value):
        raise ValueError(
            "must be an origin in lower case, without path or final slash: "
            "'https://desk.example:8443'"
        )
    return value


Identifier = Annotated[str, AfterValidator(_identifier)]
Day = Annotated[date, BeforeValidator(_day)]
ClockTime = Annotated[time, BeforeValidator(_clock_time)]
Origin = Annotated[str, AfterValidator(_origin)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(strict=True, gt=0)]
NonNegativeInt = Annotated[int, Field(strict=True, ge=0)]


class Environment(StrEnum):
    """Where the service runs; `production` refuses what development tolerates."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


class Algorithm(StrEnum):
    """How a model was trained, which decides how its outputs are read."""

    PPO = "PPO"
    A2C = "A2C"
    SAC = "SAC"
    TD3 = "TD3"
    DQN = "DQN"
    CLASSIFIER = "CLASSIFIER"


class EnsembleStrategy(StrEnum):
    """How the enabled models are combined."""

    WEIGHTED_AVERAGE = "weighted_average"
    MAJORITY_VOTE = "majority_vote"


class OnDrift(StrEnum):
    """What a drift alarm does to entries. It never refuses one, and it never touches an exit."""

    NONE = "none"
    HALVE = "halve"


class Role(StrEnum):
    """What a key may do: a trader may do all a viewer may, an admin all of both."""

    VIEWER = "viewer"
    TRADER = "trader"
    ADMIN = "admin"


class Section(BaseModel):
    """Base of every group of settings: frozen, and nothing unknown."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True
    )


class ModelSettings(Section):
    """One model: what it is called, where it lies, how much its vote weighs."""

    name: Identifier
    """Name in the model store, in requests (`model_name`) and on record."""
    algorithm: Algorithm
    """Must agree with the model's own metadata."""
    tag: str | None = None
    """A model of the store: `name` alone (its live version) or `name:version`."""
    onnx_path: str | None = None
    """Or a file, relative to `model_storage_path`, registered into the store at start."""
    observation_dim: PositiveInt = 45
    """Length of the vector that the model reads."""
    action_space_size: Literal[1, 3] = 3
    """3 for discrete actions, 1 for one continuous action."""
    weight: Annotated[Number, Field(ge=0.0)] = 1.0
    """Share in the ensemble before normalisation; 0 is a shadow: run, recorded, no vote."""
    enabled: Annotated[bool, Field(strict=True)] = True
    """A disabled model is not loaded."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if self.name == "ensemble":
            raise ValueError("a model cannot be named 'ensemble': answers call all of them that")
        if (self.tag is None) == (self.onnx_path is None):
            raise ValueError(
                f"model {self.name!r} needs exactly one of `tag` (a model of the store) "
                "or `onnx_path` (a file)"
            )
        if self.tag is not None and self.tag.split(":", 1)[0] != self.name:
            raise ValueError(
                f"model {self.name!r} has tag {self.tag!r}: the tag must be "
                f"{self.name!r} or '{self.name}:VERSION'"
            )
        return self


class EnsembleSettings(Section):
    """How several models become one decision."""

    strategy: EnsembleStrategy = EnsembleStrategy.WEIGHTED_AVERAGE
    """`weighted_average` of probabilities, or `majority_vote` by weight (ties are HOLD)."""


class RiskLimits(Section):
    """What stops an entry, and at what number."""

    max_daily_loss: Annotated[Number, Field(ge=-1.0, lt=0.0, examples=["-0.02 is -2%"])] = -0.02
    """Daily P&L, as a fraction of capital, at or below which the breaker trips."""
    max_drawdown: Annotated[Number, Field(ge=-1.0, lt=0.0, examples=["-0.05 is -5%"])] = -0.05
    """Equity below its high-water mark, as a fraction of capital, that trips the breaker."""
    max_consecutive_losses: PositiveInt = 5
    """Losses in a row that trip the breaker."""
    min_confidence: Annotated[Number, Field(ge=0.0, le=1.0, examples=["0.6 is 60%"])] = 0.60
    """Least confidence that may trade."""
    high_confidence_threshold: Annotated[Number, Field(gt=0.0, le=1.0)] = 0.80
    """Confidence from which a position is full-sized."""
    max_trades_per_day: PositiveInt = 50
    """Results plus open orders of one session day."""
    max_position_size: Annotated[Number, Field(ge=0.0001, le=1.0, examples=["0.1 is 10%"])] = 0.10
    """Largest position, as a fraction of capital; below 0.01% the smallest size could be none."""
    cooldown_after_loss: NonNegativeInt = 60
    """Seconds without entries after a loss, from the second loss in a row."""
    cooldown_after_circuit_break: NonNegativeInt = 300
    """Seconds that the breaker stays open after too many losses in a row."""
    approval_ttl_seconds: PositiveInt = 60
    """How long an approval may be acted on."""
    max_unresolved_orders: PositiveInt = 3
    """Approved orders without a result or a release."""
    max_daily_resets: NonNegativeInt = 1
    """Resets that one day allows."""
    mark_confirm_seconds: NonNegativeInt = 30
    """Least time between two marks beyond a limit before the breaker believes them."""
    max_data_age_seconds: PositiveInt = 600
    """Age of an observation's timestamp beyond which it is stale."""
    require_order_id: Annotated[bool, Field(strict=True)] = False
    """Refuse entries that name no order."""
    require_position: Annotated[bool, Field(strict=True)] = False
    """Refuse entries while the position is unknown, instead of taking it as flat."""
    on_drift: OnDrift = OnDrift.NONE
    """`halve`: entries at half size from a drift alarm to a clean check or an acknowledgement."""

    def recorded(self) -> dict[str, Any]:
        """JSON values as they are hashed and go on record.

        `on_drift` is left out while it does nothing: limits that were recorded before there was
        such a setting keep their hash, and their book needs no new configuration.
        """
        values = self.model_dump(mode="json")
        if self.on_drift is OnDrift.NONE:
            del values["on_drift"]
        return values

    @model_validator(mode="after")
    def _thresholds_are_ordered(self) -> Self:
        if self.high_confidence_threshold < self.min_confidence:
            raise ValueError(
                f"high_confidence_threshold ({self.high_confidence_threshold}) must not be "
                f"below min_confidence ({self.min_confidence})"
            )
        return self


class TradingHours(Section):
    """When entries may be approved. Both ends are inclusive; 00:00 to 23:59:59 is all day."""

    start_hour: Annotated[int, Field(strict=True, ge=0, le=23)] = 8
    """Of the first instant of the session, local time."""
    start_minute: Annotated[int, Field(strict=True, ge=0, le=59)] = 0
    """Of the same."""
    end_hour: Annotated[int, Field(strict=True, ge=0, le=23)] = 12
    """Of the last instant of the session, inclusive."""
    end_minute: Annotated[int, Field(strict=True, ge=0, le=59)] = 55
    """Of the same."""
    end_second: Annotated[int, Field(strict=True, ge=0, le=59)] = 0
    """Of the same: 12:55:00 is in the session, 12:55:01 is not."""
    timezone: str = "America/Bogota"
    """IANA name."""
    trading_days: tuple[Annotated[int, Field(strict=True, ge=0, le=6)], ...] = (0, 1, 2, 3, 4)
    """Weekdays, Monday is 0."""
    trade_on_us_holidays: Annotated[bool, Field(strict=True)] = False
    """Allow entries on a day that is a holiday in the United States only."""

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                f"{value!r} is no IANA time zone; for example 'America/Bogota'"
            ) from None
        return value

    @field_validator("trading_days")
    @classmethod
    def _days_are_distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("trading_days needs at least one weekday, each once")
        return tuple(sorted(value))

    @model_validator(mode="after")
    def _session_has_a_length(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"the session's end {self.end} must be after its start {self.start}")
        return self

    @property
    def start(self) -> time:
        """First instant of the session, local."""
        return time(self.start_hour, self.start_minute)

    @property
    def end(self) -> time:
        """Last instant of the session, local, inclusive."""
        return time(self.end_hour, self.end_minute, self.end_second)

    @property
    def zone(self) -> ZoneInfo:
        """The session's time zone."""
        return ZoneInfo(self.timezone)


class CalendarSettings(Section):
    """Holidays, and dated exceptions to them."""

    countries: tuple[Literal["CO", "US"], ...] = ("CO", "US")
    """Whose holidays have no session, with 31 December; empty means no holidays at all."""

    closed: tuple[Day, ...] = ()
    """Days without a session, beside the known holidays."""
    open: tuple[Day, ...] = ()
    """Days with a session although a calendar calls them a holiday."""
    early_close: Mapping[Day, ClockTime] = Field(default_factory=dict)
    """Day to the local time at which its session ends, inclusive."""
    known_until: Day = date(2027, 12, 31)
    """Last day whose holidays have been looked up; every entry beyond it is refused."""

    @model_validator(mode="after")
    def _days_have_one_meaning(self) -> Self:
        both = sorted(set(self.closed) & set(self.open))
        if both:
            raise ValueError(f"{both[0]} is both in `closed` and in `open`; it can be one only")
        shut = sorted(set(self.closed) & set(self.early_close))
        if shut:
            raise ValueError(
                f"{shut[0]} is both in `closed` and in `early_close`; a closed day has no session"
            )
        return self


class CacheSettings(Section):
    """The cache of feature vectors."""

    ttl_seconds: PositiveInt = 300
    """How long a cached vector can be read."""
    max_entries: PositiveInt = 10_000
    """Vectors kept at most; the oldest goes first."""


class MarketSettings(Section):
    """Bars and macro values that the service computes features from."""

    buffer_bars: Annotated[int, Field(strict=True, ge=240, le=20_000)] = 1_200
    """Newest bars that are kept; a vector reads 240, a full session has 60."""
    max_price_jump: Annotated[Number, Field(gt=0.0, le=5.0, examples=["0.1 is about 10%"])] = 0.10
    """Largest log return from one bar to the next that is taken without being confirmed."""
    without_macro: Annotated[bool, Field(strict=True)] = False
    """True: 0 for the seven macro features, for models that were trained that way."""
    path: str | None = None
    """SQLite file of bars and macro values, used when no Redis host is set; by default
    `market.db` beside `state_path`."""
    bars_file: str | None = None
    """CSV or Parquet file of bars that a start fills the buffer from."""
    macro_file: str | None = None
    """CSV or Parquet file of macro values that a start reads."""


class MonitoringSettings(Section):
    """The drift job."""

    enable_drift_detection: Annotated[bool, Field(strict=True)] = True
    """Check on a timer; a check can be asked for in any case."""
    drift_check_interval_minutes: PositiveInt = 60
    """Minutes between two checks in trading hours."""
    drift_threshold: Annotated[Number, Field(gt=0.0, le=1.0, examples=["0.15 is 15%"])] = 0.15
    """Share of drifted features above which an alert is due."""
    drift_time_limit_seconds: Annotated[Number, Field(ge=5.0, le=3600.0)] = 120.0
    """How long a check may take, its report included, before it is ended."""
    drift_report_time_limit_seconds: Annotated[Number, Field(ge=1.0, le=3600.0)] = 60.0
    """How long Evidently may take; after that the report is SciPy's."""
    collapse_share: Annotated[Number, Field(gt=0.5, le=1.0, examples=["0.8 is 80%"])] = 0.80
    """Share of one action, of the last 200 decisions, above which the actions have collapsed."""
    collapse_entropy_nats: Annotated[Number, Field(ge=0.0, le=1.0986)] = 0.5
    """Entropy of the same below which they have; three equally frequent actions have 1.0986."""
    drift_memory_limit_mb: Annotated[int, Field(strict=True, ge=256, le=65_536)] = 1024
    """Data that a check, and Evidently, may each hold in memory, in MiB."""


class AlertSettings(Section):
    """Who is told of what. Without an address alerts are still listed and logged."""

    urls: Annotated[tuple[SecretStr, ...], Field(max_length=20)] = ()
    """Addresses of Apprise that every alert goes to, e.g. `mailto://...` or `json://...`."""
    page_urls: Annotated[tuple[SecretStr, ...], Field(max_length=20)] = ()
    """Addresses that only pages go to, such as a halt or a ledger in trouble."""
    heartbeat_url: SecretStr | None = None
    """Address that is asked for (GET) while the service is able to decide: to whoever expects it,
    its silence says that something is wrong."""
    heartbeat_seconds: Annotated[Number, Field(ge=1.0, le=86_400.0)] = 60.0
    """From one such call to the next, all workers and services of the book together."""
    quiet_minutes: Annotated[Number, Field(gt=0.0, le=1440.0)] = 15.0
    """How long a measured cause must stay away before it counts as over."""
    escalate_minutes: Annotated[Number, Field(gt=0.0, le=1440.0)] = 15.0
    """Time until a halt or an open breaker that nobody acknowledges is told again; each further
    time after twice as long, up to sixteen times."""
    limit_share: Annotated[Number, Field(gt=0.0, le=1.0, examples=["0.8 is 80%"])] = 0.80
    """Share of a limit from which on an alert says that it is near."""
    veto_share: Annotated[Number, Field(gt=0.0, le=1.0, examples=["0.5 is 50%"])] = 0.50
    """Share of vetoed observations among the newest 50 decisions, above which an alert is due."""
    silence_minutes: Annotated[Number, Field(gt=0.0, le=1440.0)] = 15.0
    """Time without a decision in an open session after which an alert is due."""
    feed_minutes: Annotated[Number, Field(gt=0.0, le=1440.0)] = 15.0
    """Time without a new bar in an open session after which a page is due, where bars are used."""
    mark_minutes: Annotated[Number, Field(gt=0.0, le=1440.0)] = 30.0
    """Age of the newest mark in an open session at which a page is due while a position is held;
    only where marks are reported at all."""
    order_minutes: Annotated[Number, Field(gt=0.0, le=1440.0)] = 5.0
    """Time after the end of an approval from which on an entry without an outcome is a page."""
    retry_seconds: Annotated[Number, Field(gt=0.0, le=600.0)] = 10.0
    """Pause after a failed delivery; each further one is twice as long, up to ten minutes."""
    give_up_minutes: Annotated[Number, Field(gt=0.0, le=10080.0)] = 240.0
    """Age at which a message that cannot be delivered is given up."""
    timeout_seconds: Annotated[Number, Field(gt=0.0, le=120.0)] = 15.0
    """How long a target may take for one message."""

    @field_serializer("urls", "page_urls", when_used="json")
    def _hidden_unless_revealed(
        self, value: tuple[SecretStr, ...], info: FieldSerializationInfo
    ) -> list[str]:
        revealed = info.context == REVEAL_SECRETS
        return [url.get_secret_value() if revealed else str(url) for url in value]

    @field_validator("heartbeat_url")
    @classmethod
    def _is_of_the_web(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not WEB_ADDRESS.fullmatch(value.get_secret_value()):
            raise ValueError("must be an address that begins with https:// or http://")
        return value

    @field_serializer("heartbeat_url", when_used="json-unless-none")
    def _heartbeat_hidden(self, value: SecretStr, info: FieldSerializationInfo) -> str:
        return value.get_secret_value() if info.context == REVEAL_SECRETS else str(value)


class DeskSettings(Section):
    """What is done once a day: a look before the session, a report after it."""

    preflight_minutes: Annotated[int, Field(strict=True, ge=0, le=720)] = 15
    """Minutes before the session at which `preflight` is made; 0 is only by command."""
    preflight_sends_message: Annotated[bool, Field(strict=True)] = False
    """Send a test message to every address of `alerts` with it."""
    close_report_minutes: Annotated[int, Field(strict=True, ge=0, le=720)] = 10
    """Minutes after the session at which the report of the day is sent; 0 is only by command."""
    close_report_late_hours: Annotated[Number, Field(gt=0.0, le=168.0)] = 72.0
    """How late a report is still sent that was missed while no service ran."""
    free_disk_mb: Annotated[int, Field(strict=True, ge=1)] = 500
    """MiB that must be free where the ledger is, for the book to be armed."""


class RedisSettings(Section):
    """Shared state for many hosts. Without a host the embedded store is used."""

    host: str | None = None
    """Name or address; none: the embedded store at `state_path`."""
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] = 6379
    """Where it listens."""
    password: SecretStr | None = None
    """None: the server asks for none."""
    db: NonNegativeInt = 0
    """Number of the database; a cluster has 0 only."""
    timeout_ms: PositiveInt = 150
    """How long one call may take. A call that is not answered is made once more, for a third of
    it; then every call fails at once until the server is back. A decision waits for 200 ms with
    the default."""
    start_wait_seconds: Annotated[Number, Field(ge=0.0, le=3600.0)] = 60.0
    """How long a start waits for a server that does not answer yet."""

    @field_serializer("password", when_used="json-unless-none")
    def _hidden_unless_revealed(self, value: SecretStr, info: FieldSerializationInfo) -> str:
        return value.get_secret_value() if info.context == REVEAL_SECRETS else str(value)

    @field_validator("host", mode="before")
    @classmethod
    def _empty_means_none(cls, value: object) -> object:
        return None if value == "" else value


class AccessKey(Section):
    """One key, stored as its SHA-256. `usdcop keys new` makes them."""

    name: Identifier
    """Who it is: goes on record with what the key did."""
    role: Role
    """A trader may do all that a viewer may, an admin all of both."""
    sha256: Annotated[str, AfterValidator(_digest), Field(repr=False)]
    """SHA-256 of the key, 64 hexadecimal digits."""


class AccessSettings(Section):
    """Who may call."""

    keys: tuple[AccessKey, ...] = ()
    """One for each caller; without any, only `development` starts, for this machine alone."""
    open_metrics: Annotated[bool, Field(strict=True)] = True
    """Serve /metrics without a key."""
    max_body_bytes: PositiveInt = 8 * 1024 * 1024
    """Largest batch; one of 4,096 rows of 45 numbers is about 4 MB. Other bodies: 128 KiB."""
    allowed_origins: tuple[Origin, ...] = ()
    """Origins that a browser may call from, beside the service's own."""

    @field_validator("keys")
    @classmethod
    def _names_and_keys_are_distinct(cls, value: tuple[AccessKey, ...]) -> tuple[AccessKey, ...]:
        for attribute in ("name", "sha256"):
            seen = [getattr(key, attribute) for key in value]
            if len(set(seen)) != len(seen):
                raise ValueError(f"two keys share one {attribute}; each key needs its own")
        return value


class LoggingSettings(Section):
    """What is written to standard output."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least level of the service's own lines. At INFO no decision is logged that went as it should;
    at DEBUG each is, in a line without its observation."""
    format: Literal["auto", "json", "text"] = "auto"
    """One JSON object a line, or text for people; auto is JSON but in development."""


class Settings(Section):
    """Everything that can be set."""

    environment: Environment = Environment.PRODUCTION
    """Only `development` starts without keys, and then serves loopback alone."""
    book: Identifier = "default"
    """The book of trades that the limits are about; one service serves one."""
    capital_usd: Annotated[Number, Field(gt=0.0)] = 100_000.0
    """Capital in US dollars that fractions refer to, unless a request names its own."""
    models: Annotated[tuple[ModelSettings, ...], Field(min_length=1)]
    """The models, in order; the first enabled one answers `use_ensemble: false`."""
    model_storage_path: str = "."
    """Folder that `onnx_path` is relative to."""
    feature_schema: str | None = None
    """YAML file that names the features of the vector, relative to `model_storage_path`; by
    default the built-in 45."""
    ensemble: EnsembleSettings = EnsembleSettings()
    risk_limits: RiskLimits = RiskLimits()
    trading_hours: TradingHours = TradingHours()
    calendar: CalendarSettings = CalendarSettings()
    cache: CacheSettings = CacheSettings()
    market: MarketSettings = MarketSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    alerts: AlertSettings = AlertSettings()
    desk: DeskSettings = DeskSettings()
    redis: RedisSettings = RedisSettings()
    access: AccessSettings = AccessSettings()
    logging: LoggingSettings = LoggingSettings()
    state_path: str = "var/state.db"
    """SQLite file of the embedded ledger, used when no Redis host is set."""
    halt_file: str = "var/halt"
    """A file whose existence halts the book, wherever a service sees it; its content is nothing."""
    acknowledged_path: str = "var/acknowledged"
    """Folder that remembers the highest event that this host was acknowledged, by store."""
    drain_seconds: Annotated[Number, Field(ge=0.0, le=60.0)] = 6.0
    """How long a service that was asked to stop goes on answering while `/readyz` is 503, so that
    balancers turn away first."""
    max_batch_size: PositiveInt = 4096
    """Rows that one batch request may hold."""

    @field_validator("models")
    @classmethod
    def _models_fit_together(cls, value: tuple[ModelSettings, ...]) -> tuple[ModelSettings, ...]:
        names = [model.name for model in value]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"model name {sorted(twice)[0]!r} is used twice; each needs its own")
        enabled = [model for model in value if model.enabled]
        if not enabled:
            raise ValueError("no model is enabled; at least one must be")
        if not any(model.weight > 0 for model in enabled):
            raise ValueError("no enabled model has a weight above 0; a shadow cannot decide")
        dimensions = {model.observation_dim for model in enabled}
        if len(dimensions) > 1:
            raise ValueError(
                f"enabled models read vectors of different lengths {sorted(dimensions)}; "
                "one service serves one observation"
            )
        return value

    @model_validator(mode="after")
    def _early_closes_lie_in_the_session(self) -> Self:
        start, end = self.trading_hours.start, self.trading_hours.end
        for day, at in self.calendar.early_close.items():
            if not start < at < end:
                raise ValueError(
                    f"calendar.early_close of {day} is {at}; it must be after the session's start "
                    f"{start} and before its end {end}"
                )
        return self

    @property
    def logs_are_json(self) -> bool:
        """Whether a line of the log is one JSON object."""
        chosen = self.logging.format
        return chosen == "json" or (
            chosen == "auto" and self.environment is not Environment.DEVELOPMENT
        )

    @property
    def enabled_models(self) -> tuple[ModelSettings, ...]:
        """The models that are loaded, in configured order."""
        return tuple(model for model in self.models if model.enabled)

    @property
    def observation_dim(self) -> int:
        """Length of the vector that every enabled model reads."""
        return self.enabled_models[0].observation_dim
