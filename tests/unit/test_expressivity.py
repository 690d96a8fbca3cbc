"""Theorem 1, lemma 1 and corollary 1 against dense linear algebra."""

import math

import numpy as np
import pytest
import torch

from rethinking.run.files import UserError
from rethinking.theory import expressivity


@pytest.fixture(scope="module")
def sample():
    """60 images of 20 bytes, labels, a direction and projections."""
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (60, 20), dtype=np.uint8))
    labels = torch.from_numpy(rng.integers(0, 10, 60)).double()
    direction = expressivity.draw_direction(20, 0, "made up")
    return images, labels, direction, expressivity.project(images, direction)


def matrix(projections, thresholds):
    return (torch.sort(projections).values[:, None] - thresholds).clamp(min=0).numpy()


@pytest.mark.parametrize("offset", [0.25, 0.75])
def test_a_threshold_that_rounds_to_one_of_its_neighbours_is_none(offset):
    """Between neighbouring numbers of a format; at the upper one the diagonal would be 0."""
    neighbours = torch.tensor([1.0, 1 + 2**-10, 1 + 2**-9], dtype=torch.float16)
    with pytest.raises(UserError, match="in float16 3 of 3 projections are too close for a threshold between them"):
        expressivity.place_thresholds(neighbours, offset)
    thresholds = expressivity.place_thresholds(neighbours.float(), offset)
    assert (thresholds < neighbours).all()
    assert (thresholds[1:] > neighbours[:-1]).all()


@pytest.mark.parametrize("offset", [0.05, 0.25, 0.5])
def test_weights_solve_the_triangular_system(sample, offset):
    _, labels, direction, x = sample
    network = expressivity.construct(x, labels, direction, offset)
    expected = np.linalg.solve(matrix(x, network.thresholds), labels[torch.argsort(x)])
    assert np.allclose(network.weights, expected, rtol=1e-8)


def test_thresholds_lie_at_their_place_between_projections():
    """Before the first projection is a gap of mean size."""
    x = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64)
    assert expressivity.place_thresholds(x, 0.25).tolist() == [-1.125, 0.25, 1.5]


@pytest.mark.parametrize("depth", [2, 3, 4, 8, 60, 61])
def test_every_depth_fits_every_image(sample, depth):
    images, labels, direction, x = sample
    network = expressivity.construct(x, labels, direction, 0.25, depth)
    assert expressivity.largest_error(network(images), labels) == (pytest.approx(0, abs=1e-8), 100)
    assert sum(parameter.numel() for parameter in network.parameters()) == 2 * 60 + 20
    assert network.width <= -(-60 // (depth - 1)) + 3


def as_matrices(network):
    """(matrix, thresholds) of each hidden layer, whose units are own ones, x and both parts of the sum; output weights."""
    layers, output = [], None
    lowest = network.thresholds[:1]
    for number, part in enumerate(network.layers):
        own, passes = network.thresholds[part], int(number < len(network.layers) - 1)
        if number == 0:  # of <a, z>
            matrix = torch.ones(len(own) + passes, 1).double()
            thresholds = torch.cat([own, lowest[:passes]])
        else:
            matrix = torch.zeros(len(own) + passes + 2, len(output)).double()
            matrix[:-2, len(network.thresholds[network.layers[number - 1]])] = 1
            matrix[-2], matrix[-1] = output, -output
            thresholds = torch.cat([own - lowest, torch.zeros(passes + 2)])
        layers.append((matrix, thresholds))
        sums = torch.tensor([1.0, -1.0] if number else [])
        output = torch.cat([network.weights[part], torch.zeros(passes), sums])
    return layers, output


@pytest.mark.parametrize("depth", [2, 3, 4, 7])
def test_connections_are_those_of_the_network_as_matrices(depth):
    draws = np.random.default_rng(depth)
    thresholds = torch.from_numpy(np.sort(draws.uniform(1, 9, 13)))
    network = expressivity.InterpolatingNetwork(
        torch.ones(5).double(), thresholds, torch.from_numpy(draws.standard_normal(13)), depth
    )
    layers, output = as_matrices(network)
    x = torch.linspace(0, 10, 50).double()
    values = x[:, None]
    for matrix, below in layers:
        values = (values @ matrix.T - below).relu()
    assert torch.allclose(values @ output, network.from_projections(x), rtol=1e-12)
    counted = [output, *(below for _, below in layers), *(matrix for matrix, _ in layers[1:])]
    assert network.connections == 5 + sum(int(each.count_nonzero()) for each in counted)
    assert network.width == max(len(below) for _, below in layers)


def test_width_and_connections_have_one_bound_at_all_depths():
    """Those of the claim on corollary 1; images of one value leave the connections least room."""
    for n in range(1, 60):
        for depth in range(2, n + 2):
            network = expressivity.InterpolatingNetwork(torch.ones(1), torch.arange(n), torch.ones(n), depth)
            assert all(part.stop > part.start for part in network.layers)
            assert network.width * depth <= 6 * n
            assert network.connections <= 9 * (n + 1)


@pytest.mark.parametrize("depth", [1, 62])
def test_a_depth_without_thresholds_for_each_layer_is_refused(sample, depth):
    _, labels, direction, x = sample
    with pytest.raises(UserError, match=rf"expressivity\.depths: .* 60 images has depth 2 to 61, .* not {depth}"):
        expressivity.construct(x, labels, direction, 0.25, depth)


def test_images_far_from_the_sample_do_not_disturb_deep_networks(sample):
    _, labels, direction, x = sample
    shallow, deep = (expressivity.construct(x, labels, direction, 0.25, depth) for depth in (2, 5))
    others = torch.tensor([-1e6, float(x.min()) - 1, float(x.max()) + 1, 1e6]).double()
    assert torch.allclose(shallow.from_projections(others), deep.from_projections(others), rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("offset", [0.1, 0.25, 0.5])
def test_conditioning_is_that_of_the_dense_matrix(sample, offset):
    _, labels, direction, x = sample
    network = expressivity.construct(x, labels, direction, offset)
    facts = expressivity.conditioning(torch.sort(x).values, network.thresholds, network.weights)
    dense = matrix(x, network.thresholds)
    assert facts["condition"] == pytest.approx(np.linalg.cond(dense, np.inf), rel=1e-6)
    assert facts["smallest_diagonal"] == pytest.approx(np.diag(dense).min())
    assert facts["amplification"] == pytest.approx((dense @ np.abs(network.weights.numpy())).max())


def test_smallest_eigenvalue_is_the_smallest_distance():
    rng = np.random.default_rng(1)
    x = torch.sort(torch.from_numpy(rng.random(500))).values
    thresholds = expressivity.place_thresholds(x, 0.25)
    expected = float((x - thresholds).min())
    assert expressivity.smallest_eigenvalue(x, thresholds) == pytest.approx(expected, rel=1e-8)
    small = expressivity.place_thresholds(x[:20], 0.25)
    assert expressivity.smallest_eigenvalue(x[:20], small) == pytest.approx(float((x[:20] - small).min()))


def test_smallest_eigenvalue_is_that_of_a_matrix_that_hides_its_triangle():
    """Of Q A Q', which has the eigenvalues of A and no zeros; computed from A itself, they are its diagonal."""
    rng = np.random.default_rng(2)
    x = torch.sort(torch.from_numpy(rng.random(12))).values
    thresholds = expressivity.place_thresholds(x, 0.25)
    rotation, _ = np.linalg.qr(rng.standard_normal((12, 12)))
    hidden = rotation @ matrix(x, thresholds) @ rotation.T
    expected = np.abs(np.linalg.eigvals(hidden)).min()
    assert expressivity.smallest_eigenvalue(x, thresholds) == pytest.approx(expected, rel=1e-6)


def test_the_smallest_eigenvalue_bounds_no_weights():
    """The matrix is not symmetric. The numbers are those of docs/results.md."""
    x, y = torch.arange(100).double(), torch.from_numpy(np.random.default_rng(0).integers(0, 10, 100)).double()
    thresholds = expressivity.place_thresholds(x, 0.75)
    eigenvalue = np.diag(matrix(x, thresholds)).min()  # of a triangular matrix
    assert 150 < y.norm() / eigenvalue < 250
    assert 1e47 < expressivity.solve_weights(x, thresholds, y).norm() < 1e49


@pytest.mark.filterwarnings("error")
def test_weights_beyond_float64_are_infinite_without_a_warning():
    """Slopes of 1e308 and -1e308, as large offsets have them: their difference is the second weight."""
    x, thresholds, y = (torch.tensor(pair, dtype=torch.float64) for pair in ((0, 1), (-1e-308, 0.5), (1, 0)))
    assert expressivity.solve_weights(x, thresholds, y)[1] == -np.inf


def test_of_projections_at_equal_distances_no_eigenvalue_is_reported():
    """A matrix with one eigenvalue a hundred times and one eigenvector."""
    x = torch.arange(100).double()
    assert np.isnan(expressivity.smallest_eigenvalue(x, expressivity.place_thresholds(x, 0.25)))


@pytest.mark.parametrize("offset", [0.5, 0.6])
def test_an_eigenvalue_that_rounding_hides_is_not_reported(offset):
    """From a half on the inverse of the matrix is so far from normal that iterations end anywhere."""
    rng = np.random.default_rng(1)
    x = torch.sort(torch.from_numpy(rng.random(1000))).values
    thresholds = expressivity.place_thresholds(x, offset)
    found = expressivity.smallest_eigenvalue(x, thresholds)
    assert np.isnan(found) or found == pytest.approx(float((x - thresholds).min()), rel=1e-6)


def test_outputs_fit_where_they_round_to_their_label():
    outputs, labels = torch.tensor([0.4, 1.6, 3.0, 2.0]), torch.tensor([0.0, 1.0, 3.0, 2.0])
    assert expressivity.largest_error(outputs, labels) == (pytest.approx(0.6), 75)


def test_directions_have_both_signs_alike():
    entries = expressivity.draw_direction(10_000, 0, "made up")
    assert abs(entries.mean()) < 5 / 3**0.5 / 100  # five standard errors
    assert -1 <= entries.min() < -0.99
    assert 0.99 < entries.max() <= 1


@pytest.mark.parametrize("d", [20, 3 * 1024 * 1024])
def test_projections_are_exact(d):
    """Also those of large images whose values add up."""
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, d), dtype=np.uint8))
    direction = expressivity.draw_direction(d, 0, "made up")
    images[0] = torch.where(direction > 0, 255, 0)
    scale = 2 ** (expressivity.DIRECTION_BITS - 1)
    exact = (images.to(torch.int64) * (direction * scale).to(torch.int64)).sum(1)
    assert expressivity.project(images, direction).tolist() == [int(each) / scale for each in exact]


def test_precision_that_is_needed_grows_with_n(sample):
    _, labels, direction, x = sample
    rows = expressivity.error_by_size(x, labels, direction, [5, 60], [0.25], ["float16", "float64"])
    few, _, many, exact = (rows[place] for place in (0, 1, 2, 3))
    assert few["bits_needed"] < many["bits_needed"]
    assert many["bits_needed"] == math.log2(2 * many["amplification"])  # the rounding 2^-bits x amplification is 1/2
    assert exact["fitted"] == 100
    assert not many["largest_error"] < 0.5  # 60 images are too many for eleven bits, or collide


def test_projections_that_differ_can_be_too_close_for_a_threshold():
    x = torch.tensor([1, 1 + 2**-9], dtype=torch.float64)  # two steps of float16 apart
    labels, direction = torch.tensor([0, 1]), torch.ones(1, dtype=torch.float64)
    near, middle = expressivity.error_by_size(x, labels, direction, [2], [0.25, 0.5], ["float16"])
    assert math.isnan(near["largest_error"])
    assert middle["fitted"] == 100
