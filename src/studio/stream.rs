//! Live changes as server-sent events: at most four batches a second, resumed by `Last-Event-ID`.

use crate::store::EventRow;
use crate::studio::error::ApiError;
use crate::studio::state::Studio;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Time between two looks at the store.
const BEAT: Duration = Duration::from_millis(250);
/// Events of one batch.
const BATCH: u64 = 1000;

#[derive(Deserialize)]
pub(super) struct EventsQuery {
    after: Option<u64>,
}

pub(super) async fn sweep_events(
    State(studio): State<Studio>,
    Path(reference): Path<String>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let sweep = studio
        .with_store(move |store| Ok(store.resolve(&reference)?))
        .await?;
    open(studio, Some(sweep), &query, &headers).await
}

pub(super) async fn all_events(
    State(studio): State<Studio>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    open(studio, None, &query, &headers).await
}

struct Position {
    studio: Studio,
    sweep: Option<String>,
    after: u64,
    _permit: OwnedSemaphorePermit,
}

async fn open(
    studio: Studio,
    sweep: Option<String>,
    query: &EventsQuery,
    headers: &HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>, ApiError> {
    let permit = studio.streams.clone().try_acquire_owned().map_err(|_| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "streams",
            "too many live views are open; close some",
        )
    })?;
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .and_then(|id| id.parse().ok());
    let after = match last.or(query.after) {
        Some(after) => after,
        None => studio.with_store(|store| Ok(store.last_event()?)).await?,
    };
    let position = Position {
        studio,
        sweep,
        after,
        _permit: permit,
    };
    let events = stream::unfold(position, |mut position| async move {
        loop {
            let (sweep, after) = (position.sweep.clone(), position.after);
            let rows = position
                .studio
                .with_store(move |store| Ok(store.events_since(sweep.as_deref(), after, BATCH)?))
                .await
                .unwrap_or_default();
            let next = rows.last().map(|row| row.seq);
            if let (Some(next), Some(event)) = (next, batch(&rows)) {
                position.after = next;
                // A full batch means that more is waiting: hurry.
                if (rows.len() as u64) < BATCH {
                    tokio::time::sleep(BEAT).await;
                }
                return Some((Ok(event), position));
            }
            tokio::time::sleep(BEAT).await;
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(10))))
}

fn batch(rows: &[EventRow]) -> Option<Event> {
    let last = rows.last()?;
    Event::default()
        .event("changes")
        .id(last.seq.to_string())
        .json_data(rows)
        .ok()
}
