"""The section datasets."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from rethinking.config.cell_settings import CellSettings
from rethinking.config.fields import PathText, Strict, unless

Source = Literal["official", "archive", "images", "embedded", "plugin", "local"]
Limit = Annotated[int, Field(ge=10)]


def one_line(text: str) -> str:
    """A text without the space around it, which a block in YAML (|) has. Tables show it in a line.

    Raises:
        ValueError: it is empty, or has line breaks or characters that cannot be seen.
    """
    if not text.strip() or not text.strip().isprintable():
        raise ValueError(f"takes one line of text, for example 'JPEG copy', not {text!r}; null is none")
    return text.strip()


class DatasetConfig(Strict):
    """Where a data set comes from and how much of it is used."""

    source: Source = Field(
        description="official (download), archive (a local archive or unpacked folder of a published version), "
        "images (a folder or tar of train/<class>/*.jpg|png and test/...), embedded (digits), plugin (read by a plug-in) or local "
        "(ImageNet: the folder of its archives, or one of train/<class>/*.JPEG and val/<class>/*.JPEG)."
    )
    path: PathText | None = Field(
        None,
        description="The local file or folder, for the sources archive and images, and for plugin if it reads one. "
        "Without the path of a local source its cells are left out.",
    )
    provenance: Annotated[str, AfterValidator(one_line)] | None = Field(
        None,
        description="What to call this copy in tables and figures; needed where the images are not the published ones.",
    )
    train_limit: Limit | None = Field(
        None, description="Use this many training images, balanced over classes; null is all."
    )
    test_limit: Limit | None = Field(None, description="Use this many test images, balanced over classes; null is all.")
    input_size: int = Field(ge=1, description=CellSettings.model_fields["input_size"].description)
    classes: list[str] | None = unless(
        None,
        description="Of a local source: the classes to take, by their folders; null is all, or those of imagenet100 and imagenette.",
        min_length=2,
    )
    stored_size: int | None = unless(
        None,
        description="Of a local source: whole images are resized to this height and width before anything else, and "
        "small sets are stored so. null crops from the original pixels.",
    )
    skip_unreadable: bool = unless(
        False,
        description="Of a local source: leave out images that cannot be decoded, which the manifest then lists.",
    )

    @property
    def absent(self) -> bool:
        """Whether there is no path to a data set that cannot be downloaded."""
        return self.source == "local" and self.path is None

    @model_validator(mode="after")
    def options_fit_the_source(self) -> Self:
        """Some options belong to local sources only, and some sources take no path or need one."""
        if self.source == "local":
            if self.stored_size is not None and self.stored_size < self.input_size:
                raise ValueError(f"stored_size is {self.stored_size}; give at least input_size, {self.input_size}")
            return self
        for key in ("classes", "stored_size", "skip_unreadable"):
            if getattr(self, key):
                raise ValueError(f"{key} has a meaning for the source 'local' alone; remove it")
        if self.source == "plugin":
            return self
        if (self.path is None) == (self.source in ("archive", "images")):
            raise ValueError(
                f"the source '{self.source}' needs a path"
                if self.path is None
                else f"the source '{self.source}' takes no path; remove it, or name a local copy's source, archive or images"
            )
        return self
