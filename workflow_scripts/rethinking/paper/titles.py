"""The names of things in tables and figures: of data sets, networks and regularisers as they are registered."""

from collections.abc import Iterator, Mapping
from typing import Any

from rethinking import registry


class Titles(Mapping[str, Any]):
    """Name -> what the registration says, those of the paper first."""

    def __init__(self, kind: str, option: str) -> None:
        self.kind, self.option = kind, option

    def __getitem__(self, name: str) -> Any:
        entry = registry.find(self.kind, name)
        if entry is None:
            raise KeyError(name)
        default = (name, "") if self.option == "heading" else name
        return entry.options.get(self.option, default)

    def __iter__(self) -> Iterator[str]:
        return iter(registry.names(self.kind))

    def __len__(self) -> int:
        return len(registry.names(self.kind))


DATASET_TITLES = Titles("dataset", "title")
MODEL_TITLES = Titles("model", "title")
# Headings have two lines, so that columns of yes and no stay narrow in print.
REGULARISER_HEADINGS = Titles("regulariser", "heading")
SPLIT_TITLES = {"train": "training", "test": "test"}
# Exact fits of the same images (rethinking.theory.counterexamples).
FIT_TITLES = {
    "minimum_norm": "true labels, minimum norm",
    "random_centres": "true labels, centres at random points",
    "poisoned": "true labels, and random labels forced on the test images",
    "random_labels": "random labels, minimum norm",
}
