//! Undisturbed sweeps.

use super::{Project, until};
use overdrive::controller::{Outcome, SweepState};
use overdrive::engine::{Ending, Engine, Progress};
use overdrive::history::TrialState;
use overdrive::store::{Store, SweepFilter, TrialOrder, TrialQuery};

const SCRIPT: &str = r#"
x=$2
for i in 1 2 3; do
  echo "score=$(python3 -c "print($x * $i)" 2>/dev/null || echo 0) loss=$i"
done
echo "$AZUREML_RUN_ID $*" >> "$SEEN/all"
"#;

#[test]
fn twenty_trials_end_with_every_number_in_the_store() {
    let project = Project::new(SCRIPT);
    let experiment = project.experiment(20, 4);
    let store = project.store();
    let mut engine = Engine::start(&store, "HD_twenty", &experiment, project.setup()).unwrap();
    let progress = engine.progress().unwrap();
    let shown = std::thread::spawn(move || progress.iter().collect::<Vec<_>>());
    let ending = engine.wait().unwrap();
    assert_eq!(
        ending,
        Ending::Ended {
            state: SweepState::Completed,
            reason: "all 20 trials have ended".into()
        }
    );
    let shown = shown.join().unwrap();
    assert_eq!(
        shown
            .iter()
            .filter(|progress| matches!(progress, Progress::Launched { .. }))
            .count(),
        20
    );

    let reader = Store::open_read_only(&project.state()).unwrap();
    let row = reader.sweep("latest").unwrap();
    assert_eq!(row.trials.get("Completed"), Some(&20), "{row:?}");
    let trials = reader
        .trials(
            "HD_twenty",
            &TrialQuery {
                order: TrialOrder::Best,
                ..TrialQuery::default()
            },
        )
        .unwrap();
    let best = row.best.unwrap();
    assert_eq!((best.trial, Some(best.value)), (trials[0].trial, trials[0].best));
    for trial in &trials {
        assert_eq!((trial.reports, trial.attempts), (3, 1), "{trial:?}");
        let curve = |name: &str| reader.curve("HD_twenty", trial.trial, name, None).unwrap();
        assert_eq!(curve("score").len(), 3);
        assert_eq!(
            curve("loss").iter().map(|point| point.value).collect::<Vec<_>>(),
            [1.0, 2.0, 3.0]
        );
        let x = trial.parameters["x"].as_f64().unwrap();
        assert!((trial.best.unwrap() - 3.0 * x).abs() < 1e-9);
        assert!(trial.started.is_some() && trial.ended.is_some() && trial.folder.is_some());
    }
    let (_, lines) = project.seen_lines().remove(0);
    assert_eq!(lines.len(), 20);
    assert!(lines.iter().any(|line| line.ends_with("c d")));
    let attempts = reader.attempts("HD_twenty", None).unwrap();
    assert!(
        attempts
            .iter()
            .all(|attempt| attempt.outcome == Some(Outcome::Completed))
    );
    assert!(
        attempts
            .iter()
            .all(|attempt| attempt.argv.as_ref().is_some_and(|argv| argv[0] == "bash"))
    );
    assert!(reader.leader("HD_twenty").unwrap().is_none());
    assert_eq!(reader.sweeps(&SweepFilter::default()).unwrap().len(), 1);
}

#[test]
fn three_failures_at_the_start_end_the_sweep_with_the_reason() {
    let project = Project::new("echo starting\necho 'boom: no such thing' >&2\nexit 7\n");
    let ending = project.run("HD_fail", &project.experiment(20, 1)).unwrap();
    let Ending::Ended { state, reason } = ending else {
        panic!("{ending:?}")
    };
    assert_eq!(state, SweepState::Failed);
    assert_eq!(reason, "the first 3 trials all failed without a report");
    let trials = project.store().trials("HD_fail", &TrialQuery::default()).unwrap();
    assert_eq!(trials.len(), 3);
    assert_eq!(trials[0].reason.as_deref(), Some("exit 7: boom: no such thing"));
}

#[test]
fn a_missing_script_is_a_failure_of_the_users_files_and_not_tried_again() {
    let project = Project::new("");
    let mut experiment = project.experiment(9, 1);
    let command = serde_json::json!({ "kind": "script", "script": "absent.sh", "arguments": [] });
    experiment.launch.command = serde_json::from_value(command).unwrap();
    let ending = project.run("HD_absent", &experiment).unwrap();
    assert!(
        matches!(
            ending,
            Ending::Ended {
                state: SweepState::Failed,
                ..
            }
        ),
        "{ending:?}"
    );
    let trials = project
        .store()
        .trials("HD_absent", &TrialQuery::default())
        .unwrap();
    assert!(
        trials
            .iter()
            .all(|trial| trial.state == TrialState::Failed && trial.attempts == 1)
    );
    assert!(
        trials[0].reason.as_ref().unwrap().contains("absent.sh"),
        "{:?}",
        trials[0].reason
    );
}

#[test]
fn a_sweep_over_its_duration_cancels_what_runs() {
    let project = Project::new("echo score=1\nsleep 600\n");
    let mut experiment = project.experiment(4, 2);
    experiment.limits.max_duration_ms = Some(700);
    let ending = project.run("HD_long", &experiment).unwrap();
    assert!(
        matches!(
            ending,
            Ending::Ended {
                state: SweepState::Canceled,
                ..
            }
        ),
        "{ending:?}"
    );
    let row = project.store().sweep("HD_long").unwrap();
    assert_eq!(row.trials.get("Canceled"), Some(&2), "{row:?}");
    assert_eq!(row.best.map(|best| best.value), Some(1.0));
    until("all processes are gone", || {
        super::processes_with(&project.state()).is_empty()
    });
}

#[test]
fn the_policy_stops_a_running_trial_and_says_why() {
    let project = Project::new(
        "for i in 1 2 3 4 5; do echo \"score=$2\"; sleep 0.05; done; [ \"${2#0.9}\" != \"$2\" ] || sleep 600\n",
    );
    let mut experiment = project.experiment(6, 6);
    let policy = serde_json::json!({
        "type": "bandit", "evaluation_interval": 1, "delay_evaluation": 5, "slack": { "amount": 0.0 }
    });
    experiment.policy = serde_json::from_value(policy).unwrap();
    experiment.limits.max_duration_ms = Some(20_000);
    let store = project.store();
    let engine = Engine::start(&store, "HD_band", &experiment, project.setup()).unwrap();
    until("the worse ones are stopped", || {
        store.sweep("HD_band").unwrap().stopped_by_policy == 5
    });
    engine.control().stop_starting_and_cancel("enough");
    engine.wait().unwrap();
    let trials = store
        .trials(
            "HD_band",
            &TrialQuery {
                order: TrialOrder::Best,
                ..TrialQuery::default()
            },
        )
        .unwrap();
    for trial in &trials[1..] {
        assert_eq!(trial.state, TrialState::Canceled);
        let stop = trial.stop.as_ref().unwrap();
        assert_eq!(stop.policy, "Bandit");
        assert!(
            trial
                .reason
                .as_ref()
                .unwrap()
                .starts_with("by Bandit at interval 5: "),
            "{:?}",
            trial.reason
        );
    }
}

/// A relative slack of a number that is not positive means little; said at the first such best, once, also over a resume.
#[test]
fn a_relative_slack_of_a_negative_best_is_remarked_once() {
    use overdrive::policy::{PolicySpec, Schedule, Slack, Trigger};
    let project = Project::new("echo \"score=-$2\"; echo score=-0.001\n");
    let remarks = |id: &str, slack: Slack| {
        let mut experiment = project.experiment(3, 1);
        experiment.policy = PolicySpec::Bandit {
            schedule: Schedule::default(),
            slack,
            literal: false,
            trigger: Trigger::Sweep,
        };
        project.run(id, &experiment).unwrap();
        let events = project.store().events_since(Some(id), 0, 10_000).unwrap();
        events
            .into_iter()
            .filter(|event| event.kind == "warning" && event.data["code"] == "slack-factor")
            .map(|event| event.data["message"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let told = remarks("HD_share", Slack::Factor(0.5));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("`slack_amount`"), "{told:?}");
    assert_eq!(remarks("HD_amount", Slack::Amount(0.5)), [""; 0]);
}
