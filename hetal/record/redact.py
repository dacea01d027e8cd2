"""Secrets (keys, tokens, passwords): refused as settings, and redacted from what is written or shown.

All settings of a run are stored in its record and shown on pages that people share. So a setting may not be a secret:
neither by its name, nor by containing the value of an environment variable that holds one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hetal.errors import BadInput

# A name is that of a secret if it ends in one of these words,
SECRET_WORDS = frozenset({
    "password", "passwd", "passphrase", "passcode", "secret", "secrets", "apikey", "apikeys", "accesskey",
    "secretkey", "privatekey", "accesstoken", "authtoken", "credential", "credentials", "jwt", "bearer",
    "authorization", "auth",
})  # fmt: skip
# in "key" or "keys" after one of these ("key" alone has many other meanings),
KEY_PREFIXES = frozenset({
    "access", "account", "admin", "api", "app", "auth", "client", "deploy", "encryption", "host", "hmac",
    "license", "master", "private", "secret", "server", "service", "session", "signing", "ssh", "storage",
    "subscription", "tracker", "user", "wandb",
})  # fmt: skip
# or in "token", unless it is a token of a network or a tokeniser: these are numbers, flags, or follow one of these.
MODEL_TOKEN_PREFIXES = frozenset({
    "bos", "class", "cls", "dist", "distillation", "end", "eos", "image", "mask", "pad", "padding", "patch",
    "per", "pool", "prefix", "query", "register", "sep", "special", "start", "text", "unk",
})  # fmt: skip
# An environment variable holds a secret if its name contains one of these words.
VARIABLE_WORDS = SECRET_WORDS | {"key", "token", "tokens", "pwd", "pass"}
MIN_SECRET_LENGTH = 8  # characters; shorter values occur in too many texts by chance

REFUSAL = (
    "is a secret, and settings are written down with the run; for W&B set WANDB_API_KEY or run `wandb login`"
)
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# A cheap first test that matches every name of a secret.
HINT = re.compile(r"pass|pwd|secret|key|token|credential|jwt|bearer|auth", re.IGNORECASE)
NESTED_SETTING = re.compile(r"""([\w./-]+)['"]?\s*:\s*('[^']*'|"[^"]*"|[^,}\]]*)""")
URL_PASSWORD = re.compile(r"(\w://[^\s:/@]*):[^\s/@]+@")  # of a URL, after its scheme
NOT_TEXT = re.compile(r"|null|none|true|false|[+-]?[\d_]*\.?[\d_]*(e[+-]?\d+)?", re.IGNORECASE)
FLAG_VALUES = ("", "null", "none", "true", "false")


def names_secret(name: str, value: str = "x") -> bool:
    """Return whether a setting of this name and value is a secret.

    Args:
        name: its path, such as "tracker.settings.api_key"; the last part counts.
        value: as text; a flag or an empty value is not a secret.
    """
    words = _words(re.split(r"[./]", name)[-1])
    while words and (words[-1].isdigit() or words[-1] in ("value", "string")):
        words.pop()
    if not words or value.lower() in FLAG_VALUES:
        return False
    before, last = words[-2] if len(words) > 1 else "", words[-1]
    if last in ("key", "keys"):
        return before in KEY_PREFIXES or (not before and name.lstrip("+~").startswith("tracker."))
    if last == "token":
        return before not in MODEL_TOKEN_PREFIXES and not NOT_TEXT.fullmatch(value)
    return last in SECRET_WORDS or last.endswith(("password", "apikey")) or (last == "pwd" and before != "")


def secret_names(overrides: Iterable[str]) -> list[str]:
    """Return the names of the secrets that command-line arguments set, in any syntax.

    Args:
        overrides: "key=value", also with "{key: value}" inside the value; or options such as "--api-key".
    """
    names = []
    for override in overrides:
        if not HINT.search(override):
            continue
        key, equals, value = override.partition("=")
        key = key.strip().lstrip("+~-").split("@")[0]
        settings = []
        if equals or override.startswith("--"):
            settings.append((key, value.strip(" '\"") if equals else "x"))
        if "{" in value or not equals:
            inside = NESTED_SETTING.findall(value or override)
            settings += [(f"{key}.{name}", text.strip(" '\"")) for name, text in inside]
        names += [name for name, text in settings if names_secret(name, text)]
    return names


def check_arguments(arguments: Sequence[str]) -> None:
    """Refuse secrets on the command line, before it is written or shown.

    Raises:
        BadInput: there is a secret; names the setting, never the value.
    """
    for name in secret_names(arguments):
        raise BadInput(f"{redacted(name)} {REFUSAL}")
    _check_values((argument.lstrip("+~").split("=", 1)[0], argument) for argument in arguments)


def check_settings(config: object) -> None:
    """Refuse secrets in a config, whatever file or override they come from.

    Args:
        config: plain values.

    Raises:
        BadInput: there is a secret; names the setting, never the value.
    """
    leaves = [(path, str(value)) for path, value in _leaves(config)]
    for path, value in leaves:
        if names_secret(path, value):
            raise BadInput(f"{redacted(path)} {REFUSAL}")
    _check_values(leaves)


def redacted(text: str) -> str:
    """Return `text` with values of secret environment variables and passwords in URLs replaced by placeholders."""
    for name, value in _environment_secrets():
        text = text.replace(value, f"<{name}>")
    return URL_PASSWORD.sub(r"\1:<password>@", text)


def _check_values(settings: Iterable[tuple[str, str]]) -> None:
    secrets = _environment_secrets()
    for path, value in settings:
        for name, secret in secrets:
            if secret in value:
                raise BadInput(
                    f"{redacted(path)}: its value is that of the environment's {name}, which {REFUSAL}"
                )
        if URL_PASSWORD.search(value):
            raise BadInput(f"{redacted(path)}: a URL in it holds a password, which {REFUSAL}")


def _environment_secrets() -> list[tuple[str, str]]:
    """Return names and values of secret environment variables, longest value first; paths to files are left out."""
    secrets = [
        (name, value)
        for name, value in os.environ.items()
        if len(value) >= MIN_SECRET_LENGTH
        and HINT.search(name)
        and _names_environment_secret(_words(name))
        and not (value.startswith(("/", "~", ".")) and os.path.exists(os.path.expanduser(value)))
    ]
    return sorted(secrets, key=lambda pair: -len(pair[1]))


def _names_environment_secret(words: Sequence[str]) -> bool:
    ends = ("password", "passwd", "secret", "token", "apikey")
    return (len(words) > 1 and not VARIABLE_WORDS.isdisjoint(words)) or any(
        word.endswith(ends) for word in words
    )


def _words(name: str) -> list[str]:
    return [word.lower() for word in WORD.findall(name)]


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every plain value of a config with its path; items of a list have the path of the list."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from _leaves(item, path)
    else:
        yield path, node
