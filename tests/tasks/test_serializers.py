"""What is saved comes back equal and of the same type, in the form that its tag says; attacks are refused."""

from __future__ import annotations

import datetime as dt
import math
import pickle
import subprocess
import sys
from collections import OrderedDict
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from packhouse.errors import InvalidInput, UnsupportedStore
from packhouse.tasks.serializers import Packed, Serializer, Serializers

ALL = Serializers()


class Text(str):
    """Not exactly text."""

    __slots__ = ()


class Celsius:
    """A value with a serializer of its own."""

    def __init__(self, degrees: float) -> None:
        self.degrees = degrees


class CelsiusSerializer(Serializer):
    tag = "celsius"

    def accepts(self, value: object) -> bool:
        return type(value) is Celsius

    def dump(self, value: Any) -> bytes:
        return str(value.degrees).encode()

    def load(self, data: Any) -> Celsius:
        return Celsius(float(data))


def _tagged(what: Any) -> Serializer:
    class Tagged(CelsiusSerializer):
        tag = what

    return Tagged()


def content_of(packed: Packed) -> bytes:
    content = packed.content
    return content if isinstance(content, bytes) else b"".join(content)


def roundtrip(value: object, serializers: Serializers = ALL) -> tuple[Any, str]:
    packed = serializers.pack("it", value)
    data = content_of(packed)
    assert packed.info["size"] == len(data)
    reader = serializers.reader("it", packed.info)
    return reader.load(bytearray(data) if reader.wants_memory else data), packed.info["encoding"]


shared = [1]
PLAIN = [
    (b"\0bytes", "bytes"),
    ("grüße", "str"),
    (None, "json"),
    (True, "json"),
    (-(1 << 62), "json"),
    (1.5, "json"),
    ([1, {"a": [None, "x"]}, {}], "json"),
    ({"z": 1, "a": 2}, "json"),
    (-0.0, "json"),
    (5e-324, "json"),
    (1 << 64, "pickle-v5"),
    ((1, 2), "pickle-v5"),
    ([(1,)], "pickle-v5"),
    ({1: 2}, "pickle-v5"),
    ({"a", 1}, "pickle-v5"),
    (Text("x"), "pickle-v5"),
    ([Text("x")], "pickle-v5"),
    ({Text("x"): 1}, "pickle-v5"),
    (bytearray(b"x"), "pickle-v5"),
    (math.inf, "pickle-v5"),
    ("\udc80", "pickle-v5"),
    (["\udc80"], "pickle-v5"),
    (dt.date(2026, 1, 1), "pickle-v5"),
    (OrderedDict(a=1), "pickle-v5"),
    ([shared, shared], "pickle-v5"),
    (np.float32(1.5), "pickle-v5"),
]


@pytest.mark.parametrize(("value", "tag"), PLAIN, ids=range(len(PLAIN)))
def test_plain_values_keep_their_type(value: object, tag: str) -> None:
    loaded, encoding = roundtrip(value)
    assert encoding == tag
    assert type(loaded) is type(value)
    assert loaded == value
    assert repr(loaded) == repr(value)


def test_what_stands_in_two_places_stays_one() -> None:
    loaded, _ = roundtrip([shared, shared])
    assert loaded[0] is loaded[1]


def test_a_list_that_holds_itself_is_pickled() -> None:
    ring: list[Any] = []
    ring.append(ring)
    loaded, encoding = roundtrip(ring)
    assert encoding == "pickle-v5"
    assert loaded[0] is loaded


def test_deep_and_wide_values_are_left_to_pickle() -> None:
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]
    assert roundtrip(deep)[1] == "pickle-v5"
    assert roundtrip(list(range(100_000)))[1] == "pickle-v5"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
)


def types_of(value: Any) -> Any:
    if isinstance(value, dict):
        return {types_of(key): types_of(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value), tuple(types_of(each) for each in value)
    return type(value), repr(value)


@given(json_values)
def test_generated_values_come_back_equal_and_of_their_types(value: Any) -> None:
    loaded, _ = roundtrip(value)
    assert repr(loaded) == repr(value)
    assert type(loaded) is type(value)


@given(npst.arrays(npst.array_dtypes() | npst.scalar_dtypes(), npst.array_shapes(min_dims=0, min_side=0)))
def test_generated_arrays_come_back_bit_by_bit(array: Any) -> None:
    loaded, _ = roundtrip(array)
    assert type(loaded) is np.ndarray
    assert loaded.dtype == array.dtype
    assert loaded.shape == array.shape
    if not array.dtype.hasobject:
        assert loaded.tobytes() == array.tobytes()
    assert loaded.flags.writeable


@pytest.mark.parametrize(
    ("array", "tag"),
    [
        (np.arange(6.0).reshape(2, 3), "npy"),
        (np.asfortranarray(np.arange(6.0).reshape(2, 3)), "npy"),
        (np.arange(12)[::2], "npy"),
        (np.arange(4, dtype=">i4"), "npy"),
        (np.array(5), "npy"),
        (np.zeros((3, 0)), "npy"),
        (np.array(["a", "bc"]), "npy"),
        (np.array(["2026-01-01"], "datetime64[s]"), "npy"),
        (np.array([1 + 2j]), "npy"),
        (np.array([{}, 1], dtype=object), "pickle-v5"),
        (np.zeros(2, [("a", "i4")]), "pickle-v5"),
        (np.ma.masked_array([1, 2], [True, False]), "pickle-v5"),
        (np.zeros(2, np.dtype("f4", metadata={"a": 1})), "pickle-v5"),
    ],
    ids=str,
)
def test_arrays_take_the_typed_form_only_where_it_fits(array: Any, tag: str) -> None:
    loaded, encoding = roundtrip(array)
    assert encoding == tag
    assert type(loaded) is type(array)
    assert loaded.dtype == array.dtype
    assert loaded.flags.f_contiguous == array.flags.f_contiguous or not array.flags.f_contiguous
    np.testing.assert_array_equal(loaded, array)
    assert loaded.dtype.metadata == array.dtype.metadata


def test_npy_is_what_numpy_reads(tmp_path: Any) -> None:
    (tmp_path / "a.npy").write_bytes(content_of(ALL.pack("a", np.arange(10.0))))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.arange(10.0))


def test_a_loaded_array_shares_nothing_with_the_next(tmp_path: Any) -> None:
    np.save(tmp_path / "a.npy", np.zeros(2, [("x", "f4"), ("y", "i4")]))
    loaded: list[Any] = [
        Serializers().reader("a", {"encoding": "npy"}).load(bytearray((tmp_path / "a.npy").read_bytes()))
        for _ in range(2)
    ]
    loaded[0].dtype.names = ("u", "v")
    loaded[0]["u"] = 1
    assert loaded[1].dtype.names == ("x", "y")
    assert not loaded[1]["x"].any()


def test_dicts_of_arrays_are_safetensors_that_others_read() -> None:
    arrays: dict[str, Any] = {
        "b": np.ones(3, np.float32),
        "a": np.arange(5, dtype=np.uint8),
        "empty": np.zeros((0, 2)),
        "flag": np.array(True),
    }
    loaded, encoding = roundtrip(arrays)
    assert encoding == "safetensors"
    assert list(loaded) == list(arrays)
    others = safetensors.numpy.load(content_of(ALL.pack("it", arrays)))
    for name, array in arrays.items():
        for each in (loaded[name], others[name]):
            assert each.dtype == array.dtype
            np.testing.assert_array_equal(each, array)
    loaded["b"][0] = 7.0


@pytest.mark.parametrize(
    "value",
    [{"a": np.ones(2), 1: np.ones(2)}, {"a": np.ones(2, complex)}, {"a": np.ones(2), "b": 1}, {"a": np.ones((4, 2)).T}],
    ids=["key", "dtype", "mixed", "order"],
)
def test_other_dicts_of_arrays_are_pickled(value: Any) -> None:
    loaded, encoding = roundtrip(value)
    assert encoding == "pickle-v5"
    assert loaded.keys() == value.keys()


def test_one_array_in_two_places_stays_one() -> None:
    array = np.ones(10_000)
    loaded, encoding = roundtrip({"a": array, "b": array})
    assert encoding == "pickle-v5-buffers"
    assert loaded["a"] is loaded["b"]


def test_large_buffers_stand_beside_the_pickle_and_come_back_writable() -> None:
    value: dict[str, Any] = {"x": np.arange(100_000.0), "frozen": np.arange(50_000), "t": (1,)}
    value["frozen"].flags.writeable = False
    packed = ALL.pack("it", value)
    assert packed.info["encoding"] == "pickle-v5-buffers"
    assert not isinstance(packed.content, bytes)
    assert any(
        np.shares_memory(np.frombuffer(part, np.uint8), value["x"])
        for part in packed.content
        if memoryview(part).nbytes
    )
    loaded, _ = roundtrip(value)
    np.testing.assert_array_equal(loaded["x"], value["x"])
    assert loaded["x"].flags.writeable
    assert not loaded["frozen"].flags.writeable
    assert loaded["t"] == (1,)


TABLES = [
    (pa.table({"a": [1, None, 3], "b": ["x", "y", None]}), "arrow"),
    (pa.table({"a": [[1], None], "s": [{"k": 1}, {"k": 2}]}).replace_schema_metadata({"k": "v"}), "arrow"),
    (pa.table({"d": pa.array(["a", "b", "a"]).dictionary_encode()}), "pickle-v5"),
    (pa.table({}), "arrow"),
]


@pytest.mark.parametrize(("table", "tag"), TABLES)
def test_arrow_tables_come_back(table: Any, tag: str) -> None:
    loaded, encoding = roundtrip(table)
    assert encoding == tag
    assert type(loaded) is pa.Table
    assert loaded.equals(table, check_metadata=True)


FRAMES = [
    (pd.DataFrame({"a": [1, 2], "b": [1.5, np.nan], "c": [True, False]}), "pandas-arrow"),
    (pd.DataFrame({"a": np.arange(3, dtype=np.int8)}, index=pd.RangeIndex(5, 11, 2)), "pandas-arrow"),
    (pd.DataFrame({"a": ["x", None, "ä\0"]}, dtype="str"), "pandas-arrow"),
    (pd.DataFrame({"a": pd.array(["x", pd.NA], dtype="string[pyarrow]"), "b": [1, 2]}), "pandas-arrow"),
    (pd.concat([pd.DataFrame({"a": ["x"]}), pd.DataFrame({"a": ["y"]})], ignore_index=True), "pandas-arrow"),
    (pd.DataFrame({"a": ["x"]})[:0], "pandas-arrow"),
    (pd.DataFrame({"a": pd.array(["x", pd.NA], dtype="string[python]")}), "pickle"),
    (pd.DataFrame({"a": pd.Series(["x", 1, None], dtype=object)}), "pickle"),
    (pd.DataFrame({"a": pd.to_datetime(["2026-01-01", None]).as_unit("s")}), "pandas-arrow"),
    (pd.DataFrame({"a": pd.to_timedelta([1, None], unit="ns")}), "pandas-arrow"),
    (pd.DataFrame({"a": pd.to_datetime(["2026-01-01"], utc=True)}), "pickle"),
    (pd.DataFrame({"a": [1]}, index=["row"]), "pickle"),
    (pd.DataFrame({1: [1]}), "pickle"),
    (pd.DataFrame([[1, 2]], columns=["a", "a"]), "pickle"),
    (pd.DataFrame({"a": pd.Categorical(["x"])}), "pickle"),
    (pd.DataFrame(), "pickle"),
]


@pytest.mark.parametrize(("frame", "tag"), FRAMES, ids=range(len(FRAMES)))
def test_frames_come_back(frame: Any, tag: str) -> None:
    loaded, encoding = roundtrip(frame)
    assert encoding.startswith(tag)
    pd.testing.assert_frame_equal(loaded, frame, check_exact=True, check_index_type=True, check_column_type=True)
    assert type(loaded.index) is type(frame.index)
    assert type(loaded.columns) is type(frame.columns)


def test_serializers_of_users_come_first_and_are_named_when_they_are_missing() -> None:
    mine = Serializers([CelsiusSerializer()])
    loaded, encoding = roundtrip(Celsius(3.5), mine)
    assert (encoding, loaded.degrees) == ("celsius", 3.5)
    info = mine.pack("t", Celsius(1)).info
    with pytest.raises(UnsupportedStore, match="CelsiusSerializer"):
        ALL.reader("t", info)


@pytest.mark.parametrize("returned", [RuntimeError("broken"), None, 7, "text", [1, 2], {"a": b""}], ids=repr)
def test_a_broken_serializer_hands_the_value_on(returned: Any) -> None:
    class Broken(CelsiusSerializer):
        def dump(self, value: Any) -> Any:
            if isinstance(returned, Exception):
                raise returned
            return returned

    assert roundtrip(Celsius(1), Serializers([Broken()]))[1] == "pickle-v5"


@pytest.mark.parametrize(
    "shape", [bytes, bytearray, memoryview, lambda data: [data], lambda data: iter([data[:5], data[5:]])]
)
@pytest.mark.parametrize("size", [10, 3 << 20])
def test_a_serializer_may_return_any_bytes_like_object(shape: Any, size: int) -> None:
    class Shaped(CelsiusSerializer):
        def dump(self, value: Any) -> Any:
            return shape(super().dump(value).ljust(size))

        def load(self, data: Any) -> Any:
            assert memoryview(data).nbytes == size
            return super().load(bytes(data).rstrip())

    loaded, encoding = roundtrip(Celsius(1), Serializers([Shaped()]))
    assert (loaded.degrees, encoding) == (1, "celsius")


def test_pickle_records_exactly_as_metaflow_does() -> None:
    packed = Serializers(choice="pickle").pack("a", np.ones(3))
    assert packed.content == pickle.dumps(np.ones(3), protocol=4)
    assert packed.info == {
        "size": len(packed.content),
        "type": "<class 'numpy.ndarray'>",
        "encoding": "pickle-v4",
        "serializer_info": {"source": "metaflow"},
    }


def test_protocol_4_is_in_one_piece() -> None:
    packed = ALL.pack("a", {"x": np.ones(100_000)}, protocol4=True)
    assert isinstance(packed.content, bytes)
    assert packed.content[:2] == b"\x80\x04"


@pytest.mark.parametrize(
    "wrong",
    [
        {"choice": "json"},
        {"trust": "all"},
        {"own": [7]},
        {"own": [_tagged("npy")]},
        {"own": [_tagged("gzip+pickle-v2")]},
        {"own": [CelsiusSerializer(), _tagged("celsius")]},
        {"own": [_tagged("")]},
        {"own": [_tagged(None)]},
    ],
    ids=["choice", "trust", "no serializer", "tag of ours", "tag of Metaflow's", "tag twice", "empty tag", "no tag"],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Serializers(**wrong)


def test_pickles_are_refused_without_trust_and_the_message_says_how_to_allow_them() -> None:
    careful = Serializers(trust=None)
    for value in ((1, 2), {"a": 1, "x": np.ones(10_000)}):
        info = careful.pack("mine", value).info
        if info["encoding"].startswith("pickle"):
            with pytest.raises(InvalidInput, match=r"'mine'.*trust='pickle'") as caught:
                careful.reader("mine", info)
            assert caught.value.kind == "untrusted"
    assert roundtrip([1, 2], careful) == ([1, 2], "json")


def test_nothing_of_an_optional_package_is_imported_unasked() -> None:
    names = ("numpy", "pandas", "pyarrow", "metaflow")
    code = f"import sys, packhouse.tasks; print([n for n in {names} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
