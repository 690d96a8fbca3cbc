"""Faults of disks and files, as tests make them."""

import os


def refuse(number):
    """A function that the operating system refuses, whatever it is asked for."""

    def refused(*_, **__):
        raise OSError(number, os.strerror(number))

    return refused


def flip(path, place=-1):
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
