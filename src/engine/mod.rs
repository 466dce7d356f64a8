//! The engine: the only loop that does things. Drives the controller in real time over store and targets.
//!
//! One thread owns the controller. Each turn it takes in what journals, requests and commands say, commits the records, then
//! performs the actions: nothing is done that is not on record. Killed at any instant, [`Engine::resume`] goes on from the store.
//! See `docs/design/engine.md`.

mod adopt;
mod drive;
mod error;
mod follow;
mod hold;
mod launch;
mod outcome;
mod preparation;
mod progress;
mod remark;
mod requests;
mod submit;

pub use error::EngineError;
pub use preparation::{GRACE_MS, LOG_CAP_BYTES, Preparation, environment_of};
pub use progress::{Ending, Progress};

use crate::config::Experiment;
use crate::config::FREEZE_LIMITS;
use crate::controller::placement::{Offer, Placement};
use crate::controller::{Controller, FreezeLimits, Settings, StopWhen};
use crate::history::Trial;
use crate::metric::Goal;
use crate::policy::PolicySpec;
use crate::store::{Store, SweepWriter};
use crate::target::{Bell, ComputeTarget, LocalOptions, LocalTarget};
use crate::{policy, sampler};
use drive::Driver;
use launch::Launcher;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// How many progress events wait for a slow reader before they are dropped.
const PROGRESS_QUEUE: usize = 16_384;

/// What the leader of a sweep brings along.
#[derive(Default)]
pub struct Setup {
    /// The local target, if the sweep uses it (name `local` unless the options say otherwise).
    pub local: Option<LocalOptions>,
    /// Pools whose nodes are slots of this machine.
    pub pools: Vec<LocalOptions>,
    /// Further targets.
    pub targets: Vec<Arc<dyn ComputeTarget>>,
    /// What a slot of a target costs per hour, by name, for those whose owner says so.
    pub costs: HashMap<String, f64>,
    /// How trials are started. [`Engine::resume`] needs it only for a sweep that was killed before it was prepared.
    pub preparation: Option<Preparation>,
    /// Ended trials of earlier sweeps (`resume_from`), aligned with this sweep's space.
    pub inherited: Vec<Trial>,
    /// Fence a living leader off.
    pub take_over: bool,
    /// A command waits for the end and will tell it: see [`Store::set_awaited`].
    pub awaited: bool,
}

/// What to tell a running engine.
enum Command {
    Pause(String),
    Cancel(String),
    Detach,
}

/// A sweep that is led by this process.
pub struct Engine {
    sweep: String,
    thread: JoinHandle<Result<Ending, EngineError>>,
    control: Control,
    progress: Option<Receiver<Progress>>,
}

/// Reaches a running engine from signal handlers and other threads.
#[derive(Clone)]
pub struct Control {
    commands: Sender<Command>,
    bell: Arc<Bell>,
}

impl Control {
    /// Starts nothing any more and cancels what runs; the sweep ends as `Canceled` when all of it is gone.
    pub fn stop_starting_and_cancel(&self, reason: &str) {
        self.tell(Command::Cancel(reason.to_owned()));
    }

    /// Starts nothing any more until the sweep is resumed; what runs goes on.
    pub fn pause(&self, reason: &str) {
        self.tell(Command::Pause(reason.to_owned()));
    }

    /// Lets go: trials run on under their runners, the sweep can be resumed. A cancel by [`Control::stop_starting_and_cancel`] is
    /// taken back for the trials that did not end of it yet; the sweep is paused then.
    pub fn detach(&self) {
        self.tell(Command::Detach);
    }

    fn tell(&self, command: Command) {
        // An engine that has ended needs nothing more.
        if self.commands.send(command).is_ok() {
            self.bell.ring();
        }
    }
}

impl Engine {
    /// Creates a sweep called `sweep` and leads it. Its trials lie in `<state folder>/sweeps/<sweep>`.
    ///
    /// # Errors
    /// [`EngineError`]; nothing was created unless the error comes from taking the lead.
    pub fn start(
        store: &Arc<Store>,
        sweep: &str,
        experiment: &Experiment,
        setup: Setup,
    ) -> Result<Self, EngineError> {
        let preparation = setup.preparation.clone().unwrap_or_default();
        controller(experiment, &setup)?;
        let folder = store.folder().join("sweeps").join(sweep);
        let document = serde_json::to_value(&preparation).ok();
        store.create_sweep(sweep, experiment, &folder, document.as_ref())?;
        Self::resume(store, sweep, setup)
    }

    /// Leads an existing sweep that has not ended: finds what runs, catches up with it, and goes on.
    ///
    /// # Errors
    /// [`EngineError::Ended`] if there is nothing to go on with; [`crate::store::StoreError::Held`] if another process leads it.
    pub fn resume(store: &Arc<Store>, sweep: &str, setup: Setup) -> Result<Self, EngineError> {
        let row = store.sweep(sweep)?;
        let sweep = row.sweep.clone();
        let bell = Arc::new(Bell::of(store.folder(), &sweep));
        let writer = store.writer(&sweep, Some(bell.path()), setup.take_over)?;
        // Only the leader may look: another one could have ended it between the look and the lead.
        let row = store.sweep(&sweep)?;
        if row.state.is_terminal() {
            writer.release()?;
            return Err(EngineError::Ended {
                sweep,
                state: row.state.word(),
            });
        }
        if setup.awaited {
            store.set_awaited(&sweep, true)?;
        }
        // Without it everything still works, a little later each time.
        let _ = bell.open();
        raise_descriptor_limit();
        let (commands, orders) = channel();
        let (shown, progress) = sync_channel(PROGRESS_QUEUE);
        let driver = driver(writer, setup, &bell, PathBuf::from(row.folder), (orders, shown))?;
        let thread = std::thread::Builder::new()
            .name("controller".into())
            .spawn(move || driver.run())
            .map_err(|error| EngineError::Thread(error.to_string()))?;
        Ok(Self {
            sweep,
            thread,
            control: Control { commands, bell },
            progress: Some(progress),
        })
    }

    /// Id of the sweep.
    pub fn sweep(&self) -> &str {
        &self.sweep
    }

    /// A handle for signal handlers and other threads.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// The stream of what happens; to be taken once. It ends when the engine ends.
    pub fn progress(&mut self) -> Option<Receiver<Progress>> {
        self.progress.take()
    }

    /// Waits until the sweep has ended or was let go.
    ///
    /// # Errors
    /// [`EngineError`] if this process cannot lead it any further.
    pub fn wait(self) -> Result<Ending, EngineError> {
        drop(self.progress);
        match self.thread.join() {
            Ok(ending) => ending,
            Err(panic) => {
                let text = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned());
                Err(EngineError::Thread(text.unwrap_or_else(|| "panic".into())))
            }
        }
    }
}

/// What the controller must know of an experiment.
pub fn settings(experiment: &Experiment) -> Settings {
    Settings {
        goal: experiment
            .metric
            .as_ref()
            .map_or(Goal::Minimize, |metric| metric.goal),
        limits: experiment.limits,
        abort_after_initial_failures: experiment.abort_after_initial_failures,
        max_retries: experiment.max_retries,
    }
}

fn controller(experiment: &Experiment, setup: &Setup) -> Result<Controller, EngineError> {
    let settings = settings(experiment);
    let space = Arc::new(experiment.space.clone());
    let sampler = sampler::build(&experiment.sampler, space, settings.goal)?;
    let policy = policy::build(&policy_of(experiment, setup), settings.goal);
    let mut controller = Controller::new(settings, sampler, policy, experiment.enqueue.clone());
    controller.inherit(setup.inherited.clone());
    controller.stop_when(stop_when(experiment)?);
    controller.freeze_within(freeze_limits(experiment));
    Ok(controller)
}

/// The policy of the files; where no trial can be frozen it stops them, as it would without `freeze`.
fn policy_of(experiment: &Experiment, setup: &Setup) -> PolicySpec {
    let mut policy = experiment.policy.clone();
    let local = setup.local.iter().chain(&setup.pools);
    let somewhere = local.clone().any(|options| options.spark.is_none())
        || setup.targets.iter().any(|target| target.can_freeze());
    if !(somewhere && launch::can_freeze(experiment)) {
        policy.set_freeze(false);
    }
    policy
}

/// How much may be frozen: what the files say, as they were understood.
fn freeze_limits(experiment: &Experiment) -> FreezeLimits {
    let said = experiment.extensions.get(FREEZE_LIMITS);
    said.and_then(|said| serde_json::from_value(said.clone()).ok())
        .unwrap_or(FreezeLimits::USUAL)
}

/// The controller of a sweep that has records.
fn restored(experiment: &Experiment, setup: &Setup, writer: &SweepWriter) -> Result<Controller, EngineError> {
    let mut snapshot = writer.store().snapshot(writer.sweep())?;
    if !snapshot.progress.begun {
        return controller(experiment, setup);
    }
    let settings = settings(experiment);
    let space = Arc::new(experiment.space.clone());
    let sampler = sampler::build(&experiment.sampler, space, settings.goal)?;
    let policy = policy::build(&policy_of(experiment, setup), settings.goal);
    snapshot.history.inherited.clone_from(&setup.inherited);
    let mut controller =
        Controller::restore(settings, sampler, policy, snapshot).map_err(|source| EngineError::Restore {
            sweep: writer.sweep().to_owned(),
            source,
        })?;
    controller.stop_when(stop_when(experiment)?);
    controller.freeze_within(freeze_limits(experiment));
    Ok(controller)
}

fn stop_when(experiment: &Experiment) -> Result<Option<StopWhen>, EngineError> {
    let condition = experiment.stop_when.as_deref().map(StopWhen::parse);
    condition.transpose().map_err(EngineError::StopWhen)
}

fn driver(
    writer: SweepWriter,
    setup: Setup,
    bell: &Arc<Bell>,
    folder: PathBuf,
    (orders, shown): (Receiver<Command>, SyncSender<Progress>),
) -> Result<Driver, EngineError> {
    let store = Arc::clone(writer.store());
    let sweep = writer.sweep().to_owned();
    let experiment = store.experiment(&sweep)?;
    let preparation = match store.preparation(&sweep)? {
        Some(document) => serde_json::from_value(document).unwrap_or_default(),
        None => setup
            .preparation
            .clone()
            .ok_or_else(|| EngineError::Unprepared(sweep.clone()))?,
    };
    let controller = restored(&experiment, &setup, &writer)?;
    let mut targets = setup.targets;
    if let Some(options) = setup.local {
        targets.insert(0, Arc::new(LocalTarget::new(options, Arc::clone(bell))));
    }
    for options in setup.pools {
        targets.push(Arc::new(LocalTarget::new(options, Arc::clone(bell))));
    }
    // The order of the files decides between equals.
    targets.sort_by_key(|target| experiment.targets.iter().position(|name| name == target.name()));
    if targets.is_empty() {
        return Err(EngineError::NoTarget(
            experiment.targets.first().cloned().unwrap_or_default(),
        ));
    }
    let names: HashMap<String, usize> = targets
        .iter()
        .enumerate()
        .map(|(index, target)| (target.name().to_owned(), index))
        .collect();
    let offer = |target: &Arc<dyn ComputeTarget>| Offer {
        name: target.name().to_owned(),
        cost_per_hour: setup.costs.get(target.name()).copied(),
    };
    let placement = Placement::new(targets.iter().map(offer).collect());
    let clock = store.sweep_clock(&sweep)?;
    let stamp = store.clock().stamp();
    let base = stamp.since(&clock.created, clock.now_ms);
    let launcher = Launcher {
        sweep,
        experiment,
        preparation,
        folder,
        doorbell: bell.path().to_owned(),
    };
    let luggage = launcher
        .preparation
        .luggage(&launcher.sweep, &launcher.experiment);
    for target in &targets {
        target.listen(Arc::clone(bell));
        target.equip(&luggage);
    }
    Ok(Driver::new(
        writer,
        controller,
        launcher,
        (targets, names, placement),
        Arc::clone(bell),
        (base, stamp.boot_ms),
        (orders, shown),
    ))
}

/// As many descriptors as this process may have: journals, pipes and sockets add up.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Too few only means that fewer trials run at a time.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}
