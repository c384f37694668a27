"""What is not to be shown to others: values of settings named key, token, password and such."""

import re
from typing import Any

__all__ = ["is_secret", "masked"]

_MASK = "***"
_SECRET = re.compile(
    r"(^|[_.-])(api)?(key|token|pwd|pass|auth|credential)s?$"
    r"|passw(or)?d|pass_?(phrase|code)|secret|api_?key|access_?(key|token)|authorization",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WHOLE = re.compile(r"(-{0,2}([\w.-]+)\+?=)(.+)", re.DOTALL)
# A name, a sign, and a value: in quotes, or up to what ends it in JSON, YAML or an address.
_PAIR = re.compile(
    r"""(?<![\w.-])(?P<name>[\w.-]+)(?P<quote>["']?)(?P<sign>\s*(?:\+?=|:)\s*)"""
    r"""(?P<value>"[^"]*"|'[^']*'|(?:(?:Basic|Bearer)\s+)?[^\s"',;&}\])]+)""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer)\s+[^\s\"',]+", re.IGNORECASE)
# Up to the last @ that can belong to it: people's passwords hold / and @ too.
_IN_ADDRESS = re.compile(r"(\b\w+://[^\s:/@]*:)[^\s\"']+@")
_ALONE_IN_ADDRESS = re.compile(r"(https?://)[^\s:/@\"']+@", re.IGNORECASE)
# In a sentence these are words like others: "unknown key: lr".
_PLAIN = re.compile(r"(keys?|tokens?|pass|auth)", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether a setting of this name is not to be shown: key, apiKey, token, password and such."""
    return bool(_SECRET.search(_CAMEL.sub("_", name)))


def masked(value: Any, name: str = "") -> Any:
    """A copy of settings, of a command line or of a message without secrets.

    Hidden are values of such names (`is_secret`), in mappings, after ``--name`` and within texts,
    and passwords within addresses.

    Args:
        value: Mappings, lists, texts and numbers.
        name: Its own name.
    """
    if value is not None and value != "" and is_secret(name):
        return _MASK
    if isinstance(value, dict):
        return {key: masked(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        before = ["", *value]
        return [
            masked(item, option[2:] if _is_option(option) else "")
            for item, option in zip(value, before, strict=False)
        ]
    return _masked_text(value) if isinstance(value, str) else value


def _is_option(item: Any) -> bool:
    return isinstance(item, str) and item.startswith("--") and "=" not in item


def _masked_text(text: str) -> str:
    if (whole := _WHOLE.fullmatch(text)) and is_secret(whole[2]):
        return f"{whole[1]}{_MASK}"
    if "://" in text:
        text = _IN_ADDRESS.sub(rf"\1{_MASK}@", text)
        text = _ALONE_IN_ADDRESS.sub(rf"\1{_MASK}@", text)
    text, at = _BEARER.sub(rf"\1 {_MASK}", text), 0
    while found := _PAIR.search(text, at):
        at, end = found.span("value")
        name, in_prose = found["name"], ":" in found["sign"] and not found["quote"]
        if is_secret(name) and not (in_prose and _PLAIN.fullmatch(name)):
            quote = text[at] if text[at] in "\"'" else ""
            text = f"{text[:at]}{quote}{_MASK}{quote}{text[end:]}"
            at += len(_MASK)
    return text
