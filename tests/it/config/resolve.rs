//! From what is typed to an experiment and its commands: files beside each other, precedence, names, mistakes across files.

use super::disk::{Disk, codes, fixture, folder};
use overdrive::config::launch::{LaunchContext, plan};
use overdrive::config::resolve::{FindError, find_file, sanitized};
use overdrive::config::{
    Dialect, EnvironmentChoice, EnvironmentSpec, Experiment, Request, Resolved, resolve,
};
use overdrive::diagnostic::{Diagnostic, Severity};
use overdrive::space::{Assignment, Value};
use std::path::{Path, PathBuf};

const HDCONFIG: &str = "sampling:
  type: random
  parameter_space:
  - {name: --penalty, expression: choice, values: [0.5, 1, 1.5]}
policy: {type: BanditPolicy, slack_factor: 0.2}
primary_metric_name: Accuracy
primary_metric_goal: maximize
max_total_runs: 8
max_concurrent_runs: 2
max_duration_minutes: 60
";

fn request(folder: &Path, file: &str) -> Request {
    Request {
        file: Some(folder.join(file)),
        fallback_seed: 77,
        ..Request::default()
    }
}

fn errors(resolved: &Resolved) -> Vec<&Diagnostic> {
    resolved
        .diagnostics
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .collect()
}

fn experiment(request: &Request) -> Experiment {
    let resolved = resolve(request, &Disk);
    assert!(errors(&resolved).is_empty(), "{:#?}", resolved.diagnostics);
    resolved.experiment.unwrap()
}

fn argv(experiment: &Experiment, values: &[Value]) -> Vec<String> {
    let assignment = Assignment {
        values: values.iter().cloned().map(Some).collect(),
    };
    plan(experiment, &assignment, &LaunchContext::default())
        .unwrap()
        .argv
}

#[test]
fn the_vectors_of_the_command_line() {
    let folder = folder(&[
        ("train.py", ""),
        ("train2.py", ""),
        ("none.runconfig", "script: train.py\n"),
        (
            "data.runconfig",
            "script: train.py\narguments: [--data-path, /data]\n",
        ),
        (
            "kernel.runconfig",
            "script: train.py\narguments: [--kernel, linear]\n",
        ),
        (
            "twice.runconfig",
            "script: train.py\narguments: [--kernel, linear, --penalty, 1.0]\n",
        ),
        (
            "reference.runconfig",
            "script: train.py\narguments: [--d, $AZUREML_DATAREFERENCE_ws/x]\ndataReferences: {ws: {dataStoreName: store}}\n",
        ),
        ("b.runconfig", "script: train.py\narguments: [--b, 2]\n"),
    ]);
    let space = |items: &str| {
        std::fs::write(
            folder.path().join("hdconfig.yml"),
            HDCONFIG.replace(
                "  - {name: --penalty, expression: choice, values: [0.5, 1, 1.5]}\n",
                items,
            ),
        )
        .unwrap();
    };
    let with = |configuration: &str| Request {
        run_configuration: Some(configuration.into()),
        ..request(folder.path(), "hdconfig.yml")
    };
    space("  - {name: --penalty, expression: choice, values: [0.5]}\n");
    assert_eq!(
        argv(&experiment(&with("none")), &[Value::Float(0.5)])[1..],
        ["train.py", "--penalty", "0.5"]
    );
    space("  - {name: --c, expression: choice, values: [0.5, 1, 1.5]}\n");
    assert_eq!(
        argv(&experiment(&with("data")), &[Value::Int(1)])[1..],
        ["train.py", "--data-path", "/data", "--c", "1"]
    );
    space(
        "  - {name: learning_rate, expression: choice, values: [1e-5]}\n  - {name: batch_size, expression: quniform, values: [8, 32, 8]}\n",
    );
    assert_eq!(
        argv(
            &experiment(&with("kernel")),
            &[Value::Float(1e-5), Value::Float(16.0)]
        )[1..],
        [
            "train.py",
            "--kernel",
            "linear",
            "--learning_rate",
            "1e-05",
            "--batch_size",
            "16"
        ]
    );
    space("  - {name: -x, expression: randint, values: [9]}\n");
    let typed = Request {
        script: Some("train2.py".into()),
        arguments: vec!["--a".into(), "1".into()],
        ..with("b")
    };
    assert_eq!(
        argv(&experiment(&typed), &[Value::Int(3)])[1..],
        ["train2.py", "--a", "1", "-x", "3"]
    );
    let mut mapped = with("reference");
    mapped.map.datastores.insert("store".into(), "/m".into());
    assert_eq!(
        argv(&experiment(&mapped), &[Value::Int(3)])[1..4],
        ["train.py", "--d", "/m/x"]
    );
}

#[test]
fn an_argument_given_twice_is_an_error_that_names_both_places() {
    let folder = folder(&[
        ("train.py", ""),
        ("hdconfig.yml", HDCONFIG),
        (
            "a.runconfig",
            "script: train.py\narguments:\n- --kernel\n- linear\n- --penalty\n- 1.0\n- --penalty=2\n- --v\n",
        ),
    ]);
    let mut request = request(folder.path(), "hdconfig.yml");
    let resolved = resolve(&request, &Disk);
    assert!(resolved.experiment.is_none());
    assert_eq!(codes(&resolved.diagnostics), ["error duplicate-argument"; 2]);
    assert!(
        resolved.diagnostics[0]
            .place()
            .unwrap()
            .ends_with("hdconfig.yml:4:12")
    );
    assert!(resolved.diagnostics[0].primary.text.ends_with("a.runconfig:5:3"));
    request.settings = vec!["allow_duplicate_arguments=true".into()];
    let experiment = experiment(&request);
    assert_eq!(
        argv(&experiment, &[Value::Int(1)])[1..],
        ["train.py", "--kernel", "linear", "--v", "--penalty", "1"]
    );
    request.settings.clear();
    request.arguments = vec!["--penalty=3".into()];
    let resolved = resolve(&request, &Disk);
    assert!(resolved.diagnostics[0].primary.text.contains("the command line"));
}

#[test]
fn an_hdconfig_alone_runs_in_the_python_that_is_there() {
    let folder = folder(&[("digits/hdconfig.yml", HDCONFIG), ("digits/train.py", "")]);
    let mut request = request(folder.path(), "digits/hdconfig.yml");
    let resolved = resolve(&request, &Disk);
    assert_eq!(codes(&resolved.diagnostics), ["error missing-script"]);
    request.script = Some("train.py".into());
    let experiment = experiment(&request);
    assert_eq!(experiment.name, "digits");
    assert_eq!(experiment.sampler.seed, 77);
    assert_eq!(experiment.targets, ["local"]);
    assert_eq!(
        experiment.launch.source_directory,
        Some(folder.path().join("digits"))
    );
    assert!(matches!(
        experiment.launch.environment,
        EnvironmentSpec::UserManaged { .. }
    ));
    assert_eq!(experiment.file, Some(folder.path().join("digits/hdconfig.yml")));
    request.script = Some("trian.py".into());
    let resolved = resolve(&request, &Disk);
    assert_eq!(codes(&resolved.diagnostics), ["error missing-script"]);
    assert_eq!(resolved.diagnostics[0].help, ["did you mean `train.py`?"]);
    request.script = Some("../train.py".into());
    let resolved = resolve(&request, &Disk);
    assert!(resolved.diagnostics[0].help[0].contains("--source-directory"));
}

#[test]
fn the_only_public_pair_runs() {
    let folder = folder(&[
        (
            "hyperdrive.runconfig",
            &fixture("runconfig/csiebler__azure-machine-learning-mlops-workshop__hyperdrive.runconfig"),
        ),
        (
            "hyperdrive_config.yml",
            &fixture("runconfig/csiebler__azure-machine-learning-mlops-workshop__hyperdrive_config.yml"),
        ),
        ("train.py", ""),
        ("conda.yml", "dependencies: [python=3.7, {pip: [scikit-learn]}]\n"),
        (
            "overdrive.yml",
            "datasets: {german-credit-train-tutorial: credit}\nseed: 5\n",
        ),
    ]);
    let mut request = request(folder.path(), "hyperdrive_config.yml");
    request.run_configuration = Some("hyperdrive".into());
    let experiment = experiment(&request);
    assert_eq!(experiment.targets, ["cpu-cluster"]);
    assert_eq!(experiment.sampler.seed, 5);
    let credit = folder.path().join("credit").to_string_lossy().into_owned();
    assert_eq!(experiment.launch.data[0].value, credit);
    let EnvironmentSpec::Docker { inner, .. } = &experiment.launch.environment else {
        panic!("{:?}", experiment.launch.environment)
    };
    assert!(matches!(**inner, EnvironmentSpec::Conda { .. }));
    let plan = plan(
        &experiment,
        &Assignment {
            values: vec![Some(Value::Float(0.5))],
        },
        &LaunchContext::default(),
    )
    .unwrap();
    assert_eq!(
        plan.argv,
        ["python3", "train.py", "--data-path", "/data", "--c", "0.5"]
    );
    assert_eq!(plan.env["training_dataset"], credit);
    assert_eq!(
        plan.env["AZUREML_DATASET_ENVIRONMENT_VARS"],
        "training_dataset:download"
    );
    for (choice, container) in [
        (EnvironmentChoice::Current, "user_managed"),
        (EnvironmentChoice::WithoutContainer, "conda"),
    ] {
        request.environment = choice;
        let chosen = serde_json::to_value(&self::experiment(&request).launch.environment).unwrap();
        assert_eq!(chosen["kind"], container);
    }
}

#[test]
fn precedence_from_files_to_what_is_typed() {
    let folder = folder(&[
        ("train.py", ""),
        (
            "a.runconfig",
            "script: train.py\ntarget: cluster\nmaxRunDurationSeconds: 60\nnodeCount: 2\ncommunicator: OpenMpi\nmpi: {processCountPerNode: 4}\n",
        ),
        (
            "hdconfig.yml",
            &format!("{HDCONFIG}overdrive: {{seed: 1, metrics: [loss], tags: {{a: file}}}}\n"),
        ),
    ]);
    let mut request = request(folder.path(), "hdconfig.yml");
    let first = experiment(&request);
    assert_eq!((first.sampler.seed, first.targets[0].as_str()), (1, "cluster"));
    assert_eq!(first.launch.trial_timeout_ms, Some(60_000));
    assert_eq!(
        (first.launch.node_count, first.launch.process_count_per_node),
        (2, 4)
    );
    assert_eq!(first.metrics, ["loss"]);

    std::fs::write(
        folder.path().join("overdrive.yml"),
        "seed: 2\ntargets: [here, there]\ntrial_timeout: 5m\n",
    )
    .unwrap();
    let second = experiment(&request);
    assert_eq!((second.sampler.seed, second.targets.len()), (2, 2));
    assert_eq!(second.launch.trial_timeout_ms, Some(300_000));
    assert_eq!(second.metrics, ["loss"]);

    request.settings = vec![
        "seed=3".into(),
        "max_total_runs=4".into(),
        "sampling.type=grid".into(),
        "policy.slack_factor=0.3".into(),
        "render.quantized=float".into(),
    ];
    let third = experiment(&request);
    assert_eq!((third.sampler.seed, third.limits.max_total), (3, 4));
    assert_eq!(third.sampler.kind, "grid");
    assert_eq!(third.extensions["render"]["quantized"], "float");

    request.seed = Some(4);
    request.targets = vec!["vm".into()];
    request.tags.insert("b".into(), "typed".into());
    request.display_name = Some("nice".into());
    request.experiment_name = Some("mine".into());
    let fourth = experiment(&request);
    assert_eq!(fourth.sampler.seed, 4);
    assert_eq!(fourth.targets, ["vm"]);
    assert_eq!(fourth.tags.len(), 2);
    assert_eq!(fourth.name, "mine");
    assert_eq!(fourth.display_name.as_deref(), Some("nice"));
    assert_eq!(fourth.launch.run_definition["target"], "vm");
}

#[test]
fn settings_of_job_files_reach_the_document_or_the_section() {
    let job = "type: sweep
search_space: {lr: {type: uniform, min_value: 0, max_value: 1}}
objective: {goal: maximize, primary_metric: acc}
limits: {max_total_trials: 4}
trial: {command: 'python t.py ${{search_space.lr}}', environment: 'azureml:e:1'}
experiment_name: from-file
";
    let folder = folder(&[("job.yml", job)]);
    let mut request = request(folder.path(), "job.yml");
    request.settings = vec![
        "limits.max_total_trials=9".into(),
        "seed=3".into(),
        "compute=gpu".into(),
    ];
    let read = experiment(&request);
    assert_eq!(read.dialect, Dialect::SweepJob);
    assert_eq!(read.limits.max_total, 9);
    assert_eq!(read.sampler.seed, 3);
    assert_eq!(read.targets, ["gpu"]);
    assert_eq!(read.name, "from-file");
    request.settings = vec!["limts.max_total_trials=9".into()];
    assert_eq!(
        codes(&resolve(&request, &Disk).diagnostics),
        ["error unknown-key"]
    );
    request.settings = vec!["experiment_name=über".into()];
    assert_eq!(
        codes(&resolve(&request, &Disk).diagnostics),
        ["note registered-environment", "error experiment-name"]
    );
    request.settings.clear();
    request.script = Some("t.py".into());
    assert_eq!(
        codes(&resolve(&request, &Disk).diagnostics),
        ["error no-effect", "note registered-environment"]
    );
}

#[test]
fn single_runs() {
    let folder = folder(&[
        ("train.py", ""),
        (
            "config/train-aml.runconfig",
            "script: train.py\narguments: [--a, 010]\ntarget: gpu\n",
        ),
        (
            ".azureml/config.json",
            r#"{"Id": "attached", "Scope": "/subscriptions/s/resourceGroups/g/providers/p/workspaces/w/projects/attached"}"#,
        ),
        ("job.yml", "command: echo hi\nenvironment: e\n"),
        (
            "later.runconfig",
            "script:\ncommand: python train.py --x $AZUREML_RUN_ID\nframework: Python\n",
        ),
    ]);
    let named = Request {
        project: Some(folder.path().into()),
        run_configuration: Some("config/train-aml".into()),
        ..Request::default()
    };
    let run = experiment(&named);
    assert_eq!(run.dialect, Dialect::ScriptRun);
    assert_eq!(run.name, "attached");
    assert_eq!(run.limits.max_total, 1);
    assert_eq!(argv(&run, &[])[1..], ["train.py", "--a", "010"]);
    let direct =
        experiment(&request(folder.path(), "config/train-aml.runconfig").with_project(folder.path()));
    assert_eq!(direct.launch.command, run.launch.command);
    let job = experiment(&request(folder.path(), "job.yml"));
    assert_eq!(job.dialect, Dialect::CommandJob);
    assert_eq!(argv(&job, &[]), ["echo", "hi"]);
    let later = experiment(&request(folder.path(), "later.runconfig"));
    // The shell is asked for: the variable is known to the trial only.
    assert_eq!(argv(&later, &[])[0], "/bin/sh");
    let script = Request {
        project: Some(folder.path().into()),
        script: Some("train.py".into()),
        ..Request::default()
    };
    assert_eq!(argv(&experiment(&script), &[]), ["python", "train.py"]);
}

trait WithProject {
    fn with_project(self, project: &Path) -> Self;
}

impl WithProject for Request {
    fn with_project(mut self, project: &Path) -> Self {
        self.project = Some(project.into());
        self
    }
}

/// What is asked for and not done on this computer is said, where it stands, unless somebody said that it is meant or another
/// target is to do it.
#[test]
fn the_local_target_says_what_it_leaves_out() {
    let files = folder(&[
        ("hdconfig.yml", HDCONFIG),
        ("train.py", ""),
        ("train.R", ""),
        (
            "old.runconfig",
            "script: train.py\nenvironment:\n  python: {userManagedDependencies: true}\n  docker:\n    enabled: true\n    baseImage: a/b\n",
        ),
        (
            "new.runconfig",
            "script: train.py\nenvironment: {python: {userManagedDependencies: true}}\ndocker: {use_docker: true}\n",
        ),
        (
            "mpi.runconfig",
            "script: train.py\nnodeCount: 2\ncommunicator: OpenMpi\nmpi: {processCountPerNode: 3}\nenvironment: {python: {userManagedDependencies: true}}\n",
        ),
        (
            "r.runconfig",
            "script: train.R\nframework: R\nenvironment: {r: {rVersion: '4.1', cranPackages: []}, python: {userManagedDependencies: true}}\n",
        ),
        (
            "job.yml",
            "command: python train.py\nenvironment: {image: c/d}\ndistribution: {type: pytorch, process_count_per_instance: 2}\n",
        ),
        (
            "named.yml",
            "command: python train.py\nenvironment: azureml:x:1\n",
        ),
    ]);
    let told = |file: &str, configuration: Option<&str>, change: &dyn Fn(&mut Request)| {
        let mut request = request(files.path(), file);
        request.run_configuration = configuration.map(str::to_owned);
        change(&mut request);
        let resolved = resolve(&request, &Disk);
        assert!(resolved.experiment.is_some(), "{:#?}", resolved.diagnostics);
        resolved
            .diagnostics
            .iter()
            .map(|found| {
                let place = found.place().unwrap_or_default();
                let place = place
                    .rsplit_once('/')
                    .map_or(place.as_str(), |(_, place)| place)
                    .to_owned();
                format!(
                    "{} {place} {}",
                    codes(std::slice::from_ref(found))[0],
                    found.primary.text
                )
            })
            .collect::<Vec<_>>()
    };
    let asked = |_: &mut Request| {};
    for (file, configuration, expected) in [
        (
            "hdconfig.yml",
            Some("old"),
            &["warning container old.runconfig:5:14 `a/b` is not used"][..],
        ),
        (
            "hdconfig.yml",
            Some("new"),
            &["warning container new.runconfig:3:22 no image is used"],
        ),
        (
            "hdconfig.yml",
            Some("mpi"),
            &["note one-computer mpi.runconfig:2:12 6 processes of 2 nodes"],
        ),
        (
            "hdconfig.yml",
            Some("r"),
            &["warning r-packages r.runconfig:3:18 the `Rscript` that is there is used with what it has"],
        ),
        (
            "job.yml",
            None,
            &["warning container job.yml:2:22 `c/d` is not used"],
        ),
        (
            "named.yml",
            None,
            &[
                "note registered-environment named.yml:2:14 trials run in the Python that is there, not in `azureml:x:1`",
            ],
        ),
    ] {
        assert_eq!(told(file, configuration, &asked), expected);
    }
    let meant = |request: &mut Request| request.environment = EnvironmentChoice::WithoutContainer;
    assert_eq!(told("hdconfig.yml", Some("old"), &meant), [""; 0]);
    let elsewhere = |request: &mut Request| request.targets = vec!["cluster".into()];
    assert_eq!(told("hdconfig.yml", Some("mpi"), &elsewhere), [""; 0]);
}

#[test]
fn mistakes_of_all_files_come_at_once() {
    let folder = folder(&[
        (
            "hdconfig.yml",
            &HDCONFIG.replace("maximize", "max").replace("choice", "chioce"),
        ),
        ("a.runconfig", "scirpt: train.py\nnodeCount: many\n"),
        ("overdrive.yml", "sede: 4\n"),
    ]);
    let resolved = resolve(&request(folder.path(), "hdconfig.yml"), &Disk);
    assert_eq!(
        codes(&resolved.diagnostics),
        [
            "error unknown-key",
            "error unknown-expression",
            "error bad-goal",
            "warning unknown-key",
            "error argument-type",
            "error missing-script",
        ]
    );
    assert_eq!(resolved.sources.len(), 3);
    for (change, code) in [("hdconfg.yml", "missing-file"), (".", "missing-file")] {
        let resolved = resolve(&request(folder.path(), change), &Disk);
        assert_eq!(codes(&resolved.diagnostics), [format!("error {code}")]);
    }
    let missing = resolve(&request(folder.path(), "hdconfg.yml"), &Disk);
    assert!(missing.diagnostics[0].help[0].contains("hdconfig.yml"));
    let mut other = request(folder.path(), "hdconfig.yml");
    other.run_configuration = Some("b".into());
    let resolved = resolve(&other, &Disk);
    let missing = resolved.diagnostics.last().unwrap();
    assert_eq!(missing.code, "missing-runconfig");
    assert!(missing.help[0].contains("known here: a"), "{:?}", missing.help);
    assert!(missing.help[1].contains("b.runconfig"), "{:?}", missing.help);
    std::fs::write(folder.path().join("c.runconfig"), "{}").unwrap();
    let resolved = resolve(&request(folder.path(), "hdconfig.yml"), &Disk);
    assert_eq!(resolved.diagnostics.last().unwrap().code, "several-runconfigs");
}

#[test]
fn files_are_found_by_less_than_their_path() {
    let folder = folder(&[
        ("hdconfig.yml", ""),
        ("a/hyperdrive_config.yml", ""),
        ("b/one.yaml", ""),
        ("a/same.yml", ""),
        ("b/same.yml", ""),
        (".azureml/hidden.yml", ""),
    ]);
    let find = |name: &str| find_file(name, folder.path(), &Disk);
    for (name, path) in [
        ("hdconfig.yml", "hdconfig.yml"),
        ("hyperdrive_config.yml", "a/hyperdrive_config.yml"),
        ("hidden.yml", ".azureml/hidden.yml"),
        ("one", "b/one.yaml"),
        ("drive_config.yml", "a/hyperdrive_config.yml"),
    ] {
        assert_eq!(find(name), Ok(folder.path().join(path)), "{name}");
    }
    assert_eq!(
        find("same.yml"),
        Err(FindError::Ambiguous {
            name: "same.yml".into(),
            matches: vec!["a/same.yml".into(), "b/same.yml".into()],
        })
    );
    assert_eq!(
        find("hdcnofig.yml").unwrap_err().to_string(),
        "there is no file `hdcnofig.yml`; did you mean `hdconfig.yml`?"
    );
    let absolute: PathBuf = folder.path().join("b/one.yaml");
    assert_eq!(find(&absolute.to_string_lossy()), Ok(absolute));
}

#[test]
fn names_of_folders_are_adapted() {
    for (folder, name) in [
        ("my project", "my-project"),
        ("_x", "x"),
        ("프로젝트", "experiment"),
        ("a.b", "a-b"),
        ("ok-1_2", "ok-1_2"),
    ] {
        assert_eq!(sanitized(folder), name);
    }
}
