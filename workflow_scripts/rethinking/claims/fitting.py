"""Claims of section 2: networks fit random labels and noise, and how long that takes."""

from rethinking.claims import measures
from rethinking.claims.forms import FIGURE_1, INCEPTION, NETWORKS, OVER_P, RANDOM, TRUE, Claim, each, fit
from rethinking.claims.verdicts import Check
from rethinking.paper.titles import MODEL_TITLES

AT_END = "at the end of an epoch (moving average over batches)"  # as the paper's curves
FITTED = "training accuracy ≥ 99 % (the paper's lowest is 99.34)"
SAME_SETTINGS = each(NETWORKS, measures.changed_settings, RANDOM, TRUE, label="{}, settings", at_most=0, exact=True)

RANDOM_LABELS = (
    *(
        Claim(
            f"fits_random_labels_{network}",
            f"{MODEL_TITLES[network]} fits random labels.",
            "section 2.1, table 1",
            FITTED,
            fit([network]),
        )
        for network in NETWORKS
    ),
    Claim(
        "fits_random_labels",
        "Deep neural networks easily fit random labels: all five do.",
        "section 1, section 2.1, table 1",
        f"five networks: {FITTED}",
        fit(NETWORKS),
    ),
    Claim(
        "zero_training_loss",
        "On random labels AlexNet and the MLPs converge to zero training loss.",
        "section 2.1",
        f"three networks: training loss {AT_END} divided by that of guessing, ≤ 0.1 in the last epoch",
        each(
            ("alexnet", "mlp_3x512", "mlp_1x512"),
            measures.remaining_loss,
            RANDOM,
            at_most=measures.ALMOST_DONE,
        ),
    ),
    Claim(
        "unchanged_hyperparameters",
        "Random labels need no other hyperparameters, not even another learning rate schedule.",
        "section 2.1",
        "five networks: 0 settings differ between random and true labels, the number of epochs aside, and with them "
        "training accuracy on random labels ≥ 99 %",
        SAME_SETTINGS + fit(NETWORKS, label="{}, training accuracy"),
    ),
    Claim(
        "random_labels_at_chance",
        "On random labels the test error is no better than that of guessing.",
        "section 1, table 1",
        # At 1.1 times, three seeds of networks that guess would be undecided as often as not: of 10,000 images a guesser
        # has 10 ± 0.3 % right.
        "five networks: test accuracy ≤ 1.2 times chance (the paper's lie from 0.98 to 1.06)",
        each(NETWORKS, measures.times_chance, RANDOM, at_most=1.2),
    ),
    Claim(
        "true_labels_generalise",
        "The same networks generalise on true labels.",
        "table 1",
        "five networks: test accuracy ≥ 4 times chance (the paper's lowest is 5.05 times)",
        each(NETWORKS, measures.times_chance, TRUE, at_least=4),
    ),
    Claim(
        "labels_alone_open_the_gap",
        "Randomising the labels alone makes the generalisation error jump; network and optimiser stay the same.",
        "section 1, table 1",
        "five networks: training minus test accuracy grows by ≥ 20 points (the paper's least growth is 39), and 0 "
        "settings differ, the number of epochs aside",
        each(NETWORKS, measures.gap_growth, RANDOM, TRUE, label="{}, growth", at_least=20) + SAME_SETTINGS,
    ),
    Claim(
        "more_parameters_than_images",
        "The networks have more parameters than there are training images.",
        "section 1, table 1",
        "five networks: parameters per training image > 1 (the paper's are 24 to 35)",
        each(NETWORKS, measures.parameters_per_image, TRUE, above=1, exact=True),
    ),
)

COURSE_OF_TRAINING = (
    *(
        Claim(
            f"fits_{corruption}",
            f"{inputs} fitted too.",
            "section 2.1, figure 1a",
            "training accuracy ≥ 99 %, as for random labels",
            fit(INCEPTION, f"{corruption}/{{}}/none"),
        )
        for corruption, inputs in (
            ("shuffled_pixels", "Images that are all shuffled by the same permutation of pixels are"),
            ("random_pixels", "Images that are each shuffled by a permutation of their own are"),
            ("gaussian", "Gaussian noise in place of images is"),
        )
    ),
    *(
        Claim(
            name,
            statement,
            "section 2.1, figure 1a",
            f"epochs (interpolated) until training loss {AT_END} falls below 90 % of that of guessing, on random labels "
            "minus on the other data, > 0",
            each(INCEPTION, measures.start_delay, RANDOM, f"{early}/{{}}/none", above=0),
        )
        for name, statement, early in (
            (
                "random_labels_start_late",
                "Random labels take longer to start converging than true labels.",
                "true_labels",
            ),
            ("random_pixels_start_sooner", "Random pixels start converging before random labels.", "random_pixels"),
            ("gaussian_starts_sooner", "Gaussian noise starts converging before random labels.", "gaussian"),
        )
    ),
    Claim(
        "fast_once_started",
        "Once the fitting of random labels starts, it converges quickly.",
        "section 2.1, figure 1a",
        f"epochs (interpolated) until training loss {AT_END} falls below 90 % of that of guessing, "
        "minus those from there to 10 %, > 0",
        each(INCEPTION, measures.wait_beyond_fall, RANDOM, above=0),
    ),
)

PARTLY_CORRUPTED_LABELS = (
    Claim(
        "fits_every_corruption",
        "Labels are fitted whatever share of them is corrupted.",
        "section 2.1",
        f"three networks, p = 0, 0.1, ..., 1: {FITTED}",
        tuple(check for tenth, cell in enumerate(OVER_P) for check in fit(FIGURE_1, cell, f"{{}}, p = {tenth / 10:g}")),
    ),
    Claim(
        "small_constant_factor",
        "Fitting random labels takes longer only by a small constant factor.",
        "section 1, figure 1b",
        f"three networks: epochs (interpolated) until online training accuracy {AT_END} is 99 %, "
        "on random labels divided by those on true labels, ≤ 4 (the paper's are 1.5 to 3.6)",
        each(FIGURE_1, measures.fit_time_ratio, RANDOM, TRUE, at_most=4),
    ),
    Claim(
        "slower_with_corruption",
        "The more labels are corrupted, the longer the fitting takes.",
        "section 2.1, figure 1b",
        "three networks: rank correlation of p and epochs (interpolated) until online training accuracy "
        f"{AT_END} is 99 %, ≥ 0.9",
        each(FIGURE_1, measures.fit_time_trend, *OVER_P, at_least=0.9),
    ),
    Claim(
        "steady_deterioration",
        "Test error grows steadily with the corruption of the training labels.",
        "section 1, figure 1c",
        "three networks: rank correlation of p and test error, on true and on equally corrupted labels, ≥ 0.9",
        each(FIGURE_1, measures.test_error_trend, *OVER_P, label="{}, true labels", at_least=0.9)
        + each(FIGURE_1, measures.corrupted_test_error_trend, *OVER_P, label="{}, corrupted labels", at_least=0.9),
    ),
    Claim(
        "signal_beside_noise",
        "Networks catch the signal that is left in the data while they fit the noise by brute force.",
        "section 1",
        "three networks at p = 0.5: training accuracy ≥ 99 % and test accuracy ≥ 2 times chance",
        fit(FIGURE_1, "labels_p0.5/{}/none", "{}, training accuracy")
        + each(FIGURE_1, measures.times_chance, "labels_p0.5/{}/none", label="{}, times chance", at_least=2),
    ),
    Claim(
        "order_of_networks",
        "Whatever the corruption, the Inception generalises better than AlexNet, and AlexNet better than the MLP.",
        "figure 1c",
        "p = 0, 0.1, ..., 0.7 (in the figure the curves meet beyond): differences of test accuracy > 0",
        tuple(
            Check(
                f"{MODEL_TITLES[better]} − {MODEL_TITLES[worse]}, p = {tenth / 10:g}",
                measures.test_gain,
                (cell.format(better), cell.format(worse)),
                above=0,
            )
            for tenth, cell in enumerate(OVER_P[:8])
            for better, worse in (("inception", "alexnet"), ("alexnet", "mlp_1x512"))
        ),
    ),
)

BEYOND_THE_PAPER = tuple(
    Claim(
        name,
        statement,
        "beyond the paper",
        f"three networks, p = 0.2, 0.5, 0.8, {epoch} epoch, images with a changed label: share predicted as "
        f"{order}, > 0",
        tuple(
            check
            for p in (0.2, 0.5, 0.8)
            for check in each(FIGURE_1, measure, f"labels_p{p}/{{}}/none", label=f"{{}}, p = {p}", above=0)
        ),
    )
    for name, statement, epoch, order, measure in (
        (
            "truth_first",
            "At first, networks predict the true class of images with a wrong label.",
            "first",
            "their true class minus share predicted as labelled",
            measures.truth_lead,
        ),
        (
            "memory_last",
            "In the end, networks predict the wrong label that they were given.",
            "last",
            "labelled minus share predicted as their true class",
            measures.memory_lead,
        ),
    )
)
