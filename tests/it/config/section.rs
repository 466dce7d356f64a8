//! The `overdrive` section from its three places, stacked and applied.

use overdrive::config::hyperdrive::read;
use overdrive::config::{Command, EnvironmentSpec, Experiment, Launch, Section};
use overdrive::diagnostic::{Diagnostic, Source};
use overdrive::policy::{PolicySpec, Trigger};
use overdrive::space::{Distribution, Value};

fn launch() -> Launch {
    serde_json::from_value(serde_json::json!({
        "source_directory": null,
        "command": Command::Script { script: "train.py".into(), arguments: Vec::new() },
        "parameters": [],
        "environment_variables": {},
        "environment": EnvironmentSpec::UserManaged { interpreter: "python".into() },
        "framework": "python",
        "communicator": "none",
        "node_count": 1,
        "process_count_per_node": 1,
        "run_definition": {},
    }))
    .unwrap()
}

const FILE: &str = "\
sampling:
  type: random
  parameter_space:
  - {name: --lr, expression: loguniform, values: [-9.2103, -2.3026]}
  - {name: layers, expression: quniform, values: [1, 10, 4]}
  - {name: --kind, expression: choice, values: [a, b]}
policy: {type: BanditPolicy, slack_amount: 0.1}
primary_metric_name: loss
primary_metric_goal: minimize
max_total_runs: 10
overdrive:
  seed: 7
  targets: local
  constraints: ['layers <= 8']
  clip: true
  trigger: reporter
  trial_timeout: 15m
  render: {quantized: float}
  sampler: {type: Sobol, candidates: 24}
  azureml_shim: false
  mlflow_create: child
  enqueue:
  - {--lr: 0.01, layers: 4, kind: b}
";

fn experiment(text: &str, more: &[Section]) -> (Experiment, Vec<Diagnostic>) {
    let reading = read(&Source::new("hdconfig.yml", text));
    let read = reading
        .value
        .unwrap_or_else(|| panic!("{:?}", reading.diagnostics));
    let (mut experiment, mut section) = read.into_experiment("digits".into(), None, launch());
    for over in more {
        section = over.clone().over(section);
    }
    let diagnostics = section.apply(&mut experiment);
    (experiment, diagnostics)
}

#[test]
fn settings_reach_the_experiment() {
    let (experiment, diagnostics) = experiment(FILE, &[]);
    assert_eq!(diagnostics, []);
    assert_eq!(experiment.sampler.seed, 7);
    assert_eq!(experiment.sampler.kind, "sobol");
    assert_eq!(experiment.sampler.options["candidates"], 24);
    assert_eq!(experiment.targets, ["local"]);
    assert_eq!(experiment.extensions["azureml_shim"], false);
    assert_eq!(experiment.extensions["mlflow_create"], "child");
    assert_eq!(experiment.space.constraints, ["layers <= 8"]);
    assert_eq!(experiment.launch.trial_timeout_ms, Some(900_000));
    assert_eq!(experiment.extensions["render"]["quantized"], "float");
    assert_eq!(experiment.abort_after_initial_failures, 3);
    assert!(matches!(
        experiment.policy,
        PolicySpec::Bandit {
            trigger: Trigger::Reporter,
            ..
        }
    ));
    assert_eq!(
        experiment.space.parameters[1].distribution,
        Distribution::Quniform {
            low: 4.0,
            high: 8.0,
            q: 4.0
        }
    );
    assert_eq!(
        experiment.enqueue[0].values,
        [
            Some(Value::Float(0.01)),
            Some(Value::Int(4)),
            Some(Value::Str("b".into()))
        ]
    );
    let json = serde_json::to_string(&experiment).unwrap();
    assert_eq!(serde_json::from_str::<Experiment>(&json).unwrap(), experiment);
}

#[test]
fn the_command_line_wins_over_the_file_beside_and_that_over_the_section() {
    let beside = Section::from_file(&Source::new(
        "overdrive.yml",
        "seed: 8\nmetrics: [acc, f1]\ntargets: [a, b]\n",
    ));
    let set = Section::from_setting("seed=9");
    let render = Section::from_setting("render.raw_substitution=true");
    let sections = [beside.value.unwrap(), set.value.unwrap(), render.value.unwrap()];
    let (experiment, _) = experiment(FILE, &sections);
    assert_eq!(experiment.sampler.seed, 9);
    assert_eq!(experiment.targets, ["a", "b"]);
    assert_eq!(experiment.metrics, ["acc", "f1"]);
    assert_eq!(
        experiment.extensions["render"],
        serde_json::json!({"quantized": "float", "raw_substitution": true})
    );
}

#[test]
fn settings_of_the_command_line_are_checked_in_place() {
    for (argument, code, column) in [
        ("seed=many", "argument-type", 6),
        ("sede=1", "unknown-key", 1),
        ("seed", "setting", 1),
        ("render.quantised=int", "unknown-key", 1),
        ("targets=[a", "syntax", 9),
    ] {
        let reading = Section::from_setting(argument);
        assert!(reading.value.is_none(), "{argument}");
        let diagnostic = &reading.diagnostics[0];
        assert_eq!(diagnostic.code, code, "{argument}");
        assert_eq!(
            diagnostic.place().unwrap(),
            format!("--set:1:{column}"),
            "{argument}"
        );
    }
    assert_eq!(
        Section::from_setting("targets=[a, b]")
            .value
            .unwrap()
            .targets
            .unwrap(),
        ["a", "b"]
    );
    assert_eq!(
        Section::from_setting("stop_when=best >= 0.99")
            .value
            .unwrap()
            .stop_when
            .unwrap()
            .text,
        "best >= 0.99"
    );
}

#[test]
fn what_depends_on_the_space_is_said_with_its_place() {
    let text = FILE
        .replace("'layers <= 8'", "'layers <= 8', 'width > 3', layers <= 2")
        .replace("type: Sobol", "type: sobl");
    let (experiment, diagnostics) = experiment(&text, &[]);
    let found: Vec<_> = diagnostics
        .iter()
        .map(|diagnostic| (diagnostic.code.as_str(), diagnostic.place().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            ("unknown-sampler", "hdconfig.yml:19:19".to_owned()),
            ("constraint", "hdconfig.yml:14:33".to_owned()),
            ("enqueue", "hdconfig.yml:23:5".to_owned()),
        ]
    );
    assert_eq!(experiment.space.constraints, ["layers <= 8", "layers <= 2"]);
    assert_eq!(diagnostics[0].suggestion.as_ref().unwrap().text, "sobol");
}

#[test]
fn enqueued_configurations_must_fit() {
    let text = FILE.replace("{--lr: 0.01, layers: 4, kind: b}", "{--lr: 5, layer: 4, kind: c}");
    let (experiment, diagnostics) = experiment(&text, &[]);
    assert!(experiment.enqueue.is_empty());
    let found: Vec<_> = diagnostics
        .iter()
        .map(|diagnostic| (diagnostic.severity.word(), diagnostic.message.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("error", "a configuration to try first does not set `layers`"),
            ("warning", "`--lr` lies outside its bounds"),
            ("error", "`layer` is not a parameter of this configuration"),
            ("error", "`c` is not an option of `kind`"),
        ]
    );
}

#[test]
fn beliefs_reach_samplers_that_learn() {
    let with = |sampler: &str, priors: &str| {
        let text = FILE
            .replace("{type: Sobol, candidates: 24}", sampler)
            .replace("  seed: 7\n", &format!("  seed: 7\n  priors: {priors}\n"));
        experiment(&text, &[])
    };
    let (learning, diagnostics) = with("auto", "{lr: {low: 0.001, high: 0.01}, kind: {b: 3, a: 1}}");
    assert_eq!(diagnostics, []);
    assert_eq!(learning.sampler.options["priors"]["lr"]["high"], 0.01);
    let space = std::sync::Arc::new(learning.space.clone());
    let mut sampler =
        overdrive::sampler::build(&learning.sampler, space, overdrive::metric::Goal::Minimize).unwrap();
    let history = overdrive::history::History::new(overdrive::metric::Goal::Minimize);
    let overdrive::sampler::Suggestion::Next(first) = sampler.suggest(0, &history) else {
        panic!("nothing was suggested");
    };
    // The middle of the belief on a logarithmic axis, and the likelier option.
    let rate = first.assignment.values[0]
        .as_ref()
        .and_then(Value::as_f64)
        .unwrap();
    assert!((rate - 0.001 * 10_f64.sqrt()).abs() < 1e-4, "{rate}");
    assert_eq!(first.assignment.values[2], Some(Value::Str("b".into())));
    for (sampler, priors, reason) in [
        ("auto", "{speed: {low: 1, high: 2}}", "`speed` is not a parameter"),
        ("bayesian", "{lr: {low: 2, high: 1}}", "not below"),
        ("bayesian", "{kind: {c: 1}}", "not one of the options"),
        ("grid", "{lr: {low: 0.001, high: 0.01}}", "uses no priors"),
    ] {
        let (_, diagnostics) = with(sampler, priors);
        let found = format!("{diagnostics:?}");
        assert!(diagnostics.len() == 1 && found.contains(reason), "{found}");
    }
}

#[test]
fn auto_is_told_what_may_be_spent() {
    let mut spec = overdrive::sampler::SamplerSpec {
        kind: "auto".into(),
        seed: 0,
        allow_duplicates: false,
        options: serde_json::Map::new(),
    };
    spec.plan_for(20, 4);
    spec.plan_for(99, u64::MAX);
    assert_eq!(spec.options["max_trials"], 20);
    assert_eq!(spec.options["max_concurrent"], 4);
    spec.kind = "random".into();
    spec.options.clear();
    spec.plan_for(20, 4);
    assert!(spec.options.is_empty());
}

#[test]
fn a_policy_of_our_own_replaces_the_files() {
    let set = |text: &str| {
        let reading = Section::from_setting(text);
        (reading.value, reading.diagnostics)
    };
    let (section, found) = set("policy=predictive");
    assert_eq!(found, []);
    let (experiment, _) = experiment(FILE, &[section.unwrap()]);
    let usual = PolicySpec::Predictive {
        false_stops: 0.05,
        top_k: 1,
        eager: false,
        delay_evaluation: 0,
        max_resource: None,
        freeze: false,
    };
    assert_eq!(experiment.policy, usual);
    let (section, found) = set("policy={type: Hyperband, brackets: 4}");
    assert_eq!(found, []);
    let (experiment, _) = self::experiment(FILE, &[section.unwrap()]);
    let brackets = PolicySpec::Hyperband {
        min_resource: 1,
        reduction_factor: 3,
        brackets: 4,
        freeze: false,
    };
    assert_eq!(experiment.policy, brackets);
    let (_, found) = set("policy=predictiv");
    assert!(found[0].message.contains("`predictiv` is none of"), "{found:?}");
    assert_eq!(found[0].code, "unknown-policy");
    let (_, found) = set("policy={type: Predictive, false_stops: 0.9}");
    assert!(found[0].message.contains("at most 0.5"), "{found:?}");
    let (_, found) = set("policy={type: Predictive, false_stop: 0.1}");
    assert!(found[0].message.contains("false_stop"), "{found:?}");
}
