//! Job records in the shape of Azure ML's second command line: snake_case, the parts of a job file.

use crate::config::Experiment;
use crate::metric::Goal;
use crate::report::record;
use crate::store::row::{SweepRow, TrialRow};
use serde_json::{Map, Value, json};

/// The record of a sweep or a single run.
pub fn of_sweep(sweep: &SweepRow, experiment: &Experiment) -> Value {
    let single = sweep.metric.is_none() && experiment.space.is_empty();
    let mut job = common(&Job {
        name: &sweep.sweep,
        experiment: &sweep.experiment,
        display_name: sweep.display_name.as_deref().unwrap_or(&sweep.sweep),
        description: sweep.notes.as_deref().or(experiment.description.as_deref()),
        kind: if single { "command" } else { "sweep" },
        status: sweep.state.word(),
        created: &sweep.created,
        ended: sweep.ended.as_deref(),
        compute: &sweep.targets.join(","),
        parent: None,
    });
    job.insert("tags".into(), json!(sweep.tags));
    let mut properties = Map::new();
    if let Some(best) = &sweep.best {
        properties.insert(
            "best_child_run_id".into(),
            json!(format!("{}_{}", sweep.sweep, best.trial)),
        );
        properties.insert("score".into(), json!(crate::space::python_repr(best.value)));
    }
    job.insert("properties".into(), Value::Object(properties));
    if !single {
        let goal = match sweep.goal {
            Some(Goal::Maximize) => "maximize",
            _ => "minimize",
        };
        job.insert(
            "objective".into(),
            json!({"goal": goal, "primary_metric": sweep.metric}),
        );
        let seconds = sweep.max_duration_minutes.map(|minutes| (minutes * 60.0) as u64);
        job.insert(
            "limits".into(),
            json!({"max_total_trials": sweep.max_total_runs, "max_concurrent_trials": sweep.max_concurrent_runs,
                "timeout": seconds}),
        );
        job.insert(
            "sampling_algorithm".into(),
            json!({"type": experiment.sampler.kind, "seed": experiment.sampler.seed}),
        );
        job.insert("early_termination".into(), record::policy(&experiment.policy));
        let space: Map<String, Value> = experiment
            .space
            .parameters
            .iter()
            .map(|parameter| {
                (
                    parameter.name.clone(),
                    record::expression(&parameter.distribution),
                )
            })
            .collect();
        job.insert("search_space".into(), Value::Object(space));
    }
    if let Some(reason) = sweep
        .reason
        .as_ref()
        .filter(|_| sweep.state == crate::controller::SweepState::Failed)
    {
        job.insert("error".into(), json!({"code": "UserError", "message": reason}));
    }
    Value::Object(job)
}

/// The record of a trial: a child of a sweep.
pub fn of_trial(sweep: &SweepRow, trial: &TrialRow) -> Value {
    let mut job = common(&Job {
        name: &trial.run_id,
        experiment: &sweep.experiment,
        display_name: &trial.run_id,
        description: None,
        kind: "command",
        status: trial.state.word(),
        created: &trial.created,
        ended: trial.ended.as_deref(),
        compute: trial.target.as_deref().unwrap_or_default(),
        parent: Some(&sweep.sweep),
    });
    job.insert("tags".into(), json!({}));
    let mut properties = Map::new();
    if let Some(best) = trial.best {
        properties.insert("score".into(), json!(crate::space::python_repr(best)));
    }
    job.insert("properties".into(), Value::Object(properties));
    job.insert("parameters".into(), json!(trial.parameters));
    if let Some(reason) = trial
        .reason
        .as_ref()
        .filter(|_| trial.state == crate::history::TrialState::Failed)
    {
        job.insert("error".into(), json!({"code": "UserError", "message": reason}));
    }
    Value::Object(job)
}

struct Job<'a> {
    name: &'a str,
    experiment: &'a str,
    display_name: &'a str,
    description: Option<&'a str>,
    kind: &'a str,
    status: &'a str,
    created: &'a str,
    ended: Option<&'a str>,
    compute: &'a str,
    parent: Option<&'a str>,
}

fn common(job: &Job<'_>) -> Map<String, Value> {
    let fields = [
        ("name", json!(job.name)),
        ("id", json!(format!("azureml:{}", job.name))),
        ("display_name", json!(job.display_name)),
        ("experiment_name", json!(job.experiment)),
        ("description", json!(job.description)),
        ("type", json!(job.kind)),
        ("status", json!(job.status)),
        ("parent_job_name", json!(job.parent)),
        ("compute", json!(job.compute)),
        (
            "creation_context",
            json!({"created_at": job.created, "created_by": null, "created_by_type": "User",
                "last_modified_at": job.ended}),
        ),
        ("services", json!({})),
    ];
    fields
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
