//! Drivers on a standalone cluster, by the REST server of its master.
//!
//! `spark-submit` refuses Python in cluster mode there; the server takes a Java class, and the class behind `spark-submit` is one.

use super::{AppError, Application, KILLED, LOOK, TRIES, TROUBLE, Wish, answer};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::time::{Duration, Instant};

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a killed driver may take to be seen dead.
const DEATH: Duration = Duration::from_secs(20);

/// Most bytes of a log that are asked for at once.
const PIECE: usize = 64 << 10;

struct Cluster<'a> {
    agent: ureq::Agent,
    rest: &'a str,
    web_ui: &'a str,
    driver: String,
    /// Web page of the driver's worker, once it has one.
    worker: Option<String>,
}

/// One of a driver's two logs.
struct Log {
    name: &'static str,
    offset: usize,
}

pub(super) fn run(application: &Application, rest: &str, web_ui: &str, wish: &Wish) -> Result<i32, AppError> {
    let mut cluster = Cluster {
        agent: crate::download::agent_with(PATIENCE),
        rest: rest.trim_end_matches('/'),
        web_ui: web_ui.trim_end_matches('/'),
        driver: String::new(),
        worker: None,
    };
    cluster.submit(application)?;
    let mut logs = ["stdout", "stderr"].map(|name| Log { name, offset: 0 });
    let mut asked: Option<Instant> = None;
    let mut missed = 0;
    loop {
        let state = match cluster.state() {
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
        let over = !matches!(state.as_str(), "" | "SUBMITTED" | "RUNNING" | "RELAUNCHING");
        for log in &mut logs {
            // Its worker may be gone; then there is nothing to be had.
            while cluster.pass_on(log, over).unwrap_or(false) {}
        }
        if over {
            return Ok(match state.as_str() {
                "FINISHED" => 0,
                "KILLED" => KILLED,
                "FAILED" => 1,
                other => {
                    let _ = writeln!(
                        std::io::stderr(),
                        "overdrive: driver {} is {other}",
                        cluster.driver
                    );
                    lost(wish);
                    TROUBLE
                }
            });
        }
        if wish.is_there() {
            let since = *asked.get_or_insert_with(Instant::now);
            // Asked for again until it is dead.
            let killed = cluster.kill();
            if since.elapsed() > DEATH {
                killed?;
                return Ok(KILLED);
            }
        }
        std::thread::sleep(LOOK);
    }
}

/// The driver was lost with its worker, which is not the script's fault: the runner is told that its place is wanted by others, so that
/// the trial is tried again.
fn lost(wish: &Wish) {
    if let Some(runner) = rustix::process::getppid() {
        // A runner that is gone asks for nothing.
        let _ = rustix::process::kill_process(runner, rustix::process::Signal::TERM);
    }
    let until = Instant::now() + PATIENCE;
    while !wish.is_there() && Instant::now() < until {
        std::thread::sleep(LOOK);
    }
}

impl Cluster<'_> {
    fn get(&self, url: &str) -> Result<(u16, Value), AppError> {
        answer(self.agent.get(url).call())
    }

    fn post(&self, path: &str, body: &Value) -> Result<(u16, Value), AppError> {
        let request = self.agent.post(format!("{}{path}", self.rest));
        answer(
            request
                .header("Content-Type", "application/json")
                .send(body.to_string()),
        )
    }

    fn submit(&mut self, application: &Application) -> Result<(), AppError> {
        // Any status tells the server's version, which the request must name.
        let (_, told) = self.get(&format!("{}/v1/submissions/status/none", self.rest))?;
        let version = told["serverSparkVersion"].as_str().unwrap_or_default().to_owned();
        let (program, arguments) = application.wrapped()?;
        // To the class behind `spark-submit` the driver is one in client mode, on whose machine it happens to be; without these words it
        // would make do with the cores of that machine.
        let mut words: Vec<String> = ["--master", &application.master, "--deploy-mode", "client"]
            .map(str::to_owned)
            .into();
        words.push(program.to_string_lossy().into_owned());
        words.extend(arguments);
        let mut settings: Map<String, Value> = application
            .conf
            .iter()
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect();
        settings
            .entry("spark.app.name")
            .or_insert_with(|| json!(application.script));
        settings.insert("spark.master".into(), json!(application.master));
        settings.insert("spark.submit.deployMode".into(), json!("cluster"));
        // The master would start it again by itself.
        settings.insert("spark.driver.supervise".into(), json!("false"));
        let variables: Map<String, Value> = Application::variables()
            .into_iter()
            .map(|(name, value)| (name, json!(value)))
            .collect();
        let request = json!({
            "action": "CreateSubmissionRequest",
            "appResource": "",
            "mainClass": "org.apache.spark.deploy.SparkSubmit",
            "appArgs": words,
            "clientSparkVersion": version,
            "environmentVariables": variables,
            "sparkProperties": settings,
        });
        let (code, told) = self.post("/v1/submissions/create", &request)?;
        match told["submissionId"].as_str() {
            Some(id) if told["success"] == true => {
                self.driver = id.to_owned();
                Ok(())
            }
            _ => Err(AppError::Server(format!(
                "{} did not take the script: {}",
                self.rest,
                told["message"]
                    .as_str()
                    .map_or_else(|| format!("it answered {code}"), str::to_owned)
            ))),
        }
    }

    /// The master's word for the driver's state; also learns where it runs.
    fn state(&mut self) -> Result<String, AppError> {
        let (_, told) = self.get(&format!("{}/v1/submissions/status/{}", self.rest, self.driver))?;
        if self.worker.is_none()
            && let Some(worker) = told["workerId"].as_str()
        {
            let (_, page) = self.get(&format!("{}/json/", self.web_ui))?;
            let workers = page["workers"].as_array();
            let of_driver = workers.into_iter().flatten().find(|known| known["id"] == worker);
            self.worker = of_driver
                .and_then(|worker| worker["webuiaddress"].as_str())
                .map(str::to_owned);
        }
        match told["driverState"].as_str() {
            Some(state) => Ok(state.to_owned()),
            None => Err(AppError::Server(format!(
                "{} does not know driver {}: {}",
                self.rest,
                self.driver,
                told["message"].as_str().unwrap_or("no reason is given")
            ))),
        }
    }

    fn kill(&self) -> Result<(), AppError> {
        self.post(&format!("/v1/submissions/kill/{}", self.driver), &json!({}))
            .map(|_| ())
    }

    /// Passes on what is new in a log, whole lines unless it is over; true if there is more.
    fn pass_on(&self, log: &mut Log, over: bool) -> Result<bool, AppError> {
        let Some(worker) = &self.worker else {
            return Ok(false);
        };
        let url = format!(
            "{worker}/log/?driverId={}&logType={}&offset={}&byteLength={PIECE}",
            self.driver, log.name, log.offset
        );
        let mut answered = self
            .agent
            .get(&url)
            .call()
            .map_err(|error| AppError::Server(error.to_string()))?;
        let text = answered
            .body_mut()
            .read_to_string()
            .map_err(|error| AppError::Server(error.to_string()))?;
        let Some((from, to, size, piece)) = piece(&text) else {
            return Ok(false);
        };
        if from != log.offset || to <= from {
            return Ok(false);
        }
        let whole = piece.rfind('\n').map_or(0, |at| at + 1);
        // A character cut in two is read whole the next time.
        let (taken, read) = match whole {
            0 if over || to - from >= PIECE => (piece, to - from),
            whole => (piece.get(..whole).unwrap_or_default(), whole),
        };
        if taken.is_empty() {
            return Ok(false);
        }
        log.offset += read;
        if log.name == "stdout" {
            let mut out = std::io::stdout().lock();
            out.write_all(taken.as_bytes())?;
            out.flush()?;
        } else {
            std::io::stderr().lock().write_all(taken.as_bytes())?;
        }
        Ok(log.offset < size)
    }
}

/// First byte, byte behind the last, size of the log, and the bytes, of a page `==== Bytes A-B of C of PATH ====` and text.
fn piece(page: &str) -> Option<(usize, usize, usize, &str)> {
    let (head, text) = page.split_once('\n')?;
    let mut words = head.strip_prefix("==== Bytes ")?.split_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    let size = words.nth(1)?;
    Some((from.parse().ok()?, to.parse().ok()?, size.parse().ok()?, text))
}

#[cfg(test)]
mod tests {
    use super::piece;

    #[test]
    fn pages_of_logs() {
        assert_eq!(
            piece("==== Bytes 3-8 of 20 of /w/driver-1/stdout ====\nab\ncd"),
            Some((3, 8, 20, "ab\ncd"))
        );
        assert_eq!(piece("<html>"), None);
    }
}
