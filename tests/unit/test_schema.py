"""The JSON schema of configurations: up to date, and right about the configurations here."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from rethinking.config.configuration import schema_json
from rethinking.config.fields import Strict

from ..default_config import default_values

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(schema_json())


def test_schema_is_up_to_date():
    assert (ROOT / "rules/config.schema.json").read_text() == f"{schema_json()}\n", "run 'make schema'"


def test_schema_accepts_the_default_and_refuses_a_typing_error():
    values = default_values()
    jsonschema.validate(values, SCHEMA)
    values["training"]["epoch"] = 1
    with pytest.raises(jsonschema.ValidationError, match="epoch"):
        jsonschema.validate(values, SCHEMA)


def test_schema_accepts_the_demo():
    """Sections that it does not state are those of config.yaml."""
    demo = yaml.safe_load((ROOT / "profiles/demo/experiment.yaml").read_text())
    partial = copy.deepcopy(SCHEMA)
    for model in (partial, *partial["$defs"].values()):
        model.pop("required", None)
    jsonschema.validate(demo, partial)


@pytest.mark.parametrize(
    "section",
    [each for part in Strict.__subclasses__() for each in (part, *part.__subclasses__())],
)
def test_every_field_has_a_description(section):
    assert all(field.description for field in section.model_fields.values())
