"""Small data sets in the layouts of ImageNet, made from a few images."""

import io
import tarfile

import numpy as np
from PIL import Image
from scipy.io import savemat

from rethinking.streams import stream

CLASSES = ("n01440764", "n02102040", "n03888257")
# Numbers of the development kit are not in the order of the ids; 4 is no class of images but a group of them.
NUMBERS = {"n01440764": 3, "n02102040": 1, "n03888257": 2}
TRAIN, VAL = 6, 4  # images of a class


def picture(seed, size=(40, 30), mode="RGB"):
    """A smooth random image."""
    small = stream(seed, "picture").integers(0, 256, (5, 5, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.BICUBIC).convert(mode)


def encoded(image, kind="JPEG", **options):
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def files():
    """Relative name -> bytes of a small set; some are grey, CMYK, or a PNG named .JPEG, one is turned by EXIF."""
    found = {}
    for number, wnid in enumerate(CLASSES):
        for i in range(TRAIN):
            seed = 100 * number + i
            image = picture(seed, size=(36 + 7 * i, 50 - 5 * i))
            found[f"train/{wnid}/{wnid}_{10 * i}.JPEG"] = encoded(image, quality=92)
        for i in range(VAL):
            image = picture(1000 + 100 * number + i)
            found[f"val/{wnid}/ILSVRC2012_val_{1 + number + len(CLASSES) * i:08d}.JPEG"] = encoded(image)
    wnid = CLASSES[1]
    found[f"train/{wnid}/{wnid}_0.JPEG"] = encoded(picture(1), "PNG")
    found[f"train/{wnid}/{wnid}_10.JPEG"] = encoded(picture(2, mode="CMYK"))
    found[f"train/{wnid}/{wnid}_20.JPEG"] = encoded(picture(3, mode="L"))
    turned = Image.Exif()
    turned[0x0112] = 6
    found[f"train/{wnid}/{wnid}_30.JPEG"] = encoded(picture(4), exif=turned)
    return found


def write_folder(folder, contents, flat=False):
    """train/<class>/ and val/<class>/, or all validation images in val/."""
    for name, content in contents.items():
        split, _, file = name.split("/")
        path = folder / split / file if flat and split == "val" else folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if flat:
        write_devkit(folder, contents)
    return folder


def add(archive, name, content):
    """Add bytes to a tar archive."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def write_archives(folder, contents):
    """A tar of a tar per class, a tar of validation images and the development kit, in no alphabetical order."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as archive:
        for wnid in reversed(CLASSES):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as tar:
                for name in sorted(contents, reverse=True):
                    if name.startswith(f"train/{wnid}/"):
                        add(tar, name.split("/")[2], contents[name])
            add(archive, f"{wnid}.tar", inner.getvalue())
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as archive:
        for name in contents:
            if name.startswith("val/"):
                add(archive, name.split("/")[2], contents[name])
    write_devkit(folder, contents)
    return folder


def write_devkit(folder, contents):
    """Numbers of classes and labels of the validation images."""
    names = [*NUMBERS, "n00001740"]
    kind = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("num_children", object)]
    synsets = np.array([(NUMBERS.get(name, 4), name, name, int(name not in NUMBERS)) for name in names], kind)
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets[:, None]})
    by_file = {name.split("/")[2]: name.split("/")[1] for name in contents if name.startswith("val/")}
    truth = "".join(f"{NUMBERS[by_file[file]]}\n" for file in sorted(by_file))
    with tarfile.open(folder / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as archive:
        add(archive, "ILSVRC2012_devkit_t12/data/meta.mat", meta.getvalue())
        add(archive, "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", truth.encode())


def write_tar(path, contents):
    """One tar of the folders."""
    with tarfile.open(path, "w") as archive:
        for name, content in contents.items():
            add(archive, f"set/{name}", content)
    return path
