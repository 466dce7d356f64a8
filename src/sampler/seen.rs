//! Which configurations a sweep has already tried, kept up with its history.

use crate::history::History;
use crate::sampler::rng::Stream;
use crate::space::{Assignment, Domain, Fingerprint};
use std::collections::HashSet;

/// Spaces up to this size are enumerated when draws keep hitting what has been tried.
const ENUMERABLE: u128 = 100_000;

/// Draws that may in a row repeat a configuration before a sampler gives up.
pub(crate) const MAX_REPEATS: u32 = 1_000;

/// Draws that may in a row break a constraint before a sampler gives up.
pub(crate) const MAX_REFUSED: u32 = 100_000;

/// The configurations of this sweep's trials, whatever their state; trials of earlier sweeps do not count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    keys: HashSet<Fingerprint>,
    /// Number of trials taken in, and the key of the last of them (to notice another history).
    trials: usize,
    last: Option<Fingerprint>,
}

impl Seen {
    /// Takes in the trials that came since the last call. Returns false if everything had to be rebuilt.
    pub(crate) fn follow(&mut self, domain: &Domain, history: &History) -> bool {
        let known = self
            .trials
            .checked_sub(1)
            .and_then(|last| history.trials.get(last));
        let same = known.map(|trial| domain.fingerprint(&trial.assignment)) == self.last;
        if !same {
            *self = Self::default();
        }
        for trial in history.trials.iter().skip(self.trials) {
            let key = domain.fingerprint(&trial.assignment);
            self.keys.insert(key);
            self.last = Some(key);
        }
        self.trials = history.trials.len();
        same
    }

    /// Whether this configuration has been tried.
    pub(crate) fn contains(&self, key: &Fingerprint) -> bool {
        self.keys.contains(key)
    }
}

/// What draws and, where they fail, enumeration led to.
pub(crate) enum Found {
    /// A new configuration that keeps the constraints, and the number of draws it took.
    New(Assignment, u32),
    /// None; the text says why.
    None(String),
}

/// Draws until a new configuration comes that keeps the constraints; a small finite space is enumerated before giving up, and one of
/// what is left taken at random by `choose`.
pub(crate) fn search(
    domain: &Domain,
    seen: Option<&Seen>,
    choose: &mut Stream,
    mut draw: impl FnMut(u32) -> Assignment,
) -> Found {
    let is_new =
        |assignment: &Assignment| seen.is_none_or(|seen| !seen.contains(&domain.fingerprint(assignment)));
    let size = domain.cardinality();
    let enumerable = size.is_some_and(|size| size <= ENUMERABLE);
    let patience = if enumerable { 64 } else { MAX_REPEATS };
    let (mut repeats, mut refused, mut draws) = (0, 0, 0);
    let most_refused = if enumerable { 1_000 } else { MAX_REFUSED };
    while repeats < patience && refused < most_refused {
        let assignment = draw(draws);
        draws += 1;
        if !domain.satisfies(&assignment) {
            refused += 1;
        } else if is_new(&assignment) {
            return Found::New(assignment, draws);
        } else {
            repeats += 1;
            refused = 0;
        }
    }
    match size {
        Some(size) if enumerable => {
            let allowed = || {
                (0..size)
                    .filter_map(|index| domain.nth(index))
                    .filter(|a| domain.satisfies(a))
            };
            let left: Vec<Assignment> = allowed().filter(|a| is_new(a)).collect();
            match left.get(choose.index(left.len())) {
                Some(assignment) => Found::New(assignment.clone(), draws),
                None => Found::None(exhausted(allowed().count())),
            }
        }
        _ if repeats >= patience => {
            Found::None(format!("{MAX_REPEATS} draws in a row had been tried before"))
        }
        _ => Found::None(format!("{MAX_REFUSED} draws in a row broke a constraint")),
    }
}

/// The sentence for a space of which every configuration has been tried.
pub(crate) fn exhausted(count: usize) -> String {
    match count {
        0 => "no configuration of the space keeps the constraints".into(),
        1 => "the only configuration of the space has been tried".into(),
        _ => format!("all {count} configurations of the space have been tried"),
    }
}
