//! On a real terminal: the live block, its keys, Ctrl-C; the terminal is given back as it was.

use super::project::{Project, Sweep, json, text};
use std::path::Path;
use std::process::{Command, Stdio};

const PATIENT: &str = "echo ready\ni=0\nwhile [ ! -e \"$SEEN/go\" ] && [ $i -lt 600 ]; do echo score=$2.$i; sleep 0.1; i=$((i + 1)); done\necho score=1000";

fn project() -> Project {
    Project::new(
        PATIENT,
        &Sweep {
            total: 3,
            ..Sweep::default()
        },
    )
}

/// Runs the binary on a terminal of `columns` x 30; returns everything that was drawn, and the last line of the helper.
fn on_terminal(
    project: &Project,
    columns: u32,
    steps: &[(&str, &str)],
    arguments: &[&str],
) -> (String, String) {
    let binary = assert_cmd::cargo::cargo_bin("overdrive");
    on_terminal_of(&binary, project, columns, steps, arguments)
}

/// The same with another program.
fn on_terminal_of(
    program: &Path,
    project: &Project,
    columns: u32,
    steps: &[(&str, &str)],
    arguments: &[&str],
) -> (String, String) {
    let helper = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cli/terminal.py");
    let output = Command::new("python3")
        .arg(helper)
        .args([columns.to_string(), "30".to_owned()])
        .arg(serde_json::to_string(steps).unwrap())
        .arg(program)
        .args(arguments)
        .current_dir(project.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", project.path())
        .env("TERM", "xterm-256color")
        .env("LC_ALL", "C.UTF-8")
        .env("SEEN", project.seen())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let all = text(&output.stdout);
    let (drawn, last) = all
        .trim_end()
        .rsplit_once('\n')
        .unwrap_or_else(|| panic!("{all}{}", text(&output.stderr)));
    (drawn.to_owned(), last.to_owned())
}

#[test]
fn keys_sort_explain_open_the_output_and_leave() {
    let project = project();
    let steps = [
        ("? keys", "?"),
        ("order (by trial)", "s"),
        ("order (by metric)", "?"),
        ("2 running", "j\r"),
        ("output of trial", ""),
        ("| score=", "q"),
    ];
    let (drawn, last) = on_terminal(&project, 120, &steps, &["run", "hdconfig.yml"]);
    assert_eq!(last, "[code 130, cooked true, steps left 0]", "{drawn}");
    assert!(drawn.contains("left 2 running; `overdrive resume"), "{drawn}");
    assert!(
        drawn.ends_with("goes on\r\n") || drawn.contains("\x1b[?25h"),
        "the cursor is back"
    );
    std::fs::write(project.seen().join("go"), "").unwrap();
    let resumed = project.run(&["resume", "--json"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", text(&resumed.stderr));
    assert_eq!(json(&resumed)["trials"]["Completed"], 3);
}

#[test]
fn ctrl_c_on_a_terminal_cancels_and_gives_it_back() {
    let project = project();
    let steps = [("2 running", "\x03"), ("press again", "")];
    let (drawn, last) = on_terminal(&project, 80, &steps, &["run", "hdconfig.yml"]);
    assert_eq!(last, "[code 130, cooked true, steps left 0]", "{drawn}");
    assert!(
        drawn.contains("\x1b[?25l") && drawn.contains("\x1b[?25h"),
        "hidden and shown"
    );
    assert!(drawn.contains("Canceled"), "{drawn}");
    assert_eq!(project.json(&["show", "--json"])["state"], "Canceled");
}

#[test]
fn ctrl_c_twice_on_a_terminal_leaves_the_trials() {
    let project = project();
    let steps = [("2 running", "\x03"), ("press again", "\x03")];
    let (drawn, last) = on_terminal(&project, 80, &steps, &["run", "hdconfig.yml"]);
    assert_eq!(last, "[code 130, cooked true, steps left 0]", "{drawn}");
    assert!(drawn.contains("left 2 running"), "{drawn}");
    assert!(project.are("Running", 2));
    std::fs::write(project.seen().join("go"), "").unwrap();
    let resumed = project.run(&["resume", "--json"]);
    assert_eq!(
        json(&resumed)["trials"]["Completed"],
        3,
        "{}",
        text(&resumed.stderr)
    );
}

#[test]
fn watching_ends_by_a_key_and_the_sweep_goes_on() {
    let project = project();
    let leader = project.start(&["run", "hdconfig.yml", "--json"]);
    super::project::until("two running trials", || project.are("Running", 2));
    let (drawn, last) = on_terminal(&project, 200, &[("2 running", "q")], &["watch"]);
    assert_eq!(last, "[code 0, cooked true, steps left 0]", "{drawn}");
    assert!(drawn.contains("best so far over"), "the right column: {drawn}");
    std::fs::write(project.seen().join("go"), "").unwrap();
    let output = leader.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(json(&output)["trials"]["Completed"], 3);
}

#[test]
fn a_pipe_gets_no_escape_and_a_dumb_terminal_lines() {
    let project = Project::new("echo score=$2", &Sweep::default());
    let output = project.run(&["run", "hdconfig.yml"]);
    for stream in [&output.stdout, &output.stderr] {
        let text = text(stream);
        assert!(!text.contains('\x1b') && !text.contains('\r'), "{text:?}");
    }
    let err = text(&output.stderr);
    assert!(err.contains("sweep     started"), "{err}");
    assert!(err.lines().all(|line| line.chars().count() <= 160), "{err}");
}

#[test]
fn a_ci_log_gets_the_output_of_a_failed_trial_folded() {
    let project = Project::new(
        "[ $2 = 2 ] && { echo '::set-env name=x'; exit 9; }; echo score=$2",
        &Sweep::default(),
    );
    let run = |variable: &str| {
        let output = project
            .command(&assert_cmd::cargo::cargo_bin("overdrive"))
            .args(["run", "hdconfig.yml"])
            .env(variable, "true")
            .output()
            .unwrap();
        text(&output.stderr)
    };
    let github = run("GITHUB_ACTIONS");
    assert!(
        github.contains("\n::group::output of trial 1\n| ::set-env name=x\n::endgroup::\n"),
        "{github}"
    );
    assert!(
        github.contains("\n::error title=trial 1 failed::exit 9"),
        "{github}"
    );
    assert!(run("GITLAB_CI").contains("section_start:"));
    assert!(run("TF_BUILD").contains("##vso[task.logissue type=error]trial 1 failed: exit 9"));
}

#[test]
fn zsh_and_fish_complete_what_the_store_knows() {
    if std::env::var("OVERDRIVE_TEST_TIER").is_ok_and(|tier| tier != "full")
        || std::env::var_os("OVERDRIVE_TEST_TIER").is_none()
    {
        eprintln!("left out (needs zsh and fish, set OVERDRIVE_TEST_TIER=full): shells");
        return;
    }
    let project = Project::new("echo score=$2", &Sweep::default());
    assert_eq!(project.run(&["run", "hdconfig.yml", "-q"]).status.code(), Some(0));
    let write = |name: &str, shell: &str| {
        let script = project.run(&["completions", shell]).stdout;
        std::fs::write(project.path().join(name), script).unwrap();
    };
    write("_overdrive", "zsh");
    write("overdrive.fish", "fish");
    let bin = assert_cmd::cargo::cargo_bin("overdrive");
    let bin = bin.parent().unwrap().display();

    let asked = |line: &str| {
        let output = Command::new("fish")
            .args(["--no-config", "-c"])
            .arg(format!(
                "set -x PATH {bin} $PATH; source overdrive.fish; complete -C '{line}'"
            ))
            .current_dir(project.path())
            .env_remove("OVERDRIVE_HOME")
            .env("HOME", project.path())
            .output()
            .expect("fish is installed");
        text(&output.stdout)
    };
    assert!(asked("overdrive resume HD").starts_with("HD_"));
    assert!(asked("overdrive why b").lines().any(|word| word == "best"));
    assert!(
        asked("overdrive run --target l")
            .lines()
            .any(|word| word == "local")
    );
    assert!(asked("overdrive sch").starts_with("schema"));

    let set_up = format!(
        "PATH={bin}:$PATH; fpath=($PWD $fpath); autoload -U compinit; compinit -u -D; echo rea''dy\n"
    );
    // Sent when the line can be edited.
    let prompt = "\u{1b}[?2004h";
    let ask = |line: &str, answer: &str| {
        let line = format!("{line}\t");
        let steps = [
            (prompt, &*set_up),
            ("ready\r\n", ""),
            (prompt, &line),
            (answer, "\u{15}exit\n"),
        ];
        let (seen, last) = on_terminal_of(Path::new("zsh"), &project, 120, &steps, &["-f", "-i"]);
        assert!(last.contains("steps left 0"), "{line}: {seen}{last}");
    };
    ask("overdrive resume HD", "overdrive resume HD_");
    ask("overdrive why b", "overdrive why best");
    ask("overdrive run --target l", "--target local");
}
