//! Containers of runners that are gone.

use super::Engine;
use crate::process::{Identity, Presence};
use std::time::Duration;

/// Label that holds the identity of the runner.
pub(super) const RUNNER: &str = "overdrive.runner";

/// How long an engine may take to list, look or remove.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The label's value for this process.
pub(super) fn own() -> String {
    serde_json::to_string(&Identity::own()).unwrap_or_default()
}

/// Removes the containers of runners that are proved dead; gives how many.
pub fn sweep(engine: &Engine) -> usize {
    let filter = format!("label={RUNNER}");
    let Ok(listed) = engine.output(&["ps", "-aq", "--no-trunc", "--filter", &filter], PATIENCE) else {
        return 0;
    };
    let format = format!("{{{{index .Config.Labels \"{RUNNER}\"}}}}");
    let dead = |id: &&str| {
        let label = engine.output(&["container", "inspect", "--format", &format, id], PATIENCE);
        label
            .ok()
            .and_then(|label| serde_json::from_str::<Identity>(label.trim()).ok())
            .is_some_and(|runner| runner.presence() == Presence::Gone)
    };
    let dead: Vec<&str> = listed.split_whitespace().filter(dead).collect();
    dead.iter().filter(|id| remove(engine, id)).count()
}

/// Ends a container if it runs and removes it; whether it is gone for sure.
pub fn remove(engine: &Engine, name: &str) -> bool {
    match engine.ask(&["rm", "-f", name], PATIENCE) {
        Ok(spoken) => {
            spoken.code == Some(0) || spoken.errors.to_ascii_lowercase().contains("no such container")
        }
        Err(_) => false,
    }
}
