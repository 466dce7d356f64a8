//! Files as people have them.

use overdrive::config::hyperdrive::read;
use overdrive::config::launch::{LaunchContext, plan};
use overdrive::config::{Format, Request, Shape, resolve};
use overdrive::diagnostic::{Dialect, Severity, Source, parse};
use overdrive::metric::Goal;
use overdrive::policy::{PolicySpec, Slack};
use overdrive::space::{Assignment, Distribution, Value};

fn text(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hdconfig");
    std::fs::read_to_string(format!("{folder}/{name}")).unwrap()
}

#[test]
fn the_documentation_sample_loads_in_silence() {
    let reading = read(&Source::new(
        "hdconfig.yml",
        text("MicrosoftDocs__azure-docs.yml"),
    ));
    assert_eq!(reading.diagnostics, []);
    let read = reading.value.unwrap();
    assert_eq!(read.sampler.kind, "random");
    assert_eq!(
        read.space.parameters[0].distribution,
        Distribution::Choice {
            options: vec![Value::Float(0.5), Value::Int(1), Value::Float(1.5)],
            ordered: None
        }
    );
    let PolicySpec::Bandit { slack, schedule, .. } = read.policy else {
        panic!("not Bandit");
    };
    assert_eq!((slack, schedule.evaluation_interval), (Slack::Factor(0.2), 1));
    assert_eq!(
        (read.metric.name.as_str(), read.metric.goal),
        ("Accuracy", Goal::Maximize)
    );
    assert_eq!((read.limits.max_total, read.limits.max_concurrent), (8, 2));
    assert_eq!(read.limits.max_duration_ms, Some(6_000_000));
    assert_eq!(read.parameters[0].argument.as_deref(), Some("--penalty"));
    assert_eq!(read.parameters[0].shape, Shape::Parameter { index: 0 });
}

#[test]
fn the_workshop_file_loads_in_silence() {
    let reading = read(&Source::new(
        "hyperdrive_config.yml",
        text("csiebler__azure-machine-learning-mlops-workshop.yml"),
    ));
    assert_eq!(reading.diagnostics, []);
    assert_eq!(reading.value.unwrap().metric.name, "Test accuracy");
}

/// The one public sweep that exists as hdconfig file with its run configuration and as a job file means the same in both.
#[test]
fn the_workshop_sweep_is_the_same_in_both_formats() {
    const NAME: &str = "csiebler__azure-machine-learning-mlops-workshop";
    let folder = super::disk::folder(&[
        ("hyperdrive_config.yml", &text(&format!("{NAME}.yml"))),
        ("hyperdrive.runconfig", &text(&format!("{NAME}__runconfig.yml"))),
        ("sweep.yml", &text(&format!("{NAME}__v2-sweep.yml"))),
        ("train.py", ""),
        ("conda.yml", "dependencies: [python=3.8, {pip: [scikit-learn]}]\n"),
        (
            "overdrive.yml",
            "datasets: {german-credit-train-tutorial: data.csv, german-credit-train-tutorial-v2: data.csv}\n",
        ),
        ("data.csv", ""),
    ]);
    let experiment = |file: &str| {
        let request = Request {
            file: Some(folder.path().join(file)),
            ..Request::default()
        };
        let resolved = resolve(&request, &super::disk::Disk);
        let found = resolved.diagnostics;
        resolved.experiment.unwrap_or_else(|| panic!("{found:#?}"))
    };
    let (old, new) = (experiment("hyperdrive_config.yml"), experiment("sweep.yml"));
    assert_eq!(old.metric, new.metric);
    assert_eq!(
        old.space.parameters[0].distribution,
        new.space.parameters[0].distribution
    );
    assert_eq!(old.sampler.kind, new.sampler.kind);
    assert_eq!((old.limits.max_total, new.limits.max_total), (8, 2));
    let data = folder.path().join("data.csv").to_string_lossy().into_owned();
    let context = LaunchContext {
        interpreter: vec!["python".into()],
        ..LaunchContext::default()
    };
    for experiment in [&old, &new] {
        let assignment = Assignment {
            values: vec![Some(Value::Int(1))],
        };
        let plan = plan(experiment, &assignment, &context).unwrap();
        assert_eq!(plan.argv[..3], ["python", "train.py", "--data-path"]);
        assert_eq!(plan.argv[4..], ["--c", "1"]);
        assert!(
            plan.inputs.values().any(|path| *path == data),
            "{:?}",
            plan.inputs
        );
    }
}

#[test]
fn amulet_files_are_called_by_their_name() {
    for name in [
        "microsoft__protnote.yml",
        "microsoft__protnote__seed-replicates.yml",
    ] {
        let source = Source::new(name, text(name));
        let root = parse(&source, Dialect::Yaml12).root.unwrap();
        assert_eq!(Format::detect(&root), Some(Format::Amulet));
        let reading = read(&source);
        assert!(reading.value.is_none());
        assert_eq!(reading.diagnostics.len(), 1);
        assert_eq!(reading.diagnostics[0].code, "other-format");
        assert!(reading.diagnostics[0].message.contains("Amulet"));
    }
}

#[test]
fn the_examples_load_in_silence() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let Ok(examples) = std::fs::read_dir(folder) else {
        return;
    };
    for example in examples {
        let path = example.unwrap().path().join("hdconfig.yml");
        if let Ok(text) = std::fs::read_to_string(&path) {
            let reading = read(&Source::new(path.to_string_lossy(), text));
            let loud: Vec<_> = reading
                .diagnostics
                .iter()
                .filter(|diagnostic| diagnostic.severity == Severity::Error)
                .collect();
            assert!(reading.value.is_some() && loud.is_empty(), "{path:?}: {loud:?}");
        }
    }
}
