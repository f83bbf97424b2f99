"""A model store of the benchmarks' own: the variables are set when the module is read."""

from tests.conftest import SESSION_HOME

__all__ = ["SESSION_HOME"]
