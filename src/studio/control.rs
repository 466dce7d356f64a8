//! Steering: requests to the controllers of sweeps, labels.

use crate::controller::Limits;
use crate::space::{Assignment, Value as Setting};
use crate::store::{Request, RequestState, Store, SweepRow};
use crate::studio::error::ApiError;
use crate::studio::read::{Answer, SCHEMA_VERSION};
use crate::studio::state::Studio;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long an answer waits for the controller to take a request.
const PATIENCE: Duration = Duration::from_secs(2);

/// What may be asked of a sweep.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum SweepAction {
    Cancel {
        reason: Option<String>,
    },
    Pause {
        reason: Option<String>,
    },
    Resume,
    SetLimits {
        max_total_runs: Option<u64>,
        max_concurrent_runs: Option<u64>,
        max_duration_minutes: Option<f64>,
    },
    /// Start a controller for a sweep whose own is gone.
    Lead,
    Enqueue {
        parameters: IndexMap<String, Setting>,
    },
}

/// What may be asked of a trial.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum TrialAction {
    Cancel,
    Rerun,
}

/// How a request stands.
#[derive(Serialize, JsonSchema)]
pub(super) struct Requested {
    schema_version: u32,
    /// Number of the request.
    request: i64,
    /// `done`, or `waiting` if nobody has taken it yet.
    state: &'static str,
    /// What that means, in words.
    message: Option<&'static str>,
}

/// Labels to change; absent ones stay.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Labels {
    tags: Option<IndexMap<String, String>>,
    notes: Option<String>,
    archived: Option<bool>,
}

pub(super) fn changeable(studio: &Studio) -> Result<(), ApiError> {
    if studio.settings.read_only {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "read-only",
            "this studio was started with `--read-only`",
        ));
    }
    Ok(())
}

pub(super) async fn label(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
    Json(labels): Json<Labels>,
) -> Answer<SweepRow> {
    changeable(&studio)?;
    studio
        .with_store(move |store| {
            let sweep = store.resolve(&reference)?;
            if let Some(tags) = &labels.tags {
                store.set_tags(&sweep, tags)?;
            }
            if let Some(notes) = &labels.notes {
                store.set_notes(&sweep, notes)?;
            }
            if let Some(archived) = labels.archived {
                store.set_archived(&sweep, archived)?;
            }
            Ok(store.sweep(&sweep)?)
        })
        .await
        .map(Json)
}

pub(super) async fn sweep_action(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
    Json(action): Json<SweepAction>,
) -> Result<Response, ApiError> {
    changeable(&studio)?;
    if matches!(action, SweepAction::Lead) {
        let sweep = studio
            .with_store(move |store| Ok(store.resolve(&reference)?))
            .await?;
        return Ok(super::submit::lead(&studio, sweep).await?.into_response());
    }
    let id = studio
        .with_store(move |store| {
            let row = store.sweep(&reference)?;
            if row.state.is_terminal() {
                let message = format!("the sweep has ended ({})", row.state.word());
                return Err(ApiError::new(StatusCode::CONFLICT, "ended", message));
            }
            let request = request_of(store, &row, action)?;
            Ok(store.request(&row.sweep, &request)?)
        })
        .await?;
    Ok(settle(&studio, id).await?.into_response())
}

fn request_of(store: &Store, row: &SweepRow, action: SweepAction) -> Result<Request, ApiError> {
    let by_user = |reason: Option<String>| reason.unwrap_or_else(|| "from the studio".into());
    Ok(match action {
        SweepAction::Cancel { reason } => Request::Cancel {
            reason: by_user(reason),
        },
        SweepAction::Pause { reason } => Request::Pause {
            reason: by_user(reason),
        },
        SweepAction::Resume | SweepAction::Lead => Request::Resume,
        SweepAction::SetLimits {
            max_total_runs,
            max_concurrent_runs,
            max_duration_minutes,
        } => {
            let at_least_one = |name: &str, value: u64| {
                if value == 0 {
                    Err(ApiError::bad(format!("`{name}` must be at least 1")))
                } else {
                    Ok(value)
                }
            };
            let minutes = max_duration_minutes.or(row.max_duration_minutes);
            Request::SetLimits {
                limits: Limits {
                    max_total: at_least_one("max_total_runs", max_total_runs.unwrap_or(row.max_total_runs))?,
                    max_concurrent: at_least_one(
                        "max_concurrent_runs",
                        max_concurrent_runs.unwrap_or(row.max_concurrent_runs),
                    )?,
                    max_duration_ms: minutes
                        .map(|minutes| {
                            if minutes.is_finite() && minutes > 0.0 {
                                Ok((minutes * 60_000.0) as u64)
                            } else {
                                Err(ApiError::bad("`max_duration_minutes` must be a positive number"))
                            }
                        })
                        .transpose()?,
                },
            }
        }
        SweepAction::Enqueue { parameters } => Request::Enqueue {
            assignment: assignment_of(store, &row.sweep, &parameters)?,
        },
    })
}

/// Names and values by the user to an assignment of the space.
fn assignment_of(
    store: &Store,
    sweep: &str,
    parameters: &IndexMap<String, Setting>,
) -> Result<Assignment, ApiError> {
    let space = store.experiment(sweep)?.space;
    space
        .assignment_from(parameters)
        .map_err(|error| ApiError::bad(error.to_string()))
}

pub(super) async fn trial_action(
    State(studio): State<Studio>,
    Path((reference, trial)): Path<(String, u64)>,
    Json(action): Json<TrialAction>,
) -> Answer<Requested> {
    changeable(&studio)?;
    let id = studio
        .with_store(move |store| {
            let row = store.trial(&store.resolve(&reference)?, trial)?;
            let sweep = store.resolve(&reference)?;
            let request = match action {
                TrialAction::Cancel if row.state.is_terminal() => {
                    let message = format!("trial {trial} has ended ({})", row.state.word());
                    return Err(ApiError::new(StatusCode::CONFLICT, "ended", message));
                }
                TrialAction::Cancel => Request::CancelTrial { trial },
                TrialAction::Rerun => Request::Rerun { trial },
            };
            Ok(store.request(&sweep, &request)?)
        })
        .await?;
    settle(&studio, id).await
}

fn requested(request: i64, state: &'static str, message: Option<&'static str>) -> Json<Requested> {
    Json(Requested {
        schema_version: SCHEMA_VERSION,
        request,
        state,
        message,
    })
}

/// Waits a little for the controller to take the request, and says how it stands.
async fn settle(studio: &Studio, id: i64) -> Answer<Requested> {
    let begun = tokio::time::Instant::now();
    loop {
        match studio
            .with_store(move |store| Ok(store.request_state(id)?))
            .await?
        {
            RequestState::Done => return Ok(requested(id, "done", None)),
            RequestState::Refused(reason) => {
                return Err(ApiError::new(StatusCode::CONFLICT, "refused", reason));
            }
            RequestState::Waiting if begun.elapsed() > PATIENCE => {
                let message = "no controller has taken the request yet; it will when the sweep is resumed";
                return Ok(requested(id, "waiting", Some(message)));
            }
            RequestState::Waiting => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
}
