"""The resolved settings of one cell: everything besides data, seed and code that affects its numbers."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    create_model,
    model_serializer,
    model_validator,
)

from rethinking.config.fields import Strict, unless
from rethinking.models.options import is_plain

Initialisation = Literal[
    "glorot_uniform", "uniform_unit_scaling", "he_normal", "torch_default", "truncated_normal", "data_dependent"
]
WeightDecayOn = Literal["weights", "hidden_linear"]
Precision = Literal["float32", "tf32", "bfloat16"]


def checked_option(value: Any) -> Any:
    """An option of a network as it is written; that the network takes it is checked where the network is known."""
    if not is_plain(value):
        raise ValueError(f"an option is true, false, a number, text, null or a list of these, not {value!r}")
    return value


# Of several types pydantic would name each in a message of its own.
OPTION_SCHEMA = WithJsonSchema({"type": ["boolean", "number", "string", "null", "array"]})
Architecture = dict[str, Annotated[Any, AfterValidator(checked_option), OPTION_SCHEMA]]


class RMSPropSettings(Strict):
    """RMSProp as in TensorFlow: the mean square starts at 1, epsilon is inside the root, the rate inside the momentum."""

    decay: float = Field(ge=0, lt=1, description="What the mean square keeps at a step.")
    epsilon: float = Field(gt=0, description="Added to the mean square before its root is taken.")


class TrainingConfig(Strict):
    """Settings that all cells share unless an override says otherwise."""

    epochs: int = Field(ge=1, description="Passes over the training set.")
    batch_size: int = Field(ge=1, description="Images per step; the last batch of an epoch may be smaller.")
    learning_rate_decay: float = Field(gt=0, le=1, description="Factor on the learning rate after every epoch.")
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
        description="Initial weights: glorot_uniform, uniform_unit_scaling (uniform within √(3/fan_in)), he_normal, torch_default (uniform within 1/√fan_in, for biases too), truncated_normal (deviation 0.1, cut off at two deviations) or data_dependent (he_normal, then shifted and scaled so that on 256 training images the outputs of each layer but the last have mean 0 and variance 1)."
    )
    weight_decay: float = Field(
        ge=0,
        description="Coefficient of the l2 penalty (coefficient / 2 x squared norm) in cells whose regularisers name wd.",
    )
    weight_decay_on: WeightDecayOn = Field(
        description="What weight decay applies to: weights (of all layers, never biases) or hidden_linear (weights of linear layers but the last, without those of an auxiliary head)."
    )
    architecture: Architecture = Field(
        {},
        description="Options of the network: batch_norm_affine (of inception: train a scale and a shift behind each normalisation), batch_norm_shift (of inception: train a shift alone, in place of the bias of the convolution before it), local_response_norm (of alexnet), dropout (of inception_v3: the share that is dropped in cells whose regularisers name dropout), batch_norm_decay (of inception_v3), and those of plug-ins' networks.",
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
        description="Batches are cut into parts of this size. Batch normalisation works on a part, layers draw by part, and "
        "the gradients of the parts are summed. null does without.",
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
    """Settings that an override or an ablation replaces; null is a value, of those that take it."""

    @model_serializer(mode="wrap")
    def given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Those that are given alone: all others would come back as null."""
        return {key: value for key, value in dump(self).items() if key in self.model_fields_set}

    def applied_to(self, values: dict[str, Any]) -> dict[str, Any]:
        """The given settings, with these values in their place; of the architecture, only the options named here change."""
        changed = self.model_dump()
        architecture = values["architecture"] | changed.get("architecture", {})
        return values | changed | {"architecture": architecture}


# Thresholds are of all cells, because figure 1b compares cells by them.
OverrideValues = create_model(
    "OverrideValues",
    __base__=AnyOfCellSettings,
    __doc__=AnyOfCellSettings.__doc__,
    **{
        name: (
            Annotated[field.annotation, *field.metadata, Field(description=field.description)],
            None,  # not set, whatever its type
        )
        for name, field in CellSettings.model_fields.items()
        if name != "thresholds"
    },
)
