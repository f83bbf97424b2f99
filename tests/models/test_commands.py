from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.models import models
from config.settings import Settings
from errors import Conflict, InvalidRequest, ModelMismatch, ModelNotFound, ServiceError
from models.store import BentoModelStore
from tests.models.fakes import FixedContext
from tests.runners.graphs import linear_graph, metadata_of

OLD = linear_graph("probabilities")
NEW = linear_graph("probabilities", metadata=metadata_of("probabilities", actions="HOLD,BUY,SELL"))


def context_with(**source: str) -> FixedContext:
    model = {"name": "ppo", "algorithm": "PPO", **(source or {"tag": "ppo"})}
    return FixedContext(Settings.model_validate({"models": [model]}))


@pytest.fixture
def context() -> FixedContext:
    return context_with()


@pytest.fixture
def files(tmp_path: Path, store: BentoModelStore) -> tuple[Path, Path]:
    assert store.all() == ()
    old, new = tmp_path / "old.onnx", tmp_path / "new.onnx"
    old.write_bytes(OLD)
    new.write_bytes(NEW)
    return old, new


def run(context: FixedContext, *arguments: object) -> Result:
    result = CliRunner().invoke(models, [str(argument) for argument in arguments], obj=context)
    if isinstance(result.exception, ServiceError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def register_both(context: FixedContext, files: tuple[Path, Path]) -> tuple[str, str]:
    for file in files:
        run(context, "register", file, "--name", "ppo")
    new, old = (stored.version for stored in BentoModelStore().versions("ppo"))
    return old, new


def test_register_takes_the_file_s_own_name_and_metadata(
    context: FixedContext, files: tuple[Path, Path]
) -> None:
    result = run(context, "register", files[0])
    (stored,) = BentoModelStore().all()
    assert stored.name == "old"
    assert stored.tag in result.output
    assert stored.sha256 in result.output


def test_register_takes_what_a_bare_file_does_not_say(
    context: FixedContext, tmp_path: Path, store: BentoModelStore
) -> None:
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(linear_graph("q_values", metadata={}))
    options = ["--algorithm", "DQN", "--output", "q_values", "--observation-dim", 4]
    with pytest.raises(ModelMismatch, match="'actions' is missing"):
        run(context, "register", bare, *options)
    run(context, "register", bare, *options, "--actions", "BUY,HOLD,SELL", "--temperature", "0.5")
    assert store.all()[0].metadata.to_mapping() == {
        "algorithm": "DQN",
        "output": "q_values",
        "observation_dim": "4",
        "actions": "BUY,HOLD,SELL",
        "temperature": "0.5",
    }


def test_register_refuses_options_that_contradict_the_file(
    context: FixedContext, files: tuple[Path, Path]
) -> None:
    with pytest.raises(ModelMismatch, match=r"old\.onnx: actions is 'SELL,HOLD,BUY' in the file"):
        run(context, "register", files[0], "--actions", "BUY,HOLD,SELL")
    assert BentoModelStore().all() == ()


def test_list_shows_which_version_is_live(context: FixedContext, files: tuple[Path, Path]) -> None:
    old, new = register_both(context, files)
    before = {
        line.split()[1]: line for line in run(context, "list").output.splitlines() if "PPO" in line
    }
    assert ("live" in before[new], "live" in before[old]) == (True, False)
    run(context, "promote", "ppo", old, "--reason", "the new one is worse")
    after = {
        line.split()[1]: line for line in run(context, "list").output.splitlines() if "PPO" in line
    }
    assert ("live" in after[new], "live" in after[old]) == (False, True)


def test_show_tells_what_a_version_is_and_who_promoted_it(
    context: FixedContext, files: tuple[Path, Path]
) -> None:
    old, _ = register_both(context, files)
    run(context, "promote", "ppo", old, "--reason", "passed the replay")
    output = run(context, "show", f"ppo:{old}").output
    for expected in (
        "SELL,HOLD,BUY",
        BentoModelStore().get("ppo", old).sha256,
        "passed the replay",
    ):
        assert expected in output


def test_promote_puts_who_and_why_on_record(
    context: FixedContext, files: tuple[Path, Path]
) -> None:
    old, _ = register_both(context, files)
    run(context, "promote", "ppo", old, "--reason", "passed the replay")
    (act,) = context.record.acts
    assert (act.name, act.version, act.reason) == ("ppo", old, "passed the replay")
    assert act.actor.startswith("cli:")


def test_promote_refuses_a_version_that_is_not_in_the_store(
    context: FixedContext, files: tuple[Path, Path]
) -> None:
    register_both(context, files)
    with pytest.raises(ModelNotFound, match="ppo:absent"):
        run(context, "promote", "ppo", "absent", "--reason", "typo")
    assert context.record.acts == []


def test_promote_refuses_what_the_configuration_would_contradict(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    by_file = context_with(onnx_path=str(tmp_path / "old.onnx"))
    old, new = register_both(by_file, files)
    for context in (by_file, context_with(tag=f"ppo:{old}")):
        with pytest.raises(ModelMismatch, match=f"fixes ppo to version {old}"):
            run(context, "promote", "ppo", new, "--reason", "newer")
        assert context.record.acts == []


def test_rollback_makes_the_version_before_live_again(
    context: FixedContext, files: tuple[Path, Path]
) -> None:
    old, new = register_both(context, files)
    run(context, "promote", "ppo", old, "--reason", "first")
    run(context, "promote", "ppo", new, "--reason", "second")
    run(context, "rollback", "ppo", "--reason", "losing")
    assert context.record.current() == {"ppo": old}
    assert [act.reason for act in context.record.acts] == ["first", "second", "losing"]


def test_the_first_promotion_rolls_back_to_what_was_served_without_one(
    context: FixedContext, files: tuple[Path, Path]
) -> None:
    old, new = register_both(context, files)
    context.record.started.append(("ppo", old))
    run(context, "promote", "ppo", new, "--reason", "first")
    run(context, "rollback", "ppo", "--reason", "losing")
    assert context.record.current() == {"ppo": old}


def test_a_version_that_went_live_by_being_the_newest_can_be_rolled_back(
    context: FixedContext, files: tuple[Path, Path]
) -> None:
    old, new = register_both(context, files)
    context.record.started += [("ppo", old), ("ppo", new)]
    run(context, "rollback", "ppo", "--reason", "losing")
    assert context.record.current() == {"ppo": old}


def test_a_promotion_needs_a_reason_in_words(
    context: FixedContext, files: tuple[Path, Path]
) -> None:
    old, _ = register_both(context, files)
    with pytest.raises(InvalidRequest, match="reason"):
        run(context, "promote", "ppo", old, "--reason", " ")
    assert context.record.acts == []


def test_where_there_is_no_record_nothing_is_removed_without_force(
    context: FixedContext, files: tuple[Path, Path]
) -> None:
    old, _ = register_both(context, files)
    context.record.absence = "there is no ledger at var/state.db yet"
    with pytest.raises(Conflict, match="not known here"):
        run(context, "remove", f"ppo:{old}")
    assert "no ledger at var/state.db" in run(context, "list").stderr
    run(context, "remove", f"ppo:{old}", "--force")
    assert len(BentoModelStore().versions("ppo")) == 1


def test_rollback_needs_something_to_go_back_to(
    context: FixedContext, files: tuple[Path, Path]
) -> None:
    register_both(context, files)
    with pytest.raises(Conflict, match="never served"):
        run(context, "rollback", "ppo", "--reason", "losing")


def test_the_live_version_is_not_removed_without_force(
    context: FixedContext, files: tuple[Path, Path]
) -> None:
    _, new = register_both(context, files)
    with pytest.raises(Conflict, match="is live"):
        run(context, "remove", f"ppo:{new}")
    run(context, "remove", f"ppo:{new}", "--force")
    assert len(BentoModelStore().versions("ppo")) == 1


def test_a_version_on_record_is_not_removed_without_force(
    context: FixedContext, files: tuple[Path, Path]
) -> None:
    old, _ = register_both(context, files)
    context.record.named.add(("ppo", old))
    with pytest.raises(Conflict, match="named on record"):
        run(context, "remove", f"ppo:{old}")
    run(context, "remove", f"ppo:{old}", "--force")
    assert [stored.version == old for stored in BentoModelStore().versions("ppo")] == [False]


def test_an_idle_version_is_removed(context: FixedContext, files: tuple[Path, Path]) -> None:
    old, new = register_both(context, files)
    run(context, "remove", f"ppo:{old}")
    assert [stored.version for stored in BentoModelStore().versions("ppo")] == [new]


@pytest.mark.parametrize("command", ["show", "remove"])
@pytest.mark.parametrize("tag", ["ppo", "ppo:", ":abc"])
def test_a_tag_without_a_version_is_a_usage_error(
    context: FixedContext, store: BentoModelStore, command: str, tag: str
) -> None:
    assert store.all() == ()
    result = CliRunner().invoke(models, [command, tag], obj=context)
    assert result.exit_code == 2
    assert "NAME:VERSION" in result.output
