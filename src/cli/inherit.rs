//! Trials of earlier sweeps as data for a new one: `resume_from`.

use crate::cli::error::CliError;
use crate::config::Experiment;
use crate::history::Trial;
use crate::metric::Series;
use crate::space::{Assignment, SearchSpace};
use crate::store::{Store, TrialQuery};

/// Ended trials of the sweeps that `experiment` resumes from, aligned with its space by the names of the parameters. Trials of a
/// sweep with another metric or goal, and trials that lack a parameter of this space altogether, are no data here; the second value
/// tells how many were left out.
///
/// # Errors
/// [`CliError`] if a sweep is unknown.
pub(super) fn inherited(store: &Store, experiment: &Experiment) -> Result<(Vec<Trial>, usize), CliError> {
    let mut trials = Vec::new();
    let mut left_out = 0;
    let Some(metric) = &experiment.metric else {
        return Ok((trials, 0));
    };
    for reference in &experiment.resume_from {
        let sweep = store.sweep(reference)?;
        let earlier = store.experiment(&sweep.sweep)?;
        let same = earlier.metric.as_ref() == Some(metric);
        for row in store.trials(&sweep.sweep, &TrialQuery::default())? {
            if !row.state.is_terminal() {
                continue;
            }
            let stored = store.assignment(&sweep.sweep, row.trial)?;
            let Some(assignment) = align(&stored, &earlier.space, &experiment.space).filter(|_| same) else {
                left_out += 1;
                continue;
            };
            let mut series = Series::default();
            for point in store.curve(&sweep.sweep, row.trial, &metric.name, None)? {
                series.push(metric.goal, point.value);
            }
            trials.push(Trial {
                number: trials.len() as u64,
                assignment,
                state: row.state,
                series,
                cause: row.cause,
            });
        }
    }
    Ok((trials, left_out))
}

fn align(assignment: &Assignment, from: &SearchSpace, to: &SearchSpace) -> Option<Assignment> {
    let mut values = Vec::with_capacity(to.parameters.len());
    for parameter in &to.parameters {
        let index = from.index_of(&parameter.name)?;
        values.push(assignment.values.get(index).cloned().flatten());
    }
    Some(Assignment { values })
}
