//! Row 17 of the scorecard in short: every parser is fed damaged bytes for a second.

use std::process::Command;

#[test]
fn a_damaged_file_crashes_no_parser() {
    let ended = Command::new(env!("CARGO_BIN_EXE_packhouse-fuzz")).args(["--seconds", "1"]).output().unwrap();
    assert!(
        ended.status.success(),
        "{}{}",
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
}
