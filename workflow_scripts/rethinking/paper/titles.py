"""How data sets, networks and regularisers are called in tables and figures."""

DATASET_TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "mnist": "MNIST", "digits": "digits"}
MODEL_TITLES = {
    "inception": "Inception",
    "inception_no_bn": "Inception w/o BatchNorm",
    "alexnet": "AlexNet",
    "mlp_3x512": "MLP 3×512",
    "mlp_1x512": "MLP 1×512",
}
# Headings have two lines, so that columns of yes and no stay narrow in print.
REGULARISER_HEADINGS = {
    "crop": ("random", "crop"),
    "augment": ("flip and", "rotation"),
    "wd": ("weight", "decay"),
}
# Exact fits of the same images (rethinking.theory.counterexamples).
FIT_TITLES = {
    "minimum_norm": "true labels, minimum norm",
    "random_centres": "true labels, centres at random points",
    "poisoned": "true labels, and random labels forced on the test images",
    "random_labels": "random labels, minimum norm",
}
