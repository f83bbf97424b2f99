"""What runs inside Redis, and the name that Redis gives it."""

import hashlib
from dataclasses import dataclass, field

__all__ = ["Script"]


@dataclass(frozen=True)
class Script:
    """A script and the name that Redis gives it.

    Attributes:
        text: in Lua.
        sha: SHA-1 of the text, hexadecimal.
    """

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False)
        object.__setattr__(self, "sha", digest.hexdigest())
