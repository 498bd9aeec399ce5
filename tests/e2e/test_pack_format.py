"""docs/formats/pack.md says all that a reader needs: one that goes by that page alone opens, checks and mends the golden packs."""

import json
import pathlib

import pack_reader
import pytest

HERE = pathlib.Path(__file__).parents[2]
GOLDEN = HERE / "archive" / "src" / "pack" / "tests"
KEYS = json.loads((GOLDEN / "golden.json").read_text())
SUBKEYS = {bytes.fromhex(name): bytes.fromhex(key) for name, key in KEYS["subkeys"].items()}


def golden(number):
    return pack_reader.unzstd((GOLDEN / f"golden-{number}.pack.zst").read_bytes())


def opened(data):
    pack = pack_reader.Pack(data)
    pack.open(bytes.fromhex(KEYS["index_key"]), SUBKEYS)
    return pack


def test_the_code_of_the_parity_is_that_of_the_page():
    page = (HERE / "docs" / "formats" / "pack.md").read_text()
    shards = [bytes(range(first, first + 64)) for first in (0, 64, 128)]
    assert pack_reader.parity_of(shards[:1], 1) == shards[:1]
    parity = pack_reader.parity_of(shards, 2)
    assert all(shard.hex() in page for shard in parity)
    for lost in ([0], [1, 2], [0, 2]):
        kept = {place: shard for place, shard in enumerate(shards) if place not in lost}
        found = pack_reader.restore(3, 2, kept, dict(enumerate(parity)))
        assert found == {place: shards[place] for place in lost}
    many = pack_reader.parity_of([bytes([byte]) * 64 for byte in range(130)], 52)
    assert pack_reader.blake3(b"".join(many)).hex() in page
    products = [(0x1234, 0x5678, 0x35C9), (0xFFFF, 0xFFFF, 0x8000)]
    assert all(pack_reader.FIELD.product(a, b) == wanted for a, b, wanted in products)


@pytest.mark.parametrize("number", [1, 2])
def test_a_golden_pack_is_read_by_the_page(number):
    pack = opened(golden(number))
    found = {entry["archive"][0]: pack_reader.tree_hash(pack.read(entry)).hex() for entry in pack.archives}
    wanted = dict(enumerate([*KEYS["archives"], KEYS["outside"]]))
    assert found == {place: wanted[place] for place in ((0, 1, 2, 3) if number == 1 else (1, 2))}
    assert all(entry["hash"] == entry["part_hash"] for entry in pack.archives)
    assert {bytes(entry["note"]) for entry in pack.archives} == {b"kept"}
    assert all(entry["description"] == b"about " + entry["archive"].hex().encode() for entry in pack.archives)
    if number == 1:
        assert [archive[0] for archive, _ in pack.dropped] == [9]
        assert [entry["kind"] for entry in pack.archives] == [1, 0, 0, 3]
        assert pack.archives[3]["blobs"] == [(bytes([8] * 16), 2, 4984)]
    else:
        chunks, moved = pack.register
        assert pack.group == bytes([0x6A] * 16) and len(pack.replaces) == 1
        assert [entry["kind"] for entry in pack.archives] == [2, 2] and 0 < len(moved) <= len(chunks)


def test_a_golden_pack_is_mended_by_the_page():
    good = golden(1)
    whole = pack_reader.Pack(good)
    assert whole.damaged() == []
    bad = bytearray(good)
    # All of the head, two cells of the foot, and cells of data and parity of one stripe: no more than it stands.
    bad[:whole.data_at] = bytes(whole.data_at)
    for cell in (0, 2):
        bad[whole.foot + cell * pack_reader.CELL + 99] ^= 4
    for cell in (1, 5, 6, whole.data_cells + 1):
        bad[whole.data_at + cell * pack_reader.CELL + 7] ^= 1
    pack = opened(bad)
    assert pack.damaged() == [1, 5, 6, whole.data_cells + 1]
    assert pack.repair() == 3
    assert pack.data[pack.data_at:pack.parity_at] == good[pack.data_at:pack.parity_at]
    place = pack.archives[1]["place"][0]
    broken = opened(good)
    broken.data[broken.data_at + broken.frames[place][0] + 5] ^= 1
    with pytest.raises(pack_reader.Tampered):
        broken.read(broken.archives[1])
