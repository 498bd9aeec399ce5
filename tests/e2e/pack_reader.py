"""Reads, checks and mends packs by docs/formats/pack.md and nothing else: the proof that the page says all.

Slow, whole packs in memory, for tests. BLAKE3, CRC32C, AES-256-GCM and the parity's field are here; SHA-256 is Python's, zstd is pyarrow's."""

import hashlib
import struct

import pyarrow

CELL, BLOCK, SHARE, CHUNK = 4096, 65536, 3968, 65536
MIB = 1 << 20


# BLAKE3

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
MASK = 0xFFFFFFFF


def _rounds():
    order, rounds = list(range(16)), []
    for _ in range(7):
        rounds.append(order)
        order = [order[place] for place in ORDER]
    corners = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
               (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
    return [(a, b, c, d, words[2 * n], words[2 * n + 1]) for words in rounds for n, (a, b, c, d) in enumerate(corners)]


STEPS = _rounds()


def _compress(chaining, block, counter, length, flags):
    m = struct.unpack("<16I", block)
    v = [*chaining, *IV[:4], counter & MASK, counter >> 32, length, flags]
    for a, b, c, d, x, y in STEPS:
        va, vb, vc, vd = v[a], v[b], v[c], v[d]
        va = (va + vb + m[x]) & MASK
        vd ^= va
        vd = (vd >> 16) | (vd << 16) & MASK
        vc = (vc + vd) & MASK
        vb ^= vc
        vb = (vb >> 12) | (vb << 20) & MASK
        va = (va + vb + m[y]) & MASK
        vd ^= va
        vd = (vd >> 8) | (vd << 24) & MASK
        vc = (vc + vd) & MASK
        vb ^= vc
        v[a], v[b], v[c], v[d] = va, (vb >> 7) | (vb << 25) & MASK, vc, vd
    return [v[n] ^ v[n + 8] for n in range(8)]


def blake3(data, key=None):
    """32 bytes, keyed where there is a key."""
    start, base = (IV, 0) if key is None else (struct.unpack("<8I", key), 16)

    def chunk(number, last):
        piece, chaining = data[number * 1024:(number + 1) * 1024], start
        blocks = max(1, -(-len(piece) // 64))
        for place in range(blocks):
            block = piece[place * 64:(place + 1) * 64]
            flags = base | (1 if place == 0 else 0) | (2 if place == blocks - 1 else 0)
            if place == blocks - 1 and last:
                flags |= 8
            chaining = _compress(chaining, block.ljust(64, b"\0"), number, len(block), flags)
        return chaining

    def tree(first, count, root):
        if count == 1:
            return chunk(first, root)
        left = 1 << (count - 1).bit_length() - 1
        pair = tree(first, left, False) + tree(first + left, count - left, False)
        return _compress(start, struct.pack("<16I", *pair), 0, 64, base | 4 | (8 if root else 0))

    return struct.pack("<8I", *tree(0, max(1, -(-len(data) // 1024)), True))


# CRC32C

def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC = _crc_table()


def crc32c(data):
    value = MASK
    for byte in data:
        value = CRC[value & 255 ^ byte] ^ value >> 8
    return value ^ MASK


# AES-256-GCM

def _boxes():
    box, p, q = [0] * 256, 1, 1
    while True:
        p ^= (p << 1 ^ (0x11B if p & 128 else 0)) & 0x1FF
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 255
        if q & 128:
            q ^= 9
        turned = q
        for turn in range(1, 5):
            turned ^= (q << turn | q >> 8 - turn) & 255
        box[p] = turned ^ 0x63
        if p == 1:
            break
    box[0] = 0x63
    return box


BOX = _boxes()
TWICE = [(byte << 1 ^ (0x11B if byte & 128 else 0)) & 255 for byte in range(256)]
TABLES = []
for _turn in range(4):
    _rows = []
    for _byte in range(256):
        _s = BOX[_byte]
        _word = TWICE[_s] << 24 | _s << 16 | _s << 8 | TWICE[_s] ^ _s
        _rows.append((_word >> 8 * _turn | _word << 32 - 8 * _turn) & MASK)
    TABLES.append(_rows)


class Aes:
    def __init__(self, key):
        words, power = list(struct.unpack(">8I", key)), 1
        for place in range(8, 60):
            word = words[-1]
            if place % 8 == 0:
                word = (word << 8 | word >> 24) & MASK
                word = self._sub(word) ^ power << 24
                power = TWICE[power]
            elif place % 8 == 4:
                word = self._sub(word)
            words.append(words[place - 8] ^ word)
        self.words = words

    @staticmethod
    def _sub(word):
        return BOX[word >> 24] << 24 | BOX[word >> 16 & 255] << 16 | BOX[word >> 8 & 255] << 8 | BOX[word & 255]

    def block(self, data):
        k = self.words
        s = [word ^ k[place] for place, word in enumerate(struct.unpack(">4I", data))]
        t0, t1, t2, t3 = TABLES
        for turn in range(1, 14):
            s = [t0[s[n] >> 24] ^ t1[s[(n + 1) % 4] >> 16 & 255] ^ t2[s[(n + 2) % 4] >> 8 & 255]
                 ^ t3[s[(n + 3) % 4] & 255] ^ k[4 * turn + n] for n in range(4)]
        last = [(BOX[s[n] >> 24] << 24 | BOX[s[(n + 1) % 4] >> 16 & 255] << 16 | BOX[s[(n + 2) % 4] >> 8 & 255] << 8
                 | BOX[s[(n + 3) % 4] & 255]) ^ k[56 + n] for n in range(4)]
        return struct.pack(">4I", *last)


class Tampered(Exception):
    """Bytes are not what was sealed, or what the page says."""


def open_gcm(key, nonce, more, sealed):
    """The plaintext of ciphertext and tag."""
    if len(sealed) < 16:
        raise Tampered("shorter than a tag")
    aes, body, tag = Aes(key), sealed[:-16], sealed[-16:]
    h = int.from_bytes(aes.block(bytes(16)), "big")
    bytewise = []
    for place in range(16):
        row = [0] * 256
        value = h
        for _ in range(8 * place):
            value = value >> 1 ^ (0xE1 << 120 if value & 1 else 0)
        for bit in (128, 64, 32, 16, 8, 4, 2, 1):
            row[bit] = value
            value = value >> 1 ^ (0xE1 << 120 if value & 1 else 0)
        for byte in range(1, 256):
            low = byte & -byte
            row[byte] = row[low] ^ row[byte ^ low]
        bytewise.append(row)
    hashed = 0
    for part in (more, body, struct.pack(">QQ", 8 * len(more), 8 * len(body))):
        for at in range(0, len(part), 16):
            mixed = hashed ^ int.from_bytes(part[at:at + 16].ljust(16, b"\0"), "big")
            hashed = 0
            for place, byte in enumerate(mixed.to_bytes(16, "big")):
                hashed ^= bytewise[place][byte]
    if (hashed ^ int.from_bytes(aes.block(nonce + b"\0\0\0\1"), "big")).to_bytes(16, "big") != tag:
        raise Tampered("a tag does not match")
    count = -(-len(body) // 16)
    stream = b"".join(aes.block(nonce + struct.pack(">I", number)) for number in range(2, 2 + count))[:len(body)]
    return (int.from_bytes(body, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(body), "big")


# The code of the parity

BETA = (0x0001, 0xACCA, 0x3C0E, 0x163E, 0xC582, 0xED2E, 0x914C, 0x4012,
        0x6C98, 0x10D8, 0x6A72, 0xB900, 0xFDB8, 0xFB34, 0xFF38, 0x991E)


class Field:
    def __init__(self):
        element = [0] * 65536
        for bit, beta in enumerate(BETA):
            for word in range(1 << bit):
                element[word | 1 << bit] = element[word] ^ beta
        word_of = [0] * 65536
        for word, value in enumerate(element):
            word_of[value] = word
        self.exp, self.log, value = [0] * 131070, [0] * 65536, 1
        for power in range(65535):
            self.exp[power] = self.exp[power + 65535] = word_of[value]
            self.log[word_of[value]] = power
            value <<= 1
            if value & 0x10000:
                value ^= 0x1002D

    def product(self, a, b):
        return self.exp[self.log[a] + self.log[b]] if a and b else 0

    def quotient(self, a, b):
        return self.exp[self.log[a] + 65535 - self.log[b]] if a else 0


FIELD = Field()


def words(shard):
    return [shard[at + n] | shard[at + 32 + n] << 8 for at in range(0, len(shard), 64) for n in range(32)]


def shard_of(found):
    out = bytearray(2 * len(found))
    for place, word in enumerate(found):
        at = place // 32 * 64 + place % 32
        out[at], out[at + 32] = word & 255, word >> 8
    return bytes(out)


def transform(rows, offset, inverse):
    """Of rows of words, in place: each column is a transform of its own."""
    sizes = []
    size = 1
    while size < len(rows):
        sizes.append(size)
        size *= 2
    for size in sizes if inverse else reversed(sizes):
        for first in range(0, len(rows), 2 * size):
            skew = (offset + first) >> size.bit_length() - 1
            for place in range(first, first + size):
                a, b = rows[place], rows[place + size]
                if inverse:
                    b = [x ^ y for x, y in zip(a, b)]
                    a = [x ^ FIELD.product(skew, y) for x, y in zip(a, b)]
                else:
                    a = [x ^ FIELD.product(skew, y) for x, y in zip(a, b)]
                    b = [x ^ y for x, y in zip(a, b)]
                rows[place], rows[place + size] = a, b


def parity_of(shards, count):
    """The parity shards of these, in a code of so many."""
    c = 1 << (count - 1).bit_length()
    rows = [words(shard) for shard in shards]
    zero = [0] * len(rows[0])
    sums = [zero] * c
    for group in range(-(-len(rows) // c)):
        part = rows[group * c:(group + 1) * c]
        part += [zero] * (c - len(part))
        transform(part, (group + 1) * c, True)
        sums = [[x ^ y for x, y in zip(a, b)] for a, b in zip(sums, part)]
    transform(sums, 0, False)
    return [shard_of(row) for row in sums[:count]]


def restore(depth, count, data, parity):
    """The shards that `data` lacks of 0 to depth, by those of `data` and `parity` that there are, in a code of `count`. None where they are too few."""
    c = 1 << (count - 1).bit_length()
    points = 1 << (c + -(-depth // c) * c - 1).bit_length()
    known = [(c + place, words(shard)) for place, shard in data.items()]
    lost = [place for place in range(depth) if place not in data]
    known += [(place, words(shard)) for place, shard in sorted(parity.items())[:len(lost)]]
    if len(known) < depth:
        return None
    # The zeros behind the data count as known: there are as many points as the polynomial has coefficients then, and no more.
    places = [place for place, _ in known] + list(range(c + depth, points))
    assert len(places) == points - c
    found = {}
    for place in lost:
        wanted, out = c + place, None
        for at, row in known:
            top, bottom = 1, 1
            for other in places:
                if other != at:
                    top = FIELD.product(top, wanted ^ other)
                    bottom = FIELD.product(bottom, at ^ other)
            factor = FIELD.log[FIELD.quotient(top, bottom)]
            term = [FIELD.exp[factor + FIELD.log[word]] if word else 0 for word in row]
            out = term if out is None else [x ^ y for x, y in zip(out, term)]
        found[place] = shard_of(out)
    return found


# Packs

class Fields:
    """Fields of a record, one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0
        if self.u8() != 1:
            raise Tampered("a record of another version")

    def fixed(self, length):
        if self.at + length > len(self.data):
            raise Tampered("a record ends too early")
        self.at += length
        return self.data[self.at - length:self.at]

    def u8(self):
        return self.fixed(1)[0]

    def u64(self):
        return struct.unpack("<Q", self.fixed(8))[0]

    def i64(self):
        return struct.unpack("<q", self.fixed(8))[0]

    def count(self):
        value, shift = 0, 0
        while True:
            byte = self.u8()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def bytes(self):
        return self.fixed(self.count())

    def many(self, one):
        return [one() for _ in range(self.count())]

    def end(self):
        if self.at != len(self.data):
            raise Tampered("bytes left over in a record")


def zstd_end(data):
    """Where the zstd frame ends that this begins with (RFC 8878)."""
    if data[:4] != b"\x28\xb5\x2f\xfd":
        raise Tampered("no zstd frame")
    descriptor = data[4]
    single, dictionary = descriptor & 32, descriptor & 3
    at = 5 + (0 if single else 1) + (0, 1, 2, 4)[dictionary] + ((1 if single else 0), 2, 4, 8)[descriptor >> 6]
    while True:
        header = int.from_bytes(data[at:at + 3], "little")
        at += 3 + (1 if header >> 1 & 3 == 1 else header >> 3)
        if header & 1:
            return at + (4 if descriptor & 4 else 0)


def unzstd(data):
    return pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd").read()


def apart(planes, width):
    count = len(planes) // width
    out = bytearray(len(planes))
    for plane in range(width):
        out[plane:count * width:width] = planes[plane * count:(plane + 1) * count]
    out[count * width:] = planes[count * width:]
    return bytes(out)


def tree_hash(data):
    level = [hashlib.sha256(data[at:at + MIB]).digest() for at in range(0, max(1, len(data)), MIB)]
    while len(level) > 1:
        level = [hashlib.sha256(b"".join(level[at:at + 2])).digest() if at + 1 < len(level) else level[at]
                 for at in range(0, len(level), 2)]
    return level[0]


def index_chunk(number):
    return struct.pack(">Q", number)


class Pack:
    """A pack in memory, opened by any good cell of head or foot."""

    def __init__(self, data):
        self.data = bytearray(data)
        votes = {}
        for at in range(0, len(data) - CELL + 1, CELL):
            cell = self._cell(at)
            if cell and at in (cell["number"] * CELL, cell["foot"] + cell["number"] * CELL):
                votes.setdefault(cell["header"], []).append(cell)
        if not votes:
            raise Tampered("no cell of a head or foot")
        cells = max(votes.values(), key=len)
        self.__dict__.update({name: cells[0][name] for name in (
            "pack", "vault", "index_key", "index_length", "head_cells", "data_cells", "stripes", "depth",
            "parity_depth", "data_at", "parity_at", "foot", "share_count", "share_parity")})
        shares = {cell["number"]: cell["share"] for cell in cells}
        data_shares = {number: share for number, share in shares.items() if number < self.share_count}
        parity = {number - self.share_count: share for number, share in shares.items() if number >= self.share_count}
        if len(data_shares) < self.share_count:
            mended = restore(self.share_count, self.share_parity, data_shares, parity)
            if mended is None:
                raise Tampered("too few cells of head and foot")
            data_shares.update(mended)
        meta = b"".join(data_shares[number] for number in range(self.share_count))[:self.meta_length()]
        if blake3(meta[:-32]) != meta[-32:]:
            raise Tampered("the hash of head and foot")
        self.sealed, rest = meta[:self.index_length], meta[self.index_length:-32]
        blocks = -(-self.data_cells // 16)
        self.hashes = [rest[32 * n:32 * n + 32] for n in range(blocks)]
        self.crcs = struct.unpack(f"<{self.data_cells + self.stripes * self.parity_depth}I", rest[32 * blocks:])
        self.tables = blake3(b"firn pack 1 tables" + self.pack + struct.pack("<I", self.data_cells) + rest)

    def _cell(self, at):
        cell = bytes(self.data[at:at + CELL])
        if cell[:8] != b"FIRNPACK" or struct.unpack("<I", cell[60:64])[0] != crc32c(cell[:60] + cell[64:]):
            return None
        version, number = struct.unpack("<II", cell[8:16])
        index_length, head_cells, data_cells = struct.unpack("<III", cell[32:44])
        if version != 1 or cell[44] != 1 or any(cell[45:60]) or any(cell[96:128]):
            raise Tampered("another version, suite or feature")
        stripes = 64 if data_cells >= 4096 else -(-data_cells // 256)
        depth = -(-data_cells // stripes)
        parity_depth = max(8, -(-52 * depth // 1024))
        data_at = head_cells * CELL
        parity_at = data_at + data_cells * CELL
        meta = index_length + 32 * -(-data_cells // 16) + 4 * (data_cells + stripes * parity_depth) + 32
        share_count = -(-meta // SHARE)
        return {
            "header": cell[8:12] + cell[16:60] + cell[64:128], "number": number, "share": cell[128:],
            "pack": cell[16:32], "vault": cell[64:80], "index_key": cell[80:96], "index_length": index_length,
            "head_cells": head_cells, "data_cells": data_cells, "stripes": stripes, "depth": depth,
            "parity_depth": parity_depth, "data_at": data_at, "parity_at": parity_at,
            "foot": parity_at + stripes * parity_depth * CELL,
            "share_count": share_count, "share_parity": max(4, -(-share_count // 16)),
        }

    def meta_length(self):
        return self.index_length + 32 * -(-self.data_cells // 16) + 4 * (self.data_cells + self.stripes * self.parity_depth) + 32

    def cell(self, number):
        """Of data, and of parity behind them."""
        return bytes(self.data[self.data_at + number * CELL:][:CELL])

    def damaged(self):
        """Numbers of cells of data, and of parity behind them, that are not what they were."""
        bad = [number for number, crc in enumerate(self.crcs) if crc32c(self.cell(number)) != crc]
        for block, wanted in enumerate(self.hashes):
            last = min(16 * block + 16, self.data_cells)
            found = blake3(bytes(self.data[self.data_at + block * BLOCK:self.data_at + last * CELL]))
            if found != wanted and not any(number // 16 == block for number in bad if number < self.data_cells):
                bad += range(16 * block, last)
        return sorted(bad)

    def repair(self):
        """Restores the damaged cells of data; how many."""
        bad = set(self.damaged())
        mended = 0
        for stripe in {number % self.stripes for number in bad if number < self.data_cells}:
            depth = -(-(self.data_cells - stripe) // self.stripes)
            numbers = [place * self.stripes + stripe for place in range(depth)]
            data = {place: self.cell(number) for place, number in enumerate(numbers) if number not in bad}
            behind = [self.data_cells + place * self.stripes + stripe for place in range(self.parity_depth)]
            parity = {place: self.cell(number) for place, number in enumerate(behind) if number not in bad}
            for place, found in (restore(depth, 52, data, parity) or {}).items():
                if crc32c(found) != self.crcs[numbers[place]]:
                    raise Tampered("what was restored is not what it was")
                at = self.data_at + numbers[place] * CELL
                self.data[at:at + CELL] = found
                mended += 1
        return mended

    def _open(self, key, label, sealed, more=b""):
        salt, body, length = sealed[:16], sealed[16:], struct.pack("<I", len(sealed))
        derived = blake3(label + self.pack + more + salt + length, key)
        chunks = range(0, len(body), CHUNK + 16)
        return b"".join(
            open_gcm(derived, bytes(4) + index_chunk(number), self.pack + index_chunk(number), body[at:at + CHUNK + 16])
            for number, at in enumerate(chunks))

    def open(self, index_key, subkeys):
        """Reads the index: subkeys are those that were not erased, by their ids."""
        self.subkeys = subkeys
        plain = self._open(index_key, b"firn pack 1 index.", self.sealed)
        if plain[:32] != self.tables:
            raise Tampered("the tables are not those that were sealed")
        codec, length = plain[32], struct.unpack("<I", plain[33:37])[0]
        record = unzstd(plain[37:]) if codec == 1 else plain[37:]
        if codec > 1 or len(record) != length:
            raise Tampered("the record of the index")
        fields = Fields(record)
        if fields.fixed(16) != self.vault:
            raise Tampered("another vault")
        self.sealed_at, self.group = fields.i64(), fields.fixed(16)
        self.keys, self.packs, self.replaces = (fields.many(lambda: fields.fixed(16)) for _ in range(3))
        offset, self.frames = 0, []
        for _ in range(fields.count()):
            stored, codec, key = fields.count(), fields.u8(), fields.count()
            self.frames.append((offset, stored, codec, key, fields.fixed(16) if key else b""))
            offset += stored
        key = fields.count()
        self.register = self._register(key, fields.bytes()) if key else ([], [])
        self.archives = fields.many(lambda: self._entry(fields))
        self.dropped = fields.many(lambda: (fields.fixed(16), fields.i64()))
        fields.many(lambda: (fields.count(), fields.bytes()))
        fields.end()

    def _register(self, key, sealed):
        fields = Fields(self._open(self.subkeys[self.keys[key - 1]], b"firn pack 1 chunks", sealed))
        chunks, frame, at = [], 0, 0
        for _ in range(fields.count()):
            ahead, length, name = fields.count(), fields.count(), fields.fixed(32)
            frame, at = frame + ahead, 0 if ahead else at
            chunks.append((name, frame, at, length))
            at += length
        moved = fields.many(lambda: tuple(fields.count() for _ in range(6)))
        fields.end()
        return chunks, moved

    def _entry(self, fields):
        archive, kind, part, key, private = fields.fixed(16), fields.u8(), fields.count(), fields.count(), fields.bytes()
        place = {0: 2, 1: 1, 2: 0, 3: 2}[kind & 127]
        place = [fields.count() for _ in range(place)]
        subkey = self.subkeys.get(self.keys[key])
        found = {"archive": archive, "kind": kind & 127, "last": kind >= 128, "part": part, "place": place}
        if subkey is None:
            return found
        more = archive + struct.pack("<I", part)
        said = Fields(self._open(subkey, b"firn pack 1 entry.", private, more))
        kind = said.u8()
        found.update(created=said.i64(), length=said.u64(), part_hash=said.fixed(32))
        found["hash"] = said.fixed(32) if kind & 128 else found["part_hash"] if kind & 64 else None
        found.update(description=said.bytes(), note=said.bytes())
        if kind & 63 == 1:
            found["at"] = said.count()
        elif kind & 63 == 2:
            found["runs"] = said.many(lambda: tuple(said.count() for _ in range(4)))
        elif kind & 63 == 3:
            found["lead"] = said.count()
            wide = lambda: said.count() << 32 | said.count()
            found["blobs"] = said.many(lambda: (said.fixed(16), wide(), wide()))
        said.end()
        return found

    def frame(self, number):
        """What a frame holds, with what it is filled up with where it was kept as it is."""
        offset, stored, codec, key, salt = self.frames[number]
        data = bytes(self.data[self.data_at + offset:self.data_at + offset + stored])
        if not key:
            return data
        derived = blake3(b"firn pack 1 frame." + self.pack + salt, self.subkeys[self.keys[key - 1]])
        plain = b""
        for chunk, at in enumerate(range(0, len(data), CHUNK + 16)):
            place = struct.pack(">II", number, chunk)
            plain += open_gcm(derived, bytes(4) + place, self.pack + place, data[at:at + CHUNK + 16])
        if codec == 0:
            return plain
        end = zstd_end(plain)
        if any(plain[end:]) or len(plain) - end >= 256:
            raise Tampered("what a frame is filled up with")
        plain = unzstd(plain[:end])
        return plain if codec == 1 else apart(plain, {2: 2, 3: 4}[codec])

    def read(self, entry, others=None):
        """The bytes of an entry; `others` has other packs by their ids, those that replaced them too."""
        length = entry["length"]
        if entry["kind"] in (0, 3):
            first, count = entry["place"]
            held = [self.frame(number) for number in range(first, first + count)]
            found = b"".join(held)[:length]
        elif entry["kind"] == 1:
            found = self.frame(entry["place"][0])[entry["at"]:][:length]
        else:
            found = b"".join(self._run(run, others) for run in entry["runs"])
        if len(found) != length or tree_hash(found) != entry["part_hash"]:
            raise Tampered("an archive is not what was put in")
        return found

    def _run(self, run, others):
        pack, frame, at, length = run
        if pack == 0:
            return self.frame(frame)[at:at + length]
        wanted = self.packs[pack - 1]
        other = others[wanted]
        if other.pack == wanted:
            return other.frame(frame)[at:at + length]
        place, found = other.replaces.index(wanted), b""
        for old, old_frame, old_at, size, new_frame, new_at in other.register[1]:
            if (old, old_frame) == (place, frame) and old_at <= at + len(found) < old_at + size and len(found) < length:
                skipped = at + len(found) - old_at
                until = min(size, at + length - old_at)
                found += other.frame(new_frame)[new_at + skipped:new_at + until]
        if len(found) != length:
            raise Tampered("bytes that were not carried over")
        return found
