"""Arrow tables and pandas frames as Arrow IPC streams."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

from packhouse.errors import InvalidInput
from packhouse.tasks.serializers.contract import Dumped, Serializer

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["ArrowSerializer", "FrameSerializer"]

_SAFE_ARROW = 14  # before, reading a stream could run code (CVE-2023-47248)
_RANGE = b"packhouse.range"  # of the schema: the index as start, stop, step
_MISSING = b"packhouse.missing"  # of a column of text: what stands for no text, nan or NA
_UNITS = {("s", 1), ("ms", 1), ("us", 1), ("ns", 1)}


class ArrowSerializer(Serializer):
    """`pyarrow.Table`, as an IPC stream. Extension types are pickled instead."""

    tag = "arrow"

    def accepts(self, value: object) -> bool:
        """Take exactly tables of Arrow's own types."""
        arrow = sys.modules.get("pyarrow")
        if arrow is None or type(value) is not arrow.Table:
            return False
        table = cast("Any", value)
        return _is_safe(arrow) and not any(_is_extension(field.type) for field in table.schema)

    def dump(self, value: object) -> Dumped:
        """Write it; what does not come back equal, dictionaries that change for instance, raises."""
        return _written(value)

    def load(self, data: Buffer) -> object:
        """Return a table on this memory."""
        return _read(data)


class FrameSerializer(Serializer):
    """`pandas.DataFrame` of numbers, times without a zone and Arrow-backed text; named columns, a plain range as index.

    Text is Arrow-backed where its dtype is `str` (pandas 3) or `string[pyarrow]`. Everything else about frames (Python
    objects, categories, zones, other indexes, `attrs`) is pickled, its blocks beside the pickle.
    """

    tag = "pandas-arrow"

    def accepts(self, value: object) -> bool:
        """Take exactly frames whose every part the stream keeps."""
        pandas, numpy = sys.modules.get("pandas"), sys.modules.get("numpy")
        if pandas is None or numpy is None or type(value) is not pandas.DataFrame or not _has_arrow():
            return False
        frame = cast("Any", value)
        index, columns = frame.index, frame.columns
        return (
            type(index) is pandas.RangeIndex
            and index.name is None
            and columns.name is None
            and not frame.attrs
            and frame.flags.allows_duplicate_labels
            and len(columns) > 0
            and columns.is_unique
            and columns.dtype == pandas.Index(["text"]).dtype
            and all(type(name) is str for name in columns)
            and all(_is_plain(numpy, dtype) or _is_text(pandas, dtype) for dtype in frame.dtypes)
        )

    def dump(self, value: object) -> Dumped:
        """Write it with its index as two numbers and nan as nan."""
        import numpy as np
        import pyarrow as pa

        frame = cast("Any", value)
        arrays, fields = [], []
        for name in frame.columns:
            column, kept = frame[name], None
            if isinstance(column.dtype, np.dtype):
                array = pa.array(column.to_numpy(), from_pandas=False)
            else:
                array = pa.array(column.array)
                kept = {_MISSING: b"nan" if isinstance(column.dtype.na_value, float) else b"NA"}
            arrays.append(array)
            fields.append(pa.field(name, array.type, metadata=kept))
        index = frame.index
        bounds = {_RANGE: f"{index.start},{index.stop},{index.step}".encode()}
        return _written(pa.table(arrays, schema=pa.schema(fields, metadata=bounds)))

    def load(self, data: Buffer) -> object:
        """Make the frame again; its columns may be written to."""
        import numpy as np
        import pandas as pd

        table = _read(data)
        bounds = (table.schema.metadata or {}).get(_RANGE, b"").split(b",")
        if len(bounds) != 3:
            raise InvalidInput("the artifact is no pandas frame of packhouse", kind="encoding")
        columns: dict[str, Any] = {}
        for field, column in zip(table.schema, table.columns, strict=True):
            missing = (field.metadata or {}).get(_MISSING)
            if missing is None:
                columns[field.name] = np.array(column.to_numpy())
            else:
                text = pd.StringDtype("pyarrow", na_value=np.nan) if missing == b"nan" else pd.StringDtype("pyarrow")
                columns[field.name] = text.__from_arrow__(column)
        return pd.DataFrame(columns, index=pd.RangeIndex(*map(int, bounds)))


def _is_plain(numpy: Any, dtype: Any) -> bool:
    """Tell whether Arrow keeps a column of this type as it is."""
    if not isinstance(dtype, numpy.dtype) or not dtype.isnative:
        return False
    if dtype.kind in "Mm":
        return numpy.datetime_data(dtype) in _UNITS
    return dtype.kind in "biuf" and dtype.itemsize <= 8


def _is_text(pandas: Any, dtype: Any) -> bool:
    return type(dtype) is pandas.StringDtype and dtype.storage == "pyarrow"


def _written(table: Any) -> Dumped:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return [memoryview(sink.getvalue())]


def _read(data: Buffer) -> Any:
    import pyarrow as pa

    if not _is_safe(pa):
        raise InvalidInput(f"pyarrow {pa.__version__} may run code while it reads: use 14 or newer", kind="untrusted")
    try:
        with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
            table = reader.read_all()
        table.validate()
    except pa.ArrowException as error:
        raise InvalidInput(f"the artifact is no Arrow stream: {error}", kind="encoding") from error
    return table


def _is_safe(arrow: Any) -> bool:
    return int(arrow.__version__.split(".")[0]) >= _SAFE_ARROW


def _has_arrow() -> bool:
    try:
        import pyarrow as pa
    except ImportError:
        return False
    return _is_safe(pa)


def _is_extension(kind: Any) -> bool:
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType):
        return True
    if pa.types.is_dictionary(kind):
        return True  # an equal table may come back with other dictionaries
    return any(_is_extension(kind.field(number).type) for number in range(kind.num_fields))
