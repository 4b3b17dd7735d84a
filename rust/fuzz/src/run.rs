//! Running targets: for so many CPU-seconds, in processes of their own.

use std::io::{BufRead, BufReader, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::memory;
use crate::mutate::{Rng, mutate};
use crate::targets::Target;

/// Bytes that any input may cost, beyond a multiple of its length.
const MEMORY_BASE: usize = 1 << 20;
const MEMORY_FACTOR: usize = 64;
/// CPU-seconds that one input may take.
const TOO_LONG: f64 = 1.0;
/// Inputs between two looks at the clock.
const BATCH: u64 = 256;
/// After so many crashes a target gives up: the first ones tell enough.
const ENOUGH: u64 = 10;

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Input `number` of a target.
fn input(target: &Target, seeds: &[Vec<u8>], seed: u64, number: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed, target.name, number);
    let mut bytes = rng.pick(seeds).clone();
    let other = rng.pick(seeds).clone();
    mutate(&mut rng, &mut bytes, &other);
    // Mostly behind the checksums, sometimes at them.
    if !rng.one_in(4) {
        (target.renew)(&mut bytes);
    }
    bytes
}

/// Run one input; what is wrong with the outcome, if anything.
fn execute(target: &Target, bytes: &[u8]) -> Option<String> {
    let (started, before) = (cpu_seconds(), memory::start());
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    let outcome = outcome.map(drop);
    let (peak, took) = (memory::peak_since(before), cpu_seconds() - started);
    let allowed = MEMORY_BASE + MEMORY_FACTOR * bytes.len() + target.memory;
    match outcome {
        Err(payload) => {
            let text = payload.downcast_ref::<String>().cloned();
            let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(format!("panicked: {}", text.unwrap_or_default()))
        }
        Ok(()) if peak > allowed => Some(format!("held {peak} bytes for an input of {}", bytes.len())),
        Ok(()) if took > TOO_LONG => Some(format!("took {took:.1} CPU-seconds")),
        Ok(()) => None,
    }
}

/// Run one target here: progress and crashes go to standard output, a line each. Returns the number of crashes.
pub fn child(target: &Target, seed: u64, seconds: f64) -> u64 {
    panic::set_hook(Box::new(|_| {}));
    let seeds = (target.seeds)();
    let started = cpu_seconds();
    let (mut number, mut crashes) = (0, 0);
    // The valid inputs first: they must be accepted, or nothing behind the first check is ever reached.
    while number == 0 || (cpu_seconds() - started < seconds && crashes < ENOUGH) {
        println!("at {number}");
        let _ = std::io::stdout().flush();
        for number in number..number + BATCH {
            let bytes = input(target, &seeds, seed, number);
            if let Some(why) = execute(target, &bytes) {
                crashes += 1;
                println!("crash {number} {}", why.replace('\n', " "));
            }
        }
        number += BATCH;
    }
    println!("at {number}");
    crashes
}

/// Repeat one input with the panic shown.
pub fn replay(target: &Target, seed: u64, number: u64) -> u64 {
    let bytes = input(target, &(target.seeds)(), seed, number);
    let path = std::env::temp_dir().join(format!("packhouse-fuzz-{}-{seed}-{number}", target.name));
    std::fs::write(&path, &bytes).expect("the input can be written to the folder for temporary files");
    println!("input {number} of {} ({} bytes) is in {}", target.name, bytes.len(), path.display());
    match execute(target, &bytes) {
        Some(why) => {
            println!("{why}");
            1
        }
        None => {
            println!("nothing is wrong with it");
            0
        }
    }
}

/// Run each target in a process of its own and print a line each. Returns the number of crashes.
pub fn parent(targets: &[&Target], seed: u64, seconds: f64, json: bool) -> u64 {
    let own = std::env::current_exe().expect("this program has a path");
    let mut crashes = 0;
    for target in targets {
        let mut child = Command::new(&own)
            .args(["--child", "--seed", &seed.to_string(), "--seconds", &seconds.to_string(), target.name])
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started again");
        let lines = BufReader::new(child.stdout.take().expect("its output is a pipe")).lines();
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let started = Instant::now();
        // A target that hangs is killed: twenty times its share and a minute are enough on any machine.
        let patience = Duration::from_secs_f64(seconds * 20.0 + 60.0);
        let pid = child.id();
        let watcher = std::thread::spawn(move || {
            if receiver.recv_timeout(patience) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
            }
        });
        let (mut done, mut found) = (0_u64, Vec::new());
        for line in lines.map_while(Result::ok) {
            match line.split_once(' ') {
                Some(("at", number)) => done = number.parse().unwrap_or(done),
                Some(("crash", what)) => found.push(what.to_owned()),
                _ => {}
            }
        }
        let status = child.wait().expect("it can be waited for");
        let _ = sender.send(());
        let _ = watcher.join();
        if status.code().is_none_or(|code| code > 1) {
            found.push(format!("{done} ended with {status} in one of the {BATCH} inputs from here"));
        }
        report(target.name, done, started.elapsed(), &found, seed, json);
        crashes += found.len() as u64;
    }
    crashes
}

fn report(name: &str, done: u64, took: Duration, found: &[String], seed: u64, json: bool) {
    let took = took.as_secs_f64();
    if json {
        println!(
            "{{\"target\":\"{name}\",\"executions\":{done},\"crashes\":{},\"wall_seconds\":{took:.1}}}",
            found.len()
        );
    } else {
        println!("{name:<12} {done:>12} executions {:>4} crashes {took:>8.1} s", found.len());
    }
    for what in found {
        eprintln!(
            "  {name}: input {what}\n    again: packhouse-fuzz --seed {seed} --replay {name} {}",
            what.split(' ').next().unwrap_or("0")
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::targets::ALL;

    /// Memory is measured for the whole process: one test at a time.
    static ALONE: Mutex<()> = Mutex::new(());

    #[test]
    fn valid_inputs_are_accepted_and_damaged_ones_never_crash() {
        let _alone = ALONE.lock();
        for target in ALL {
            let seeds = (target.seeds)();
            for bytes in &seeds {
                let mut renewed = bytes.clone();
                (target.renew)(&mut renewed);
                assert_eq!(&renewed, bytes, "{}: renewing the checksums of a valid input changes nothing", target.name);
                assert!((target.run)(bytes), "{}: a valid input is refused", target.name);
            }
            for number in 0..2000 {
                let bytes = input(target, &seeds, 7, number);
                assert_eq!(execute(target, &bytes), None, "{} {number}", target.name);
            }
        }
    }

    #[test]
    fn renewed_checksums_lead_behind_the_first_check() {
        let _alone = ALONE.lock();
        for target in ALL {
            let seeds = (target.seeds)();
            let damaged =
                (0..2000).map(|number| input(target, &seeds, 3, number)).filter(|bytes| !seeds.contains(bytes));
            let accepted = damaged.filter(|bytes| (target.run)(bytes)).count();
            assert!(
                accepted > 10,
                "{}: {accepted} damaged inputs accepted: only the checksums are tested",
                target.name
            );
        }
    }

    #[test]
    fn a_planted_panic_and_a_planted_allocation_are_seen() {
        let _alone = ALONE.lock();
        let target = |run: fn(&[u8]) -> bool| Target { run, ..*ALL[3] };
        let panics = target(|_| panic!("planted"));
        let greedy = target(|bytes| std::hint::black_box(vec![1_u8; (1 << 22) + bytes.len()]).is_empty());
        assert!(execute(&panics, b"x").unwrap().contains("planted"));
        assert!(execute(&greedy, b"x").unwrap().contains("held"));
    }
}
