"""The Airbyte protocol as its published Python models define it, made strict.

The published models accept unknown fields, so that a platform can read messages of a newer
protocol. A connector has no such excuse: a field the protocol does not know is a spelling
mistake. So the models are loaded a second time, under another name, with that licence removed;
the published ones stay as they are for the client libraries in the same process.
"""

import json
import sys
from types import ModuleType

from airbyte_protocol.models import airbyte_protocol as published

LOOSE = "extra='allow'"
STRICT = "extra='forbid'"
# What a connector keeps in its state is its own affair.
FREE_FORM = "class AirbyteStateBlob(BaseModel):\n    pass\n    model_config = ConfigDict(\n        "

# The part of a message that goes with its type.
PAYLOAD = {
    "RECORD": "record",
    "STATE": "state",
    "LOG": "log",
    "SPEC": "spec",
    "CONNECTION_STATUS": "connectionStatus",
    "CATALOG": "catalog",
    "TRACE": "trace",
    "CONTROL": "control",
}


def _load_strict_models() -> ModuleType:
    with open(published.__file__, encoding="utf-8") as file:
        source = file.read()
    assert FREE_FORM + LOOSE in source, "the published models are no longer written as they were"
    strict = source.replace(LOOSE, STRICT).replace(FREE_FORM + STRICT, FREE_FORM + LOOSE)
    module = ModuleType("strict_airbyte_protocol")
    sys.modules[module.__name__] = module  # pydantic looks forward references up there
    exec(compile(strict, published.__file__, "exec"), module.__dict__)
    return module


_models = _load_strict_models()


def parse(line: str) -> dict:
    """Return the message that the line holds; fail unless it is exactly one valid message."""
    try:
        _models.AirbyteMessage.model_validate_json(line, strict=True)
        message = json.loads(line, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except ValueError as error:
        raise AssertionError(f"not a protocol message: {error}\n{line[:2000]}") from None
    assert set(message) == {"type", PAYLOAD[message["type"]]}, f"parts do not fit: {line[:2000]}"
    return message


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict:
    if len(pairs) != len(dict(pairs)):
        raise ValueError(f"a key stands twice among {[key for key, _ in pairs]}")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
