//! The live block on a real terminal, plain lines elsewhere, and what Ctrl-C does.

pub mod keys;
pub mod screen;
pub mod signals;

pub use keys::{Key, Keys};
pub use screen::Screen;
pub use signals::Signals;
