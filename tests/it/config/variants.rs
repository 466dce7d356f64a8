//! The 169 one-change variants of the documentation's sample, each once fed to the shipped client of the service.
//!
//! What it accepted must load with the same meaning: the wire form is rebuilt from what was read and compared. What it rejected
//! is refused for the right reason, or taken with the right remark. Exceptions stand in the tables below, each with its reason.

use overdrive::config::hyperdrive::{Hyperdrive, read};
use overdrive::config::{ParameterBinding, Shape};
use overdrive::diagnostic::{Severity, Source};
use overdrive::metric::Goal;
use overdrive::policy::{PolicySpec, Slack};
use overdrive::space::{Condition, Distribution, Value};
use serde_json::{Map, Value as Json, json};

const VARIANTS: &str = include_str!("../../fixtures/hdconfig/measured-variants.jsonl");

/// Rejected by the old client, taken by us: variant, code of the remark.
const LENIENT: [(u64, &str); 24] = [
    (4, "portability"),
    (5, "portability"),
    (8, "policy-name"),
    (10, "portability"),
    (12, "portability"),
    (13, "expression-case"),
    (15, "values-list"),
    (32, "portability"),
    (71, "portability"),
    (73, "portability"),
    (74, "portability"),
    (75, "portability"),
    (76, "portability"),
    (81, "portability"),
    (82, "portability"),
    (84, "portability"),
    (87, "portability"),
    (88, "portability"),
    (89, "portability"),
    (90, "portability"),
    (91, "portability"),
    (121, "portability"),
    (163, "quoted-number"),
    (164, "quoted-number"),
];

/// Those of [`LENIENT`] that the old client refused as a whole, not for one sampler's sake: a warning, not a note.
const LOUD: [u64; 8] = [4, 5, 8, 10, 12, 13, 32, 121];

/// Rejected by both: variant, code of the error, line.
const REFUSED: [(u64, &str, usize); 45] = [
    (6, "missing-key", 3),
    (14, "unknown-expression", 6),
    (17, "values-count", 7),
    (18, "missing-key", 5),
    (19, "missing-key", 5),
    (21, "choice-list", 7),
    (22, "choice-list", 7),
    (28, "argument-type", 7),
    (31, "missing-key", 4),
    (34, "argument-type", 7),
    (35, "argument-type", 7),
    (36, "argument-range", 7),
    (37, "values-count", 7),
    (40, "argument-range", 7),
    (41, "argument-range", 7),
    (42, "argument-type", 7),
    (45, "values-count", 7),
    (46, "values-count", 7),
    (48, "argument-type", 7),
    (56, "argument-range", 7),
    (60, "argument-range", 7),
    (70, "choice-list", 7),
    (72, "sampler-space", 6),
    (77, "sampler-space", 6),
    (78, "sampler-space", 6),
    (83, "choice-list", 7),
    (94, "bad-goal", 13),
    (95, "bad-goal", 13),
    (96, "bad-goal", 13),
    (99, "bad-goal", 13),
    (100, "missing-key", 13),
    (101, "missing-key", 2),
    (116, "argument-type", 16),
    (127, "bandit-slack", 12),
    (130, "bandit-slack", 9),
    (131, "argument-type", 10),
    (134, "argument-type", 10),
    (136, "argument-type", 11),
    (140, "argument-type", 10),
    (142, "argument-range", 11),
    (143, "argument-range", 11),
    (145, "argument-type", 11),
    (146, "argument-type", 11),
    (147, "missing-key", 9),
    (154, "duplicate-key", 17),
];

/// Rejected by both because the text itself cannot be read.
const UNREADABLE: [(u64, &str); 3] = [(155, "tab"), (156, "empty-file"), (166, "several-documents")];

/// Passed the old client but not the service, or mean nothing: refused by us with this error.
const STRICTER: [(u64, &str); 11] = [
    // A step of 0 or less.
    (52, "argument-range"),
    (53, "argument-range"),
    // Bounds that are not finite.
    (64, "argument-range"),
    (65, "argument-range"),
    // No metric to judge by: the service refused it.
    (102, "missing-key"),
    // Out of the service's range.
    (105, "argument-range"),
    (109, "argument-range"),
    (117, "argument-range"),
    // A negative slack.
    (129, "argument-range"),
    // No number of runs: the old client sent null and left it to the service.
    (110, "missing-key"),
    (153, "missing-key"),
];

#[test]
fn every_variant() {
    let mut seen = 0;
    for line in VARIANTS.lines() {
        let variant: Json = serde_json::from_str(line).unwrap();
        let id = variant["id"].as_u64().unwrap();
        let source = Source::new("hdconfig.yml", variant["yaml"].as_str().unwrap());
        let reading = read(&source);
        let mut errors: Vec<(&str, usize)> = reading
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .map(|diagnostic| {
                (
                    diagnostic.code.as_str(),
                    source.position(diagnostic.primary.span.start).line,
                )
            })
            .collect();
        errors.dedup();
        let codes: Vec<&str> = reading
            .diagnostics
            .iter()
            .map(|diagnostic| diagnostic.code.as_str())
            .collect();
        let about = format!("variant {id} ({}): {codes:?}", variant["change"]);
        seen += 1;
        assert_eq!(reading.value.is_some(), errors.is_empty(), "{about}");
        if variant["verdict"] == "accept" {
            if let Some((_, code)) = STRICTER.iter().find(|(stricter, _)| *stricter == id) {
                assert_eq!(
                    errors.iter().map(|(code, _)| *code).collect::<Vec<_>>(),
                    [*code],
                    "{about}"
                );
            } else {
                let expected = expected_wire(id, &variant["wire"]);
                let read = reading.value.unwrap_or_else(|| panic!("{about}"));
                assert_eq!(wire(&read), expected, "{about}");
            }
        } else if let Some((_, code)) = UNREADABLE.iter().find(|(unreadable, _)| *unreadable == id) {
            assert_eq!(errors.first().map(|(code, _)| *code), Some(*code), "{about}");
        } else if let Some((_, code, line)) = REFUSED.iter().find(|(refused, ..)| *refused == id) {
            assert_eq!(errors, [(*code, *line)], "{about}");
        } else {
            let (_, code) = LENIENT
                .iter()
                .find(|(lenient, _)| *lenient == id)
                .unwrap_or_else(|| panic!("{about}: rejected, but in no table"));
            assert!(reading.value.is_some(), "{about}");
            let is_loud = reading
                .diagnostics
                .iter()
                .any(|diagnostic| diagnostic.severity == Severity::Warning && diagnostic.code == *code);
            assert!(is_loud || !LOUD.contains(&id), "{about}");
            assert!(codes.contains(code), "{about}");
        }
    }
    assert_eq!(seen, 169);
}

/// The recorded wire form, with the few places in which we mean something else on purpose.
fn expected_wire(id: u64, recorded: &Json) -> Json {
    let mut wire = recorded.clone();
    // More concurrent runs than runs: the same as all of them.
    let total = wire["max_total_jobs"].as_u64().unwrap();
    let concurrent = wire["max_concurrent_jobs"].as_u64().unwrap().min(total);
    wire["max_concurrent_jobs"] = json!(concurrent);
    let space = &mut wire["generator_config"]["parameter_space"];
    match id {
        // A text is one option, not its letters; said with a warning.
        16 => space["--penalty"] = json!(["choice", [["abc"]]]),
        // Booleans that stood for numbers.
        38 => space["--penalty"] = json!(["randint", [1]]),
        47 => space["--penalty"] = json!(["uniform", [1, 2]]),
        // `slack_factor: 0` was sent as no slack at all; only ties with the best survive.
        124 => {
            wire["policy_config"]["properties"] =
                json!({"evaluation_interval": 1, "delay_evaluation": 0, "slack_factor": 0})
        }
        123 => wire["policy_config"]["properties"]["slack_factor"] = json!(0.2),
        // Intervals of 0 and less, and `true`, were sent as they are; they mean 1.
        132 | 133 | 135 => wire["policy_config"]["properties"]["evaluation_interval"] = json!(1),
        _ => {}
    }
    normalised(wire)
}

/// Numbers as doubles outside of option lists, so that `2.0` and `2` compare equal where the old client did not care.
fn normalised(mut wire: Json) -> Json {
    if let Some(space) = wire["generator_config"]["parameter_space"].as_object_mut() {
        for (_, call) in space {
            if call[0] != "choice" {
                for argument in call[1].as_array_mut().unwrap() {
                    *argument = json!(argument.as_f64().unwrap());
                }
            }
        }
    }
    for slack in ["slack_factor", "slack_amount"] {
        if let Some(value) = wire["policy_config"]["properties"].get_mut(slack) {
            *value = json!(value.as_f64().unwrap());
        }
    }
    wire
}

/// Our reading in the old wire form.
fn wire(read: &Hyperdrive) -> Json {
    let generator = match read.sampler.kind.as_str() {
        "random" => "RANDOM",
        "grid" => "GRID",
        "bayesian" => "BayesianOptimization",
        other => panic!("{other}"),
    };
    let mut space = Map::new();
    for (index, parameter) in read.space.parameters.iter().enumerate() {
        if parameter.condition.is_none() {
            space.insert(parameter.name.clone(), call(read, index));
        }
    }
    normalised(json!({
        "generator_config": {"name": generator, "parameter_space": space},
        "policy_config": policy(&read.policy),
        "primary_metric_config": {
            "name": read.metric.name,
            "goal": match read.metric.goal { Goal::Maximize => "maximize", Goal::Minimize => "minimize" },
        },
        "max_total_jobs": read.limits.max_total,
        "max_concurrent_jobs": read.limits.max_concurrent,
        "max_duration_minutes": read.limits.max_duration_ms.unwrap() / 60_000,
    }))
}

fn call(read: &Hyperdrive, index: usize) -> Json {
    let distribution = &read.space.parameters[index].distribution;
    match distribution {
        Distribution::Choice { options, .. } => {
            let branches: Vec<Map<String, Json>> = (0..options.len())
                .map(|option| branch(read, index, option))
                .collect();
            if branches.iter().all(Map::is_empty) {
                json!(["choice", [options]])
            } else {
                json!(["choice", [branches]])
            }
        }
        Distribution::Randint { upper } => json!(["randint", [upper]]),
        Distribution::Uniform { low, high } => json!(["uniform", [low, high]]),
        Distribution::Quniform { low, high, q } => json!(["quniform", [low, high, q]]),
        Distribution::Loguniform { low, high, .. } => json!(["loguniform", [low, high]]),
        Distribution::Qloguniform { low, high, q, .. } => json!(["qloguniform", [low, high, q]]),
        Distribution::Normal { mu, sigma } => json!(["normal", [mu, sigma]]),
        Distribution::Qnormal { mu, sigma, q } => json!(["qnormal", [mu, sigma, q]]),
        Distribution::Lognormal { mu, sigma, .. } => json!(["lognormal", [mu, sigma]]),
        Distribution::Qlognormal { mu, sigma, q, .. } => json!(["qlognormal", [mu, sigma, q]]),
        Distribution::Int { .. } => panic!("no expression of the file format"),
    }
}

fn branch(read: &Hyperdrive, parent: usize, option: usize) -> Map<String, Json> {
    let wanted = Condition {
        parent,
        options: vec![option],
    };
    read.parameters
        .iter()
        .filter_map(|ParameterBinding { name, shape, .. }| match shape {
            Shape::Constant { value, condition } if *condition == wanted => {
                Some((name.clone(), serde_json::to_value(value).unwrap()))
            }
            Shape::Parameter { index }
                if read.space.parameters[*index].condition.as_ref() == Some(&wanted) =>
            {
                Some((name.clone(), call(read, *index)))
            }
            _ => None,
        })
        .collect()
}

fn policy(spec: &PolicySpec) -> Json {
    let (name, schedule, mut properties) = match spec {
        PolicySpec::Bandit { schedule, slack, .. } => {
            let slack = match slack {
                Slack::Factor(factor) => ("slack_factor", *factor),
                Slack::Amount(amount) => ("slack_amount", *amount),
            };
            ("Bandit", schedule, vec![(slack.0, json!(slack.1))])
        }
        PolicySpec::MedianStopping { schedule, .. } => ("MedianStopping", schedule, Vec::new()),
        PolicySpec::TruncationSelection {
            schedule,
            percentage,
            exclude_finished_jobs,
            ..
        } => (
            "TruncationSelection",
            schedule,
            vec![
                ("truncation_percentage", json!(percentage)),
                ("exclude_finished_jobs", json!(exclude_finished_jobs)),
            ],
        ),
        _ => return json!({"name": "Default"}),
    };
    properties.insert(0, ("delay_evaluation", json!(schedule.delay_evaluation)));
    properties.insert(0, ("evaluation_interval", json!(schedule.evaluation_interval)));
    let properties: Map<String, Json> = properties
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    json!({"name": name, "properties": properties})
}

#[test]
fn nested_options_become_branches() {
    let line = VARIANTS
        .lines()
        .find(|line| line.starts_with(r#"{"id": 158"#))
        .unwrap();
    let variant: Json = serde_json::from_str(line).unwrap();
    let read = read(&Source::new("hdconfig.yml", variant["yaml"].as_str().unwrap()))
        .value
        .unwrap();
    let names: Vec<&str> = read
        .space
        .parameters
        .iter()
        .map(|parameter| parameter.name.as_str())
        .collect();
    assert_eq!(names, ["--penalty", "--penalty/0/lr"]);
    let shown: Vec<(&str, Option<&str>)> = read
        .parameters
        .iter()
        .map(|binding| (binding.name.as_str(), binding.argument.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            ("model", Some("--model")),
            ("lr", Some("--lr")),
            ("model", Some("--model"))
        ]
    );
    let Distribution::Choice { options, .. } = &read.space.parameters[0].distribution else {
        panic!("no selector");
    };
    assert_eq!(options, &[Value::Int(0), Value::Int(1)]);
}
