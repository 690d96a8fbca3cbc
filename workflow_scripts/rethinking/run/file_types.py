"""What a file is, from its first bytes: for messages about files that are not what their names say."""

NPZ = "a NumPy archive (.npz)"
MAGIC = (
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"MATLAB", "a MATLAB file"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF", "a PDF file"),
    (b"PK\x03\x04", "a ZIP archive, which must be unpacked"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive, which must be unpacked"),
    (b"Rar!", "a RAR archive, which must be unpacked"),
    (b"\x28\xb5\x2f\xfd", "a file compressed with zstd, which must be unpacked"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"BZh", "a bzip2 file"),
    (b"\x80\x02", "a Python pickle"),
    (b"\0\0\x08", "an idx file, as MNIST has"),
    (b"version https://git-lfs", "a pointer of Git LFS: fetch the file with 'git lfs pull'"),
    (b"<?xml", "an XML document, perhaps a server's error"),
)


def what_is(content: bytes) -> str | None:
    """What a file seems to be, as ``an HTML page``; None if it cannot be told.

    Args:
        content: the file, or its first 512 bytes.
    """
    start = content[:512]
    if not start:
        return "an empty file"
    if not start.strip(b"\0"):
        return "a file of zeros, as a broken download or a full disk leaves"
    if start[4:12] in (b"ftypavif", b"ftypheic", b"ftypmif1"):
        return "an AVIF or HEIC image"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "a WebP image"
    if start[257:262] == b"ustar":
        return "a tar archive"
    length = int.from_bytes(start[26:28], "little")  # of the name of the first file in a ZIP archive
    if start.startswith(b"PK\x03\x04") and start[30 : 30 + length].endswith(b".npy"):
        return NPZ
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, kind in MAGIC:
        if start.startswith(magic) or text.startswith(magic):
            return kind
    if b"<html" in text.lower() or text.lower().startswith(b"<!doctype html"):
        return "an HTML page, perhaps a server's error or a page to log in"
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(text) - 3:  # not a character that the cut has split
            return None
    return None if b"\0" in text else "a text"
