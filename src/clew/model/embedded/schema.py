"""JSON schemas cut down to what the grammar engine certainly compiles.

The engine drops a schema it can't compile without a word and lets the model write anything. So only a
known subset of keywords is passed on, and what the model wrote is checked by the caller all the same.
"""

from typing import Any

from clew.core.options import Json

# Compact output, whatever the model would like: free white space is where small models get lost.
COMPACT: Json = {"x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}}

_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_DEEPEST = 8
_LONGEST_STRING = 400
_LONGEST_ARRAY = 16
_LARGEST_NUMBER = 10**12


def simplify(schema: object) -> Json:
    """The same schema, or a more permissive one, in the subset that compiles.

    Strings, arrays and numbers without a bound get a generous one, so that every answer ends.
    References are replaced by what they refer to; below a depth of 8 anything is allowed.
    """
    root = schema if isinstance(schema, dict) else {}
    return _Simplifier(root).any(root, 0)


def parameters_of(tool: Json) -> Json:
    """The simplified schema of a function tool's arguments; always one of an object."""
    schema = simplify(tool["function"].get("parameters"))
    if schema.get("type") == "object" or "anyOf" in schema:
        return schema
    return {"type": "object", "properties": {}, "additionalProperties": False}


def call_schema(tools: list[Json]) -> Json:
    """The schema of one call of one of the tools: ``{"name": ..., "arguments": {...}}``."""
    return {"anyOf": [_one_call(tool) for tool in tools]} | COMPACT


def _one_call(tool: Json) -> Json:
    properties = {"name": {"const": tool["function"]["name"]}, "arguments": parameters_of(tool)}
    return {
        "type": "object",
        "properties": properties,
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


class _Simplifier:
    def __init__(self, root: Json) -> None:
        self._root = root

    def any(self, schema: object, depth: int) -> Json:
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return {}
        if "$ref" in schema:
            return self.any(self._resolve(schema["$ref"]), depth + 1)
        if "const" in schema:
            return {"const": schema["const"]}
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return {"enum": schema["enum"]}
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list) and schema[key]:
                return {"anyOf": [self.any(option, depth + 1) for option in schema[key]]}
        if isinstance(schema.get("allOf"), list):
            schema = self._merge(schema, depth)
        return self._typed(schema, depth)

    def _resolve(self, reference: object) -> object:
        found: object = self._root
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
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
