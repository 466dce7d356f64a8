//! Wires the metric channels that need more than captured output to one attempt: the azureml shim, the MLflow endpoint, the files
//! that are read at the end.

use super::foreign::Foreign;
use super::ledger::Ledger;
use super::spec::AttemptSpec;
use crate::channel::mlflow::{Config, Create, Endpoint};
use crate::channel::{Sink, scan, shim};
use rustix::time::{ClockId, clock_gettime};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Channels of one attempt, alive while its script runs.
#[derive(Debug)]
pub(super) struct Channels {
    endpoint: Option<Endpoint>,
    shim: Option<PathBuf>,
    foreign: Option<Foreign>,
    since: SystemTime,
}

impl Channels {
    /// Starts what the spec asks for. A channel that cannot start is told and left out; the script runs anyway.
    pub(super) fn start(spec: &AttemptSpec, folder: &Path, workdir: &Path, ledger: &Arc<Ledger>) -> Self {
        let since = coarse_now();
        let endpoint = spec.mlflow.then(|| {
            let mut config = Config::new(&spec.run_id, &spec.experiment, folder);
            config.sweep = Some(spec.sweep.clone()).filter(|sweep| *sweep != spec.run_id);
            config.registry.clone_from(&spec.registry);
            if spec.mlflow_children {
                config.create = Create::Child;
            }
            Endpoint::bind(config, Arc::clone(ledger) as Arc<dyn Sink>)
        });
        let endpoint = endpoint.and_then(|bound| {
            bound
                .map_err(|error| ledger.warn("mlflow-endpoint", error.to_string()))
                .ok()
        });
        let shim = spec.shim.then(|| {
            // A home that cannot be written keeps nobody from having it.
            shim::install(&shim_home(folder)).or_else(|_| shim::install(&folder.join("shim")))
        });
        let shim = shim.and_then(|made| {
            made.map_err(|error| ledger.warn("azureml-shim", error.to_string()))
                .ok()
        });
        let foreign = Foreign::start(spec, folder, workdir, ledger);
        Self {
            endpoint,
            shim,
            foreign,
            since,
        }
    }

    /// What becomes readable when a client has come that nobody answers yet.
    pub(super) fn waiting(&self) -> Option<BorrowedFd<'_>> {
        self.endpoint.as_ref().and_then(Endpoint::waiting)
    }

    /// Answers the client that has come.
    pub(super) fn answer(&mut self, ledger: &Ledger) {
        if let Some(endpoint) = &mut self.endpoint
            && let Err(error) = endpoint.serve()
        {
            ledger.warn("mlflow-endpoint", error.to_string());
            // Who cannot be answered should not wait.
            self.endpoint = None;
        }
    }

    /// Variables for the script, in rising priority. `current` looks up what it would otherwise see.
    pub(super) fn environment(
        &self,
        spec: &AttemptSpec,
        folder: &Path,
        report: &Path,
        current: &dyn Fn(&str) -> Option<String>,
    ) -> Vec<(String, String)> {
        let mut variables = of_shim(spec, folder, report);
        if let Some(foreign) = &self.foreign {
            variables.extend(foreign.environment(spec));
        }
        if let Some(endpoint) = &self.endpoint {
            variables.extend(endpoint.env(current));
        }
        variables
    }

    /// Folder that goes first on `PYTHONPATH`.
    pub(super) fn python_path(&self) -> Option<&Path> {
        self.shim.as_deref()
    }

    /// Reads what the script has appended to files of other tools.
    pub(super) fn look(&mut self, ledger: &Ledger) {
        if let Some(foreign) = &mut self.foreign {
            foreign.drain(ledger);
        }
    }

    /// The script has ended: answers what is still under way, then looks for the primary metric where it may lie else: in child
    /// runs, then in files that the script wrote.
    pub(super) fn finish(&mut self, spec: &AttemptSpec, folder: &Path, workdir: &Path, ledger: &Arc<Ledger>) {
        self.look(ledger);
        let missing = || {
            spec.primary_metric
                .as_deref()
                .filter(|metric| ledger.points(metric) == 0)
        };
        if let Some(mut endpoint) = self.endpoint.take() {
            endpoint.stop();
            if let Some(metric) = missing() {
                endpoint.report_children(metric);
            }
        }
        if missing().is_some() {
            let roots = [
                workdir.to_owned(),
                folder.join("named_outputs"),
                folder.join("artifacts"),
            ];
            scan::report(
                &scan::scan(&roots, self.since, scan::Limits::default()),
                &**ledger,
            );
        }
    }
}

/// Variables by which the azureml shim knows its trial.
pub(super) fn of_shim(spec: &AttemptSpec, folder: &Path, report: &Path) -> Vec<(String, String)> {
    let artifacts = folder.join("artifacts");
    let context = shim::Context {
        report,
        artifacts: &artifacts,
        sweep: Some(spec.sweep.as_str()).filter(|sweep| *sweep != spec.run_id),
        run_id: &spec.run_id,
        experiment: &spec.experiment,
        primary_metric: spec.primary_metric.as_deref(),
        registry: spec.registry.as_deref(),
        inputs: &spec.inputs,
    };
    shim::environment(&context).into_iter().collect()
}

/// The present by the clock that file systems stamp files with: it moves in ticks, so a file that is written right after a look at
/// the fine clock may seem older than the look.
fn coarse_now() -> SystemTime {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
}

/// Where the shim's sources lie, once per content for all attempts of a user: `$XDG_CACHE_HOME`, else `~/.cache`, else the
/// attempt's folder.
fn shim_home(folder: &Path) -> PathBuf {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map_or_else(
            || folder.join("shim"),
            |cache| cache.join("overdrive").join("shim"),
        )
}
