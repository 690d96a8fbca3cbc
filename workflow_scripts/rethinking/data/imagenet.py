"""ImageNet from its published archives, or images in folders of the same layout, read where they lie.

The archive of training images holds a tar per class. None of them is compressed, so an index of offset and size is
enough to read an image; nothing is extracted. Labels of validation images in no folder of their class are in the
development kit, by the order of file names; its numbers of classes are not in the order of their WordNet ids.
"""

import io
import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from rethinking.data.archives import iter_members, walk_headers
from rethinking.data.image_files import Images, listed, marks
from rethinking.data.prepared import SPLITS
from rethinking.registry import dataset
from rethinking.run.files import UserError, atomic_path, load_array, save_array

SUFFIXES = (".jpeg", ".jpg", ".png")
FOLDERS = {"train": ("train",), "test": ("val", "test")}
ARCHIVES = {"train": "ILSVRC2012_img_train.tar", "test": "ILSVRC2012_img_val.tar"}
DEVKIT = "ILSVRC2012_devkit_t12"
Member = tuple[str, tuple[int, int, int]]  # an image in a tar: its name and its place, see Images
# The published sizes in bytes and MD5 digests.
PUBLISHED = {
    "ILSVRC2012_img_train.tar": (147_897_477_120, "1d675b47d978889d74fa0da5fadfb00e"),
    "ILSVRC2012_img_val.tar": (6_744_924_160, "29b22e2961454d5413ddabcf34fc5622"),
    "ILSVRC2012_devkit_t12.tar.gz": (None, "fa75699e90414af021442c21a62c3abf"),
}


@dataset("imagenet", title="ImageNet", classes=1000, sources=("local",))
@dataset("imagenet100", title="ImageNet-100", classes=100, sources=("local",))
@dataset("imagenette", title="Imagenette", classes=10, sources=("local",))
def find_images(path: str | Path, classes: Collection[str] | None = None) -> dict[str, Images]:
    """The images of both splits, sorted by class and file name.

    Args:
        path: a folder with the published archives, or with ``train/<class>/`` and ``val/<class>/`` (or all validation
            images in ``val/``, with the development kit beside it), or a tar of such a folder. Of folders of classes and
            an archive beside them the folders are read.
        classes: WordNet ids, or names of folders, to take; None takes all.

    Raises:
        UserError: there are no such images, an archive is damaged, the splits have different classes, or the name of an
            image is there twice or no text.
    """
    path = Path(path)
    found = {split: _find_split(path, split) for split in SPLITS}
    for images in found.values():
        _check_names(path, images.names)
    names = sorted({name.split("/")[0] for name in found["train"].names})
    others = sorted({name.split("/")[0] for name in found["test"].names})
    if classes is not None:
        if missing := sorted(set(classes) - set(names)):
            raise UserError(f"{path} has no training images of the class(es) {listed(missing)}; correct 'classes'")
        others = sorted(set(others) & set(classes))
        names = sorted(classes)
    if names != others:
        odd = sorted(set(names) ^ set(others))
        raise UserError(f"{path}: only one of train and val has images of the class(es) {listed(odd)}")
    return {split: images.of_classes(names) for split, images in found.items()}


def _check_names(path: Path, names: Sequence[str]) -> None:
    """Each image has its own name, which is a text."""
    if len(set(names)) < len(names):
        twice = [name for name, count in Counter(names).items() if count > 1]
        raise UserError(f"{path} has {listed(twice)} twice; pack it again")
    if odd := [ascii(name) for name in names if not name.isprintable()]:
        raise UserError(f"{path}: the name of {listed(odd)} cannot be printed; rename it")


# ---- where the images of a split are


def _find_split(path: Path, split: str) -> Images:
    if path.is_file():
        return _in_one_tar(path, _mark([path]))[split]
    archive, folder = path / ARCHIVES[split], _folder(path, split)
    if archive.is_file() and not is_sorted(path, split):
        return _train_archive(archive) if split == "train" else _flat(path, _archive_members(archive))
    if not folder:
        what = "does not exist" if not path.exists() else f"has neither {archive.name} nor {FOLDERS[split][0]}/"
        raise UserError(
            f"{path} {what}; ImageNet needs the folder of {', '.join(PUBLISHED)}, or one with "
            "train/<class>/*.JPEG and val/<class>/*.JPEG"
        )
    return _in_folder(path, folder)


def _folder(path: Path, split: str) -> Path | None:
    return next((path / name for name in FOLDERS[split] if (path / name).is_dir()), None)


def is_sorted(path: Path, split: str) -> bool:
    """Whether the images of a split lie in folders of their classes, which are read even where an archive is beside them.

    They were unpacked from it, or they are what somebody chose, and the archive may be half a download.
    """
    folder = _folder(path, split)
    return folder is not None and any(each.is_dir() and not each.name.startswith(".") for each in os.scandir(folder))


def _train_archive(path: Path) -> Images:
    """The index of a tar of a tar per class."""
    members = []
    with open(path, "rb") as file:
        for inner, start, _, opened in walk_headers(path, file):
            name = PurePosixPath(inner).name
            if not name.endswith(".tar"):
                raise UserError(f"{path}: {inner} is not the tar of a class, such as n01440764.tar")
            members += [
                (f"{name.removesuffix('.tar')}/{_image_name(path, member)}", (0, start + offset, size))
                for member, offset, size, _ in walk_headers(f"{path}: {inner}", opened(), marked=False)
            ]
    return _indexed(path, members)


def _archive_members(path: Path) -> Images:
    """The index of a tar of images, whose names say no class."""
    with open(path, "rb") as file:
        members = [(_image_name(path, name), (0, offset, size)) for name, offset, size, _ in walk_headers(path, file)]
    return _indexed(path, members)


@lru_cache(maxsize=1)  # for the other split
def _in_one_tar(path: Path, mark: str) -> dict[str, Images]:
    """The index of a tar of ``train/<class>/<file>`` and ``val/<class>/<file>``, perhaps within one folder.

    As in a folder, nothing below train/ and val/ is left out but what is hidden, and of val and test the first is read.
    """
    found: dict[str, list[tuple[tuple[str, ...], tuple[int, int, int]]]]
    found = {name: [] for folders in FOLDERS.values() for name in folders}
    with open(path, "rb") as file:
        members = [(PurePosixPath(name).parts, (0, offset, size)) for name, offset, size, _ in walk_headers(path, file)]
    roots = sorted({parts[:-3] for parts, _ in members if len(parts) >= 3 and parts[-3] in found})
    if len(roots) > 1:
        raise UserError(
            f"{path} has train/ or val/ in {listed(['/'.join(root) or '.' for root in roots])}; pack one of them"
        )
    depth = len(roots[0]) if roots else 0
    for parts, place in members:
        below = parts[depth + 1 :]
        hidden = any(part.startswith(".") for part in below)
        if below and parts[:depth] in roots and parts[depth] in found and not hidden:
            found[parts[depth]].append((parts, place))

    def named(parts: tuple[str, ...]) -> str:
        member = "/".join(parts)
        if len(parts) != depth + 3:
            folder = "/".join(parts[: depth + 1])
            raise UserError(f"{path}: {member} is not in {folder}/<class>/; put it there, or leave it out")
        return f"{parts[-2]}/{_image_name(path, member)}"

    chosen = {split: next((found[name] for name in names if found[name]), []) for split, names in FOLDERS.items()}
    return {split: _indexed(path, [(named(parts), place) for parts, place in some]) for split, some in chosen.items()}


def _indexed(path: Path, members: list[Member]) -> Images:
    if not members:
        raise UserError(
            f"{path} holds no images in the layout of ImageNet; give the folder that holds the published archives, or a "
            "tar of train/<class>/*.JPEG and val/<class>/*.JPEG"
        )
    names, places = zip(*members, strict=True)
    return Images(list(names), (path,), np.array(places, np.int64))


def _in_folder(path: Path, folder: Path) -> Images:
    names, flat = [], []
    for each in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if each.name.startswith("."):
            continue
        if not each.is_dir():
            flat.append(_image_name(folder, each.name))
            continue
        files = (file.name for file in os.scandir(each.path) if not file.name.startswith("."))
        names += [f"{each.name}/{_image_name(each.path, file)}" for file in sorted(files)]
    if flat and names:
        raise UserError(f"{folder} holds folders of classes and also images, such as {flat[0]}; sort them")
    if not flat and not names:
        raise UserError(f"{folder} holds no images; it needs <class>/*.JPEG")
    if flat and folder.name == "train":
        raise UserError(f"{folder} holds images without their class; it needs <class>/*.JPEG")
    if flat:
        return _flat(path, Images(flat, folder=folder, flat=True))
    return Images(names, folder=folder)


def _image_name(where: str | Path, member: str) -> str:
    name = member.rpartition("/")[2]
    if not name.lower().endswith(SUFFIXES):
        # What the archive of training images unpacks to.
        a_class = Path(where).name == "train" and re.fullmatch(r"n\d{8}\.tar", name)
        more = ", and unpack it into a folder of that name" if a_class else ""
        raise UserError(
            f"{where}: {member} is not an image; images end in {', '.join(SUFFIXES)}; move it elsewhere{more}"
        )
    return name


def _flat(path: Path, images: Images) -> Images:
    """Give validation images their class from the development kit."""
    ids, truth = read_devkit(path)
    if len(truth) != len(images.names):
        raise UserError(
            f"{path}: there are {len(images.names):,} validation images, but {DEVKIT} has {len(truth):,} labels"
        )
    order = sorted(range(len(truth)), key=images.names.__getitem__)
    for number, i in zip(truth, order, strict=True):
        if number not in ids:
            raise UserError(f"{path}: {DEVKIT} gives {images.names[i]} the class {number}, which it does not have")
        images.names[i] = f"{ids[number]}/{images.names[i]}"
    return images


def read_devkit(path: Path) -> tuple[dict[int, str], list[int]]:
    """From the development kit in a folder, packed or not: the WordNet id of each number, and the validation labels.

    Raises:
        UserError: it is not there or damaged.
    """
    from scipy.io import loadmat  # imported here: planning seldom needs it

    packed = [each for ending in (".tar.gz", ".tar") if (each := path / f"{DEVKIT}{ending}").is_file()]
    wanted = ("meta.mat", "ILSVRC2012_validation_ground_truth.txt")
    if packed:
        members = ((PurePosixPath(name).name, content) for name, content in iter_members(packed[0]))
    else:
        files = (path / DEVKIT / "data" / name for name in wanted)
        members = ((file.name, file.read_bytes()) for file in files if file.is_file())
    contents = {name: content for name, content in members if name in wanted}
    if missing := [name for name in wanted if name not in contents]:
        raise UserError(
            f"{packed[0] if packed else path} has no {' and no '.join(missing)}; the validation images are in no folders "
            f"of classes, so their labels are needed from {DEVKIT}.tar.gz"
        )
    try:
        synsets = loadmat(io.BytesIO(contents["meta.mat"]), squeeze_me=True)["synsets"]
        ids = {int(each["ILSVRC2012_ID"]): str(each["WNID"]) for each in synsets if not int(each["num_children"])}
        truth = [int(line) for line in contents["ILSVRC2012_validation_ground_truth.txt"].split()]
    except Exception as error:  # loadmat raises many kinds on damaged bytes
        raise UserError(f"{path}: {DEVKIT} cannot be read ({error}); get it again") from error
    return ids, truth


# ---- an index on disk


def save_index(folder: Path, split: str, images: Images) -> None:
    """Write the names of the images, and where they lie now."""
    save_array(folder / f"{split}_names.npy", np.array([name.encode() for name in images.names]))
    if images.places is not None:
        with atomic_path(folder / f"{split}_places.npz") as temporary:
            np.savez(temporary, mark=_mark(images.files), places=images.places)


def load_index(folder: Path, split: str, path: str | Path) -> Images:
    """The images of a prepared data set in ``path``, where they may lie otherwise than when they were prepared.

    Raises:
        UserError: one is not there.
    """
    path = Path(path)
    names = [name.decode() for name in load_array(folder / f"{split}_names.npy")]
    file = path if path.is_file() else path / ARCHIVES[split]
    with suppress(OSError, ValueError, KeyError), np.load(folder / f"{split}_places.npz") as kept:
        if kept["mark"] == _mark([file]):
            return Images(names, (file,), kept["places"])
    found = _find_split(path, split)
    numbers = {name: i for i, name in enumerate(found.names)}
    if missing := [name for name in names if name not in numbers]:
        raise UserError(f"{path} no longer has {listed(missing)}; correct the path of the data set")
    return found.take(numbers[name] for name in names)


def _mark(files: Sequence[Path]) -> str:
    return " ".join(marks(file.stat()) for file in files)
