//! What the columns of an encoded space are, for the models that compare them.

/// How the columns of a group are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// Squared difference, summed over the columns.
    Euclid,
    /// 1 if the single column differs.
    Hamming,
}

/// Neighbouring columns of the feature matrix that share a length scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// How they are compared.
    pub kind: GroupKind,
    /// First column.
    pub start: usize,
    /// Number of columns; 1 for Hamming.
    pub width: usize,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Without influence.
    Ignored,
    /// An ordered number.
    Number,
    /// One of so many categories (0, 1, ...); any other number is a category of its own.
    Category(usize),
}
