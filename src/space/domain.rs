//! A search space made ready for use: constraints compiled, children and levels known, points counted, drawn and recognised.

use super::constraint::Constraint;
use super::{Assignment, Distribution, Levels, SearchSpace, SpaceError, Value};
use std::sync::Arc;

/// What the samplers need of a space. Immutable; cheap to share.
#[derive(Clone, Debug)]
pub struct Domain {
    space: Arc<SearchSpace>,
    constraints: Vec<Constraint>,
    /// Per parameter: the options that differ from all before them (choices only).
    distinct: Vec<Vec<usize>>,
    /// Per parameter: the parameters whose condition names it.
    children: Vec<Vec<usize>>,
}

impl Domain {
    /// Compiles `space`.
    ///
    /// # Errors
    /// The first mistake that [`SearchSpace::validate`] finds.
    pub fn new(space: Arc<SearchSpace>) -> Result<Self, SpaceError> {
        if let Some(error) = space.validate().into_iter().next() {
            return Err(error);
        }
        let constraints = space
            .constraints
            .iter()
            .map(|text| Constraint::compile(text, &space))
            .collect::<Result<_, _>>()
            .map_err(SpaceError::Constraint)?;
        let distinct = space
            .parameters
            .iter()
            .map(|parameter| match &parameter.distribution {
                Distribution::Choice { options, .. } => (0..options.len())
                    .filter(|i| !options.iter().take(*i).any(|v| Some(v) == options.get(*i)))
                    .collect(),
                _ => Vec::new(),
            })
            .collect();
        let mut children = vec![Vec::new(); space.len()];
        for (index, parameter) in space.parameters.iter().enumerate() {
            if let Some(list) = parameter
                .condition
                .as_ref()
                .and_then(|c| children.get_mut(c.parent))
            {
                list.push(index);
            }
        }
        Ok(Self {
            space,
            constraints,
            distinct,
            children,
        })
    }

    /// The space itself.
    pub fn space(&self) -> &Arc<SearchSpace> {
        &self.space
    }

    /// The compiled constraints, in order.
    pub fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    /// Whether every constraint holds (those that mention an inactive parameter do).
    pub fn satisfies(&self, assignment: &Assignment) -> bool {
        self.constraints
            .iter()
            .all(|constraint| constraint.holds(assignment))
    }

    /// The assignment in which the active parameter `i` takes the value at probability `unit(i)`. `unit` is asked for every
    /// parameter in order, active or not, so that streams stay aligned.
    pub fn at(&self, mut unit: impl FnMut(usize) -> f64) -> Assignment {
        let mut values: Vec<Option<Value>> = Vec::with_capacity(self.space.len());
        let mut chosen: Vec<Option<usize>> = Vec::with_capacity(self.space.len());
        for (index, parameter) in self.space.parameters.iter().enumerate() {
            let u = unit(index);
            let active = is_active(parameter.condition.as_ref(), &chosen);
            let option = match &parameter.distribution {
                Distribution::Choice { options, .. } if active => {
                    Some(((u * options.len() as f64) as usize).min(options.len().saturating_sub(1)))
                }
                _ => None,
            };
            values.push(active.then(|| parameter.distribution.quantile(u)));
            chosen.push(option);
        }
        Assignment { values }
    }

    /// Per parameter the index of the option that a choice took (the first equal one); `None` for other kinds, inactive
    /// parameters and values that are no option.
    pub fn options_of(&self, assignment: &Assignment) -> Vec<Option<usize>> {
        self.space
            .parameters
            .iter()
            .enumerate()
            .map(|(index, parameter)| {
                let value = assignment.values.get(index)?.as_ref()?;
                option_index(&parameter.distribution, value)
            })
            .collect()
    }

    /// Whether the assignment names a value for exactly the parameters that are active, every choice takes one of its options, and
    /// numbers are numbers. Numbers outside the bounds are allowed: they are data from elsewhere.
    pub fn fits(&self, assignment: &Assignment) -> bool {
        let chosen = self.options_of(assignment);
        assignment.values.len() == self.space.len()
            && self
                .space
                .parameters
                .iter()
                .zip(&assignment.values)
                .enumerate()
                .all(|(index, (parameter, value))| {
                    let active = is_active(parameter.condition.as_ref(), &chosen);
                    match (active, value) {
                        (false, None) => true,
                        (true, Some(value)) => match parameter.distribution {
                            Distribution::Choice { .. } => chosen.get(index).copied().flatten().is_some(),
                            _ => value.as_f64().is_some_and(f64::is_finite),
                        },
                        _ => false,
                    }
                })
    }

    /// Whether every number lies within the bounds of its parameter, up to rounding.
    pub fn contains(&self, assignment: &Assignment) -> bool {
        let pairs = self.space.parameters.iter().zip(&assignment.values);
        pairs.into_iter().all(|(parameter, value)| {
            let number = value
                .as_ref()
                .and_then(Value::as_f64)
                .filter(|_| !matches!(parameter.distribution, Distribution::Choice { .. }));
            let bound = |u: f64| parameter.distribution.quantile(u).as_f64().unwrap_or(f64::NAN);
            // A bound that does not exist is no bound.
            number.is_none_or(|number| {
                let slack = 1e-9 * number.abs();
                let (below, above) = (number < bound(0.0) - slack, number > bound(1.0) + slack);
                !below && !above
            })
        })
    }

    /// The assignment with the middle of its axis for every active parameter that has no value, and nothing for inactive ones.
    pub fn filled(&self, assignment: &Assignment) -> Assignment {
        let mut filled = Assignment {
            values: Vec::with_capacity(self.space.len()),
        };
        for (index, parameter) in self.space.parameters.iter().enumerate() {
            let chosen = self.options_of(&filled);
            let value = is_active(parameter.condition.as_ref(), &chosen).then(|| {
                let given = assignment.values.get(index).cloned().flatten();
                given.unwrap_or_else(|| parameter.distribution.quantile(0.5))
            });
            filled.values.push(value);
        }
        filled
    }

    /// Number of distinct assignments, constraints not counted; `None` if infinite. Saturates at `u128::MAX`.
    pub fn cardinality(&self) -> Option<u128> {
        self.roots().try_fold(1_u128, |product, root| {
            Some(product.saturating_mul(self.count(root)?))
        })
    }

    /// The first parameter that keeps the space from being enumerated: continuous, or a grid without bounds.
    pub fn unbounded_parameter(&self) -> Option<usize> {
        self.space
            .parameters
            .iter()
            .position(|p| !matches!(p.distribution.levels(), Levels::Finite(_)))
    }

    /// The `index`-th assignment of a finite space: the first declared parameter varies slowest, children vary within their parent.
    /// `None` past the end or if the space is infinite.
    pub fn nth(&self, index: u128) -> Option<Assignment> {
        if index >= self.cardinality()? {
            return None;
        }
        let mut values = vec![None; self.space.len()];
        let roots: Vec<usize> = self.roots().collect();
        self.decode(&roots, index, &mut values)?;
        Some(Assignment { values })
    }

    /// Fills the subtrees of `group` from a mixed-radix index whose last member varies fastest.
    fn decode(&self, group: &[usize], mut index: u128, values: &mut [Option<Value>]) -> Option<()> {
        for &member in group.iter().rev() {
            let count = self.count(member)?;
            let digit = index % count;
            index /= count;
            self.decode_one(member, digit, values)?;
        }
        Some(())
    }

    fn decode_one(&self, parameter: usize, mut digit: u128, values: &mut [Option<Value>]) -> Option<()> {
        let distribution = &self.space.parameters.get(parameter)?.distribution;
        let Distribution::Choice { options, .. } = distribution else {
            *values.get_mut(parameter)? = distribution.level(u64::try_from(digit).ok()?);
            return Some(());
        };
        for &option in self.distinct.get(parameter)? {
            let active = self.children_under(parameter, option);
            let count = active.iter().try_fold(1_u128, |product, child| {
                Some(product.saturating_mul(self.count(*child)?))
            })?;
            if digit < count {
                *values.get_mut(parameter)? = options.get(option).cloned();
                return self.decode(&active, digit, values);
            }
            digit -= count;
        }
        None
    }

    /// Number of assignments of a parameter together with all that hangs on it.
    fn count(&self, parameter: usize) -> Option<u128> {
        let Levels::Finite(levels) = self.space.parameters.get(parameter)?.distribution.levels() else {
            return None;
        };
        let distinct = self.distinct.get(parameter)?;
        if distinct.is_empty() {
            return Some(u128::from(levels));
        }
        distinct.iter().try_fold(0_u128, |sum, option| {
            let branch = self
                .children_under(parameter, *option)
                .into_iter()
                .try_fold(1_u128, |product, child| {
                    Some(product.saturating_mul(self.count(child)?))
                })?;
            Some(sum.saturating_add(branch))
        })
    }

    fn children_under(&self, parent: usize, option: usize) -> Vec<usize> {
        let children = self.children.get(parent).map(Vec::as_slice).unwrap_or_default();
        let under = |child: &&usize| {
            let condition = self
                .space
                .parameters
                .get(**child)
                .and_then(|p| p.condition.as_ref());
            condition.is_some_and(|c| c.options.contains(&option))
        };
        children.iter().filter(under).copied().collect()
    }

    fn roots(&self) -> impl Iterator<Item = usize> {
        (0..self.space.len()).filter(|i| {
            self.space
                .parameters
                .get(*i)
                .is_some_and(|p| p.condition.is_none())
        })
    }
}

/// Whether a parameter exists, given the options that the parameters before it took.
pub(crate) fn is_active(condition: Option<&super::Condition>, chosen: &[Option<usize>]) -> bool {
    match condition {
        None => true,
        Some(condition) => chosen
            .get(condition.parent)
            .copied()
            .flatten()
            .is_some_and(|option| condition.options.contains(&option)),
    }
}

/// Index of the option equal to `value`, else of one that is the same number.
pub(crate) fn option_index(distribution: &Distribution, value: &Value) -> Option<usize> {
    let Distribution::Choice { options, .. } = distribution else {
        return None;
    };
    options.iter().position(|option| option == value).or_else(|| {
        let number = value.as_f64()?;
        options.iter().position(|option| option.as_f64() == Some(number))
    })
}
