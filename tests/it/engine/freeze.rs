//! Frozen trials of a real sweep: whole trees stand still, go on, survive their controller, and are gone in the end.

use super::child::controller_of;
use super::{Project, processes_with, until};
use overdrive::config::Experiment;
use overdrive::controller::SweepState;
use overdrive::engine::{Ending, Engine};
use overdrive::history::TrialState;
use overdrive::policy::PolicySpec;
use overdrive::store::{Store, TrialQuery};
use std::collections::BTreeMap;
use std::path::Path;

/// Nine reports, better or worse by the trial's number; a child in a session of its own works beside it.
const SCRIPT: &str = r#"
n="${AZUREML_RUN_ID##*_}"
log="$SEEN/$n-$$"
: > "$log"
(setsid sh -c "echo \$\$ > $SEEN/../child-$n; while :; do sleep 0.03; done # $SEEN" &)
for i in 1 2 3 4 5 6 7 8 9; do
  score=$(( (n * 7) % 9 * 100 + i ))
  echo "score=$score"
  echo "$score" >> "$log"
  sleep 0.15
done
"#;

fn experiment(project: &Project, trials: u64) -> Experiment {
    let mut experiment = project.experiment(trials, 2);
    experiment.policy = PolicySpec::Asha {
        min_resource: 1,
        reduction_factor: 3,
        freeze: true,
    };
    experiment
}

/// Trials that are frozen by the store, whose children stand still.
fn standing(project: &Project) -> Vec<u64> {
    let Ok(store) = Store::open_read_only(&project.state()) else {
        return Vec::new();
    };
    let Ok(trials) = store.trials("HD_child", &TrialQuery::default()) else {
        return Vec::new();
    };
    trials
        .into_iter()
        .filter(|trial| trial.state == TrialState::Paused && still(project, trial.trial))
        .map(|trial| trial.trial)
        .collect()
}

fn still(project: &Project, trial: u64) -> bool {
    let file = project.seen().with_file_name(format!("child-{trial}"));
    let Ok(pid) = std::fs::read_to_string(file) else {
        return false;
    };
    let Ok(pid) = pid.trim().parse() else {
        return false;
    };
    overdrive::runner::process::stat(pid).is_some_and(|stat| stat.state == b'T')
}

fn nothing_is_left(folder: &Path) {
    until("nothing is left", || processes_with(folder).is_empty());
}

#[test]
fn a_killed_controller_leaves_them_frozen_and_the_next_one_goes_on_with_them() {
    let project = Project::new(SCRIPT);
    let experiment = experiment(&project, 9);
    let mut killed = 0;
    loop {
        let mut child = controller_of(&project, &experiment);
        until("somebody stands still, or the sweep is over", || {
            !standing(&project).is_empty() || child.try_wait().unwrap().is_some()
        });
        if killed < 3 && child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
            // Nobody wakes them while nobody leads.
            let before = standing(&project);
            std::thread::sleep(std::time::Duration::from_millis(300));
            let after = standing(&project);
            assert!(
                before.iter().all(|trial| after.contains(trial)),
                "{before:?} {after:?}"
            );
            continue;
        }
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        break;
    }
    assert_eq!(killed, 3);
    let store = Store::open_read_only(&project.state()).unwrap();
    let row = store.sweep("HD_child").unwrap();
    assert_eq!(row.state, SweepState::Completed, "{row:?}");
    let trials = store.trials("HD_child", &TrialQuery::default()).unwrap();
    assert_eq!(trials.len(), 9);
    assert!(trials.iter().all(|trial| trial.state.is_terminal()));
    assert!(
        trials.iter().all(|trial| trial.attempts == 1),
        "nobody began anew"
    );
    // The best by far is one of those that went to the end.
    let best = (0..9_u64).max_by_key(|n| n * 7 % 9).unwrap();
    let ended = |number: u64| trials.iter().find(|trial| trial.trial == number).unwrap();
    assert_eq!(ended(best).state, TrialState::Completed, "{trials:?}");
    assert_eq!(ended(best).reports, 9);
    let stopped: Vec<_> = trials
        .iter()
        .filter(|trial| trial.state == TrialState::Canceled)
        .collect();
    assert!(stopped.len() >= 3, "{trials:?}");
    assert!(stopped.iter().all(|trial| trial.stop.is_some()), "{stopped:?}");
    // What they said is there once and in order.
    let mut seen: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (name, lines) in project.seen_lines() {
        let trial: u64 = name.split('-').next().unwrap().parse().unwrap();
        let values = lines.iter().map(|line| line.parse().unwrap()).collect();
        assert!(seen.insert(trial, values).is_none(), "trial {trial} ran twice");
    }
    for (trial, values) in seen {
        let stored: Vec<f64> = store
            .curve("HD_child", trial, "score", None)
            .unwrap()
            .iter()
            .map(|point| point.value)
            .collect();
        assert!(
            values.starts_with(&stored),
            "trial {trial}: {values:?} {stored:?}"
        );
    }
    nothing_is_left(project.state().parent().unwrap());
}

#[test]
fn a_cancelled_sweep_ends_the_frozen_ones_too() {
    let project = Project::new(SCRIPT);
    let experiment = experiment(&project, 30);
    let engine = Engine::start(&project.store(), "HD_child", &experiment, project.setup()).unwrap();
    until("two stand still", || standing(&project).len() >= 2);
    engine.control().stop_starting_and_cancel("enough");
    let Ending::Ended { state, .. } = engine.wait().unwrap() else {
        panic!("let go");
    };
    assert_eq!(state, SweepState::Canceled);
    let store = project.store();
    let trials = store.trials("HD_child", &TrialQuery::default()).unwrap();
    assert!(trials.iter().all(|trial| trial.state.is_terminal()), "{trials:?}");
    nothing_is_left(project.state().parent().unwrap());
}

#[test]
fn beyond_the_limit_the_least_promising_is_stopped() {
    let project = Project::new(SCRIPT);
    let mut experiment = experiment(&project, 7);
    experiment
        .extensions
        .insert("freeze".into(), serde_json::json!({"max_frozen": 1}));
    project.run("HD_child", &experiment).unwrap();
    let store = project.store();
    let trials = store.trials("HD_child", &TrialQuery::default()).unwrap();
    let told = |text: &str| {
        trials
            .iter()
            .filter_map(|trial| trial.reason.as_deref())
            .any(|reason| reason.contains(text))
    };
    assert!(told("at most 1 may be frozen") || told("by ASHA"), "{trials:?}");
    assert!(trials.iter().all(|trial| trial.state.is_terminal()));
    assert!(
        trials
            .iter()
            .any(|trial| trial.state == TrialState::Completed && trial.reports == 9)
    );
}
