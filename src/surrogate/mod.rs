//! Surrogate models: arrays in, arrays out; they know no trial, parameter or goal.
//!
//! Everything here must give the same bits on every machine and whatever is cached: sums run in a fixed order, `exp` and `ln` are our
//! own or `libm`'s, multiplications and additions are never fused, and parallel work is split only into independent pieces.

pub mod curve;
pub mod fit;
pub mod forest;
pub mod gp;
pub mod kernel;
pub mod linalg;
pub mod transform;
pub mod warp;

pub use curve::CurveModel;
pub use fit::{Fit, Prior};
pub use gp::{Data, Gp, Hyperparameters};
pub use kernel::{Group, GroupKind};
pub use linalg::Cholesky;
pub use transform::{Transform, TransformKind};
pub use warp::{Warp, WarpFit};

/// Why a model cannot be fitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SurrogateError {
    /// The covariance stays singular with the largest jitter, or holds a number that is not finite.
    #[error("the covariance of {0} points cannot be factored")]
    NotPositiveDefinite(usize),
    /// Nothing to learn from.
    #[error("there are no points to learn from")]
    Empty,
}
