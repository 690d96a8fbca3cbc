"""Claims of section 2.2 on what the networks' capacity says about generalisation, and of section 6 on other measures."""

from rethinking import registry
from rethinking.claims import measures
from rethinking.claims.forms import FIGURE_1, NETWORKS, OVER_P, RANDOM, TRUE, Claim, each
from rethinking.claims.verdicts import Check

MEASURES = [measure for measure in registry.entries("measure") if not measure.own]
ONE_OF_MANY = "less decides nothing, as another example may move it further"
SAMPLES = (500, 5000, 50000)
# True and random labels of all networks, weight decay, and partly corrupted labels.
COMPARED = tuple(
    dict.fromkeys(
        cell.format(network)
        for networks, cells in ((NETWORKS, (TRUE, "true_labels/{}/wd", RANDOM)), (FIGURE_1, OVER_P))
        for network in networks
        for cell in cells
    )
)

CAPACITY = (
    Claim(
        "rademacher_complexity_is_one",
        "Networks fit random signs, so their Rademacher complexity is about 1 and the bound that follows is trivial.",
        "section 2.2",
        "five networks on 500, 5,000 and 50,000 images: twice the training accuracy on random signs minus 1 ≥ 0.98",
        tuple(
            check
            for n in SAMPLES
            for check in each(
                NETWORKS,
                measures.rademacher,
                f"random_signs_n{n}/{{}}/none",
                label=f"{{}}, n = {n:,}",
                at_least=0.98,
            )
        ),
    ),
    Claim(
        "rademacher_bound_misses_the_gap",
        "The bound by the Rademacher complexity is far above the generalisation error on true labels.",
        "section 2.2",
        "five networks that fit random signs, 50,000 images in two classes: complexity divided by the generalisation gap on "
        "true signs, as a fraction, ≥ 3 (2 if test images are guessed)",
        each(
            NETWORKS,
            measures.rademacher_per_gap,
            "random_signs_n50000/{}/none",
            "true_signs_n50000/{}/none",
            at_least=3,
        ),
    ),
    Claim(
        "uniform_stability_is_trivial",
        "Training is not uniformly stable: on random labels one example changes a network's output by a great deal.",
        "section 1.2, section 2.2",
        "five networks on random labels: replacing one training example moves the loss (one minus the "
        f"probability of the label) of some point by ≥ 0.5; {ONE_OF_MANY}",
        each(NETWORKS, measures.largest_change, "random_labels_replaced0/{}/none", at_least=0.5, lower_bound=True),
    ),
    Claim(
        "uniform_stability_ignores_labels",
        "Training is not uniformly stable on true labels either, so that does not tell networks that "
        "generalise from others.",
        "section 1.2, section 2.2",
        f"five networks on true labels: replacing one training example moves the loss of some point by ≥ 0.5; {ONE_OF_MANY}",
        each(NETWORKS, measures.largest_change, "true_labels_replaced0/{}/none", at_least=0.5, lower_bound=True),
    ),
    Claim(
        "no_measure_explains_the_gap",
        "No formal measure of complexity is known that explains why these networks generalise.",
        "section 2.2, section 6; most measures are beyond the paper",
        f"{len(MEASURES)} measures, {len(COMPARED)} cells: smallest of three rank correlations with the generalisation "
        "gap ≤ 0.8: over all pairs of cells, over those that differ in labels alone and over those that differ in the "
        "network alone",
        tuple(Check(measure.title, measures.weakest_tau(measure.name), COMPARED, at_most=0.8) for measure in MEASURES),
    ),
)
