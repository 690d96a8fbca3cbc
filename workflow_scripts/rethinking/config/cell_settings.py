"""The resolved settings of one cell: everything besides data, seed and code that affects its numbers."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    create_model,
    field_validator,
    model_validator,
)

from rethinking import registry
from rethinking.run.files import UserError

Initialisation = Literal["glorot_uniform", "he_normal", "lecun_uniform", "truncated_normal"]
WeightDecayOn = Literal["weights", "hidden_linear"]
Precision = Literal["float32", "tf32", "bfloat16"]
# How users may write cells. The models see them after config/patterns.py has expanded them.
PATTERNS = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
# Words for truth values in YAML.
WORDS = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
# Bytes of a file or folder. Most file systems take 255, and temporary files have longer names.
LONGEST_NAME = 200


def repeated(values: Iterable[Any]) -> list[Any]:
    """Those that are there more than once."""
    return [value for value, times in Counter(values).items() if times > 1]


def plain(value: Any) -> Any:
    """What YAML reads in a text: ``--config`` passes false and 0.2 as text, and text is true."""
    if isinstance(value, str):
        with suppress(ValueError):
            return json.loads(WORDS.get(value.lower(), value))
    return value


Architecture = dict[str, Annotated[bool | int | float | str, BeforeValidator(plain)]]


def unless(default: Any, *, description: str, **bounds: Any) -> Any:
    """A field that is written only where it differs from its default.

    So a setting that is added later changes no record of a cell that does not use it.
    """
    return Field(default, description=description, exclude_if=lambda value: value == default, **bounds)


class Strict(BaseModel):
    """A model that refuses unknown keys. Numbers may be text, because ``--config`` passes them as text."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def truth_values_are_no_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where pydantic would take them as 1 and 0."""
        wanted = cls.model_fields[info.field_name].annotation
        if wanted is not bool and any(
            isinstance(each, bool) for each in (value if isinstance(value, list) else [value])
        ):
            raise ValueError(
                f"true, false, yes, no, on and off are truth values, not what {info.field_name} takes"
            )
        return value

    @field_validator("*")
    @classmethod
    def nothing_is_listed_twice(cls, value: Any) -> Any:
        """Refuse the same value twice in a list: seeds would make intervals too narrow, others repeat a row or a run."""
        if isinstance(value, list) and all(isinstance(each, str | int | float) for each in value):
            for each in repeated(value):
                raise ValueError(f"{value} names {each!r} twice")
        return value


def checked_path(text: str) -> str:
    """A path with ``~`` as the home folder, and variables such as ``$SCRATCH`` as their values.

    Raises:
        ValueError: it is empty or too long, or holds what Snakemake or the shell would take for something else.
    """
    if not text.strip():
        raise ValueError("the path is empty; leave the key out, or give one")
    expanded = os.path.expandvars(os.path.expanduser(text))
    if variable := re.search(r"\$(\w+|\{\w+\})", expanded):
        raise ValueError(f"the variable {variable[0]} is not set")
    if found := sorted(set(expanded) & set("{}\n\r\0")):
        raise ValueError(
            f"the path holds {', '.join(map(repr, found))}; Snakemake takes braces for wildcards; rename it"
        )
    if expanded.startswith("~"):
        raise ValueError(f"there is no home folder of the user '{text[1:].split('/')[0]}'")
    path = os.path.normpath(expanded)  # ./results/ is results
    if path.startswith("-") or any(len(os.fsencode(part)) > LONGEST_NAME for part in path.split("/")):
        raise ValueError("a name in the path begins with '-', or is too long for a file system; rename it")
    return path


PathText = Annotated[str, AfterValidator(checked_path)]
Seeds = list[Annotated[int, Field(ge=0)]]


def as_value_error(check: Callable[..., object], *arguments: Any, **named: Any) -> None:
    """Call a check; its UserError becomes the ValueError that pydantic reports with file and key."""
    try:
        check(*arguments, **named)
    except UserError as error:
        raise ValueError(str(error)) from error


def registered(kind: str) -> Any:
    """The type of a registered name."""

    def check(name: str) -> str:
        if registry.find(kind, name) is None:
            raise ValueError(registry.unknown(kind, name))
        return name

    # Editors offer the examples of the JSON schema.
    offer = Field(json_schema_extra=lambda schema: schema.update(examples=registry.names(kind)))
    return Annotated[str, AfterValidator(check), offer]


class RMSPropSettings(Strict):
    """RMSProp as in TensorFlow: the mean square starts at 1, epsilon is inside the root, the rate inside the momentum."""

    decay: float = Field(ge=0, lt=1, description="What the mean square keeps at a step.")
    epsilon: float = Field(gt=0, description="Added to the mean square before its root is taken.")


class TrainingConfig(Strict):
    """Settings that all cells share unless an override says otherwise."""

    epochs: int = Field(ge=1, description="Passes over the training set.")
    batch_size: int = Field(ge=1, description="Images per step; the last batch of an epoch may be smaller.")
    learning_rate_decay: float = Field(
        gt=0, le=1, description="Factor on the learning rate after every epoch."
    )
    momentum: float = Field(ge=0, lt=1, description="Momentum of SGD.")
    precision: Precision = Field(
        description="Arithmetic of the network: float32, tf32 (float32 on a CPU) or bfloat16 (weights stay float32)."
    )
    thresholds: list[Annotated[float, Field(gt=0, le=100)]] = Field(
        description="Online training accuracies, in percent, whose first epoch is recorded."
    )


class ModelConfig(Strict):
    """Settings of one network."""

    learning_rate: float = Field(gt=0, description="Learning rate of the first epoch.")
    initialisation: Initialisation = Field(
        description="Initial weights: glorot_uniform, he_normal, lecun_uniform (torch's default) or truncated_normal (deviation 0.1, cut off at two deviations)."
    )
    weight_decay: float = Field(
        ge=0,
        description="Coefficient of the l2 penalty (coefficient / 2 x squared norm) in cells whose regularisers name wd.",
    )
    weight_decay_on: WeightDecayOn = Field(
        description="What weight decay applies to: weights (of all layers, never biases) or hidden_linear (weights of linear layers but the last)."
    )
    architecture: Architecture = Field(
        {},
        description="Options of the network: batch_norm_affine (of inception: train a scale and a shift behind each normalisation), local_response_norm (of alexnet), dropout (of inception_v3: the share that is dropped in cells whose regularisers name dropout), batch_norm_decay (of inception_v3), and those of plug-ins' networks.",
    )


class CellSettings(ModelConfig, TrainingConfig):
    """Settings of one cell after defaults, the model's own and overrides have been merged."""

    input_size: int = Field(ge=1, description="Height and width that the images are cropped to.")
    rmsprop: RMSPropSettings | None = unless(
        None,
        description="RMSProp in place of SGD: decay and epsilon; the momentum is the setting of that name.",
    )
    decay_every: int = unless(
        1, description="The learning rate falls by learning_rate_decay after every so many epochs.", ge=1
    )
    label_smoothing: float = unless(
        0.0,
        description="Share of the target that is spread over all classes. Recorded losses are without it.",
        ge=0,
        lt=1,
    )
    auxiliary_loss: float = unless(
        0.0, description="Weight of the loss of an auxiliary head, in networks that have one.", ge=0
    )
    average_decay: float | None = unless(
        None,
        description="Test and save a moving average of weights and batch-norm statistics over the steps; at step t it keeps "
        "min(average_decay, (1 + t) / (10 + t)), as in TensorFlow.",
        gt=0,
        lt=1,
    )
    micro_batch: int | None = unless(
        None,
        description="Batches are cut into parts of this size. Batch normalisation works on a part, layers and augmentation draw "
        "by part, and the gradients of the parts are summed. null does without.",
        ge=2,
    )
    reduction: Literal["exact", "fast"] | None = unless(
        None,
        description="How gradients of micro-batches are summed: exact gives the same bits with any number of workers, fast does not. "
        "null is exact on a CPU and fast on a GPU.",
    )

    @model_validator(mode="after")
    def batches_are_whole(self) -> Self:
        """A batch consists of whole micro-batches."""
        if self.micro_batch and self.batch_size % self.micro_batch:
            raise ValueError(
                f"batch_size is {self.batch_size}, not a multiple of micro_batch, which is {self.micro_batch}"
            )
        return self


class AnyOfCellSettings(Strict):
    """Settings that an override or an ablation replaces."""

    def applied_to(self, values: dict[str, Any]) -> dict[str, Any]:
        """The given settings, with these values in their place; of the architecture, only the options named here change."""
        changed = self.model_dump(exclude_none=True)
        architecture = values["architecture"] | changed.get("architecture", {})
        return values | changed | {"architecture": architecture}


# Thresholds are of all cells, because figure 1b compares cells by them.
OverrideValues = create_model(
    "OverrideValues",
    __base__=AnyOfCellSettings,
    __doc__=AnyOfCellSettings.__doc__,
    **{
        name: (
            Annotated[field.annotation | None, *field.metadata, Field(description=field.description)],
            None,
        )
        for name, field in CellSettings.model_fields.items()
        if name != "thresholds"
    },
)
