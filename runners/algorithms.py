"""Which decoder reads which algorithm. A new algorithm is one file and one line here."""

from collections.abc import Mapping
from types import MappingProxyType

from config.settings import Algorithm
from runners.a2c import A2cDecoder
from runners.classifier import ClassifierDecoder
from runners.decoder import Decoder
from runners.dqn import DqnDecoder
from runners.ppo import PpoDecoder
from runners.sac import SacDecoder
from runners.td3 import Td3Decoder

__all__ = ["DECODERS"]

DECODERS: Mapping[Algorithm, Decoder] = MappingProxyType(
    {
        Algorithm.PPO: PpoDecoder(),
        Algorithm.A2C: A2cDecoder(),
        Algorithm.SAC: SacDecoder(),
        Algorithm.TD3: Td3Decoder(),
        Algorithm.DQN: DqnDecoder(),
        Algorithm.CLASSIFIER: ClassifierDecoder(),
    }
)
