"""What a file says about itself and what somebody declares about it must not contradict."""

from collections.abc import Mapping

from errors import ModelMismatch
from runners.metadata import METADATA_KEYS, ModelMetadata

__all__ = ["reconcile"]


def reconcile(
    in_file: Mapping[str, str], declared: Mapping[str, str], *, declared_by: str
) -> ModelMetadata:
    """Complete a file's metadata by what was declared, or the other way round.

    Args:
        in_file: the ONNX file's own flat map; keys of other producers are ignored.
        declared: keys and values from elsewhere.
        declared_by: where they are from, for the message.

    Raises:
        ModelMismatch: both name a key and disagree, or together they are incomplete.

    >>> from_file = {"algorithm": "DQN", "output": "q_values", "observation_dim": "45"}
    >>> reconcile(from_file, {"actions": "HOLD,BUY,SELL"}, declared_by="--actions").columns
    (2, 0, 1)
    """
    by_file = ModelMetadata.from_mapping({**declared, **in_file}).to_mapping()
    by_declaration = ModelMetadata.from_mapping({**in_file, **declared}).to_mapping()
    for key in METADATA_KEYS:
        if key in in_file and key in declared and by_file.get(key) != by_declaration.get(key):
            raise ModelMismatch(
                f"{key} is {by_file.get(key)!r} in the file and {by_declaration.get(key)!r} in "
                f"{declared_by}; they must be the same"
            )
    return ModelMetadata.from_mapping(by_declaration)
