"""Theorem 1, lemma 1 and corollary 1 (section 4, appendix C): ReLU networks that fit any labels with 2n + d weights.

A direction a projects the images z_i to distinct numbers x_i = <a, z_i>. With thresholds b_1 < x_1 < b_2 < ... < b_n < x_n
the hidden units max(x_i - b_j, 0) of the n images form a lower triangular matrix A with x_i - b_i > 0 on its
diagonal, so A w = y has a solution for any labels y. A is never formed: the network's function is piecewise
linear, and its slope in each piece follows from the slope in the piece before, in n steps.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from rethinking.run.files import UserError
from rethinking.streams import stream

DIRECTION_BITS = 28  # of the entries of a, at most; see draw_direction
ROWS, UNITS = 256, 4096  # of a block of hidden units, which stays in the processor's cache


class InterpolatingNetwork(nn.Module):
    """The network of theorem 1 and corollary 1: 2n + d weights in one or more hidden layers.

    With one hidden layer it computes sum_j w_j max(<a, z> - b_j, 0). With several, each adds the terms of its
    share of the thresholds, and up to three more units pass x = <a, z> + shift (never negative on the images) and the
    positive and negative parts of the sum to the next layer.

    Args:
        direction: (d,) a.
        thresholds: (n,) b, ascending.
        weights: (n,) w.
        depth: number of layers with weights, as the paper counts: hidden layers and the output; 2 to n + 1, so that each
            hidden layer has a threshold.

    Raises:
        UserError: the depth is another.
    """

    def __init__(self, direction: Tensor, thresholds: Tensor, weights: Tensor, depth: int = 2) -> None:
        super().__init__()
        deepest = len(thresholds) + 1
        if not 2 <= depth <= deepest:
            raise UserError(
                f"expressivity.depths: a network for {len(thresholds):,} images has depth 2 to {deepest:,}, one more than "
                f"images, not {depth:,}"
            )
        self.direction = nn.Parameter(direction, requires_grad=False)
        self.thresholds = nn.Parameter(thresholds, requires_grad=False)
        self.weights = nn.Parameter(weights, requires_grad=False)
        self.depth = depth

    @property
    def layers(self) -> list[slice]:
        """Which thresholds each hidden layer has: n / (depth - 1), rounded up or down."""
        hidden = self.depth - 1
        ends = [round(len(self.thresholds) * layer / hidden) for layer in range(hidden + 1)]
        return [slice(*pair) for pair in pairwise(ends)]

    @property
    def width(self) -> int:
        """Units of the widest hidden layer: all but the last pass x on, and all but the first the parts of the sum.

        At most 6 n / k for each depth k: with k > 2 it is below n / (k - 1) + 4, and so up to k = n below
        (3/2 + 4) n / k; at k = n + 1 it is at most 4.
        """
        units = [part.stop - part.start for part in self.layers]
        last = len(units) - 1
        return max(count + (number < last) + 2 * (number > 0) for number, count in enumerate(units))

    @property
    def connections(self) -> int:
        """Weights and thresholds that are not zero, including those fixed to one; at most 9 (n + d).

        a counts once, as in the theorem. A unit of a later layer has a weight for x, and a unit before the last layer has
        two output weights, because its value enters both parts of the sum. Passing x on takes a threshold in the first
        layer and a weight in each later one but the last; the sum takes four weights between two later layers and two to
        the output. So depth k > 2 takes less than d + 4n + 5 (k - 1), and k - 1 is at most n.
        """
        n, later = len(self.thresholds), self.depth - 2
        if not later:
            return len(self.direction) + 2 * n
        parts = [part.stop - part.start for part in self.layers]
        return len(self.direction) + 2 * n + (n - parts[0]) + (n - parts[-1]) + later + 4 * (later - 1) + 2

    def forward(self, images: Tensor) -> Tensor:
        """Labels (m,) of images (m, d)."""
        return self.from_projections(project(images, self.direction))

    def from_projections(self, x: Tensor) -> Tensor:
        """Labels (m,) of images whose projections are (m,) x.

        The n units of an image are computed in blocks and discarded.
        """
        return torch.cat([self._forward_block(rows) for rows in x.split(ROWS)])

    def _forward_block(self, x: Tensor) -> Tensor:
        total = torch.zeros_like(x)
        # The threshold of the unit that passes x on; below it no later unit is active anyway.
        lowest = self.thresholds[0]
        for number, part in enumerate(self.layers):
            if number:
                x, total = (x - lowest).relu() + lowest, total.relu() - (-total).relu()
            for start in range(part.start, part.stop, UNITS):
                units = slice(start, min(start + UNITS, part.stop))
                total += (x[:, None] - self.thresholds[units]).clamp_(min=0) @ self.weights[units]
        return total


# ---- construction


def flat_pixels(images: np.ndarray) -> Tensor:
    """Images (n, channels, height, width) of bytes as (n, d)."""
    return torch.from_numpy(np.array(images).reshape(len(images), -1))


def draw_direction(d: int, seed: int, dataset: str) -> Tensor:
    """A random direction, float64 (d,), onto which bytes are projected without rounding.

    Its entries are integer multiples of a power of two between -1 and 1, so few that a sum of d products with bytes is
    exact in the 53 bits of float64, whatever the order and the blocks in which it is added up.
    """
    bound = 2 ** min(DIRECTION_BITS - 1, 53 - 8 - (d - 1).bit_length())
    draws = stream(seed, "projection", dataset).integers(-bound, bound, size=d, endpoint=True)
    return torch.from_numpy(draws / bound)


def project(images: Tensor, direction: Tensor) -> Tensor:
    """<a, z_i>, (n,) in the precision of a, of bytes (n, d); exact in float64 (see :func:`draw_direction`)."""
    return torch.cat([block.to(direction.dtype) @ direction for block in images.split(1024)])


def place_thresholds(projections: Tensor, offset: float) -> Tensor:
    """Interleaving thresholds b_1 < x_1 < b_2 < ... of lemma 1.

    Args:
        projections: (n,) ascending.
        offset: place of b_i between x_{i-1} (0) and x_i (1), exclusive. Beyond 1/2 the solution grows exponentially
            with n; see :func:`conditioning`.

    Raises:
        UserError: two projections are equal, or so close that no threshold fits between them in this precision.
    """
    gaps = torch.diff(projections)
    first = gaps.mean() if len(gaps) else torch.ones((), dtype=projections.dtype)
    before = torch.cat([(projections[0] - first)[None], projections[:-1]])
    thresholds = before + offset * (projections - before)
    between = (before < thresholds) & (thresholds < projections)
    if not between.all():
        raise UserError(
            f"in {str(projections.dtype).removeprefix('torch.')} {int((~between).sum()):,} of {len(between):,} "
            "projections are too close for a threshold between them"
        )
    return thresholds


@np.errstate(over="ignore", invalid="ignore")  # what is beyond float64 is inf, and its differences are nan
def solve_weights(projections: Tensor, thresholds: Tensor, labels: Tensor) -> Tensor:
    """w with A w = y for the triangular A of lemma 1, (n,), in O(n) time and memory.

    Let s_i be the slope after b_i, the sum of the first i weights. The function runs from (x_{i-1}, y_{i-1}) with slope
    s_{i-1} to b_i and from there with slope s_i to (x_i, y_i).

    Args:
        projections: (n,) ascending x.
        thresholds: (n,) interleaving b.
        labels: (n,) y.
    """
    x, b, y = (values.tolist() for values in (projections.double(), thresholds.double(), labels.double()))
    slopes = [y[0] / (x[0] - b[0])]
    for i in range(1, len(x)):
        bend = y[i - 1] + slopes[-1] * (b[i] - x[i - 1])  # the function at b_i
        slopes.append((y[i] - bend) / (x[i] - b[i]))
    return torch.from_numpy(np.diff(slopes, prepend=0.0)).to(projections.dtype)


def construct(
    projections: Tensor, labels: Tensor, direction: Tensor, offset: float, depth: int = 2
) -> InterpolatingNetwork:
    """The network that maps these projections to these labels, in the precision of the projections.

    Raises:
        UserError: two projections are too close in that precision.
    """
    x, order = torch.sort(projections)
    thresholds = place_thresholds(x, offset)
    weights = solve_weights(x, thresholds, labels[order])
    return InterpolatingNetwork(direction.to(x.dtype), thresholds, weights, depth)


# ---- conditioning


@np.errstate(over="ignore", invalid="ignore")  # as above
def conditioning(projections: Tensor, thresholds: Tensor, weights: Tensor) -> dict[str, float]:
    """Lemma 1 in numbers, in O(n).

    Args:
        projections: (n,) ascending x.
        thresholds: (n,) interleaving b.
        weights: (n,) w.

    Returns:
        ``smallest_diagonal``, min_i x_i - b_i; ``condition``, the condition number of A in the maximum norm (exact,
        because the elements of a row of A^-1 alternate in sign, so their absolute values follow a recursion; inf beyond
        float64); and ``amplification``, max_i sum_j |w_j| max(x_i - b_j, 0). Amplification times the unit roundoff of a
        number format estimates the error when the network is evaluated in that format.
    """
    x, b, w = (values.double().numpy() for values in (projections, thresholds, weights))
    diagonal = x - b
    count = np.arange(1, len(x) + 1)
    rows = count * x - np.cumsum(b)  # sums of the rows of A
    # Sums of absolute values in s_i = (y_i - y_{i-1} - (b_i - x_{i-1}) s_{i-1}) / (x_i - b_i) and w_i = s_i - s_{i-1}.
    of_labels = 1 / diagonal
    of_labels[1:] *= 2
    of_slope = np.append(0.0, (b[1:] - x[:-1]) / diagonal[1:])
    slope = largest = 0.0
    for own, before in zip(of_labels, of_slope, strict=True):
        largest = max(largest, own + (1 + before) * slope)
        slope = own + before * slope
    amplification = np.cumsum(np.abs(w)) * x - np.cumsum(np.abs(w) * b)
    return {
        "smallest_diagonal": float(diagonal.min()),
        "condition": float(rows.max() * largest),
        "amplification": float(amplification.max()),
    }


def smallest_eigenvalue(projections: Tensor, thresholds: Tensor) -> float:
    """The smallest eigenvalue of A by Arnoldi iteration on its inverse, which forward substitution applies.

    Small matrices (up to 64) are formed and passed to LAPACK. nan if the iteration fails, for example because numbers
    of the inverse are beyond float64, or if it does not end at one number from two starts: the eigenvalues of a badly
    conditioned triangular matrix, or of one whose diagonal varies little, are lost to rounding.
    """
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigs

    n = len(projections)
    if n <= 64:
        matrix = (projections[:, None] - thresholds).clamp(min=0).double().numpy()
        return float(np.abs(np.linalg.eigvals(matrix)).min())

    def solve(vector: np.ndarray) -> np.ndarray:
        labels = torch.from_numpy(np.ascontiguousarray(vector.ravel()))
        return solve_weights(projections.double(), thresholds.double(), labels).numpy()

    rng = stream(0, "start of Arnoldi's iteration")
    inverse = LinearOperator((n, n), matvec=solve, dtype=np.float64)
    try:
        first, second = (
            1 / np.abs(eigs(inverse, k=1, v0=rng.standard_normal(n), tol=1e-8, return_eigenvectors=False)[0])
            for _ in range(2)
        )
    except ArpackError:
        return math.nan
    return float(first) if math.isclose(first, second, rel_tol=1e-6) else math.nan


# ---- measurements


def largest_error(outputs: Tensor, labels: Tensor) -> tuple[float, float]:
    """Largest distance of an output from its label, and the percentage of outputs that round to their label."""
    distance = (outputs.double() - labels.double()).abs()
    return float(distance.max()), 100 * float((distance < 0.5).double().mean())


def error_by_size(
    projections: Tensor,
    labels: Tensor,
    direction: Tensor,
    sizes: Sequence[int],
    offsets: Sequence[float],
    precisions: Sequence[str],
) -> list[dict[str, object]]:
    """How exactly networks fit the first n images, over n and number formats.

    Returns:
        One dictionary per size, offset and format. ``largest_error`` is nan if projections are equal in the format, or
        too close for a threshold between them, so that there is no network. ``bits_needed`` is the precision at which
        the amplified unit roundoff is 1/2, the distance at which a label is lost. It is an estimate from one rounding: the
        errors of CIFAR-10's images differ from it mostly by up to four bits, to either side.
    """
    rows = []
    for n in sizes:
        x, y = projections[:n], labels[:n]
        ordered = torch.sort(x).values
        for offset in offsets:
            exact = construct(x, y, direction, offset)
            facts = conditioning(ordered, exact.thresholds, exact.weights)
            needed = 2 * facts["amplification"]  # 0 where all labels are 0
            facts["bits_needed"] = math.log2(needed) if needed else 0.0
            for precision in precisions:
                row = {"n": n, "offset": offset, "precision": precision, **facts}
                dtype = getattr(torch, precision)
                try:
                    network = construct(x.to(dtype), y.to(dtype), direction, offset)
                    outputs = network.from_projections(x.to(dtype))
                    row["largest_error"], row["fitted"] = largest_error(outputs, y)
                except UserError:
                    row["largest_error"], row["fitted"] = math.nan, math.nan
                rows.append(row)
    return rows
