"""Keys, tokens and passwords are written nowhere and shown nowhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from hetal.app.launch import resolved
from hetal.errors import BadInput
from hetal.record import provenance
from hetal.record.redact import check_settings, names_secret, redacted, secret_names
from tests.command_line import REPOSITORY, TOY, command, composed, only, options, run_here
from tests.samples import some

KEY = "0123456789abcdef0123456789abcdef01234567"
SECRETS = [
    f"+tracker.settings.api_key={KEY}", f"tracker.settings.api_key={KEY}", f"++tracker.settings.apiKey={KEY}",
    f"+tracker.settings.API_KEY={KEY}", f"+tracker.settings={{api_key: {KEY}}}",
    f"+tracker.settings={{'api_key':'{KEY}'}}",
    f"+tracker.settings.key={KEY}", f"~tracker.settings.api_key={KEY}", f"+tracker.settings.api_key={KEY},{KEY}",
    f"+WANDB_API_KEY={KEY}", f"WANDB_API_KEY={KEY}", f"--api-key={KEY}", f"tracker.settings.api_key:{KEY}",
    f"+data.hf_token={KEY}",
    f"+data.token={KEY}", f"+x=[{{password: {KEY}}}]", "+data.password=12345678", f"+data.db_pwd={KEY}",
    f"+data.PGPASSWORD={KEY}",
    f"+x.client_secret={KEY}", f"+x.api_key2={KEY}", f"hydra.job.env_set.WANDB_API_KEY={KEY}",
    f"+x.authorization='Bearer {KEY}'",
    f"+tracker.settings.api_key={KEY}$%", f"+x.url=https://me:{KEY}@server/", f"root=/tmp/{KEY}",
    "+tracker.settings.api_key='${oc.env:HELD_TOKEN}'", "+tracker.settings.api_key='${oc.env:NOBODY,x}'",
]  # fmt: skip
PLAIN = [
    "model.n_tokens=5", "model.token=0", "+model.cls_token=true", "+model.class_token=token",
    "+model.pad_token='<pad>'",
    "+model.token_dim=64", "+model.use_token=null", "data.key=x_train", "+alg.key=probs", "+alg.n_keys=4",
    "+alg.passes=10",
    "monkey=3", "+x.password=null", "+x.author=me", "+x.tokens=5", "name=key", "tracker.project=token",
    "+x.secretary=3",
    "seed=0", "alg=badge", "hydra/launcher=parallel", "+experiment=paper", "-m", "--cfg", "optimizer.lr=1e-3",
]  # fmt: skip


def leftovers(folder: Path, *secrets: str):
    """Return the files under a folder that hold any of these."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file()
        for s in secrets
        if s.encode() in path.read_bytes()
    ]


@pytest.mark.parametrize("plain", PLAIN)
def test_what_is_no_secret_passes(plain):
    assert secret_names([plain]) == []


@pytest.mark.parametrize(
    "group", ["alg", "data", "model", "noise", "train", "finetune", "start", "tracker", "experiment"]
)
def test_no_setting_of_hetals_own_is_one(group, tmp_path):
    for name in some(options(group)):
        extra = {"npz": ["data.path=x", "n_start=1", "n_query=1", "n_end=2"]}.get(name, [])
        given = f"{'+' if group == 'experiment' else ''}{group}={name}"
        check_settings(resolved(composed(given, *extra, root=tmp_path)))


def test_no_setting_of_wandb_but_its_keys_is_one():
    import wandb

    found = {name for name in wandb.Settings.model_fields if names_secret(f"tracker.settings.{name}")}
    assert found == {"api_key", "azure_account_url_to_access_key"} & set(wandb.Settings.model_fields)


@pytest.mark.parametrize("multirun", [[], ["-m"]], ids=["single", "sweep"])
@pytest.mark.parametrize("given", SECRETS)
def test_a_secret_is_refused_in_one_line_that_does_not_repeat_it(tmp_path, given, multirun):
    done = command(*multirun, *TOY, f"root={tmp_path / 'out'}", given, cwd=tmp_path, env={"HELD_TOKEN": KEY})
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "WANDB_API_KEY or run `wandb login`" in done.stderr
    assert KEY not in done.stderr
    assert "12345678" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("multirun", [[], ["-m", "seed=0,1"]], ids=["single", "sweep"])
def test_a_secret_of_a_config_file_is_refused(tmp_path, multirun):
    (tmp_path / "conf" / "tracker").mkdir(parents=True)
    text = f"defaults: [wandb]\nsettings:\n  api_key: {KEY}\n"
    (tmp_path / "conf" / "tracker" / "mine.yaml").write_text(text)
    done = command(
        "--config-dir", tmp_path / "conf", *multirun, *(o for o in TOY if o != "tracker=none"), "tracker=mine",
        f"root={tmp_path / 'out'}",
    )  # fmt: skip
    assert done.returncode == 1
    assert "tracker.settings.api_key is a secret" in done.stderr
    assert KEY not in done.stdout + done.stderr
    assert not list(tmp_path.glob("out/default"))
    assert leftovers(tmp_path / "out", KEY) == []


@pytest.mark.parametrize(
    "given",
    ["+alg.note='${oc.env:HELD_TOKEN}'", "seed='${oc.env:HELD_TOKEN}'", "name='a-${oc.env:HELD_TOKEN}'"],
)
def test_a_setting_that_takes_its_value_from_a_secret_of_the_environment_is_refused(tmp_path, given):
    for how in ([], ["-m"]):
        done = command(*how, *TOY, given, f"root={tmp_path / 'out'}", env={"HELD_TOKEN": KEY})
        assert done.returncode == 1
        assert "the environment's HELD_TOKEN" in done.stderr
        assert KEY not in done.stdout + done.stderr
        assert leftovers(tmp_path, KEY) == []


def test_an_error_with_a_secret_in_it_is_told_without(tmp_path):
    given = ["n_start='${oc.decode:\"[${oc.env:HELD_TOKEN}\"}'"]
    for how in ([], ["-m"]):
        done = command(*how, *TOY, *given, f"root={tmp_path / 'out'}", env={"HELD_TOKEN": KEY})
        assert done.returncode == 1
        assert KEY not in done.stdout + done.stderr
        assert leftovers(tmp_path, KEY) == []


def test_a_run_with_a_key_in_its_environment_leaves_it_nowhere(tmp_path):
    env = {"WANDB_API_KEY": KEY, "HELD_TOKEN": KEY[::-1]}
    given = [o for o in TOY if o != "tracker=none"]
    done = command(*given, f"root={tmp_path}", env=env, fresh=True)
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stdout + done.stderr
    assert list(only(tmp_path).glob("wandb/offline-run-*"))
    assert leftovers(tmp_path, *env.values()) == []


def test_what_wandb_says_is_told_without_secrets(monkeypatch, tmp_path):
    import wandb

    def refuse(**_):
        raise RuntimeError(f"proxy http://me:pa55word@proxy:1 refused the key {KEY}")

    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(BadInput) as told:
        run_here(*(o for o in TOY if o != "tracker=none"), root=tmp_path)
    assert "proxy http://me:<password>@proxy:1 refused the key <WANDB_API_KEY>" in str(told.value)
    assert KEY not in str(told.value)


def test_uncommitted_changes_are_recorded_without_secrets(monkeypatch):
    monkeypatch.setenv("HELD_TOKEN", KEY)
    monkeypatch.setenv("SHORT_KEY", "abc")
    monkeypatch.setenv("PATH_TO_KEY", os.getcwd())
    done = subprocess.CompletedProcess([], 0, f"+key = '{KEY}' abc {os.getcwd()}\n".encode())
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    monkeypatch.setattr(Path, "exists", lambda path: True)
    assert provenance._git("diff") == f"+key = '<HELD_TOKEN>' abc {os.getcwd()}"


def test_redaction_leaves_other_texts_alone(monkeypatch):
    monkeypatch.setenv("MONKEY", "badge and random")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "disabled-here")
    monkeypatch.setenv("PWD", "/tmp-of-nobody")
    text = "badge and random disabled-here /tmp-of-nobody https://host:80/a@b user@host"
    assert redacted(text) == text


def test_older_records_with_secrets_are_reported_without(tmp_path):
    run_here(*TOY, "alg=random", "name=study", root=tmp_path)
    folder = only(tmp_path)
    overrides = folder / ".hydra" / "overrides.yaml"
    overrides.write_text(overrides.read_text() + f"- +tracker.settings.api_key={KEY}\n")
    config = OmegaConf.load(folder / ".hydra" / "config.yaml")
    config.tracker.settings = {"api_key": KEY}
    OmegaConf.save(config, folder / ".hydra" / "config.yaml")
    (folder / "summary.json").unlink()  # so that the page has its command
    line = [sys.executable, "-m", "hetal.report", str(tmp_path / "study")]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "python launch.py" in (tmp_path / "study" / "report" / "missing.csv").read_text()
    assert leftovers(tmp_path / "study" / "report", KEY) == []
