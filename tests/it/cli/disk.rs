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

    /// Takes all the room there is, to the last page.
    fn fill(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        let mut file = fs::File::create(&path).unwrap();
        for block in [vec![1_u8; 64 << 10], vec![1; 4 << 10]] {
            while file.write_all(&block).is_ok() {}
        }
        path
    }
}

/// A small file system, or the word that the test was left out.
#[expect(clippy::print_stderr, reason = "what was left out must be seen")]
fn mounted(test: &str) -> Option<Mount> {
    match Mount::new(64) {
        Ok(mount) => Some(mount),
        Err(reason) => {
            eprintln!("left out (needs to mount a tmpfs: {}): {test}", reason.trim());
            assert_ne!(
                std::env::var("OVERDRIVE_TEST_TIER").as_deref(),
                Ok("full"),
                "{reason}"
            );
            None
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_pauses_the_sweep_until_there_is_room() {
    let Some(mount) = mounted("a_full_disk") else {
        return;
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
    let filler = mount.fill("filler");
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

/// The room that the reserve gave back is taken as well: nothing is started any more, scripts go on and end, and once there is room
/// again every end and every number that their journals took is found.
#[test]
fn a_disk_that_fills_up_again_loses_nothing_either() {
    let Some(mount) = mounted("a_disk_that_fills_up_again") else {
        return;
    };
    let body = r#"log="$SEEN/${AZUREML_RUN_ID##*_}-$$"
: > "$log"; i=0
until [ -e "$SEEN/go" ] || [ $i = 600 ]; do i=$((i + 1)); echo "score=$i"; sleep 0.05; done
echo "score=1000"; echo 1000 >> "$log""#;
    let project = Project::new(body, &Sweep::default());
    let home = mount.path().join("state");
    let home = home.to_str().unwrap();
    let mut child = project.start(&["--home", home, "run", "hdconfig.yml", "--json"]);
    let show = || -> serde_json::Value {
        let output = project.run(&["--home", home, "show", "--json"]);
        match output.status.success() {
            true => json(&output),
            false => serde_json::Value::Null,
        }
    };
    until("running trials", || show()["trials"]["Running"] == 2);
    let filler = mount.fill("filler");
    until("the pause", || show()["state"] == "Paused");
    let second = mount.fill("second");
    fs::write(project.seen().join("go"), "").unwrap();
    until("the end of the running scripts", || {
        let entries = fs::read_dir(project.seen()).unwrap();
        let texts = entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
        texts.filter(|text| text == "1000\n").count() == 2
    });
    // Longer than the controller's patience between two tries.
    std::thread::sleep(Duration::from_millis(2_500));
    assert!(
        child.try_wait().unwrap().is_none(),
        "the controller waits for room"
    );
    // Ends may still find room in pages that the store has already; a start never does.
    let shown = show();
    assert_eq!(shown["state"], "Paused", "{shown}");
    let trials: u64 = shown["trials"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(serde_json::Value::as_u64)
        .sum();
    assert_eq!(trials, 2, "{shown}");
    fs::remove_file(filler).unwrap();
    fs::remove_file(second).unwrap();
    let output = child.wait_with_output().unwrap();
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    let document = json(&output);
    assert_eq!(document["trials"]["Completed"], 4, "{document}");
    assert_eq!(document["best"]["value"], 1000.0, "{document}");
    let executed: Vec<_> = fs::read_dir(project.seen())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "go")
        .collect();
    assert_eq!(executed.len(), 4, "each trial is executed once: {executed:?}");
}
