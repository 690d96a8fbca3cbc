"""Claims of section 3 and appendix E: what explicit and implicit regularisers do and do not do."""

from rethinking.claims import measures
from rethinking.claims.forms import CROPPED, INCEPTION, NETWORKS, RANDOM, TRUE, Claim, each, fit

FITS = "online training accuracy is 99 %"

REGULARISERS = (
    Claim(
        "regularisers_help",
        "Random cropping and weight decay improve generalisation by a few points.",
        "section 3, table 1",
        "two networks: test accuracy with both minus with none > 0 and ≤ 10 points (the paper's are 3.30 and 5.15)",
        each(CROPPED, measures.test_gain, "true_labels/{}/crop+wd", TRUE, above=0, at_most=10),
    ),
    Claim(
        "each_regulariser_helps",
        "Random cropping and weight decay each improve generalisation.",
        "section 3, table 1",
        "two networks: test accuracy with cropping, and with weight decay, minus with none > 0 (the paper's "
        "are 0.28 to 3.59; of its other networks the MLP 1×512 loses 0.12 with weight decay)",
        tuple(
            check
            for name, label in (("crop", "cropping"), ("wd", "weight decay"))
            for check in each(
                CROPPED, measures.test_gain, f"true_labels/{{}}/{name}", TRUE, label=f"{{}}, {label}", above=0
            )
        ),
    ),
    Claim(
        "cropping_beats_weight_decay",
        "Random cropping helps more than weight decay.",
        "section 3, table 1",
        "two networks: test accuracy with cropping minus with weight decay > 0",
        each(CROPPED, measures.test_gain, "true_labels/{}/crop", "true_labels/{}/wd", above=0),
    ),
    Claim(
        "regularisers_not_necessary",
        "Without any regulariser the networks still generalise very well.",
        "section 3, table 1",
        "five networks: test accuracy without regularisers divided by that with all regularisers of table 1 ≥ 0.9 "
        "(the paper's lowest is 0.94)",
        each(CROPPED, measures.test_share, TRUE, "true_labels/{}/crop+wd", at_least=0.9)
        + each(
            [network for network in NETWORKS if network not in CROPPED],
            measures.test_share,
            TRUE,
            "true_labels/{}/wd",
            at_least=0.9,
        ),
    ),
    Claim(
        "regularisers_not_sufficient",
        "Explicit regularisers do not by themselves control the generalisation error.",
        "section 1, appendix E",
        "Inception on random labels with each regulariser: training minus test accuracy ≥ 80 points (without any the paper "
        f"has 90), after at least as many epochs, unless it fits, as the network without regularisers takes until {FITS}",
        each(
            {"weight decay": "wd", "cropping": "crop", "flips and rotations": "augment"},
            measures.gap_at_chance,
            "random_labels/inception/{}",
            RANDOM.format("inception"),
            at_least=80,
        ),
    ),
    Claim(
        "architecture_matters_more",
        "Changing the architecture gains more than adding regularisation.",
        "section 3, table 1",
        "gain in test accuracy from the MLP 3×512 with weight decay to the Inception without regularisers, minus the "
        "Inception's gain by cropping and weight decay, > 0 points (the paper's gains are 32.4 and 3.3)",
        each(
            INCEPTION,
            measures.difference_of_gains,
            TRUE,
            "true_labels/{}/crop+wd",
            "true_labels/mlp_3x512/wd",
            above=0,
        ),
    ),
    Claim(
        "early_stopping_gains_nothing",
        "On CIFAR-10 early stopping has no benefit.",
        "section 3.1, figure 2b",
        "Inception with and without batch normalisation, trained for at least 1.5 times the epochs (interpolated) until "
        f"{FITS}: best minus final test accuracy ≤ 1 point",
        each(("inception", "inception_no_bn"), measures.overfitting, TRUE, at_most=1),
    ),
    Claim(
        "batch_norm_gain",
        "Batch normalisation gains 3 to 4 points of test accuracy.",
        "section 3.1, table 1",
        "Inception's test accuracy with batch normalisation minus without, both without and with weight decay: "
        "from 2 to 5 points (one of leeway)",
        each(
            {"no weight decay": "none", "weight decay": "wd"},
            measures.test_gain,
            "true_labels/inception/{}",
            "true_labels/inception_no_bn/{}",
            at_least=2,
            at_most=5,
        ),
    ),
    Claim(
        "batch_norm_steadies",
        "Batch normalisation makes training steadier.",
        "section 3.1, figure 2b",
        "mean fall of test accuracy from one epoch to the next, in points, 0 where it rises, until the first of the two "
        f"fits ({FITS}): without minus with batch normalisation > 0",
        each(INCEPTION, measures.excess_falls, "true_labels/inception_no_bn/none", TRUE, above=0),
    ),
    Claim(
        "weight_decay_still_fits",
        "With weight decay the Inception and both MLPs still fit random labels.",
        "appendix E, table 4",
        "three networks: training accuracy ≥ 99 % (the paper's lowest is 99.21)",
        fit(("inception", "mlp_3x512", "mlp_1x512"), "random_labels/{}/wd"),
    ),
    Claim(
        "weight_decay_stops_alexnet",
        "With weight decay AlexNet fails to fit random labels.",
        "appendix E, table 4",
        "training accuracy ≤ 50 % (the paper gives no number), after at least as many epochs as the network without "
        f"weight decay takes until {FITS}",
        each(["alexnet"], measures.failed_train_accuracy, "random_labels/{}/wd", RANDOM, at_most=50),
    ),
    *(
        Claim(
            name,
            f"With {what} random labels are still fitted.",
            "appendix E, table 4",
            f"online training accuracy of the last epoch ≥ 99 % (the paper's is {published})",
            each(INCEPTION, measures.online_train_accuracy, f"random_labels/{{}}/{regulariser}", at_least=99),
        )
        for name, what, regulariser, published in (
            ("cropping_still_fits", "random cropping", "crop", 99.93),
            ("augmentation_still_fits", "flips and rotations", "augment", 99.28),
        )
    ),
)
