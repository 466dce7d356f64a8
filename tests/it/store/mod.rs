//! Tests of `store`.

mod agreement;
mod leadership;
mod reading;
mod scale;

use overdrive::config::{Command, Dialect, EnvironmentSpec, Experiment, Launch, MetricSpec};
use overdrive::controller::{Limits, Record};
use overdrive::metric::{Goal, Observation};
use overdrive::policy::PolicySpec;
use overdrive::sampler::{Origin, SamplerSpec};
use overdrive::space::{Assignment, Distribution, Parameter, SearchSpace, Value};
use overdrive::store::{Change, Durability, Store, SweepWriter};
use std::path::Path;
use std::sync::Arc;

pub fn experiment() -> Experiment {
    let uniform = |name: &str| Parameter {
        name: name.into(),
        distribution: Distribution::Uniform { low: 0.0, high: 1.0 },
        condition: None,
    };
    Experiment {
        name: "digits".into(),
        display_name: None,
        description: None,
        tags: [("team".to_owned(), "blue".to_owned())].into_iter().collect(),
        dialect: Dialect::Hyperdrive,
        file: Some("/somewhere/hdconfig.yml".into()),
        space: SearchSpace {
            parameters: vec![uniform("lr"), uniform("momentum")],
            constraints: Vec::new(),
        },
        sampler: SamplerSpec {
            kind: "random".into(),
            seed: 7,
            allow_duplicates: false,
            options: serde_json::Map::new(),
        },
        policy: PolicySpec::NoTermination,
        metric: Some(MetricSpec {
            name: "Accuracy".into(),
            goal: Goal::Maximize,
        }),
        metrics: Vec::new(),
        limits: Limits {
            max_total: 100,
            max_concurrent: 4,
            max_duration_ms: None,
        },
        abort_after_initial_failures: 3,
        max_retries: 3,
        launch: Launch {
            source_directory: None,
            source_files: Vec::new(),
            command: Command::Script {
                script: "train.py".into(),
                arguments: Vec::new(),
            },
            parameters: Vec::new(),
            environment_variables: indexmap::IndexMap::new(),
            environment: EnvironmentSpec::UserManaged {
                interpreter: "python3".into(),
            },
            data: Vec::new(),
            outputs: Vec::new(),
            file_outputs: Vec::new(),
            trial_timeout_ms: None,
            framework: "python".into(),
            communicator: "none".into(),
            node_count: 1,
            process_count_per_node: 1,
            run_definition: serde_json::Value::Null,
        },
        targets: vec!["local".into()],
        enqueue: Vec::new(),
        resume_from: Vec::new(),
        stop_when: None,
        extensions: serde_json::Map::new(),
    }
}

pub fn origin() -> Origin {
    Origin {
        sampler: "random".into(),
        method: "independent draw".into(),
        predicted: None,
        notes: Vec::new(),
    }
}

pub fn assignment(lr: f64, momentum: f64) -> Assignment {
    Assignment {
        values: vec![Some(Value::Float(lr)), Some(Value::Float(momentum))],
    }
}

pub fn observation(value: f64, step: Option<i64>) -> Observation {
    Observation {
        value,
        step,
        elapsed_ms: 5,
    }
}

/// A store with one sweep, led by this process.
pub fn led(folder: &Path, id: &str) -> SweepWriter {
    let store = Arc::new(Store::open(folder).unwrap());
    store
        .create_sweep(id, &experiment(), &folder.join("sweeps").join(id))
        .unwrap();
    store.writer(id, None, false).unwrap()
}

pub fn records(writer: &mut SweepWriter, now: u64, records: impl IntoIterator<Item = Record>) {
    let changes: Vec<_> = records
        .into_iter()
        .map(|record| (now, Change::Record(record)))
        .collect();
    writer.apply(&changes, Durability::Process).unwrap();
}
