"""`hetal.run`: one run from Python, with the record that the same words leave on the command line."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import env_override
from hydra.types import RunMode
from hydra.version import VersionBase, setbase
from omegaconf import DictConfig, open_dict

from hetal.app.launch import launch, resolved
from hetal.app.messages import answer
from hetal.errors import BadInput, Stopped
from hetal.machine.installation import CONF
from hetal.machine.process import new_process_settings
from hetal.record.redact import check_arguments, check_settings, redacted
from hetal.sweep.callback import check_hydra
from hetal.sweep.jobs import JobResult, failure_reason
from hetal.sweep.overrides import as_options


@dataclass(frozen=True)
class Result:
    """What a run came to.

    Attributes:
        folder: its record, for `hetal.load`.
        summary: what summary.json holds: `area_under_curve`, `final_accuracy`, `queried_clean_share` and others; empty
            after a dry run.
        state: "done"; "skipped" where it was finished already; after a dry run "to run" or "to continue".
    """

    folder: Path
    summary: Mapping[str, Any]
    state: str


def run(*overrides: str, config_dir: str | os.PathLike[str] | None = None) -> Result:
    """Run one experiment, or what is missing of it, as the command `hetal` with the same words does.

    It leaves the same record in the same folder, goes on where a run was interrupted, and skips what is finished.
    Settings of the process, torch's and Hydra's, are those of a new process meanwhile, and then what they were. One run
    goes on at a time in a process: those of other threads wait for it.

    Args:
        overrides: words of the command line, such as "alg=lhd", "seed=3"; no options and no sweeps.
        config_dir: a folder of your own configs, as --config-dir.

    Raises:
        BadInput: in one line, what the command would say and end with status 1; or a run calls this function.
        Stopped: a KeyboardInterrupt, after Ctrl-C at the end of the epoch in progress; all finished rounds are on
            record, and the same call goes on.
    """
    for word in overrides:
        if not isinstance(word, str):
            raise BadInput(f"{word!r}: must be text, 'KEY=VALUE'")
        if word.startswith("-"):
            raise BadInput(f"{word}: hetal.run takes settings, KEY=VALUE, and no options of the command line")
    with _one_at_a_time(), _own_hydra(), new_process_settings():
        try:
            check_arguments(overrides)
            outcome = _run(_composed(as_options(overrides), config_dir))
        except BadInput as error:
            error.args = (redacted(str(error)),)
            raise
        except Stopped as error:
            error.args = ("stopped; the same call goes on",)
            raise
        except SystemExit as error:
            raise BadInput(f"{failure_reason(error)}, and the run is not done") from error
    return Result(outcome.folder, outcome.summary, outcome.state)


def settings_of(
    *overrides: str, config_dir: str | os.PathLike[str] | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the checked settings of the run that `run` would start, and the option that each config group has.

    Args:
        overrides: as those of `run`.
        config_dir: as that of `run`.

    Raises:
        BadInput: in one line, what the command would say.
    """
    from hetal.app.compose import check_config

    with _one_at_a_time(), _own_hydra():
        check_arguments(overrides)
        cfg = _composed(as_options(overrides), config_dir)
        HydraConfig.instance().set_config(cfg)
        choices = {str(group): str(option) for group, option in cfg.hydra.runtime.choices.items()}
        with open_dict(cfg):
            del cfg["hydra"]
        config = resolved(cfg, choices)
    check_settings(config)
    check_config(config, choices)
    return config, choices


def _composed(overrides: Sequence[str], config_dir: str | os.PathLike[str] | None) -> DictConfig:
    """Return the config of a command line, Hydra's own settings included.

    Raises:
        BadInput: Hydra refuses it.
    """
    setbase("1.3")
    path = create_config_search_path(str(CONF))
    words = list(overrides)
    if config_dir is not None:
        own = os.path.abspath(os.path.expanduser(config_dir))
        if not os.path.isdir(own):
            raise BadInput(f"config_dir={own}: there is no such folder")
        path.prepend("command-line", f"file://{own}", SearchPathQuery(provider="schema"))
        words = ["--config-dir", own, *overrides]
    try:
        cfg = Hydra.create_main_hydra2("launch", path).compose_config("config", list(overrides), RunMode.RUN)
    except Exception as error:
        GlobalHydra.instance().clear()
        if (text := answer(error, words, CONF)) is None:
            raise
        # There is no -m here.
        raise BadInput(
            text.replace("values need -m, which runs each", "values, where one is taken")
        ) from None
    check_hydra(cfg)
    if cfg.hydra.mode not in (None, RunMode.RUN):
        raise BadInput(f"hydra.mode={cfg.hydra.mode.name}: hetal.run runs one experiment; call it for each")
    return cfg


def _run(cfg: DictConfig) -> JobResult:
    cfg.hydra.mode = RunMode.RUN
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        environment = cfg.pop("hydra").job.env_set
    with env_override(environment):
        return launch(cfg)


_turn = threading.Lock()
_running: int | None = None  # the thread that has it


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Wait for the runs of other threads: all of them share torch's settings, its random state and Hydra's."""
    global _running
    if _running == threading.get_ident():
        raise BadInput("hetal.run was called within a run; call it after that run")
    with _turn:
        _running = threading.get_ident()
        try:
            yield
        finally:
            _running = None


@contextmanager
def _own_hydra() -> Iterator[None]:
    """Begin with none of Hydra's global state, and put back what there was."""
    before = GlobalHydra.instance().hydra, HydraConfig.instance().cfg, VersionBase.instance().version_base
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        # Asked for again, since Hydra itself replaces the first of them where it restores it.
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg, VersionBase.instance().version_base = before
