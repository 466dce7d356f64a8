//! Ray's Jobs API: what is asked, and what the answers mean.

use super::RayOptions;
use crate::target::Fate;
use crate::target::ssh::secret;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::time::Duration;
use ureq::Body;
use ureq::http::Response;

/// How long an answer may take; the first job after a start takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Most bytes taken of an answer: a list of nodes or a job with the end of its output.
const ANSWER_MAX: u64 = 64 << 20;

/// How a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JobState {
    /// It waits for resources or runs.
    Active,
    /// It is over.
    Over(Ending),
}

/// How a job ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::target) struct Ending {
    /// Ray's word.
    pub(super) word: String,
    /// Ray's class of errors, of a failed job.
    pub(super) class: String,
    /// Why, in one line.
    pub(super) why: String,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Undone {
    /// Never as it stands.
    Refused(String),
    /// Not before somebody changes something: the login.
    Denied(String),
    /// Perhaps later; it may have been done all the same.
    Later(String),
}

impl Undone {
    /// In words.
    pub(super) fn into_words(self) -> String {
        match self {
            Self::Refused(why) | Self::Denied(why) | Self::Later(why) => why,
        }
    }
}

/// What the cluster has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Capacity {
    /// Nodes that are alive.
    pub(super) nodes: u64,
    /// Their cores.
    pub(super) cpus: f64,
    /// Their GPUs.
    pub(super) gpus: f64,
    /// The other resources that people named.
    pub(super) custom: Map<String, Value>,
}

/// A cluster's dashboard.
pub(super) struct Client {
    agent: ureq::Agent,
    options: RayOptions,
}

/// A job as the API shows it.
#[derive(Deserialize)]
struct Job {
    status: String,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    error_type: Option<String>,
}

impl Client {
    pub(super) fn new(options: RayOptions) -> Self {
        let agent = crate::download::agent_with(PATIENCE);
        Self { agent, options }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.options.dashboard.trim_end_matches('/'))
    }

    /// What stands behind `Bearer`; asked for each time, since tokens are renewed.
    fn bearer(&self) -> Result<Option<String>, Undone> {
        let Some(token) = &self.options.token else {
            return Ok(None);
        };
        let token = secret::read(token).map_err(|error| Undone::Denied(format!("its token: {error}")))?;
        let token = token.trim();
        if token.is_empty() || token.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(Undone::Denied("its token is not one word".into()));
        }
        Ok(Some(format!("Bearer {token}")))
    }

    fn get(&self, path: &str) -> Result<(u16, String), Undone> {
        let mut request = self.agent.get(self.url(path));
        if let Some(bearer) = self.bearer()? {
            request = request.header("Authorization", bearer);
        }
        self.taken(request.call())
    }

    fn post(&self, path: &str, body: &Value) -> Result<(u16, String), Undone> {
        let mut request = self.agent.post(self.url(path));
        if let Some(bearer) = self.bearer()? {
            request = request.header("Authorization", bearer);
        }
        self.taken(
            request
                .header("Content-Type", "application/json")
                .send(body.to_string()),
        )
    }

    /// Code and text of an answer; a refused login is an error for all calls alike.
    fn taken(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<(u16, String), Undone> {
        let mut answer =
            answer.map_err(|error| Undone::Later(format!("{}: {error}", self.options.dashboard)))?;
        let code = answer.status().as_u16();
        let text = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_MAX)
            .read_to_string()
            .map_err(|error| Undone::Later(format!("{}: {error}", self.options.dashboard)))?;
        match code {
            401 | 403 => Err(Undone::Denied(match &self.options.token {
                Some(_) => format!("{} refused the token", self.options.dashboard),
                None => format!(
                    "{} asks for a token; `--token-file FILE` names the file that holds it (`~/.ray/auth_token` on the head)",
                    self.options.dashboard
                ),
            })),
            _ => Ok((code, text)),
        }
    }

    /// Version of Ray.
    pub(super) fn version(&self) -> Result<String, Undone> {
        #[derive(Deserialize)]
        struct Version {
            ray_version: String,
        }
        let (code, text) = self.get("/api/version")?;
        match serde_json::from_str::<Version>(&text) {
            Ok(version) if code == 200 => Ok(version.ray_version),
            _ => Err(Undone::Refused(format!(
                "{} is not the dashboard of a Ray cluster: it answered {code}",
                self.options.dashboard
            ))),
        }
    }

    /// Submits a job under `id`; done as well if there is one of that name.
    pub(super) fn submit(&self, id: &str, entrypoint: &str, needs: Map<String, Value>) -> Result<(), Undone> {
        let mut body = needs;
        body.insert("entrypoint".into(), entrypoint.into());
        body.insert("submission_id".into(), id.into());
        let (code, text) = self.post("/api/jobs/", &Value::Object(body))?;
        match code {
            200 => Ok(()),
            _ if text.contains("already exists") => Ok(()),
            400 => Err(Undone::Refused(last_words(&text))),
            _ => Err(Undone::Later(format!(
                "the cluster answered {code}: {}",
                last_words(&text)
            ))),
        }
    }

    /// How a job is; `None` if the cluster knows of none.
    pub(super) fn job(&self, id: &str) -> Result<Option<JobState>, Undone> {
        let (code, text) = self.get(&format!("/api/jobs/{id}"))?;
        match code {
            200 => serde_json::from_str::<Job>(&text)
                .map(|job| Some(state(job)))
                .map_err(|error| Undone::Later(format!("job {id} cannot be read: {error}"))),
            404 => Ok(None),
            _ => Err(Undone::Later(format!(
                "the cluster answered {code}: {}",
                last_words(&text)
            ))),
        }
    }

    /// Output of a job.
    pub(super) fn output(&self, id: &str) -> Result<String, Undone> {
        #[derive(Deserialize)]
        struct Logs {
            logs: Option<String>,
        }
        let (code, text) = self.get(&format!("/api/jobs/{id}/logs"))?;
        match serde_json::from_str::<Logs>(&text) {
            Ok(logs) if code == 200 => Ok(logs.logs.unwrap_or_default()),
            _ => Err(Undone::Later(format!("the cluster answered {code}"))),
        }
    }

    /// Ends a job. One that is over or unknown is no error.
    pub(super) fn stop(&self, id: &str) -> Result<(), Undone> {
        self.post(&format!("/api/jobs/{id}/stop"), &json!({})).map(|_| ())
    }

    /// What the living nodes have.
    pub(super) fn capacity(&self) -> Result<Capacity, Undone> {
        let (code, text) = self.get("/api/v0/nodes?limit=10000&detail=1")?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        match answer.pointer("/data/result/result").and_then(Value::as_array) {
            Some(nodes) if code == 200 => Ok(capacity(nodes)),
            _ => Err(Undone::Later(format!(
                "the cluster answered {code} when its nodes were asked for"
            ))),
        }
    }
}

fn capacity(nodes: &[Value]) -> Capacity {
    let mut capacity = Capacity::default();
    for node in nodes.iter().filter(|node| node["state"] == "ALIVE") {
        capacity.nodes += 1;
        for (name, amount) in node["resources_total"].as_object().into_iter().flatten() {
            let amount = amount.as_f64().unwrap_or_default();
            match name.as_str() {
                "CPU" => capacity.cpus += amount,
                "GPU" => capacity.gpus += amount,
                "memory" | "object_store_memory" => {}
                // One that each node has of itself.
                name if name.starts_with("node:") => {}
                name => {
                    let sum = capacity
                        .custom
                        .get(name)
                        .and_then(Value::as_f64)
                        .unwrap_or_default();
                    capacity.custom.insert(name.to_owned(), json!(sum + amount));
                }
            }
        }
    }
    capacity
}

/// What Ray's word for a job's state means.
fn state(job: Job) -> JobState {
    match job.status.as_str() {
        "SUCCEEDED" | "FAILED" | "STOPPED" => JobState::Over(Ending {
            word: job.status,
            class: job.error_type.unwrap_or_default(),
            why: sentence(&job.message.unwrap_or_default()),
        }),
        // PENDING, RUNNING, and what newer versions say.
        _ => JobState::Active,
    }
}

/// What a job's end means for an attempt whose journal does not tell its own; `None` = lost.
pub(super) fn fate(ending: &Ending, claimed: bool) -> Option<Fate> {
    match (ending.word.as_str(), ending.class.as_str()) {
        ("STOPPED", _) => Some(Fate::Canceled),
        _ if claimed => None,
        // It waited for resources for longer than Ray lets jobs wait (15 minutes, unless the cluster is set up otherwise).
        ("FAILED", "JOB_SUPERVISOR_ACTOR_START_TIMEOUT") => Some(Fate::Exhausted),
        ("FAILED", "RUNTIME_ENV_SETUP_FAILURE" | "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE") => Some(Fate::Setup),
        ("SUCCEEDED", _)
        | ("FAILED", "JOB_ENTRYPOINT_COMMAND_ERROR" | "JOB_ENTRYPOINT_COMMAND_START_ERROR") => {
            Some(Fate::NotStarted)
        }
        // The machinery around it died: with its node, as a rule.
        _ => None,
    }
}

/// The first line of a message, and the last of the output that is in it.
fn sentence(message: &str) -> String {
    let (first, rest) = message.split_once('\n').unwrap_or((message, ""));
    let first = first
        .split(", last available logs")
        .next()
        .unwrap_or(first)
        .trim();
    let last = rest
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with("Running entrypoint for job"));
    let told = match last {
        Some(last) if message.contains("last available logs") => format!("{first}: {last}"),
        _ => first.to_owned(),
    };
    told.chars().take(300).collect()
}

/// The last line of a trace.
fn last_words(text: &str) -> String {
    let line = text.lines().rev().map(str::trim).find(|line| line.len() > 2);
    line.unwrap_or("it said nothing").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(status: &str, class: Option<&str>, message: &str) -> Ending {
        let job = Job {
            status: status.into(),
            message: Some(message.into()),
            error_type: class.map(str::to_owned),
        };
        match state(job) {
            JobState::Over(ending) => ending,
            JobState::Active => panic!("{status} is over"),
        }
    }

    #[test]
    fn ends_have_their_fates() {
        for word in ["PENDING", "RUNNING", "SOMETHING_NEW"] {
            let job = Job {
                status: word.into(),
                message: None,
                error_type: None,
            };
            assert_eq!(state(job), JobState::Active, "{word}");
        }
        let failed = over(
            "FAILED",
            Some("JOB_ENTRYPOINT_COMMAND_ERROR"),
            "Job entrypoint command failed with exit code 127, last available logs (truncated to 20,000 chars):\nsh: 1: exec: /x: not found\nRunning entrypoint for job od-1: exec /x\n",
        );
        assert_eq!(
            failed.why,
            "Job entrypoint command failed with exit code 127: sh: 1: exec: /x: not found"
        );
        assert_eq!(fate(&failed, false), Some(Fate::NotStarted));
        assert_eq!(fate(&failed, true), None);
        let node = over(
            "FAILED",
            Some("JOB_SUPERVISOR_ACTOR_DIED"),
            "Job supervisor actor died: x",
        );
        assert_eq!(fate(&node, false), None);
        assert_eq!(fate(&node, true), None);
        let waited = over("FAILED", Some("JOB_SUPERVISOR_ACTOR_START_TIMEOUT"), "x");
        assert_eq!(fate(&waited, false), Some(Fate::Exhausted));
        assert_eq!(
            fate(&over("STOPPED", None, "Job was intentionally stopped."), true),
            Some(Fate::Canceled)
        );
    }

    #[test]
    fn what_living_nodes_have_is_added_up() {
        let nodes = json!([
            {"state": "ALIVE", "resources_total": {"CPU": 4.0, "memory": 1e9, "node:10.0.0.1": 1.0, "fast": 1.0}},
            {"state": "ALIVE", "resources_total": {"CPU": 2.0, "GPU": 1.0, "fast": 2.0}},
            {"state": "DEAD", "resources_total": {"CPU": 64.0}},
        ]);
        let found = capacity(nodes.as_array().unwrap());
        assert_eq!((found.nodes, found.cpus, found.gpus), (2, 6.0, 1.0));
        assert_eq!(Value::Object(found.custom), json!({"fast": 3.0}));
    }
}
