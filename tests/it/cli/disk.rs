//! A full disk under the state folder: the sweep pauses with the path, scripts go on, it resumes by itself, nothing is lost.

use super::project::{Project, Sweep, json, text, until};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A small file system of its own; gone with the value.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(megabytes: u32) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(folder.path())
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(Self(folder))
        } else {
            Err(text(&output.stderr))
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room there is.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = fs::File::create(&path).unwrap();
        let block = vec![1_u8; 64 << 10];
        while file.write_all(&block).is_ok() {}
        path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_pauses_the_sweep_until_there_is_room() {
    let mount = match Mount::new(64) {
        Ok(mount) => mount,
        Err(reason) => {
            eprintln!(
                "left out (needs to mount a tmpfs: {}): a_full_disk",
                reason.trim()
            );
            assert_ne!(
                std::env::var("OVERDRIVE_TEST_TIER").as_deref(),
                Ok("full"),
                "{reason}"
            );
            return;
        }
    };
    let body = r#"log="$SEEN/${AZUREML_RUN_ID##*_}-$$"
i=0
while [ $i -lt 60 ]; do echo "score=$i.$$"; echo "$i.$$" >> "$log"; i=$((i + 1)); sleep 0.02; done"#;
    let total = 6;
    let project = Project::new(
        body,
        &Sweep {
            total,
            ..Sweep::default()
        },
    );
    let home = mount.path().join("state");
    let home = home.to_str().unwrap();
    let child = project.start(&["--home", home, "run", "hdconfig.yml", "--json"]);
    let show = |what: &str| -> serde_json::Value {
        let output = project.run(&["--home", home, "show", "--json"]);
        if output.status.success() {
            json(&output)[what].clone()
        } else {
            serde_json::Value::Null
        }
    };
    until("running trials", || show("trials")["Running"] == 2);
    let filler = mount.fill();
    until("the pause", || show("state") == "Paused");
    let reason = show("reason");
    assert!(
        reason
            .as_str()
            .unwrap()
            .starts_with(&format!("disk full at `{home}")),
        "{reason}"
    );
    // Scripts go on to their end meanwhile, and nothing new is started.
    until("the running ones end", || show("trials")["Completed"] == 2);
    std::thread::sleep(Duration::from_millis(500));
    let trials = show("trials");
    assert_eq!(
        trials
            .as_object()
            .unwrap()
            .values()
            .filter_map(serde_json::Value::as_u64)
            .sum::<u64>(),
        2,
        "{trials}"
    );
    fs::remove_file(filler).unwrap();
    let output = child.wait_with_output().unwrap();
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(err.contains("disk full at"), "{err}");
    assert_eq!(json(&output)["trials"]["Completed"], total, "{err}");
    let kept = text(
        &project
            .run(&["--home", home, "export", "--what", "metrics"])
            .stdout,
    );
    let seen: usize = project.lines_seen().iter().map(|(_, lines)| lines.len()).sum();
    assert_eq!(kept.lines().count() - 1, seen, "every number is there once");
    assert_eq!(seen as u64, total * 60);
}
