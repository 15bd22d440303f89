"""Values as TOML, which the standard library only reads."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def text(document: Mapping[str, Any]) -> str:
    """A document: a line per key, tables in one line; keys whose value is None are left out."""
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in document.items() if value is not None)


def _key(key: str) -> str:
    # A basic string is written as JSON writes it.
    return key if key.isascii() and key.replace("_", "a").replace("-", "a").isalnum() else _string(key)


def _string(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return repr(value)
        case str():
            return _string(value)
        case Mapping():
            pairs = ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None)
            return f"{{ {pairs} }}"
        case Sequence() | np.ndarray():
            return f"[{', '.join(map(_value, value))}]"
    raise TypeError(f"expected a number, text, list or mapping, found {type(value).__name__}")
