//! Metric channels: how numbers leave an unchanged script. Parsers are pure, listeners are not.
//!
//! Every channel turns what it sees into [`Report`]s and hands them to one [`Sink`], the runner's; `merge` decides by precedence
//! which of them count.

pub mod foreign;
pub mod marker;
pub mod merge;
pub mod mlflow;
pub mod offline;
pub mod report_file;
pub mod scan;
pub mod shim;
pub mod text;

use crate::journal::Channel;

/// What a channel saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// A number.
    Metric {
        /// Name as the script gave it.
        name: String,
        /// Value; NaN and infinities are kept.
        value: f64,
        /// Step as the script gave it.
        step: Option<i64>,
        /// Door.
        channel: Channel,
    },
    /// A parameter, tag or property.
    Fact {
        /// `param`, `tag`, `property`, `status`.
        kind: String,
        /// Key.
        key: String,
        /// Value.
        value: String,
    },
    /// A file that was handed over; already stored below the attempt's folder.
    Artifact {
        /// `file`, `image`, `table`, `text`, `model`.
        kind: String,
        /// Name by the script.
        name: String,
        /// Path relative to the attempt's folder.
        path: String,
    },
    /// Something worth telling people.
    Warning {
        /// Stable slug.
        code: String,
        /// One sentence.
        message: String,
    },
}

/// Takes reports in, in order of arrival; called from several threads.
pub trait Sink: Send + Sync {
    /// Takes one report in. Returns only after it was written to the journal.
    fn report(&self, report: Report);
}
