"""Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017), downloaded and compared with its published checksums."""

from functools import partial

from rethinking.data.mnist import FILES, read_mnist
from rethinking.data.published import Published, SourceFile, Version
from rethinking.registry import dataset

ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
MD5 = (
    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "25c81989df183df01b3e8a0aad5dffbe",
    "bef4ecab320f06d8554ea6380940ec79",
    "bb300cfdad3c16e7a12a480ee83cd310",
)
NAMES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


@dataset("fashion_mnist", title="Fashion-MNIST", published=True)
def fashion_mnist():
    """Four files in MNIST's format and with its names; of their contents no checksums are published."""
    names = [f"{file}.gz" for file in FILES]
    return Published(
        downloads=tuple(SourceFile(name, (ADDRESS + name,), md5) for name, md5 in zip(names, MD5, strict=True)),
        versions=(Version("idx version", dict.fromkeys(FILES), partial(read_mnist, class_names=NAMES)),),
    )
