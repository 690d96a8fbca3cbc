"""Claims on ImageNet: section 3, appendix A, table 2 and figure 2a, and two findings on the paper's own numbers.

Cells are named without data set, as the other claims' are, and checked on the data set of table 2.
"""

from rethinking import paper
from rethinking.claims import measures
from rethinking.claims.forms import Claim, each
from rethinking.claims.verdicts import Check
from rethinking.models import AUXILIARY_HEAD, parameter_count

TRUE, RANDOM = "true_labels/inception_v3/{}", "random_labels/inception_v3/{}"
NONE, WD, AUGMENT, ALL = "none", "wd", "augment", "augment+wd+dropout"
REGULARISED = {"weight decay": WD, "weight decay, dropout": "wd+dropout"}
PRINTED = paper.table2()["true_labels", "inception_v3", WD]["train_accuracy"]
MEANT = 99.60
NEARER = (PRINTED + MEANT) / 2
FITTED = 80  # training accuracy on random labels, percent: below each of the paper's, and far above chance
ALEXNET_2012 = 83.6  # top-5 test accuracy, percent (Krizhevsky et al. 2012)


def papers_parameters() -> float:
    """Parameters of Inception V3 with 1008 outputs, counting the running statistics of batch normalisation.

    The number that ``paper/data/zhang2017.json`` lists among the paper's sizes. Its place in the paper is not known.
    """
    import torch

    # Not by its name, because its code counts here without any cell of it.
    from rethinking.models.inception_v3 import inception_v3

    with torch.device("meta"):
        network = inception_v3((3, 299, 299), 1008)
    statistics = sum(
        value.numel()
        for name, value in network.named_buffers()
        if "running" in name and not name.startswith(AUXILIARY_HEAD)
    )
    return parameter_count(network) + statistics


def papers_last_accuracy() -> float:
    """Where the paper's training curve for weight decay alone ends, percent."""
    return float(paper.curves("fig2a")["train_wd"][-1, 1])


IMAGENET = (
    Claim(
        "imagenet_fits_random_labels",
        "Inception V3 fits random labels of ImageNet without regularisers.",
        "section 2.1, table 2",
        f"training accuracy ≥ {FITTED} %, which leaves leeway (the paper's is 95.20)",
        (Check("no regulariser", measures.train_accuracy, (RANDOM.format(NONE),), at_least=FITTED),),
    ),
    Claim(
        "imagenet_fits_random_labels_regularised",
        "Inception V3 fits random labels of ImageNet with weight decay too, and with dropout on top.",
        "section 3, table 2",
        f"training accuracy ≥ {FITTED} %, which leaves leeway (the paper's are 87.81 and 91.18)",
        each(REGULARISED, measures.train_accuracy, RANDOM, at_least=FITTED),
    ),
    Claim(
        "imagenet_random_labels_at_chance",
        "On random labels of ImageNet the test error is that of guessing.",
        "table 2",
        "three networks: test accuracy from 0.5 to 1.5 times chance (the paper's lie from 0.9 to 1.2)",
        each({"none": NONE} | REGULARISED, measures.times_chance, RANDOM, at_least=0.5, at_most=1.5),
    ),
    Claim(
        "imagenet_unchanged_hyperparameters",
        "Random labels of ImageNet need no other hyperparameters.",
        "section 2.1, table 2",
        "0 settings differ between random and true labels, the number of epochs aside, and with them training "
        f"accuracy on random labels ≥ {FITTED} %, which leaves leeway (the paper's is 95.20)",
        (
            Check(
                "settings",
                measures.changed_settings,
                (RANDOM.format(NONE), TRUE.format(NONE)),
                at_most=0,
                exact=True,
            ),
            Check("training accuracy", measures.train_accuracy, (RANDOM.format(NONE),), at_least=FITTED),
        ),
    ),
    Claim(
        "imagenet_regularisers_help",
        "On ImageNet top-1 accuracy without any regulariser falls by 18 points.",
        "section 3, table 2",
        "test accuracy with all regularisers minus with none ≥ 9 points, half of the paper's 18.04",
        (Check("top-1", measures.test_gain, (TRUE.format(ALL), TRUE.format(NONE)), at_least=9),),
    ),
    Claim(
        "imagenet_generalises_without_regularisers",
        "On ImageNet top-1 accuracy without any regulariser stays far above chance.",
        "section 3, table 2",
        "test accuracy divided by that with all regularisers ≥ 0.7 (the paper's is 0.77), and ≥ 5 times chance (598)",
        (
            Check("share", measures.test_share, (TRUE.format(NONE), TRUE.format(ALL)), at_least=0.7),
            Check("times chance", measures.times_chance, (TRUE.format(NONE),), at_least=5),
        ),
    ),
    Claim(
        "imagenet_augmentation_beats_weight_decay",
        "On ImageNet augmentation alone helps more than weight decay alone.",
        "section 3, table 2",
        "test accuracy with augmentation minus with weight decay > 0 points (the paper's is 5.77)",
        (Check("top-1", measures.test_gain, (TRUE.format(AUGMENT), TRUE.format(WD)), above=0),),
    ),
    Claim(
        "imagenet_early_stopping_gains",
        "On ImageNet early stopping gains several points, where it gained nothing on CIFAR-10.",
        "section 3.1, table 2, figure 2a",
        "best minus final test accuracy ≥ half of the paper's gain",
        tuple(
            Check(f"{label} (paper {gain})", measures.early_stopping_gain, (cell,), at_least=gain / 2)
            for label, cell, gain in (
                ("no regulariser", TRUE.format(NONE), 3.36),
                ("weight decay", TRUE.format(WD), 5.39),
            )
        ),
    ),
    Claim(
        "imagenet_top5_near_alexnet",
        "On ImageNet top-5 accuracy without explicit regularisation is near that of AlexNet in 2012.",
        "section 3, table 2",
        f"top-5 test accuracy after the last epoch, and the best, ≥ {ALEXNET_2012 - 5:.1f} %, 5 points below "
        "AlexNet's (the paper's are 80.38 and 84.49)",
        tuple(
            Check(f"{when} epoch", measures.top5(key), (TRUE.format(NONE),), at_least=ALEXNET_2012 - 5)
            for when, key in (("last", "test_accuracy_top5"), ("best", "best_test_accuracy_top5"))
        ),
    ),
    Claim(
        "imagenet_misprint",
        f"Table 2 prints {PRINTED:.2f} for weight decay alone where {MEANT:.2f} is meant: top-5 is 100.0, and the "
        "curve of figure 2a ends there.",
        "finding on table 2 and figure 2a",
        f"training accuracy nearer to {MEANT:.2f} than to {PRINTED:.2f}: ≥ {NEARER:.1f} %; the paper's curve "
        "ends there too",
        (
            Check("weight decay", measures.train_accuracy, (TRUE.format(WD),), at_least=NEARER),
            Check("paper's curve", papers_last_accuracy, (), at_least=NEARER, exact=True),
        ),
    ),
    Claim(
        "imagenet_parameters",
        "The 23,885,392 parameters listed as the paper's are Inception V3 with 1008 outputs, and running statistics counted.",
        "finding on the sizes listed for ImageNet",
        "parameters of that network, without auxiliary head = 23,885,392, a number whose place in the paper is not known",
        (Check("parameters", papers_parameters, (), at_least=23_885_392, at_most=23_885_392, exact=True),),
    ),
)
