"""PPO: proximal policy optimisation."""

from runners.on_policy import OnPolicyDecoder

__all__ = ["PpoDecoder"]


class PpoDecoder(OnPolicyDecoder):
    """A categorical policy over three actions, or a Gaussian over one."""
