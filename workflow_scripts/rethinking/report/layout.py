"""What the report shows, in which order and with which words: the sections of ``layout.yaml``."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from rethinking import registry
from rethinking.entries import Entry

FINDING = "finding"  # the figure above all sections


@dataclass(frozen=True)
class Shown:
    """A table or figure in the report."""

    entry: Entry
    see: str  # one sentence
    note: str
    folded: bool = False  # for readers who look for it


@dataclass(frozen=True)
class Section:
    """A section of the report, which follows the paper."""

    heading: str
    sources: tuple[str, ...]  # words in the sources of its claims
    shown: tuple[Shown, ...]


@cache
def sections() -> tuple[Section, ...]:
    """All sections in order."""
    written = yaml.safe_load(Path(__file__).with_name("layout.yaml").read_text(encoding="utf-8"))
    return tuple(
        Section(
            each["heading"],
            tuple(each["claims"]),
            tuple(Shown(entry_of(name), **texts) for name, texts in each["artefacts"].items()),
        )
        for each in written
    )


def entry_of(name: str) -> Entry:
    """The registration of a table or figure."""
    return registry.find("table", name) or registry.entry("figure", name)


def place_of(name: str) -> tuple[str, str]:
    """The heading and the sentence under which a table or figure is shown."""
    found = {each.entry.name: (section.heading, each.see) for section in sections() for each in section.shown}
    return found.get(name, ("The finding", entry_of(name).title))


def section_of_claim(source: str) -> str:
    """The heading under which a claim stands, by its source: the last section with a word of it."""
    found = [each.heading for each in sections() if any(word in source for word in each.sources)]
    return found[-1] if found else "Own claims"
