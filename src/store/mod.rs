//! The store: one SQLite file per project folder, the truth about all sweeps.
//!
//! Every sweep has one writing process ([`SweepWriter`]: a lock, a lease, a nonce that each commit checks) and many readers
//! (`list`, `show`, studio). Rows are also the JSON of the CLI and the API: one shape everywhere. Format, durability and the
//! rules for network file systems: `docs/design/store.md`.

mod attempts;
mod ballast;
mod bulk;
mod change;
mod codec;
mod error;
mod events;
mod fold;
mod lease;
mod open;
mod placement;
mod points;
mod progress;
mod request;
pub mod row;
mod schema;
mod series;
mod snapshot;
mod sweeps;
mod trials;
mod writer;

pub use attempts::{EndedAttempt, OpenAttempt, TargetUse};
pub use ballast::BALLAST_BYTES;
pub use bulk::{Brief, Curve, Score};
pub use change::{Change, Durability};
pub use error::StoreError;
pub use events::EventQuery;
pub use lease::Leader;
pub use open::{FILE, OpenOptions, STATE_FOLDER, Store};
pub use placement::Placement;
pub use request::{OpenRequest, Request, RequestState};
pub use row::{ArtifactRow, AttemptRow, EventRow, FactRow, MetricPoint, MetricSummary, SweepRow, TrialRow};
pub use schema::APPLICATION_ID;
pub use series::SweepMetrics;
pub use sweeps::{SweepClock, SweepFilter};
pub use trials::{TrialCursor, TrialOrder, TrialQuery};
pub use writer::SweepWriter;

use codec::signed;
