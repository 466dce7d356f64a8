//! Drivers that a Livy server submits (experimental): one batch per script.

use super::{AppError, Application, KILLED, LOOK, TRIES, Wish, answer};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::time::Duration;

/// How long the server may take; it may ask YARN first.
const PATIENCE: Duration = Duration::from_secs(60);

/// Most lines of a log that are asked for at once.
const LINES: u64 = 1000;

struct Batch {
    agent: ureq::Agent,
    url: String,
    /// Lines of its log that were passed on.
    lines: u64,
}

pub(super) fn run(application: &Application, url: &str, wish: &Wish) -> Result<i32, AppError> {
    let agent = crate::download::agent_with(PATIENCE);
    let base = url.trim_end_matches('/');
    let id = submit(&agent, base, application)?;
    let mut batch = Batch {
        agent,
        url: format!("{base}/batches/{id}"),
        lines: 0,
    };
    let mut missed = 0;
    loop {
        let state = match batch.state() {
            Ok(state) => {
                missed = 0;
                state
            }
            Err(error) if missed >= TRIES => return Err(error),
            Err(_) => {
                missed += 1;
                String::new()
            }
        };
        // Lost lines are in the cluster's own logs.
        while batch.pass_on().unwrap_or(false) {}
        match state.as_str() {
            "success" => return Ok(0),
            "killed" => return Ok(KILLED),
            "error" | "dead" => return Ok(1),
            _ => {}
        }
        if wish.is_there() {
            // A batch that is deleted is killed.
            answer(batch.agent.delete(&batch.url).call())?;
            return Ok(KILLED);
        }
        std::thread::sleep(LOOK);
    }
}

fn submit(agent: &ureq::Agent, base: &str, application: &Application) -> Result<u64, AppError> {
    let script = std::path::absolute(&application.script)?;
    let mut settings: Map<String, Value> = application
        .conf
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    for (name, value) in Application::variables() {
        settings.insert(format!("spark.yarn.appMasterEnv.{name}"), json!(value));
    }
    let name = settings.remove("spark.app.name");
    let request = json!({
        "file": format!("file://{}", script.display()),
        "args": application.arguments,
        "conf": settings,
        // Names of batches must differ.
        "name": format!("{} {}", name.as_ref().and_then(Value::as_str).unwrap_or("overdrive"), uuid::Uuid::new_v4()),
    });
    let call = agent
        .post(format!("{base}/batches"))
        .header("Content-Type", "application/json")
        .header("X-Requested-By", "overdrive")
        .send(request.to_string());
    let (code, told) = answer(call)?;
    told["id"].as_u64().filter(|_| code < 300).ok_or_else(|| {
        AppError::Server(format!(
            "{base} did not take the script: {}",
            told["msg"]
                .as_str()
                .map_or_else(|| format!("it answered {code}"), str::to_owned)
        ))
    })
}

impl Batch {
    fn state(&self) -> Result<String, AppError> {
        let (code, told) = answer(self.agent.get(format!("{}/state", self.url)).call())?;
        match told["state"].as_str() {
            Some(state) if code == 200 => Ok(state.to_owned()),
            // Somebody deleted it.
            _ if code == 404 => Ok("killed".into()),
            _ => Err(AppError::Server(format!("{} answered {code}", self.url))),
        }
    }

    /// Passes on what is new in the log; true if there may be more.
    fn pass_on(&mut self) -> Result<bool, AppError> {
        let url = format!("{}/log?from={}&size={LINES}", self.url, self.lines);
        let (_, told) = answer(self.agent.get(url).call())?;
        let lines = told["log"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut out = std::io::stdout().lock();
        for line in lines.iter().filter_map(Value::as_str) {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        self.lines += lines.len() as u64;
        Ok(lines.len() as u64 == LINES)
    }
}
