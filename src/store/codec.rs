//! How values lie in columns: assignments, words of states, documents, numbers that SQLite does not know.

use super::error::StoreError;
use crate::config::{Experiment, launch};
use crate::controller::SweepState;
use crate::history::{CancelCause, TrialState};
use crate::metric::Goal;
use crate::space::{Assignment, Value};
use indexmap::IndexMap;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// SQLite integers are signed; nothing here comes near the difference.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(crate) fn document<T: Serialize>(value: &T, what: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Document { what, source })
}

pub(crate) fn parsed<T: DeserializeOwned>(text: &str, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::Document { what, source })
}

/// Active values by the index of their parameter: `null` as a value and an inactive parameter stay apart.
pub(crate) fn write_assignment(assignment: &Assignment) -> Result<String, StoreError> {
    let active: IndexMap<usize, &Value> = assignment
        .values
        .iter()
        .enumerate()
        .filter_map(|(index, value)| Some((index, value.as_ref()?)))
        .collect();
    document(&active, "assignment")
}

/// Reads what [`write_assignment`] wrote, for a space of `parameters` parameters.
pub(crate) fn read_assignment(text: &str, parameters: usize) -> Result<Assignment, StoreError> {
    let active: IndexMap<usize, Value> = parsed(text, "assignment")?;
    let mut values = vec![None; parameters];
    for (index, value) in active {
        if let Some(slot) = values.get_mut(index) {
            *slot = Some(value);
        }
    }
    Ok(Assignment { values })
}

/// Serde form of an assignment in which `null` and inactive stay apart: `[[0.1], [], [null]]`.
pub(crate) mod nested {
    use crate::space::{Assignment, Value};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        assignment: &Assignment,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let values: Vec<Vec<&Value>> = assignment
            .values
            .iter()
            .map(|value| value.iter().collect())
            .collect();
        values.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Assignment, D::Error> {
        let values = Vec::<Vec<Value>>::deserialize(deserializer)?;
        Ok(Assignment {
            values: values.into_iter().map(|value| value.into_iter().next()).collect(),
        })
    }
}

/// What people and scripts know as the parameters of a trial: names as declared, values as passed.
#[derive(Clone, Debug)]
pub(crate) struct Naming {
    experiment: Experiment,
    pub(crate) parameters: usize,
}

impl Naming {
    pub(crate) fn of(experiment: Experiment) -> Self {
        Self {
            parameters: experiment.space.parameters.len(),
            experiment,
        }
    }

    pub(crate) fn name(&self, assignment: &Assignment) -> IndexMap<String, Value> {
        let space = &self.experiment.space;
        let named = || {
            let active = space.parameters.iter().zip(&assignment.values);
            active
                .filter_map(|(parameter, value)| Some((parameter.name.clone(), value.clone()?)))
                .collect()
        };
        if self.experiment.launch.parameters.is_empty() {
            return named();
        }
        // A trial must stay readable whatever its experiment has become.
        launch::parameters(&self.experiment, assignment).unwrap_or_else(|_| named())
    }
}

/// SQLite turns NaN into NULL; infinities stay.
pub(crate) fn real(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

pub(crate) fn number(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

pub(crate) fn goal_word(goal: Goal) -> &'static str {
    match goal {
        Goal::Minimize => "minimize",
        Goal::Maximize => "maximize",
    }
}

pub(crate) fn goal(word: &str) -> Option<Goal> {
    match word {
        "minimize" => Some(Goal::Minimize),
        "maximize" => Some(Goal::Maximize),
        _ => None,
    }
}

const TRIAL_STATES: [TrialState; 9] = [
    TrialState::Queued,
    TrialState::Preparing,
    TrialState::Running,
    TrialState::Paused,
    TrialState::NotResponding,
    TrialState::CancelRequested,
    TrialState::Completed,
    TrialState::Failed,
    TrialState::Canceled,
];

const SWEEP_STATES: [SweepState; 6] = [
    SweepState::Running,
    SweepState::Paused,
    SweepState::CancelRequested,
    SweepState::Completed,
    SweepState::Failed,
    SweepState::Canceled,
];

/// The state of that word; a word of a newer version counts as unknown fate.
pub(crate) fn trial_state(word: &str) -> TrialState {
    TRIAL_STATES
        .into_iter()
        .find(|state| state.word() == word)
        .unwrap_or(TrialState::NotResponding)
}

pub(crate) fn sweep_state(word: &str) -> SweepState {
    SWEEP_STATES
        .into_iter()
        .find(|state| state.word() == word)
        .unwrap_or(SweepState::Paused)
}

pub(crate) fn cause_word(cause: &CancelCause) -> &'static str {
    match cause {
        CancelCause::Policy => "policy",
        CancelCause::User => "user",
        CancelCause::Sweep => "sweep",
        CancelCause::MaxDuration => "max_duration",
        CancelCause::TrialTimeout => "trial_timeout",
        CancelCause::OutOfMemory => "out_of_memory",
    }
}

pub(crate) fn cause(word: &str) -> Option<CancelCause> {
    [
        CancelCause::Policy,
        CancelCause::User,
        CancelCause::Sweep,
        CancelCause::MaxDuration,
        CancelCause::TrialTimeout,
        CancelCause::OutOfMemory,
    ]
    .into_iter()
    .find(|cause| cause_word(cause) == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_inactive_stay_apart() {
        let assignment = Assignment {
            values: vec![
                Some(Value::Null),
                None,
                Some(Value::Float(1.0)),
                Some(Value::Int(1)),
                Some(Value::Str("a".into())),
            ],
        };
        let text = write_assignment(&assignment).unwrap();
        assert_eq!(read_assignment(&text, 5).unwrap(), assignment);
    }
}
