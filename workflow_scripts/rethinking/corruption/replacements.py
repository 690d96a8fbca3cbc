"""One training example replaced by a test example (section 2.2), to see how far it moves the network."""

from pathlib import Path
from typing import Any

from rethinking import registry
from rethinking.corruption import stored_images
from rethinking.corruption.overlays import corrupted_labels
from rethinking.data.prepared import SPLITS, digests, read_manifest
from rethinking.run.files import UserError, new_array, save_array, write_json
from rethinking.streams import stream


@registry.corruption(
    "true_labels_replaced{number:0..}",
    base="true_labels",
    arrays=("train_labels", "test_labels", "train_images"),
)
@registry.corruption(
    "random_labels_replaced{number:0..}",
    base="random_labels",
    arrays=("train_labels", "test_labels", "train_images"),
)
def replace_example(
    prepared: Path, folder: Path, corruption: str, dataset: str, seed: int, number: int
) -> dict[str, Any]:
    """Write a training set with one example replaced, with the labels of both splits, and a manifest, which is returned.

    The new example is an image of the test set with the label that the corruption gives it there, so that both
    examples come from one distribution. The manifest has their indices as ``train_index`` and ``test_index``.

    Raises:
        UserError: there are too few images for that many replacements.
    """
    base = registry.entry("corruption", corruption).options["base"]
    manifest = read_manifest(prepared)
    place, other = exchanged(dataset, seed, number, *(manifest[split]["count"] for split in SPLITS))
    labels = {split: corrupted_labels(prepared, base, dataset, seed, split) for split in SPLITS}
    labels["train"][place] = labels["test"][other]
    for split in SPLITS:
        save_array(folder / f"{split}_labels.npy", labels[split])
    images = stored_images(prepared, "train")
    with new_array(folder / "train_images.npy", images.shape, images.dtype) as result:
        result[:] = images
        result[place] = stored_images(prepared, "test")[other]
    found = {
        "dataset": dataset,
        "corruption": corruption,
        "seed": seed,
        "train_index": place,
        "test_index": other,
        **{split: digests(folder, split) for split in SPLITS},
    }
    write_json(folder / "manifest.json", found)
    return found


def exchanged(dataset: str, seed: int, number: int, train_count: int, test_count: int) -> tuple[int, int]:
    """Indices of the training example that is replaced and of the test example that replaces it.

    Args:
        dataset: name of the data set, which with the seed selects the stream.
        seed: the cell's seed.
        number: which replacement, from 0.
        train_count: training images.
        test_count: test images.

    Raises:
        UserError: there are too few images for that many replacements.
    """
    fewest = min(train_count, test_count)
    if number >= fewest:
        raise UserError(f"replacement {number} of {dataset}: there are {fewest} examples; give at most {fewest - 1}")
    return tuple(
        int(stream(seed, "replaced example", dataset, split).permutation(count)[number])
        for split, count in zip(SPLITS, (train_count, test_count), strict=True)
    )
