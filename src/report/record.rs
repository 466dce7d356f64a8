//! Run records in the shape of Azure ML's first command line: camelCase, the tags and properties of a HyperDrive parent.

use crate::config::{Command, Experiment};
use crate::policy::{PolicySpec, Slack};
use crate::space::Distribution;
use crate::store::row::{SweepRow, TrialRow};
use serde_json::{Map, Value, json};

/// The record of a sweep, or of a single run.
pub fn of_sweep(sweep: &SweepRow, experiment: &Experiment, number: u64) -> Value {
    let single = sweep.metric.is_none() && experiment.space.is_empty();
    let mut tags: Map<String, Value> = sweep
        .tags
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    let mut properties = Map::new();
    if !single {
        let primary = json!({"name": sweep.metric, "goal": sweep.goal}).to_string();
        tags.insert(
            "generator_config".into(),
            json!(generator(experiment).to_string()),
        );
        tags.insert(
            "policy_config".into(),
            json!(policy(&experiment.policy).to_string()),
        );
        tags.insert("primary_metric_config".into(), json!(primary));
        tags.insert("max_total_jobs".into(), json!(sweep.max_total_runs.to_string()));
        tags.insert(
            "max_concurrent_jobs".into(),
            json!(sweep.max_concurrent_runs.to_string()),
        );
        let minutes = sweep.max_duration_minutes.unwrap_or(10_080.0);
        tags.insert("max_duration_minutes".into(), json!(minutes.to_string()));
        properties.insert("primary_metric_config".into(), json!(primary));
        properties.insert("runTemplate".into(), json!("HyperDrive"));
        properties.insert("azureml.runsource".into(), json!("hyperdrive"));
        properties.insert("platform".into(), json!("AML"));
        if let Some(best) = &sweep.best {
            properties.insert("score".into(), json!(crate::space::python_repr(best.value)));
            properties.insert(
                "best_child_run_id".into(),
                json!(format!("{}_{}", sweep.sweep, best.trial)),
            );
            properties.insert("best_metric_status".into(), json!("Succeeded"));
        }
    }
    let script = match &experiment.launch.command {
        Command::Script { script, .. } => Some(script.clone()),
        Command::Template { .. } => None,
    };
    let kind = if single { "azureml.scriptrun" } else { "hyperdrive" };
    record(&Fields {
        number,
        root: &sweep.sweep,
        parent: None,
        run: &sweep.sweep,
        experiment: &sweep.experiment,
        status: sweep.state.word(),
        created: &sweep.created,
        started: Some(&sweep.created),
        ended: sweep.ended.as_deref(),
        name: sweep.display_name.as_deref(),
        description: sweep.notes.as_deref().or(experiment.description.as_deref()),
        hidden: sweep.archived,
        kind,
        properties,
        tags,
        script,
        target: &sweep.targets.join(","),
        definition: experiment.launch.run_definition.clone(),
        error: (sweep.state == crate::controller::SweepState::Failed)
            .then(|| sweep.reason.clone())
            .flatten(),
    })
}

/// The record of a trial: a child of a sweep.
pub fn of_trial(
    sweep: &SweepRow,
    trial: &TrialRow,
    experiment: &Experiment,
    argv: Option<&[String]>,
) -> Value {
    let mut definition = experiment.launch.run_definition.clone();
    if let (Value::Object(entries), Some(argv)) = (&mut definition, argv) {
        // The final argument list, without interpreter and script.
        entries.insert("arguments".into(), json!(argv.get(2..).unwrap_or_default()));
    }
    let script = match &experiment.launch.command {
        Command::Script { script, .. } => Some(script.clone()),
        Command::Template { .. } => None,
    };
    let hyperparameters = json!(trial.parameters).to_string();
    let mut tags = Map::new();
    tags.insert("hyperparameters".into(), json!(hyperparameters));
    let mut properties = Map::new();
    if let Some(best) = trial.best {
        properties.insert("score".into(), json!(crate::space::python_repr(best)));
    }
    record(&Fields {
        number: trial.trial + 1,
        root: &sweep.sweep,
        parent: Some(&sweep.sweep),
        run: &trial.run_id,
        experiment: &sweep.experiment,
        status: trial.state.word(),
        created: &trial.created,
        started: trial.started.as_deref(),
        ended: trial.ended.as_deref(),
        name: None,
        description: None,
        hidden: false,
        kind: "azureml.scriptrun",
        properties,
        tags,
        script,
        target: trial.target.as_deref().unwrap_or_default(),
        definition,
        error: (trial.state == crate::history::TrialState::Failed)
            .then(|| trial.reason.clone())
            .flatten(),
    })
}

/// The few fields of `--minimal`.
pub fn minimal(record: &Value) -> Value {
    let of = |key: &str| record.get(key).cloned().unwrap_or(Value::Null);
    json!({
        "RunId": of("runId"), "RunType": of("runType"), "Status": of("status"), "StartTime": of("startTimeUtc"),
        "EndTime": of("endTimeUtc"), "Target": of("target"), "Tags": of("tags"),
    })
}

struct Fields<'a> {
    number: u64,
    root: &'a str,
    parent: Option<&'a str>,
    run: &'a str,
    experiment: &'a str,
    status: &'a str,
    created: &'a str,
    started: Option<&'a str>,
    ended: Option<&'a str>,
    name: Option<&'a str>,
    description: Option<&'a str>,
    hidden: bool,
    kind: &'a str,
    properties: Map<String, Value>,
    tags: Map<String, Value>,
    script: Option<String>,
    target: &'a str,
    definition: Value,
    error: Option<String>,
}

fn record(fields: &Fields<'_>) -> Value {
    json!({
        "runNumber": fields.number,
        "rootRunId": fields.root,
        "experimentId": fields.experiment,
        "createdUtc": fields.created,
        "userId": null,
        "runId": fields.run,
        "parentRunId": fields.parent,
        "status": fields.status,
        "startTimeUtc": fields.started,
        "endTimeUtc": fields.ended,
        "heartbeatEnabled": false,
        "name": fields.name,
        "dataContainerId": format!("dcid.{}", fields.run),
        "description": fields.description,
        "hidden": fields.hidden,
        "runType": fields.kind,
        "properties": fields.properties,
        "scriptName": fields.script,
        "target": fields.target,
        "tags": fields.tags,
        "runDefinition": fields.definition,
        "createdFrom": null,
        "createdBy": null,
        "cancelUri": null,
        "diagnosticsUri": null,
        "error": fields.error.as_ref().map(|message| json!({"error": {"code": "UserError", "message": message}})),
        "warnings": null,
        "_experiment_name": fields.experiment,
    })
}

fn generator(experiment: &Experiment) -> Value {
    let name = match experiment.sampler.kind.as_str() {
        "grid" => "GRID",
        "bayesian" => "BayesianOptimization",
        "random" => "RANDOM",
        other => other,
    };
    let space: Map<String, Value> = experiment
        .space
        .parameters
        .iter()
        .map(|parameter| (parameter.name.clone(), expression(&parameter.distribution)))
        .collect();
    json!({"name": name, "parameter_space": space})
}

/// `[expression, arguments]` as on HyperDrive's wire; the arguments of `choice` are nested once more.
pub(super) fn expression(distribution: &Distribution) -> Value {
    match distribution {
        Distribution::Choice { options, .. } => json!(["choice", [options]]),
        Distribution::Randint { upper } => json!(["randint", [upper]]),
        Distribution::Int { low, high, .. } => json!(["quniform", [low, high, 1]]),
        Distribution::Uniform { low, high } => json!(["uniform", [low, high]]),
        Distribution::Quniform { low, high, q } => json!(["quniform", [low, high, q]]),
        Distribution::Loguniform { low, high, base } => {
            json!(["loguniform", [low * base.ln(), high * base.ln()]])
        }
        Distribution::Qloguniform { low, high, q, base } => {
            json!(["qloguniform", [low * base.ln(), high * base.ln(), q]])
        }
        Distribution::Normal { mu, sigma } => json!(["normal", [mu, sigma]]),
        Distribution::Qnormal { mu, sigma, q } => json!(["qnormal", [mu, sigma, q]]),
        Distribution::Lognormal { mu, sigma, base } => {
            json!(["lognormal", [mu * base.ln(), sigma * base.ln()]])
        }
        Distribution::Qlognormal { mu, sigma, q, base } => {
            json!(["qlognormal", [mu * base.ln(), sigma * base.ln(), q]])
        }
    }
}

pub(super) fn policy(policy: &PolicySpec) -> Value {
    let with = |schedule: &crate::policy::Schedule, name: &str, more: &[(&str, Value)]| {
        let mut properties = Map::new();
        properties.insert("evaluation_interval".into(), json!(schedule.evaluation_interval));
        properties.insert("delay_evaluation".into(), json!(schedule.delay_evaluation));
        properties.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        json!({"name": name, "properties": properties})
    };
    match policy {
        PolicySpec::Bandit { schedule, slack, .. } => match slack {
            Slack::Factor(factor) => with(schedule, "Bandit", &[("slack_factor", json!(factor))]),
            Slack::Amount(amount) => with(schedule, "Bandit", &[("slack_amount", json!(amount))]),
        },
        PolicySpec::MedianStopping { schedule, .. } => with(schedule, "MedianStopping", &[]),
        PolicySpec::TruncationSelection {
            schedule,
            percentage,
            exclude_finished_jobs,
            ..
        } => with(
            schedule,
            "TruncationSelection",
            &[
                ("truncation_percentage", json!(percentage)),
                ("exclude_finished_jobs", json!(exclude_finished_jobs)),
            ],
        ),
        PolicySpec::Asha {
            min_resource,
            reduction_factor,
            freeze,
        } => json!({"name": "ASHA", "properties": {
            "min_resource": min_resource, "reduction_factor": reduction_factor, "freeze": freeze,
        }}),
        PolicySpec::Hyperband {
            min_resource,
            reduction_factor,
            brackets,
            freeze,
        } => json!({"name": "Hyperband", "properties": {
            "min_resource": min_resource, "reduction_factor": reduction_factor, "brackets": brackets, "freeze": freeze,
        }}),
        PolicySpec::Predictive {
            false_stops,
            top_k,
            eager,
            delay_evaluation,
            max_resource,
            freeze,
        } => json!({"name": "Predictive", "properties": {
            "false_stops": false_stops, "top_k": top_k, "eager": eager, "delay_evaluation": delay_evaluation, "max_resource": max_resource, "freeze": freeze,
        }}),
        _ => json!({"name": "Default"}),
    }
}
