"""The published JSON Schemas of a run's two files.

``python -m harness.exports.schemas`` writes them to ``harness/schemas``, from where they are packaged. The file of a
version describes the runs of that version and of all before it; those of older versions stay.
"""

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import FloatSchema

from harness.cell import METRICS, SCHEMA_VERSION, Measurement, Metric, Model
from harness.manifest import Manifest

FOLDER = Path(__file__).parents[1] / "schemas"

_MODELS: dict[str, tuple[type[Model], str]] = {
    "manifest": (Manifest, "manifest.json of a run directory"),
    "measurement": (Measurement, "A line of measurements.jsonl of a run directory"),
}


DIGEST = {
    "description": "First 16 hexadecimal digits of the SHA-256 of the line without this key, as it was written.",
    "pattern": "^[0-9a-f]{16}$",
    "title": "Digest",
    "type": "string",
}
"""What a line has besides its measurement, from version 4 on."""


def file_names() -> dict[str, str]:
    """Name of the file of this version's schema, by what it describes."""
    return {name: f"{name}-v{SCHEMA_VERSION}.schema.json" for name in _MODELS}


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a manifest or a measurement."""
    model, title = _MODELS[name]
    content = model.model_json_schema(schema_generator=_Generator)
    content["properties"]["schema_version"] |= {"minimum": 1, "maximum": SCHEMA_VERSION}
    if model is Measurement:
        content["properties"]["digest"] = DIGEST
        metrics = content["properties"]["metrics"]
        content["$defs"]["Samples"] = metrics["additionalProperties"]
        metrics["additionalProperties"] = {"$ref": "#/$defs/Samples"}
        metrics["properties"] = {
            name: {"$ref": "#/$defs/Samples", "description": _described(metric)} for name, metric in METRICS.items()
        }
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": f"urn:imaml-bench:{name}:{SCHEMA_VERSION}",
        **content,
        "title": f"{title}, version {SCHEMA_VERSION}",
    }


def published(name: str) -> str:
    """The text of the schema's file."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write this version's files and say which."""
    for name, file in file_names().items():
        (FOLDER / file).write_text(published(name), encoding="utf-8")
        print(FOLDER / file)


def _described(metric: Metric) -> str:
    return metric.meaning if metric.unit == "1" else f"{metric.meaning}; in {metric.unit}"


class _Generator(GenerateJsonSchema):
    def float_schema(self, schema: FloatSchema) -> JsonSchemaValue:
        """A number, or the string that stands for one that is not finite."""
        return {**super().float_schema(schema), "type": ["number", "string"], "pattern": "^(NaN|-?Infinity)$"}


if __name__ == "__main__":
    main()
