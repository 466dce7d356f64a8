//! What the clerk of a queue does with Ray.

use super::RayOptions;
use super::api::{self, Client, Ending, JobState, Undone};
use super::driver::Drivers;
use crate::target::Fate;
use crate::target::queue::{Cluster, Desk, Entry, News, Stage, Unsubmitted, quoted};
use serde_json::{Map, Value, json};
use std::path::Path;

/// A Ray cluster.
pub(in crate::target) struct Ray {
    options: RayOptions,
    client: Client,
    drivers: Option<Drivers>,
}

impl From<Undone> for Unsubmitted {
    fn from(undone: Undone) -> Self {
        match undone {
            Undone::Refused(why) => Self::Refused(why),
            // The submission id makes a second try harmless.
            Undone::Denied(why) | Undone::Later(why) => Self::Unreachable(why),
        }
    }
}

impl Ray {
    pub(super) fn new(options: RayOptions) -> Self {
        Self {
            client: Client::new(options.clone()),
            options,
            drivers: None,
        }
    }

    fn drivers(&mut self, desk: &Desk<Self>) -> &mut Drivers {
        self.drivers.get_or_insert_with(|| Drivers::new(desk.tray("ray")))
    }

    /// What a job asks for, in the words of the API.
    fn needs(&self) -> Map<String, Value> {
        let options = &self.options;
        let mut needs = Map::new();
        // Without it jobs are not held to the size of the cluster.
        needs.insert("entrypoint_num_cpus".into(), json!(options.cores()));
        if let Some(gpus) = options.gpus {
            needs.insert("entrypoint_num_gpus".into(), json!(gpus));
        }
        if let Some(memory) = options.memory() {
            needs.insert("entrypoint_memory".into(), json!(memory));
        }
        if !options.resources.is_empty() {
            needs.insert("entrypoint_resources".into(), json!(options.resources));
        }
        needs
    }

    /// Sees to it that there is a driver, and takes in how the last one ended.
    fn staff(&mut self, desk: &Desk<Self>) -> Result<(), Undone> {
        let program = desk.program().map_err(Undone::Later)?;
        let wanted = desk.open() > 0;
        self.drivers(desk);
        let Some(drivers) = &mut self.drivers else {
            return Ok(());
        };
        let ended = drivers.look(&self.client, &self.options, &program, wanted)?;
        let Some(ending) = ended else { return Ok(()) };
        // Its tasks ended with it; what nobody claimed is for the next one.
        if ending.word != "SUCCEEDED" {
            desk.tell(format!(
                "target `{}`: its driver is {}: {}",
                desk.terms.name, ending.word, ending.why
            ));
        }
        for entry in desk.submitted().iter().filter(|entry| entry.is_claimed()) {
            desk.news(&entry.folder, News::Over(ending.clone()));
        }
        Ok(())
    }

    fn look_at_drivers(&mut self, asked: &[Entry<Self>], desk: &Desk<Self>) -> Result<(), Undone> {
        self.staff(desk)?;
        let drivers = self.drivers(desk);
        for entry in asked {
            let there = entry.stage != Stage::Found || drivers.tray().has(&entry.name);
            let news = if there { News::There(None) } else { News::Unheard };
            desk.news(&entry.folder, news);
        }
        Ok(())
    }
}

impl Cluster for Ray {
    type End = Ending;

    const KIND: &'static str = "ray";
    const CALLED: &'static str = "the cluster";

    /// The submission id of a job is its name, whoever submits it.
    fn known(name: &str, _: &Path) -> Option<String> {
        Some(name.to_owned())
    }

    fn verdict(job: &Entry<Self>, end: &Ending, claimed: bool) -> (Option<Fate>, String) {
        let why = format!("Ray job {} is {}: {}", job.name, end.word, end.why);
        (api::fate(end, claimed), why)
    }

    fn of_worker(word: &str) -> Ending {
        Ending {
            word: "FAILED".into(),
            why: word.to_owned(),
            // A task that ended without a claim: its runner could not be started.
            class: if word.starts_with("lost") {
                String::new()
            } else {
                "JOB_ENTRYPOINT_COMMAND_ERROR".into()
            },
        }
    }

    fn submit(&mut self, job: &Entry<Self>, desk: &Desk<Self>) -> Result<Option<String>, Unsubmitted> {
        let program = desk.program().map_err(Unsubmitted::Later)?;
        if self.options.workers {
            let drivers = self.drivers(desk);
            let put = drivers.tray().put(&job.folder, &job.name);
            put.map_err(Unsubmitted::Later)?;
            if !drivers.is_there() {
                self.staff(desk)?;
            }
            return Ok(None);
        }
        // A runner that is told to end is told so by somebody who stopped the job.
        let line = format!(
            "export {}=1; exec {} runner {}",
            crate::runner::TERM_CANCELS,
            quoted(&program.to_string_lossy()),
            quoted(&job.folder.to_string_lossy())
        );
        self.client.submit(&job.name, &line, self.needs())?;
        Ok(None)
    }

    fn cancel(&mut self, id: &str) -> bool {
        self.client.stop(id).is_ok()
    }

    fn look(&mut self, asked: &[Entry<Self>], desk: &Desk<Self>) -> Result<(), String> {
        if self.options.workers {
            return self.look_at_drivers(asked, desk).map_err(Undone::into_words);
        }
        for entry in asked {
            let news = match self.client.job(&entry.name).map_err(Undone::into_words)? {
                Some(JobState::Active) => News::There(None),
                Some(JobState::Over(ending)) => News::Over(ending),
                // Found without a job: the engine may submit it.
                None if entry.stage == Stage::Found => News::Unheard,
                None => News::Over(Ending {
                    word: "gone".into(),
                    why: "the cluster does not know its job any more".into(),
                    ..Ending::default()
                }),
            };
            desk.news(&entry.folder, news);
        }
        Ok(())
    }

    fn leave(&mut self) {
        if let Some(drivers) = &self.drivers {
            drivers.stop();
        }
    }
}
