"""The benchmarks run: figures, goals and a picture come out, for one peer that is here."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import pytest

from benches import data, peers
from benches.delaying import delayed
from benches.goals import verdicts
from benches.report import readme
from benches.results import Results
from benches.task import Outcome, Task
from tests.hostile.server import Talk, answer, hostile

_ROOT = Path(__file__).resolve().parents[1]


def _bench(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "benches",
        "--tiny",
        "--scratch",
        str(tmp_path),
        "--json",
        str(tmp_path / "r.json"),
    ]
    return subprocess.run([*command, *arguments], cwd=_ROOT, capture_output=True, text=True, check=False)


def _anyone() -> str:
    present = [name for name in (peers.OURS, "fsspec", "obstore") if peers.why_not(name) is None]
    if not present:
        pytest.skip("no peer is installed")
    return present[0]


def test_a_bench_run_ends_with_figures_and_a_picture(tmp_path: Path) -> None:
    peer = _anyone()
    picture = tmp_path / "picture.svg"
    asked = ["--cases", "batch", "--variants", "random/10KiB", "--peers", peer, "--svg", str(picture)]
    ended = _bench(tmp_path, *asked)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    results = Results.read(tmp_path / "r.json")
    for metric in ("save_mbs", "again_mbs", "load_mbs"):
        measured = results.median("batch", "random/10KiB", peer, metric)
        assert measured is not None
        assert measured > 0
    assert results.ratio("batch", "random/10KiB", (peer, "save_mbs"), (peers.MACHINE, "save_limit_mbs"))
    assert ET.parse(picture).getroot().tag.endswith("svg")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("scratch-")] == []


@pytest.mark.parametrize("case", ["bucket", "static"])
def test_a_batch_in_a_bucket_is_measured(case: str, tmp_path: Path) -> None:
    variant = "20ms/10KiB" if case == "bucket" else "10KiB"
    ended = _bench(tmp_path, "--cases", case, "--variants", variant, "--peers", peers.BUCKET)
    results = Results.read(tmp_path / "r.json")
    error = results.error(case, variant, peers.BUCKET) or ""
    if error.startswith("not offered"):
        pytest.skip(error)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (results.median(case, variant, peers.BUCKET, "load_blobs") or 0) > 0
    if case == "bucket":
        assert (results.median(case, variant, peers.BUCKET, "save_requests") or 0) > 0


def test_the_proxy_holds_answers_back_and_counts_what_is_asked() -> None:
    def serve(talk: Talk) -> None:
        for _ in talk.requests():
            talk.send(answer(200, b"x" * 300_000))

    with hostile(serve) as server, delayed(server.port, 0.05) as proxy, httpx.Client(trust_env=False) as client:
        for number, method in enumerate(("GET", "PUT", "GET")):
            started = time.perf_counter()
            got = client.request(method, f"http://127.0.0.1:{proxy.port}/", content=b"\r\n\r\n" * 50_000)
            assert len(got.content) == 300_000
            assert time.perf_counter() - started >= 0.05
            assert proxy.requests() == 1, number


def test_what_failed_is_said_and_fails_the_run(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(
        json.dumps(
            {
                "scale": "tiny",
                "machine": {},
                "packages": {},
                "absent": {},
                "outcomes": [
                    {
                        "task": {
                            "case": "single",
                            "variant": "",
                            "peer": "fsspec",
                            "round": 0,
                            "scale": "tiny",
                            "folder": "",
                        },
                        "seconds": 1.0,
                        "metrics": {},
                        "error": "no space left",
                    }
                ],
            }
        )
    )
    assert _bench(tmp_path, "--show", str(tmp_path / "r.json")).returncode == 1


@pytest.mark.parametrize("kind", data.KINDS)
def test_data_is_the_same_in_every_process_and_no_blob_comes_twice(kind: str) -> None:
    blobs = data.blobs(kind, count=40, size=300_000)
    assert blobs == data.blobs(kind, count=40, size=300_000)
    assert {len(blob) for blob in blobs} == {300_000}
    assert len(set(blobs)) == len(blobs)


def test_goals_compare_rounds_of_one_run_pairwise() -> None:
    def outcome(peer: str, number: int, **metrics: float) -> Outcome:
        return Outcome(Task("batch", "random/4MiB", peer, number, "tiny", ""), 1.0, metrics)

    slow, fast = {"save_limit_mbs": 100.0, "hash2_mbs": 1000.0}, {"save_limit_mbs": 1000.0, "hash2_mbs": 1000.0}
    results = Results(
        "tiny",
        {},
        {},
        {},
        [
            outcome(peers.MACHINE, 0, **slow),
            outcome(peers.OURS, 0, save_mbs=80.0, again_mbs=600.0),
            outcome(peers.MACHINE, 1, **fast),
            outcome(peers.OURS, 1, save_mbs=800.0, again_mbs=600.0),
            outcome("metaflow", 0, save_mbs=5.0),
        ],
    )
    found = {verdict.goal: verdict for verdict in verdicts(results)}
    assert found["first save ÷ limit"].value == pytest.approx(0.8)
    assert found["first save ÷ limit"].met
    assert found["first save ÷ Metaflow"].value == pytest.approx(16)
    assert found["first save ÷ Metaflow"].met is False
    assert found["save again ÷ BLAKE3 on two threads"].met is False
    assert found["verified load ÷ limit"].met is None


def test_what_was_measured_beside_stock_metaflow_is_told_on_its_page(tmp_path: Path) -> None:
    def outcome(variant: str, peer: str, **metrics: float) -> Outcome:
        return Outcome(Task("metaflow", variant, peer, 0, "tiny", ""), 1.0, metrics)

    results = Results(
        "tiny",
        {},
        {},
        {},
        [
            outcome("json/4MiB", "metaflow", save_mbs=100.0, load_mbs=300.0),
            outcome("json/4MiB", peers.DROP_IN, save_mbs=700.0, load_mbs=450.0),
            outcome("flow/100", "metaflow", flow_seconds=50.0),
            outcome("flow/100", peers.PACKED, flow_seconds=60.0),
        ],
    )
    page = tmp_path / "page.md"
    page.write_text("before <!-- bench:begin -->\nold\n<!-- bench:end --> after")
    readme.write(results, page)
    said = page.read_text()
    assert "| json/4MiB | 100, 300 | **700** (7.00 ×), **450** (1.50 ×) | –, – |" in said
    assert "| a flow with a foreach of 100, seconds | 50.0 | – | **60.0** (1.20 ×) |" in said
    assert "drop-in ÷ stock Metaflow: load, json/4MiB: 1.50 (goal ≥ 1.8)" in said
    assert "old" not in said
    assert "| blobs |" not in said
