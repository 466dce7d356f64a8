//! Tests of `studio`: a real server on a real socket over a real store.

mod access;
mod actions;
mod compute;
mod doors;
mod files;
mod live;
mod mlflow;
mod reading;
mod shapes;

use overdrive::config::{Experiment, Files};
use overdrive::controller::{Outcome, Record};
use overdrive::history::{CancelCause, TrialState};
use overdrive::metric::Observation;
use overdrive::policy::Stop;
use overdrive::sampler::Origin;
use overdrive::space::{Assignment, Value};
use overdrive::store::{Change, Durability, Store, SweepWriter};
use overdrive::studio::{Access, Door, Settings, Studio, TargetField, TargetKind, serve};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub struct Server {
    pub folder: tempfile::TempDir,
    pub address: SocketAddr,
    pub token: String,
    pub access: Arc<Access>,
    _runtime: tokio::runtime::Runtime,
}

struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> Result<Option<String>, String> {
        if !path.is_file() {
            return Ok(None);
        }
        std::fs::read_to_string(path)
            .map(Some)
            .map_err(|error| error.to_string())
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn is_folder(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn names(&self, _: &Path) -> Vec<String> {
        Vec::new()
    }

    fn walk(&self, _: &Path) -> Vec<PathBuf> {
        Vec::new()
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        std::path::absolute(path).unwrap()
    }
}

impl Server {
    pub fn start(read_only: bool) -> Self {
        Self::over(tempfile::tempdir().unwrap(), read_only)
    }

    pub fn over(folder: tempfile::TempDir, read_only: bool) -> Self {
        let state = folder.path().join(".overdrive");
        Store::open(&state).unwrap();
        let access = Arc::new(Access::open(&state.join("studio.token")).unwrap());
        let settings = Settings {
            state_folder: state.clone(),
            project_folder: folder.path().to_owned(),
            program: PathBuf::from(env!("CARGO_BIN_EXE_overdrive")),
            read_only,
            files: Arc::new(Disk),
            prices: Arc::new(|| [("local".to_owned(), 3.6)].into()),
            kinds: kinds(),
        };
        let studio = Studio::open(settings, Arc::clone(&access)).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async { serve(studio, Door::Plain(listener), &[], std::future::pending()).await });
        let token = std::fs::read_to_string(state.join("studio.token")).unwrap();
        Self {
            folder,
            address,
            token,
            access,
            _runtime: runtime,
        }
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join(".overdrive")
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let stream = self.open(method, path, headers, body);
        Answer::read(stream)
    }

    /// Writes a request; the caller reads.
    pub fn open(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        let given = |name: &str| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if !given("host") {
            text.push_str(&format!("Host: {}\r\n", self.address));
        }
        if !body.is_empty() && !given("content-type") {
            text.push_str("Content-Type: application/json\r\n");
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(body);
        stream.write_all(text.as_bytes()).unwrap();
        stream
    }

    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// A request with the token.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let bearer = self.bearer();
        self.send(method, path, &[("Authorization", &bearer)], body)
    }

    pub fn get(&self, path: &str) -> serde_json::Value {
        let answer = self.ask("GET", path, "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A refused large body may end in a reset after the answer.
        let _ = stream.read_to_end(&mut bytes);
        Self::parse(&bytes)
    }

    pub fn parse(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a head");
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = bytes[end + 4..].to_vec();
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            body = dechunk(&body);
        }
        Self { status, head, body }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let Ok(size) = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16) else {
            break;
        };
        if size == 0 || bytes.len() < end + 2 + size {
            break;
        }
        out.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[(end + 4 + size).min(bytes.len())..];
    }
    out
}

/// A kind of target as the command line tells it.
fn kinds() -> Arc<[TargetKind]> {
    let field = |name: &str| TargetField {
        name: name.to_owned(),
        about: String::new(),
        value: Some("TEXT".into()),
        default: None,
        choices: Vec::new(),
        group: None,
        required: false,
        switch: false,
        many: false,
        secret: false,
        variable: None,
        file: None,
    };
    let names = ["name", "vm-size", "max-nodes", "min-nodes"];
    let of = |verb: &str| TargetKind {
        verb: verb.to_owned(),
        kind: "amlcompute".into(),
        about: String::new(),
        fields: names
            .iter()
            .filter(|name| verb == "create" || **name != "vm-size")
            .map(|name| field(name))
            .chain([TargetField {
                secret: true,
                ..field("admin-user-password")
            }])
            .collect(),
    };
    Arc::new([of("create"), of("update")])
}

/// A sweep over `lr` (uniform) and `kind` (choice) that maximizes `Accuracy`.
pub fn experiment() -> Experiment {
    serde_json::from_value(serde_json::json!({
        "name": "digits",
        "dialect": "hyperdrive",
        "space": { "parameters": [
            { "name": "lr", "distribution": { "type": "uniform", "low": 0.0, "high": 1.0 } },
            { "name": "kind", "distribution": { "type": "choice", "options": ["a", "b"] } },
        ] },
        "sampler": { "kind": "random", "seed": 7 },
        "policy": { "type": "no_termination" },
        "metric": { "name": "Accuracy", "goal": "maximize" },
        "limits": { "max_total": 100, "max_concurrent": 4, "max_duration_ms": null },
        "abort_after_initial_failures": 3,
        "max_retries": 3,
        "launch": {
            "source_directory": null,
            "command": { "kind": "script", "script": "train.py", "arguments": [] },
            "parameters": [],
            "environment_variables": {},
            "environment": { "kind": "user_managed", "interpreter": "python3" },
            "framework": "python",
            "communicator": "none",
            "node_count": 1,
            "process_count_per_node": 1,
            "run_definition": null,
        },
        "targets": ["local"],
    }))
    .unwrap()
}

/// A led sweep called `HD_test` in the server's store.
pub fn led(state: &Path) -> SweepWriter {
    let store = Arc::new(Store::open(state).unwrap());
    store
        .create_sweep("HD_test", &experiment(), &state.join("sweeps/HD_test"), None)
        .unwrap();
    store.writer("HD_test", None, false).unwrap()
}

/// Adds a trial that reports `values`, and ends as `state`; stopped by a policy if canceled.
pub fn trial(writer: &mut SweepWriter, now: u64, number: u64, values: &[f64], state: TrialState) {
    let record = |record| (now, Change::Record(record));
    let origin = Origin {
        sampler: "random".into(),
        method: "independent draw".into(),
        predicted: None,
        notes: Vec::new(),
    };
    let lr = (number as f64 * 0.754_877_666) % 1.0;
    let kind = if number.is_multiple_of(3) { "a" } else { "b" };
    let assignment = Assignment {
        values: vec![Some(Value::Float(lr)), Some(Value::Str(kind.into()))],
    };
    let to = |state, cause, reason: Option<&str>| {
        record(Record::TrialState {
            trial: number,
            state,
            cause,
            reason: reason.map(str::to_owned),
        })
    };
    let mut changes = vec![
        record(Record::TrialCreated {
            trial: number,
            assignment,
            origin,
        }),
        record(Record::AttemptCreated {
            trial: number,
            attempt: 0,
        }),
        (
            now,
            Change::Placed {
                trial: number,
                attempt: 0,
                nonce: "abc".into(),
                folder: format!(
                    "{}/trials/{number}/0-abc",
                    writer.store().folder().join("sweeps/HD_test").display()
                ),
                target: "local".into(),
                boot_id: String::new(),
            },
        ),
        (
            now.saturating_sub(40),
            Change::Record(Record::TrialState {
                trial: number,
                state: TrialState::Running,
                cause: None,
                reason: None,
            }),
        ),
    ];
    for (index, value) in values.iter().enumerate() {
        changes.push(record(Record::Observed {
            trial: number,
            attempt: 0,
            interval: index as u64 + 1,
            observation: Observation {
                value: *value,
                step: None,
                elapsed_ms: index as u64,
            },
            accepted: true,
        }));
    }
    match state {
        TrialState::Running => {}
        TrialState::Canceled => {
            changes.push(record(Record::Stopped(Stop {
                trial: number,
                interval: values.len() as u64,
                policy: "Bandit".into(),
                value: values.last().copied(),
                threshold: Some(0.9),
                operands: [("best".to_owned(), 0.99)].into_iter().collect(),
                inequality: "0.5000 < 0.9000 (best 0.9900 / 1.1)".into(),
            })));
            changes.push(to(TrialState::CancelRequested, Some(CancelCause::Policy), None));
            changes.push(record(Record::AttemptEnded {
                trial: number,
                attempt: 0,
                outcome: Outcome::Canceled,
                superseded: false,
            }));
            changes.push(to(TrialState::Canceled, Some(CancelCause::Policy), None));
        }
        _ => {
            changes.push(record(Record::AttemptEnded {
                trial: number,
                attempt: 0,
                outcome: Outcome::Completed,
                superseded: false,
            }));
            changes.push(to(
                state,
                None,
                (state == TrialState::Failed).then_some("exit 1: <b>bold</b>"),
            ));
        }
    }
    writer.apply(&changes, Durability::Process).unwrap();
}
