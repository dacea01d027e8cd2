"""One schema of settings: configs, the help page and README say what it says."""

import re

import pytest

from hetal.record.identity import identify
from hetal.record.settings import CHANGES_NOTHING, GROUPS, PLAIN, SETTINGS, table_of
from tests.command_line import CONF, TOY, command, composed, options
from tests.processes import REPOSITORY

NAMES = [setting.name for setting in SETTINGS]


def test_every_setting_of_a_run_is_in_the_schema(tmp_path):
    assert {*composed(*TOY, root=tmp_path)} == {*NAMES}


def test_every_group_is_a_folder_of_options():
    folders = {path.name for path in CONF.iterdir() if path.is_dir()}
    assert folders - {"hydra", "experiment"} == {*GROUPS}


def test_the_comments_of_the_main_config_are_the_schemas():
    lines = (CONF / "config.yaml").read_text().splitlines()
    comments = dict(
        re.findall(r"^(\w+): \S+  # (.+)$", line)[0] for line in lines if re.match(r"^\w+: \S+  #", line)
    )
    assert comments == {setting.name: setting.help for setting in SETTINGS if setting.name in PLAIN}


def test_readme_or_its_page_of_settings_names_every_setting_and_option():
    tables = [
        path for path in (REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")) if path.exists()
    ]
    rows = [line for path in tables for line in path.read_text().splitlines() if line.startswith("| `")]
    first = {name for row in rows for name in re.findall(r"`([\w.]+)`", row.split("|")[1])}
    assert {*NAMES} <= first
    for group in set(GROUPS):
        named = [{*re.findall(r"`([\w.]+)`", row)} for row in rows if row.startswith(f"| `{group}` |")]
        assert any({*options(group)} <= names for names in named), group


OTHERS = {
    "mult": {"factor": 3}, "tracker": {"_target_": "hetal.watch.NullTracker"}, "n_end": 10**6, "device": "cuda",
    "jobs_per_gpu": 7, "name": "other", "root": "elsewhere", "force": True, "dry_run": True, "keep_network": True,
    "profile": True, "fail_fast": True,
    "measures": {"mine": {"_target_": "my.measure"}}, "data.root": "x", "data.name": "mine", "data.download": False,
    "noise.name": "mine", "alg.name": "mine", "train.checkpoint_minutes": 3,
}  # fmt: skip


def test_only_settings_that_can_change_a_result_identify_a_run(tmp_path):
    from omegaconf import OmegaConf

    config = OmegaConf.to_container(composed("data=fashion_mnist", root=tmp_path), resolve=True)
    choices = {"alg": "a", "data": "d", "noise": "n", "model": "m"}
    before = identify(config, choices).hash
    assert {*OTHERS} == {*CHANGES_NOTHING}
    for name, value in OTHERS.items():
        changed = OmegaConf.create(config)
        OmegaConf.update(changed, name, value, merge=False)
        assert changed != config
        assert identify(OmegaConf.to_container(changed), choices).hash == before, name
    for name in ("n_start", "n_query", "seed", "threads"):
        assert identify({**config, name: config[name] + 1}, choices).hash != before


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_help_is_one_short_line(setting):
    assert "\n" not in setting.help
    assert len(setting.help) <= 80


def test_the_help_page_is_made_of_the_schema():
    page = command("--help").stdout
    assert table_of(setting for setting in SETTINGS if setting.name in PLAIN) in page
    assert all(f"\n{group}: " in page for group in GROUPS)
