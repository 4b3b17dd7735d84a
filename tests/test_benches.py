"""The benchmarks run: figures, goals and a picture come out, for one peer that is here."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import pytest

from benches import cases, data, peers
from benches.answer import in_one_line
from benches.cases.metaflow import check_mode
from benches.delaying import delayed
from benches.goals import verdicts
from benches.report import publish, readme
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


def test_a_run_that_was_interrupted_is_gone_on_with(tmp_path: Path) -> None:
    peer = _anyone()
    first = _measured(tmp_path, "--cases", "batch", "--variants", "random/10KiB", "--peers", peer).outcomes
    both = _measured(tmp_path, "--cases", "batch", "--variants", "/10KiB", "--peers", peer, "--resume").outcomes
    assert both[: len(first)] == first, "what was measured is lost"
    assert len({outcome.task.what for outcome in both}) == len(both), "what was measured is measured again"
    assert {outcome.task.variant for outcome in both} == {
        f"{kind}/10KiB" for kind in ("random", "json", "ramp", "noise")
    }


_BUCKETS = {"bucket", "google", "azure", "static"}  # each has tests of its own below
_BESIDE_STOCK = ("metaflow", "loop-gap")


def _measured(tmp_path: Path, *arguments: str) -> Results:
    ended = _bench(tmp_path, *arguments)
    results = Results.read(tmp_path / "r.json")
    for outcome in results.outcomes:
        assert not outcome.error or outcome.error.startswith("not offered"), (outcome, ended.stderr)
        assert outcome.task.folder == "", "raw figures are published: they do not tell folders of the machine"
    return results


def test_every_case_on_this_machine_can_be_measured(tmp_path: Path) -> None:
    local = [name for name in cases.NAMES if name not in (*_BUCKETS, *_BESIDE_STOCK)]
    results = _measured(tmp_path, "--variants", "random/10KiB", "--peers", peers.OURS, "--cases", *local)
    assert {outcome.task.case for outcome in results.outcomes} == set(local)
    measured = {one.task.case for one in results.outcomes if one.metrics and one.task.peer == peers.OURS}
    assert set(local) - measured == {"lookups", "cold-bucket", "names-flat"}, "these need Rust benches, not built here"


def test_the_cases_beside_stock_metaflow_can_be_measured(tmp_path: Path) -> None:
    chosen = [name for name in (peers.OURS, peers.DROP_IN, peers.PACKED) if peers.why_not(name) is None]
    asked = ["--variants", "random/4MiB", "--peers", *chosen, "--cases", *_BESIDE_STOCK]
    results = _measured(tmp_path, *asked)
    for name in chosen:
        case = "loop-gap" if name == peers.OURS else "metaflow"
        assert results.rounds(case, "random/4MiB", name, "load_p99_ms" if case == "loop-gap" else "load_mbs"), name


@pytest.mark.parametrize(
    ("case", "variant", "peer"),
    [
        ("bucket", "20ms/10KiB", peers.BUCKET),
        ("bucket", "tls/4MiB", peers.BUCKET),
        ("bucket", "near/10KiB", "metaflow-bucket"),
        ("google", "near/4MiB", peers.BUCKET),
        ("azure", "near/4MiB", peers.BUCKET),
        ("static", "near/10KiB", peers.BUCKET),
        ("static", "tls/4MiB", peers.BUCKET),
    ],
)
def test_a_batch_in_a_bucket_is_measured(case: str, variant: str, peer: str, tmp_path: Path) -> None:
    ended = _bench(tmp_path, "--cases", case, "--variants", variant, "--peers", peer)
    results = Results.read(tmp_path / "r.json")
    error = results.absent.get(peer) or results.error(case, variant, peer) or ""
    if error.startswith(("not offered", "not installed")):
        pytest.skip(error)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for metric in ("load_blobs", "load_gap_ms", "load_idle_ms"):
        assert (results.median(case, variant, peer, metric) or 0) > 0
    if variant.startswith("20ms"):
        assert (results.median(case, variant, peer, "save_requests") or 0) > 0
    outside = peer == "metaflow-bucket"  # it works in processes of its own, whose memory is not measured
    assert (results.median(case, variant, peer, "load_mib") is None) is outside


def test_who_does_not_speak_to_a_service_says_so_in_one_line(tmp_path: Path) -> None:
    asked = ["--cases", "google", "--variants", "near/4MiB", "--peers", "metaflow-bucket", "boto3-bucket"]
    _bench(tmp_path, *asked)
    results = Results.read(tmp_path / "r.json")
    said = {name: results.error("google", "near/4MiB", name) for name in results.packages}
    for name, reason in said.items():
        assert reason is not None, name
        assert "gs://" in reason or "no server" in reason or "cannot" in reason, reason
        assert "\n" not in reason


def test_what_was_measured_in_buckets_is_judged_and_told_on_its_page(tmp_path: Path) -> None:
    def outcome(case: str, variant: str, peer: str, **metrics: float) -> Outcome:
        return Outcome(Task(case, variant, peer, 0, "full", ""), 1.0, metrics)

    far = {"save_requests": 20, "save_due": 20, "load_requests": 30, "load_due": 20, "load_gap_ms": 7.0}
    counted = {"hit_bytes": 200 << 10, "known_requests": 57, "known_bytes": 2.3e6}
    results = Results(
        "full",
        {},
        {},
        {},
        [
            outcome("bucket", "20ms/10KiB", peers.BUCKET, save_blobs=26_000, load_blobs=20_000, part_blobs=900, **far),
            outcome("bucket", "20ms/10KiB", "obstore-bucket", save_blobs=1_000, load_blobs=1_000, part_blobs=1_000),
            outcome("static", "tls/4MiB", peers.BUCKET, load_mbs=600),
            outcome("static", "tls/4MiB", "obstore-bucket", load_mbs=1_000),
            outcome("static", "near/4MiB", peers.BUCKET, load_mbs=600),
            outcome("static", "near/4MiB", "obstore-bucket", load_mbs=1_000),
            Outcome(Task("google", "near/4MiB", "obstore-bucket", 0, "full", ""), 1.0, {}, "not offered: by XML"),
            outcome("cold-bucket", "", peers.OURS, **counted),
        ],
    )
    met = {(verdict.goal, verdict.variant): verdict.met for verdict in verdicts(results)}
    assert met["bucket ÷ obstore: put", "20ms/10KiB"]
    assert met["bucket ÷ obstore: get", "20ms/10KiB"] is False
    assert met["bucket ÷ obstore: 1 %", "20ms/10KiB"] is False
    assert met["bucket: requests ÷ arithmetic, save", "20ms/10KiB"]
    assert met["bucket: requests ÷ arithmetic, load", "20ms/10KiB"] is False
    assert met["bucket: event-loop gap, load p99 (ms)", "20ms/10KiB"] is False
    assert met["nginx ÷ obstore: get", "tls/4MiB"]
    assert met["nginx ÷ obstore: get", "near/4MiB"] is False
    assert met["new handle, large bucket: look-up, KiB", ""]
    assert met["new handle, large bucket: known GiB saved, requests", ""] is False
    page = tmp_path / "page.md"
    page.write_text("before <!-- bench:begin -->\nold\n<!-- bench:end --> after")
    readme.write(results, page)
    said = page.read_text()
    assert "26,000 (26.00 × obstore)" in said
    assert "not offered: by XML" in said
    assert "new handle, large bucket: known GiB saved, requests, all: 57.00 (goal ≤ 50)" in said


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
            Outcome(Task("batch", "noise/10KiB", peers.OURS, 0, "tiny", ""), 1.0, {"load_mbs": 500.0}),
            Outcome(Task("batch", "noise/10KiB", "fast", 0, "tiny", ""), 1.0, {"load_mbs": 700.0}),
        ],
    )
    missed = next(verdict for verdict in verdicts(results) if verdict.goal == "verified load ÷ best peer (fast)")
    assert missed.met is False, "a peer that loads what compresses faster is not told of"
    results = replace(results, outcomes=results.outcomes[:5])
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
            outcome("json/4MiB", "metaflow", save_mbs=100.0, again_mbs=50.0, load_mbs=300.0, save_mib=9, load_mib=8),
            outcome("random/10KiB", peers.MACHINE, files_per_second=4_000.0),
            outcome("random/10KiB", "metaflow", files_per_second=500.0),
            outcome("random/10KiB", peers.DROP_IN, files_per_second=2_000.0),
            outcome("random/4MiB", peers.MACHINE, load_limit_mbs=1_000.0),
            outcome("random/4MiB", peers.PACKED, load_mbs=400.0),
            outcome("json/4MiB", peers.DROP_IN, save_mbs=700.0, load_mbs=450.0),
            outcome("flow/100", "metaflow", flow_seconds=50.0),
            outcome("flow/100", peers.PACKED, flow_seconds=60.0),
        ],
    )
    page = tmp_path / "page.md"
    page.write_text("before <!-- bench:begin -->\nold\n<!-- bench:end --> after")
    readme.write(results, page)
    said = page.read_text()
    assert "| json/4MiB | 100, 50, 300 | **700** (7.00 ×), –, **450** (1.50 ×) | –, –, – |" in said
    assert "| json/4MiB | 9, 8 | –, – | –, – |" in said
    assert "| flow/100 | 50.0 | – | **60.0** (1.20 ×) |" in said
    assert "| random/10KiB | 500 (0.12 of the limit) | **2,000** (4.00 ×, 0.50 of the limit) | – | 4,000 |" in said
    assert "--datastore packhouse, load ÷ limit, random/4MiB: 0.40 (goal ≥ 0.7)" in said
    assert "drop-in ÷ stock Metaflow: load, json/4MiB: 1.50 (goal ≥ 1.8)" in said
    assert "old" not in said
    assert "| blobs |" not in said


def test_a_full_run_is_published_where_it_is_quoted(tmp_path: Path) -> None:
    def outcome(case: str, variant: str, peer: str, number: int, **metrics: float) -> Outcome:
        return Outcome(Task(case, variant, peer, number, "full", "/a/folder/of/the/machine"), 1.0, metrics)

    outcomes = [
        *(outcome("batch", "random/4MiB", peers.OURS, number, save_mbs=600.0 + 10 * number) for number in range(3)),
        outcome("lookups", "", peers.OURS, 0, lookups_per_second=9e5, open_seconds=0.02, resident_kib=20 << 10),
        outcome("reopen", "", peers.OURS, 0, import_ms=90.0),
        outcome("names-flat", "", peers.OURS, 0, scan_seconds=1.5),
        outcome("metaflow", "json/4MiB", peers.DROP_IN, 0, save_mbs=700.0),
        outcome("bucket", "near/4MiB", peers.BUCKET, 0, save_mbs=70.0),
        replace(outcome("aged", "", peers.OURS, 0, open_ratio=1.0), commit="fedcba9"),
    ]
    outcomes[0] = replace(outcomes[0], commit="0123456")
    machine: dict[str, str | int | float] = {
        "date": "2026-11-22", "cores": 2, "processor": "one", "file_system": "ext4", "memory_gib": 8,
    }  # fmt: skip
    results = Results("full", machine, {}, {}, outcomes)
    pages = [tmp_path / name for name in ("README.md", "docs/howto/metaflow.md", "docs/howto/buckets.md")]
    for page in pages:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("<!-- bench:begin -->\nold\n<!-- bench:end -->")
    written = list(publish.write(results, tmp_path))
    assert {*pages, tmp_path / "docs/benchmarks.svg"} < set(written)
    readme_says, metaflow_says, buckets_say = (page.read_text() for page in pages)
    assert "**610** (600–620)" in readme_says
    assert "0123456 (batch); " in readme_says
    assert "fedcba9 (aged); " in readme_says
    assert "look-ups a second, all: 900,000.00 (goal ≥ 1e+06)" in readme_says
    assert "open that index (ms), all: 20.00 (goal ≤ 10)" in readme_says
    assert "import packhouse, beyond bare Python (ms), all: 90.00 (goal ≤ 80)" in readme_says
    assert "one scan of a flat prefix of a million names (s), all: 1.50 (goal ≤ 1)" in readme_says
    assert "| json/4MiB |" in metaflow_says
    assert "610" not in metaflow_says
    assert "| near/4MiB |" in buckets_say
    assert "/a/folder" not in (tmp_path / "benches/results/2026-11-22.json").read_text()
    assert Results.read(tmp_path / "benches/results/2026-11-22.json").median(
        "bucket", "near/4MiB", peers.BUCKET, "save_mbs"
    )
    with pytest.raises(ValueError, match="full"):
        list(publish.write(Results("quick", machine, {}, {}, outcomes), tmp_path))


def test_an_error_of_several_lines_is_told_in_one() -> None:
    inside = RuntimeError("Generic {\n    status: 507,\n    path: /scratch/store,\n}")
    said = in_one_line(ExceptionGroup("several", [ExceptionGroup("more", [inside])]), without="/scratch")
    assert said == "RuntimeError: Generic { status: 507, path: …/store, }"


def test_a_flow_kept_by_another_than_it_says_is_no_figure(tmp_path: Path) -> None:
    blob = tmp_path / ".metaflow" / "Wide" / "data" / "ab" / "abc"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"x")
    check_mode(peers.DROP_IN, tmp_path)
    with pytest.raises(RuntimeError, match=peers.DROP_IN):
        check_mode("metaflow", tmp_path)
    blob.with_name("abc_meta").write_bytes(b"{}")
    check_mode("metaflow", tmp_path)
    with pytest.raises(RuntimeError, match="metaflow"):
        check_mode(peers.DROP_IN, tmp_path)
