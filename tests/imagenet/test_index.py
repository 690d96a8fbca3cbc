"""Images are found where they lie, in the same order from folders and archives."""

import gzip
import io
import os
import shutil
import tarfile
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from rethinking.data import image_checksums, imagenet
from rethinking.data.image_checksums import verify_archives
from rethinking.data.image_files import Images
from rethinking.data.imagenet import find_images, load_index, save_index
from rethinking.data.imagenet_classes import classes_of
from rethinking.run.contents import content_digest
from rethinking.run.files import UserError, hash_file

from ..faults import flip
from .image_sets import CLASSES, TRAIN, VAL, add, write_archives, write_folder, write_tar

LAYOUTS = ["folder", "flat", "archives", "tar"]


def images_digest(path, classes, cache):
    return content_digest("imagenet", "local", path, cache, classes, provenance="made up")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"provenance": None}, r"say in datasets\.imagenet\.provenance what this copy is"),
        ({"limits": (19, None)}, r"datasets\.imagenet\.train_limit is 19, but imagenet has 18 training images"),
        ({"limits": (None, 2)}, r"datasets\.imagenet\.test_limit is 2, which leaves 1 of 3 classes without"),
    ],
)
@pytest.mark.parametrize("layout", ["folder", "archives"])
def test_what_is_wrong_is_said_before_the_images_are_read(layouts, tmp_path, monkeypatch, layout, change, message):
    monkeypatch.setattr(Images, "read", None)
    with pytest.raises(UserError, match=message):
        content_digest("imagenet", "local", layouts[layout], tmp_path / "cache", **{"provenance": "made up"} | change)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_layouts_give_the_same_images_in_the_same_order(layouts, contents, layout):
    found = find_images(layouts[layout])
    for split, folder in (("train", "train"), ("test", "val")):
        names = sorted(name for name in contents if name.startswith(f"{folder}/"))
        images = found[split]
        assert [f"{folder}/{name}" for name in images.names] == names
        assert [images.read(i) for i in range(len(images))] == [contents[name] for name in names]
        np.testing.assert_array_equal(images.labels, np.repeat(range(3), TRAIN if split == "train" else VAL))
        assert images.class_names == CLASSES


def test_all_layouts_have_the_same_digest(layouts, contents, tmp_path):
    digests = {images_digest(layouts[layout], None, None) for layout in LAYOUTS}
    assert len(digests) == 1
    changed = dict(contents)
    name = next(iter(changed))
    changed[name] = changed[name][:-3] + b"\0\xff\xd9"
    assert images_digest(write_folder(tmp_path / "changed", changed), None, None) not in digests
    assert images_digest(layouts["folder"], CLASSES[:2], None) not in digests


@pytest.mark.parametrize("layout", ["folder", "archives"])
def test_contents_are_read_once_while_nothing_changes(layouts, tmp_path, monkeypatch, layout):
    path = shutil.copytree(layouts[layout], tmp_path / "copy")
    cache = tmp_path / "cache.json"
    first, fewer = (images_digest(path, classes, cache) for classes in (None, CLASSES[:2]))
    assert fewer != first
    with monkeypatch.context() as patched:
        patched.setattr(image_checksums, "find_images", None)
        assert images_digest(path, None, cache) == first
        assert images_digest(path, CLASSES[1::-1], cache) == fewer
        shutil.move(path, tmp_path / "away")
        assert images_digest(path, None, cache) == first  # results made from it can still be current
        with pytest.raises(UserError, match="other does not exist"):
            images_digest(tmp_path / "other", None, cache)
        shutil.move(tmp_path / "away", path)
    changed = next(path.rglob("*00003.JPEG" if layout == "folder" else "*val.tar"))
    flip(changed, 700)
    assert images_digest(path, None, cache) != first


def test_a_tar_of_both_splits_is_walked_once(layouts, contents, tmp_path, monkeypatch):
    """Also by a network, where the tar is not the one that the data were prepared from."""
    for split, images in find_images(layouts["archives"]).items():
        save_index(tmp_path, split, images)
    walked = []
    walk = imagenet.walk_headers
    monkeypatch.setattr(imagenet, "walk_headers", lambda path, file: walked.append(path) or walk(path, file))
    copies = [Path(shutil.copy(layouts["tar"], tmp_path / f"{number}.tar")) for number in (1, 2)]
    find_images(copies[0])
    for split in ("train", "test"):
        load_index(tmp_path, split, copies[1])
    assert walked == copies
    # Another tar of the same name is another one.
    write_tar(copies[1], {name: each for name, each in contents.items() if CLASSES[0] not in name})
    assert len(find_images(copies[1])["train"]) == 2 * TRAIN


@pytest.mark.parametrize("layout", LAYOUTS)
def test_several_images_are_read_at_a_time(layouts, monkeypatch, layout):
    """Each waits for the server that it lies on."""
    together, read = Barrier(3), Images.read
    monkeypatch.setattr(image_checksums, "BLOCK", 1)
    monkeypatch.setattr(Images, "read", lambda images, i: together.wait(10) >= 0 and read(images, i))
    assert images_digest(layouts[layout], None, None)


def test_classes_are_chosen_and_numbered_in_order(layouts):
    found = find_images(layouts["archives"], classes=[CLASSES[2], CLASSES[0]])
    assert found["train"].class_names == (CLASSES[0], CLASSES[2])
    np.testing.assert_array_equal(found["test"].labels, np.repeat([0, 1], VAL))
    with pytest.raises(UserError, match=r"no training images of the class.*n09999999"):
        find_images(layouts["folder"], classes=["n09999999"])
    assert classes_of("imagenet", ["b", "a", "b"]) == ["a", "b"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_saved_index_is_found_again_elsewhere(layouts, contents, tmp_path, layout):
    prepared = find_images(layouts["archives"])["test"].take([5, 2])
    save_index(tmp_path, "test", prepared)
    again = load_index(tmp_path, "test", layouts[layout])
    assert again.names == prepared.names
    assert [again.read(i) for i in (0, 1)] == [contents[f"val/{name}"] for name in prepared.names]


def test_a_saved_index_of_the_same_archive_is_not_made_again(layouts, tmp_path, monkeypatch):
    save_index(tmp_path, "train", find_images(layouts["archives"])["train"])
    monkeypatch.setattr(imagenet, "walk_headers", None)
    assert len(load_index(tmp_path, "train", layouts["archives"])) == 3 * TRAIN


def test_an_image_that_is_gone_is_named(layouts, contents, tmp_path):
    save_index(tmp_path, "train", find_images(layouts["folder"])["train"])
    fewer = {name: content for name, content in contents.items() if not name.endswith("n02102040_0.JPEG")}
    with pytest.raises(UserError, match=r"n02102040_0\.JPEG"):
        load_index(tmp_path, "train", write_folder(tmp_path / "fewer", fewer))


def cut(path, keep):
    with open(path, "r+b") as file:
        file.truncate(keep(path.stat().st_size))


def test_what_is_not_read_does_not_matter(contents, tmp_path):
    folder = write_folder(tmp_path / "set", contents)
    cache = tmp_path / "cache.json"
    first = images_digest(folder, None, cache)
    before = cache.read_text()
    (folder / "circle").symlink_to(folder)
    (folder / "nowhere").symlink_to(tmp_path / "gone")
    (folder / "train" / ".DS_Store").touch()
    assert images_digest(folder, None, cache) == first
    assert cache.read_text() == before  # so nothing was read again


def test_links_that_lead_nowhere_and_in_circles_are_named(contents, tmp_path):
    folder = write_folder(tmp_path / "set", contents)
    link = folder / "train" / CLASSES[0] / "a.JPEG"
    link.symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=r"a\.JPEG cannot be read \(No such file.*datasets\.imagenet\.path"):
        images_digest(folder, None, None)
    link.unlink()
    (folder / "train" / CLASSES[0] / "up").symlink_to("..")
    with pytest.raises(UserError, match="up is not an image"):
        images_digest(folder, None, None)
    with pytest.raises(UserError, match=r"gone does not exist; correct datasets\.imagenet\.path"):
        images_digest(tmp_path / "gone", None, None)


def test_a_compressed_archive_is_to_be_unpacked(layouts, tmp_path):
    packed = tmp_path / "set.tar.gz"
    packed.write_bytes(gzip.compress(layouts["tar"].read_bytes()))
    with pytest.raises(UserError, match=r"set\.tar\.gz .*it is compressed: unpack it"):
        find_images(packed)


def test_an_image_that_is_packed_twice_is_named(layouts, contents, tmp_path):
    tar = shutil.copy(layouts["tar"], tmp_path)
    name = next(iter(contents))
    with tarfile.open(tar, "a") as archive:
        add(archive, f"set/{name}", contents[name])
    with pytest.raises(UserError, match=f"has {name.partition('/')[2]} twice"):
        find_images(tar)


def test_a_tar_is_read_as_its_folder(contents, tmp_path):
    """Of val and test the first counts, and hidden folders are no classes."""
    more = {name.replace("val/", "test/"): content for name, content in contents.items() if name.startswith("val/")}
    name, content = next(iter(contents.items()))
    more |= {f"{split}/.checkpoints/{Path(name).name}": content for split in ("train", "val")}
    folder = find_images(write_folder(tmp_path / "set", contents | more))
    tar = find_images(write_tar(tmp_path / "set.tar", contents | more))
    for split in ("train", "test"):
        assert tar[split].names == folder[split].names
        assert len(tar[split].names) == sum(name.startswith(split.replace("test", "val")) for name in contents)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (f"set/train/{CLASSES[0]}/more/a.JPEG", r"more/a\.JPEG is not in set/train/<class>/"),
        ("set/val/a.JPEG", r"set/val/a\.JPEG is not in set/val/<class>/"),
        (f"other/train/{CLASSES[0]}/a.JPEG", "has train/ or val/ in other, set; pack one"),
        (f"train/{CLASSES[0]}/a.JPEG", r"has train/ or val/ in \., set; pack one"),
    ],
)
def test_no_image_of_a_tar_is_left_out_and_none_of_another_set_is_taken(layouts, contents, tmp_path, member, message):
    tar = shutil.copy(layouts["tar"], tmp_path)
    with tarfile.open(tar, "a") as archive:
        add(archive, "set/LOC_val_solution.csv", b"")
        add(archive, "set/test/a.JPEG", b"")  # unlabelled, and not read beside val/
    assert len(find_images(tar)["train"]) == len(CLASSES) * TRAIN
    with tarfile.open(tar, "a") as archive:
        add(archive, member, next(iter(contents.values())))
    with pytest.raises(UserError, match=message):
        find_images(tar)


def test_names_can_have_accents(contents, tmp_path):
    changed = {name.replace("n03888257", "n\u00e93888257"): content for name, content in contents.items()}
    images = find_images(write_folder(tmp_path / "set", changed))["test"]
    save_index(tmp_path, "test", images)
    assert load_index(tmp_path, "test", tmp_path / "set").names == images.names


def test_an_archive_of_one_split_is_no_data_set(layouts):
    with pytest.raises(UserError, match="give the folder that holds the published archives"):
        find_images(layouts["archives"] / "ILSVRC2012_img_train.tar")


@pytest.mark.parametrize("name", ["ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"])
@pytest.mark.parametrize("keep", [lambda size: size // 2, lambda size: size - 10240, lambda size: 0])
def test_a_cut_archive_is_refused(contents, tmp_path, name, keep):
    folder = write_archives(tmp_path / "set", contents)
    cut(folder / name, keep)
    with pytest.raises(UserError, match=f"{name}.*(damaged or cut short|holds no images)"):
        find_images(folder)


@pytest.mark.parametrize("keep", ["nothing", "one image without the end of its padding"])
def test_a_cut_tar_of_a_class_is_refused(contents, tmp_path, keep):
    """Its end lies within the archive, where another class follows."""
    path = write_archives(tmp_path / "set", contents) / "ILSVRC2012_img_train.tar"
    with tarfile.open(path) as archive:
        tars = {member.name: archive.extractfile(member).read() for member in archive}
    with tarfile.open(fileobj=io.BytesIO(tars["n02102040.tar"])) as inner:
        first = inner.next()
    end = first.offset_data + first.size
    assert end % tarfile.BLOCKSIZE
    tars["n02102040.tar"] = tars["n02102040.tar"][: 0 if keep == "nothing" else end + 1]
    with tarfile.open(path, "w") as archive:
        for name, content in tars.items():
            add(archive, name, content)
    with pytest.raises(UserError, match=r"n02102040.tar is damaged"):
        find_images(path.parent)


def test_folders_of_classes_are_read_in_place_of_archives(contents, layouts, tmp_path, monkeypatch):
    """Also of damaged and of smaller ones, and nothing then says that the images are the published ones."""
    few = {name: content for name, content in contents.items() if "_0.JPEG" in name or "val" in name}
    folder = write_archives(write_folder(tmp_path / "set", contents), few)
    published = {name: ((folder / name).stat().st_size, hash_file(folder / name, "md5")) for name in imagenet.PUBLISHED}
    monkeypatch.setattr(image_checksums, "PUBLISHED", published)
    assert not verify_archives(folder, None)
    whole = {split: images.names for split, images in find_images(layouts["folder"]).items()}
    (folder / "ILSVRC2012_devkit_t12.tar.gz").unlink()
    cut(folder / "ILSVRC2012_img_val.tar", lambda size: size // 2)
    assert {split: images.names for split, images in find_images(folder).items()} == whole
    # A folder without folders of classes is none of them.
    shutil.rmtree(folder / "train")
    (folder / "train").mkdir()
    assert len(find_images(folder)["train"]) == len(CLASSES)


def test_an_archive_that_is_cut_after_it_was_listed_is_named(tmp_path):
    path = tmp_path / "images.tar"
    path.write_bytes(b"12345")
    images = Images(["a/whole.JPEG", "a/cut.JPEG"], (path,), np.array([[0, 1, 3], [0, 4, 2]]))
    assert images.read(0) == b"234"
    with pytest.raises(UserError, match=f"{path} is cut short: a/cut.JPEG is not there"):
        images.read(1)


def test_a_broken_header_within_a_class_is_refused(contents, tmp_path):
    folder = write_archives(tmp_path / "set", contents)
    path = folder / "ILSVRC2012_img_train.tar"
    content = bytearray(path.read_bytes())
    place = content.index(b"n02102040_20.JPEG")
    content[place : place + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"n02102040.tar is damaged"):
        find_images(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: shutil.rmtree(folder / "val"), "has neither .*val"),
        (
            lambda folder: shutil.rmtree(folder / "val" / CLASSES[0]),
            f"only one of train and val.*{CLASSES[0]}",
        ),
        (
            lambda folder: (folder / "train" / CLASSES[0] / "notes.txt").touch(),
            r"notes.txt is not an image; .*; move it elsewhere$",
        ),
        # What the published archive of training images unpacks to.
        (
            lambda folder: (folder / "train" / "n09999999.tar").touch(),
            r"n09999999.tar is not an image; .*; move it elsewhere, and unpack it",
        ),
        # A folder of that name would be another class.
        (
            lambda folder: (folder / "val" / "ILSVRC2012_img_val.tar").touch(),
            r"ILSVRC2012_img_val.tar is not an image; .*; move it elsewhere$",
        ),
        (
            lambda folder: (folder / "train" / "more.tar").touch(),
            r"more.tar is not an image; .*; move it elsewhere$",
        ),
        (lambda folder: (folder / "val" / "loose.JPEG").touch(), "folders of classes and also images"),
        (
            lambda folder: (folder / "train" / CLASSES[0] / os.fsdecode(b"\xe9.JPEG")).touch(),
            "cannot be printed",
        ),
        (lambda folder: shutil.rmtree(folder), "does not exist"),
    ],
)
def test_other_layouts_are_refused(contents, tmp_path, change, message):
    folder = write_folder(tmp_path / "set", contents)
    change(folder)
    with pytest.raises(UserError, match=message):
        find_images(folder)


def test_flat_validation_images_need_the_development_kit(layouts, tmp_path):
    folder = shutil.copytree(layouts["flat"], tmp_path / "set")
    (folder / "val" / "ILSVRC2012_val_00000001.JPEG").unlink()
    with pytest.raises(UserError, match=r"11 validation images, but .* has 12 labels"):
        find_images(folder)
    (folder / "ILSVRC2012_devkit_t12.tar.gz").unlink()
    with pytest.raises(UserError, match=r"no meta.mat.*ILSVRC2012_devkit_t12.tar.gz"):
        find_images(folder)


def test_published_archives_are_known_by_their_checksums(layouts, tmp_path, monkeypatch):
    folder, cache = layouts["archives"], tmp_path / "cache.json"
    assert not verify_archives(folder, cache)  # other sizes: nothing is read
    assert not verify_archives(layouts["folder"], cache)
    files = [folder / name for name in imagenet.PUBLISHED]
    published = {file.name: (file.stat().st_size, hash_file(file, "md5")) for file in files}
    monkeypatch.setattr(image_checksums, "PUBLISHED", published)
    lines = []
    assert verify_archives(folder, cache, lines.append)
    monkeypatch.setattr(image_checksums, "_md5", None)
    assert verify_archives(folder, cache)  # from the cache
    monkeypatch.setattr(
        image_checksums,
        "PUBLISHED",
        published | {"ILSVRC2012_img_val.tar": (published["ILSVRC2012_img_val.tar"][0], "0")},
    )
    with pytest.raises(UserError, match=r"ILSVRC2012_img_val.tar has MD5 .* expected 0"):
        verify_archives(folder, cache)
