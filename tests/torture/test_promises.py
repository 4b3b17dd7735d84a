"""The rows of the scorecard on packhouse itself: short in `make test`, in full with `-m torture`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.torture.outcome import LEFT_OUT
from tests.torture.rows import ROWS, Row

if TYPE_CHECKING:
    from collections.abc import Callable

LOSES = {
    1: "a_killed_program_loses_blobs_it_was_told_are_safe",
    2: "a_program_killed_between_two_system_calls_leaves_half_a_batch",
    3: "a_power_cut_takes_blobs_that_were_acknowledged",
    4: "a_damaged_blob_cannot_be_healed_by_saving_it_again",
    5: "a_flipped_bit_returns_wrong_bytes_or_hides_from_verify",
    6: "a_disk_error_or_a_full_disk_leaves_half_a_batch",
    7: "a_failed_sync_is_reported_as_success",
    8: "the_store_disagrees_with_what_was_done_to_it",
    10: "updates_get_lost_when_many_programs_share_a_store",
    11: "a_cancelled_save_leaks_or_half_happens",
    12: "a_hostile_server_makes_a_client_believe_or_hang",
    13: "a_bomb_from_a_server_takes_all_memory",
    14: "a_name_or_a_link_reaches_outside_the_store",
    15: "a_file_of_a_stranger_runs_code_when_it_is_loaded",
    16: "a_secret_shows_in_a_log_or_an_error",
    17: "a_damaged_file_crashes_the_program",
    18: "the_event_loop_stalls_while_blobs_move",
    19: "a_huge_blob_takes_all_memory",
}


def called(row: Row) -> str:
    """What a user would see; in a bucket where the row is about one."""
    return LOSES[row.number] + ("_in_a_bucket" if row.title.endswith("-bucket") else "")


def _demand(row: Row, rounds: int, record_property: Callable[[str, object], None]) -> None:
    outcome = row.run("packhouse", rounds=rounds)
    for part in outcome.left_out:
        record_property(LEFT_OUT, f"row {row.number}: {part}")
    if outcome.not_run is not None:
        pytest.skip(f"NOT RUN: row {row.number}: {outcome.not_run}")
    assert not outcome.violations, "\n".join(outcome.violations)


SHORT = [row for row in ROWS if row.short >= 0]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("row", SHORT, ids=[called(row) for row in SHORT])
def test_nobody_sees_that(row: Row, record_property: Callable[[str, object], None]) -> None:
    _demand(row, row.short, record_property)


@pytest.mark.torture
@pytest.mark.timeout(0)
@pytest.mark.parametrize("row", ROWS, ids=[called(row) for row in ROWS])
def test_nobody_sees_that_in_the_long_run(row: Row, record_property: Callable[[str, object], None]) -> None:
    _demand(row, row.full, record_property)
