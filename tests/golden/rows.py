"""Writes rows/pyarrow.parquet: column types that data sets of the hub have, in two row groups. Needs pyarrow (26.0.1 made it)."""

import datetime
import decimal
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
table = pa.table(
    {
        "problem": pa.array(["<image>one", "zwölf", None], pa.large_string()),
        "answer": pa.array(["a", "b", "a"]).dictionary_encode(),
        "images": pa.array([[{"bytes": b"\x89PNG", "path": None}], None, [{"bytes": None, "path": "a.png"}]], pa.list_(image)),
        "level": pa.array([1, None, 3], pa.int8()),
        "score": pa.array([0.1, 0.5, None], pa.float32()),
        "options": pa.array([["x", None], [], None], pa.list_(pa.string())),
        "deep": pa.array([[[1], [2, 3]], [[]], None], pa.list_(pa.list_(pa.int64()))),
        "by": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
        "nothing": pa.array([None] * 3, pa.null()),
        "price": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-2.25")], pa.decimal128(10, 2)),
        "day": pa.array([datetime.date(2024, 2, 29), None, None]),
    }
)
path = pathlib.Path(__file__).parent / "rows" / "pyarrow.parquet"
pq.write_table(table, path, compression="zstd", row_group_size=2, write_statistics=False)
