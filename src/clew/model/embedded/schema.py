"""JSON schemas cut down to what the grammar engine certainly compiles.

The engine drops a schema it can't compile without a word and lets the model write anything. So only a
known subset of keywords is passed on, and what the model wrote is checked by the caller all the same.

References are written out, so a small schema can grow without end: there is a budget of parts. Even
within it the work is too long for an event loop.
"""

from collections.abc import Sequence
from typing import Any

from clew.core.options import Json

# Compact output, whatever the model would like: free white space is where small models get lost.
COMPACT: Json = {"x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}}

_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_DEPTHS = (8, 6, 4, 3, 2)
_DEEPEST = _DEPTHS[0]
_MOST_PARTS = 5000
_PART_CHARACTERS = 100  # a longer name or value counts as several parts
_LONGEST_STRING = 400
_LONGEST_ARRAY = 16
_LARGEST_NUMBER = 10**12


class TooManyPartsError(Exception):
    """Schemas that are too large for a grammar; in words."""


class _BudgetSpentError(Exception):
    """There are more parts than the budget allows at this depth."""


def simplify(schema: object) -> Json:
    """The same schema, or a more permissive one, in the subset that compiles.

    Strings, arrays and numbers without a bound get a generous one, so that every answer ends.
    References are replaced by what they refer to; below a depth of 8 anything is allowed, and below
    a lesser one if that would be more than 5,000 parts.

    Raises:
        TooManyPartsError: there are more even at a depth of 2.
    """
    return _simplified([schema])[0]


def parameters_of(tools: Sequence[Json]) -> dict[str, Json]:
    """The simplified schemas of function tools' arguments, by name; always of objects.

    All of them share one budget of parts.

    Raises:
        TooManyPartsError: see :func:`simplify`.
    """
    functions = [tool["function"] for tool in tools]
    schemas = _simplified([function.get("parameters") for function in functions])
    return {f["name"]: _of_an_object(schema) for f, schema in zip(functions, schemas, strict=True)}


def _of_an_object(schema: Json) -> Json:
    if schema.get("type") == "object" or "anyOf" in schema:
        return schema
    return {"type": "object", "properties": {}, "additionalProperties": False}


def call_schema(parameters: dict[str, Json]) -> Json:
    """The schema of one call of one of the tools: ``{"name": ..., "arguments": {...}}``."""
    return {"anyOf": [_one_call(name, schema) for name, schema in parameters.items()]} | COMPACT


def _one_call(name: str, parameters: Json) -> Json:
    return {
        "type": "object",
        "properties": {"name": {"const": name}, "arguments": parameters},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _simplified(schemas: Sequence[object]) -> list[Json]:
    """The schemas at the greatest depth at which all of them together keep within the budget."""
    for deepest in _DEPTHS:
        budget = _Budget()
        try:
            return [_Simplifier(_dict(schema), deepest, budget).all() for schema in schemas]
        except _BudgetSpentError:
            continue
    raise TooManyPartsError(
        f"the schemas have more than {_MOST_PARTS:,} parts; the embedded model takes no more"
    )


class _Budget:
    """Counts parts and stops whoever makes too many."""

    def __init__(self) -> None:
        self._left = _MOST_PARTS

    def spend(self, value: object = None) -> None:
        """Count a part, and with it what a literal value holds.

        Raises:
            _BudgetSpentError: that was one too many.
        """
        waiting = [value]
        while waiting:
            value = waiting.pop()
            self._left -= 1 + (len(value) // _PART_CHARACTERS if isinstance(value, str) else 0)
            if self._left < 0:
                raise _BudgetSpentError
            if isinstance(value, dict):
                waiting += value.keys()
                waiting += value.values()
            elif isinstance(value, list):
                waiting += value


class _Simplifier:
    def __init__(self, root: Json, deepest: int, budget: _Budget) -> None:
        self._root, self._deepest, self._budget = root, deepest, budget
        self._resolved: dict[str, object] = {}

    def all(self) -> Json:
        return self.any(self._root, 0)

    def any(self, schema: object, depth: int) -> Json:
        self._budget.spend()
        if not isinstance(schema, dict) or depth > self._deepest:
            return {}
        if "$ref" in schema:
            return self.any(self._resolve(schema["$ref"]), depth + 1)
        if "const" in schema:
            self._budget.spend(schema["const"])
            return {"const": schema["const"]}
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            self._budget.spend(schema["enum"])
            return {"enum": schema["enum"]}
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list) and schema[key]:
                return {"anyOf": [self.any(option, depth + 1) for option in schema[key]]}
        if isinstance(schema.get("allOf"), list):
            schema = self._merge(schema, depth)
        return self._typed(schema, depth)

    def _resolve(self, reference: object) -> object:
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        if reference not in self._resolved:
            self._resolved[reference] = self._found(reference)
        return self._resolved[reference]

    def _found(self, reference: str) -> object:
        found: object = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or name not in found:
                return None
            found = found[name]
        return found

    def _merge(self, schema: Json, depth: int) -> Json:
        """``allOf`` of objects as one object; of anything else the last one counts."""
        merged = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            if isinstance(part, dict) and "$ref" in part and depth < _DEEPEST:
                part = self._resolve(part["$ref"])
            if not isinstance(part, dict):
                continue
            self._budget.spend(list(_dict(part.get("properties"))))
            properties = {**_dict(merged.get("properties")), **_dict(part.get("properties"))}
            required = [*_list(merged.get("required")), *_list(part.get("required"))]
            merged |= part
            if properties:
                merged |= {"properties": properties, "required": required}
        return merged

    def _typed(self, schema: Json, depth: int) -> Json:
        types = _types(schema)
        if not types:
            return {}
        made: Json = {"type": types[0] if len(types) == 1 else types}
        if "object" in types:
            made |= self._object(schema, depth)
        if "array" in types:
            made["items"] = self.any(schema.get("items"), depth + 1) or {"type": _TYPES[2:]}
            made |= _range(schema, "minItems", "maxItems", 0, _LONGEST_ARRAY)
        if "string" in types:
            made |= _range(schema, "minLength", "maxLength", 0, _LONGEST_STRING)
        if "integer" in types or "number" in types:
            made |= _range(schema, "minimum", "maximum", -_LARGEST_NUMBER, _LARGEST_NUMBER)
        return made

    def _object(self, schema: Json, depth: int) -> Json:
        declared = _dict(schema.get("properties"))
        if not declared and "properties" not in schema:
            others = schema.get("additionalProperties")
            return {"additionalProperties": self.any(others, depth + 1) if isinstance(others, dict) else True}
        self._budget.spend(list(declared))
        return {
            "properties": {str(name): self.any(value, depth + 1) for name, value in declared.items()},
            "required": list(dict.fromkeys(n for n in _list(schema.get("required")) if n in declared)),
            "additionalProperties": False,
        }


def _types(schema: Json) -> list[str]:
    declared = schema.get("type")
    types = [name for name in (declared if isinstance(declared, list) else [declared]) if name in _TYPES]
    if not types and declared is None:
        types = ["object"] if "properties" in schema else ["array"] if "items" in schema else []
    if types and schema.get("nullable") is True and "null" not in types:
        types.append("null")
    return types


def _range(schema: Json, low: str, high: str, least: int, most: int) -> Json:
    """The two bounds as declared, if they are sane, and the default upper (and lower) one if not."""
    bounds = {key: schema[key] for key in (low, high) if _is_number(schema.get(key))}
    made: Json = {low: bounds.get(low, min(least, bounds.get(high, least)))}
    made[high] = bounds.get(high, max(most, made[low]))
    if made[low] > made[high]:
        made = {low: least, high: most}
    return made


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _dict(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
