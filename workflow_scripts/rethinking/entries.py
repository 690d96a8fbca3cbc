"""What a registration says: its kind, its name with parameters, its function and its options."""

import importlib
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rethinking.run.code import LIBRARY, SCRIPTS
from rethinking.run.files import UserError
from rethinking.run.plugins import blamed, import_plugin

# kind -> folder of the library with its registrations, and what its functions can request by the names of their
# arguments, in addition to the parameters in the name. The first argument of a corruption is what it changes.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "dataset": ("data", ("name", "path")),
    "corruption": ("corruption", ("labels", "images", "num_classes", "rng", "draws", "moments")),
    "model": ("models", ()),
    "regulariser": ("training", ("images", "labels", "rng")),
    "measure": ("measures", ("network",)),
    "table": ("tables", ()),
    "figure": ("figures", ()),
    "claim": ("claims", ()),
}
ARTEFACTS = ("table", "figure")  # kinds of results that readers see
TITLES = {"dataset": "data set", "measure": "measure of complexity"}


@dataclass(frozen=True)
class Entry:
    """One registration; ``line`` is the line of its function, ``arguments`` maps to the annotated types or None."""

    kind: str
    name: str
    file: Path
    line: int
    function: str
    arguments: Mapping[str, str | None]
    optional: Mapping[str, str]  # arguments with a default -> their annotation, or the type of the default
    # rethinking.run.plugin_checks has those that a plug-in can give. Only the library gives
    # - for a network: smallest (height and width of the images that it takes) and auxiliary_head (those from which on
    #   it has one, if it can have one);
    # - for a data set: classes (their number), and size (height and width of its images), train and test (their numbers)
    #   unless it is a folder of images; sources, if they are others than those of published data sets and of plug-ins;
    # - for a table: script (what writes its CSV);
    # - for a figure: reads (the table of each cell that it draws) and unit (of the paper's curves, if there are any).
    options: Mapping[str, Any]

    @property
    def own(self) -> bool:
        """Whether a plug-in registers it, and not the library."""
        return LIBRARY not in self.file.parents

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.file}:{self.line}"

    @property
    def root(self) -> tuple[Path, str]:
        """The definition at which its code starts (see :func:`rethinking.run.code.code_of`)."""
        return self.file, self.function

    @property
    def title(self) -> str:
        """Its title for readers; by default its name."""
        return self.options.get("title", self.name)

    @cached_property
    def form(self) -> re.Pattern[str]:
        """The names that it covers, with one spelling of each number: 0.5, not 0.50."""
        first, *rest = re.split(r"\{(\w+)[^}]*\}", self.name)
        text = re.escape(first)
        for parameter, literal in zip(rest[::2], rest[1::2], strict=True):
            whole = r"(?:0|[1-9]\d*)"
            number = whole if self.arguments[parameter] == "int" else rf"{whole}\.(?:0|\d*[1-9])"
            text += f"(?P<{parameter}>{number}){re.escape(literal)}"
        return re.compile(text)

    def parameters(self, name: str) -> dict[str, float] | None:
        """The parameters in a name and the fixed ones of the registration; None if the name is not of this form."""
        match = self.form.fullmatch(name)
        if not match:
            return None
        values = {key: int(text) if text.isdigit() else float(text) for key, text in match.groupdict().items()}
        for key, (low, high) in self.bounds.items():
            if (low is not None and values[key] < low) or (high is not None and values[key] > high):
                return None
        return {key: value for key, value in self.options.items() if key in self.arguments} | values

    @cached_property
    def bounds(self) -> dict[str, tuple[float | None, float | None]]:
        """Smallest and largest value of each parameter in the name, None if unbounded."""
        found = {}
        for parameter, text in re.findall(r"\{(\w+)(?::([^}]*))?\}", self.name):
            low, _, high = text.partition("..")
            found[parameter] = (float(low) if low else None, float(high) if high else None)
        return found

    def examples(self, like: str = "") -> list[str]:
        """Example names: with tenths for decimal numbers, the whole number at the end of ``like``, or 500, and bounds."""
        names = [self.name]
        for parameter, bounds in self.bounds.items():
            ends = [each for each in bounds if each is not None]
            if self.arguments[parameter] == "int":
                numbers = [re.search(r"\d*$", like)[0] or "500", *(f"{end:.0f}" for end in ends)]
            else:
                numbers = [str(number) for number in (*(tenth / 10 for tenth in range(11)), *ends)]
            form = rf"\{{{parameter}[^}}]*\}}"
            names = [re.sub(form, number, name) for name in names for number in dict.fromkeys(numbers)]
        return [name for name in [*names, like] if self.parameters(name) is not None]

    @property
    def sources(self) -> tuple[str, ...]:
        """The kinds of source that a data set can come from."""
        others = ("official", "archive", "images") if self.published else ("plugin", "images")
        return self.options.get("sources", others)

    @property
    def published(self) -> bool:
        """Whether the function of a data set describes published files, and does not read the data itself."""
        return self.options.get("published", False)

    @property
    def changes(self) -> str:
        """What a corruption changes, ``labels`` or ``images``; ``prepared`` for one that writes its overlay itself."""
        return next(iter(self.arguments))

    @property
    def filename(self) -> str:
        """The file of a table or figure that a report shows, in the folder of the results."""
        return f"{self.name}.{'svg' if self.kind == 'figure' else 'md'}"

    @property
    def files(self) -> list[str]:
        """The files of a corruption's overlay: a manifest and the arrays that it changes."""
        arrays = self.options.get("arrays", (f"train_{self.changes}", f"test_{self.changes}"))
        return ["manifest.json", *(f"{array}.npy" for array in arrays)]

    def resolve(self) -> Callable[..., Any]:
        """The function; its file is imported.

        Raises:
            UserError: a plug-in cannot be imported; the message has file and line.
        """
        if not self.own:
            name = ".".join(self.file.relative_to(SCRIPTS).with_suffix("").parts)
            return getattr(importlib.import_module(name), self.function)
        return getattr(import_plugin(self.file), self.function)

    def call(self, **available: Any) -> Any:
        """Call the function with the values that its arguments request by name.

        Raises:
            UserError: a plug-in raised an exception; the message has file and line.
        """
        function = self.resolve()
        with blamed(self.place if self.own else None):
            return function(**{name: available[name] for name in self.arguments if name in available})

    def fault(self, what: str) -> UserError:
        """An error that says what is wrong with its function, with file and line."""
        return UserError(f"{self.place}: {self.function} {what}")

    def number(self, value: Any) -> float:
        """A number that the function returned.

        Raises:
            UserError: it is none; the message has file and line.
        """
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError):
            raise self.fault(f"returns {textwrap.shorten(repr(value), 80)}, not a number") from None
