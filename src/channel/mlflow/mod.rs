//! A tracking endpoint of one attempt, for unchanged scripts that use the `mlflow` client.
//!
//! Until the first connection it is a listening socket and nothing more: whoever owns it watches [`Endpoint::waiting`] and calls
//! [`Endpoint::serve`], which starts a thread with a current-thread runtime. The requests and the rules are described in `docs/reference/metrics.md`; they were taken from recordings of the clients
//! 1.30, 2.22 and 3.17.

mod artifact;
mod door;
mod folder;
mod model;
mod reply;
mod route;
mod state;

use crate::channel::{Report, Sink};
use crate::journal::Channel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use state::State;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What `runs/create` without a parent gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Create {
    /// The trial itself: after autologging has closed the run, a later `log_metric` creates a new one, and its number must count.
    #[default]
    Trial,
    /// A child with metrics of its own.
    Child,
}

/// What the endpoint is told about its attempt.
#[derive(Clone, Debug)]
pub struct Config {
    /// Run id that the clients see.
    pub run_id: String,
    /// Shown name of the run.
    pub run_name: String,
    /// Experiment id that the clients see; letters, digits, `-` and `_`.
    pub experiment_id: String,
    /// Experiment name.
    pub experiment_name: String,
    /// Sweep, told to the clients as parent.
    pub sweep: Option<String>,
    /// The attempt's folder; `artifacts/` in it receives the files.
    pub folder: PathBuf,
    /// Folder of registered models; `registry/` in the attempt's folder if there is none.
    pub registry: Option<PathBuf>,
    /// Meaning of a run without a parent.
    pub create: Create,
    /// Largest artifact in bytes.
    pub artifact_bytes_max: u64,
}

impl Config {
    /// Settings with the defaults: experiment id `1`, no sweep, artifacts up to 64 GiB.
    pub fn new(run_id: impl Into<String>, experiment: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        let run_id = run_id.into();
        Self {
            run_name: run_id.clone(),
            run_id,
            experiment_id: "1".to_owned(),
            experiment_name: experiment.into(),
            sweep: None,
            folder: folder.into(),
            registry: None,
            create: Create::Trial,
            artifact_bytes_max: 64 << 30,
        }
    }
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MlflowError {
    /// No socket.
    #[error("cannot listen on 127.0.0.1 for mlflow clients")]
    Listen(#[source] std::io::Error),
    /// No random bytes for the key.
    #[error("no random bytes for the key of the mlflow endpoint")]
    Random,
    /// No thread.
    #[error("cannot start the thread of the mlflow endpoint")]
    Thread(#[source] std::io::Error),
}

/// What handlers share.
pub(super) struct App {
    config: Config,
    key: String,
    address: SocketAddr,
    sink: Arc<dyn Sink>,
    state: Mutex<State>,
    models: Mutex<model::Models>,
    live: door::Live,
}

impl App {
    /// The state; a handler that panicked while it held the lock leaves plain data behind, which is good to use.
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A listening endpoint; stops when dropped.
pub struct Endpoint {
    app: Arc<App>,
    stop: CancellationToken,
    /// Until it is served.
    listener: Option<TcpListener>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Endpoint")
            .field("address", &self.app.address)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Listens on a free port of 127.0.0.1; once it is served, what the clients say goes to `sink`, in order of arrival, before they
    /// get their answer.
    ///
    /// # Errors
    /// [`MlflowError`] if there is no socket or random source.
    pub fn bind(config: Config, sink: Arc<dyn Sink>) -> Result<Self, MlflowError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|_| MlflowError::Random)?;
        let key = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(MlflowError::Listen)?;
        let address = listener.local_addr().map_err(MlflowError::Listen)?;
        let state = Mutex::new(State::new(&config, state::now_ms()));
        let app = Arc::new(App {
            config,
            key,
            address,
            sink,
            state,
            models: Mutex::default(),
            live: door::Live::default(),
        });
        Ok(Self {
            app,
            stop: CancellationToken::new(),
            listener: Some(listener),
            thread: None,
        })
    }

    /// What becomes readable when the first client has come; `None` once it is served.
    pub fn waiting(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().map(AsFd::as_fd)
    }

    /// Starts to answer; nothing happens if it does already.
    ///
    /// # Errors
    /// [`MlflowError::Thread`] if there is no thread; it can be tried again.
    pub fn serve(&mut self) -> Result<(), MlflowError> {
        let Some(listener) = &self.listener else {
            return Ok(());
        };
        let listener = listener.try_clone().map_err(MlflowError::Listen)?;
        let (app, stop) = (Arc::clone(&self.app), self.stop.clone());
        let thread = std::thread::Builder::new()
            .name("mlflow".to_owned())
            .spawn(move || {
                if let Err(error) = serve(listener, &app, &stop) {
                    app.sink.report(Report::Warning {
                        code: "mlflow-endpoint".to_owned(),
                        message: format!("the mlflow endpoint ended: {error}"),
                    });
                }
            })
            .map_err(MlflowError::Thread)?;
        self.thread = Some(thread);
        self.listener = None;
        Ok(())
    }

    /// The tracking URI with the key in it: who knows it may report to this attempt, and only to it.
    pub fn uri(&self) -> String {
        format!("http://{}/t/{}", self.app.address, self.app.key)
    }

    /// Variables for the script. `current` looks up what the script would otherwise see; it is asked for the proxy exceptions only.
    pub fn env(&self, current: &dyn Fn(&str) -> Option<String>) -> Vec<(String, String)> {
        let config = &self.app.config;
        let mut env: Vec<(String, String)> = [
            ("MLFLOW_TRACKING_URI", self.uri().as_str()),
            ("MLFLOW_RUN_ID", &config.run_id),
            ("MLFLOW_EXPERIMENT_ID", &config.experiment_id),
            ("MLFLOW_EXPERIMENT_NAME", &config.experiment_name),
            ("MLFLOW_DISABLE_TELEMETRY", "true"),
            // The clients' own settings would hang every call for minutes if this process died.
            ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3"),
            ("MLFLOW_HTTP_REQUEST_TIMEOUT", "10"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        for name in ["NO_PROXY", "no_proxy"] {
            let before = current(name)
                .or_else(|| current("NO_PROXY"))
                .or_else(|| current("no_proxy"));
            let value = match before.filter(|text| !text.trim().is_empty()) {
                Some(text) => format!("{text},127.0.0.1,localhost"),
                None => "127.0.0.1,localhost".to_owned(),
            };
            env.push((name.to_owned(), value));
        }
        env
    }

    /// Reports the points that child runs have of `metric`, with a warning; for the end of a trial without a point of its own.
    /// Returns how many there were.
    pub fn report_children(&self, metric: &str) -> usize {
        let points = self.app.state().child_points(metric);
        if let (Some(first), false) = (points.first(), points.is_empty()) {
            self.app.sink.report(Report::Warning {
                code: "metric-of-children".to_owned(),
                message: format!(
                    "`{metric}` was only logged to nested mlflow runs (`{}`, ...), their points are taken",
                    first.0
                ),
            });
        }
        for (_, point) in &points {
            self.app.sink.report(Report::Metric {
                name: metric.to_owned(),
                value: point.value,
                step: Some(point.step),
                channel: Channel::Mlflow,
            });
        }
        points.len()
    }

    /// Stops listening; requests under way get two seconds.
    pub fn stop(&mut self) {
        // A client may have come in the last moment.
        if self.listener.as_ref().is_some_and(somebody_came) {
            // Without a thread it cannot be answered.
            let _ = self.serve();
        }
        self.listener = None;
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panicked thread has nothing more to give.
            let _ = thread.join();
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether a connection waits to be accepted.
fn somebody_came(listener: &TcpListener) -> bool {
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

fn serve(listener: TcpListener, app: &Arc<App>, stop: &CancellationToken) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()?;
    listener.set_nonblocking(true)?;
    // Whoever made the socket readable; it may have gone again.
    let first = listener.accept().ok().map(|(stream, _)| stream);
    runtime.block_on(async {
        let first = match first {
            Some(stream) => {
                stream.set_nonblocking(true)?;
                Some(tokio::net::TcpStream::from_std(stream)?)
            }
            None => None,
        };
        let door = door::Door::new(
            tokio::net::TcpListener::from_std(listener)?,
            first,
            app.live.clone(),
        );
        let service = route::router(Arc::clone(app)).into_make_service_with_connect_info::<door::Peer>();
        let serving = axum::serve(door, service).with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::select! {
            ended = async { serving.await } => ended,
            () = async { stop.cancelled().await; tokio::time::sleep(Duration::from_secs(2)).await } => Ok(()),
        }
    })
}
