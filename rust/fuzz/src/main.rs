//! `packhouse-fuzz [--seconds N] [--seed N] [TARGET…]`: N CPU-seconds (60, or `FUZZ_SECONDS`) of damaged input for each parser.
//!
//! Each input begins as something valid, is mutated with the structure in mind, and mostly gets its checksums renewed, so that the
//! code behind them is reached. It is not guided by coverage. Counted as a crash: a panic, an abort, an input that takes more than a
//! second, more memory allocated than a small multiple of the input, and an answer that contradicts itself (what was accepted must be
//! written again as the same bytes). Inputs follow from seed, target and number alone: `--replay TARGET NUMBER` repeats one.
//!
//! Each target runs in a process of its own, so that an abort ends that target only. Exit code 1 when there was any crash.

mod memory;
mod mutate;
mod run;
mod seeds;
mod targets;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: memory::Measured = memory::Measured;

struct Options {
    seconds: f64,
    seed: u64,
    json: bool,
    targets: Vec<&'static targets::Target>,
    /// Run this target here, instead of starting a process for each.
    child: bool,
    replay: Option<u64>,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let crashes = match (&options.targets[..], options.replay, options.child) {
        ([target], Some(number), _) => run::replay(target, options.seed, number),
        ([target], None, true) => run::child(target, options.seed, options.seconds),
        (targets, ..) => run::parent(targets, options.seed, options.seconds, options.json),
    };
    ExitCode::from(u8::from(crashes > 0))
}

fn parse(args: impl Iterator<Item = String>) -> Result<Options, String> {
    let number = |name: &str, text: Option<String>| {
        text.and_then(|text| text.parse().ok()).ok_or_else(|| format!("{name} needs a number"))
    };
    let seconds = std::env::var("FUZZ_SECONDS").ok().map_or(Ok(60.0), |text| number("FUZZ_SECONDS", Some(text)))?;
    let mut options = Options { seconds, seed: 1, json: false, targets: Vec::new(), child: false, replay: None };
    let mut args = args;
    while let Some(arg) = args.next() {
        let find = |name: &str| {
            let names: Vec<_> = targets::ALL.iter().map(|target| target.name).collect();
            let found = targets::ALL.iter().find(|target| target.name == name);
            found.ok_or_else(|| format!("no target {name:?}; there are {}", names.join(", ")))
        };
        match arg.as_str() {
            "--seconds" => options.seconds = number("--seconds", args.next())?,
            "--seed" => options.seed = number("--seed", args.next())? as u64,
            "--json" => options.json = true,
            "--child" => options.child = true,
            "--replay" => {
                options.targets = vec![find(&args.next().unwrap_or_default())?];
                options.replay = Some(number("--replay TARGET", args.next())? as u64);
            }
            name => options.targets.push(find(name)?),
        }
    }
    if options.targets.is_empty() {
        options.targets = targets::ALL.to_vec();
    }
    Ok(options)
}
