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
    """`pandas.DataFrame` of plain numbers and times, named columns and a plain range as its index.

    Everything else about frames (text, categories, other indexes, `attrs`) is pickled, its blocks beside the pickle.
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
            and all(isinstance(dtype, numpy.dtype) and dtype.kind in "biuf" for dtype in frame.dtypes)
            and all(dtype.isnative and dtype.itemsize <= 8 for dtype in frame.dtypes)
        )

    def dump(self, value: object) -> Dumped:
        """Write it with its index as two numbers and nan as nan."""
        import pyarrow as pa

        frame = cast("Any", value)
        arrays = [pa.array(frame[name].to_numpy(), from_pandas=False) for name in frame.columns]
        index = frame.index
        bounds = {b"packhouse.range": f"{index.start},{index.stop},{index.step}".encode()}
        return _written(pa.table(arrays, names=list(frame.columns)).replace_schema_metadata(bounds))

    def load(self, data: Buffer) -> object:
        """Make the frame again; its columns may be written to."""
        import numpy as np
        import pandas as pd

        table = _read(data)
        bounds = (table.schema.metadata or {}).get(b"packhouse.range", b"").split(b",")
        if len(bounds) != 3:
            raise InvalidInput("the artifact is no pandas frame of packhouse", kind="encoding")
        columns = {name: np.array(table.column(name).to_numpy()) for name in table.column_names}
        return pd.DataFrame(columns, index=pd.RangeIndex(*map(int, bounds)))


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
