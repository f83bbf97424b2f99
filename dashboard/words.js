// Numbers, times and names as people read them.

const DAY_MS = 86_400_000;
const MINUS = "\u2212";
let zone = "America/Bogota";
let clocks = makeClocks();

function makeClocks() {
  const options = { timeZone: zone, hourCycle: "h23" };
  return {
    time: new Intl.DateTimeFormat("en-GB", { ...options, timeStyle: "medium" }),
    day: new Intl.DateTimeFormat("en-CA", { ...options, dateStyle: "short" }),
  };
}

export function useZone(name) {
  if (name === zone) return;
  zone = name;
  clocks = makeClocks();
}

export function zoneName() {
  const city = zone.split("/").at(-1).replaceAll("_", " ");
  return city === "Bogota" ? "Bogot\u00e1" : city;
}

/** Time of day; with the date when it is another day than `now`. */
export function time(at, now = Date.now()) {
  if (at === null || at === undefined) return "";
  const date = new Date(at);
  const day = clocks.day.format(date);
  const clock = clocks.time.format(date);
  return day === clocks.day.format(now) ? clock : `${day} ${clock}`;
}

/** The service's sentences name times in UTC; a desk reads its own. */
export function localised(sentence, now = Date.now()) {
  return sentence.replace(/(\d{4}-\d\d-\d\d )?(\d\d:\d\d:\d\d) UTC/g, (_, day, clock) => {
    const date = day?.trim() ?? new Date(now).toISOString().slice(0, 10);
    const at = Date.parse(`${date}T${clock}Z`);
    // Without a date it is the nearest of that time, which may be beyond midnight.
    const days = day ? 0 : Math.round((now - at) / DAY_MS);
    return `${time(at + days * DAY_MS, now)} ${zoneName()}`;
  });
}

export function duration(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${String(Math.floor(seconds / 60) % 60).padStart(2, "0")} min`;
  const days = Math.floor(seconds / 86400);
  return days === 1 ? "1 day" : `${days} days`;
}

function signed(text, value, sign) {
  if (value < 0 && /[1-9]/.test(text)) return MINUS + text;
  return sign && /[1-9]/.test(text) ? `+${text}` : text;
}

/** A fraction as percent: 0.08 is +8.00%. */
export function percent(fraction, { digits = 2, sign = true } = {}) {
  if (fraction === null || fraction === undefined) return "\u2013";
  return `${signed(Math.abs(fraction * 100).toFixed(digits), fraction, sign)}%`;
}

export function dollars(value, { sign = true } = {}) {
  if (value === null || value === undefined) return "\u2013";
  const text = Math.abs(value).toLocaleString("en-US", { maximumFractionDigits: 0 });
  return `${signed(text, value, sign)} USD`;
}

export function share(fraction) {
  return percent(fraction, { digits: 1, sign: false });
}

const MARKS = { BUY: "\u25b2", SELL: "\u25bc", HOLD: "\u25a0" };

export function markOf(signal) {
  return MARKS[signal] ?? "";
}

export function signalWords(signal) {
  return `${markOf(signal)} ${signal}`.trim();
}

const STATUSES = {
  APPROVED: "Approved",
  NOT_CHECKED: "Not checked",
  DRY_RUN: "Dry run: would be approved",
  HOLD_SIGNAL: "The models say HOLD",
  OUT_OF_DISTRIBUTION: "Outside of what the models know",
  CONFIG_MISMATCH: "Other limits or models on record",
  MAX_DRAWDOWN: "Drawdown limit",
  CONSECUTIVE_LOSSES: "Losses in a row",
  MAX_TRADES_REACHED: "Trades of the day used up",
  UNRESOLVED_ORDERS: "Orders without an outcome",
  ORDER_ID_REQUIRED: "Order id missing",
};

/** A name of the service in plain words. */
export function words(name) {
  if (STATUSES[name]) return STATUSES[name];
  const text = String(name).replaceAll("_", " ").toLowerCase();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const CHECKS = {
  configuration: "Limits and models on record",
  data_age_seconds: "Observation fresh",
  feed: "Feed current",
  distribution: "Within what the models know",
  signal: "Signal to trade",
  confidence: "Confidence",
  session: "Session open",
  clock: "Clock",
  operator: "Operator allows it",
  breaker: "Circuit breaker",
  cooldown_seconds: "Cooldown after a loss",
  daily_pnl: "Daily loss",
  drawdown: "Drawdown",
  consecutive_losses: "Losses in a row",
  trades_today: "Trades today",
  unresolved_orders: "Orders without an outcome",
  left_to_close: "Left to close",
  position: "Position",
  order_id: "Order id",
  position_known: "Position known",
};

/** The checks of the gate in their order, for a decision that reached none. */
export const CHECK_ORDER = Object.keys(CHECKS);

export function checkName(check) {
  return CHECKS[check] ?? words(check);
}

const FRACTIONS = new Set(["confidence", "daily_pnl", "drawdown", "left_to_close", "position"]);

/** What a check looked at, and what it was held against. */
export function checkFigure(check) {
  if (check.check === "configuration" && check.passed) return "";
  const value = checkValue(check.check, check.value);
  const limit = checkValue(check.check, check.limit);
  if (value === "") return "";
  if (check.check === "cooldown_seconds") return `${value} left`;
  if (limit === "" || limit === value) return value;
  if (check.check === "confidence") return `${value}, at least ${limit}`;
  return `${value}, limit ${limit}`;
}

function checkValue(name, value) {
  if (value === null || value === undefined || value === "asked") return "";
  if (typeof value !== "number") return String(value);
  if (FRACTIONS.has(name)) return percent(value, { sign: name !== "confidence" });
  if (name.endsWith("_seconds")) return `${Math.round(value)} s`;
  return String(value);
}
