"""In which thread `packhouse.sync.tasks` makes values: in the caller's, so that they may ask the store themselves."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from packhouse.sync.tasks import FlowDataStore, SpinTaskDatastore
from packhouse.tasks.record import INCLUDED_FILE

_MADE: list[threading.Thread] = []
_FLOWS: list[FlowDataStore] = []


@dataclass(frozen=True)
class Asking:
    """A value, as a frame of a foreach or an included file, that asks the store while it is made."""

    index: int
    size: int = 7

    def __reduce__(self) -> Any:
        return _made, (self.index,)

    def decode(self, name: str) -> str:
        """Return what an included file would."""
        return f"decoded {name}"


def _made(index: int) -> Asking:
    _MADE.append(threading.current_thread())
    for flow in _FLOWS:
        assert flow.get_task_datastore("1", "step", "1")["plain"] == 1
    return Asking(index)


@pytest.fixture
def flow(tmp_path: Path) -> Any:
    """A flow with a task whose values ask the store."""
    with FlowDataStore("Flow", ds_root=tmp_path / "s") as opened:
        task = opened.get_task_datastore("1", "step", "1", attempt=0, mode="w")
        task.init_task()
        task.save_artifacts([("plain", 1), ("asking", Asking(3)), ("file", Asking(4)), ("_foreach_stack", [Asking(5)])])
        task.inner._record.info["file"]["type"] = INCLUDED_FILE
        task.done()
        _FLOWS.append(opened)
        yield opened
        _FLOWS.clear()
        _MADE.clear()


def test_every_value_is_made_in_the_thread_that_asks(flow: FlowDataStore) -> None:
    task = flow.get_task_datastore("1", "step", "1")
    assert task.to_dict() == {"plain": 1, "asking": Asking(3), "file": "decoded file"}
    assert "asking" in str(task)
    assert "*file* [size: 7 type:" in task.format()
    assert dict(task.get_artifact_sizes(["file"])) == {"file": 7}
    assert task.pathspec_index == "1/step[5]"
    spin = SpinTaskDatastore("Flow", "1", "step", "1", task, {"other": 2})
    assert spin["asking"] == Asking(3)
    assert not spin.is_none("file")
    assert set(_MADE) == {threading.current_thread()}
