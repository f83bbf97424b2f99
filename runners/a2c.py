"""A2C: advantage actor-critic."""

from runners.on_policy import OnPolicyDecoder

__all__ = ["A2cDecoder"]


class A2cDecoder(OnPolicyDecoder):
    """A categorical policy over three actions, or a Gaussian over one; its head is PPO's."""
