//! Trials of earlier sweeps as data for a new one: `resume_from`.

use crate::cli::error::CliError;
use crate::config::Experiment;
use crate::history::Trial;
use crate::space::{Assignment, Distribution, Domain, SearchSpace, Value};
use crate::store::Store;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// Earlier trials that are no data here, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Their sweep has another primary metric or goal.
    pub(super) metric: u64,
    /// They share no parameter with this space.
    pub(super) lacking: u64,
    /// A value lies far outside of this space, or a constraint does not hold.
    pub(super) outside: u64,
}

impl LeftOut {
    /// One sentence for people, if there is anything to say.
    pub(super) fn note(self) -> Option<String> {
        let parts: Vec<String> = [
            (self.metric, "with another metric or goal"),
            (self.lacking, "that share no parameter"),
            (self.outside, "outside of the space"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| format!("{count} {why}"))
        .collect();
        (!parts.is_empty())
            .then(|| format!("note: earlier trials that are no data here: {}", parts.join(", ")))
    }
}

/// Ended trials of the sweeps that `experiment` resumes from, aligned with its space by the names of the parameters, one sweep after the
/// other, each trial with its number there, and how many of them are no data here. Parameters that a sweep did not have are open in its
/// trials: `bayesian` learns from the others. A sweep that is named twice counts once.
///
/// # Errors
/// [`CliError`] if a sweep is unknown.
pub(super) fn inherited(store: &Store, experiment: &Experiment) -> Result<(Vec<Trial>, LeftOut), CliError> {
    let mut trials = Vec::new();
    let mut left_out = LeftOut::default();
    let Some(metric) = &experiment.metric else {
        return Ok((trials, left_out));
    };
    if experiment.resume_from.is_empty() {
        return Ok((trials, left_out));
    }
    let domain = Domain::new(Arc::new(experiment.space.clone()))
        .map_err(|error| CliError::usage("space", error.to_string()))?;
    let mut taken = HashSet::new();
    for reference in &experiment.resume_from {
        let elsewhere = folder_of(reference, store)?;
        let (store, reference) = match &elsewhere {
            Some((other, id)) => (other.as_ref().unwrap_or(store), id.as_str()),
            None => (store, reference.as_str()),
        };
        let sweep = store.sweep(reference)?;
        if !taken.insert(sweep.sweep.clone()) {
            continue;
        }
        let earlier = store.experiment(&sweep.sweep)?;
        let same = earlier.metric.as_ref() == Some(metric);
        for mut trial in store.ended_trials(&sweep.sweep)? {
            if !same {
                left_out.metric += 1;
                continue;
            }
            let Some(assignment) = align(&trial.assignment, &earlier.space, &experiment.space) else {
                left_out.lacking += 1;
                continue;
            };
            if !near(&assignment, &domain) {
                left_out.outside += 1;
                continue;
            }
            trial.assignment = assignment;
            trials.push(trial);
        }
    }
    Ok((trials, left_out))
}

/// A reference that is the folder of a sweep (`PROJECT/.overdrive/sweeps/HD_...`): its id, and the store that it lies in if that is not
/// this one.
fn folder_of(reference: &str, store: &Store) -> Result<Option<(Option<Store>, String)>, CliError> {
    let folder = Path::new(reference);
    if !reference.contains('/') || !folder.is_dir() {
        return Ok(None);
    }
    let folder = folder.canonicalize()?;
    let (Some(id), Some(home)) = (folder.file_name(), folder.parent().and_then(Path::parent)) else {
        return Ok(None);
    };
    let id = id.to_string_lossy().into_owned();
    if store.folder().canonicalize().is_ok_and(|own| own == home) {
        return Ok(Some((None, id)));
    }
    Ok(Some((Some(Store::open_read_only(home)?), id)))
}

fn align(assignment: &Assignment, from: &SearchSpace, to: &SearchSpace) -> Option<Assignment> {
    let bare = |name: &str| name.trim_start_matches('-').to_owned();
    let mut shared = 0;
    let values = to
        .parameters
        .iter()
        .map(|parameter| {
            let index = from.index_of(&parameter.name).or_else(|| {
                let wanted = bare(&parameter.name);
                from.parameters
                    .iter()
                    .position(|other| bare(&other.name) == wanted)
            })?;
            shared += 1;
            assignment.values.get(index).cloned().flatten()
        })
        .collect();
    (shared > 0).then_some(Assignment { values })
}

/// Whether the values are ones that the space has, or numbers not far outside its bounds: these still teach something about what lies inside.
fn near(assignment: &Assignment, domain: &Domain) -> bool {
    let within = |distribution: &Distribution, value: &Value| match distribution {
        Distribution::Choice { options, .. } => options.iter().any(|option| {
            option == value
                || option
                    .as_f64()
                    .is_some_and(|number| Some(number) == value.as_f64())
        }),
        _ => value.as_f64().is_some_and(|number| {
            let position = distribution.unit_of(number);
            position > -0.5 && position < 1.5
        }),
    };
    domain.satisfies(assignment)
        && domain
            .space()
            .parameters
            .iter()
            .zip(&assignment.values)
            .all(|(parameter, value)| {
                value
                    .as_ref()
                    .is_none_or(|value| within(&parameter.distribution, value))
            })
}
