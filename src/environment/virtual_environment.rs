//! Building a virtual environment with `uv`, or with `venv` and `pip`.

use crate::environment::conda_file::PipItem;
use crate::environment::{EnvironmentError, run};
use std::path::Path;
use std::process::Command;

/// Builds it in `folder`, which does not exist yet.
pub(super) fn build(
    folder: &Path,
    python: &Path,
    uv: Option<&Path>,
    pip: &[PipItem],
    base: Option<&Path>,
    log: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<(), EnvironmentError> {
    progress(&format!("making a virtual environment with {}", python.display()));
    match uv {
        Some(uv) => run(
            Command::new(uv)
                .args(["venv", "--quiet", "--python"])
                .arg(python)
                .arg(folder),
            log,
        )?,
        None => {
            // Debian's python3 may come without ensurepip; then pip of the system installs into the environment.
            let plain = run(Command::new(python).args(["-m", "venv"]).arg(folder), log);
            if plain.is_err() {
                let _ = std::fs::remove_dir_all(folder);
                let retry = run(
                    Command::new(python)
                        .args(["-m", "venv", "--without-pip"])
                        .arg(folder),
                    log,
                );
                if retry.is_err() {
                    return plain;
                }
            }
        }
    }
    if pip.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = pip
        .iter()
        .filter_map(|item| match item {
            PipItem::Requirement(text) => Some(text.as_str()),
            PipItem::Option(_) => None,
        })
        .collect();
    progress(&format!(
        "installing {}",
        if names.is_empty() {
            "requirements".into()
        } else {
            names.join(", ")
        }
    ));
    let inner = folder.join("bin").join("python");
    let mut command = match uv {
        Some(uv) => {
            let mut command = Command::new(uv);
            command
                .args(["pip", "install", "--quiet", "--python"])
                .arg(&inner);
            command
        }
        None if folder.join("bin").join("pip").exists() => {
            let mut command = Command::new(&inner);
            command.args([
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--no-input",
            ]);
            command
        }
        None => {
            let mut command = Command::new(python);
            command.args(["-m", "pip", "--python"]).arg(&inner);
            command.args(["install", "--disable-pip-version-check", "--no-input"]);
            command
        }
    };
    for item in pip {
        match item {
            PipItem::Requirement(text) => {
                command.arg(text);
            }
            // `--index-url URL` is one item of the file and two words of the command line.
            PipItem::Option(text) => {
                command.args(shlex::split(text).unwrap_or_else(|| vec![text.clone()]));
            }
        }
    }
    if let Some(base) = base {
        command.current_dir(base);
    }
    run(&mut command, log)
}
