//! Schema of the `overdrive` section and of `overdrive.yml`.

use super::{closed, described, scalar, table};
use serde_json::{Value as Json, json};

/// The schema.
pub(super) fn schema() -> Json {
    let mut section = section();
    // The file may also hold the section under its name.
    section["properties"]["overdrive"] = json!({"$ref": "#/$defs/section"});
    section["$defs"] = json!({"section": self::section()});
    section
}

/// The section without its name.
pub(super) fn section() -> Json {
    let mut section = closed("what Azure ML's files cannot say", &[], json!({}));
    section["properties"] = search();
    for (key, value) in running().as_object().into_iter().flatten() {
        section["properties"][key] = value.clone();
    }
    section
}

fn texts(description: &str) -> Json {
    json!({
        "description": description,
        "anyOf": [{"type": "array", "items": scalar()}, scalar()],
    })
}

fn boolean(description: &str) -> Json {
    json!({"description": description, "type": "boolean"})
}

fn search() -> Json {
    json!({
        "seed": {"description": "seed of every random draw", "type": "integer", "minimum": 0},
        "sampler": {
            "description": "another sampler than the file names, or options for it",
            "anyOf": [
                {"type": "string"},
                {"type": "object", "properties": {"type": {"type": "string"}}},
            ],
        },
        "allow_duplicates": boolean("one configuration may be tried twice"),
        "clip": boolean("keep draws of quantized expressions inside their bounds"),
        "constraints": texts("conditions between parameters, for instance  layers * width <= 4096"),
        "enqueue": {
            "description": "configurations to try first",
            "anyOf": [
                {"type": "array", "items": {"type": "object"}},
                {"type": "object"},
            ],
        },
        "resume_from": texts("earlier sweeps whose trials are data: ids or folders"),
        "metrics": texts("further metrics to look for in plain output"),
        "priors": {"description": "what is believed of good values: `{low, high, best}` of a number, weights of options", "type": "object", "additionalProperties": {"type": "object"}},
        "policy": {
            "description": "a policy of overdrive's own instead of the file's: its name, or a map with `type` and its keys",
            "anyOf": [{"type": "string"}, {"type": "object", "required": ["type"]}],
        },
        "stop_when": {"description": "condition that ends the sweep early", "type": "string"},
        "trigger": {
            "description": "whom the policy judges after a report",
            "enum": ["sweep", "reporter"],
        },
        "literal": boolean("Bandit by the raw ratio, also for negative metrics"),
        "exclude_finished_jobs": boolean("truncation ranks only trials that still run"),
    })
}

fn running() -> Json {
    json!({
        "targets": texts("names of compute targets"),
        "abort_after_initial_failures": {
            "description": "end the sweep when so many first trials failed without a report; 0 = never",
            "type": "integer", "minimum": 0, "default": crate::config::ABORT_AFTER_INITIAL_FAILURES,
        },
        "max_retries": {
            "description": "new attempts of a trial after infrastructure faults",
            "type": "integer", "minimum": 0, "default": crate::config::MAX_RETRIES,
        },
        "trial_timeout": {
            "description": "hard limit of one trial: seconds, or with a unit as in 90s, 15m, 2h, 1d",
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": "^\\s*[0-9.]+\\s*(ms|s|m|min|h|d)?\\s*$"},
            ],
        },
        "render": closed("how values become arguments", &[], json!({
            "quantized": {"description": "16 or 16.0", "enum": ["int", "float"]},
            "raw_substitution": boolean("insert values into command templates without quoting"),
        })),
        "allow_duplicate_arguments": boolean("a parameter replaces a fixed argument of the same name"),
        "grace_seconds": {
            "description": "time between asking a script to end and killing it",
            "type": "integer", "minimum": 1, "maximum": 86_400,
        },
        "log_cap_mib": {
            "description": "largest captured log of a trial",
            "type": "integer", "minimum": 1, "maximum": 1 << 20,
        },
        "azureml_shim": boolean("offer overdrive's own `azureml` package to scripts"),
        "mlflow_endpoint": boolean("offer a tracking endpoint to MLflow clients"),
        "mlflow_create": {
            "description": "what an MLflow run without a parent is: the trial itself, or a child of it",
            "enum": ["trial", "child"],
        },
        "freeze": {
            "description": "freeze trials instead of stopping them (ASHA, Hyperband, Predictive), and how much may be frozen",
            "anyOf": [
                {"type": "boolean"},
                closed("how much may be frozen", &[], json!({
                    "max_frozen": {
                        "description": "trials", "type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 32,
                    },
                    "memory": described(scalar(), "memory of them on one machine: 4GiB, 500MB, 50%"),
                })),
            ],
        },
        "lost_contact_minutes": {
            "description": "a trial of which nobody has heard for so long is given up and tried again; never by default",
            "type": "integer", "minimum": 1, "maximum": 525_600,
        },
        "amlcompute_on": described(scalar(), "the cluster (Slurm, Kubernetes) on which `target: amlcompute` makes its nodes"),
        "display_name": described(scalar(), "name for people"),
        "description": described(scalar(), "free text"),
        "tags": table("tags", scalar()),
        "datastores": table("datastore name to folder", scalar()),
        "datasets": table("dataset name, name:version or id to path", scalar()),
        "data_map": table("beginning of an address to path or folder", scalar()),
    })
}
