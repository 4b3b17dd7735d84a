"""Files that try to run code when they are loaded: pickles in every dress, and typed forms that hide one."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

__all__ = ["attack_files"]


class _Calls:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


class _Builds:
    """Pickles as an object whose state is a call."""

    def __init__(self, call: _Calls) -> None:
        self.call = call


class _Keyed(dict[Any, Any]):
    """Pickles as a dict of another class, a call among its items."""


def attack_files(sentinel: Path) -> dict[str, bytes]:
    """Make the files, by what they are; code that runs makes a file named like the sentinel."""
    code = f"open({str(sentinel)!r}, 'a').close()"
    call = _Calls(exec, code)
    files = {f"pickle protocol {number}": pickle.dumps(call, number) for number in range(6)}
    files |= dict(_dressed(call, code, str(sentinel)))
    files |= {f"array: {name}": data for name, data in _arrays(files["pickle protocol 2"], code)}
    files |= {f"typed: {name}": data for name, data in _typed(files["pickle protocol 4"], code)}
    return files


def _dressed(call: _Calls, code: str, path: str) -> Iterator[tuple[str, bytes]]:
    plain = pickle.dumps(call, 4)
    text = code.encode()
    yield "eval", pickle.dumps(_Calls(eval, code), 4)
    yield "a shell", pickle.dumps(_Calls(__import__("os").system, f"touch '{path}'"), 4)
    yield "a process", pickle.dumps(_Calls(__import__("subprocess").getoutput, f"touch '{path}'"), 4)
    yield "a library that touches", pickle.dumps(_Calls(Path.touch, Path(path)), 4)
    yield "in a list", pickle.dumps([1, [call]], 5)
    yield "in a dict", pickle.dumps({"a": call}, 5)
    yield "in a kind of dict", pickle.dumps(_Keyed(a=call), 4)
    yield "as state", pickle.dumps(_Builds(call), 4)
    yield "behind text", b"harmless" + plain
    yield "twice", plain + plain
    yield "GLOBAL and REDUCE", b"cbuiltins\nexec\n(V" + text + b"\ntR."
    yield "INST", b"(V" + text + b"\nibuiltins\nexec\n."
    yield "OBJ", b"(cbuiltins\nexec\nV" + text + b"\no."
    yield "STACK_GLOBAL", b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93X" + struct.pack("<I", len(text)) + text + b"\x85R."
    yield "memo and BUILD", b"\x80\x02cbuiltins\nexec\nq\x00X" + struct.pack("<I", len(text)) + text + b"\x85Rq\x01}b."
    yield "gzip", gzip.compress(plain)
    yield "zlib", zlib.compress(plain)
    yield "code object", pickle.dumps(_Calls(eval, f"exec(compile({code!r}, 'x', 'exec'))"), 3)
    head = struct.pack("<18sHI", b"PACKHOUSE-PICKLE5\0", 0, 0) + struct.pack("<Q", len(plain))
    yield "with buffers", head + plain
    yield "with a buffer that is one", _framed(plain, plain)
    yield "joblib", b"ZF" + hex(len(plain)).encode().ljust(19) + zlib.compress(plain)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", plain)
        file.writestr("archive/version", "3\n")
    yield "torch", archive.getvalue()


def _arrays(plain: bytes, code: str) -> Iterator[tuple[str, bytes]]:
    def npy(descr: str, body: bytes = b"", *, shape: str = "(1,)", version: bytes = b"\x01\x00") -> bytes:
        head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
        head += b" " * (-(len(head) + 11) % 64) + b"\n"
        return b"\x93NUMPY" + version + struct.pack("<H" if version == b"\x01\x00" else "<I", len(head)) + head + body

    yield "objects", npy("'|O'", plain)
    yield "objects, version 2", npy("'|O'", plain, version=b"\x02\x00")
    yield "objects, version 3", npy("'|O'", plain, version=b"\x03\x00")
    yield "objects in a struct", npy("[('a', '|O'), ('b', '<f8')]", plain)
    yield "a call as dtype", npy(f"exec({code!r})")
    yield "a call as shape", npy("'<f8'", b"\0" * 8, shape=f"(exec({code!r}),)")
    yield "a comma string", npy("'O,f8'", plain)
    yield "huge", npy("'<f8'", shape="(1 << 60,)")
    yield "negative", npy("'<f8'", b"\0" * 8, shape="(-1,)")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.npy", npy("'|O'", plain))
    yield "npz", archive.getvalue()


def _typed(plain: bytes, code: str) -> Iterator[tuple[str, bytes]]:
    def tensors(head: Any, body: bytes = b"") -> bytes:
        text = json.dumps(head).encode()
        return struct.pack("<Q", len(text)) + text + body

    one = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    yield "tensor of objects", tensors({"a": {**one, "dtype": "O"}}, plain)
    yield "tensor of a call", tensors({"a": {**one, "dtype": f"__import__('builtins').exec({code!r})"}}, b"\0" * 4)
    yield "tensor out of bounds", tensors({"a": {**one, "data_offsets": [0, 1 << 62]}})
    yield "tensor order of a call", tensors({"__metadata__": {"packhouse.order": code}, "a": one}, b"\0" * 4)
    yield "tensor head of a pickle", struct.pack("<Q", len(plain)) + plain
    yield "jsonpickle", json.dumps({"py/reduce": [{"py/type": "builtins.exec"}, {"py/tuple": [code]}]}).encode()
    yield "json class", json.dumps({"__class__": "exec", "__reduce__": [code]}).encode()
    yield "yaml", f"!!python/object/apply:builtins.exec [{code!r}]".encode()
    yield "python", code.encode()
    yield "template", f"{{{{ ''.__class__.__mro__[1].__subclasses__() }}}} {{exec({code!r})}}".encode()
    for name, schema in (("arrow extension", b"arrow.py_extension_type"), ("arrow pickle", b"pandas")):
        yield name, _arrow(schema, plain)


def _framed(head: bytes, buffer: bytes) -> bytes:
    data = struct.pack("<18sHI", b"PACKHOUSE-PICKLE5\0", 0, 1) + struct.pack("<QQ", len(head), len(buffer)) + head
    return data + bytes(-len(data) % 64) + buffer


def _arrow(name: bytes, plain: bytes) -> bytes:
    metadata = {
        b"ARROW:extension:name": name,
        b"ARROW:extension:metadata": plain,
        b"packhouse.range": plain,
        b"pandas": plain,
    }
    schema = pa.schema([pa.field("a", pa.binary(), metadata=metadata)], metadata=metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(pa.table([pa.array([plain])], schema=schema))
    return bytes(sink.getvalue())
