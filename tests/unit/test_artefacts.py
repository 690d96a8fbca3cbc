"""The list of tables and figures is complete."""

from rethinking.report.artefacts import ARTEFACTS, captions, wanted

from ..default_config import default_config

CONFIG = default_config()


def test_every_result_of_the_configuration_is_in_a_report():
    shown = {section for artefact in ARTEFACTS for section in artefact.sections}
    assert set(CONFIG.results) <= shown


def test_artefacts_name_sections_of_the_configuration():
    sections = {section for artefact in ARTEFACTS for section in artefact.sections}
    assert sections <= set(type(CONFIG).model_fields)


def test_names_are_unique_and_each_has_a_caption():
    names = [artefact.name for artefact in ARTEFACTS]
    assert len(set(names)) == len(names)
    assert list(captions()) == names


def test_an_artefact_of_several_sections_needs_one_of_them():
    names = [artefact.name for artefact in wanted(["fig1b", "table4"])]
    assert {"fig1b", "table4", "curve_differences", "claims"} <= set(names)
    assert not {"fig1a", "table1", "memorisation"} & set(names)
