//! Looks whether this computer can run trials, for real, and how long each step takes.

use super::pool::Machine;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// Bytes that are written to the disk and read back.
const SAMPLE_BYTES: usize = 1 << 20;
/// A difference between the clocks of the computer and of the file system that matters to nobody.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);
/// Free bytes below which a disk is as good as full.
const FREE_MIN: u64 = 256 << 20;

/// One step of a probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What was looked at: `disk`, `processes`, `python`, `cores`, `gpus`, `clock`.
    pub name: &'static str,
    /// What was found, or what is wrong.
    pub found: Result<String, String>,
    /// Whether trials can do without it.
    pub optional: bool,
    /// How long looking took.
    pub latency: Duration,
}

/// Probes this computer with the state folder `folder`, which must exist; `python` is the interpreter to ask, if one is known.
pub fn local(folder: &Path, python: Option<&Path>) -> Vec<Step> {
    vec![
        timed("disk", false, || disk(folder)),
        timed("processes", false, || {
            run(Command::new("/bin/sh").args(["-c", "echo started"])).map(|_| "/bin/sh starts".into())
        }),
        // Sweeps of shell scripts need none.
        timed("python", true, || match python {
            Some(path) => run(Command::new(path).arg("--version"))
                .map(|version| format!("{version} ({})", path.display())),
            None => Err("no python3 on the search path".into()),
        }),
        timed("cores", false, || Ok(cores())),
        timed("gpus", true, || Ok(gpus())),
        timed("clock", false, || clock(folder)),
    ]
}

pub(super) fn timed(
    name: &'static str,
    optional: bool,
    look: impl FnOnce() -> Result<String, String>,
) -> Step {
    let begun = Instant::now();
    let found = look();
    Step {
        name,
        found,
        optional,
        latency: begun.elapsed(),
    }
}

fn disk(folder: &Path) -> Result<String, String> {
    let text = |error: std::io::Error| format!("{}: {error}", folder.display());
    let sample: Vec<u8> = (0..SAMPLE_BYTES).map(|index| (index % 251) as u8).collect();
    let mut file = tempfile::tempfile_in(folder).map_err(text)?;
    file.write_all(&sample).map_err(text)?;
    file.sync_all().map_err(text)?;
    file.seek(SeekFrom::Start(0)).map_err(text)?;
    let mut back = Vec::with_capacity(SAMPLE_BYTES);
    file.read_to_end(&mut back).map_err(text)?;
    if back != sample {
        return Err(format!(
            "{}: gives other bytes than were written",
            folder.display()
        ));
    }
    let known = rustix::fs::statvfs(folder).map_err(|errno| text(errno.into()))?;
    let free = known.f_bavail.saturating_mul(known.f_frsize);
    let told = format!(
        "{:.1} GiB free, 1 MiB written and read back",
        free as f64 / f64::from(1 << 30)
    );
    if free < FREE_MIN {
        return Err(told);
    }
    Ok(told)
}

/// First line of what a command prints.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(output.status.to_string());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

fn cores() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok()
    });
    match memory {
        Some(kib) => format!("{cores} cores, {:.1} GiB of memory", kib / f64::from(1 << 20)),
        None => format!("{cores} cores"),
    }
}

fn gpus() -> String {
    match Machine::here().devices.as_slice() {
        [] => "none".into(),
        devices => format!("{}: {}", devices.len(), devices.join(", ")),
    }
}

/// Whether the file system's clock is this computer's: times of files are compared with it.
fn clock(folder: &Path) -> Result<String, String> {
    let text = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut file = tempfile::tempfile_in(folder).map_err(text)?;
    let before = SystemTime::now();
    file.write_all(b"now").map_err(text)?;
    let written = file
        .metadata()
        .and_then(|metadata| metadata.modified())
        .map_err(text)?;
    let apart = match written.duration_since(before) {
        Ok(ahead) => ahead,
        Err(error) => error.duration(),
    };
    let told = format!("{} ms from that of the disk", apart.as_millis());
    if apart > CLOCK_TOLERANCE {
        return Err(told);
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_computer_passes() {
        let folder = tempfile::tempdir().unwrap();
        let steps = local(folder.path(), None);
        for step in &steps {
            assert!(step.optional || step.found.is_ok(), "{step:?}");
        }
        assert!(steps.iter().any(|step| step.latency > Duration::ZERO));
        let python = steps.iter().find(|step| step.name == "python").unwrap();
        assert!(python.optional && python.found.is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let steps = local(Path::new("/nowhere/at/all"), Some(Path::new("/nowhere/python")));
        let wrong: Vec<&str> = steps
            .iter()
            .filter(|step| step.found.is_err())
            .map(|step| step.name)
            .collect();
        assert_eq!(wrong, ["disk", "python", "clock"]);
    }
}
