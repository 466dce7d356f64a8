//! Spanned documents and diagnostics: YAML/JSON trees with places, all mistakes of a file at once, nearest spellings.
//!
//! Pure. A reader takes a [`Source`], parses it into a tree of [`Node`]s in which every value and every key knows its bytes in
//! the file, walks the tree with [`Fields`], and reports what it does not like to a [`Diagnostics`] collector without ever
//! stopping. `report::diagnostic` renders the result.
//!
//! ```
//! use overdrive::diagnostic::{Dialect, Diagnostics, Fields, Source, Unknown, parse};
//!
//! let source = Source::new("job.yml", "nmae: digits\ntries: three\n");
//! let document = parse(&source, Dialect::Yaml12);
//! let mut found = Diagnostics::new(&source);
//! found.extend(document.diagnostics);
//! if let Some(root) = &document.root
//!     && let Some(mut fields) = Fields::open(root, "the file", &mut found)
//! {
//!     // `required` reports a missing key; `optional` and `given` (not null) do not.
//!     let name = fields.required("name", &mut found).and_then(|entry| found.text(entry));
//!     let tries = fields.given("tries").and_then(|entry| found.integer(entry, 1, 100));
//!     assert_eq!((name, tries), (None, None));
//!     // Whatever was not asked for is unknown; the nearest asked-for key is offered.
//!     fields.finish(Unknown::Warn, &mut found);
//! }
//! let codes: Vec<_> = found.sorted().iter().map(|diagnostic| diagnostic.code.clone()).collect();
//! // `nmae` is named by the complaint about `name`, once.
//! assert_eq!(codes, ["missing-key", "argument-type"]);
//! ```

mod compose;
mod fields;
mod message;
mod node;
mod scalar;
mod source;
mod spelling;

pub use compose::{Document, MAX_BYTES, MAX_DEPTH, MAX_NODES, parse};
pub use fields::{Fields, Unknown};
pub use message::{Diagnostic, Diagnostics, Label, Severity, Suggestion};
pub use node::{Entry, Kind, Node};
pub use scalar::{Dialect, resolve};
pub use source::{Position, Source, Span};
pub use spelling::{list, nearest, nearest_or_synonym};
