"""Every image of a folder or archive is accounted for: taken, converted as the log says, or refused by name."""

import os
import struct
import subprocess
import unicodedata
import zlib

import numpy as np
import pytest
from PIL import Image

from rethinking.data.image_folders import read_images
from rethinking.data.prepared import prepare, subset
from rethinking.data.readers import describe_source
from rethinking.run.contents import content_digest
from rethinking.run.files import UserError, read_json

from ..imagenet.image_sets import encoded
from .image_files import write_image


def pack(folder, path, *options):
    """What the user's own tar makes of a folder."""
    subprocess.run(["tar", *options, "-cf", path, "-C", folder, "."], check=True)
    return path


def both(folder, tmp_path, *options):
    """The folder, and a tar archive of it."""
    return folder, pack(folder, tmp_path / "packed.tar", *options)


def same(one, other):
    return one.class_names == other.class_names and all(
        np.array_equal(getattr(one, part).images, getattr(other, part).images)
        and np.array_equal(getattr(one, part).labels, getattr(other, part).labels)
        for part in ("train", "test")
    )


# --- links, folders and names ---------------------------------------------------------------------


def test_links_are_followed(images, tmp_path):
    plain = read_images(images)
    (images / "train" / "dog").rename(tmp_path / "elsewhere")
    (images / "train" / "dog").symlink_to("../../elsewhere")
    cat = images / "train" / "cat" / "0.png"
    cat.rename(tmp_path / "linked.png")
    cat.symlink_to(tmp_path / "linked.png")
    before = content_digest("cifar10", "images", images, None)
    assert same(read_images(images), plain)
    (images / "train").rename(tmp_path / "all")
    (images / "train").symlink_to(tmp_path / "all")
    (tmp_path / "all" / "dog").unlink()
    (tmp_path / "all" / "dog").symlink_to(tmp_path / "elsewhere")
    assert same(read_images(images), plain)
    assert content_digest("cifar10", "images", images, None) == before
    write_image(tmp_path / "elsewhere" / "1.png", 77)  # noticed behind two links
    assert content_digest("cifar10", "images", images, None) != before


def test_links_in_an_archive_are_refused_unless_their_files_are_packed(images, tmp_path):
    plain = read_images(images)
    os.link(images / "train" / "dog" / "0.png", images / "train" / "cat" / "link.png")
    with pytest.raises(UserError, match=r"(link|0)\.png' is a link.*--hard-dereference"):
        read_images(pack(images, tmp_path / "hard.tar"))
    (images / "train" / "cat" / "link.png").unlink()
    (images / "train" / "dog").rename(tmp_path / "elsewhere")
    (images / "train" / "dog").symlink_to("../../elsewhere")
    with pytest.raises(UserError, match=r"train/dog' is a link.*--dereference"):
        read_images(pack(images, tmp_path / "soft.tar"))
    assert same(read_images(pack(images, tmp_path / "files.tar", "--dereference")), plain)


@pytest.mark.parametrize(
    ("name", "target", "message"),
    [
        ("train/dog/9.png", "gone.png", r"train/dog/9\.png is a link to gone\.png, which leads nowhere"),
        ("train/wolf", "/gone/away", "train/wolf is a link to /gone/away, which leads nowhere"),
        ("train/dog/9.png", "9.png", r"9\.png is a link to 9\.png, which leads nowhere"),
        ("train/dog/more", "..", "train/dog/more is a link to a folder that it lies in itself"),
    ],
)
def test_links_that_lead_nowhere_are_named(images, name, target, message):
    (images / name).symlink_to(target)
    with pytest.raises(UserError, match=message):
        read_images(images)
    with pytest.raises(UserError, match=message):
        content_digest("cifar10", "images", images, None)


def test_an_image_of_another_size_ends_the_reading_at_once(images):
    write_image(images / "train" / "dog" / "0.png", 3, size=(6, 4))
    (images / "train" / "wolf").mkdir()
    (images / "train" / "wolf" / "0.png").write_text("not read")
    with pytest.raises(UserError, match=r"train/dog/0\.png is 6x4, but .* is 5x4; all must have one size"):
        read_images(images)


def test_what_lies_beside_the_images_does_not_matter(images):
    plain, before = read_images(images), content_digest("cifar10", "images", images, None)
    (images / "README.txt").touch()
    (images / "backup").symlink_to("/")
    (images / "gone").symlink_to("nowhere")
    os.mkfifo(images / "pipe")
    assert same(read_images(images), plain)
    assert content_digest("cifar10", "images", images, None) == before


def test_pipe_among_the_images_is_named(images):
    os.mkfifo(images / "train" / "dog" / "9.png")
    with pytest.raises(UserError, match=r"train/dog/9\.png is a device, a pipe"):
        read_images(images)


def test_hidden_files_are_skipped_and_counted_in_folder_and_archive(images, tmp_path, capsys):
    plain = read_images(images)
    for name in (".git/train/x/0.png", "train/.ipynb_checkpoints/0.png", "train/__MACOSX/0.png",
                 "train/dog/._0.png", "train/dog/Thumbs.db", "test/cat/.DS_Store"):  # fmt: skip
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(b"not an image")
    capsys.readouterr()
    for path in both(images, tmp_path):
        assert same(read_images(path), plain)
        assert "hidden files or folders, or an operating system's: " in capsys.readouterr().out


def test_empty_class_is_named(images, tmp_path):
    (images / "train" / "wolf").mkdir()
    for path in both(images, tmp_path):
        with pytest.raises(UserError, match=r"train/ has no images of the class\(es\) wolf; a class needs"):
            read_images(path)
    (images / "test" / "wolf").mkdir()
    with pytest.raises(UserError, match="train/ has no images of the class"):
        read_images(images)


def test_one_folder_on_top(images, tmp_path, capsys):
    plain = read_images(images)
    outer = tmp_path / "outer"
    outer.mkdir()
    images.rename(outer / "animals")
    (outer / "README").write_text("about these images")
    (outer / "tools" / "more").mkdir(parents=True)
    for path in both(outer, tmp_path):
        assert same(read_images(path), plain)
        assert "taking the images from the folder animals" in capsys.readouterr().out
    write_image(outer / "others" / "train" / "a" / "0.png", 0)
    for path in (tmp_path / "two.tar", outer):
        pack(outer, tmp_path / "two.tar")
        with pytest.raises(UserError, match="several folders: animals, others"):
            read_images(path)


def test_accents_written_in_two_ways_are_one_class(images, tmp_path):
    name = "größe é"
    forms = [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
    for part, form in zip(("train", "test"), forms, strict=True):
        (images / part / "dog").rename(images / part / form)
    for path in both(images, tmp_path):
        assert read_images(path).class_names == ("cat", forms[0])
    write_image(images / "train" / forms[1] / "0.png", 1)
    with pytest.raises(UserError, match="train/ has two folders called größe é"):
        read_images(images)


def test_class_of_another_case_is_pointed_out(images):
    (images / "test" / "dog").rename(images / "test" / "Dog")
    with pytest.raises(UserError, match=r"train/ has no images of the class\(es\) Dog \(there is dog\)"):
        read_images(images)


def test_name_that_is_no_text_is_refused(images):
    for part in ("train", "test"):
        os.rename(images / part / "dog", os.fsencode(images / part) + b"/dog\xff")
    with pytest.raises(UserError, match=r"'dog\\udcff' cannot be printed; rename"):
        read_images(images)


def test_file_names_that_are_no_text(images):
    os.rename(images / "train/dog/0.png", os.fsencode(images) + b"/train/dog/\xff.png")
    assert len(read_images(images).train.labels) == 6
    assert content_digest("cifar10", "images", images, None)
    assert describe_source("cifar10", "images", images)


def test_member_that_is_there_twice(images, tmp_path):
    path = pack(images, tmp_path / "packed.tar")
    subprocess.run(["tar", "-rf", path, "-C", images, "./train/dog/0.png"], check=True)
    assert same(read_images(path), read_images(images))
    write_image(images / "train" / "dog" / "0.png", 99)
    subprocess.run(["tar", "-rf", path, "-C", images, "./train/dog/0.png"], check=True)
    with pytest.raises(UserError, match=r"train/dog/0\.png is there twice"):
        read_images(path)


@pytest.mark.parametrize("options", [("--sparse",), ("--format=pax", "-z"), ("--format=v7",), ("-J",)])
def test_tar_of_any_kind_and_order_whatever_its_name(images, tmp_path, options):
    path = tmp_path / "images.data"
    names = sorted((str(file.relative_to(images)) for file in images.glob("*/*/*")), reverse=True)
    subprocess.run(["tar", *options, "-cf", path, "-C", images, *names], check=True)
    assert same(read_images(path), read_images(images))


# --- pixels ---------------------------------------------------------------------------------------


def png(pixels, depth, colour):
    """A PNG file, written out by hand: Pillow cannot write all kinds."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = pixels.shape[:2]
    rows = pixels.astype(">u2" if depth == 16 else "u1").reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    content = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def folder_of(tmp_path, content):
    """One class, with this file as the training and test image."""
    for part in ("train", "test"):
        file = tmp_path / "odd" / part / "a" / "0.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return tmp_path / "odd"


RAMP = np.arange(20).reshape(4, 5)


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (4, 2), (2, 3), (6, 4)])
def test_16_bits_are_scaled_to_8(tmp_path, capsys, colour, channels):
    values = np.repeat((RAMP * (65535 // 19))[..., None], channels, 2)
    found = read_images(folder_of(tmp_path, png(values, 16, colour))).train.images[0]
    # Pillow makes a colour of a gray value with transparency.
    assert found.shape == (1 if channels == 1 else 3, 4, 5)
    # Pillow drops the lower 8 bits of colours.
    assert np.abs(found - values[..., 0] / 257).max() <= 1
    assert "have values of 16 bits, scaled to 8" in capsys.readouterr().out


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3)])
def test_16_bits_of_which_scaling_leaves_nothing_are_refused(tmp_path, colour, channels):
    values = np.repeat((RAMP * 215)[..., None], channels, 2)
    with pytest.raises(UserError, match=r"0\.png has values of 16 bits.* 8 bits leave 1\d shades"):
        read_images(folder_of(tmp_path, png(values, 16, colour)))


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("L", 1), ("LA", 1), ("P", 3), ("RGB", 3), ("RGBA", 3)])
def test_modes_without_loss(tmp_path, mode, channels):
    colours = np.stack([RAMP * 10, 255 - RAMP * 10, RAMP * 3], -1).astype(np.uint8)
    plain = "L" if channels == 1 else "RGB"
    image = Image.fromarray(colours).convert(plain).convert(mode)
    found = read_images(folder_of(tmp_path, encoded(image, "PNG"))).train.images[0]
    expected = np.asarray(image.convert(plain)).reshape(4, 5, channels)
    np.testing.assert_array_equal(found, expected.transpose(2, 0, 1))


def test_transparency_and_cmyk_are_logged(tmp_path, capsys):
    clear = Image.new("RGBA", (5, 4), (1, 2, 3, 255))
    clear.putpixel((0, 0), (1, 2, 3, 0))
    found = read_images(folder_of(tmp_path, encoded(clear, "PNG"))).train.images[0]
    assert found[:, 0, 0].tolist() == [1, 2, 3]
    assert "2 images have transparent pixels" in capsys.readouterr().out
    read_images(folder_of(tmp_path, encoded(Image.new("CMYK", (5, 4)), "JPEG")))
    assert "2 images of mode CMYK are converted to RGB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it seems to be an empty file"),
        (bytes(5000), "a file of zeros"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><body>404</body></html>", "an HTML page"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "an XML document"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS"),
        (b"../../.git/annex/objects/x", "a text"),
        (encoded(Image.new("RGB", (5, 4)), "GIF"), "a GIF image"),
        (encoded(Image.new("RGB", (5, 4)), "WEBP"), "a WebP image"),
        (encoded(Image.new("F", (5, 4)), "TIFF"), "a TIFF image"),
        (encoded(Image.new("RGB", (5, 4)), "BMP"), "a BMP image"),
        (encoded(Image.effect_noise((50, 40), 90), "JPEG")[:-200], "truncated"),
        (encoded(Image.effect_noise((50, 40), 90), "PNG")[:-200], "truncated"),
        (png(RAMP, 8, 0)[:-30] + b"x" * 30, "Truncated File Read"),
    ],
)
def test_file_that_is_no_image_is_named(tmp_path, content, message):
    with pytest.raises(UserError, match=rf"0\.png cannot be read as a JPEG or PNG image.*{message}"):
        read_images(folder_of(tmp_path, content))


def test_damage_that_pillow_does_not_see_is_named(tmp_path):
    """Cut in the middle but with an end: libjpeg fills up with grey."""
    content = encoded(Image.effect_noise((50, 40), 90), "JPEG")
    with pytest.raises(UserError, match=r"0\.png is damaged \(Corrupt JPEG data: .*\); get it again, or remove it"):
        read_images(folder_of(tmp_path, content[: len(content) * 3 // 4] + b"\xff\xd9"))


def test_animation_is_refused(tmp_path):
    frames = [Image.new("L", (5, 4), shade) for shade in (0, 90)]
    content = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    with pytest.raises(UserError, match=r"0\.png is an animation of 2 images"):
        read_images(folder_of(tmp_path, content))


def test_published_files_are_recognised(tmp_path):
    for name in ("data_batch_1", "test_batch"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=r"no images in train.*it has files of CIFAR-10, which source: archive"):
        read_images(tmp_path)


def test_digest_depends_on_no_folder_above_and_no_order_of_the_disk(images, tmp_path, monkeypatch):
    expected, listdir = content_digest("cifar10", "images", images, None), os.listdir
    (tmp_path / "__MACOSX" / "train").mkdir(parents=True)
    monkeypatch.setattr(os, "listdir", lambda folder: sorted(listdir(folder), reverse=True))
    assert content_digest("cifar10", "images", tmp_path, None) == expected


# --- counts ---------------------------------------------------------------------------------------


def test_classes_and_contradictions_are_counted(images, tmp_path, capsys):
    for label, number in (("cat", 7), ("dog", 8), ("dog", 9)):
        write_image(images / "train" / label / f"{number}.png", 1234)
    dataset = read_images(images)
    prepare(dataset, tmp_path / "out", name="x", provenance="own", source={})
    manifest = read_json(tmp_path / "out" / "manifest.json")
    pair = ["train/cat/7.png", "train/dog/8.png"]
    assert manifest["train"]["class_counts"] == [4, 5]
    assert manifest["train"]["contradictions"] == {"count": 2, "first": [pair, [pair[0], "train/dog/9.png"]]}
    assert manifest["test"]["contradictions"] == {"count": 0, "first": []}
    log = capsys.readouterr().out
    assert "train: 9 images: cat 4, dog 5" in log
    assert "2 images are equal to one of another class" in log
    assert " = ".join(pair) in log
    some = subset(dataset.train, 4, np.random.default_rng(0))
    assert [name.split("/")[1] for name in some.names] == [dataset.class_names[label] for label in some.labels]
