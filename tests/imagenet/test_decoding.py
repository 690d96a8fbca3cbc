"""Files are decoded as PIL decodes them; damage is noticed."""

import importlib
import io
import sys

import numpy as np
import pytest
from PIL import Image

from rethinking.data.decoding import Undecodable, decode, kind, resize
from rethinking.data.image_sets import prepare_images
from rethinking.run.files import UserError, load_array, read_json
from rethinking.run.scripts import packed
from rethinking.streams import stream

from .image_sets import CLASSES, TRAIN, encoded, picture, write_archives, write_folder


def with_pil(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).transpose(2, 0, 1)


def test_every_file_has_the_pixels_that_pil_gives(contents):
    for name, content in contents.items():
        np.testing.assert_array_equal(decode(content).numpy(), with_pil(content), err_msg=name)


def test_kinds():
    assert kind(encoded(picture(0))) == "rgb"
    assert kind(encoded(picture(0, mode="L"), progressive=True)) == "grey"
    assert kind(encoded(picture(0, mode="CMYK"))) == "cmyk"
    assert kind(encoded(picture(0), "PNG")) == "png"
    assert kind(b"<html>") == "other"


def test_exif_rotation_is_ignored(contents):
    name = f"train/{CLASSES[1]}/{CLASSES[1]}_30.JPEG"
    assert Image.open(io.BytesIO(contents[name])).getexif()[0x0112] == 6
    assert decode(contents[name]).shape == (3, 30, 40)


@pytest.mark.parametrize("size", [17, 64])
def test_resizing_is_that_of_pil_to_a_level(size):
    image = picture(5, size=(57, 41))
    expected = np.asarray(image.resize((size, size), Image.BILINEAR)).transpose(2, 0, 1).astype(int)
    ours = resize(decode(encoded(image, "PNG")), size).numpy()
    assert np.abs(ours - expected).max() <= 1


GOOD = encoded(picture(7, size=(200, 150)), quality=95)
CMYK = encoded(picture(7, size=(200, 150), mode="CMYK"), quality=95)
BROKEN = {
    "cut": GOOD[: len(GOOD) // 2],
    "HTML": b"<html><body>404 Not Found</body></html>",
    "empty": b"",
    "cut PNG": encoded(picture(7), "PNG")[:300],
    "CMYK end": CMYK[:-1] + b"\xe6",  # PIL says nothing
    "16 bits": encoded(Image.fromarray(np.full((9, 9), 40000, np.uint16)), "PNG"),
}
DAMAGED = {
    "half an image": GOOD[: len(GOOD) // 2] + b"\xff\xd9",
    "zeros": GOOD[: len(GOOD) // 2] + bytes(1000) + GOOD[len(GOOD) // 2 + 1000 :],
    # libjpeg says here only that bytes are left over before the end.
    "other bytes": GOOD[:3100] + stream(5, "damage").bytes(64) + GOOD[3164:],
    "CMYK zeros": CMYK[: len(CMYK) // 2] + bytes(500) + CMYK[len(CMYK) // 2 + 500 :],  # PIL says nothing
}


def test_what_is_no_image_is_named_by_what_it_seems_to_be():
    with pytest.raises(Undecodable, match=r"^it seems to be an HTML page"):
        decode(BROKEN["HTML"])


@pytest.mark.parametrize("content", [BROKEN["cut PNG"], GOOD[:3], GOOD[:12], b"\x89PNG\r\n\x1a\n", b"rubbish"])
def test_what_is_wrong_with_a_file_has_no_address(content):
    """It would differ between two runs, also in manifest.json."""
    with pytest.raises(Undecodable) as found:
        decode(content)
    assert "0x" not in str(found.value)


def prepared(folder, path, **options):
    options = {"provenance": "test", "stored_size": 20, "threads": 2, "log": lambda line: None} | options
    prepare_images("imagenet", path, folder, **options)
    return read_json(folder / "manifest.json")


@pytest.fixture
def broken_set(contents, tmp_path):
    def make(content):
        name = f"train/{CLASSES[2]}/{CLASSES[2]}_20.JPEG"
        return write_folder(tmp_path / "set", contents | {name: content})

    return make


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_ends_the_job_with_its_name(broken_set, tmp_path, content):
    with pytest.raises(UserError, match=r"n03888257_20.JPEG cannot be decoded \(.+\), and 0 other"):
        prepared(tmp_path / "prepared", broken_set(content))
    assert not (tmp_path / "prepared" / "manifest.json").exists()


@pytest.mark.parametrize("stored_size", [20, None])
def test_unreadable_files_can_be_left_out(broken_set, tmp_path, stored_size):
    folder = tmp_path / "prepared"
    path = broken_set(BROKEN["cut"])
    manifest = prepared(folder, path, skip_unreadable=True, stored_size=stored_size)
    assert manifest["train"]["count"] == 3 * TRAIN - 1
    assert manifest["train"]["full_count"] == 3 * TRAIN
    assert manifest["train"]["unreadable_count"] == 1
    assert manifest["train"]["class_counts"] == [TRAIN, TRAIN, TRAIN - 1]
    assert "truncated" in manifest["odd_files"]["train"]["unreadable"]["n03888257/n03888257_20.JPEG"]
    assert len(load_array(folder / "train_names.npy")) == len(load_array(folder / "train_labels.npy")) == 17
    images = load_array(folder / "train_images.npy")
    if stored_size:
        left = prepared(tmp_path / "whole", path.parent / "set", skip_unreadable=True)
        assert left["train"]["images_sha256"] == manifest["train"]["images_sha256"]
        assert images.shape == (17, 3, 20, 20)
    else:
        assert images.shape == (0, 3, 0, 0)


def test_harmless_bytes_are_no_damage(broken_set, tmp_path):
    # Bytes before the end: libjpeg complains, but the picture is whole.
    assert prepared(tmp_path / "prepared", broken_set(GOOD[:-2] + b"\0\0\0" + GOOD[-2:]))


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_files_with_damage_are_used_and_named_in_any_layout(contents, tmp_path, content):
    """The published archives may hold such, and a folder of the same images makes the same cells."""
    name = f"{CLASSES[2]}/{CLASSES[2]}_20.JPEG"
    files, lines = contents | {f"train/{name}": content}, []
    folder, archives = write_folder(tmp_path / "folder", files), write_archives(tmp_path / "archives", files)
    copy = prepared(tmp_path / "one", folder, log=lines.append, skip_unreadable=True)
    published = prepared(tmp_path / "other", archives, provenance=None)
    assert copy | {"provenance": None} == published
    assert list(copy["odd_files"]["train"]["damaged"]) == [name]
    assert copy["train"]["count"] == 3 * TRAIN
    assert f"test images are read from {folder / 'val'}" in lines
    (line,) = (line for line in lines if line.startswith("libjpeg"))
    assert line.startswith(
        f"libjpeg finds damage in 1 of the train images, which are used as it decodes them: {name} (Corrupt"
    )


def test_odd_files_are_listed(layouts, tmp_path):
    manifest = prepared(tmp_path / "prepared", layouts["archives"])
    odd = manifest["odd_files"]["train"]
    assert odd["png"] == [f"{CLASSES[1]}/{CLASSES[1]}_0.JPEG"]
    assert odd["cmyk"] == [f"{CLASSES[1]}/{CLASSES[1]}_10.JPEG"]
    assert odd["grey"] == [f"{CLASSES[1]}/{CLASSES[1]}_20.JPEG"]


def test_a_limit_above_the_number_of_images_is_refused(layouts, tmp_path):
    with pytest.raises(UserError, match=r"datasets\.imagenet\.test_limit is 1,000, but imagenet has \d+ test images"):
        prepared(tmp_path / "prepared", layouts["folder"], test_limit=1000)


def test_folder_and_archives_are_prepared_to_equal_files(layouts, tmp_path):
    for layout in ("folder", "archives"):
        prepared(tmp_path / layout, layouts[layout], train_limit=10)
    for file in (tmp_path / "folder").iterdir():
        assert file.read_bytes() == (tmp_path / "archives" / file.name).read_bytes(), file.name


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("imagenet", None, None),
        ("imagenet", "made up", None),
        ("imagenette", None, "ten classes of ImageNet"),
        ("imagenette", "made up", "made up"),
    ],
)
def test_the_published_archives_are_no_exact_imagenette(layouts, tmp_path, monkeypatch, name, given, said):
    """Its publisher drew other training and test images."""
    command = ["prepare_images.py", "--dataset", name, "--path", layouts["archives"], "--output", tmp_path]
    command += ["--classes", packed(CLASSES), *(["--provenance", given] if given else [])]
    monkeypatch.setattr(sys, "argv", [*map(str, command)])
    script = importlib.import_module("prepare_images")
    monkeypatch.setattr(script, "verify_archives", lambda *_: True)
    script.main()
    assert read_json(tmp_path / "manifest.json")["provenance"] == said
