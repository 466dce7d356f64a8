//! The real binary: help, typos, exit codes, closed pipes, the reference.

use assert_cmd::Command;
use std::process::Stdio;

pub(super) fn overdrive() -> Command {
    let mut command = Command::cargo_bin("overdrive").unwrap();
    for name in [
        "OVERDRIVE_HOME",
        "OVERDRIVE_PROGRESS",
        "NO_COLOR",
        "FORCE_COLOR",
        "CLICOLOR_FORCE",
        "CLICOLOR",
        "CI",
        "GITHUB_ACTIONS",
        "GITLAB_CI",
        "TF_BUILD",
    ] {
        command.env_remove(name);
    }
    command
        .env("LC_ALL", "C.UTF-8")
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .env("TZ", "UTC")
        .env("COLUMNS", "100");
    command
}

fn run(arguments: &[&str], folder: &std::path::Path) -> (i32, String, String) {
    let output = overdrive().args(arguments).current_dir(folder).output().unwrap();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn help_screens() {
    let folder = tempfile::tempdir().unwrap();
    for (name, arguments) in [
        ("brief", &["-h"][..]),
        ("long", &["--help"]),
        ("run", &["run", "--help"]),
        ("ml_submit", &["ml", "run", "submit-hyperdrive", "-h"]),
    ] {
        let (code, out, err) = run(arguments, folder.path());
        assert_eq!((code, err.as_str()), (0, ""), "{name}");
        assert!(
            out.lines().all(|line| line.chars().count() <= 100),
            "{name}: {out}"
        );
        insta::assert_snapshot!(format!("help_{name}"), out);
    }
    let (_, brief, _) = run(&["-h"], folder.path());
    assert!(brief.lines().count() <= 40);
}

#[test]
fn every_command_has_help_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    for (_, names) in overdrive::cli::help::GROUPS {
        for name in *names {
            let (code, out, _) = run(&[name, "--help"], folder.path());
            assert_eq!(code, 0, "{name}");
            assert!(out.contains("Example"), "{name}: {out}");
        }
    }
}

#[test]
fn typos_are_answered_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = run(&["rum"], folder.path());
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("'run'"), "{err}");
    let (code, _, err) = run(&["run", "--sede", "3"], folder.path());
    assert_eq!(code, 2);
    assert!(err.contains("--seed"), "{err}");
    let (code, _, err) = run(&["plot", "-k", "curve"], folder.path());
    assert_eq!(code, 2);
    assert!(err.contains("curves"), "{err}");
}

#[test]
fn the_reference_is_what_the_program_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/cli.md");
    let fresh = overdrive::cli::reference::markdown();
    if std::env::var_os("OVERDRIVE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == fresh,
        "docs/reference/cli.md is out of date: OVERDRIVE_UPDATE_DOCS=1 cargo test --test it cli::binary::the_reference"
    );
}

#[test]
fn completions_and_manual_pages() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, out, _) = run(&["completions", shell], folder.path());
        assert_eq!(code, 0);
        assert!(out.contains("submit-hyperdrive"), "{shell}");
    }
    let (code, out, _) = run(&["man", "run"], folder.path());
    assert_eq!(code, 0);
    assert!(out.contains(".TH") && out.contains("\\-\\-seed"), "{out}");
    let (code, _, _) = run(&["man", "--out", "pages"], folder.path());
    assert_eq!(code, 0);
    for page in ["overdrive.1", "overdrive-run.1", "overdrive-ml-run-list.1"] {
        assert!(folder.path().join("pages").join(page).is_file(), "{page}");
    }
    let (code, _, err) = run(&["man", "rum"], folder.path());
    assert_eq!(code, 3);
    assert!(err.contains("`rum`"), "{err}");
}

#[test]
fn a_closed_pipe_is_quiet() {
    let binary = assert_cmd::cargo::cargo_bin("overdrive");
    let mut child = std::process::Command::new(binary)
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
