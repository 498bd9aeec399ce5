"""Trees of files for whole tools, and their comparison."""

import filecmp
import os
import pathlib
import random
import shutil
import time


def plant(top: pathlib.Path, chance: random.Random) -> pathlib.Path:
    """A few hundred small files in directories, some with awkward names, and two large ones; all a minute old.

    S3 shows whole seconds, rounded down: a file that is sent in the second it was written is newer than its object, and
    clients that compare times send it again.
    """
    for number in range(300):
        path = top / f"d{number % 7}" / f"e{number % 3}" / f"file {number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(20_000)))
    for name in ("ünïcode", "a+b", "q?x=1&y#z", "100%", "empty"):
        (top / name).write_bytes(b"" if name == "empty" else name.encode())
    for number in range(2):
        (top / f"large{number}").write_bytes(chance.randbytes(20_000_000 + number))
    past = time.time() - 60
    for where, _, names in os.walk(top):
        for name in names:
            os.utime(pathlib.Path(where) / name, (past, past))
    return top


def prune(top: pathlib.Path) -> None:
    """Leaves some ninety of the small files: for clients that take long over each."""
    for number in range(2, 7):
        shutil.rmtree(top / f"d{number}")


def same(one, other):
    """Every file of both trees, byte for byte."""
    found = [
        {os.path.relpath(os.path.join(where, name), top) for where, _, names in os.walk(top) for name in names}
        for top in (one, other)
    ]
    assert found[0] == found[1]
    _, wrong, missing = filecmp.cmpfiles(one, other, sorted(found[0]), shallow=False)
    assert (wrong, missing) == ([], [])
