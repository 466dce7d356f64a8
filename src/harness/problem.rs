//! A benchmark problem: a space, and what training a configuration would have reported.

use crate::harness::network::Network;
use crate::harness::synthetic;
use crate::space::Value;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Values by parameter name; only active parameters.
pub type Configuration = IndexMap<String, Value>;

/// Gives the bytes of a file by its name relative to the problem folder.
pub trait Files {
    /// The content, or why it cannot be had.
    ///
    /// # Errors
    /// A message that names the file.
    fn bytes(&self, name: &str) -> Result<Vec<u8>, String>;
}

/// Why a problem cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProblemError {
    /// A file cannot be read.
    #[error("{0}")]
    File(String),
    /// A file is not what the format says.
    #[error("problem file: {0}")]
    Data(String),
    /// A configuration does not belong to the space.
    #[error("`{name}` cannot be {value}")]
    Configuration {
        /// Parameter.
        name: String,
        /// Value.
        value: String,
    },
}

impl ProblemError {
    pub(super) fn json(error: serde_json::Error) -> Self {
        Self::Data(error.to_string())
    }
}

/// One parameter of a problem's space, as in the file and in the `init` message of the JSON-lines protocol.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProblemParameter {
    /// Name.
    pub name: String,
    /// `float`, `int` (both ends inclusive), `ordinal`, `categorical`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Lower bound of `float` and `int`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper bound of `float` and `int`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Uniform in the logarithm.
    #[serde(default)]
    pub log: bool,
    /// Options of `ordinal` and `categorical`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
    /// Active only under these values of that parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
}

/// Condition of a parameter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct When {
    /// Parent's name.
    pub param: String,
    /// Values under which the child is active.
    #[serde(rename = "in")]
    pub values: Vec<Value>,
}

/// Learning curves: integer steps `min..=max`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fidelity {
    /// Name of the step in the underlying data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// First step.
    pub min: u64,
    /// Last step (a full training).
    pub max: u64,
}

/// Reference values for normalizing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reference {
    /// Lowest noise-free value known.
    pub best: f64,
    /// Median of random configurations.
    pub median: f64,
}

#[derive(Deserialize)]
struct TableFile {
    file: String,
    dtype: String,
    replicates: usize,
    #[serde(default = "one")]
    steps: usize,
    #[serde(default = "unit")]
    mul: f64,
    #[serde(default)]
    add: f64,
}

fn one() -> usize {
    1
}

fn unit() -> f64 {
    1.0
}

#[derive(Deserialize)]
struct ProblemFile {
    name: String,
    kind: String,
    space: Vec<ProblemParameter>,
    #[serde(default)]
    fidelity: Option<Fidelity>,
    #[serde(rename = "ref")]
    reference: Reference,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    output: Option<String>,
    #[serde(default = "unit")]
    mul: f64,
    #[serde(default)]
    add: f64,
    #[serde(default)]
    constants: Configuration,
    #[serde(default)]
    table: Option<TableFile>,
    #[serde(default)]
    function: Option<String>,
}

enum Kind {
    Network {
        network: Box<Network>,
        output: usize,
        mul: f64,
        add: f64,
        constants: Configuration,
    },
    Table {
        values: Vec<f32>,
        replicates: usize,
        steps: usize,
        mul: f64,
        add: f64,
    },
    Formula(fn(&Configuration) -> f64),
}

/// A problem that can be evaluated.
pub struct Problem {
    /// Name.
    pub name: String,
    /// The space, parents before children.
    pub space: Vec<ProblemParameter>,
    /// Curves, if it has any.
    pub fidelity: Option<Fidelity>,
    /// For normalizing.
    pub reference: Reference,
    kind: Kind,
}

impl Problem {
    /// Reads the problem called `name`.
    ///
    /// # Errors
    /// [`ProblemError`] if a file is missing or not as the format says.
    pub fn read(name: &str, files: &dyn Files) -> Result<Self, ProblemError> {
        let bytes = |name: &str| files.bytes(name).map_err(ProblemError::File);
        let file: ProblemFile =
            serde_json::from_slice(&bytes(&format!("{name}.json"))?).map_err(ProblemError::json)?;
        let missing = |key: &str| ProblemError::Data(format!("`{name}` needs `{key}`"));
        let kind = match file.kind.as_str() {
            "nn" => {
                let model = file.model.ok_or_else(|| missing("model"))?;
                let weights = model.replace(".json", ".f32");
                let network = Network::read(&bytes(&model)?, &bytes(&weights)?)?;
                let output = file.output.ok_or_else(|| missing("output"))?;
                let output = network
                    .output(&output)
                    .ok_or_else(|| ProblemError::Data(format!("the network has no output `{output}`")))?;
                Kind::Network {
                    network: Box::new(network),
                    output,
                    mul: file.mul,
                    add: file.add,
                    constants: file.constants,
                }
            }
            "table" => {
                let table = file.table.ok_or_else(|| missing("table"))?;
                let values = decode(&bytes(&table.file)?, &table.dtype)?;
                let configurations: usize = file
                    .space
                    .iter()
                    .map(|parameter| parameter.values.len())
                    .product();
                if values.len() != configurations * table.replicates * table.steps {
                    return Err(ProblemError::Data(format!(
                        "the table of `{name}` has {} values",
                        values.len()
                    )));
                }
                Kind::Table {
                    values,
                    replicates: table.replicates,
                    steps: table.steps,
                    mul: table.mul,
                    add: table.add,
                }
            }
            "synthetic" => {
                let function = file.function.ok_or_else(|| missing("function"))?;
                Kind::Formula(
                    synthetic::formula(&function)
                        .ok_or_else(|| ProblemError::Data(format!("no formula is called `{function}`")))?,
                )
            }
            other => return Err(ProblemError::Data(format!("`{other}` is not a kind of problem"))),
        };
        Ok(Self {
            name: file.name,
            space: file.space,
            fidelity: file.fidelity,
            reference: file.reference,
            kind,
        })
    }

    /// Steps of a full training (1 without curves).
    pub fn steps(&self) -> u64 {
        self.fidelity.as_ref().map_or(1, |fidelity| fidelity.max)
    }

    /// The canonical form: inactive parameters dropped, numbers clipped to their range, integers rounded.
    ///
    /// # Errors
    /// [`ProblemError::Configuration`] for a value outside the options.
    pub fn canonical(&self, configuration: &Configuration) -> Result<Configuration, ProblemError> {
        let mut canonical = Configuration::new();
        for parameter in &self.space {
            let active = parameter.when.as_ref().is_none_or(|when| {
                canonical
                    .get(&when.param)
                    .is_some_and(|value| when.values.iter().any(|option| same(option, value)))
            });
            let Some(value) = configuration.get(&parameter.name).filter(|_| active) else {
                continue;
            };
            let wrong = || ProblemError::Configuration {
                name: parameter.name.clone(),
                value: value.to_string(),
            };
            let (low, high) = (
                parameter.low.unwrap_or(f64::MIN),
                parameter.high.unwrap_or(f64::MAX),
            );
            let value = match parameter.kind.as_str() {
                "int" => {
                    let number = value.as_f64().ok_or_else(wrong)?;
                    Value::Int(number.round_ties_even().clamp(low, high) as i64)
                }
                "float" => Value::Float(value.as_f64().ok_or_else(wrong)?.clamp(low, high)),
                _ => parameter
                    .values
                    .iter()
                    .find(|option| same(option, value))
                    .cloned()
                    .ok_or_else(wrong)?,
            };
            canonical.insert(parameter.name.clone(), value);
        }
        Ok(canonical)
    }

    /// Observed values at steps 1..=R. `seed` picks the replicate of a table.
    ///
    /// # Errors
    /// [`ProblemError::Configuration`] for a configuration outside the space.
    pub fn curve(&self, configuration: &Configuration, seed: u64) -> Result<Vec<f64>, ProblemError> {
        let canonical = self.canonical(configuration)?;
        Ok(match &self.kind {
            Kind::Formula(formula) => vec![formula(&canonical)],
            Kind::Table { replicates, .. } => {
                self.table_row(&canonical, (seed as usize) % (*replicates).max(1))?
            }
            Kind::Network {
                network,
                output,
                mul,
                add,
                constants,
            } => {
                let mut row = constants.clone();
                row.extend(canonical);
                match &self.fidelity {
                    None => vec![network.evaluate(&row, *output) * mul + add],
                    Some(fidelity) => {
                        let name = fidelity.name.clone().unwrap_or_else(|| "epoch".into());
                        (1..=fidelity.max)
                            .map(|step| {
                                row.insert(name.clone(), Value::Int(step as i64));
                                network.evaluate(&row, *output) * mul + add
                            })
                            .collect()
                    }
                }
            }
        })
    }

    /// The noise-free objective: lowest value of the curve, averaged over replicates.
    ///
    /// # Errors
    /// [`ProblemError::Configuration`] for a configuration outside the space.
    pub fn truth(&self, configuration: &Configuration) -> Result<f64, ProblemError> {
        let lowest = |curve: Vec<f64>| curve.into_iter().fold(f64::INFINITY, f64::min);
        match &self.kind {
            Kind::Table { replicates, .. } => {
                let canonical = self.canonical(configuration)?;
                let mut sum = 0.0;
                for replicate in 0..*replicates {
                    sum += lowest(self.table_row(&canonical, replicate)?);
                }
                Ok(sum / *replicates as f64)
            }
            _ => self.curve(configuration, 0).map(lowest),
        }
    }

    /// Virtual seconds of one full training: `2^u`, u in [-1, 1) from the CRC-32 of the canonical JSON.
    ///
    /// # Errors
    /// [`ProblemError::Configuration`] for a configuration outside the space.
    pub fn duration(&self, configuration: &Configuration) -> Result<f64, ProblemError> {
        let sorted: BTreeMap<String, Value> = self.canonical(configuration)?.into_iter().collect();
        let json = Value::Map(Box::new(sorted.into_iter().collect())).to_string();
        let crc = crc32fast::hash(json.as_bytes());
        Ok(2f64.powf(f64::from(crc) / 2f64.powi(31) - 1.0))
    }

    fn table_row(&self, canonical: &Configuration, replicate: usize) -> Result<Vec<f64>, ProblemError> {
        let Kind::Table {
            values,
            replicates,
            steps,
            mul,
            add,
        } = &self.kind
        else {
            return Ok(Vec::new());
        };
        let mut index = 0;
        for parameter in &self.space {
            let value = canonical.get(&parameter.name);
            let place = value
                .and_then(|value| parameter.values.iter().position(|option| same(option, value)))
                .ok_or_else(|| ProblemError::Configuration {
                    name: parameter.name.clone(),
                    value: value.map_or_else(|| "absent".into(), ToString::to_string),
                })?;
            index = index * parameter.values.len() + place;
        }
        let start = (index * replicates + replicate) * steps;
        Ok(values
            .get(start..start + steps)
            .unwrap_or_default()
            .iter()
            .map(|value| f64::from(*value) * mul + add)
            .collect())
    }
}

/// Equality that does not tell `1` from `1.0`, as in the reference evaluator.
fn same(a: &Value, b: &Value) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

fn decode(bytes: &[u8], dtype: &str) -> Result<Vec<f32>, ProblemError> {
    Ok(match dtype {
        "f32" => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect(),
        "f16" => bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|bytes| half::f16::from_le_bytes(*bytes).to_f32())
            .collect(),
        "u16" => bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|bytes| f32::from(u16::from_le_bytes(*bytes)))
            .collect(),
        other => return Err(ProblemError::Data(format!("`{other}` is not a number format"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder;
    impl Files for Folder {
        fn bytes(&self, name: &str) -> Result<Vec<u8>, String> {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/problems/").to_owned() + name;
            std::fs::read(&path).map_err(|error| format!("{path}: {error}"))
        }
    }

    #[derive(Deserialize)]
    struct Vector {
        problem: String,
        params: Configuration,
        seed: u64,
        first: f64,
        last: f64,
        truth: f64,
        duration: f64,
    }

    #[test]
    fn every_reference_vector_is_met() {
        let vectors: Vec<Vector> = serde_json::from_slice(&Folder.bytes("vectors.json").unwrap()).unwrap();
        assert!(vectors.len() >= 50);
        let mut problems: IndexMap<String, Problem> = IndexMap::new();
        for vector in vectors {
            let problem = problems
                .entry(vector.problem.clone())
                .or_insert_with(|| Problem::read(&vector.problem, &Folder).unwrap());
            let curve = problem.curve(&vector.params, vector.seed).unwrap();
            let close = |a: f64, b: f64| (a - b).abs() <= 5e-4 * b.abs().max(1e-9);
            assert!(
                close(curve[0], vector.first),
                "{}: {} {}",
                vector.problem,
                curve[0],
                vector.first
            );
            let last = curve[curve.len() - 1];
            assert!(
                close(last, vector.last),
                "{}: {last} {}",
                vector.problem,
                vector.last
            );
            let truth = problem.truth(&vector.params).unwrap();
            assert!(
                close(truth, vector.truth),
                "{}: {truth} {}",
                vector.problem,
                vector.truth
            );
            let duration = problem.duration(&vector.params).unwrap();
            assert!(
                (duration - vector.duration).abs() < 1e-9,
                "{}: {duration} {}",
                vector.problem,
                vector.duration
            );
        }
    }
}
