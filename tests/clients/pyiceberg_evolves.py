"""A table whose columns PyIceberg renames, moves, drops and widens is read by SQL as PyIceberg reads it.

usage: pyiceberg_evolves.py BASE_URL WORK_FOLDER

After each change of the schema more rows are added under it, so that the files differ
in names, order and types. Columns are found by their Iceberg ids: SQL must give every
row as PyIceberg and Polars give it, with filters, aggregates and older versions.
"""

import decimal
import io
import sys

import polars
import pyarrow as pa
import pyarrow.ipc
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.types import DecimalType, DoubleType, LongType, StringType

from lakehouse import Lakehouse

SCHEMA = pa.schema(
    [
        ("id", pa.int32()),
        ("ratio", pa.float32()),
        ("price", pa.decimal128(9, 2)),
        ("left", pa.string()),
        ("right", pa.string()),
        ("gone", pa.string()),
        ("place", pa.struct([("x", pa.float64()), ("y", pa.float64())])),
        ("steps", pa.list_(pa.struct([("name", pa.string()), ("cost", pa.int32())]))),
    ]
)


def rows(*ids):
    """Rows under the first schema."""
    return pa.Table.from_pylist(
        [
            {
                "id": i,
                "ratio": i / 3,
                "price": decimal.Decimal(i) / 4,
                "left": f"left {i}",
                "right": f"right {i}",
                "gone": f"gone {i}",
                "place": None if i % 3 == 0 else {"x": i / 2, "y": -i / 2},
                "steps": [{"name": f"s{n}", "cost": n * i} for n in range(i % 3)],
            }
            for i in ids
        ],
        schema=SCHEMA,
    )


def main():
    server = Lakehouse(sys.argv[1])
    catalog = RestCatalog("lakehouse", uri=f"{server.base}/v1/catalog/iceberg")
    load = lambda: catalog.load_table("default.evolves")

    def sql(statement):
        stream = server.sql(statement, "application/vnd.apache.arrow.stream")
        return pyarrow.ipc.open_stream(io.BytesIO(stream)).read_all().to_pylist()

    def same(what=""):
        """SQL, PyIceberg and Polars read the same rows."""
        by_id = lambda row: row["id"]
        theirs = sorted(load().scan().to_arrow().to_pylist(), key=by_id)
        ours = sorted(sql("SELECT * FROM evolves"), key=by_id)
        assert ours == theirs, f"{what}: SQL reads\n{ours}\nPyIceberg\n{theirs}"
        metadata = server.table("default", "evolves")["metadata_location"]
        frame = polars.scan_iceberg(metadata).collect()
        polar = sorted(frame.select("id", "price").to_dicts(), key=by_id)
        wanted = [{"id": row["id"], "price": row["price"]} for row in theirs]
        assert polar == wanted, f"{what}: Polars reads\n{polar}\nnot\n{wanted}"
        return ours

    def evolve(change):
        with load().update_schema() as update:
            change(update)

    def append(like):
        """Rows of the first schema's kind, under today's names."""
        load().append(like.select(load().schema().as_arrow().names).cast(load().schema().as_arrow()))

    catalog.create_table("default.evolves", schema=SCHEMA).append(rows(1, 2, 3))
    first = load().current_snapshot().snapshot_id
    same("at first")

    evolve(lambda update: update.rename_column("left", "middle"))
    same("renamed")
    evolve(lambda update: update.rename_column("right", "left"))
    evolve(lambda update: update.rename_column("middle", "right"))
    swapped = same("swapped")
    assert swapped[0]["left"] == "right 1" and swapped[0]["right"] == "left 1", swapped[0]
    found = sql("SELECT id FROM evolves WHERE \"left\" = 'right 2'")
    assert found == [{"id": 2}], found
    assert sql("SELECT id FROM evolves WHERE \"left\" = 'left 2'") == []
    names = [{"left": "right", "right": "left"}.get(name, name) for name in SCHEMA.names]
    append(rows(4, 5).rename_columns(names))
    same("rows under new names")

    evolve(lambda update: update.delete_column("gone"))
    evolve(lambda update: update.add_column("gone", StringType()))
    again = same("dropped and made again")
    assert all(row["gone"] is None for row in again), again
    append(rows(6, 7).rename_columns(names))
    same("rows of the new column")
    nulls = sql("SELECT count(*) AS n FROM evolves WHERE gone IS NULL")
    assert nulls == [{"n": 5}], nulls

    def widen(update):
        update.update_column("id", LongType())
        update.update_column("ratio", DoubleType())
        update.update_column("price", DecimalType(18, 2))

    evolve(widen)
    evolve(lambda update: update.move_first("price"))
    evolve(lambda update: update.move_after("id", "right"))
    same("widened and moved")

    def nested(update):
        update.rename_column("place.x", "east")
        update.add_column(("place", "z"), DoubleType())
        update.delete_column("place.y")
        update.rename_column("steps.name", "title")
        update.update_column("steps.cost", LongType())

    evolve(nested)
    inner = same("changed within structs and lists")
    assert inner[0]["place"] == {"east": 0.5, "z": None}, inner[0]
    load().append(
        pa.Table.from_pylist(
            [
                {
                    "price": decimal.Decimal("9999999999.25"),
                    "right": "r",
                    "id": 2**40,
                    "ratio": 0.1,
                    "left": "l",
                    "gone": "g",
                    "place": {"east": 1.0, "z": 2.0},
                    "steps": [{"title": "t", "cost": 2**40}],
                }
            ],
            schema=load().schema().as_arrow(),
        )
    )
    same("wide values")
    for where, expected in [
        ("id > 3", 5),
        ("id = 1099511627776", 1),
        ("id < 5000000000", 7),
        ("ratio < 0.5", 2),
        ("price = 0.50", 1),
        ("price > 1000000", 1),
        ("price BETWEEN 0.25 AND 0.75", 3),
        ("place['east'] = 1.0", 2),
        ("place IS NULL", 2),
        ("\"right\" LIKE 'left%'", 7),
    ]:
        got = sql(f"SELECT count(*) AS n FROM evolves WHERE {where}")[0]["n"]
        assert got == expected, f"{where}: {got} rows, not {expected}"
    ends = sql("SELECT min(id) AS a, max(id) AS b, sum(price) AS c, count(gone) AS d FROM evolves")
    assert ends == [{"a": 1, "b": 2**40, "c": decimal.Decimal("10000000006.25"), "d": 3}], ends

    then = sql(f"SELECT * FROM evolves FOR VERSION AS OF {first}")
    assert sorted(then, key=lambda row: row["id"]) == rows(1, 2, 3).to_pylist(), then
    print("SQL reads what PyIceberg renamed, moved, dropped, made again and widened")


if __name__ == "__main__":
    main()
