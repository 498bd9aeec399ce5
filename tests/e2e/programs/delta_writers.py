"""Processes that append to one Delta table at once; prints the table's last version, its rows and whose they are.

Arguments: the table's URI, the number of writers, the commits of each. Everything else is deltalake's default. One that lost
15 times in a row is told so and appends again, as an application does: had it been committed all the same, its rows would be
there twice.
"""

import json
import multiprocessing
import sys

import arro3.core
import deltalake
import deltalake.exceptions

ROWS = 100
APPENDS_MAX = 20


def batch(writer: int, commit: int) -> arro3.core.Table:
    names = arro3.core.Array([f"{writer}/{commit}"] * ROWS, type=arro3.core.DataType.string())
    rows = arro3.core.Array(range(ROWS), type=arro3.core.DataType.int64())
    return arro3.core.Table({"commit": names, "row": rows})


def append(uri: str, writer: int, commits: int, start) -> None:
    start.wait()
    for commit in range(commits):
        for attempt in range(APPENDS_MAX):
            try:
                deltalake.write_deltalake(uri, batch(writer, commit), mode="append")
                break
            except deltalake.exceptions.CommitFailedError:
                if attempt + 1 == APPENDS_MAX:
                    raise


def main(uri: str, writers: int, commits: int) -> None:
    deltalake.write_deltalake(uri, batch(-1, 0))
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(writers)
    tasks = [context.Process(target=append, args=(uri, writer, commits, start)) for writer in range(writers)]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()
    assert [task.exitcode for task in tasks] == [0] * writers, "a writer failed"
    table = deltalake.DeltaTable(uri)
    counting = 'select "commit", count(*) as rows, sum("row") as total from appended group by "commit"'
    found = arro3.core.Table(deltalake.QueryBuilder().register("appended", table).execute(counting))
    counted = {name: (rows, total) for name, rows, total in zip(*(column.to_pylist() for column in found.columns))}
    print(json.dumps({"version": table.version(), "commits": counted}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
