"""Imports point inward: the table of the design, read from the code itself."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PACKAGES = (
    "api",
    "commands",
    "config",
    "dashboard",
    "features",
    "models",
    "monitoring",
    "risk",
    "runners",
    "simulation",
    "stores",
)
MODULES = (
    "alerting",
    "answers",
    "application",
    "batch",
    "bootstrap",
    "cli",
    "close_reports",
    "daily",
    "deployment",
    "desk",
    "drift_checks",
    "drift_job",
    "drifting",
    "errors",
    "feeds",
    "judging",
    "ledgers",
    "observation",
    "pipeline",
    "preflight_surroundings",
    "preflights",
    "reading",
    "recomputation",
    "replay",
    "replay_grid",
    "resubmission",
    "schemas",
    "service",
    "standing",
    "together",
    "versions",
)
OURS = {*PACKAGES, *MODULES}
EDGES = {"api", "commands", "cli", "drift_job", "replay", "replay_grid", "service"}

# Files that touch the world; every other file of these packages is pure.
ADAPTERS = {
    "config/document.py",
    "config/load.py",
    "features/files.py",
    "features/redis_cache.py",
    "features/tables.py",
    "models/bundle.py",
    "models/choice.py",
    "models/export.py",
    "models/policies.py",
    "models/resolution.py",
    "models/store.py",
    "models/stored.py",
    "monitoring/drift/redis_records.py",
    "monitoring/drift_report.py",
    "monitoring/evidently_report.py",
    "monitoring/limited_process.py",
    "monitoring/apprise_sender.py",
    "monitoring/heartbeat.py",
    "monitoring/log.py",
    "monitoring/log_lines.py",
    "monitoring/low_priority.py",
    "monitoring/prometheus.py",
    "monitoring/prometheus_metrics.py",
    "monitoring/prometheus_text.py",
    "monitoring/scheduler.py",
    "risk/halt_file.py",
    "risk/ledger/anchor_file.py",
    "risk/ledger/file.py",
    "risk/ledger/redis.py",
    "risk/ledger/redis_checks.py",
    "risk/ledger/sqlite.py",
    "risk/ledger/sqlite_copy.py",
    "risk/ledger/sqlite_reader.py",
    "risk/ledger/sqlite_schema.py",
    "runners/session.py",
    "simulation/files.py",
    "simulation/output.py",
    "simulation/report_page.py",
    "stores/redis_connection.py",
    "stores/redis_documents.py",
    "stores/redis_link.py",
    "stores/sqlite_checkpoints.py",
    "stores/sqlite_connection.py",
    "stores/sqlite_documents.py",
    "stores/sqlite_log.py",
}
# An adapter may be made of several files; what it imports of others is listed with its reason.
ADAPTER_PARTS = {
    "config/load.py": ("config/document.py",),
    "features/redis_cache.py": ("stores/redis_link.py",),
    # bentofile.yaml is read as strictly as the configuration is.
    "models/bundle.py": ("config/document.py",),
    "models/choice.py": ("models/resolution.py", "models/stored.py"),
    # An export is verified through the very session that will serve it.
    "models/export.py": ("runners/session.py",),
    "models/resolution.py": ("models/stored.py",),
    "models/store.py": ("models/stored.py",),
    "monitoring/drift/redis_records.py": ("stores/redis_link.py",),
    "monitoring/prometheus.py": (
        "monitoring/prometheus_metrics.py",
        "monitoring/prometheus_text.py",
    ),
    "monitoring/prometheus_text.py": ("monitoring/prometheus_metrics.py",),
    # The report is made in a process of its own.
    "monitoring/drift_report.py": ("monitoring/limited_process.py",),
    "risk/ledger/file.py": ("stores/sqlite_connection.py",),
    "risk/ledger/redis.py": ("stores/redis_link.py",),
    "risk/ledger/redis_checks.py": ("stores/redis_link.py",),
    "risk/ledger/sqlite.py": (
        "risk/ledger/file.py",
        "stores/sqlite_checkpoints.py",
        "stores/sqlite_connection.py",
        "stores/sqlite_log.py",
        "risk/ledger/sqlite_reader.py",
        "risk/ledger/sqlite_schema.py",
    ),
    "risk/ledger/sqlite_copy.py": (
        "stores/sqlite_connection.py",
        "risk/ledger/sqlite_schema.py",
    ),
    "risk/ledger/sqlite_reader.py": (
        "stores/sqlite_connection.py",
        "risk/ledger/sqlite_schema.py",
    ),
    "risk/ledger/sqlite_schema.py": ("stores/sqlite_connection.py",),
    "stores/redis_documents.py": ("stores/redis_link.py",),
    "stores/redis_link.py": ("stores/redis_connection.py",),
    "stores/sqlite_checkpoints.py": ("stores/sqlite_connection.py",),
    "stores/sqlite_documents.py": ("stores/sqlite_connection.py",),
}
# A command is the bootstrap of one tool: it joins the one adapter that it is about. Settings are
# loaded wherever a program begins.
EDGE_ADAPTERS = {
    "commands/bundle.py": ("models/bundle.py",),
    "commands/export.py": ("models/export.py",),
    "commands/features.py": ("features/tables.py",),
    # The ledger's events as a table.
    "commands/ledger.py": ("features/tables.py",),
    "commands/replay.py": ("simulation/output.py",),
    "commands/replay_inputs.py": (
        "features/files.py",
        "features/tables.py",
        "simulation/files.py",
    ),
    "commands/replay_outputs.py": ("features/tables.py", "simulation/output.py"),
    "commands/series.py": ("features/files.py",),
    "commands/models.py": ("models/resolution.py", "models/store.py", "models/stored.py"),
    # Before there is anything to be joined, the log gets its form.
    "service.py": ("monitoring/log_lines.py",),
    # Each process of a grid writes what it found.
    "replay_grid.py": ("features/tables.py", "simulation/output.py"),
}
# Modules of the world that a pure file may import, for a reason.
PURE_BUT = {
    # perf_counter_ns is the default of an argument.
    "runners/loading.py": {"time"},
    "runners/runner.py": {"time"},
}
PURE_PACKAGES = (
    "config", "features", "models", "monitoring", "risk", "runners", "simulation", "stores",
)  # fmt: skip
# orjson turns values into bytes and back; it opens nothing.
PURE_LIBRARIES = {
    "numpy", "pydantic", "annotated_types", "pydantic_core", "holidays", "scipy", "orjson",
}  # fmt: skip
WORLDLY = {
    "asyncio", "io", "logging", "os", "pathlib", "random", "secrets", "socket", "sqlite3",
    "subprocess", "tempfile", "time", "urllib",
}  # fmt: skip

# One third-party library, one package; the edges' own framework aside.
HOMES = {
    "apprise": {"monitoring"},
    "apscheduler": {"monitoring"},
    "bentoml": {"models", "service"},
    "evidently": {"monitoring"},
    "holidays": {"risk"},
    "onnxruntime": {"runners"},
    "pandas": {"monitoring"},
    "plotly": {"simulation"},
    "prometheus_client": {"monitoring"},
    "pyarrow": {"features"},
    "redis": {"stores"},
    "sqlite3": {"risk", "stores"},
    "stable_baselines3": {"models"},
    "torch": {"models"},
    "yaml": {"config"},
    "click": {"commands", "cli"},
    "rich": {"commands"},
    "fastapi": {"api", "service"},
}


def sources() -> list[Path]:
    found = [ROOT / f"{name}.py" for name in MODULES]
    for package in PACKAGES:
        found += sorted((ROOT / package).rglob("*.py"))
    return found


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def group_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path, *, at_run_time: bool = True) -> Iterator[str]:
    """Modules that a file imports, dotted; those for type checking only are left out."""
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if (
            at_run_time
            and isinstance(node, ast.If)
            and ast.unparse(node.test).endswith("TYPE_CHECKING")
        ):
            skipped.update(child for part in node.body for child in ast.walk(part))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            yield str(node.module)


def roots(path: Path) -> set[str]:
    return {module.split(".")[0] for module in imports(path)}


def adapters_of(path: Path) -> set[str]:
    return {module.replace(".", "/") + ".py" for module in imports(path)} & ADAPTERS


def test_every_file_that_ships_is_looked_at() -> None:
    top = {path.stem for path in ROOT.glob("*.py")}
    assert top == set(MODULES)
    assert len(sources()) > 40
    assert {name for name in ADAPTERS if not (ROOT / name).is_file()} == set()


def test_errors_and_settings_import_none_of_our_code() -> None:
    for name in ("errors.py", "config/settings.py"):
        assert roots(ROOT / name) & OURS == set()


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_a_pure_file_touches_no_world(path: Path) -> None:
    if group_of(path) not in PURE_PACKAGES or name_of(path) in ADAPTERS:
        return
    third_party = {
        root for root in roots(path) if root not in OURS and root not in sys.stdlib_module_names
    }
    assert third_party <= PURE_LIBRARIES
    assert roots(path) & WORLDLY == PURE_BUT.get(name_of(path), set())


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_only_edges_and_bootstrap_know_what_lies_outside_of_them(path: Path) -> None:
    if group_of(path) in EDGES:
        return
    joins = {
        "alerting", "bootstrap", "close_reports", "daily", "drift_checks", "drifting", "feeds",
        "ledgers", "preflight_surroundings", "preflights", "schemas",
    }  # fmt: skip
    outside = EDGES if group_of(path) in joins else {*EDGES, *joins}
    assert roots(path) & outside == set()


def test_the_pipeline_knows_protocols_and_no_adapter() -> None:
    for name in (
        "desk.py",
        "judging.py",
        "pipeline.py",
        "together.py",
        "observation.py",
        "reading.py",
        "batch.py",
        "answers.py",
        "resubmission.py",
        "recomputation.py",
    ):
        modules = set(imports(ROOT / name))
        files = {module.replace(".", "/") + ".py" for module in modules}
        assert files & ADAPTERS == set()
        assert roots(ROOT / name) & {"bentoml", "bootstrap", "sqlite3", "redis"} == set()


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_an_adapter_imports_no_other_adapter(path: Path) -> None:
    if name_of(path) not in ADAPTERS:
        return
    assert adapters_of(path) == set(ADAPTER_PARTS.get(name_of(path), ()))


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_an_edge_reaches_adapters_through_bootstrap(path: Path) -> None:
    if group_of(path) not in EDGES:
        return
    allowed = set(EDGE_ADAPTERS.get(name_of(path), ()))
    assert adapters_of(path) - {"config/load.py"} == allowed


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_edges_reach_no_store_and_no_runtime_directly(path: Path) -> None:
    if group_of(path) not in EDGES:
        return
    assert roots(path) & {"redis", "sqlite3", "onnxruntime", "prometheus_client"} == set()
    if group_of(path) != "service":
        assert "bentoml" not in roots(path)


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_a_library_is_imported_in_its_one_home(path: Path) -> None:
    for root in roots(path):
        if root in HOMES:
            assert group_of(path) in HOMES[root], f"{root} in {name_of(path)}"


def test_no_module_is_called_by_a_name_that_says_nothing() -> None:
    silent = {"utils", "common", "helpers", "core", "manager", "misc"}
    assert {path.stem for path in sources()} & silent == set()


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_public_names_are_declared_and_exist(path: Path) -> None:
    tree = ast.parse(path.read_text())
    declared = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
    ]
    if path.name == "__init__.py":
        return
    assert declared, f"{name_of(path)} declares no __all__"
    defined = {name for node in tree.body for name in _names_defined_by(node)}
    assert set(declared[0]) <= defined


def _names_defined_by(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
    return [
        name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
    ]
