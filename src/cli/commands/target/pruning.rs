//! `target prune`: what was left behind where trials ran.

use super::home;
use crate::cli::args::{Globals, PruneTarget};
use crate::cli::commands::pools;
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::Output;
use crate::report::{document, text};
use crate::target::Luggage;
use crate::target::kind::{Connection, Wanted};
use serde_json::json;
use std::time::Duration;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Removes, or says what would be removed.
pub(super) fn prune(arguments: &PruneTarget, globals: &Globals, output: &Output) -> Result<u8, CliError> {
    let home = home(&arguments.folder.path, globals)?;
    let name = pools::bare(&arguments.name);
    let found = if name.eq_ignore_ascii_case("local") {
        None
    } else {
        let wanted = Wanted {
            name,
            node_count: 1,
            max_concurrent: 1,
        };
        let settings = pools::registry(&home).get(name)?.definition.settings;
        match settings.connect(wanted, &pools::surroundings(&home))? {
            Connection::Here { .. } => None,
            Connection::Target(target) => {
                target.equip(&Luggage::default());
                let age = Duration::from_secs(arguments.older_than.saturating_mul(DAY));
                target.prune(age, arguments.dry_run)?
            }
        }
    };
    let pruned = found.clone().unwrap_or_default();
    if output.json {
        output.document(&document::document(json!({
            "name": name, "dry_run": arguments.dry_run, "attempts": pruned.attempts, "sweeps": pruned.sweeps,
            "snapshots": pruned.snapshots, "environments": pruned.environments, "programs": pruned.programs, "bytes": pruned.bytes,
        })))?;
        return Ok(exit::OK);
    }
    let name = text::printable(name);
    output.text(&match found {
        None => format!("{name} keeps nothing anywhere else"),
        Some(pruned) => format!(
            "{name}: {} {} attempts, {} snapshots, {} environments, {} builds of overdrive; {:.1} MiB",
            if arguments.dry_run {
                "would remove"
            } else {
                "removed"
            },
            pruned.attempts,
            pruned.snapshots,
            pruned.environments,
            pruned.programs,
            pruned.bytes as f64 / f64::from(1 << 20),
        ),
    })?;
    Ok(exit::OK)
}
