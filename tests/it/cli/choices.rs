//! What people may choose: settings and where they come from, search expressions, hyperlinks, flags for what files can say.

use super::project::{Project, Sweep, json, text};
use serde_json::Value;
use std::fs;

fn done(body: &str, sweep: &Sweep) -> Project {
    let project = Project::new(body, sweep);
    let output = project.run(&["run", "hdconfig.yml", "-q", "--tag", "team=a"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    project
}

#[test]
fn settings_come_from_files_and_say_so() {
    let project = done("echo score=$2", &Sweep::default());
    let path = project.path();
    fs::write(
        path.join("overdrive.toml"),
        "progress = \"none\"\n\n[list]\nlast = 1\n",
    )
    .unwrap();
    fs::create_dir(path.join("deep")).unwrap();
    let output = project.run(&["run", "hdconfig.yml"]);
    assert_eq!(text(&output.stderr), "", "`progress = none` of the file");
    let listed = project.json(&["list", "--json"]);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        listed["next"], listed["items"][0]["sweep"],
        "the list says that there are more"
    );
    let all = project.json(&["list", "--last", "0", "--json"]);
    assert_eq!(all["items"].as_array().unwrap().len(), 2, "the flag wins");

    let shown = project.json(&["config", "show", "--json", "--color", "never"]);
    let of = |key: &str| -> Value {
        let items = shown["items"].as_array().unwrap();
        items.iter().find(|item| item["key"] == key).unwrap().clone()
    };
    assert_eq!(of("progress")["value"], "none");
    assert_eq!(of("progress")["origin"]["kind"], "file");
    assert_eq!(of("progress")["origin"]["line"], 1);
    assert_eq!(of("color")["origin"]["from"], "--color");
    assert_eq!(of("plot.theme")["origin"]["kind"], "default");
    let table = project.run(&["config", "show", "list.last", "--origin"]);
    let table = text(&table.stdout);
    assert!(table.contains("overdrive.toml:4"), "{table}");

    fs::write(path.join("overdrive.toml"), "progres = \"none\"\n").unwrap();
    let wrong = project.run(&["list"]);
    assert_eq!(wrong.status.code(), Some(2));
    let err = text(&wrong.stderr);
    assert!(
        err.contains("overdrive.toml:1:1") && err.contains("did you mean `progress`?"),
        "{err}"
    );
    assert_eq!(
        project.run(&["list", "-h"]).status.code(),
        Some(0),
        "help works all the same"
    );
}

#[test]
fn expressions_choose_sweeps_and_trials() {
    let project = done("[ $2 = 3 ] && exit 4; echo score=$2", &Sweep::default());
    let count = |arguments: &[&str]| project.json(arguments)["items"].as_array().unwrap().len();
    for (expression, expected) in [
        ("state:completed", 1),
        ("state:failed", 0),
        ("best>=4 x=4 tag:team=a", 1),
        ("best>4", 0),
        ("tag:team failed=1 trials=4", 1),
        ("tag:nobody", 0),
        ("hdconfig", 1),
        ("\"no such words\"", 0),
    ] {
        assert_eq!(
            count(&["list", "--json", "--where", expression]),
            expected,
            "{expression}"
        );
    }
    for (expression, expected) in [("state:failed", 1), ("best>1", 2), ("x<=2", 2), ("\"exit 4\"", 1)] {
        let found = count(&["show", "--json", "--where", expression]);
        assert_eq!(found, expected, "{expression}");
    }
    let wrong = project.run(&["list", "--where", "lr<"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("error[where]: `lr<` is not a comparison"));
}

#[test]
fn paths_are_links_when_asked() {
    let project = done("echo score=$2", &Sweep::default());
    let plain = text(&project.run(&["list"]).stdout);
    assert!(!plain.contains('\x1b'), "not into a pipe: {plain:?}");
    let linked = text(&project.run(&["list", "--hyperlinks", "always"]).stdout);
    assert!(linked.contains("\x1b]8;;file:///"), "{linked:?}");
    assert!(linked.contains("/.overdrive/sweeps/HD_"), "{linked:?}");
    let card = text(&project.run(&["show", "--hyperlinks", "always"]).stdout);
    assert!(card.contains("\x1b]8;;file:///"), "{card:?}");
}

#[test]
fn a_parameter_may_replace_a_fixed_argument_by_a_flag() {
    let project = Project::new("echo score=$2", &Sweep::default());
    let file = project.path().join("train.runconfig");
    let runconfig = fs::read_to_string(&file).unwrap();
    fs::write(&file, runconfig + "arguments: ['--x', '9']\n").unwrap();
    let refused = project.run(&["run", "hdconfig.yml"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    let output = project.run(&["run", "hdconfig.yml", "--allow-duplicate-arguments", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(json(&output)["best"]["value"], 4.0);
}

#[test]
fn data_lies_where_the_flag_says() {
    let project = Project::new("true", &Sweep::default());
    let path = project.path();
    fs::create_dir(path.join("src")).unwrap();
    fs::write(path.join("src/train.sh"), "echo score=$(cat $2)\n").unwrap();
    fs::write(path.join("number"), "42\n").unwrap();
    fs::write(
        path.join("sweep.yml"),
        r#"type: sweep
trial:
  code: ./src
  command: sh train.sh --data ${{inputs.data}} --x ${{search_space.x}}
  environment: azureml:any@latest
inputs:
  data:
    type: uri_file
    path: azureml:numbers:1
sampling_algorithm: random
search_space:
  x: {type: choice, values: [1]}
objective: {goal: maximize, primary_metric: score}
limits: {max_total_trials: 1}
"#,
    )
    .unwrap();
    let refused = project.run(&["run", "sweep.yml"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    let map = format!("azureml:numbers:1={}", path.join("number").display());
    let output = project.run(&["run", "sweep.yml", "--map", &map, "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(json(&output)["best"]["value"], 42.0);
    let wrong = project.run(&["run", "sweep.yml", "--map", "nonsense"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("DATA=PATH"));
}

#[test]
fn what_no_file_says_is_not_counted() {
    let project = Project::new("true", &Sweep::default());
    let output = project.run(&["run", "nothing.yml"]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(err.contains("nothing.yml") && !err.contains("1 error"), "{err}");
}

#[test]
fn shells_complete_what_the_store_knows() {
    let project = done("echo score=$2", &Sweep::default());
    let words = |kind: &str| text(&project.run(&["complete", kind]).stdout);
    let sweeps = words("sweeps");
    assert!(sweeps.starts_with("latest\nHD_"), "{sweeps}");
    assert_eq!(words("trials"), "best\n0\n1\n2\n3\n");
    assert_eq!(words("targets"), "local\n");
    assert!(words("files").contains("hdconfig.yml"));
    // A shell that completes is told of no error.
    let empty = tempfile::tempdir().unwrap();
    let nothing = super::binary::overdrive()
        .args(["complete", "sweeps"])
        .current_dir(empty.path())
        .output()
        .unwrap();
    assert_eq!(
        (nothing.status.code(), nothing.stdout.len(), nothing.stderr.len()),
        (Some(0), 0, 0)
    );

    let script = project.path().join("completion.bash");
    fs::write(&script, project.run(&["completions", "bash"]).stdout).unwrap();
    let binary = assert_cmd::cargo::cargo_bin("overdrive");
    let asked = |line: &str| {
        let program = format!(
            "PATH={}:$PATH; source {}; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _overdrive_words overdrive \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo ${{COMPREPLY[@]}}",
            binary.parent().unwrap().display(),
            script.display()
        );
        let output = std::process::Command::new("bash")
            .args(["--norc", "-c", &program])
            .current_dir(project.path())
            .env_remove("OVERDRIVE_HOME")
            .output()
            .unwrap();
        text(&output.stdout).trim().to_owned()
    };
    assert!(
        asked("overdrive resume HD").starts_with("HD_"),
        "{}",
        asked("overdrive resume HD")
    );
    assert_eq!(asked("overdrive why b"), "best");
    assert_eq!(asked("overdrive run hdc"), "hdconfig.yml");
    assert_eq!(asked("overdrive run hdconfig.yml --target lo"), "local");
    assert_eq!(
        asked("overdrive sch"),
        "schema",
        "the grammar's own words as before"
    );
}

#[test]
fn az_is_this_program_under_another_name_and_the_real_one_keeps_its_lines() {
    let project = done("echo score=$2", &Sweep::default());
    let (own, real) = (project.path().join("bin"), project.path().join("real"));
    fs::create_dir(&real).unwrap();
    let alias = |force: bool, path: &std::path::Path| {
        let mut command = project.command(&assert_cmd::cargo::cargo_bin("overdrive"));
        command
            .args(["install-alias", "--directory"])
            .arg(&own)
            .env("PATH", path);
        if force {
            command.arg("--force");
        }
        command.output().unwrap()
    };
    let output = alias(false, &real);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let az = |words: &[&str]| {
        let output = project
            .command(&own.join("az"))
            .args(words)
            .env("PATH", &real)
            .output()
            .unwrap();
        (output.status.code(), text(&output.stdout))
    };
    let listed = az(&["ml", "run", "list", "--query", "length(@)"]);
    assert_eq!(listed, (Some(0), "1\n".to_owned()));
    assert_eq!(az(&["login"]).0, Some(0));

    let script = real.join("az");
    fs::write(&script, "#!/bin/sh\necho real \"$@\"\nexit 7\n").unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        az(&["storage", "list"]),
        (Some(7), "real storage list\n".to_owned())
    );
    assert_eq!(az(&["ml", "run", "list", "--query", "length(@)"]).1, "1\n");
    let refused = alias(false, &real);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("a real `az` is there"));
    assert_eq!(alias(true, &real).status.code(), Some(0));

    let function = text(&project.run(&["install-alias", "--function"]).stdout);
    let program = format!("{function}az ml run list --query 'length(@)'; az storage list");
    for (variable, expected) in [
        ("1", "1\nreal storage list\n"),
        ("", "real ml run list --query length(@)\nreal storage list\n"),
    ] {
        let output = project
            .command(std::path::Path::new("/bin/sh"))
            .args(["-c", &program])
            .env("PATH", format!("{}:/usr/bin:/bin", real.display()))
            .env("OVERDRIVE_AZ", variable)
            .output()
            .unwrap();
        let out = text(&output.stdout);
        assert_eq!(out, expected, "{}", text(&output.stderr));
    }
}
