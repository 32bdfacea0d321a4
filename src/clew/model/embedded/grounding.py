"""Whether a call that a small model wrote has anything to do with the conversation."""

import re

from clew.core.options import Json

_WORD = re.compile(r"\w+")
_STEM = 4  # letters that two forms of a word share: Lisbon, Lisboa


def is_grounded(arguments: Json, parameters: Json, conversation: str) -> bool:
    """Whether an argument shares a word with the conversation.

    ``parameters`` is the simplified schema of the arguments. Arguments whose values the tool itself lists,
    truth values and empty ones say nothing either way; a call with no other arguments counts as grounded.
    """
    properties = parameters.get("properties", {})
    said = _words(conversation)
    stems = {word[:_STEM] for word in said if word.isalpha() and len(word) >= _STEM}
    telling = False
    for name, value in arguments.items():
        if {"enum", "const"} & properties.get(name, {}).keys():
            continue
        words = _words(flatten(value))
        telling = telling or bool(words)
        if words & said or any(
            word[:_STEM] in stems for word in words if word.isalpha() and len(word) >= _STEM
        ):
            return True
    return not telling


def flatten(value: object) -> str:
    """Every string and number in a JSON value, separated by spaces."""
    if isinstance(value, dict):
        return " ".join(flatten(part) for part in value.values())
    if isinstance(value, list):
        return " ".join(flatten(part) for part in value)
    if isinstance(value, bool) or value is None:
        return ""
    return str(value)


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}
