//! `resume_from`: earlier sweeps as data.

use super::project::{Project, Sweep, json, text};
use std::fs;

#[test]
fn earlier_sweeps_are_aligned_by_name_and_what_does_not_fit_is_told() {
    let project = Project::new("echo \"score=$(($2 * 10))\"", &Sweep::default());
    // Two parents: one with the parameter under its bare name.
    let first = json(&project.run(&["run", "hdconfig.yml", "--json"]));
    let file = project.path().join("hdconfig.yml");
    let original = fs::read_to_string(&file).unwrap();
    fs::write(&file, original.replace("name: --x", "name: x")).unwrap();
    let second = json(&project.run(&["run", "hdconfig.yml", "--json"]));
    // The child knows only some of the values, and another sampler.
    let narrowed = original.replace("[1, 2, 3, 4, 5, 6, 7, 8]", "[2, 3, 9]");
    assert_ne!(narrowed, original);
    let ids = [&first["sweep"], &second["sweep"]].map(|id| id.as_str().unwrap().to_owned());
    fs::write(
        &file,
        format!(
            "{narrowed}overdrive:\n  resume_from: ['{}', '{}']\n",
            ids[0], ids[1]
        ),
    )
    .unwrap();
    let output = project.run(&["run", "hdconfig.yml", "--json"]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(err.contains("4 outside of the space"), "{err}");
    assert!(err.contains("learning from 4 earlier trials"), "{err}");
    // They are data only: the grid is tried as a whole, nothing counts twice.
    let result = json(&output);
    assert_eq!(result["trials"]["Completed"], 3, "{result}");
    assert_eq!(result["best"]["value"], 90.0);
}

#[test]
fn random_draws_are_those_of_a_sweep_without_parents() {
    let sweep = Sweep {
        sampler: "random",
        total: 5,
        ..Sweep::default()
    };
    let project = Project::new("echo score=1", &sweep);
    let drawn = || -> Vec<_> {
        project
            .trials()
            .iter()
            .map(|trial| trial["parameters"].clone())
            .collect()
    };
    assert_eq!(project.run(&["run", "-q", "--seed", "3"]).status.code(), Some(0));
    let alone = drawn();
    let again = project.run(&["run", "-q", "--seed", "3", "--resume-from", "latest"]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    assert_eq!(drawn(), alone);
    let other = project.run(&[
        "run",
        "--seed",
        "3",
        "--resume-from",
        "latest",
        "--set",
        "primary_metric_goal=minimize",
    ]);
    assert!(
        text(&other.stderr).contains("5 with another metric or goal"),
        "{}",
        text(&other.stderr)
    );
    let unknown = project.run(&["run", "--resume-from", "HD_nobody"]);
    assert_eq!(unknown.status.code(), Some(3), "{}", text(&unknown.stderr));
}

#[test]
fn a_sweep_may_be_named_by_its_folder_also_in_another_project() {
    let earlier = Project::new("echo score=$2", &Sweep::default());
    let first = json(&earlier.run(&["run", "hdconfig.yml", "--json"]));
    let folder = format!(
        "{}/.overdrive/sweeps/{}",
        earlier.path().display(),
        first["sweep"].as_str().unwrap()
    );
    let other = Project::new("echo score=$2", &Sweep::default());
    for project in [&earlier, &other] {
        let output = project.run(&[
            "run",
            "hdconfig.yml",
            "--resume-from",
            &folder,
            "--resume-from",
            &folder,
        ]);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{err}");
        assert!(err.contains("learning from 4 earlier trials"), "{err}");
    }
}
