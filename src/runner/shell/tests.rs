//! The script under the shells of Debian and of small images, without any machine else.

use super::*;
use crate::journal::{Entry, Exit, read};
use crate::process::start_ticks;
use crate::runner::AttemptSpec;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The shells that have to do: what `sh` is on Debian, and on Alpine and in small images.
const SHELLS: [&[&str]; 2] = [&["dash"], &["busybox", "ash"]];

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Attempt {
    folder: tempfile::TempDir,
    shell: &'static [&'static str],
    spec: AttemptSpec,
}

/// Shells that are here. Debian has the first one always.
fn shells() -> Vec<&'static [&'static str]> {
    let here = |shell: &&[&str]| {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).args(["-c", ":"]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let full = std::env::var_os("OVERDRIVE_TEST_TIER").is_some_and(|tier| tier == "full");
    let found: Vec<&[&str]> = SHELLS.iter().copied().filter(here).collect();
    assert!(
        found.len() == SHELLS.len() || (!full && !found.is_empty()),
        "install Debian's dash and busybox"
    );
    found
}

impl Attempt {
    fn new(shell: &'static [&'static str], argv: &[&str]) -> Self {
        let spec = serde_json::json!({
            "sweep": "HD_1", "experiment": "e", "trial": 3, "run_id": "HD_1_3", "attempt": 0,
            "nonce": uuid::Uuid::new_v4().simple().to_string(),
            "argv": argv, "env": {}, "grace_ms": 500, "primary_metric": "score", "metric_names": ["score"],
            "parameters": {}, "log_cap_bytes": 1 << 20, "shim": false, "mlflow": false,
        });
        Self {
            folder: tempfile::tempdir().unwrap(),
            shell,
            spec: serde_json::from_value(spec).unwrap(),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn start(&self) -> Child {
        let script = self.at("runner.sh");
        if !script.exists() {
            let text = order(&self.spec, self.folder.path(), None).unwrap();
            fs::write(self.at("order.sh"), text).unwrap();
            fs::write(&script, SCRIPT).unwrap();
        }
        let mut command = Command::new(self.shell[0]);
        command.args(&self.shell[1..]).arg(script).arg("run");
        command.arg(self.folder.path()).stdin(Stdio::null());
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn facts(&self) -> Vec<Fact> {
        Account::new().push(&fs::read(self.at("account")).unwrap_or_default())
    }

    fn until(&self, what: &str, ready: impl Fn() -> bool) {
        let begun = Instant::now();
        while !ready() {
            assert!(
                begun.elapsed() < PATIENCE,
                "{what} did not come: {:?}",
                self.facts()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn runs(self) -> (Self, Exit) {
        let mut child = self.start();
        assert!(child.wait().unwrap().success());
        let exit = self.exit();
        (self, exit)
    }

    fn exit(&self) -> Exit {
        let facts = self.facts();
        let exits: Vec<&Exit> = facts
            .iter()
            .filter_map(|fact| match fact {
                Fact::Exited(exit) => Some(exit),
                _ => None,
            })
            .collect();
        assert_eq!(exits.len(), 1, "{facts:?}");
        assert_eq!(facts.last(), Some(&Fact::Sealed), "{facts:?}");
        exits[0].clone()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.at("azureml-logs/70_driver_log.txt")).unwrap()
    }

    fn pid_in(&self, path: &str) -> i32 {
        self.until(path, || {
            fs::read_to_string(self.at(path)).is_ok_and(|text| text.ends_with('\n'))
        });
        fs::read_to_string(self.at(path)).unwrap().trim().parse().unwrap()
    }

    fn runner(&self) -> i32 {
        let facts = self.facts();
        let Some(Fact::Claimed { pid, .. }) = facts.first() else {
            panic!("{facts:?}")
        };
        *pid
    }
}

fn each(test: impl Fn(&'static [&'static str]) + Sync) {
    std::thread::scope(|scope| {
        for shell in shells() {
            let test = &test;
            scope.spawn(move || test(shell));
        }
    });
}

/// All entries that a journal made of the attempt has, made twice with the bytes cut differently: it must be the same each time.
fn retold(attempt: &Attempt) -> Vec<Entry> {
    let make = |folder: &Path| {
        let journal = folder.join("journal");
        let mut retelling = Retelling::new(&attempt.spec, &journal).unwrap();
        let log = attempt.log().into_bytes();
        let report = fs::read(attempt.at("report.jsonl")).unwrap_or_default();
        let (mut logged, mut reported) = (0, 0);
        for fact in attempt.facts() {
            if let Fact::Grew {
                at_ms,
                log: l,
                report: r,
            } = fact
            {
                let (l, r) = (usize::try_from(l).unwrap(), usize::try_from(r).unwrap());
                retelling.grew(at_ms, &log[logged..l], &report[reported..r]);
                (logged, reported) = (l, r);
            }
            retelling.fact(fact, Some(attempt.folder.path())).unwrap();
        }
        fs::read(journal).unwrap()
    };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let made: Vec<Vec<u8>> = folders.iter().map(|folder| make(folder.path())).collect();
    assert_eq!(made[0], made[1]);
    let (entries, damages) = read(&folders[0].path().join("journal")).unwrap();
    assert!(damages.is_empty());
    entries
}

#[test]
fn codes_signals_and_numbers_are_told() {
    each(|shell| {
        let script = "echo score=1; echo '{\"metrics\": {\"score\": 2}}' >>\"$OVERDRIVE_REPORT\"; echo a line >&2; exit 3";
        let (attempt, exit) = Attempt::new(shell, &["sh", "-c", script]).runs();
        assert_eq!((exit.code, exit.signal, exit.ended_by), (Some(3), None, None));
        assert_eq!(attempt.log(), "score=1\na line\n");
        let entries = retold(&attempt);
        assert!(matches!(&entries[0], Entry::Claimed { .. }) && matches!(&entries[1], Entry::Started { .. }));
        assert!(
            entries.iter().any(
                |entry| matches!(entry, Entry::Metric { name, value, .. } if name == "score" && *value == 1.0)
            ),
            "{entries:?}"
        );
        let Some(Entry::Exited(exit)) = entries.iter().rev().nth(1) else {
            panic!("{entries:?}")
        };
        assert_eq!(exit.tail, ["score=1", "a line"]);
        let (_, exit) = Attempt::new(shell, &["sh", "-c", "kill -9 $$"]).runs();
        assert_eq!((exit.code, exit.signal), (None, Some(9)));
        let (_, exit) = Attempt::new(shell, &["true"]).runs();
        assert_eq!((exit.code, exit.signal), (Some(0), None));
    });
}

#[test]
fn values_arrive_as_they_are() {
    let values = [
        "",
        "-n",
        "; touch pwned; #",
        "$(touch pwned)`touch pwned`",
        "two words\nand a line\n",
        "na\u{ef}ve \u{3c0} \u{1f600} \u{81}\u{88}",
        "'single' \"double\" \\back \\c \\0101 %s %%",
        "* ? [a-z] ~ !! {a,b}",
        "\u{1}\t\r\u{7f}",
    ];
    each(|shell| {
        let mut argv = vec![
            "sh",
            "-c",
            r#"for value; do printf '%s\0' "$value"; done >got; printf '%s' "$WORD" >word"#,
            "sh",
        ];
        argv.extend(values);
        let mut attempt = Attempt::new(shell, &argv);
        attempt.spec.env.insert("WORD".into(), values[6].into());
        let (attempt, exit) = attempt.runs();
        assert_eq!(exit.code, Some(0), "{}", attempt.log());
        let expected: String = values.iter().map(|value| format!("{value}\0")).collect();
        assert_eq!(fs::read_to_string(attempt.at("wd/got")).unwrap(), expected);
        assert_eq!(fs::read_to_string(attempt.at("wd/word")).unwrap(), values[6]);
        assert!(!attempt.at("wd/pwned").exists() && !attempt.at("pwned").exists());
        // A shell as the script would hide what it cannot name.
        let mut attempt = Attempt::new(shell, &["env"]);
        attempt.spec.env.insert("odd-name.x".into(), "a b'c".into());
        attempt.spec.env.insert("IFS".into(), "/".into());
        attempt.spec.path_prepend.push("/some where/bin".into());
        let (attempt, exit) = attempt.runs();
        assert_eq!(exit.code, Some(0), "{}", attempt.log());
        let env = attempt.log();
        for line in [
            "odd-name.x=a b'c",
            "IFS=/",
            "OVERDRIVE_TRIAL=3",
            "AZUREML_OUTPUT_DIRECTORY=./outputs",
        ] {
            assert!(env.lines().any(|known| known == line), "{line}: {env}");
        }
        assert!(env.contains("PATH=/some where/bin:/"), "{env}");
    });
}

#[test]
fn a_cancel_a_limit_and_a_signal_end_all_of_it() {
    const FAMILY: &str = "sleep 600 & echo $! >../child; setsid sleep 600 & echo $! >../daemon; ";
    each(|shell| {
        let gone = |attempt: &Attempt| {
            for name in ["child", "daemon"] {
                let pid = attempt.pid_in(name);
                attempt.until("the end of what it started", || start_ticks(pid).is_none());
            }
        };
        // A script that obeys.
        let attempt = Attempt::new(
            shell,
            &[
                "sh",
                "-c",
                &format!("trap 'echo score=9; exit 4' TERM; {FAMILY} wait"),
            ],
        );
        let mut child = attempt.start();
        attempt.pid_in("daemon");
        fs::write(attempt.at("cancel"), "").unwrap();
        assert!(child.wait().unwrap().success());
        let exit = attempt.exit();
        assert_eq!((exit.code, exit.ended_by.as_deref()), (Some(4), Some("cancel")));
        assert_eq!(attempt.log(), "score=9\n");
        gone(&attempt);
        // One that does not.
        let stubborn = format!("trap '' TERM; {FAMILY} while :; do sleep 1; done");
        let mut attempt = Attempt::new(shell, &["sh", "-c", &stubborn]);
        attempt.spec.timeout_ms = Some(300);
        let (attempt, exit) = attempt.runs();
        assert_eq!(
            (exit.signal, exit.ended_by.as_deref()),
            (Some(9), Some("timeout"))
        );
        gone(&attempt);
        // The machine goes down.
        let attempt = Attempt::new(shell, &["sh", "-c", &stubborn]);
        let mut child = attempt.start();
        attempt.pid_in("daemon");
        let runner = rustix::process::Pid::from_raw(attempt.runner()).unwrap();
        rustix::process::kill_process(runner, rustix::process::Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(attempt.exit().ended_by.as_deref(), Some("terminated"));
        gone(&attempt);
        // An ordinary end leaves nothing behind either.
        let (attempt, exit) = Attempt::new(shell, &["sh", "-c", FAMILY]).runs();
        assert_eq!(exit.code, Some(0));
        gone(&attempt);
        // Cancelled before it began: nothing is executed.
        let attempt = Attempt::new(shell, &["sh", "-c", "touch ../executed"]);
        fs::write(attempt.at("cancel"), "").unwrap();
        let (attempt, exit) = attempt.runs();
        assert_eq!((exit.code, exit.ended_by.as_deref()), (None, Some("cancel")));
        assert!(!attempt.at("executed").exists());
    });
}

#[test]
fn of_two_runners_one_executes() {
    each(|shell| {
        let attempt = Attempt::new(shell, &["sh", "-c", "echo once >>../executed"]);
        let children: Vec<Child> = (0..4).map(|_| attempt.start()).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        assert_eq!(fs::read_to_string(attempt.at("executed")).unwrap(), "once\n");
        assert_eq!(attempt.exit().code, Some(0));
    });
}

#[test]
fn a_killed_runner_takes_its_script_along() {
    each(|shell| {
        let attempt = Attempt::new(
            shell,
            &[
                "sh",
                "-c",
                "setsid sleep 600 & echo $! >../daemon; echo $$ >../script; wait",
            ],
        );
        let mut child = attempt.start();
        let (script, daemon) = (attempt.pid_in("script"), attempt.pid_in("daemon"));
        attempt.until("the start", || {
            attempt
                .facts()
                .iter()
                .any(|fact| matches!(fact, Fact::Started { .. }))
        });
        child.kill().unwrap();
        child.wait().unwrap();
        for pid in [script, daemon] {
            attempt.until("the end of the script", || start_ticks(pid).is_none());
        }
        assert!(!attempt.facts().contains(&Fact::Sealed));
    });
}

#[test]
fn a_long_log_keeps_its_ends() {
    each(|shell| {
        let script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i + 1)); done";
        let mut attempt = Attempt::new(shell, &["sh", "-c", script]);
        attempt.spec.log_cap_bytes = 60_000;
        let (attempt, _) = attempt.runs();
        let log = attempt.log();
        assert!(log.starts_with("line 0\nline 1\n") && log.ends_with("line 19998\nline 19999\n"));
        let whole: usize = (0..20_000).map(|i| format!("line {i}\n").len()).sum();
        let mark = log.lines().find(|line| line.starts_with("[overdrive: ")).unwrap();
        let cut: usize = mark.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(
            log.len() - mark.len() - 2 + cut,
            whole,
            "what is left out is counted"
        );
        assert!(log.len() < 60_000 + 100, "{}", log.len());
        assert!(
            attempt
                .facts()
                .iter()
                .any(|fact| matches!(fact, Fact::Warned { code, .. } if code == "log-capped"))
        );
    });
}

#[test]
fn what_cannot_be_started_says_why() {
    each(|shell| {
        let refused = |attempt: Attempt| {
            assert!(attempt.start().wait().unwrap().success());
            let facts = attempt.facts();
            let Some(Fact::Refused { class, reason }) = facts.get(1) else {
                panic!("{facts:?}")
            };
            (class.clone(), reason.clone())
        };
        let (class, reason) = refused(Attempt::new(shell, &["no such thing", "x"]));
        assert_eq!(
            (class.as_str(), reason.as_str()),
            ("setup", "command `no such thing` was not found")
        );
        let (class, _) = refused(Attempt::new(shell, &["./none"]));
        assert_eq!(class, "setup");
        let mut attempt = Attempt::new(shell, &["true"]);
        attempt.spec.in_place = Some("/no/such place".into());
        assert_eq!(refused(attempt).1, "the folder /no/such place does not exist");
        let mut attempt = Attempt::new(shell, &["true"]);
        attempt.spec.snapshot = Some("/no/such snapshot".into());
        let (class, reason) = refused(attempt);
        assert!(
            class == "infrastructure" && reason.contains("/no/such snapshot"),
            "{reason}"
        );
    });
}

#[test]
fn the_snapshot_is_copied_not_shared() {
    each(|shell| {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("train.sh"), "echo changed >>data; cat data\n").unwrap();
        fs::write(tree.path().join("data"), "as it was\n").unwrap();
        for name in ["train.sh", "data"] {
            let only_read = std::os::unix::fs::PermissionsExt::from_mode(0o444);
            fs::set_permissions(tree.path().join(name), only_read).unwrap();
        }
        let mut attempt = Attempt::new(shell, &["sh", "train.sh"]);
        attempt.spec.snapshot = Some(tree.path().to_owned());
        attempt.spec.outputs.push("model".into());
        let (attempt, exit) = attempt.runs();
        assert_eq!(
            (exit.code, attempt.log()),
            (Some(0), "as it was\nchanged\n".to_owned())
        );
        assert_eq!(
            fs::read_to_string(tree.path().join("data")).unwrap(),
            "as it was\n"
        );
        assert!(attempt.at("named_outputs/model").is_dir() && attempt.at("wd/outputs").is_dir());
    });
}
