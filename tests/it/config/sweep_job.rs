//! v2 sweep and command jobs: every file of the corpus, the measured acceptance table, previews, REST bodies, pipelines.

use super::disk::{Disk, codes, fixture, folder};
use overdrive::config::command_job::{self, Job, JobContext};
use overdrive::config::launch::{LaunchContext, plan};
use overdrive::config::{Command, DataMap, Dialect, EnvironmentSpec, Reading, Shape, sweep_job};
use overdrive::diagnostic::{Diagnostic, Node, Severity, Source, parse};
use overdrive::metric::Goal;
use overdrive::policy::{PolicySpec, Schedule, Slack, Trigger};
use overdrive::space::{Assignment, Distribution, Value};
use std::path::Path;

struct With<'a> {
    folder: &'a Path,
    map: DataMap,
    settings: Vec<(Vec<String>, Node)>,
    step: Option<&'a str>,
}

impl<'a> With<'a> {
    fn folder(folder: &'a Path) -> Self {
        Self {
            folder,
            map: DataMap::default(),
            settings: Vec::new(),
            step: None,
        }
    }

    fn map(mut self, address: &str, path: &str) -> Self {
        self.map.locations.insert(address.into(), path.into());
        self
    }

    fn context(&self) -> JobContext<'_> {
        JobContext {
            files: &Disk,
            folder: self.folder,
            map: &self.map,
            settings: &self.settings,
            step: self.step,
            timeout_floor: true,
        }
    }

    fn read(&self, text: &str) -> Reading<Job> {
        sweep_job::read(&Source::new("job.yml", text), &self.context())
    }
}

/// Severities and codes without notes.
fn serious(found: &[Diagnostic]) -> Vec<String> {
    let serious: Vec<_> = found
        .iter()
        .filter(|d| d.severity != Severity::Note)
        .cloned()
        .collect();
    codes(&serious)
}

const BASE: &str = "type: sweep
search_space:
  lr: {type: uniform, min_value: 0.001, max_value: 0.1}
objective: {goal: maximize, primary_metric: acc}
limits: {max_total_trials: 4}
trial:
  command: python t.py --lr ${{search_space.lr}}
  environment: azureml:e:1
";

fn read(text: &str) -> Reading<Job> {
    With::folder(Path::new("/nowhere")).read(text)
}

fn job(text: &str) -> Job {
    let reading = read(text);
    reading
        .value
        .unwrap_or_else(|| panic!("{text}\n{:#?}", reading.diagnostics))
}

#[test]
fn the_corpus_loads() {
    for (name, code, warnings) in [
        (
            "azure-sdk-for-python__sweep-bandit.yaml",
            None,
            vec!["warning legacy-braces", "warning bandit-slack"],
        ),
        (
            "azure-sdk-for-python__sweep-search.yaml",
            Some("../python/sweep_script.py"),
            vec!["warning legacy-braces"],
        ),
        ("azure-sdk-for-python__sweep_job_output_types.yml", None, vec![]),
        (
            "azure-sdk-for-python__sweep_job_random_logbase_e.yml",
            Some("../../../python/x"),
            vec!["warning no-effect"],
        ),
        (
            "azure-sdk-for-python__sweep_job_recursive_search_space.yaml",
            None,
            vec!["warning quantized-bounds"; 0],
        ),
        (
            "azure-sdk-for-python__sweep_job_test.yaml",
            Some("../python/x"),
            vec!["warning legacy-braces"],
        ),
        (
            "azure-sdk-for-python__sweep_job_test_with_resources.yaml",
            Some("../python/x"),
            vec!["warning legacy-braces"],
        ),
        ("azureml-examples__hello-sweep.yml", Some("src/x"), vec![]),
        (
            "azureml-examples__lightgbm-iris-job-sweep.yml",
            Some("src/x"),
            vec![],
        ),
        (
            "azureml-examples__pipeline_with_hyperparameter_sweep.yml",
            None,
            vec![],
        ),
        (
            "azureml-examples__sklearn-iris-job-sweep.yml",
            Some("src/x"),
            vec![],
        ),
        (
            "azureml-irisexample__job-sweep.yml",
            Some("../../src/x"),
            vec!["warning preview-key"; 2],
        ),
        (
            "azureml-v2-preview__iris_sweep.2021-preview-schema.yml",
            Some("train/x"),
            vec!["warning preview-key"; 10],
        ),
        (
            "azureml-v2-preview__sweepjob.2021-preview-schema.yml",
            Some("src/x"),
            vec!["warning preview-key"; 9],
        ),
    ] {
        let root = folder(&[]);
        let here = root.path().join("a/b/c/d");
        std::fs::create_dir_all(&here).unwrap();
        if let Some(code) = code {
            let path = here.join(code);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::fs::create_dir(here.join("mapped")).unwrap();
        std::fs::create_dir(here.join("train-src")).unwrap();
        std::fs::write(
            here.join("train.yml"),
            fixture("sweep/azureml-examples__pipeline_with_hyperparameter_sweep.train.yml"),
        )
        .unwrap();
        let with = With::folder(&here)
            .map("azureml:testCode:1", "mapped")
            .map("azureml:dummy_code:1", "mapped")
            .map("azureml:irisdata:1", "mapped");
        let reading = with.read(&fixture(&format!("sweep/{name}")));
        let mut found = serious(&reading.diagnostics);
        // Braces of previews are old ones, too; counted apart.
        if name.contains("v2-preview") {
            assert_eq!(
                found
                    .iter()
                    .filter(|code| *code == "warning legacy-braces")
                    .count(),
                1,
                "{name}"
            );
            found.retain(|code| code != "warning legacy-braces");
        }
        if name.contains("recursive") {
            found.retain(|code| code != "warning quantized-bounds");
        }
        assert_eq!(found, warnings, "{name}");
        let experiment = reading.value.unwrap_or_else(|| panic!("{name}")).experiment;
        assert_eq!(experiment.dialect, Dialect::SweepJob);
        let text = serde_json::to_string(&experiment).unwrap();
        assert_eq!(
            serde_json::from_str::<overdrive::config::Experiment>(&text).unwrap(),
            experiment,
            "{name}"
        );
    }
}

#[test]
fn hello_sweep_becomes_commands() {
    let folder = folder(&[("src/hello-sweep.py", "")]);
    let reading = With::folder(folder.path()).read(&fixture("sweep/azureml-examples__hello-sweep.yml"));
    let experiment = reading.value.unwrap().experiment;
    assert_eq!(experiment.name, "hello-sweep-example");
    assert_eq!(experiment.targets, ["local"]);
    assert_eq!(experiment.metric.as_ref().unwrap().goal, Goal::Minimize);
    assert_eq!(experiment.limits.max_total, 4);
    assert_eq!(experiment.limits.max_concurrent, 2);
    assert_eq!(experiment.limits.max_duration_ms, Some(3_600_000));
    assert_eq!(
        experiment.launch.source_directory.as_deref(),
        Some(folder.path().join("src").as_path())
    );
    let assignment = Assignment {
        values: vec![Some(Value::Str("hello world".into())), Some(Value::Float(0.1))],
    };
    let plan = plan(&experiment, &assignment, &LaunchContext::default()).unwrap();
    assert_eq!(
        plan.argv,
        [
            "python",
            "hello-sweep.py",
            "--A",
            "0.5",
            "--B",
            "hello world",
            "--C",
            "0.1"
        ]
    );
    assert_eq!(plan.env["AZUREML_SWEEP_A"], "0.5");
    assert_eq!(plan.env["AZUREML_PARAMETER_A"], "0.5");
    assert_eq!(plan.env["AZUREML_SWEEP_B"], "hello world");
}

/// One line of the table of what the real client did, and what overdrive does.
fn acceptance(change: &str, replaces: &str, expected: Result<&[&str], &str>) {
    let text = if replaces.is_empty() {
        format!("{BASE}{change}\n")
    } else {
        assert!(BASE.contains(replaces), "{replaces}");
        BASE.replace(replaces, change)
    };
    let reading = read(&text);
    let found = serious(&reading.diagnostics);
    match expected {
        Ok(warnings) => {
            assert!(reading.value.is_some(), "{text}\n{:#?}", reading.diagnostics);
            assert_eq!(found, warnings, "{text}");
        }
        Err(code) => {
            assert!(reading.value.is_none(), "{text} was taken");
            assert!(found.contains(&format!("error {code}")), "{text}\n{found:?}");
        }
    }
}

#[test]
fn acceptance_table() {
    const LR: &str = "lr: {type: uniform, min_value: 0.001, max_value: 0.1}";
    const LIMITS: &str = "{max_total_trials: 4}";
    const TRIAL_ENVIRONMENT: &str = "  environment: azureml:e:1\n";
    let ok: Result<&[&str], &str> = Ok(&[]);
    for (change, replaces, expected) in [
        // No sampling_algorithm, no compute: the base file itself.
        ("", "", ok),
        (
            "",
            "objective: {goal: maximize, primary_metric: acc}\n",
            Err("missing-key"),
        ),
        ("", "limits: {max_total_trials: 4}\n", Err("missing-key")),
        ("", TRIAL_ENVIRONMENT, Err("missing-key")),
        (
            "",
            "  command: python t.py --lr ${{search_space.lr}}\n",
            Err("missing-key"),
        ),
        ("{max_concurrent_trials: 2}", LIMITS, Err("missing-key")),
        ("colour: red", "", Err("unknown-key")),
        ("  colour: red\n", TRIAL_ENVIRONMENT, Err("unknown-key")),
        ("type: Sweep\n", "type: sweep\n", Err("unknown-type")),
        ("{goal: Maximize, ", "{goal: maximize, ", ok),
        ("{goal: max, ", "{goal: maximize, ", Err("bad-goal")),
        ("primary_metric: ''", "primary_metric: acc", Err("argument-type")),
        ("sampling_algorithm: Random", "", ok),
        ("sampling_algorithm: sobol", "", Err("unknown-sampler")),
        (
            "sampling_algorithm: {type: random, rule: Sobol, seed: \"7\", logbase: 10}",
            "",
            Ok(&["warning no-effect"]),
        ),
        (
            "sampling_algorithm: {type: grid, seed: 7}",
            "",
            Err("unknown-key"),
        ),
        (
            "sampling_algorithm: {type: random, logbase: abc}",
            "",
            Err("argument-range"),
        ),
        (
            "sampling_algorithm: {type: random, seed: 7.5}",
            "",
            Ok(&["warning cut-number"]),
        ),
        ("sampling_algorithm: grid", "", Err("sampler-space")),
        ("sampling_algorithm: bayesian", "", ok),
        (
            "search_space: {}\n",
            "search_space:\n  lr: {type: uniform, min_value: 0.001, max_value: 0.1}\n",
            Err("missing-key"),
        ),
        (
            "l-r: {type: randint, upper: 3}\n  lr: {type: randint, upper: 3}",
            LR,
            Err("bad-name"),
        ),
        (
            "lr: {type: uniform, min_value: \"1e-3\", max_value: 1e-1}",
            LR,
            ok,
        ),
        ("lr: {type: Uniform, min_value: 0, max_value: 1}", LR, ok),
        (
            "lr: {type: uniform, min_value: 1, max_value: 0}",
            LR,
            Err("argument-range"),
        ),
        (
            "lr: {type: uniform, min_value: 1, max_value: 1}",
            LR,
            Ok(&["warning one-value"]),
        ),
        ("lr: {type: uniform, min_value: 1}", LR, Err("missing-key")),
        (
            "lr: {type: uniform, min_value: .inf, max_value: 1}",
            LR,
            Err("argument-range"),
        ),
        (
            "lr: {type: quniform, min_value: 0, max_value: 1}",
            LR,
            Err("missing-key"),
        ),
        (
            "lr: {type: quniform, min_value: 0, max_value: 1, q: 0.25}",
            LR,
            ok,
        ),
        (
            "lr: {type: quniform, min_value: 1, max_value: 10, q: 4}",
            LR,
            Ok(&["warning quantized-bounds"]),
        ),
        (
            "lr: {type: quniform, min_value: 0, max_value: 1, q: 0}",
            LR,
            Err("argument-range"),
        ),
        (
            "lr: {type: normal, mu: 0, sigma: 0}",
            LR,
            Ok(&["warning one-value"]),
        ),
        ("lr: {type: normal, mu: 0, sigma: -1}", LR, Err("argument-range")),
        ("lr: {type: randint, upper: 5.5}", LR, Ok(&["warning cut-number"])),
        ("lr: {type: randint, upper: \"5\"}", LR, ok),
        ("lr: {type: randint, upper: -1}", LR, Err("argument-range")),
        ("lr: {type: randint, upper: 5, lower: 1}", LR, Err("unknown-key")),
        ("lr: {type: choice, values: [true]}", LR, Err("argument-type")),
        ("lr: {type: choice, values: [yes]}", LR, Err("argument-type")),
        ("lr: {type: choice, values: [null]}", LR, Err("argument-type")),
        ("lr: {type: choice, values: [[1]]}", LR, Err("argument-type")),
        ("lr: {type: choice, values: 3}", LR, Err("argument-type")),
        ("lr: {type: choice, values: []}", LR, Err("values-count")),
        ("lr: {type: choice, values: [1.0, 0.001, 10]}", LR, ok),
        ("lr: {values: [1]}", LR, Err("missing-key")),
        ("lr: 3", LR, Err("argument-type")),
        ("{max_total_trials: 4, timeout: 5}", LIMITS, ok),
        ("{max_total_trials: 4, timeout: -5}", LIMITS, ok),
        ("{max_total_trials: 4, timeout: 0}", LIMITS, ok),
        ("{max_total_trials: 4, timeout: \"3600\"}", LIMITS, ok),
        (
            "{max_total_trials: 4, timeout: PT1H}",
            LIMITS,
            Err("argument-type"),
        ),
        ("{max_total_trials: 1.5}", LIMITS, Ok(&["warning cut-number"])),
        ("{max_total_trials: 4, max_concurrent_trials: 10}", LIMITS, ok),
        ("{max_total_trials: 0}", LIMITS, Err("argument-range")),
        (
            "early_termination: {type: bandit}",
            "",
            Ok(&["warning bandit-slack"]),
        ),
        (
            "early_termination: {type: bandit, slack_factor: 0.1, slack_amount: 2}",
            "",
            Ok(&["warning bandit-slack"]),
        ),
        (
            "early_termination: {type: bandit, slack_factor: 0.1, truncation_percentage: 3}",
            "",
            Err("unknown-key"),
        ),
        ("early_termination: {type: median_stopping}", "", ok),
        (
            "early_termination: {type: truncation_selection}",
            "",
            Err("missing-key"),
        ),
        (
            "early_termination: {type: truncation_selection, truncation_percentage: 150}",
            "",
            Err("argument-range"),
        ),
        (
            "early_termination: {type: truncation_selection, truncation_percentage: 20, exclude_finished_jobs: true}",
            "",
            Ok(&["warning preview-key"]),
        ),
        ("early_termination: bandit", "", Err("argument-type")),
        ("early_termination: {type: MedianStopping}", "", ok),
        (
            "${{inputs.zz}}",
            "${{search_space.lr}}",
            Err("undefined-reference"),
        ),
        (
            "${{ inputs.zz }}",
            "${{search_space.lr}}",
            Err("undefined-reference"),
        ),
        ("[--x ${{inputs.zz}}]", "${{search_space.lr}}", ok),
        // The client leaves this one to the service.
        (
            "${{search_space.zz}}",
            "${{search_space.lr}}",
            Err("undefined-reference"),
        ),
        (
            "${{outputs.zz}}",
            "${{search_space.lr}}",
            Err("undefined-reference"),
        ),
        ("3", "${{search_space.lr}}", ok),
        (
            "  environment: e\n  distribution: {type: PyTorch, process_count_per_instance: 2}\n",
            TRIAL_ENVIRONMENT,
            ok,
        ),
        (
            "  environment: e\n  distribution: {type: ray, port: 1}\n",
            TRIAL_ENVIRONMENT,
            ok,
        ),
        (
            "  environment: e\n  distribution: {type: horovod}\n",
            TRIAL_ENVIRONMENT,
            Err("unknown-distribution"),
        ),
        ("inputs: {a: null}", "", Err("argument-type")),
        ("inputs: {a: [1]}", "", Err("argument-type")),
        (
            "inputs: {a: {path: 'https://h/x', mode: upload}}",
            "",
            Err("unknown-mode"),
        ),
        ("inputs: {a: {path: 'https://h/x', mode: Download}}", "", ok),
        ("inputs: {a: {value: 3}}", "", ok),
        ("inputs: {a-b: 3}", "", Err("bad-name")),
        ("inputs: {a: {path: nowhere.csv}}", "", Err("missing-file")),
        ("inputs: {a: {path: 'azureml:x:1'}}", "", Err("unmapped-data")),
        ("tags: {a: 1}", "", Err("argument-type")),
        ("tags: {a: }", "", ok),
        ("outputs: {o: {mode: ro_mount}}", "", Err("unknown-mode")),
        ("outputs: {o: {mode: rw_mount}}", "", ok),
        (
            "  environment: e\n  code: nowhere\n",
            TRIAL_ENVIRONMENT,
            Err("missing-file"),
        ),
        (
            "  environment: e\n  code: azureml:c:1\n",
            TRIAL_ENVIRONMENT,
            Err("unmapped-code"),
        ),
        (
            "  environment: e\n  inputs: {a: 1}\n",
            TRIAL_ENVIRONMENT,
            Err("unknown-key"),
        ),
        ("queue_settings: {job_tier: Spot, priority: Low}", "", ok),
        (
            "identity: {type: ManagedIdentity}\nservices: {a: {type: ssh}}\nstatus: x\nid: y",
            "",
            ok,
        ),
    ] {
        acceptance(change, replaces, expected);
    }
}

#[test]
fn values_are_read_with_their_types() {
    let job = job(&BASE.replace(
        "  lr: {type: uniform, min_value: 0.001, max_value: 0.1}",
        "  lr: {type: loguniform, min_value: 0, max_value: 2}\n  c: {type: choice, values: [1.0, 1, 1e-3, x]}",
    )
    .replace("limits:", "sampling_algorithm: {type: random, rule: sobol, seed: 7, logbase: \"10\"}\ncompute: azureml:gpu\nlimits:"));
    let experiment = job.experiment;
    assert_eq!(job.seed, Some(7));
    assert_eq!(experiment.sampler.kind, "sobol");
    assert_eq!(experiment.targets, ["gpu"]);
    assert_eq!(
        experiment.space.parameters[0].distribution,
        Distribution::Loguniform {
            low: 0.0,
            high: 2.0,
            base: 10.0
        }
    );
    // PyYAML reads `1e-3` as a text.
    let options = vec![
        Value::Float(1.0),
        Value::Int(1),
        Value::Str("1e-3".into()),
        Value::Str("x".into()),
    ];
    assert_eq!(
        experiment.space.parameters[1].distribution,
        Distribution::Choice {
            options,
            ordered: None
        }
    );
    assert_eq!(experiment.limits.max_concurrent, 4);
    assert_eq!(experiment.limits.max_duration_ms, Some(5_184_000_000));
    assert_eq!(
        experiment.launch.environment,
        EnvironmentSpec::UserManaged {
            interpreter: "python".into()
        }
    );
}

#[test]
fn the_base_of_logarithms() {
    let with = |algorithm: &str, lr: &str| {
        let text = BASE.replace("{type: uniform, min_value: 0.001, max_value: 0.1}", lr);
        format!("{text}sampling_algorithm: {algorithm}\n")
    };
    let distribution = |text: &str| job(text).experiment.space.parameters[0].distribution.clone();
    let bounded = "{type: loguniform, min_value: -3, max_value: 1}";
    for (base, expected) in [
        ("10", (-3.0, 1.0, 10.0)),
        ("'2'", (-3.0, 1.0, 2.0)),
        ("0.5", (-1.0, 3.0, 2.0)),
    ] {
        let text = with(&format!("{{type: random, logbase: {base}}}"), bounded);
        let (low, high, base) = expected;
        assert_eq!(distribution(&text), Distribution::Loguniform { low, high, base });
    }
    let text = with(
        "{type: random, logbase: 0.5}",
        "{type: lognormal, mu: 2, sigma: 1}",
    );
    let expected = Distribution::Lognormal {
        mu: -2.0,
        sigma: 1.0,
        base: 2.0,
    };
    assert_eq!(distribution(&text), expected);
    // 0.5^3 .. 0.5^-1 all the same.
    let drawn = Distribution::Loguniform {
        low: -1.0,
        high: 3.0,
        base: 2.0,
    };
    let Value::Float(lowest) = drawn.quantile(1e-12) else {
        panic!()
    };
    assert!((lowest - 0.5).abs() < 1e-9, "{lowest}");
    let too_large = "{type: loguniform, min_value: 0, max_value: 800}";
    assert!(
        serious(&read(&with("random", too_large)).diagnostics).contains(&"error argument-range".to_owned())
    );
}

#[test]
fn limits_and_policies() {
    let limits = |text: &str| {
        let job = job(&BASE.replace("{max_total_trials: 4}", text));
        (job.experiment.limits, job.experiment.launch.trial_timeout_ms)
    };
    assert_eq!(
        limits("{max_total_trials: 4, timeout: 5, trial_timeout: 10}")
            .0
            .max_duration_ms,
        Some(60_000)
    );
    assert_eq!(
        limits("{max_total_trials: 4, timeout: 5, trial_timeout: 10}").1,
        Some(60_000)
    );
    assert_eq!(
        limits("{max_total_trials: 4, timeout: 0}").0.max_duration_ms,
        Some(5_184_000_000)
    );
    assert_eq!(
        limits("{max_total_trials: 4, max_concurrent_trials: 10}")
            .0
            .max_concurrent,
        4
    );
    let policy = |text: &str| {
        job(&format!("{BASE}early_termination: {text}\n"))
            .experiment
            .policy
    };
    let schedule = |evaluation_interval, delay_evaluation| Schedule {
        evaluation_interval,
        delay_evaluation,
    };
    assert_eq!(
        policy("{type: bandit, slack_amount: 0.2, evaluation_interval: 0, delay_evaluation: 3}"),
        PolicySpec::Bandit {
            schedule: schedule(1, 3),
            slack: Slack::Amount(0.2),
            literal: false,
            trigger: Trigger::Sweep,
        }
    );
    assert_eq!(
        policy("{type: bandit, slack_amount: 0.2, slack_factor: 40}"),
        PolicySpec::Bandit {
            schedule: schedule(1, 0),
            slack: Slack::Factor(40.0),
            literal: false,
            trigger: Trigger::Sweep,
        }
    );
    assert_eq!(
        policy("{type: medianStopping, evaluation_interval: null}"),
        PolicySpec::MedianStopping {
            schedule: schedule(1, 0),
            trigger: Trigger::Sweep,
        }
    );
}

#[test]
fn nested_spaces_are_flat_inside_and_nested_outside() {
    let folder = folder(&[("c/x", "")]);
    let with = With::folder(folder.path()).map("azureml:dummy_code:1", "c");
    let text = fixture("sweep/azure-sdk-for-python__sweep_job_recursive_search_space.yaml");
    let experiment = with.read(&text).value.unwrap().experiment;
    let names: Vec<_> = experiment
        .space
        .parameters
        .iter()
        .map(|p| p.name.as_str())
        .collect();
    assert_eq!(
        names[..5],
        [
            "lr",
            "conv_size",
            "conv_size/0/val1",
            "conv_size/0/val1/0/val11",
            "conv_size/0/val1/1/val12"
        ]
    );
    assert_eq!(names.len(), 28);
    for (index, parameter) in experiment.space.parameters.iter().enumerate() {
        if let Some(condition) = &parameter.condition {
            assert!(condition.parent < index);
            let parent = &experiment.space.parameters[condition.parent];
            let Distribution::Choice { options, .. } = &parent.distribution else {
                panic!("{}", parent.name)
            };
            assert!(condition.options.iter().all(|option| *option < options.len()));
        } else {
            assert!(!parameter.name.contains('/'));
        }
    }
    let names: Vec<_> = experiment
        .launch
        .parameters
        .iter()
        .map(|p| p.name.as_str())
        .collect();
    assert_eq!(names, ["lr", "conv_size", "dropout_rate"]);
    assert!(matches!(
        experiment.launch.parameters[1].shape,
        Shape::Branches { index: 1, .. }
    ));
    let mut values = vec![None; experiment.space.len()];
    values[0] = Some(Value::Float(0.01));
    values[1] = Some(Value::Int(0));
    values[2] = Some(Value::Int(0));
    values[3] = Some(Value::Float(0.0412));
    *values.last_mut().unwrap() = Some(Value::Float(0.5));
    let plan = plan(&experiment, &Assignment { values }, &LaunchContext::default()).unwrap();
    assert_eq!(plan.argv[5], r#"{"const_val":999,"val1":{"val11":0.0412}}"#);
}

#[test]
fn a_choice_may_mix_maps_and_plain_options() {
    let job = job(&BASE.replace(
        "lr: {type: uniform, min_value: 0.001, max_value: 0.1}",
        "lr: {type: choice, values: [none, {a: {type: randint, upper: 3}, b: 1}]}",
    ));
    let experiment = job.experiment;
    let argument = |values: Vec<Option<Value>>| {
        plan(&experiment, &Assignment { values }, &LaunchContext::default())
            .unwrap()
            .argv[3]
            .clone()
    };
    assert_eq!(argument(vec![Some(Value::Int(0)), None]), "none");
    assert_eq!(
        argument(vec![Some(Value::Int(1)), Some(Value::Int(2))]),
        r#"{"a":2,"b":1}"#
    );
}

#[test]
fn previews_mean_the_same_as_todays_form() {
    let folder = folder(&[("src/x", ""), ("iris/x", "")]);
    let with = With::folder(folder.path()).map("azureml:irisdata:1", "iris");
    let read = |text: &str| {
        let reading = with.read(text);
        reading
            .value
            .unwrap_or_else(|| panic!("{:#?}", reading.diagnostics))
            .experiment
    };
    let mut preview = read(&fixture(
        "sweep/azureml-v2-preview__sweepjob.2021-preview-schema.yml",
    ));
    let mut today = read(
        "type: sweep
experiment_name: basic-sweep-example
sampling_algorithm: random
compute: azureml:goazurego
search_space:
  lr: {type: uniform, min_value: 0.001, max_value: 0.1}
  conv_size: {type: choice, values: [2, 5, 7]}
  dropout_rate: {type: uniform, min_value: 0.1, max_value: 0.5}
objective: {primary_metric: accuracy, goal: maximize}
trial:
  command: python train.py --lr {search_space.lr} --conv_size {search_space.conv_size} --dropout_rate {search_space.dropout_rate}
  code: src
  environment: e
limits: {max_total_trials: 100, max_concurrent_trials: 10, timeout: 600000}
early_termination: {type: truncation_selection, evaluation_interval: 100, delay_evaluation: 200, truncation_percentage: 40, exclude_finished_jobs: true}
",
    );
    preview.launch.run_definition = serde_json::Value::Null;
    today.launch.run_definition = serde_json::Value::Null;
    assert_eq!(preview, today);

    std::fs::create_dir(folder.path().join("train")).unwrap();
    let iris = read(&fixture(
        "sweep/azureml-v2-preview__iris_sweep.2021-preview-schema.yml",
    ));
    assert_eq!(iris.space.parameters[0].name, "learning-rate");
    assert_eq!(
        iris.launch.data[0].value,
        folder.path().join("iris").to_string_lossy()
    );
    assert_eq!(iris.limits.max_duration_ms, Some(1_200_000));
}

#[test]
fn the_rest_body() {
    let text = r#"{"properties": {"jobType": "Sweep", "displayName": "d", "experimentName": "e", "tags": {"myTag": "x"},
        "searchSpace": {"lr": ["uniform", [0.001, 0.1]], "c": ["choice", [[1, "a"]]], "maxDepth": ["quniform", [1, 9, 1]]},
        "samplingAlgorithm": {"samplingAlgorithmType": "Random", "seed": 3},
        "objective": {"goal": "Maximize", "primaryMetric": "acc"},
        "limits": {"jobLimitsType": "Sweep", "maxTotalTrials": 9, "maxConcurrentTrials": 3, "timeout": "PT2H", "trialTimeout": "PT5M"},
        "earlyTermination": {"policyType": "MedianStopping", "delayEvaluation": 2, "evaluationInterval": 1},
        "inputs": {"myInput": {"jobInputType": "literal", "value": "v"}, "d": {"jobInputType": "uri_file", "uri": "https://h/f", "mode": "ReadOnlyMount"}},
        "outputs": {"o": {"jobOutputType": "uri_folder", "mode": "ReadWriteMount"}},
        "computeId": "/subscriptions/s/resourceGroups/g/providers/p/computes/gpu",
        "trial": {"command": "t ${{search_space.lr}} ${{inputs.myInput}} ${{outputs.o}}", "environmentId": "azureml:e:1",
            "environmentVariables": {"MyVar": "1"}, "distribution": {"distributionType": "PyTorch", "processCountPerInstance": 2},
            "resources": {"instanceCount": 2, "shmSize": "2g"}}}}"#;
    let job = job(text);
    let experiment = job.experiment;
    assert_eq!(job.seed, Some(3));
    assert_eq!(experiment.name, "e");
    assert_eq!(experiment.targets, ["gpu"]);
    assert_eq!(experiment.tags["myTag"], "x");
    assert_eq!(experiment.space.parameters[2].name, "maxDepth");
    assert_eq!(experiment.limits.max_duration_ms, Some(7_200_000));
    assert_eq!(experiment.launch.trial_timeout_ms, Some(300_000));
    assert_eq!(experiment.launch.environment_variables["MyVar"], "1");
    assert_eq!(experiment.launch.node_count, 2);
    assert_eq!(experiment.launch.process_count_per_node, 2);
    assert_eq!(experiment.launch.data[0].name, "myInput");
}

#[test]
fn a_sweep_step_of_a_pipeline() {
    let folder = folder(&[
        ("train-src/train.py", ""),
        (
            "train.yml",
            &fixture("sweep/azureml-examples__pipeline_with_hyperparameter_sweep.train.yml"),
        ),
    ]);
    let text = fixture("sweep/azureml-examples__pipeline_with_hyperparameter_sweep.yml");
    let with = With::folder(folder.path());
    let reading = with.read(&text);
    let experiment = reading.value.unwrap().experiment;
    assert_eq!(experiment.targets, ["cpu-cluster"]);
    assert_eq!(experiment.space.len(), 3);
    let assignment = Assignment {
        values: vec![
            Some(Value::Float(0.7)),
            Some(Value::Str("poly".into())),
            Some(Value::Float(0.25)),
        ],
    };
    let context = LaunchContext {
        attempt_folder: "/a".into(),
        ..LaunchContext::default()
    };
    let plan = plan(&experiment, &assignment, &context).unwrap();
    assert_eq!(plan.argv[..2], ["bash", "-c"]);
    assert_eq!(
        plan.argv[2],
        "pip install 'mlflow<2.19' -q && python train.py  --data https://azuremlexamples.blob.core.windows.net/datasets/iris.csv --C 0.7 --kernel poly --degree 3 --gamma scale --coef0 0.25 --shrinking False --probability False --tol 0.001 --cache_size 1024 --verbose False --max_iter -1 --decision_function_shape ovr --break_ties False --random_state 42 --model_output /a/named_outputs/model_output --test_data /a/named_outputs/test_data"
    );
    let wrong = With {
        step: Some("sweep_stp"),
        ..With::folder(folder.path())
    };
    assert_eq!(serious(&wrong.read(&text).diagnostics), ["error unknown-step"]);
    let bound = text.replace(
        "type: uri_file\n        path: wasbs://datasets@azuremlexamples.blob.core.windows.net/iris.csv",
        "path: ${{parent.jobs.prep.outputs.x}}",
    );
    assert!(serious(&with.read(&bound).diagnostics).contains(&"error undefined-reference".to_owned()));
}

#[test]
fn code_may_be_one_file_or_absent() {
    let folder = folder(&[("python/sweep_script.py", ""), ("jobs/x", "")]);
    let jobs = folder.path().join("jobs");
    let with = With::folder(&jobs);
    let experiment = with
        .read(&fixture("sweep/azure-sdk-for-python__sweep-search.yaml"))
        .value
        .unwrap()
        .experiment;
    assert_eq!(
        experiment.launch.source_directory,
        Some(folder.path().join("python"))
    );
    assert_eq!(experiment.launch.source_files, ["sweep_script.py"]);
    assert_eq!(job(BASE).experiment.launch.source_directory, None);
}

#[test]
fn settings_change_the_document_before_it_is_read() {
    let value = |text: &str| {
        parse(
            &Source::new("--set", text),
            overdrive::diagnostic::Dialect::Yaml11,
        )
        .root
        .unwrap()
    };
    let mut with = With::folder(Path::new("/nowhere"));
    let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    with.settings = vec![
        (path("limits.max_total_trials"), value("9")),
        (path("search_space.lr.max_value"), value("0.5")),
        (path("early_termination.type"), value("median_stopping")),
        (path("trial.command"), value("echo ${{search_space.lr}}")),
    ];
    let experiment = with.read(BASE).value.unwrap().experiment;
    assert_eq!(experiment.limits.max_total, 9);
    assert_eq!(
        experiment.space.parameters[0].distribution,
        Distribution::Uniform {
            low: 0.001,
            high: 0.5
        }
    );
    assert!(matches!(experiment.policy, PolicySpec::MedianStopping { .. }));
    with.settings = vec![(path("type.x"), value("1"))];
    assert!(serious(&with.read(BASE).diagnostics).contains(&"error setting".to_owned()));
}

#[test]
fn command_jobs_are_one_trial() {
    let folder = folder(&[
        ("src/t.py", ""),
        ("conda.yml", "dependencies: [python=3.11, {pip: [numpy]}]\n"),
        ("d.csv", ""),
    ]);
    let map = DataMap::default();
    let context = JobContext {
        files: &Disk,
        folder: folder.path(),
        map: &map,
        settings: &[],
        step: None,
        timeout_floor: true,
    };
    let read = |text: &str| command_job::read(&Source::new("job.yml", text), &context);
    let text = "$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json
command: python t.py --n ${{inputs.n}} --flag ${{inputs.flag}} --data ${{inputs.data}} [--opt ${{inputs.opt}}]
code: src
environment: {image: python, conda_file: conda.yml}
environment_variables: {A: 1, B: true}
inputs: {n: 2.50, flag: yes, data: {type: uri_file, path: d.csv}}
outputs: {model: {type: uri_file}}
limits: {timeout: 5}
compute: azureml:gpu
name: job1
";
    let reading = read(text);
    assert_eq!(codes(&reading.diagnostics), [""; 0]);
    let experiment = reading.value.unwrap().experiment;
    assert_eq!(experiment.dialect, Dialect::CommandJob);
    assert_eq!(experiment.metric, None);
    assert_eq!(experiment.limits.max_total, 1);
    assert_eq!(experiment.launch.trial_timeout_ms, Some(5000));
    assert_eq!(experiment.launch.environment_variables["A"], "1");
    assert_eq!(experiment.launch.environment_variables["B"], "true");
    let EnvironmentSpec::Docker { image, inner, .. } = &experiment.launch.environment else {
        panic!("the image is forgotten");
    };
    assert_eq!(image.as_deref(), Some("python"));
    assert!(matches!(**inner, EnvironmentSpec::Conda { .. }));
    assert!(matches!(
        experiment.launch.command,
        Command::Template {
            append_parameters: false,
            ..
        }
    ));
    let plan = plan(&experiment, &Assignment::default(), &LaunchContext::default()).unwrap();
    let data = folder.path().join("d.csv").to_string_lossy().into_owned();
    assert_eq!(
        plan.argv,
        ["python", "t.py", "--n", "2.5", "--flag", "True", "--data", &data]
    );
    assert_eq!(plan.env["AZURE_ML_INPUT_data"], data);
    for (text, code) in [
        (
            "command: t ${{search_space.a}}\nenvironment: e\n",
            "error undefined-reference",
        ),
        (
            "command: t ${{parent.a}}\nenvironment: e\n",
            "error undefined-reference",
        ),
        (
            "command: t\nenvironment: e\nlimts: {timeout: 4}\n",
            "error unknown-key",
        ),
        ("command: \"t 'a\"\nenvironment: e\n", "error bad-command"),
        ("command: ' '\nenvironment: e\n", "error bad-command"),
        (
            "type: commnad\ncommand: t\nenvironment: e\n",
            "error unknown-type",
        ),
    ] {
        assert_eq!(codes(&read(text).diagnostics), [code], "{text}");
    }
}

#[test]
fn places_point_into_folded_commands() {
    let text = BASE.replace(
        "  command: python t.py --lr ${{search_space.lr}}\n",
        "  command: >-\n    python t.py\n    --lr ${{search_space.lrr}}\n",
    );
    let found = read(&text).diagnostics;
    assert_eq!(codes(&found), ["error undefined-reference"]);
    assert_eq!(found[0].place().unwrap(), "job.yml:9:10");
    assert_eq!(found[0].suggestion.as_ref().unwrap().text, "${{search_space.lr}}");
}
