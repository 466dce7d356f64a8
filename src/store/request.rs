//! Requests: what another process (`overdrive cancel`, the studio) wants from the controller of a sweep.

use super::codec::{document, parsed};
use super::error::StoreError;
use super::open::Store;
use crate::controller::Limits;
use crate::space::Assignment;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use std::os::unix::net::UnixDatagram;

/// A wish, carried out by the sweep's controller within 200 ms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Request {
    /// Cancel the sweep and everything that runs.
    Cancel {
        /// Why, in words.
        reason: String,
    },
    /// Cancel one trial.
    CancelTrial {
        /// Its number.
        trial: u64,
    },
    /// Start nothing new.
    Pause {
        /// Why, in words.
        reason: String,
    },
    /// Go on.
    Resume,
    /// Change the limits.
    SetLimits {
        /// The new ones.
        limits: Limits,
    },
    /// Try this configuration next.
    Enqueue {
        /// Its values.
        #[serde(with = "super::codec::nested")]
        assignment: Assignment,
    },
    /// Try the configuration of an ended trial once more.
    Rerun {
        /// Its number.
        trial: u64,
    },
}

/// Id of a request and what it says, or why it cannot be read.
pub type OpenRequest = (i64, Result<Request, String>);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// Nobody took it yet.
    Waiting,
    /// Carried out.
    Done,
    /// Refused, with the reason.
    Refused(String),
}

impl Store {
    /// Leaves a request for the controller of `sweep` and wakes it; durable against power loss on return. Returns its id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; whatever SQLite says.
    pub fn request(&self, sweep: &str, request: &Request) -> Result<i64, StoreError> {
        let body = document(request, "request")?;
        let now = self.clock.stamp().wall_ms;
        let (id, leader) = {
            let connection = self.writing()?;
            let sorted = self.sorted();
            let key = super::sweeps::key(&connection, sweep)?;
            connection
                .execute_batch("PRAGMA synchronous = FULL")
                .map_err(sorted)?;
            connection
                .execute(
                    "INSERT INTO request (sweep, body, created_wall_ms) VALUES (?1, ?2, ?3)",
                    params![key, body, now],
                )
                .map_err(sorted)?;
            let id = connection.last_insert_rowid();
            self.relax(&connection)?;
            (id, super::lease::leader(&connection, key).map_err(sorted)?)
        };
        if let Some(doorbell) = leader.and_then(|(leader, _)| leader.doorbell)
            && let Ok(socket) = UnixDatagram::unbound()
        {
            // Best effort: a leader that misses the bell looks by itself.
            let _ = socket.set_nonblocking(true);
            let _ = socket.send_to(b"r", doorbell);
        }
        Ok(id)
    }

    /// What became of a request.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such request.
    pub fn request_state(&self, request: i64) -> Result<RequestState, StoreError> {
        let row: Option<(Option<i64>, Option<String>)> = self
            .connection()
            .prepare_cached("SELECT handled_ms, error FROM request WHERE id = ?1")
            .and_then(|mut statement| {
                statement
                    .query_row([request], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()
            })
            .map_err(self.sorted())?;
        match row {
            None => Err(StoreError::NotFound(format!("request {request}"))),
            Some((None, _)) => Ok(RequestState::Waiting),
            Some((Some(_), None)) => Ok(RequestState::Done),
            Some((Some(_), Some(error))) => Ok(RequestState::Refused(error)),
        }
    }

    /// Requests of a sweep that nobody took yet, oldest first. One that cannot be read comes as its error's text.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn open_requests(&self, sweep: &str) -> Result<Vec<OpenRequest>, StoreError> {
        let connection = self.connection();
        let key = super::sweeps::key(&connection, sweep)?;
        let mut statement = connection
            .prepare_cached(
                "SELECT id, body FROM request WHERE sweep = ?1 AND handled_ms IS NULL ORDER BY id",
            )
            .map_err(self.sorted())?;
        let rows = statement
            .query_map([key], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
            .map_err(self.sorted())?;
        rows.map(|row| {
            let (id, body) = row.map_err(self.sorted())?;
            Ok((id, parsed(&body, "request").map_err(|error| error.to_string())))
        })
        .collect()
    }
}
