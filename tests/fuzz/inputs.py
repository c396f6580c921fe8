"""Inputs of the fuzz targets: arrays and choices decoded from bytes, and mutated files."""

import random
import struct

import numpy as np

DTYPES = ("u1", "f4", "f8", "i8", "?", "i1", "f2", "c8", "O", "U3", "M8[s]", ">f4", "u8")
SIDES = (0, 1, 2, 3, 4, 5, 7, 8, 10, 28, 32, 33, 64, 84)
ODD = (None, "", "7", b"x", [1, [2]], {}, 10**400, float("nan"), True, -1, 1e308, object())
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
MOST = 1 << 16


class Bytes:
    """Decodes choices and arrays from bytes; after the end of the bytes it reads zeros."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        self.at += n
        return self.data[self.at - n : self.at].ljust(n, b"\0")

    def rest(self):
        return self.take(max(0, len(self.data) - self.at))

    def number(self, below):
        return int.from_bytes(self.take(2)) % below

    def pick(self, choices):
        return choices[self.number(len(choices))]

    def shape(self):
        return tuple(self.pick(SIDES) for _ in range(self.number(6)))

    def array(self, shape=None, dtype=None):
        """Decode an array; its values may be any bits, as may shape and dtype if they are not given."""
        shape = self.shape() if shape is None else shape
        dtype = np.dtype(self.pick(DTYPES) if dtype is None else dtype)
        size = int(np.prod(shape))
        if size > MOST:
            shape, size = (1, *shape[1:])[: len(shape)], size // max(shape[0], 1)
        if size > MOST:
            shape = (1,) * len(shape)
            size = 1
        if dtype.kind == "O":
            values = np.empty(size, object)
            values[:] = [self.pick(ODD) for _ in range(size)] if size < 100 else 7
        elif self.number(4) == 0:  # valid values, which pass the first checks
            values = np.arange(size).astype(dtype)
        else:
            pattern = self.take(8 * dtype.itemsize)
            values = np.resize(np.frombuffer(pattern, np.uint8), size * dtype.itemsize)
            values = (values & 1).view("?") if dtype.kind == "b" else values
            values = values.view(dtype) if dtype.kind != "U" else values[::4].astype(dtype)[:size]
            values = np.resize(values, size)
        return values.reshape(shape)


def mutated(rng: random.Random, seeds, tokens=()):
    """Return one of the seeds with a few random changes."""
    data = bytearray(rng.choice(seeds)) if seeds else bytearray(rng.randbytes(rng.randrange(64)))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 8))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 2, 4, 8, 16, 64, len(data))))
        way = rng.randrange(10)
        if way == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif way == 1 and at < len(data):
            data[at] = rng.randrange(256)
        elif way == 2:
            del data[at:end]
        elif way == 3:
            data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 16)))
        elif way == 4:
            number = rng.choice(NUMBERS)
            data[at : at + 4] = struct.pack(rng.choice("<>") + "I", number)
        elif way == 5 and seeds:  # join the head of one seed and the tail of another
            other = rng.choice(seeds)
            data[at:] = other[rng.randrange(len(other) + 1) :]
        elif way == 6:
            times = rng.choice((2, 2, 3, 10, 1000))
            data[at:end] = (data[at:end] * times)[:MOST]
        elif way == 7:
            del data[at:]
        elif tokens:
            data[at : at if way == 8 else end] = rng.choice(tokens)
        if len(data) > MOST:
            del data[MOST:]
    return bytes(data)


def generated(rng: random.Random, seeds, tokens=()):
    """Return a mutated seed, or, one time in ten, random bytes or tokens."""
    if rng.random() < 0.1 or not seeds:
        words = [
            rng.choice(tokens) if tokens and rng.random() < 0.7 else rng.randbytes(1) for _ in range(rng.randrange(40))
        ]
        return b"".join(words) if rng.random() < 0.5 else rng.randbytes(rng.randrange(400))
    return mutated(rng, seeds, tokens)
