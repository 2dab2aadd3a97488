"""The published schema of benefits.json (JSON Schema, draft 2020-12), made from its dataclasses.

    python -m hdna.downstream.benefits.schema > hdna/downstream/benefits/benefits.schema.json

Types and ranges are those of `form` and `bodies`, descriptions the sentences below their fields. Every entry is always
there: what is not known is null, or an empty list.
"""

import json
import sys
from importlib.resources import files
from typing import Any

from hdna.config.json_schema import sentences
from hdna.downstream import bootstrap
from hdna.downstream.benefits import bodies, form, task_body
from hdna.storage.untrusted_json import schema_of

FILE_NAME = "benefits.schema.json"
_ESTIMATE = "A figure with its 95 % interval; null where it is not defined."


def benefits_schema() -> dict[str, Any]:
    """The schema as plain values."""
    made = schema_of(form.Benefits)
    for name, definition in made["$defs"].items():
        about = _sentences(name.partition("_")[0])
        for key, value in definition["properties"].items():
            if key in about:
                value["description"] = about[key]
            value.pop("default", None)
        definition |= {"required": list(definition["properties"]), "additionalProperties": False}
    made["$defs"]["Estimate"]["description"] = _ESTIMATE
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "hdna benefit report"}
    return head | made


def schema_text() -> str:
    """The schema as the text of its file."""
    return json.dumps(benefits_schema(), indent=1, ensure_ascii=False) + "\n"


def published() -> str:
    """The text of the file beside this module."""
    return files(__package__).joinpath(FILE_NAME).read_text(encoding="utf-8")


def _sentences(name: str) -> dict[str, str]:
    """The sentence below each field of a class, by the class's name."""
    for module in (form, bodies, task_body, bootstrap):
        if isinstance(found := vars(module).get(name), type):
            return sentences(found)
    raise LookupError(name)


if __name__ == "__main__":
    sys.stdout.write(schema_text())
