//! What all handlers share.

use crate::config::Files;
use crate::store::{Store, StoreError};
use crate::studio::access::Access;
use crate::studio::compute::TargetKind;
use crate::studio::error::ApiError;
use crate::studio::overview::Courses;
use crate::studio::table::Tables;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Live streams at a time; a browser tab needs one.
const STREAMS_MAX: usize = 256;

/// Asks for the prices of targets, by name.
pub type Prices = Arc<dyn Fn() -> HashMap<String, f64> + Send + Sync>;

/// How a studio is set up.
#[derive(Clone)]
pub struct Settings {
    /// State folder (`<project>/.overdrive`).
    pub state_folder: PathBuf,
    /// Folder in which submitted sweeps are started; files named in them are looked for below it.
    pub project_folder: PathBuf,
    /// The overdrive binary to start sweeps with.
    pub program: PathBuf,
    /// Whether anything may be changed from the browser.
    pub read_only: bool,
    /// How users' files are read when a text is checked.
    pub files: Arc<dyn Files + Send + Sync>,
    /// What an hour of one slot costs on each target that says so, as it is now, by name.
    pub prices: Prices,
    /// Kinds of compute targets that `program` can create, attach and change.
    pub kinds: Arc<[TargetKind]>,
}

/// Large answers by what they are made from; the latest few.
#[derive(Default)]
pub(super) struct Kept(Mutex<VecDeque<(String, Arc<Vec<u8>>)>>);

/// Answers that are kept.
const KEPT_MAX: usize = 12;

impl Kept {
    /// The answer called `name`, which tells everything that it depends on; made if it is not there.
    pub(super) fn get(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<Vec<u8>, ApiError>,
    ) -> Result<Vec<u8>, ApiError> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = lock()
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, bytes)| Arc::clone(bytes));
        if let Some(bytes) = found {
            return Ok(bytes.to_vec());
        }
        let bytes = make()?;
        let mut kept = lock();
        kept.push_back((name.to_owned(), Arc::new(bytes.clone())));
        if kept.len() > KEPT_MAX {
            kept.pop_front();
        }
        Ok(bytes)
    }
}

/// A studio over one store.
#[derive(Clone)]
pub struct Studio {
    pub(super) settings: Arc<Settings>,
    pub(super) access: Arc<Access>,
    pub(super) store: Arc<Store>,
    /// A second door for reads that take long, so that short ones need not wait behind them.
    large: Arc<Store>,
    pub(super) courses: Arc<Courses>,
    pub(super) tables: Arc<Tables>,
    pub(super) kept: Arc<Kept>,
    pub(super) streams: Arc<Semaphore>,
}

impl Studio {
    /// Opens the store of `settings.state_folder`, making it if this is a new project.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be opened.
    pub fn open(settings: Settings, access: Arc<Access>) -> Result<Self, StoreError> {
        let store = Arc::new(Store::open(&settings.state_folder)?);
        // Where only one connection may be open, both doors are the same.
        let large = Store::open_read_only(&settings.state_folder).map_or_else(|_| store.clone(), Arc::new);
        Ok(Self {
            large,
            courses: Arc::default(),
            tables: Arc::default(),
            kept: Arc::default(),
            settings: Arc::new(settings),
            access,
            store,
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        })
    }

    /// As [`Studio::with_store`], for work that may take long; reads only.
    pub(super) async fn with_large<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let store = self.large.clone();
        tokio::task::spawn_blocking(move || work(&store))
            .await
            .unwrap_or_else(|_| Err(ApiError::internal("the request could not be finished")))
    }

    /// Runs blocking work on the store off the event loop.
    pub(super) async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || work(&store))
            .await
            .unwrap_or_else(|_| Err(ApiError::internal("the request could not be finished")))
    }
}
