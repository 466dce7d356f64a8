//! Python interpreters: the one that is there, and virtual environments with packages from PyPI, made once and kept.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Python for tests that need nothing but its standard library.
pub(crate) fn plain() -> PathBuf {
    std::env::var_os("OVERDRIVE_TEST_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from)
}

/// Whether tests that need PyPI are to run; says so if not.
#[expect(clippy::print_stderr, reason = "what was left out must be seen")]
pub(crate) fn full(test: &str) -> bool {
    let full = std::env::var("OVERDRIVE_TEST_TIER").is_ok_and(|tier| tier == "full");
    if !full {
        eprintln!("left out (needs PyPI, set OVERDRIVE_TEST_TIER=full): {test}");
    }
    full
}

/// Interpreter of a virtual environment with these packages. Fails the test, with pip's output, if it cannot be made.
pub(crate) fn with(name: &str, packages: &[&str]) -> PathBuf {
    let cache = std::env::var_os("OVERDRIVE_TEST_CACHE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-venvs"),
        PathBuf::from,
    );
    fs::create_dir_all(&cache).unwrap();
    let lock = File::create(cache.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let folder = cache.join(name);
    let python = folder.join("bin/python");
    let stamp = folder.join("overdrive-packages");
    let wanted = packages.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return python;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    must(Command::new(plain()).arg("-m").arg("venv").arg(&folder));
    must(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(packages),
    );
    fs::write(stamp, wanted).unwrap();
    python
}

fn must(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
