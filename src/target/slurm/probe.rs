//! Looks whether a cluster takes jobs, for real, and how long each step takes.

use super::SlurmOptions;
use crate::target::command::{Input, last_line, talk};
use crate::target::probe::{Step, timed};
use std::process::Command;
use std::time::Duration;

/// Runs a script on this machine; its output, or what is wrong.
///
/// # Errors
/// One sentence.
pub fn here(script: &str) -> Result<String, String> {
    let mut command = Command::new("/bin/sh");
    let spoken = talk(&mut command, Input::Text(script), Duration::from_secs(60))
        .map_err(|error| error.to_string())?;
    if spoken.code == Some(0) {
        Ok(spoken.output)
    } else {
        Err(last_line(&spoken.errors))
    }
}

/// Probes the cluster by scripts that `ask` runs where jobs are submitted: client, controller, nodes, queue, a job that is only
/// checked.
pub fn probe(options: &SlurmOptions, ask: &mut dyn FnMut(&str) -> Result<String, String>) -> Vec<Step> {
    let mut steps = Vec::new();
    steps.push(timed("slurm", false, || {
        ask("sbatch --version\n").map(|found| found.trim().to_owned())
    }));
    if steps.iter().any(|step| step.found.is_err()) {
        return steps;
    }
    steps.push(timed("controller", false, || {
        let found = ask("scontrol ping\n")?;
        let line = last_line(&found);
        if found.contains("is UP") {
            Ok(line)
        } else {
            Err(line)
        }
    }));
    let partition = options
        .partition
        .as_ref()
        .map(|name| format!("--partition={}", word(name)))
        .unwrap_or_default();
    steps.push(timed("nodes", false, || {
        let found = ask(&format!("sinfo --noheader --format='%D %t' {partition}\n"))?;
        let states: Vec<&str> = found
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        if states.is_empty() {
            Err("the partition has no nodes".into())
        } else {
            Ok(states.join(", "))
        }
    }));
    steps.push(timed("queue", false, || {
        let found = ask("squeue --noheader --format=%i --user=$(id -u) | wc -l\n")?;
        Ok(format!("{} jobs of this user", found.trim()))
    }));
    steps.push(timed("options", false, || {
        let words: Vec<String> = options
            .arguments()
            .iter()
            .map(|argument| word(argument))
            .collect();
        ask(&format!(
            "printf '#!/bin/sh\\ntrue\\n' | sbatch --test-only {} 2>&1\n",
            words.join(" ")
        ))
        .map(|found| last_line(&found).trim_start_matches("sbatch: ").to_owned())
    }));
    steps
}

/// One word of a shell.
fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
