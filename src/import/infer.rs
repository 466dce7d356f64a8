//! A search space for trials whose artefact declares none, or only parts of one.

use super::{Foreign, ForeignTrial};
use crate::space::{Condition, Distribution, Parameter, SearchSpace, Value};
use std::collections::BTreeSet;

/// Texts that differ in more trials than this are names, not settings.
const NAMES: usize = 32;

/// Numbers with at most so many distinct values that come back again and again are options.
const OPTIONS: usize = 12;

/// Positive numbers that span at least this ratio are searched on a logarithmic axis.
const LOG_RATIO: f64 = 100.0;

/// The space of a study, and what was left out of it, in words. A parameter that some trials lack is conditional if one choice decides, in all
/// trials, whether it is there.
pub(super) fn space(foreign: &Foreign, wanted: &[String]) -> (SearchSpace, Vec<String>) {
    let mut notes = Vec::new();
    let mut always: Vec<Parameter> = Vec::new();
    let mut sometimes: Vec<Parameter> = Vec::new();
    for (name, declared) in &foreign.parameters {
        if !wanted.is_empty() && !wanted.contains(name) {
            continue;
        }
        let values: Vec<&Value> = foreign
            .trials
            .iter()
            .filter_map(|trial| trial.parameters.get(name))
            .collect();
        let Some(distribution) = declared.clone().or_else(|| guess(&values)) else {
            if !values.is_empty() {
                notes.push(format!(
                    "`{name}` differs in almost every trial and is no number: left out"
                ));
            }
            continue;
        };
        let parameter = Parameter {
            name: name.clone(),
            distribution,
            condition: None,
        };
        if values.len() == foreign.trials.len() {
            always.push(parameter);
        } else {
            sometimes.push(parameter);
        }
    }
    // Parents first: a parameter that fewer trials have cannot decide about one that more have.
    let count = |name: &str| {
        foreign
            .trials
            .iter()
            .filter(|trial| trial.parameters.contains_key(name))
            .count()
    };
    sometimes.sort_by_key(|parameter| std::cmp::Reverse(count(&parameter.name)));
    for mut parameter in sometimes {
        parameter.condition = condition(&parameter.name, &always, &foreign.trials);
        if parameter.condition.is_none() {
            notes.push(format!(
                "`{}` is missing in {} trials for no reason that the other parameters tell",
                parameter.name,
                foreign.trials.len() - count(&parameter.name)
            ));
        }
        always.push(parameter);
    }
    let space = SearchSpace {
        parameters: always,
        constraints: Vec::new(),
    };
    (space, notes)
}

/// A distribution that could have drawn the values.
fn guess(values: &[&Value]) -> Option<Distribution> {
    let mut distinct: Vec<&Value> = Vec::new();
    for value in values {
        if distinct.len() <= NAMES.max(OPTIONS) && !distinct.contains(value) {
            distinct.push(value);
        }
    }
    let choice = |options: &[&Value]| Distribution::Choice {
        options: options.iter().map(|value| (*value).clone()).collect(),
        ordered: None,
    };
    let numbers: Option<Vec<f64>> = values.iter().map(|value| value.as_f64()).collect();
    let Some(numbers) = numbers.filter(|numbers| !numbers.is_empty()) else {
        let settings = !distinct.is_empty()
            && distinct.len() <= NAMES
            && (distinct.len() < values.len() || values.len() < 4);
        return settings.then(|| choice(&distinct));
    };
    let few = distinct.len() <= OPTIONS && (distinct.len() == 1 || 2 * distinct.len() <= values.len());
    if few {
        distinct.sort_by(|a, b| a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0)));
        return Some(choice(&distinct));
    }
    let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log = low > 0.0 && high / low >= LOG_RATIO;
    let whole = values.iter().all(|value| matches!(value, Value::Int(_)));
    Some(match (whole, log) {
        (true, _) => Distribution::Int {
            low: low as i64,
            high: high as i64,
            log,
        },
        (false, true) => Distribution::Loguniform {
            low: libm::log(low),
            high: libm::log(high),
            base: std::f64::consts::E,
        },
        (false, false) => Distribution::Uniform { low, high },
    })
}

/// The choice among `parents` that decides in every trial whether `name` is there.
fn condition(name: &str, parents: &[Parameter], trials: &[ForeignTrial]) -> Option<Condition> {
    parents.iter().enumerate().find_map(|(index, parent)| {
        let Distribution::Choice { options, .. } = &parent.distribution else {
            return None;
        };
        let (mut with, mut without) = (BTreeSet::new(), BTreeSet::new());
        for trial in trials {
            let option = trial
                .parameters
                .get(&parent.name)
                .and_then(|value| options.iter().position(|option| option == value));
            match (option, trial.parameters.contains_key(name)) {
                (Some(option), true) => with.insert(option),
                (Some(option), false) => without.insert(option),
                // Under an inactive parent everything is inactive.
                (None, false) => false,
                (None, true) => return None,
            };
        }
        (!with.is_empty() && with.is_disjoint(&without)).then(|| Condition {
            parent: index,
            options: with.into_iter().collect(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::Tool;
    use indexmap::IndexMap;

    fn study(rows: &[&[(&str, Value)]]) -> Foreign {
        let trials: Vec<ForeignTrial> = rows
            .iter()
            .map(|row| ForeignTrial {
                parameters: row
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect(),
                ..ForeignTrial::default()
            })
            .collect();
        let mut parameters = IndexMap::new();
        for row in rows {
            row.iter().for_each(|(name, _)| {
                parameters.insert((*name).to_owned(), None);
            });
        }
        Foreign {
            tool: Tool::Csv,
            name: "s".into(),
            goal: None,
            metric: None,
            parameters,
            trials,
            notes: Vec::new(),
        }
    }

    #[test]
    fn kinds_are_guessed_from_values() {
        let real = [1e-4, 3e-2, 0.5].map(Value::Float);
        assert!(matches!(
            guess(&real.iter().collect::<Vec<_>>()),
            Some(Distribution::Loguniform { .. })
        ));
        let whole = [3, 9, 20].map(Value::Int);
        assert_eq!(
            guess(&whole.iter().collect::<Vec<_>>()),
            Some(Distribution::Int {
                low: 3,
                high: 20,
                log: false
            })
        );
        let again = [64, 32, 64, 32].map(Value::Int);
        let options = [32, 64].map(Value::Int).to_vec();
        assert_eq!(
            guess(&again.iter().collect::<Vec<_>>()),
            Some(Distribution::Choice {
                options,
                ordered: None
            })
        );
        let names: Vec<Value> = (0..50).map(|i| Value::Str(format!("run-{i}"))).collect();
        assert_eq!(guess(&names.iter().collect::<Vec<_>>()), None);
    }

    #[test]
    fn conditions_are_found() {
        let word = |text: &str| Value::Str(text.into());
        let rows: Vec<Vec<(&str, Value)>> = (0..8)
            .map(|i| match i % 2 {
                0 => vec![
                    ("opt", word("sgd")),
                    ("momentum", Value::Float(0.1 * f64::from(i))),
                ],
                _ => vec![("opt", word("adam"))],
            })
            .collect();
        let rows: Vec<&[(&str, Value)]> = rows.iter().map(Vec::as_slice).collect();
        let (space, notes) = space(&study(&rows), &[]);
        assert_eq!(notes, Vec::<String>::new());
        assert_eq!(
            space.parameters[1].condition,
            Some(Condition {
                parent: 0,
                options: vec![0]
            })
        );
    }
}
