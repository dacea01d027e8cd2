"""Keys, tokens and passwords: refused as settings, and taken out of what is written or shown.

All settings are written down with a run, in several files, and shown on pages that people pass on. So no setting may
be a secret: neither by its name nor because its value is that of an environment variable that holds one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hetal.errors import BadInput

# A name stands for a secret where it ends in one of these words,
ALONE = frozenset({
    "password", "passwd", "passphrase", "passcode", "secret", "secrets", "apikey", "apikeys", "accesskey",
    "secretkey", "privatekey", "accesstoken", "authtoken", "credential", "credentials", "jwt", "bearer",
    "authorization", "auth",
})  # fmt: skip
# in "key" or "keys" after one of these ("key" alone names many a thing),
KEYS = frozenset({
    "access", "account", "admin", "api", "app", "auth", "client", "deploy", "encryption", "host", "hmac",
    "license", "master", "private", "secret", "server", "service", "session", "signing", "ssh", "storage",
    "subscription", "tracker", "user", "wandb",
})  # fmt: skip
# or in "token", unless it is one of a network's or a tokeniser's: those are numbers, flags, or stand after these.
TOKENS = frozenset({
    "bos", "class", "cls", "dist", "distillation", "end", "eos", "image", "mask", "pad", "padding", "patch",
    "per", "pool", "prefix", "query", "register", "sep", "special", "start", "text", "unk",
})  # fmt: skip
# An environment variable holds a secret where any of these words is in its name.
HELD = ALONE | {"key", "token", "tokens", "pwd", "pass"}
SHORTEST = 8  # characters: what is shorter stands in too many texts by chance

INSTEAD = (
    "is a secret, and settings are written down with the run; for W&B set WANDB_API_KEY or run `wandb login`"
)
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# Cheap, and true of every name of a secret.
HINT = re.compile(r"pass|pwd|secret|key|token|credential|jwt|bearer|auth", re.IGNORECASE)
INSIDE = re.compile(r"""([\w./-]+)['"]?\s*:\s*('[^']*'|"[^"]*"|[^,}\]]*)""")
LOGIN = re.compile(r"(\w://[^\s:/@]*):[^\s/@]+@")  # of a URL, after its scheme
NO_TEXT = re.compile(r"|null|none|true|false|[+-]?[\d_]*\.?[\d_]*(e[+-]?\d+)?", re.IGNORECASE)
FLAGS = ("", "null", "none", "true", "false")


def names_secret(name: str, value: str = "x") -> bool:
    """Tell whether a setting of this name and value is a secret.

    Args:
        name: its path, of which the last part counts: "tracker.settings.api_key".
        value: as text; a switch, or nothing, is no secret.
    """
    words = _words(re.split(r"[./]", name)[-1])
    while words and (words[-1].isdigit() or words[-1] in ("value", "string")):
        words.pop()
    if not words or value.lower() in FLAGS:
        return False
    before, last = words[-2] if len(words) > 1 else "", words[-1]
    if last in ("key", "keys"):
        return before in KEYS or (not before and name.lstrip("+~").startswith("tracker."))
    if last == "token":
        return before not in TOKENS and not NO_TEXT.fullmatch(value)
    return last in ALONE or last.endswith(("password", "apikey")) or (last == "pwd" and before != "")


def secret_names(overrides: Iterable[str]) -> list[str]:
    """Return the names of the secrets that arguments of the command line give, however they are spelt.

    Args:
        overrides: "key=value", "{key: value}" within values included; or options such as "--api-key".
    """
    found = []
    for override in overrides:
        if not HINT.search(override):
            continue
        key, equals, value = override.partition("=")
        key = key.strip().lstrip("+~-").split("@")[0]
        given = []
        if equals or override.startswith("--"):
            given.append((key, value.strip(" '\"") if equals else "x"))
        if "{" in value or not equals:
            inside = INSIDE.findall(value or override)
            given += [(f"{key}.{name}", said.strip(" '\"")) for name, said in inside]
        found += [name for name, said in given if names_secret(name, said)]
    return found


def check_arguments(arguments: Sequence[str]) -> None:
    """Refuse secrets on the command line, before anything of it is written or shown.

    Raises:
        BadInput: there is one; names the setting, never the value.
    """
    for name in secret_names(arguments):
        raise BadInput(f"{redacted(name)} {INSTEAD}")
    _check_values((argument.lstrip("+~").split("=", 1)[0], argument) for argument in arguments)


def check_settings(config: object) -> None:
    """Refuse secrets in a config, of whatever file or override they come.

    Args:
        config: plain values.

    Raises:
        BadInput: there is one; names the setting, never the value.
    """
    leaves = [(path, str(value)) for path, value in _leaves(config)]
    for path, value in leaves:
        if names_secret(path, value):
            raise BadInput(f"{redacted(path)} {INSTEAD}")
    _check_values(leaves)


def redacted(text: str) -> str:
    """Return `text` with the values of secret environment variables, and passwords in URLs, replaced by names."""
    for name, value in _held():
        text = text.replace(value, f"<{name}>")
    return LOGIN.sub(r"\1:<password>@", text)


def _check_values(given: Iterable[tuple[str, str]]) -> None:
    held = _held()
    for path, value in given:
        for name, secret in held:
            if secret in value:
                raise BadInput(
                    f"{redacted(path)}: its value is that of the environment's {name}, which {INSTEAD}"
                )
        if LOGIN.search(value):
            raise BadInput(f"{redacted(path)}: a URL in it holds a password, which {INSTEAD}")


def _held() -> list[tuple[str, str]]:
    """Return the environment's secrets by name, the longest first; a path to a secret is none."""
    found = [
        (name, value)
        for name, value in os.environ.items()
        if len(value) >= SHORTEST
        and HINT.search(name)
        and _holds(_words(name))
        and not (value.startswith(("/", "~", ".")) and os.path.exists(os.path.expanduser(value)))
    ]
    return sorted(found, key=lambda pair: -len(pair[1]))


def _holds(words: Sequence[str]) -> bool:
    ends = ("password", "passwd", "secret", "token", "apikey")
    return (len(words) > 1 and not HELD.isdisjoint(words)) or any(word.endswith(ends) for word in words)


def _words(name: str) -> list[str]:
    return [word.lower() for word in WORDS.findall(name)]


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every plain value of a config; what is in a list has the name of the list."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from _leaves(item, path)
    else:
        yield path, node
