//! Schema of v2 sweep jobs.

use super::{any_case, closed, scalar, table};
use serde_json::{Value as Json, json};

/// The schema.
pub(super) fn schema() -> Json {
    let mut schema = closed(
        "a sweep job",
        &["type", "search_space", "objective", "limits", "trial"],
        json!({
            "$schema": {"type": "string"},
            "type": {"const": "sweep"},
            "name": {"type": "string"},
            "display_name": {"type": "string"},
            "experiment_name": {"type": "string"},
            "description": {"type": "string"},
            "tags": table("tags", json!({"type": ["string", "null"]})),
            "properties": table("properties", json!({"type": ["string", "null"]})),
            "compute": {"description": "azureml:NAME, NAME or local", "type": "string"},
            "sampling_algorithm": sampling(),
            "search_space": {
                "description": "parameters by name",
                "type": "object", "minProperties": 1,
                "propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"},
                "additionalProperties": {"$ref": "#/$defs/expression"},
            },
            "objective": closed("what to optimise", &["goal", "primary_metric"], json!({
                "goal": any_case(&["maximize", "minimize"], "direction of the metric"),
                "primary_metric": {"description": "the metric exactly as logged", "type": "string", "minLength": 1},
            })),
            "limits": limits(),
            "early_termination": {"anyOf": [policy(), {"type": "null"}]},
            "trial": trial(),
            "inputs": table("inputs by name", json!({"anyOf": [scalar(), input()]})),
            "outputs": table("outputs by name", json!({"anyOf": [output(), {"type": "null"}]})),
            "identity": {"type": ["object", "null"]},
            "queue_settings": {"type": ["object", "null"]},
            "resources": {"$ref": "#/$defs/resources"},
            "services": {"type": "object"},
            "id": {}, "status": {}, "creation_context": {}, "log_files": {},
        }),
    );
    schema["$defs"] = json!({"expression": expression(), "resources": resources()});
    schema
}

fn whole(description: &str, low: i64) -> Json {
    json!({"description": description, "type": "integer", "minimum": low})
}

fn sampling() -> Json {
    json!({
        "description": "how configurations are chosen; absent = random",
        "anyOf": [
            any_case(&["random", "grid", "bayesian"], "the sampler"),
            closed("random with settings", &["type"], json!({
                "type": any_case(&["random"], "the sampler"),
                "seed": {"type": ["integer", "null"]},
                "rule": any_case(&["random", "sobol"], "independent draws or an even cover"),
                "logbase": {"description": "base of the logarithmic expressions", "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}]},
            })),
            closed("grid or bayesian", &["type"], json!({"type": any_case(&["grid", "bayesian"], "the sampler")})),
        ],
    })
}

fn expression() -> Json {
    let number = || json!({"type": "number"});
    let kind = |names: &[&str], fields: &[&str]| {
        let mut properties = json!({"type": any_case(names, "the expression")});
        let mut required = vec!["type"];
        for field in fields {
            properties[field] = number();
            required.push(field);
        }
        closed("an expression", &required, properties)
    };
    json!({
        "anyOf": [
            closed("one of several values", &["type", "values"], json!({
                "type": any_case(&["choice"], "the expression"),
                "values": {
                    "type": "array", "minItems": 1,
                    "items": {"anyOf": [
                        {"type": ["string", "number"]},
                        {"type": "object", "additionalProperties": {
                            "anyOf": [{"type": ["string", "number"]}, {"$ref": "#/$defs/expression"}],
                        }},
                    ]},
                },
            })),
            closed("a whole number below upper", &["type", "upper"], json!({
                "type": any_case(&["randint"], "the expression"),
                "upper": {"type": "integer", "minimum": 1},
            })),
            kind(&["uniform", "loguniform"], &["min_value", "max_value"]),
            kind(&["quniform", "qloguniform"], &["min_value", "max_value", "q"]),
            kind(&["normal", "lognormal"], &["mu", "sigma"]),
            kind(&["qnormal", "qlognormal"], &["mu", "sigma", "q"]),
        ],
    })
}

fn limits() -> Json {
    closed(
        "how much",
        &["max_total_trials"],
        json!({
            "max_total_trials": whole("how many configurations to try", 1),
            "max_concurrent_trials": whole("how many at a time; absent = all", 1),
            "timeout": whole("seconds of the whole sweep", 0),
            "trial_timeout": whole("seconds of one trial", 0),
        }),
    )
}

fn policy() -> Json {
    let common = |own: Json| {
        let mut properties = json!({
            "evaluation_interval": {"description": "judge at every so many reports", "type": ["integer", "null"]},
            "delay_evaluation": {"description": "judge nobody before so many reports", "type": ["integer", "null"]},
        });
        for (key, value) in own.as_object().into_iter().flatten() {
            properties[key] = value.clone();
        }
        properties
    };
    json!({
        "description": "whom to stop early",
        "anyOf": [
            closed("stops who falls behind the best", &["type"], common(json!({
                "type": any_case(&["bandit"], "the policy"),
                "slack_factor": {"type": "number", "minimum": 0},
                "slack_amount": {"type": "number", "minimum": 0},
            }))),
            closed("stops who falls behind the median", &["type"], common(json!({
                "type": any_case(&["median_stopping", "medianStopping"], "the policy"),
            }))),
            closed("stops the worst", &["type", "truncation_percentage"], common(json!({
                "type": any_case(&["truncation_selection", "truncationSelection"], "the policy"),
                "truncation_percentage": {"type": "integer", "minimum": 1, "maximum": 99},
            }))),
        ],
    })
}

fn trial() -> Json {
    closed(
        "how one trial is started",
        &["command", "environment"],
        json!({
            "command": {"description": "with ${{search_space.x}}, ${{inputs.x}}, ${{outputs.x}}", "type": "string"},
            "code": {"description": "folder, relative to this file", "type": "string"},
            "environment": {"type": ["string", "object"]},
            "environment_variables": table("variables of the trial", scalar()),
            "distribution": {
                "type": ["object", "null"],
                "properties": {"type": any_case(&["pytorch", "mpi", "tensorflow", "ray"], "launcher")},
            },
            "resources": {"$ref": "#/$defs/resources"},
            "queue_settings": {"type": ["object", "null"]},
        }),
    )
}

fn resources() -> Json {
    closed(
        "what a trial gets",
        &[],
        json!({
            "instance_count": whole("nodes", 1),
            "max_instance_count": whole("most nodes", 1),
            "instance_type": {"type": "string"},
            "locations": {"type": "array"},
            "shm_size": {"type": "string", "pattern": "^[0-9]+[bkmgBKMG]?$"},
            "docker_args": {"type": ["string", "array"]},
            "properties": {"type": "object"},
        }),
    )
}

fn input() -> Json {
    closed(
        "data, or a literal under `value`",
        &[],
        json!({
            "value": scalar(),
            "type": any_case(
                &["uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model", "string", "number", "integer", "boolean"],
                "kind of data",
            ),
            "path": {"description": "relative to this file, or an address", "type": "string"},
            "mode": any_case(&["ro_mount", "download", "direct", "eval_mount", "eval_download"], "how it gets there"),
            "datastore": {"type": "string"},
            "path_on_compute": {"type": "string"},
        }),
    )
}

fn output() -> Json {
    closed(
        "a folder or file per trial",
        &[],
        json!({
            "type": any_case(
                &["uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model"],
                "kind of data",
            ),
            "mode": any_case(&["rw_mount", "mount", "upload", "direct"], "how it gets back"),
            "path": {"type": "string"},
            "name": {"type": "string"},
            "version": {"type": ["string", "integer"]},
            "description": {"type": "string"},
        }),
    )
}
