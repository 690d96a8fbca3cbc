"""The tables and figures that the workflow makes: their files, and what a reader should look for in each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["table", "figure", "claims", "ablation"]


@dataclass(frozen=True)
class Artefact:
    """One table or figure."""

    name: str
    kind: Kind
    title: str
    caption: str  # what the paper shows, what to look for, how ours differs
    sections: tuple[str, ...]  # of the configuration; it is made if any of them has cells

    @property
    def filename(self) -> str:
        """The file that a report shows, in the folder of the results."""
        return f"{self.name}.{'svg' if self.kind == 'figure' else 'md'}"


CURVES = ("fig1a", "fig1b", "fig1c", "fig2b")
ARTEFACTS = (
    Artefact(
        "table1",
        "table",
        "Table 1: the same networks fit true and random labels",
        "The paper trains five networks on CIFAR-10. Each fits random labels to (almost) the last training image, "
        "with test accuracy at chance, although the same network with the same settings generalises on the true "
        "labels: what a network can fit does not explain that it generalises. Weight decay and random cropping "
        "raise the test accuracy by a few points; without them it stays far above chance. Look for training accuracies "
        "near 100 % and test accuracies near 10 % on random labels, and for the small differences between the rows of one "
        "network on true labels. Ours are means over seeds with their interval, after the last epoch; the paper "
        "gives one number each and not how long it trained.",
        ("table1",),
    ),
    Artefact(
        "table4",
        "table",
        "Table 4: explicit regularisers do not prevent fitting random labels",
        "The paper trains on random labels with regularisers switched on. With weight decay all networks still fit "
        "them, except AlexNet, which fails to converge; the Inception also fits them with random cropping and with "
        "flips and rotations, given more epochs and a slower schedule. Look for training accuracies near "
        "100 % in all rows but AlexNet's. With cropping and augmentation the paper measures the accuracy on the altered "
        "images of the training batches. It does not give its coefficients of weight decay, so ours may not be the same.",
        ("table4",),
    ),
    Artefact(
        "sizes",
        "table",
        "Sizes: more parameters than training images",
        "The paper starts from a count: its networks have more parameters than there are training images, 24 to 35 times as "
        "many on CIFAR-10, so that they have the means to store every label. Look for equal counts; "
        "a network with another number of parameters would not be the paper's. Nothing here is trained.",
        (),
    ),
    Artefact(
        "curve_differences",
        "table",
        "Differences between our curves and the paper's",
        "How far our curves lie from the paper's, point by point, where the figures show it to the eye. "
        "The paper's values are read off its vector graphics and come from one run each. Look for differences near zero "
        "at full scale; where ours saw fewer images, large ones are to be expected and say nothing against the paper.",
        CURVES,
    ),
    Artefact(
        "fig1a",
        "figure",
        "Figure 1a: training loss on true and corrupted data",
        "In the paper the loss of the Inception falls to zero on all five data sets, with unchanged settings. On random "
        "labels it stays at its start for a while and then falls quickly; random pixels and Gaussian noise are fitted sooner "
        "than random labels, because such images lie further apart than natural images of one class. Look for "
        "solid lines that reach zero, and for their order. The paper's lines are dashed. Epochs are compared: where ours saw fewer "
        "images, an epoch has fewer steps, so that the same epoch is earlier in training. The loss is that of "
        "about the last ten batches of an epoch, as in the paper.",
        ("fig1a",),
    ),
    Artefact(
        "fig1b",
        "figure",
        "Figure 1b: relative time to overfit over the label corruption",
        "In the paper the time until the training set is fitted grows smoothly with the share of labels that are replaced, "
        "and only by a small factor: at p = 1 it is 3.6 times that of the true labels for the Inception, 2.0 for the "
        "MLP 1×512, 1.5 for AlexNet. So fitting random labels is hardly harder than fitting true ones. Look for "
        "lines that rise slowly and end at a small factor. The paper does not say when a training set counts as fitted, so each "
        "panel shows another threshold, on what its other curves show: moving averages over batches at the end of an "
        "epoch. A network that does not reach it in every seed has an arrow in place of a point.",
        ("fig1b",),
    ),
    Artefact(
        "fig1c",
        "figure",
        "Figure 1c: test error over the label corruption",
        "All these networks fit their training labels, so the test error shows how well they generalise. In the paper it rises "
        "steadily with the share of replaced labels, up to chance (90 %) at p = 1: the networks still find what signal is "
        "left while they memorise the rest. Look for lines that rise without a jump and meet at 90 %. The paper's errors are "
        "too high for true test labels; they fit test labels that were corrupted like the training labels. Both are shown.",
        ("fig1c",),
    ),
    Artefact(
        "fig2b",
        "figure",
        "Figure 2b: with and without batch normalisation",
        "The paper follows the accuracy of the Inception on true labels. Batch normalisation makes training "
        "smoother and adds 3 to 4 points of test accuracy, no more; and as the test accuracy does not fall later, stopping "
        "early would gain nothing. Look for a test accuracy that keeps level once the training accuracy is at 100 %, and for a small gap "
        "between the two networks. The learning rate of the network without batch normalisation is not in the paper and "
        "is lower here.",
        ("fig2b",),
    ),
    Artefact(
        "memorisation",
        "figure",
        "Memorisation: what is learnt first when some labels are wrong",
        "Not in the paper. During training with partly random labels the images are split into those that kept their true "
        "label and those that did not. If networks learn what generalises before they memorise, the unchanged images are fitted first "
        "and the changed ones are at first predicted as what they really show. Look for an accuracy against the true label "
        "that rises and then falls as the given labels are memorised.",
        ("memorisation",),
    ),
    Artefact(
        "rademacher",
        "table",
        "Section 2.2: Rademacher complexity",
        "If a network fits random signs on n images, its Rademacher complexity on them is 1, and the bound on the generalisation gap "
        "that follows from it says nothing. The paper concludes this from its random labels; here it is measured on samples of the "
        "training set. What the number of weights bounds (the VC dimension) is no better. Look for complexities near 1 beside gaps that are far smaller, "
        "and differ between networks and sizes.",
        ("capacity",),
    ),
    Artefact(
        "stability",
        "table",
        "Section 2.2: uniform stability",
        "Uniform stability asks how far the loss at any point can move when one training example is replaced, whatever the data "
        "are. The paper discards it for that reason: a property of the algorithm alone, the same for true and random labels, cannot tell "
        "why one of them generalises. Here examples are replaced and the networks trained again. Look for a largest change on random labels far above "
        "1 / √n, where bounds begin to say something: it counts for true labels as well, however stable training is on them.",
        ("capacity",),
    ),
    Artefact(
        "capacity",
        "figure",
        "Section 2.2: Rademacher complexity and stability beside the gap",
        "Left: what networks fit of random signs (solid) and their generalisation gap on the true signs of the same images (dashed). "
        "Right: the largest change of the loss at any point when one training example is replaced. Look for solid lines at 1 above "
        "dashed ones that are low and differ, and for a large change on random labels: it is what a bound that "
        "does not depend on the labels has to reckon with.",
        ("capacity",),
    ),
    Artefact(
        "complexity",
        "table",
        "Complexity: does any measure explain the generalisation gap?",
        "Not in the paper, which ends by saying that no formal measure is known under which these networks are simple. Some "
        "that were proposed are taken here on its own networks and compared with the gap between training and test accuracy by "
        "Kendall's rank correlation τ: 1 if the measure orders the networks as the gap does, 0 if it tells nothing of it. A measure that "
        "explained generalisation would have a τ near 1 in all three columns: whatever differs between two networks, where "
        "only their data differ, and where only the networks or their regularisers differ on the same data.",
        ("complexity",),
    ),
    Artefact(
        "complexity_measures",
        "figure",
        "Complexity: the gap over each measure",
        "Not in the paper. The networks behind the rank correlations, one point each. A measure that explained generalisation "
        "would have all points on one rising curve, whatever their shape and filling. Look for networks of one kind with small and with "
        "large gaps at the same place, as there must be over the number of parameters.",
        ("complexity",),
    ),
    Artefact(
        "table3",
        "table",
        "Table 3: linear models that fit the training labels exactly",
        "The paper solves Kα = y for all training images, without any regularisation, and still generalises well: 1.2 % test "
        "error on MNIST, 0.6 % on Gabor features, 46 % on the pixels of CIFAR-10, 17 % on a random convolutional network and 15 % with "
        "an l2 penalty. Look for training errors and misfits of zero beside test errors near the paper's. A linear kernel on "
        "pixels cannot fit exactly, and neither can fewer features than images; these rows show by how much. The paper does not give its filters, "
        "gamma and penalty; ours are chosen on a part of the training set.",
        ("linear_models",),
    ),
    Artefact(
        "norms",
        "table",
        "Norms: the minimum norm does not predict the test error",
        "Of all exact fits that of minimum norm is found by SGD. The paper finds norms of about 220 on the pixels of MNIST and 390 on Gabor features, "
        "although the latter have half the error. Below are exact fits of the same labels that are far worse, with centres at random points or with "
        "random labels forced on the test images, and the fit of random labels. Look for a norm that rises from pixels to Gabor "
        "features while the error falls, and for much larger norms of the bad fits: within one kernel the norm tells them apart.",
        ("linear_models",),
    ),
    Artefact(
        "expressivity",
        "table",
        "Theorem 1: 2n + d weights fit any labels",
        "The paper proves that a two-layer ReLU network with 2n + d weights can fit any labels of n images in d dimensions, and that depth k "
        "does with width O(n / k). Here the networks of the proof are built and evaluated on the images. Look for errors "
        "far below 1/2, true and random labels alike, and for a smallest eigenvalue equal to the least distance of lemma 1.",
        ("expressivity",),
    ),
    Artefact(
        "expressivity_precision",
        "figure",
        "Theorem 1: the precision that it takes",
        "Not in the paper. The proof holds for real numbers; in a computer the weights that it gives are large and of both signs, so that "
        "rounding errors grow with n. Look for the size at which each number format begins to lose labels, and for how much "
        "the place of the thresholds matters, which the proof leaves open.",
        ("expressivity",),
    ),
    Artefact(
        "kernel_sensitivity",
        "figure",
        "Linear models: what gamma and the penalty change",
        "Not in the paper. Each model on a part of the training set, with the error on another part. Look for flat minima: where they are "
        "flat, what the paper leaves open matters little.",
        ("linear_models",),
    ),
    Artefact(
        "filters",
        "figure",
        "Random filters: the error falls with their number",
        "The paper gives the error of 32,000 random filters alone, 17 %, and 15 % with an l2 penalty. Look for an error that falls with "
        "their number when there is a penalty, although nothing of the filters is learnt. Without one it need not: features that are just "
        "enough for an exact fit, near the dotted line, can do worse than fewer and than many more.",
        ("linear_models",),
    ),
    Artefact(
        "descent",
        "figure",
        "SGD from zero finds the exact fit of minimum norm",
        "The paper explains why SGD on a linear model prefers one of many exact fits: started at zero, w stays in the span of the images, where "
        "only the fit of minimum norm is exact. Look for a distance that goes to zero from zero, and from a random start to the part of the start that no "
        "step can change, although both fit the labels equally well.",
        ("linear_models",),
    ),
    Artefact(
        "claims",
        "claims",
        "What the paper states, checked against our numbers",
        "Each statement of the paper is written as a condition on numbers, and the verdict is computed from ours: supported, "
        "contradicted, or undecided where the interval over seeds leaves both open or networks are missing. A verdict "
        "holds for the data and the scale that it was measured at, which may not be the paper's.",
        (
            *("table1", "table4", *CURVES, "memorisation", "capacity", "complexity"),
            *("expressivity", "linear_models"),
        ),
    ),
    Artefact(
        "ablations",
        "ablation",
        "Ablations: what if a guessed setting were another",
        "The paper leaves some settings open. Here they are varied one at a time, to see whether its conclusions depend "
        "on what we took. Look for differences that are large beside the interval over seeds.",
        ("ablations",),
    ),
)


def wanted(sections: Iterable[str]) -> list[Artefact]:
    """The artefacts that a configuration asks for, given the names of its sections that have cells."""
    return [each for each in ARTEFACTS if not each.sections or set(each.sections) & set(sections)]
