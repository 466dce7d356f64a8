//! Schema of `hdconfig.yml`.

use super::{any_case, closed, described, scalar};
use crate::config::hyperdrive::sampler_names;
use serde_json::{Value as Json, json};

/// The schema.
pub(super) fn schema() -> Json {
    closed(
        "a sweep: what to try, whom to stop, what to optimise",
        &[
            "sampling",
            "primary_metric_name",
            "primary_metric_goal",
            "max_total_runs",
        ],
        json!({
            "sampling": sampling(),
            "policy": {"anyOf": [policy(), {"type": "null"}]},
            "primary_metric_name": described(scalar(), "the metric exactly as the script logs it"),
            "primary_metric_goal": any_case(&["maximize", "minimize"], "direction of the metric"),
            "max_total_runs": limit("how many configurations to try"),
            "max_concurrent_runs": {
                "description": "how many at a time; absent or 0 = all",
                "type": ["integer", "null"], "minimum": 0,
            },
            "max_duration_minutes": {
                "description": "the sweep is cancelled after so many minutes",
                "type": ["integer", "null"], "minimum": 1, "default": 10_080,
            },
            "overdrive": super::overdrive::section(),
        }),
    )
}

fn limit(description: &str) -> Json {
    json!({"description": description, "type": "integer", "minimum": 1})
}

fn sampling() -> Json {
    closed(
        "how configurations are chosen, and from what",
        &["type", "parameter_space"],
        json!({
            "type": any_case(&sampler_names(), "the sampler"),
            "parameter_space": {
                "description": "one entry per parameter of the script",
                "type": "array", "minItems": 1,
                "items": parameter(),
            },
        }),
    )
}

fn parameter() -> Json {
    let numbers = |count: usize| json!({"type": "array", "items": {"type": "number"}, "minItems": count, "maxItems": count});
    let with = |names: &[&str], values: Json| {
        json!({
            "if": {"properties": {"expression": {"enum": names}}, "required": ["expression"]},
            "then": {"properties": {"values": values}},
        })
    };
    let mut parameter = closed(
        "a parameter of the script",
        &["name", "expression", "values"],
        json!({
            "name": described(scalar(), "the script's option, for instance --lr; without dashes two are put before it"),
            "expression": {
                "description": "choice a, b, ... | randint upper | uniform min, max | quniform min, max, q | loguniform and \
                    qloguniform: natural logarithms of min and max (, q) | normal and lognormal: mu, sigma | qnormal and \
                    qlognormal: mu, sigma, q",
                "enum": crate::config::expression::EXPRESSIONS,
            },
            "values": {"description": "the arguments of the expression", "type": "array", "minItems": 1},
        }),
    );
    parameter["allOf"] = json!([
        with(
            &["randint"],
            json!({"items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 1}),
        ),
        with(&["uniform", "loguniform", "normal", "lognormal"], numbers(2)),
        with(&["quniform", "qloguniform", "qnormal", "qlognormal"], numbers(3)),
    ]);
    parameter
}

fn policy() -> Json {
    closed(
        "whom to stop early",
        &[],
        json!({
            "type": any_case(
                &["BanditPolicy", "MedianStoppingPolicy", "TruncationSelectionPolicy", "NoTerminationPolicy", "ASHA", "Hyperband", "Predictive"],
                "the policy; absent = nobody is stopped",
            ),
            "evaluation_interval": {
                "description": "judge at every so many reports of the metric", "type": "integer", "default": 1,
            },
            "delay_evaluation": {
                "description": "judge nobody before so many reports", "type": "integer", "default": 0,
            },
            "slack_factor": {"description": "Bandit: slack relative to the best", "type": "number", "minimum": 0},
            "slack_amount": {"description": "Bandit: absolute slack", "type": "number", "minimum": 0},
            "truncation_percentage": {
                "description": "truncation: how many per cent are stopped", "type": "integer", "minimum": 1, "maximum": 99,
            },
            "min_resource": {
                "description": "ASHA, Hyperband: reports at the lowest rung", "type": "integer", "minimum": 1, "default": 1,
            },
            "reduction_factor": {
                "description": "ASHA, Hyperband: one in so many goes on", "type": "integer", "minimum": 2, "default": 3,
            },
            "brackets": {
                "description": "Hyperband: number of brackets", "type": "integer", "minimum": 1, "default": 3,
            },
            "false_stops": {
                "description": "Predictive: bound of the share of stopped trials that would have become one of the best",
                "type": "number", "exclusiveMinimum": 0, "maximum": 0.5, "default": 0.05,
            },
            "top_k": {
                "description": "Predictive: how many count as the best", "type": "integer", "minimum": 1, "default": 1,
            },
            "eager": {
                "description": "Predictive: stop also where a new trial promises more for its reports", "type": "boolean",
                "default": false,
            },
            "freeze": {
                "description": "ASHA, Hyperband, Predictive: freeze instead of stopping, and go on later", "type": "boolean",
                "default": false,
            },
            "max_resource": {
                "description": "Predictive: reports of a whole trial; learned unless given", "type": "integer", "minimum": 2,
            },
            "exclude_finished_jobs": {"description": "has no effect, as in Azure ML", "type": "boolean"},
        }),
    )
}
