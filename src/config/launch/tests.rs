//! The vectors of the command line, of templates and of variables.

use super::*;
use crate::config::{DataBinding, MetricSpec, ParameterBinding, Shape};
use crate::controller::Limits;
use crate::metric::Goal;
use crate::policy::PolicySpec;
use crate::sampler::SamplerSpec;
use crate::space::{Condition, Distribution, Parameter, SearchSpace};
use serde_json::json;

fn experiment(dialect: Dialect, command: Command, parameters: &[(&str, Distribution)]) -> Experiment {
    let v1 = dialect == Dialect::Hyperdrive;
    Experiment {
        name: "digits".into(),
        display_name: None,
        description: None,
        tags: IndexMap::new(),
        dialect,
        file: None,
        space: SearchSpace {
            parameters: parameters
                .iter()
                .map(|(name, distribution)| Parameter {
                    name: (*name).into(),
                    distribution: distribution.clone(),
                    condition: None,
                })
                .collect(),
            constraints: Vec::new(),
        },
        sampler: SamplerSpec {
            kind: "random".into(),
            seed: 1,
            allow_duplicates: false,
            options: serde_json::Map::new(),
        },
        policy: PolicySpec::NoTermination,
        metric: Some(MetricSpec {
            name: "acc".into(),
            goal: Goal::Maximize,
        }),
        metrics: Vec::new(),
        limits: Limits {
            max_total: 1,
            max_concurrent: 1,
            max_duration_ms: None,
        },
        abort_after_initial_failures: 3,
        max_retries: 2,
        launch: Launch {
            source_directory: None,
            source_files: Vec::new(),
            command,
            parameters: parameters
                .iter()
                .enumerate()
                .map(|(index, (name, _))| ParameterBinding {
                    name: (*name).into(),
                    shape: Shape::Parameter { index },
                    argument: v1.then(|| argument_name(name)),
                })
                .collect(),
            environment_variables: IndexMap::new(),
            environment: EnvironmentSpec::Conda {
                dependencies: json!({}),
            },
            data: Vec::new(),
            outputs: Vec::new(),
            file_outputs: Vec::new(),
            trial_timeout_ms: None,
            framework: "python".into(),
            communicator: "none".into(),
            node_count: 1,
            process_count_per_node: 1,
            run_definition: json!({}),
        },
        targets: vec!["local".into()],
        enqueue: Vec::new(),
        resume_from: Vec::new(),
        stop_when: None,
        extensions: serde_json::Map::new(),
    }
}

fn any() -> Distribution {
    Distribution::Uniform { low: 0.0, high: 1.0 }
}

fn values(values: &[Value]) -> Assignment {
    Assignment {
        values: values.iter().cloned().map(Some).collect(),
    }
}

fn context() -> LaunchContext {
    LaunchContext {
        sweep: "HD_1".into(),
        run_id: "HD_1_3".into(),
        trial: 3,
        interpreter: vec!["/env/bin/python".into()],
        attempt_folder: "/s/3".into(),
        workspace: "default".into(),
        target_type: "local".into(),
        ..LaunchContext::default()
    }
}

fn script(script: &str, arguments: &[&str]) -> Command {
    Command::Script {
        script: script.into(),
        arguments: arguments.iter().map(|argument| (*argument).into()).collect(),
    }
}

fn template(text: &str) -> Command {
    Command::Template {
        text: text.into(),
        append_parameters: false,
    }
}

fn argv(experiment: &Experiment, drawn: &[Value]) -> Vec<String> {
    plan(experiment, &values(drawn), &context()).unwrap().argv
}

fn text(value: &str) -> Value {
    Value::Str(value.into())
}

#[test]
fn fixed_arguments_come_first_then_pairs_in_file_order() {
    type Case<'a> = (Command, &'a [&'a str], &'a [Value], &'a [&'a str]);
    let cases: [Case<'_>; 5] = [
        (
            script("train.py", &[]),
            &["--penalty"],
            &[Value::Float(0.5)],
            &["train.py", "--penalty", "0.5"],
        ),
        (
            script("train.py", &["--data-path", "/data"]),
            &["--c"],
            &[Value::Int(1)],
            &["train.py", "--data-path", "/data", "--c", "1"],
        ),
        (
            script("train.py", &["--kernel", "linear"]),
            &["learning_rate", "batch_size"],
            &[Value::Float(1e-5), Value::Int(16)],
            &[
                "train.py",
                "--kernel",
                "linear",
                "--learning_rate",
                "1e-05",
                "--batch_size",
                "16",
            ],
        ),
        (
            script("train2.py", &["--a", "1"]),
            &["-x"],
            &[Value::Int(3)],
            &["train2.py", "--a", "1", "-x", "3"],
        ),
        (
            script("train.py", &[]),
            &["kernel", "flag", "none", "empty", "list", "map"],
            &[
                text("3, 3, 3"),
                Value::Bool(true),
                Value::Null,
                text(""),
                Value::List(vec![Value::Int(1), Value::Int(2)]),
                Value::Map(Box::new([("a".to_owned(), Value::Int(1))].into_iter().collect())),
            ],
            &[
                "train.py",
                "--kernel",
                "3, 3, 3",
                "--flag",
                "True",
                "--none",
                "None",
                "--empty",
                "",
                "--list",
                "[1, 2]",
                "--map",
                "{\"a\": 1}",
            ],
        ),
    ];
    for (command, names, drawn, expected) in cases {
        let parameters: Vec<_> = names.iter().map(|name| (*name, any())).collect();
        let experiment = experiment(Dialect::Hyperdrive, command, &parameters);
        let argv = argv(&experiment, drawn);
        assert_eq!(argv[0], "/env/bin/python");
        assert_eq!(argv[1..], *expected);
    }
}

#[test]
fn data_references_and_declared_variables_are_expanded_and_nothing_else() {
    let mut experiment = experiment(
        Dialect::Hyperdrive,
        script(
            "train.py",
            &[
                "--d",
                "$AZUREML_DATAREFERENCE_ws/x",
                "${AZUREML_DATAREFERENCE_ws-2}/y",
                "$HOME",
                "$MINE-$",
                "DatasetConsumptionConfig:ws",
                "DatasetOutputConfig:model",
            ],
        ),
        &[],
    );
    for (name, value) in [("ws", "/m"), ("ws-2", "/n")] {
        experiment.launch.data.push(DataBinding {
            name: name.into(),
            value: value.into(),
            variables: vec![format!("AZUREML_DATAREFERENCE_{name}")],
            mechanism: None,
            is_path: true,
        });
    }
    experiment
        .launch
        .environment_variables
        .insert("MINE".into(), "a b".into());
    experiment.launch.outputs.push("model".into());
    assert_eq!(
        argv(&experiment, &[])[2..],
        [
            "--d",
            "/m/x",
            "/n/y",
            "$HOME",
            "a b-$",
            "/m",
            "/s/3/named_outputs/model"
        ]
    );
    let mut staged = context();
    staged.data.insert("ws".into(), "/remote".into());
    let plan = plan(&experiment, &Assignment::default(), &staged).unwrap();
    assert_eq!(plan.argv[3], "/remote/x");
    assert_eq!(plan.env["AZUREML_DATAREFERENCE_ws"], "/remote");
    assert_eq!(plan.inputs["ws"], "/remote");
}

#[test]
fn the_framework_the_interpreter_and_the_file_decide_what_starts_the_script() {
    let starts = |framework: &str, environment: EnvironmentSpec, file: &str| {
        let mut experiment = experiment(Dialect::Hyperdrive, script(file, &[]), &[]);
        experiment.launch.framework = framework.into();
        experiment.launch.environment = environment;
        argv(&experiment, &[]).join(" ")
    };
    let system = || EnvironmentSpec::Conda {
        dependencies: json!({}),
    };
    let own = |interpreter: &str| EnvironmentSpec::UserManaged {
        interpreter: interpreter.into(),
    };
    assert_eq!(
        starts("python", system(), "a/train.py"),
        "/env/bin/python a/train.py"
    );
    assert_eq!(starts("r", own("python"), "train.R"), "Rscript train.R");
    assert_eq!(starts("python", own("python"), "train.R"), "Rscript train.R");
    assert_eq!(starts("python", system(), "train.sh"), "bash train.sh");
    assert_eq!(starts("python", own("python3"), "train"), "./train");
    assert_eq!(starts("python", own("python3"), "bin/train"), "bin/train");
    assert_eq!(starts("python", system(), "train"), "/env/bin/python train");
    assert_eq!(
        starts("python", own("/opt/node"), "train.js"),
        "/opt/node train.js"
    );
    let image = EnvironmentSpec::Docker {
        image: None,
        dockerfile: None,
        context: None,
        arguments: Vec::new(),
        shm_size: None,
        inner: Box::new(own("/opt/julia")),
    };
    assert_eq!(starts("python", image, "train.jl"), "/opt/julia train.jl");
}

#[test]
fn spark_gets_its_packages_and_settings() {
    let mut experiment = experiment(Dialect::Hyperdrive, script("train.py", &["--a"]), &[]);
    experiment.launch.framework = "pyspark".into();
    experiment.launch.run_definition = json!({
        "environment": {"spark": {
            "repositories": ["https://r/x", "https://r/y"],
            "packages": [{"group": "com.microsoft", "artifact": "mmlspark", "version": 0.9}],
        }},
        "spark": {"configuration": {"spark.app.name": "A B", "spark.yarn.maxAppAttempts": 1}},
    });
    assert_eq!(
        argv(&experiment, &[]),
        [
            "spark-submit",
            "--repositories",
            "https://r/x,https://r/y",
            "--packages",
            "com.microsoft:mmlspark:0.9",
            "--conf",
            "spark.app.name=A B",
            "--conf",
            "spark.yarn.maxAppAttempts=1",
            "train.py",
            "--a",
        ]
    );
}

#[test]
fn quantized_draws_are_integers_in_v1_and_floats_in_v2() {
    let distribution = |q: f64| Distribution::Quniform {
        low: 0.0,
        high: 20.0,
        q,
    };
    for (dialect, q, setting, expected) in [
        (Dialect::Hyperdrive, 4.0, None, "16"),
        (Dialect::Hyperdrive, 0.5, None, "16.0"),
        (Dialect::Hyperdrive, 4.0, Some("float"), "16.0"),
        (Dialect::SweepJob, 4.0, None, "16.0"),
        (Dialect::SweepJob, 4.0, Some("int"), "16"),
    ] {
        let mut experiment = experiment(
            dialect,
            template("t ${{search_space.w}}"),
            &[("w", distribution(q))],
        );
        if let Some(setting) = setting {
            experiment
                .extensions
                .insert("render".into(), json!({"quantized": setting}));
        }
        let plan = plan(&experiment, &values(&[Value::Float(16.0)]), &context()).unwrap();
        assert_eq!(plan.argv[1], expected);
        assert_eq!(plan.parameters["w"].to_string(), expected);
    }
}

#[test]
fn template_vectors() {
    for (command, drawn, expected, shell) in [
        (
            "python m.py --lr ${{search_space.lr}}",
            Value::Float(0.05),
            "python m.py --lr 0.05",
            false,
        ),
        (
            "python m.py --lr {search_space.lr} {other}",
            Value::Float(1e-5),
            "python m.py --lr 1e-05 {other}",
            false,
        ),
        (
            "python m.py ${{ search_space.lr }}",
            Value::Int(3),
            "python m.py 3",
            false,
        ),
        (
            "python m.py --b \"${{search_space.lr}}\"",
            text("hello world"),
            "python m.py --b \"hello world\"",
            false,
        ),
        (
            "python m.py --b ${{search_space.lr}}",
            text("hello world"),
            "python m.py --b 'hello world'",
            false,
        ),
        (
            "python m.py --b '${{search_space.lr}}'",
            text("it's"),
            "python m.py --b 'it'\\''s'",
            false,
        ),
        (
            "python m.py --b \"${{search_space.lr}}\"",
            text("$a`\"\\"),
            "python m.py --b \"\\$a\\`\\\"\\\\\"",
            false,
        ),
        (
            "python m.py [--x ${{inputs.x}}] --y 1",
            Value::Int(1),
            "python m.py  --y 1",
            false,
        ),
        (
            "python m.py [--x ${{inputs.A}}] --y 1",
            Value::Int(1),
            "python m.py --x 0.5 --y 1",
            false,
        ),
        ("python m.py", Value::Float(0.1), "python m.py", false),
        (
            "python m.py --lr=$AZUREML_SWEEP_lr",
            Value::Float(0.1),
            "python m.py --lr=0.1",
            false,
        ),
        (
            "echo ${HOME} ${{inputs.A}}",
            Value::Int(1),
            "echo ${HOME} 0.5",
            true,
        ),
        (
            "pip install 'mlflow<2.19' -q && python t.py",
            Value::Int(1),
            "pip install 'mlflow<2.19' -q && python t.py",
            true,
        ),
        (
            "python t.py 'a|b' \"c>d\" e\\;f",
            Value::Int(1),
            "python t.py 'a|b' \"c>d\" e\\;f",
            false,
        ),
        ("A=1 python t.py", Value::Int(1), "A=1 python t.py", true),
        ("cd sub", Value::Int(1), "cd sub", true),
        (
            "python t.py cd a=b x#y",
            Value::Int(1),
            "python t.py cd a=b x#y",
            false,
        ),
        ("python t.py *.csv", Value::Int(1), "python t.py *.csv", true),
        ("python t.py '$HOME'", Value::Int(1), "python t.py '$HOME'", false),
        ("python t.py ~/data", Value::Int(1), "python t.py ~/data", true),
        (
            "python t.py \"{{search_space.lr}}\"",
            Value::Int(1),
            "python t.py \"{{search_space.lr}}\"",
            false,
        ),
    ] {
        let lr = drawn.to_string();
        let value = |room: Room, path: &str| match (room, path) {
            (Room::SearchSpace, "lr") => Some(lr.clone()),
            (Room::Inputs, "A") => Some("0.5".to_owned()),
            _ => None,
        };
        let filled = Template::parse(command)
            .fill(
                &value,
                &|name| (name == "AZUREML_SWEEP_lr").then(|| lr.clone()),
                false,
            )
            .unwrap();
        assert_eq!(
            (filled.text.as_str(), filled.needs_shell),
            (expected, shell),
            "{command}"
        );
    }
}

#[test]
fn templates_become_arguments_or_one_shell_command() {
    let with = |command: &str, drawn: Value| {
        argv(
            &experiment(Dialect::SweepJob, template(command), &[("b", any())]),
            &[drawn],
        )
    };
    assert_eq!(
        with("python m.py --b ${{search_space.b}}\n", text("hello; rm 'x'")),
        ["/env/bin/python", "m.py", "--b", "hello; rm 'x'"]
    );
    assert_eq!(
        with("python3 m.py --b \"<${{search_space.b}}>\"", text("a \"b\"")),
        ["python3", "m.py", "--b", "<a \"b\">"]
    );
    assert_eq!(
        with("python m.py ${{search_space.b}} | tee log", text("a b")),
        ["bash", "-c", "python m.py 'a b' | tee log"]
    );
    let mut raw = experiment(
        Dialect::SweepJob,
        template("m ${{search_space.b}}"),
        &[("b", any())],
    );
    raw.extensions
        .insert("render".into(), json!({"raw_substitution": true}));
    assert_eq!(argv(&raw, &[text("a b")]), ["m", "a", "b"]);
}

#[test]
fn a_v1_command_gets_its_pairs_appended() {
    let command = |text: &str| {
        let command = Command::Template {
            text: text.into(),
            append_parameters: true,
        };
        argv(
            &experiment(Dialect::Hyperdrive, command, &[("--lr", any()), ("name", any())]),
            &[Value::Float(0.5), text_value()],
        )
    };
    fn text_value() -> Value {
        Value::Str("a b".into())
    }
    assert_eq!(
        command("Rscript train.R --x $AZUREML_SWEEP_lr"),
        ["Rscript", "train.R", "--x", "0.5", "--lr", "0.5", "--name", "a b"]
    );
    assert_eq!(
        command("echo hi && ./train"),
        ["/bin/sh", "-c", "echo hi && ./train --lr 0.5 --name 'a b'"]
    );
}

#[test]
fn nested_spaces_show_the_chosen_branch() {
    let selector = |name: &str, parent: Option<usize>| Parameter {
        name: name.into(),
        distribution: Distribution::Choice {
            options: vec![Value::Int(0), Value::Int(1)],
            ordered: None,
        },
        condition: parent.map(|parent| Condition {
            parent,
            options: vec![0],
        }),
    };
    let leaf = |name: &str, parent: usize, option: usize| Parameter {
        name: name.into(),
        distribution: any(),
        condition: Some(Condition {
            parent,
            options: vec![option],
        }),
    };
    let mut nested = experiment(
        Dialect::SweepJob,
        template("t ${{search_space.conv}} ${{search_space.conv.val1.val11}} x${{search_space.conv.val2}}"),
        &[("conv", any())],
    );
    nested.space.parameters = vec![
        selector("conv", None),
        selector("conv/0/val1", Some(0)),
        leaf("conv/0/val1/0/val11", 1, 0),
        leaf("conv/0/val1/1/val12", 1, 1),
        leaf("conv/1/val2", 0, 1),
    ];
    let entry = |key: &str, shape: Shape| Shape::Record {
        entries: [(key.to_owned(), shape)].into_iter().collect(),
    };
    nested.launch.parameters[0].shape = Shape::Branches {
        index: 0,
        options: vec![
            Shape::Record {
                entries: [
                    (
                        "const_val".to_owned(),
                        Shape::Literal {
                            value: Value::Int(999),
                        },
                    ),
                    (
                        "val1".to_owned(),
                        Shape::Branches {
                            index: 1,
                            options: vec![
                                entry("val11", Shape::Parameter { index: 2 }),
                                entry("val12", Shape::Parameter { index: 3 }),
                            ],
                        },
                    ),
                ]
                .into_iter()
                .collect(),
            },
            entry("val2", Shape::Parameter { index: 4 }),
        ],
    };
    let drawn = Assignment {
        values: vec![
            Some(Value::Int(0)),
            Some(Value::Int(0)),
            Some(Value::Float(0.0412)),
            None,
            None,
        ],
    };
    let result = plan(&nested, &drawn, &context()).unwrap();
    let json = r#"{"const_val":999,"val1":{"val11":0.0412}}"#;
    assert_eq!(result.argv, ["t", json, "0.0412", "x"]);
    assert_eq!(result.env["AZUREML_SWEEP_conv"], json);
    assert_eq!(result.parameters.len(), 1);
    let other = Assignment {
        values: vec![Some(Value::Int(1)), None, None, None, Some(Value::Float(2.0))],
    };
    let result = plan(&nested, &other, &context()).unwrap();
    assert_eq!(result.argv, ["t", r#"{"val2":2.0}"#, "", "x2.0"]);
    let broken = Assignment {
        values: vec![Some(Value::Int(7)), None, None, None, None],
    };
    assert_eq!(
        plan(&nested, &broken, &context()),
        Err(LaunchError::NoSuchBranch {
            parameter: "conv".into(),
            value: "7".into()
        })
    );
}

#[test]
fn v1_branches_are_flattened_and_constants_follow_their_branch() {
    let mut flat = experiment(
        Dialect::Hyperdrive,
        script("t.py", &[]),
        &[("model", any()), ("lr", any())],
    );
    flat.space.parameters[0].distribution = Distribution::Choice {
        options: vec![Value::Int(0), Value::Int(1)],
        ordered: None,
    };
    let under = |option: usize| Condition {
        parent: 0,
        options: vec![option],
    };
    flat.space.parameters[1].condition = Some(under(0));
    flat.launch.parameters[0] = ParameterBinding {
        name: "model_name".into(),
        shape: Shape::Constant {
            value: text("frcnn"),
            condition: under(1),
        },
        argument: Some("--model_name".into()),
    };
    let first = Assignment {
        values: vec![Some(Value::Int(0)), Some(Value::Float(0.5))],
    };
    let second = Assignment {
        values: vec![Some(Value::Int(1)), None],
    };
    assert_eq!(
        plan(&flat, &first, &context()).unwrap().argv[1..],
        ["t.py", "--lr", "0.5"]
    );
    let plan = plan(&flat, &second, &context()).unwrap();
    assert_eq!(plan.argv[1..], ["t.py", "--model_name", "frcnn"]);
    assert_eq!(plan.parameters.keys().collect::<Vec<_>>(), ["model_name"]);
}

#[test]
fn variables_of_a_trial() {
    let mut experiment = experiment(
        Dialect::Hyperdrive,
        script("train.py", &[]),
        &[("--learning-rate", any()), ("units", any())],
    );
    experiment.launch.environment_variables = [
        ("MINE".to_owned(), "1".to_owned()),
        ("AZUREML_RUN_ID".to_owned(), "no".to_owned()),
    ]
    .into_iter()
    .collect();
    experiment.launch.data.push(DataBinding {
        name: "train".into(),
        value: "/data".into(),
        variables: vec!["training_data".into(), "TRAINING_DATA".into()],
        mechanism: Some("download".into()),
        is_path: true,
    });
    let assignment = values(&[Value::Float(0.5), Value::Int(3)]);
    let offline = plan(&experiment, &assignment, &context()).unwrap().env;
    for (name, value) in [
        ("MINE", "1"),
        ("PYTHONUNBUFFERED", "1"),
        ("AZUREML_RUN_ID", "HD_1_3"),
        ("AZUREML_ARM_PROJECT_NAME", "digits"),
        ("AZUREML_OUTPUT_DIRECTORY", "./outputs"),
        ("AZUREML_TARGET_TYPE", "local"),
        ("AZUREML_SWEEP_learning_rate", "0.5"),
        ("OVERDRIVE_PARAM_LEARNING_RATE", "0.5"),
        ("OVERDRIVE_PARAM_UNITS", "3"),
        ("OVERDRIVE_PARAMS", r#"{"--learning-rate":0.5,"units":3}"#),
        ("OVERDRIVE_RUN_DIR", "/s/3"),
        ("training_data", "/data"),
        ("TRAINING_DATA", "/data"),
        ("AZUREML_DATASET_ENVIRONMENT_VARS", "training_data:download"),
    ] {
        assert_eq!(offline.get(name).map(String::as_str), Some(value), "{name}");
    }
    let online = plan(
        &experiment,
        &assignment,
        &LaunchContext {
            shim: true,
            ..context()
        },
    )
    .unwrap()
    .env;
    for name in [
        "AZUREML_ARM_SUBSCRIPTION",
        "AZUREML_ARM_RESOURCEGROUP",
        "AZUREML_ARM_WORKSPACE_NAME",
    ] {
        assert!(!offline.contains_key(name) && online.contains_key(name), "{name}");
    }
    for name in ["AZUREML_RUN_TOKEN", "AZUREML_SERVICE_ENDPOINT"] {
        assert!(
            !online.contains_key(name),
            "{name} would send the real SDK to the network"
        );
    }
}

#[test]
fn outputs_and_inputs_of_v2() {
    let mut experiment = experiment(
        Dialect::SweepJob,
        template("t ${{outputs.model}} ${{outputs.report}} ${{inputs.data}}/x"),
        &[],
    );
    experiment.launch.outputs = vec!["model".into(), "report".into()];
    experiment.launch.file_outputs = vec!["report".into()];
    experiment
        .launch
        .environment_variables
        .insert("WHERE".into(), "in ${{inputs.data}}".into());
    experiment.launch.data.push(DataBinding {
        name: "data".into(),
        value: "/d d".into(),
        variables: vec!["AZURE_ML_INPUT_data".into()],
        mechanism: None,
        is_path: true,
    });
    let plan = plan(&experiment, &Assignment::default(), &context()).unwrap();
    assert_eq!(
        plan.argv,
        [
            "t",
            "/s/3/named_outputs/model",
            "/s/3/named_outputs/report/report",
            "/d d/x"
        ]
    );
    assert_eq!(plan.env["AZURE_ML_INPUT_data"], "/d d");
    assert_eq!(plan.env["AZURE_ML_OUTPUT_model"], "/s/3/named_outputs/model");
    assert_eq!(plan.env["WHERE"], "in /d d");
    assert!(!plan.env.contains_key("model"));
}

#[test]
fn what_cannot_be_started_is_said() {
    let failure = |command: Command, drawn: &[Value]| {
        let parameters: &[(&str, Distribution)] = &[("a", any())];
        plan(
            &experiment(Dialect::SweepJob, command, parameters),
            &values(drawn),
            &context(),
        )
        .unwrap_err()
    };
    let one = [Value::Int(1)];
    assert_eq!(
        failure(template("t"), &[]),
        LaunchError::ForeignAssignment {
            given: 0,
            expected: 1
        }
    );
    assert_eq!(
        failure(template("t ${{inputs.x}}"), &one).to_string(),
        "the command uses `${{inputs.x}}`, which is not defined"
    );
    assert_eq!(failure(template(" "), &one), LaunchError::Empty);
    assert_eq!(
        failure(template("t 'a"), &one),
        LaunchError::OpenQuote("t 'a".into())
    );
    assert_eq!(
        failure(template("t ${{search_space.a}}"), &[text("a\0b")]),
        LaunchError::Nul { index: 1 }
    );
}
