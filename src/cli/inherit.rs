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
    /// They lack a parameter of this space.
    pub(super) lacking: u64,
    /// A value lies outside of this space, or a constraint does not hold.
    pub(super) outside: u64,
}

impl LeftOut {
    /// One sentence for people, if there is anything to say.
    pub(super) fn note(self) -> Option<String> {
        let parts: Vec<String> = [
            (self.metric, "with another metric or goal"),
            (self.lacking, "that lack a parameter"),
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

/// Ended trials of the sweeps that `experiment` resumes from, aligned with its space by the names of the parameters, and how many
/// of them are no data here. A sweep that is named twice counts once.
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
            if !inside(&assignment, &domain) {
                left_out.outside += 1;
                continue;
            }
            trial.number = trials.len() as u64;
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
    let mut values = Vec::with_capacity(to.parameters.len());
    for parameter in &to.parameters {
        let index = from.index_of(&parameter.name).or_else(|| {
            let wanted = bare(&parameter.name);
            from.parameters
                .iter()
                .position(|other| bare(&other.name) == wanted)
        })?;
        values.push(assignment.values.get(index).cloned().flatten());
    }
    Some(Assignment { values })
}

/// Whether the space could have given the assignment.
fn inside(assignment: &Assignment, domain: &Domain) -> bool {
    let within = |distribution: &Distribution, value: &Value| {
        let Some(number) = value
            .as_f64()
            .filter(|_| !matches!(distribution, Distribution::Choice { .. }))
        else {
            return true;
        };
        let bound = |u: f64| distribution.quantile(u).as_f64().unwrap_or(f64::NAN);
        // Rounding at the ends; a bound that does not exist is no bound.
        let slack = 1e-9 * number.abs();
        let (below, above) = (number < bound(0.0) - slack, number > bound(1.0) + slack);
        !below && !above
    };
    domain.fits(assignment)
        && domain.satisfies(assignment)
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
