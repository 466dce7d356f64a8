//! How attempts begin and end: codes, signals, claims, folders.

use super::attempt::{Attempt, gone_within, lives};
use overdrive::journal::{Entry, read};
use overdrive::runner::{Claim, end_orphans};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn exit_codes_and_signals_are_told() {
    for code in [0, 1, 3, 255] {
        let done = Attempt::shell(&format!("exit {code}")).run();
        assert_eq!(
            (done.exit().code, done.exit().signal, &done.exit().ended_by),
            (Some(code), None, &None)
        );
    }
    for signal in [9, 11, 15] {
        let done = Attempt::shell(&format!("kill -{signal} $$")).run();
        assert_eq!(
            (done.exit().code, done.exit().signal, &done.exit().ended_by),
            (None, Some(signal), &None)
        );
    }
}

#[test]
fn usage_and_the_last_lines_are_told() {
    let done =
        Attempt::shell("for i in $(seq 30); do echo line $i; done; echo 'Traceback: bad' >&2; exit 1").run();
    let exit = done.exit();
    assert_eq!(exit.tail.len(), 20);
    assert_eq!(exit.tail.last().unwrap(), "Traceback: bad");
    assert_eq!(exit.tail[0], "line 12");
    assert!(exit.max_rss.unwrap() > 100_000);
    assert!(exit.cpu_s.unwrap() >= 0.0);
    assert!(exit.survivors.is_empty());
}

#[test]
fn what_cannot_start_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain.txt");
    fs::write(&plain, "text").unwrap();
    let plain = plain.to_str().unwrap();
    let script = folder.path().join("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    for (argv, expected) in [
        (vec!["no-such-command-anywhere"], "was not found"),
        (vec![plain], "permission denied"),
        (vec![script.to_str().unwrap()], "interpreter"),
        (vec![], "empty"),
        (vec!["echo", "a\0b"], "NUL"),
    ] {
        let done = Attempt::new(&argv).run();
        let (class, reason) = done.not_started();
        assert_eq!(class, "setup");
        assert!(reason.contains(expected), "{reason}");
        assert!(
            !done
                .entries
                .iter()
                .any(|entry| matches!(entry, Entry::Started { .. }))
        );
    }
    let mut attempt = Attempt::shell("true");
    attempt.spec.snapshot = Some("/no/such/snapshot".into());
    assert_eq!(attempt.run().not_started().0, "infrastructure");
    let mut attempt = Attempt::shell("true");
    attempt.spec.outputs = vec!["../x".into()];
    assert_eq!(attempt.run().not_started().0, "setup");
}

#[test]
fn hostile_arguments_arrive_as_they_are() {
    let hostile = [
        "; rm -rf /",
        "$(id)",
        "`id`",
        "a\nb",
        "-x",
        "",
        "*",
        "é\u{1f642}",
        "'\"\\",
        "%s",
        "--",
    ];
    let mut argv = vec![
        "/bin/sh",
        "-c",
        "for a in \"$@\"; do printf '%s\\0' \"$a\"; done",
        "sh",
    ];
    argv.extend(hostile);
    let done = Attempt::new(&argv).run();
    let expected: Vec<u8> = hostile
        .iter()
        .flat_map(|text| [text.as_bytes(), b"\0"].concat())
        .collect();
    assert_eq!(done.log(), expected);
    let Some(Entry::Started { argv: told, .. }) = done.entries.get(1) else {
        panic!("{:?}", done.entries)
    };
    assert_eq!(told[4..], hostile);
}

#[test]
fn ten_runners_race_and_one_executes() {
    let attempt = Attempt::shell("echo x >> ../executions; sleep 0.2");
    attempt.write_spec();
    let mut runners: Vec<_> = (0..10).map(|_| attempt.start_again()).collect();
    let last = runners.pop().unwrap();
    for mut runner in runners {
        assert_eq!(runner.wait().unwrap().code(), Some(0));
    }
    let done = attempt.wait(last);
    assert_eq!(done.exit().code, Some(0));
    assert_eq!(
        fs::read_to_string(done.attempt.file("executions")).unwrap(),
        "x\n"
    );
    assert_eq!(
        done.entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Claimed { .. }))
            .count(),
        1
    );
    let claim = Claim::read(&done.attempt.file("claim")).unwrap();
    assert_eq!(claim.nonce, done.attempt.spec.nonce);
    assert!(claim.proof_of_death().is_some());
}

#[test]
fn a_killed_runner_takes_its_script_along_and_orphans_are_found_by_cookie() {
    let attempt = Attempt::shell("(setsid sleep 300 & echo $! > ../daemon); echo $$ > ../main; sleep 300");
    let mut runner = attempt.start();
    let main = attempt.await_file("main");
    let daemon = attempt.await_file("daemon");
    let claim = Claim::read(&attempt.file("claim")).unwrap();
    assert_eq!(claim.proof_of_death(), None);
    // The script runs before its runner has told so.
    let began = Instant::now();
    while !matches!(
        read(&attempt.file("journal")).unwrap().0.last(),
        Some(Entry::Started { .. })
    ) {
        assert!(began.elapsed() < Duration::from_secs(20), "never told as started");
        std::thread::sleep(Duration::from_millis(5));
    }
    runner.kill().unwrap();
    runner.wait().unwrap();
    assert!(gone_within(&main, Duration::from_secs(5)));
    assert!(claim.proof_of_death().is_some());
    assert!(lives(&daemon));
    assert_eq!(end_orphans(&attempt.spec.nonce, Duration::from_secs(5)), [0; 0]);
    assert!(gone_within(&daemon, Duration::from_secs(1)));
    let (entries, damages) = read(&attempt.file("journal")).unwrap();
    assert!(matches!(entries.last(), Some(Entry::Started { .. })));
    assert!(damages.is_empty());
}

#[test]
fn the_working_folder_is_a_copy_with_its_places() {
    let snapshot = tempfile::tempdir().unwrap();
    fs::create_dir(snapshot.path().join("lib")).unwrap();
    fs::write(snapshot.path().join("lib/a.txt"), "a").unwrap();
    fs::write(snapshot.path().join("run.sh"), "#!/bin/sh\necho changed > lib/a.txt; pwd; umask; echo $OVERDRIVE_PARAMS; echo $X$PATH; echo $PYTHONPATH; echo $AZURE_ML_OUTPUT_model\n").unwrap();
    fs::set_permissions(snapshot.path().join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut attempt = Attempt::new(&["./run.sh"]);
    attempt.spec.snapshot = Some(snapshot.path().to_owned());
    attempt.spec.outputs = vec!["model".into()];
    attempt.spec.env.insert("X".into(), "first:".into());
    attempt.spec.path_prepend = vec!["/my/env/bin".into()];
    attempt
        .spec
        .parameters
        .insert("--lr".into(), overdrive::space::Value::Float(0.1));
    let folder = attempt.path().to_owned();
    let done = attempt.run();
    assert_eq!(done.exit().code, Some(0));
    let log = String::from_utf8(done.log()).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], folder.join("wd").to_str().unwrap());
    let own = Command::new("/bin/sh").args(["-c", "umask"]).output().unwrap();
    assert_eq!(lines[1], String::from_utf8(own.stdout).unwrap().trim());
    assert_eq!(lines[2], r#"{"--lr":0.1}"#);
    assert!(lines[3].starts_with("first:/my/env/bin:"), "{}", lines[3]);
    assert!(
        lines[4].starts_with(folder.join("wd").to_str().unwrap()),
        "{}",
        lines[4]
    );
    assert_eq!(lines[5], folder.join("named_outputs/model").to_str().unwrap());
    assert_eq!(
        fs::read_to_string(snapshot.path().join("lib/a.txt")).unwrap(),
        "a"
    );
    for place in ["wd/outputs", "wd/logs", "named_outputs/model"] {
        assert!(folder.join(place).is_dir(), "{place}");
    }
}

#[test]
fn a_script_that_deletes_its_folder_still_ends_in_the_journal() {
    let done = Attempt::shell("rm -rf ../wd; echo gone; exit 4").run();
    assert_eq!(done.exit().code, Some(4));
    assert_eq!(done.exit().tail, ["gone"]);
}

#[test]
fn a_script_that_writes_into_the_journal_damages_nothing_but_is_named() {
    let done = Attempt::shell("printf 'rubbish' >> ../journal; echo loss=0.5")
        .metric("loss")
        .run();
    assert_eq!(done.metrics(), [("loss".to_owned(), 0.5, None)]);
    assert_eq!(done.entries.last(), Some(&Entry::Sealed));
    assert_eq!(done.damages.len(), 1);
    assert_eq!(done.damages[0].lost, Some(0));
}

#[test]
fn without_a_spec_nothing_is_claimed() {
    let attempt = Attempt::shell("true");
    let code = attempt.start_again().wait().unwrap().code();
    assert_eq!(code, Some(overdrive::runner::EXIT_TROUBLE));
    assert!(
        fs::read_to_string(attempt.file("runner_error.txt"))
            .unwrap()
            .contains("spec.json")
    );
    assert!(!attempt.file("claim").exists());
}
