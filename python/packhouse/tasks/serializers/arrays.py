"""NumPy arrays as `.npy` files, dicts of them as safetensors files: typed, and readable by other programs."""

from __future__ import annotations

import io
import struct
import sys
from copy import copy
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import orjson

from packhouse.errors import InvalidInput
from packhouse.tasks.serializers.contract import Dumped, Serializer

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Buffer

__all__ = ["NpySerializer", "SafetensorsSerializer"]

_KINDS = frozenset("biufcSUmM")
_MOST_HEADER = 10_000
_MAGIC = 8  # bytes, the version with them
_HEAD_LENGTH = struct.Struct("<H")
_BEFORE_HEAD = _MAGIC + _HEAD_LENGTH.size
_HEADS = 128
_TENSORS = {
    "|b1": "BOOL", "|i1": "I8", "|u1": "U8", "<i2": "I16", "<u2": "U16", "<i4": "I32", "<u4": "U32",
    "<i8": "I64", "<u8": "U64", "<f2": "F16", "<f4": "F32", "<f8": "F64",
}  # fmt: skip
_TENSOR_TYPES = {name: dtype for dtype, name in _TENSORS.items()}
_ORDER = "packhouse.order"


class NpySerializer(Serializer):
    """`numpy.ndarray` of plain numbers, text, bytes or times: one `.npy` file, format version 1.0.

    Objects, structured dtypes and subclasses are pickled instead.
    """

    tag = "npy"
    wants_memory = True

    def accepts(self, value: object) -> bool:
        """Take exactly arrays whose dtype the format keeps."""
        numpy = sys.modules.get("numpy")
        return numpy is not None and type(value) is numpy.ndarray and _is_plain(cast("np.ndarray[Any, Any]", value))

    def dump(self, value: object) -> Dumped:
        """Return the header and the array's own memory, copied only where it does not stand in one piece."""
        import numpy as np

        array = cast("np.ndarray[Any, Any]", value)
        fortran = array.flags.fnc
        head = _head_of(array.dtype.str, array.shape, fortran)
        if not array.flags.c_contiguous:
            array = array.T if fortran else np.ascontiguousarray(array)
        return [head, memory_of(array)]

    def load(self, data: Buffer) -> object:
        """Return an array on this memory."""
        view = memoryview(data)
        (length,) = _HEAD_LENGTH.unpack_from(view, _MAGIC) if view.nbytes >= _BEFORE_HEAD else (0,)
        size = _BEFORE_HEAD + min(length, _MOST_HEADER + 1)
        shape, fortran, dtype = _read_head(bytes(view[:size]))
        if dtype.names is not None:  # which its owner may change
            dtype = copy(dtype)
        return array_on(view[size:], dtype, shape, fortran=fortran)


class SafetensorsSerializer(Serializer):
    """`dict` of text to arrays of plain numbers: one safetensors file.

    Equal arrays are written each for itself; an array that stands in two places is pickled instead. The format:
    https://github.com/huggingface/safetensors#format.
    """

    tag = "safetensors"
    wants_memory = True

    def accepts(self, value: object) -> bool:
        """Take exactly dicts, not empty, whose every array the format keeps in C order."""
        numpy = sys.modules.get("numpy")
        if numpy is None or type(value) is not dict or not value:
            return False
        arrays = list(value.values())
        return (
            all(type(array) is numpy.ndarray and _is_tensor(array) for array in arrays)
            and all(type(name) is str and name != "__metadata__" for name in value)
            and len({id(array) for array in arrays}) == len(arrays)
            and all(array.base is None for array in arrays)
        )

    def dump(self, value: object) -> Dumped:
        """Return the header and each array's own memory."""
        arrays = cast("dict[str, np.ndarray[Any, Any]]", value)
        # Widest items first, so that each array is aligned to its items.
        laid = sorted(arrays, key=lambda name: -arrays[name].dtype.itemsize)
        head: dict[str, Any] = {"__metadata__": {_ORDER: orjson.dumps(list(arrays)).decode()}}
        at = 0
        for name in laid:
            array = arrays[name]
            end = at + array.nbytes
            head[name] = {"dtype": _TENSORS[array.dtype.str], "shape": array.shape, "data_offsets": [at, end]}
            at = end
        text = orjson.dumps(head)
        text += b" " * (-(len(text) + 8) % 64)
        return [struct.pack("<Q", len(text)) + text, *(memory_of(arrays[name]) for name in laid)]

    def load(self, data: Buffer) -> object:
        """Return arrays on this memory, in their order."""
        import numpy as np

        view = memoryview(data)
        try:
            (length,) = struct.unpack_from("<Q", view)
            head = orjson.loads(bytes(view[8 : 8 + length]))
            order = orjson.loads(head.pop("__metadata__", {}).get(_ORDER, "null")) or list(head)
            body = view[8 + length :]
            arrays = {}
            for name in order:
                start, stop = head[name]["data_offsets"]
                dtype = np.dtype(_TENSOR_TYPES[head[name]["dtype"]])
                arrays[name] = array_on(body[start:stop], dtype, tuple(head[name]["shape"]), fortran=False)
        except (struct.error, orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(f"the artifact is no safetensors file: {error}", kind="encoding") from error
        return arrays


@lru_cache(_HEADS)
def _head_of(described: str, shape: tuple[int, ...], fortran: bool) -> bytes:
    """Write what stands before an array: the same for all of a kind, and many are saved together."""
    import numpy as np

    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": described, "fortran_order": fortran, "shape": shape})
    return head.getvalue()


@lru_cache(_HEADS)
def _read_head(head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read it: shape, whether it is in Fortran's order, and the dtype.

    Raises:
        InvalidInput: it is none.
    """
    import numpy as np

    file = io.BytesIO(head)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise InvalidInput("the artifact is a .npy file of another version", kind="encoding")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_MOST_HEADER)
    except (ValueError, TypeError, SyntaxError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"the artifact is no .npy file: {error}", kind="encoding") from error
    return shape, bool(fortran), dtype


def memory_of(array: np.ndarray[Any, Any]) -> memoryview:
    """Return the bytes of an array in C order; times and the like have no buffer of their own."""
    import numpy as np

    return memoryview(array.reshape(-1).view(np.uint8)) if array.size and array.dtype.itemsize else memoryview(b"")


def array_on(memory: memoryview, dtype: np.dtype[Any], shape: tuple[int, ...], *, fortran: bool) -> Any:
    """Make an array on memory that has exactly its size.

    Raises:
        InvalidInput: it has another size, or would hold objects.
    """
    import numpy as np

    if dtype.hasobject:
        raise InvalidInput("the artifact holds Python objects where only numbers may be", kind="encoding")
    count = 1
    for length in shape:
        count *= length
    if any(length < 0 for length in shape) or count * dtype.itemsize != memory.nbytes:
        raise InvalidInput(f"the artifact has {memory.nbytes} bytes for {shape} of {dtype}", kind="encoding")
    if not memory.nbytes:
        return np.zeros(shape, dtype, order="F" if fortran else "C")
    return np.ndarray(shape, dtype, memory, order="F" if fortran else "C")


def _is_plain(array: np.ndarray[Any, Any]) -> bool:
    dtype = array.dtype
    simple = dtype.names is None and dtype.subdtype is None and not dtype.hasobject and not dtype.metadata
    return simple and dtype.kind in _KINDS and dtype.isbuiltin in (0, 1)


def _is_tensor(array: np.ndarray[Any, Any]) -> bool:
    return _is_plain(array) and array.dtype.str in _TENSORS and array.flags.c_contiguous
