"""Bodies that are made to cost, of about so many bytes each."""

import json
from collections.abc import Callable

NASTY: dict[str, Callable[[int], bytes]] = {
    "quotes": lambda size: b'"' * size,
    "open texts": lambda size: b'{"a":"' + b'\\"' * (size // 2),
    "backslashes": lambda size: b'{"a":"' + b"\\" * size,
    "empty objects": lambda size: b'{"messages":[' + b"{}," * (size // 3) + b"{}]}",
    "numbers": lambda size: b'{"metadata":{"a":[' + b"1," * (size // 2) + b"1]}}",
    "many names": lambda size: b"{" + b",".join(b'"k%d":1' % number for number in range(size // 12)) + b"}",
    "one name": lambda size: b'{"' + b"x" * size + b'":1}',
    "white space": lambda size: b" " * size,
    "brackets": lambda size: b"[" * size,
    "pairs": lambda size: b"[]" * (size // 2),
    "a digit": lambda size: b'{"a":' + b"9" * size + b"}",
    "messages": lambda size: json.dumps(
        {"messages": [{"role": "user", "content": "x"}] * (size // 34)}
    ).encode(),
    "parts": lambda size: json.dumps(
        {"role": "user", "content": [{"type": "text", "text": "x"}] * (size // 31)}
    ).encode(),
    "a schema": lambda size: json.dumps(
        {
            "model": "scripted",
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "f",
                        "parameters": {f"p{number}": {"type": "string"} for number in range(size // 30)},
                    },
                }
            ],
        }
    ).encode(),
}
