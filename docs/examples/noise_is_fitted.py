"""A claim over the own network, data set and noise."""

from rethinking.registry import claim


@claim(
    "wide_resnet_fits_noise",
    statement="The Wide ResNet fits asymmetric noise on Shapes better than it generalises.",
    holds_if="training minus test accuracy above 0 points",
    cells=["shapes/asymmetric_p0.4/wrn_28_1/none"],
    above=0,
)
def gap(run):
    """One number of the networks of one seed, here of a single cell."""
    return run.summary["train_accuracy"] - run.summary["test_accuracy"]
