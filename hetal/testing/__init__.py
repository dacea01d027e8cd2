"""Conformance tests of a user's own parts: `check_strategy(MyStrategy())`, `check_noise(my_noise)`."""

from hetal.testing.noise import check_noise
from hetal.testing.strategy import check_strategy

__all__ = ["check_noise", "check_strategy"]
