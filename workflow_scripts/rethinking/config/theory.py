"""Settings of the paper's theory: theorem 1 (section 4) and linear models (section 5)."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from rethinking.config.fields import LONGEST_NAME, Seeds, Strict, registered, repeated

Positive = Annotated[float, Field(gt=0)]
Penalty = Annotated[float, Field(ge=0)] | Literal["validated"]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class ExpressivityConfig(Strict):
    """Theorem 1, lemma 1 and corollary 1."""

    dataset: registered("dataset") | None = Field(
        description="Its training images are fitted, all of them; null leaves this part out."
    )
    drop_duplicates: bool = Field(
        False,
        description="Of equal images keep the first, because no function gives one image two labels; with false the run stops.",
    )
    offset: Fraction = Field(
        description="Place of each threshold between its neighbours (0 to 1). Beyond 0.5 weights grow exponentially with n."
    )
    depths: list[Annotated[int, Field(ge=2)]] = Field(
        description="Depths of the networks; 2 is theorem 1, others corollary 1, up to one more than there are images.",
        min_length=1,
    )
    sizes: list[Annotated[int, Field(ge=2)]] = Field(
        description="Numbers of images at which the required precision is measured; those beyond the training set are left out."
    )
    offsets: list[Fraction] = Field(description="Places of thresholds that are compared in it.", min_length=1)
    precisions: list[Literal["float16", "bfloat16", "float32", "float64"]] = Field(
        description="Number formats that are compared in it.", min_length=1
    )


class LinearModelConfig(Strict):
    """One linear model: what it sees and how it is solved."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=LONGEST_NAME)] = Field(
        description="Its files lie in linear_models/<name> of the results."
    )
    dataset: registered("dataset") = Field(description="Its training images are fitted, its test images predicted.")
    preprocessing: Literal["none", "gabor", "random_convnet"] = Field(
        description="none (pixels from 0 to 1), gabor (pooled Gabor filters) or random_convnet (Coates and Ng, random patches)."
    )
    kernel: Literal["gaussian", "linear"] = Field(description="gaussian is exp(-gamma |x - x'|^2), linear is <x, x'>.")
    gamma: Positive | Literal["validated"] | None = Field(
        None,
        description="Of the Gaussian kernel; validated takes the best on a validation part of the training set.",
    )
    gammas: list[Positive] = Field([], description="Those that are tried on the validation part.")
    filters: int | None = Field(
        None, ge=1, le=100_000, description="Of random_convnet; there are eight features per filter."
    )
    seeds: Seeds | None = Field(
        None,
        description="Of random filters; null are those of all experiments. Without random filters there is one fit.",
    )
    penalties: list[Penalty] = Field(
        description="Each gives a row: K + penalty * (mean of K's diagonal) I is solved; validated as for gamma.",
        min_length=1,
    )

    @model_validator(mode="after")
    def options_fit(self) -> Self:
        """Options belong to one kernel or preprocessing."""
        if (self.gamma is None) == (self.kernel == "gaussian"):
            raise ValueError(
                "the kernel 'gaussian' needs a gamma: a number or 'validated'"
                if self.gamma is None
                else "gamma is of the kernel 'gaussian'; the kernel 'linear' has none"
            )
        if self.gamma == "validated" and not self.gammas:
            raise ValueError("gamma is 'validated', so gammas must list those to try")
        if (self.filters is None) == (self.preprocessing == "random_convnet"):
            raise ValueError(
                "the preprocessing 'random_convnet' needs filters, for example 32000"
                if self.filters is None
                else "filters are of the preprocessing 'random_convnet'"
            )
        return self

    @property
    def random(self) -> bool:
        """Whether anything is drawn, so that seeds differ."""
        return self.preprocessing == "random_convnet"

    @property
    def validated(self) -> bool:
        """Whether a setting is chosen on the validation part."""
        return self.gamma == "validated" or "validated" in self.penalties


class SolverConfig(Strict):
    """How K alpha = y is solved: by Cholesky's factor, in tiles on the disk, then refined."""

    precision: Literal["auto", "float32", "float64"] = Field(
        description="Of the factor; auto is float64 on a GPU, and else float32, or float64 where the matrix is not positive definite in float32. Residuals are computed in float64 in any case."
    )
    tile: int = Field(ge=16, description="Rows and columns of a tile of the factor, the unit that a killed run keeps.")
    residual: float = Field(gt=0, lt=1, description="Refine until |y - K alpha| / |y| is below this.")
    iterations: int = Field(ge=1, description="At most so many steps of refinement.")


class ValidationConfig(Strict):
    """The part of the training set on which settings are tried; test images play no part."""

    train: int = Field(ge=10, description="Images that are fitted.")
    test: int = Field(ge=10, description="Other training images, on which the error is measured.")
    penalties: list[Annotated[float, Field(ge=0)]] = Field(description="Penalties that are tried.", min_length=1)

    @field_validator("penalties")
    @classmethod
    def zero_is_among_them(cls, penalties: list[float]) -> list[float]:
        """Without a penalty the fit is exact, with which the others are compared."""
        if 0 not in penalties:
            raise ValueError("0, the exact fit, must be among them")
        return penalties


class CounterexampleConfig(Strict):
    """Exact fits other than the one of minimum norm."""

    models: list[str] = Field(description="Linear models with a Gaussian kernel, by name; none leaves this part out.")
    train: int = Field(ge=10, description="Training images.")
    test: int = Field(ge=10, description="Test images.")


class DescentConfig(Strict):
    """SGD on a linear model: where it ends."""

    dataset: registered("dataset") | None = Field(description="Whose images are fitted; null leaves this part out.")
    images: int = Field(ge=2, description="Training images, fewer than an image has values.")
    epochs: int = Field(ge=1, description="Passes over them.")
    batch_size: int = Field(ge=1, description="Images per step.")


class LinearModelsConfig(Strict):
    """Section 5: exact fits of linear models, their norms, and where SGD converges."""

    models: list[LinearModelConfig] = Field(
        description="Linear models, in the order of table 3; none leaves the table out."
    )
    solver: SolverConfig = Field(description="How K alpha = y is solved.")
    validation: ValidationConfig = Field(
        description="The part of the training set on which gamma and penalty are tried, for every model."
    )
    counterexamples: CounterexampleConfig = Field(
        description="Exact fits of other functions, to compare norms and test errors."
    )
    descent: DescentConfig = Field(description="SGD from zero and from elsewhere, against the minimum norm.")

    @model_validator(mode="after")
    def there_is_a_choice(self) -> Self:
        """A penalty can be chosen; 0 is none."""
        chosen = [each.name for each in self.models if "validated" in each.penalties]
        if chosen and not any(self.validation.penalties):
            raise ValueError(
                f"validation.penalties: the penalty of '{chosen[0]}' is 'validated', so give some above 0 to choose from"
            )
        return self

    @model_validator(mode="after")
    def names_are_known(self) -> Self:
        """Names differ; counterexamples are of models that are there and have a Gaussian kernel."""
        names = [each.name for each in self.models]
        for name in repeated(names):
            raise ValueError(f"models: the name '{name}' appears twice")
        for name in self.counterexamples.models:
            if name not in names:
                raise ValueError(
                    f"counterexamples.models: there is no model '{name}'; known: {', '.join(names) or 'none'}"
                )
            if self.model(name).kernel != "gaussian":
                raise ValueError(f"counterexamples.models: '{name}' has no Gaussian kernel")
        return self

    def model(self, name: str) -> LinearModelConfig:
        """A linear model by its name."""
        return next(each for each in self.models if each.name == name)
