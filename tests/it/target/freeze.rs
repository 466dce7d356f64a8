//! Freezing over a line and on a cluster: trials stand still, outlive their controller so, and go on or are gone in the end.

use super::project::{Place, Project, Sweep};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;

/// Nine reports, better or worse by the value.
const SCRIPT: &str = r#"echo $$ > "$SEEN/$2.new"; mv "$SEEN/$2.new" "$SEEN/$2"
for i in 1 2 3 4 5 6 7 8 9; do
  echo "score=$(( ($2 * 7) % 9 * 100 + i ))"
  sleep 0.3
done"#;

/// Whether the script of value `x` stands still.
fn stands(project: &Project<'_>, x: &str) -> bool {
    let text = fs::read_to_string(project.seen().join(x)).unwrap_or_default();
    let Ok(pid) = text.trim().parse() else {
        return false;
    };
    let status = fs::read_to_string(format!("/proc/{}/status", project.process(pid))).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:\tT"))
}

fn standing(project: &Project<'_>) -> BTreeSet<String> {
    let names = project.names_seen().into_iter();
    names.filter(|name| stands(project, name)).collect()
}

/// ASHA that freezes: somebody stands still, stays so while nobody leads, and every trial ends with one attempt, some of those that
/// stood still with all of their reports.
pub(super) fn freezing(place: &Place) {
    let sweep = Sweep {
        values: (0..9).map(|x| json!(x)).collect(),
        ..Sweep::default()
    };
    let project = Project::new(place, SCRIPT, &sweep);
    let file = project.path().join("hdconfig.yml");
    let asked = fs::read_to_string(&file).unwrap().replace(
        "  type: NoTerminationPolicy\n",
        "  type: ASHA\n  min_resource: 1\n  reduction_factor: 3\n  freeze: true\n",
    );
    fs::write(&file, asked).unwrap();
    let mut child = project.start(&["run", "hdconfig.yml", "--json"]);
    project.until("somebody who stands still", || !standing(&project).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    let before = standing(&project);
    std::thread::sleep(std::time::Duration::from_millis(500));
    let after = standing(&project);
    assert!(before.is_subset(&after), "{before:?} {after:?}");
    let mut stood = after;
    let mut child = project.start(&["resume", "--json"]);
    while child.try_wait().unwrap().is_none() {
        stood.extend(standing(&project));
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let result = project.ends(child);
    assert_eq!(result["state"], "Completed", "{result}");
    let trials = project.trials();
    assert_eq!(trials.len(), 9);
    for trial in &trials {
        assert_eq!(trial["attempts"], 1, "{trial}");
        assert!(
            ["Completed", "Canceled"].contains(&trial["state"].as_str().unwrap()),
            "{trial}"
        );
    }
    let went_on = |trial: &&serde_json::Value| {
        trial["reports"] == 9 && stood.contains(&trial["parameters"]["--x"].to_string())
    };
    assert!(trials.iter().any(|trial| went_on(&trial)), "{stood:?} {trials:?}");
    project.until("the end of all that stood still", || {
        standing(&project).is_empty()
    });
}
