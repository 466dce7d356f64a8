//! `runs/search`: sweeps and trials by filter and order, in pages that begin behind a place.

use super::filter::{self, Condition, Field, Seen};
use super::{Answer, Refused, experiment_id, milliseconds, status, sweep_run, trial_run};
use crate::store::{Store, SweepFilter, SweepRow};
use crate::studio::error::ApiError;
use crate::studio::state::Studio;
use crate::studio::table::{Line, Table};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::cmp::Ordering;
use std::collections::HashMap;

/// Runs of one answer unless asked otherwise, and at most; MLflow's own numbers.
const RUNS: usize = 1000;
const RUNS_MAX: usize = 50_000;

#[derive(Deserialize)]
pub(in crate::studio) struct RunSearch {
    #[serde(default)]
    experiment_ids: Vec<String>,
    #[serde(default)]
    filter: Option<String>,
    #[serde(default)]
    max_results: Option<usize>,
    #[serde(default)]
    order_by: Vec<String>,
    #[serde(default)]
    run_view_type: Option<String>,
    #[serde(default)]
    page_token: Option<String>,
}

/// A place in an order: the values that are sorted by, and the run, which decides between equals.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Place {
    keys: Vec<Option<Key>>,
    run: String,
}

/// A value in a token: numbers by their bits, so that they find their place again.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Key {
    Bits(u64),
    Text(String),
}

impl Key {
    fn of(seen: &Seen) -> Self {
        match seen {
            Seen::Number(number) => Self::Bits(number.to_bits()),
            Seen::Text(text) => Self::Text(text.clone()),
        }
    }

    fn seen(&self) -> Seen {
        match self {
            Self::Bits(bits) => Seen::Number(f64::from_bits(*bits)),
            Self::Text(text) => Seen::Text(text.clone()),
        }
    }
}

/// A run that fits: a sweep, or one of its trials.
struct Hit {
    sweep: usize,
    trial: Option<u64>,
    keys: Vec<Option<Seen>>,
    run: String,
}

fn bad(message: impl Into<String>) -> Refused {
    Refused(StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE", message.into())
}

pub(in crate::studio) async fn search_runs(
    State(studio): State<Studio>,
    Json(search): Json<RunSearch>,
) -> Answer {
    let text = search.filter.as_deref().unwrap_or_default();
    let conditions = filter::conditions(text)
        .map_err(|reason| bad(format!("the filter `{text}` is not understood: {reason}")))?;
    let mut orders = Vec::new();
    for text in &search.order_by {
        let order = filter::order(text);
        orders.push(order.map_err(|reason| bad(format!("the order `{text}` is not understood: {reason}")))?);
    }
    // MLflow's own order: the latest first.
    orders.push((Field::Attribute("start_time".into()), true));
    let limit = search.max_results.unwrap_or(RUNS).clamp(1, RUNS_MAX);
    let after = match search.page_token.as_deref().filter(|token| !token.is_empty()) {
        None => None,
        Some(token) => Some(read(token).ok_or_else(|| bad("`page_token` is no token of such a search"))?),
    };
    let tables = studio.tables.clone();
    let (runs, next) = studio
        .with_large(move |store| {
            let sweeps = chosen(store, &search)?;
            let mut hits = Vec::new();
            for (index, sweep) in sweeps.iter().enumerate() {
                collect(store, &tables, index, sweep, &conditions, &orders, &mut hits)?;
            }
            hits.sort_by(|a, b| compare(&orders, (&a.keys, &a.run), (&b.keys, &b.run)));
            let start = after.map_or(0, |place: Place| {
                let keys: Vec<Option<Seen>> =
                    place.keys.iter().map(|key| key.as_ref().map(Key::seen)).collect();
                hits.partition_point(|hit| {
                    compare(&orders, (&hit.keys, &hit.run), (&keys, &place.run)).is_le()
                })
            });
            let page = hits.get(start..).unwrap_or_default();
            let more = page.len() > limit;
            let page = page.get(..limit.min(page.len())).unwrap_or_default();
            let mut runs = Vec::with_capacity(page.len());
            for hit in page {
                let Some(sweep) = sweeps.get(hit.sweep) else {
                    continue;
                };
                runs.push(match hit.trial {
                    None => sweep_run(sweep),
                    Some(trial) => trial_run(store, sweep, &store.trial(&sweep.sweep, trial)?)?,
                });
            }
            Ok((runs, page.last().filter(|_| more).and_then(token)))
        })
        .await?;
    let mut answer = json!({"runs": runs});
    if let (Some(next), Some(map)) = (next, answer.as_object_mut()) {
        map.insert("next_page_token".into(), next.into());
    }
    Ok(Json(answer))
}

fn token(hit: &Hit) -> Option<String> {
    let place = Place {
        keys: hit.keys.iter().map(|key| key.as_ref().map(Key::of)).collect(),
        run: hit.run.clone(),
    };
    let text = serde_json::to_vec(&place).ok()?;
    Some(text.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn read(token: &str) -> Option<Place> {
    let digits = token.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    serde_json::from_slice(&bytes?).ok()
}

/// Sweeps of the experiments that are asked for.
fn chosen(store: &Store, search: &RunSearch) -> Result<Vec<SweepRow>, ApiError> {
    let (active, deleted) = match search.run_view_type.as_deref() {
        Some("DELETED_ONLY") => (false, true),
        Some("ALL") => (true, true),
        _ => (true, false),
    };
    let filter = SweepFilter {
        archived: deleted,
        ..SweepFilter::default()
    };
    let mut sweeps = store.sweeps(&filter)?;
    sweeps.retain(|row| {
        search.experiment_ids.contains(&experiment_id(&row.experiment))
            && if row.archived { deleted } else { active }
    });
    Ok(sweeps)
}

/// By the orders, each with missing values last; equals by run.
fn compare(orders: &[(Field, bool)], a: (&[Option<Seen>], &str), b: (&[Option<Seen>], &str)) -> Ordering {
    for (index, (_, down)) in orders.iter().enumerate() {
        let order = match (
            a.0.get(index).and_then(Option::as_ref),
            b.0.get(index).and_then(Option::as_ref),
        ) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(two)) if *down => two.compare(one),
            (Some(one), Some(two)) => one.compare(two),
        };
        if order.is_ne() {
            return order;
        }
    }
    a.1.cmp(b.1)
}

type Tables = std::sync::Arc<crate::studio::table::Tables>;

fn collect(
    store: &Store,
    tables: &Tables,
    index: usize,
    sweep: &SweepRow,
    conditions: &[Condition],
    orders: &[(Field, bool)],
    hits: &mut Vec<Hit>,
) -> Result<(), ApiError> {
    let fields: Vec<&Field> = conditions
        .iter()
        .map(|condition| &condition.field)
        .chain(orders.iter().map(|(field, _)| field))
        .collect();
    let mut add = |trial: Option<u64>, run: String, value: &dyn Fn(&Field) -> Option<Seen>| {
        let fits = |condition: &Condition| condition.holds(value(&condition.field).as_ref());
        if conditions.iter().all(fits) {
            let keys = orders.iter().map(|(field, _)| value(field)).collect();
            hits.push(Hit {
                sweep: index,
                trial,
                keys,
                run,
            });
        }
    };
    add(None, sweep.sweep.clone(), &|field| of_sweep(sweep, field));
    let mut logged = Logged::default();
    for field in fields {
        logged.read(store, sweep, field)?;
    }
    let created = milliseconds(&sweep.created);
    tables.with(store, &sweep.sweep, |table| {
        for (trial, line) in (0..).zip(&table.lines) {
            let run = format!("{}_{trial}", sweep.sweep);
            add(Some(trial), run.clone(), &|field| {
                of_trial(table, sweep, created, trial, line, &run, &logged, field)
            });
        }
        Ok(())
    })
}

/// What scripts told, by name and trial, as far as a search needs it.
#[derive(Default)]
struct Logged {
    metrics: HashMap<String, HashMap<u64, f64>>,
    facts: HashMap<(&'static str, String), HashMap<u64, String>>,
}

impl Logged {
    fn read(&mut self, store: &Store, sweep: &SweepRow, field: &Field) -> Result<(), ApiError> {
        match field {
            Field::Metric(name) if !self.metrics.contains_key(name) => {
                let values = store.last_values(&sweep.sweep, name)?.into_iter().collect();
                self.metrics.insert(name.clone(), values);
            }
            Field::Param(name) => self.fact(store, sweep, "param", name)?,
            Field::Tag(name) => self.fact(store, sweep, "tag", name)?,
            _ => {}
        }
        Ok(())
    }

    fn fact(
        &mut self,
        store: &Store,
        sweep: &SweepRow,
        kind: &'static str,
        name: &str,
    ) -> Result<(), ApiError> {
        let place = (kind, name.to_owned());
        if let std::collections::hash_map::Entry::Vacant(entry) = self.facts.entry(place) {
            entry.insert(store.facts_named(&sweep.sweep, kind, name)?.into_iter().collect());
        }
        Ok(())
    }

    fn said(&self, kind: &'static str, name: &str, trial: u64) -> Option<Seen> {
        let found = self.facts.get(&(kind, name.to_owned()))?.get(&trial)?;
        Some(Seen::Text(found.clone()))
    }
}

fn of_sweep(sweep: &SweepRow, field: &Field) -> Option<Seen> {
    let text = |text: &str| Some(Seen::Text(text.to_owned()));
    let name = sweep.display_name.as_deref().unwrap_or(&sweep.experiment);
    match field {
        Field::Metric(metric) => {
            let best = sweep
                .best
                .as_ref()
                .filter(|_| sweep.metric.as_ref() == Some(metric));
            best.map(|best| Seen::Number(best.value))
        }
        Field::Param(name) => {
            let value = sweep.best.as_ref()?.parameters.get(name)?;
            Some(Seen::Text(value.to_string()))
        }
        Field::Tag(tag) if tag == "mlflow.runName" => text(name),
        Field::Tag(tag) if tag == "mlflow.note.content" => sweep.notes.clone().map(Seen::Text),
        Field::Tag(tag) => sweep.tags.get(tag).cloned().map(Seen::Text),
        Field::Attribute(attribute) => match attribute.as_str() {
            "status" => text(status(sweep.state.word())),
            "start_time" => Some(Seen::Number(milliseconds(&sweep.created) as f64)),
            "end_time" => sweep
                .ended
                .as_deref()
                .map(|at| Seen::Number(milliseconds(at) as f64)),
            "run_id" => text(&sweep.sweep),
            "run_name" => text(name),
            "artifact_uri" => text(&format!("mlflow-artifacts:/{}", sweep.sweep)),
            _ => text(""),
        },
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "everything that a trial's values come from"
)]
fn of_trial(
    table: &Table,
    sweep: &SweepRow,
    created: i64,
    trial: u64,
    line: &Line,
    run: &str,
    logged: &Logged,
    field: &Field,
) -> Option<Seen> {
    let text = |text: &str| Some(Seen::Text(text.to_owned()));
    let at = |ms: u64| Some(Seen::Number(created as f64 + ms as f64));
    match field {
        Field::Metric(name) => logged.metrics.get(name)?.get(&trial).copied().map(Seen::Number),
        Field::Param(name) => {
            let own = table
                .names
                .get_index_of(name)
                .and_then(|place| line.parameter(place));
            own.map(|value| Seen::Text(value.to_string()))
                .or_else(|| logged.said("param", name, trial))
        }
        Field::Tag(tag) => match tag.as_str() {
            "mlflow.parentRunId" => text(&sweep.sweep),
            "mlflow.runName" => text(&format!("trial {trial}")),
            "overdrive.state" => text(line.state.word()),
            "overdrive.reason" => line.reason().map(|reason| Seen::Text(reason.to_owned())),
            _ => logged.said("tag", tag, trial),
        },
        Field::Attribute(attribute) => match attribute.as_str() {
            "status" => text(status(line.state.word())),
            "start_time" => at(line.started_ms.unwrap_or(line.created_ms)),
            "end_time" => line.ended_ms.and_then(at),
            "run_id" => text(run),
            "run_name" => text(&format!("trial {trial}")),
            "artifact_uri" => text(&format!("mlflow-artifacts:/{run}")),
            _ => text(""),
        },
    }
}
