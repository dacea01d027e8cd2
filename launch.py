"""Run one active-learning experiment, or with -m a sweep of them; see README.md."""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from hetal.app.command import command, launch, plainly
from hetal.sweep.jobs import Outcome


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
@plainly
def main(cfg: DictConfig) -> Outcome:
    """Compose, instantiate, run."""
    return launch(cfg)


if __name__ == "__main__":
    command(main, Path(__file__).parent / "conf")
