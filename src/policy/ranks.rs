//! A multiset of numbers that answers "how many are above" and "which is the k-th" while it grows, and its prefix sums.
//!
//! Sorted blocks (a two-level list): insertion moves at most one block, counting adds block lengths; measured, it beats trees up
//! to far more numbers than a sweep has trials, and small sets stay one flat vector.

const BLOCK: usize = 512;

/// Numbers in ascending order, and a count of members that have no number.
#[derive(Clone, Debug)]
pub(super) struct Ranks {
    blocks: Blocks,
    /// Members without a number.
    pub(super) blanks: u64,
}

#[derive(Clone, Debug)]
enum Blocks {
    Flat(Vec<f64>),
    Many(Vec<Vec<f64>>),
}

impl Default for Ranks {
    fn default() -> Self {
        Self {
            blocks: Blocks::Flat(Vec::new()),
            blanks: 0,
        }
    }
}

impl Ranks {
    /// Adds a member.
    pub(super) fn add(&mut self, member: Option<f64>) {
        let Some(value) = member else {
            self.blanks += 1;
            return;
        };
        match &mut self.blocks {
            Blocks::Flat(values) => {
                insert(values, value);
                if values.len() > BLOCK {
                    let upper = values.split_off(values.len() / 2);
                    let lower = std::mem::take(values);
                    self.blocks = Blocks::Many(vec![lower, upper]);
                }
            }
            Blocks::Many(blocks) => {
                let at = block_of(blocks, value).min(blocks.len().saturating_sub(1));
                let Some(block) = blocks.get_mut(at) else {
                    blocks.push(vec![value]);
                    return;
                };
                insert(block, value);
                if block.len() > BLOCK {
                    let upper = block.split_off(block.len() / 2);
                    blocks.insert(at + 1, upper);
                }
            }
        }
    }

    /// Takes one member out; does nothing if it is not there.
    pub(super) fn remove(&mut self, member: Option<f64>) {
        let Some(value) = member else {
            self.blanks = self.blanks.saturating_sub(1);
            return;
        };
        match &mut self.blocks {
            Blocks::Flat(values) => {
                remove(values, value);
            }
            Blocks::Many(blocks) => {
                let at = block_of(blocks, value);
                if let Some(block) = blocks.get_mut(at) {
                    remove(block, value);
                    if block.is_empty() {
                        blocks.remove(at);
                    }
                }
            }
        }
    }

    /// Number of members that have a number.
    pub(super) fn len(&self) -> usize {
        match &self.blocks {
            Blocks::Flat(values) => values.len(),
            Blocks::Many(blocks) => blocks.iter().map(Vec::len).sum(),
        }
    }

    /// How many numbers come before the first that does not satisfy `below`; `below` must not become true again.
    pub(super) fn partition_point(&self, below: impl Fn(f64) -> bool) -> usize {
        match &self.blocks {
            Blocks::Flat(values) => values.partition_point(|value| below(*value)),
            Blocks::Many(blocks) => {
                let at = blocks.partition_point(|block| block.last().is_some_and(|last| below(*last)));
                let before: usize = blocks.iter().take(at).map(Vec::len).sum();
                let within = blocks
                    .get(at)
                    .map_or(0, |block| block.partition_point(|value| below(*value)));
                before + within
            }
        }
    }

    fn get(&self, mut index: usize) -> Option<f64> {
        match &self.blocks {
            Blocks::Flat(values) => values.get(index).copied(),
            Blocks::Many(blocks) => {
                for block in blocks.iter() {
                    if let Some(value) = block.get(index) {
                        return Some(*value);
                    }
                    index -= block.len();
                }
                None
            }
        }
    }
}

fn insert(values: &mut Vec<f64>, value: f64) {
    let at = values.partition_point(|other| other.total_cmp(&value).is_le());
    values.insert(at, value);
}

fn remove(values: &mut Vec<f64>, value: f64) {
    let at = values.partition_point(|other| other.total_cmp(&value).is_lt());
    if values
        .get(at)
        .is_some_and(|found| found.total_cmp(&value).is_eq())
    {
        values.remove(at);
    }
}

fn block_of(blocks: &[Vec<f64>], value: f64) -> usize {
    blocks.partition_point(|block| block.last().is_some_and(|last| last.total_cmp(&value).is_lt()))
}

/// The number at `index`, counted from the smallest, of the union of `sets`; `None` if there are not so many.
pub(super) fn select(sets: &[&Ranks], index: usize) -> Option<f64> {
    let mut ranges: Vec<(usize, usize)> = sets.iter().map(|set| (0, set.len())).collect();
    loop {
        let (widest, &(low, high)) = ranges
            .iter()
            .enumerate()
            .max_by_key(|(_, (low, high))| high.saturating_sub(*low))?;
        if low >= high {
            return None;
        }
        let pivot = sets.get(widest)?.get(low + (high - low) / 2)?;
        let less: Vec<usize> = sets
            .iter()
            .map(|set| set.partition_point(|value| value.total_cmp(&pivot).is_lt()))
            .collect();
        if index < less.iter().sum() {
            for (range, less) in ranges.iter_mut().zip(&less) {
                range.1 = range.1.min(*less);
            }
            continue;
        }
        let up_to: Vec<usize> = sets
            .iter()
            .map(|set| set.partition_point(|value| value.total_cmp(&pivot).is_le()))
            .collect();
        if index < up_to.iter().sum() {
            return Some(pivot);
        }
        for (range, up_to) in ranges.iter_mut().zip(&up_to) {
            range.0 = range.0.max(*up_to);
        }
    }
}

/// Sets at positions 0, 1, 2, ... such that the union of all before a position is a few sets (a Fenwick tree of sets).
#[derive(Clone, Debug, Default)]
pub(super) struct Prefixes {
    /// Node p (from 1) holds positions `p - lowbit(p) .. p`; the length is a power of two.
    nodes: Vec<Ranks>,
}

impl Prefixes {
    /// Adds a member at `position`.
    pub(super) fn add(&mut self, position: u64, member: Option<f64>) {
        // Beyond this many intervals the remaining ones share a position: memory stays bounded by the number of trials.
        let position = usize::try_from(position).unwrap_or(LAST).min(LAST);
        while self.nodes.len() <= position {
            self.grow();
        }
        let mut node = position + 1;
        while let Some(set) = self.nodes.get_mut(node - 1) {
            set.add(member);
            node += node & node.wrapping_neg();
        }
    }

    /// The sets whose union is all members at positions below `end`.
    pub(super) fn before(&self, end: u64) -> impl Iterator<Item = &Ranks> {
        let mut node = usize::try_from(end).unwrap_or(usize::MAX).min(self.nodes.len());
        std::iter::from_fn(move || {
            let set = self.nodes.get(node.checked_sub(1)?)?;
            node &= node - 1;
            Some(set)
        })
    }

    fn grow(&mut self) {
        // The last node of a power-of-two tree covers everything, and so does the last of the doubled one.
        let all = self.nodes.last().cloned().unwrap_or_default();
        let size = (self.nodes.len() * 2).max(1);
        self.nodes.resize_with(size - 1, Ranks::default);
        self.nodes.push(all);
    }
}

const LAST: usize = (1 << 20) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: u64) -> impl Iterator<Item = f64> {
        (0..count).map(|index| (index.wrapping_mul(2_654_435_761) % 1009) as f64)
    }

    #[test]
    fn ranks_agree_with_a_sorted_vector() {
        let mut ranks = Ranks::default();
        let mut sorted: Vec<f64> = Vec::new();
        for value in numbers(3000) {
            ranks.add(Some(value));
            sorted.push(value);
        }
        ranks.add(None);
        for value in numbers(700) {
            ranks.remove(Some(value));
            let at = sorted.iter().position(|other| *other == value).unwrap();
            sorted.remove(at);
        }
        sorted.sort_by(f64::total_cmp);
        assert_eq!((ranks.len(), ranks.blanks), (sorted.len(), 1));
        for probe in [-1.0, 0.0, 3.0, 500.5, 1008.0, 2000.0] {
            let expected = sorted.partition_point(|value| *value <= probe);
            assert_eq!(ranks.partition_point(|value| value <= probe), expected);
        }
        for index in [0, 1, 1150, 2299] {
            assert_eq!(select(&[&ranks], index), Some(sorted[index]));
        }
        assert_eq!(select(&[&ranks], 2300), None);
    }

    #[test]
    fn prefixes_select_over_their_union() {
        let mut prefixes = Prefixes::default();
        let mut all = Vec::new();
        for (index, value) in numbers(2000).enumerate() {
            let position = (index * 7 % 23) as u64;
            prefixes.add(position, Some(value));
            all.push((position, value));
        }
        for end in [0, 1, 5, 16, 22, 23, 400] {
            let mut expected: Vec<f64> = all.iter().filter(|(at, _)| *at < end).map(|(_, v)| *v).collect();
            expected.sort_by(f64::total_cmp);
            let sets: Vec<&Ranks> = prefixes.before(end).collect();
            assert_eq!(sets.iter().map(|set| set.len()).sum::<usize>(), expected.len());
            for index in [0, expected.len() / 2, expected.len().saturating_sub(1)] {
                assert_eq!(select(&sets, index), expected.get(index).copied());
            }
        }
    }
}
