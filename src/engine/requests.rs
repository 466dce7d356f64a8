//! What other processes want: taken from the store, given to the controller, answered in the same commit.

use super::EngineError;
use super::drive::{Driver, LOOK_MS};
use crate::controller::Event;
use crate::store::{Change, Request};

impl Driver {
    /// Carries out all requests that nobody took yet.
    pub(super) fn requests(&mut self) -> Result<(), EngineError> {
        let now = self.now();
        // Every turn of a busy sweep is a runner's news; asking the store each time would be a good part of the turn.
        if !self.bell.was_called() && now < self.asked_at + LOOK_MS {
            return Ok(());
        }
        self.asked_at = now;
        let open = self.writer.store().open_requests(self.writer.sweep())?;
        for (id, request) in open {
            // It stays open until its answer is committed; a blocked commit must not make it happen twice.
            if !self.answered.insert(id) {
                continue;
            }
            let error = match request.and_then(|request| self.understood(request)) {
                Ok(event) => {
                    self.event(event)?;
                    None
                }
                Err(reason) => Some(reason),
            };
            self.must_reach_the_disk();
            self.change(Change::Handled { request: id, error });
        }
        Ok(())
    }

    fn understood(&self, request: Request) -> Result<Event, String> {
        if self.controller.state().is_terminal() {
            return Err(format!("the sweep is {}", self.controller.state().word()));
        }
        let known = |trial: u64| {
            usize::try_from(trial)
                .ok()
                .and_then(|index| self.controller.history().trials.get(index))
                .ok_or_else(|| format!("there is no trial {trial}"))
        };
        match request {
            Request::Cancel { reason } => Ok(Event::CancelSweep { reason }),
            Request::CancelTrial { trial } => match known(trial)?.state {
                state if state.is_terminal() => Err(format!("trial {trial} is {}", state.word())),
                _ => Ok(Event::CancelTrial { trial }),
            },
            Request::Pause { reason } => Ok(Event::Pause { reason }),
            Request::Resume => Ok(Event::Resume),
            Request::SetLimits { limits } => Ok(Event::SetLimits(limits)),
            Request::Enqueue { assignment } => {
                let (given, wanted) = (assignment.values.len(), self.launcher.experiment.space.len());
                if given == wanted {
                    Ok(Event::Enqueue { assignment })
                } else {
                    Err(format!("{given} values for {wanted} parameters"))
                }
            }
            Request::Rerun { trial } => {
                let entry = known(trial)?;
                if entry.state.is_terminal() {
                    Ok(Event::Rerun { trial })
                } else {
                    Err(format!(
                        "trial {trial} has not ended: it is {}",
                        entry.state.word()
                    ))
                }
            }
        }
    }
}
