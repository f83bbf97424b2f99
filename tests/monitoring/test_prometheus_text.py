"""The text of a scrape, held against the library's own reading of the same files."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from monitoring.gauges import Gauge
from monitoring.prometheus_text import standing_text, workers_text

NOW = 1_000_000.0
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def count(folder: Path, process: int, name: str, value: float, **labels: str) -> None:
    _write(folder / f"counter_{process}.db", name, f"{name}_total", labels, value, 0.0)


def observe(folder: Path, process: int, bounds: dict[str, float], **labels: str) -> None:
    """Values of one histogram by the bound of their bucket, each counted for itself."""
    file = folder / f"histogram_{process}.db"
    _write(file, "seconds", "seconds_sum", labels, 0.5 * sum(bounds.values()), 0.0)
    for bound, value in bounds.items():
        _write(file, "seconds", "seconds_bucket", {**labels, "le": bound}, value, 0.0)


def stand(folder: Path, process: int, name: str, value: float, age: float = 0.0) -> None:
    _write(folder / f"gauge_mostrecent_{process}.db", name, name, {}, value, NOW - age)


def _write(
    file: Path, metric: str, name: str, labels: dict[str, str], value: float, at: float
) -> None:
    values = MmapedDict(str(file))  # type: ignore[no-untyped-call]
    key = mmap_key(metric, name, list(labels), list(labels.values()), "What it is")
    values.write_value(key, value, at)  # type: ignore[no-untyped-call]
    values.close()  # type: ignore[no-untyped-call]


def told(folder: Path) -> str:
    return "".join(workers_text(folder, NOW))


def samples_of(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of_library(folder: Path) -> Samples:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return samples_of(generate_latest(registry).decode())


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    count(tmp_path, 1, "decisions", 3, signal="BUY", model_name="ensemble")
    count(tmp_path, 2, "decisions", 4, signal="BUY", model_name="ensemble")
    count(tmp_path, 2, "decisions", 1, signal='a "quoted"\n\\word', model_name="é")
    count(tmp_path, 1, "faults", 0)
    observe(tmp_path, 1, {"0.001": 2, "0.25": 3, "+Inf": 1}, stage="read")
    observe(tmp_path, 2, {"0.001": 1, "0.25": 0, "+Inf": 4}, stage="read")
    observe(tmp_path, 2, {"0.001": 7, "0.25": 0, "+Inf": 0}, stage="append")
    return tmp_path


def test_counts_of_all_workers_are_those_that_the_library_reads(counted: Path) -> None:
    found = samples_of(told(counted))
    assert found == of_library(counted)
    assert found[("seconds_count", (("stage", "read"),))] == 11
    assert len(found) == 13


def test_each_metric_is_described_once_and_its_lines_are_together(counted: Path) -> None:
    families = [family.name for family in text_string_to_metric_families(told(counted))]
    assert families == ["decisions", "faults", "seconds"]


def test_workers_and_memory_are_added_up_and_of_other_gauges_the_highest_counts(
    tmp_path: Path,
) -> None:
    for process, memory, degraded in ((1, 100.0, 0.0), (2, 50.0, 1.0), (3, 10.0, 0.0)):
        stand(tmp_path, process, "usdcop_workers", 1)
        stand(tmp_path, process, "usdcop_memory_bytes", memory)
        stand(tmp_path, process, "usdcop_cache_degraded", degraded)
    found = samples_of(told(tmp_path))
    assert found[("usdcop_workers", ())] == 3
    assert found[("usdcop_memory_bytes", ())] == 160
    assert found[("usdcop_cache_degraded", ())] == 1


def test_a_worker_that_has_not_told_for_ten_seconds_does_not_stand_any_more(tmp_path: Path) -> None:
    stand(tmp_path, 1, "usdcop_workers", 1, age=9)
    stand(tmp_path, 2, "usdcop_workers", 1, age=11)
    stand(tmp_path, 2, "usdcop_cache_degraded", 1, age=11)
    assert samples_of(told(tmp_path)) == {("usdcop_workers", ()): 1}


def test_readings_of_one_gauge_are_together_whatever_came_between_them() -> None:
    used, status = Gauge("used", "Share", ("limit",)), Gauge("status", "1 for it", ("status",))
    readings = [used.reads(0.5, "trades"), status.reads(1, 'a "b"'), used.reads(True, "losses")]
    assert "".join(standing_text(readings)) == (
        "# HELP used Share\n# TYPE used gauge\n"
        'used{limit="trades"} 0.5\nused{limit="losses"} 1.0\n'
        "# HELP status 1 for it\n# TYPE status gauge\n"
        'status{status="a \\"b\\""} 1.0\n'
    )
