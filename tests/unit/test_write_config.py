"""config.yaml and its schema are what the typed models and the default values say."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

import write_config
from rethinking.config.cell_settings import Strict
from rethinking.config.defaults import default_values, evidence
from rethinking.config.training import OverrideValues

ROOT = Path(__file__).parents[2]


def test_config_is_up_to_date():
    assert (ROOT / "config.yaml").read_text() == write_config.annotated_yaml(), "run 'make config'"


def test_schema_is_up_to_date():
    assert (ROOT / "rules/config.schema.json").read_text() == write_config.schema_json(), "run 'make config'"


def test_annotations_change_no_value():
    assert yaml.safe_load(write_config.annotated_yaml()) == default_values()


def test_each_setting_with_evidence_shows_it():
    lines = write_config.annotated_yaml().splitlines()
    for path, setting in evidence().items():
        value = json.dumps(setting.value).strip('"')
        note = f"{path[-1]}: {value}  # {setting.status}: {setting.evidence}"
        assert any(line.strip() == note for line in lines), note


def test_evidence_in_a_list_stands_at_its_entry():
    text = write_config.annotated_yaml()
    for number, override in enumerate(default_values()["overrides"]):
        entry = text.partition("overrides:\n")[2].split("  - cells: ")[number + 1]
        assert entry.startswith(override["cells"] + "\n")
        for path, setting in evidence().items():
            if path[:2] == ("overrides", number):
                assert f"{path[-1]}: {setting.value}  # {setting.status}" in entry.partition("  - cells")[0]


def test_schema_accepts_the_default_and_refuses_a_typing_error():
    schema = json.loads(write_config.schema_json())
    values = default_values()
    jsonschema.validate(values, schema)
    values["training"]["epoch"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, schema)


@pytest.mark.parametrize(
    "section",
    # The values of an override are described where they override something.
    [section for section in Strict.__subclasses__() if section is not OverrideValues],
)
def test_every_field_has_a_description(section):
    assert all(field.description for field in section.model_fields.values())
