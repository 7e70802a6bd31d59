"""PyIceberg works with the catalog over the Iceberg REST protocol.

usage: pyiceberg_catalog.py BASE_URL WORK_FOLDER

Tables that PyIceberg makes, fills, changes and deletes from are read by SQL and
filled by ingest, and the other way round.
"""

import json
import pathlib
import sys

import pyarrow as pa
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    NamespaceNotEmptyError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.types import LongType

from lakehouse import Lakehouse

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string()), ("place", pa.struct([("x", pa.float64())]))])


def rows(*ids):
    """Rows with these ids."""
    return pa.table(
        {
            "id": list(ids),
            "name": [f"n{i}" for i in ids],
            "place": [None if i % 2 else {"x": i / 2} for i in ids],
        },
        schema=SCHEMA,
    )


def refuses(error, call):
    """The call must raise the error."""
    try:
        call()
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


def main():
    server, folder = Lakehouse(sys.argv[1]), pathlib.Path(sys.argv[2])
    catalog = RestCatalog("lakehouse", uri=f"{server.base}/v1/catalog/iceberg")

    def by_sql():
        answer = json.loads(server.sql("SELECT id FROM sales.t ORDER BY id", "application/json"))
        return [row[0] for row in answer["rows"]]

    def by_pyiceberg():
        return sorted(catalog.load_table("sales.t").scan().to_arrow()["id"].to_pylist())

    catalog.create_namespace("sales")
    assert ("sales",) in catalog.list_namespaces()
    table = catalog.create_table("sales.t", schema=SCHEMA)
    refuses(TableAlreadyExistsError, lambda: catalog.create_table("sales.t", schema=SCHEMA))
    table.append(rows(1, 2, 3))
    assert by_sql() == by_pyiceberg() == [1, 2, 3]

    more = folder / "more.csv"
    more.write_text("id,name\n4,n4\n5,n5\n")
    server.ingest("sales.t", more, "csv")
    assert by_sql() == by_pyiceberg() == [1, 2, 3, 4, 5]

    # `table` is older than the last commit, which must not be lost: the catalog
    # refuses, and PyIceberg tries again on what is there.
    table.append(rows(9))
    assert by_sql() == by_pyiceberg() == [1, 2, 3, 4, 5, 9]
    table = catalog.load_table("sales.t")
    table.delete("id = 2")
    assert by_sql() == by_pyiceberg() == [1, 3, 4, 5, 9]

    with table.update_schema() as update:
        update.add_column("extra", LongType())
    with_extra = folder / "extra.csv"
    with_extra.write_text("id,name,extra\n6,n6,60\n")
    server.ingest("sales.t", with_extra, "csv")
    table = catalog.load_table("sales.t")
    last = table.scan(row_filter="id = 6").to_arrow().to_pylist()
    assert last == [{"id": 6, "name": "n6", "place": None, "extra": 60}], last
    with table.update_schema() as update:
        update.rename_column("name", "title")
    assert by_sql() == by_pyiceberg() == [1, 3, 4, 5, 6, 9]
    catalog.load_table("sales.t").overwrite(rows(7).rename_columns(["id", "title", "place"]))
    assert by_sql() == by_pyiceberg() == [7]

    refuses(NamespaceNotEmptyError, lambda: catalog.drop_namespace("sales"))
    catalog.drop_table("sales.t")
    refuses(NoSuchTableError, lambda: catalog.load_table("sales.t"))
    catalog.drop_namespace("sales")
    print("PyIceberg makes, fills, changes and drops tables over the REST catalog")


if __name__ == "__main__":
    main()
