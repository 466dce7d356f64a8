//! Feed-forward surrogate networks: residual blocks with gated units over embeddings and scaled numbers.
//!
//! `h = W_first x + b`; per block `z = W_up (h * scale + shift) + b_up`, split in halves (a, g), `h += W_down (a * max(g, 0)) + b_down`;
//! then `h = max(h * scale + shift, 0)`, `y = sigmoid(W_head h + b_head)`, and each output through its own operations. Arithmetic is f32 as in
//! the original graphs.

use crate::harness::problem::{Configuration, ProblemError};
use serde::Deserialize;
use std::collections::HashMap;

#[derive(Deserialize)]
struct Structure {
    cat: Vec<Categorical>,
    cont: Vec<Continuous>,
    blocks: usize,
    out: Vec<Output>,
    tensors: Vec<Tensor>,
}

#[derive(Deserialize)]
struct Categorical {
    name: String,
    codes: HashMap<String, usize>,
}

#[derive(Deserialize)]
struct Continuous {
    name: String,
    ops: Vec<Operation>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    ops: Vec<Operation>,
}

#[derive(Deserialize)]
struct Tensor {
    name: String,
    shape: Vec<usize>,
    offset: usize,
}

/// `["add", 1.0]` or `["log"]`.
#[derive(Clone, Deserialize)]
#[serde(from = "Vec<serde_json::Value>")]
struct Operation(Step);

#[derive(Clone, Copy)]
enum Step {
    Add(f64),
    Mul(f64),
    Div(f64),
    Log,
    Exp,
    Neg,
    Unknown,
}

impl From<Vec<serde_json::Value>> for Operation {
    fn from(parts: Vec<serde_json::Value>) -> Self {
        let number = parts.get(1).and_then(serde_json::Value::as_f64);
        Self(
            match (parts.first().and_then(serde_json::Value::as_str), number) {
                (Some("add"), Some(x)) => Step::Add(x),
                (Some("sub"), Some(x)) => Step::Add(-x),
                (Some("mul"), Some(x)) => Step::Mul(x),
                (Some("div"), Some(x)) => Step::Div(x),
                (Some("log"), _) => Step::Log,
                (Some("exp"), _) => Step::Exp,
                (Some("neg"), _) => Step::Neg,
                _ => Step::Unknown,
            },
        )
    }
}

fn apply(x: f64, operations: &[Operation]) -> f64 {
    operations.iter().fold(x, |x, operation| match operation.0 {
        Step::Add(y) => x + y,
        Step::Mul(y) => x * y,
        Step::Div(y) => x / y,
        Step::Log => x.ln(),
        Step::Exp => x.exp(),
        Step::Neg => -x,
        Step::Unknown => f64::NAN,
    })
}

/// Rows by columns, row-major.
struct Matrix {
    columns: usize,
    data: Vec<f32>,
}

impl Matrix {
    fn times(&self, x: &[f32], bias: &[f32]) -> Vec<f32> {
        self.data
            .chunks_exact(self.columns.max(1))
            .zip(bias)
            .map(|(row, bias)| dot(row, x) + bias)
            .collect()
    }
}

/// Product of two vectors in sixteen partial sums joined in a fixed order: the compiler may use wide registers, the bits stay the same.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 16];
    let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}

struct Block {
    scale: Vec<f32>,
    shift: Vec<f32>,
    up: Matrix,
    up_bias: Vec<f32>,
    down: Matrix,
    down_bias: Vec<f32>,
}

/// A surrogate network.
pub struct Network {
    categorical: Vec<(Categorical, Matrix)>,
    continuous: Vec<Continuous>,
    first: Matrix,
    first_bias: Vec<f32>,
    blocks: Vec<Block>,
    last_scale: Vec<f32>,
    last_shift: Vec<f32>,
    head: Matrix,
    head_bias: Vec<f32>,
    outputs: Vec<Output>,
}

impl Network {
    /// Reads a network from its structure (JSON) and its weights (little-endian f32).
    ///
    /// # Errors
    /// [`ProblemError`] if the two do not fit together.
    pub fn read(structure: &[u8], weights: &[u8]) -> Result<Self, ProblemError> {
        let structure: Structure = serde_json::from_slice(structure).map_err(ProblemError::json)?;
        let weights: Vec<f32> = weights
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        let mut tensors = HashMap::new();
        for tensor in &structure.tensors {
            let size: usize = tensor.shape.iter().product();
            let data = weights
                .get(tensor.offset..tensor.offset.saturating_add(size))
                .ok_or_else(|| {
                    ProblemError::Data(format!("tensor `{}` lies outside the weights", tensor.name))
                })?;
            let columns = tensor.shape.last().copied().unwrap_or(1);
            tensors.insert(
                tensor.name.as_str(),
                Matrix {
                    columns,
                    data: data.to_vec(),
                },
            );
        }
        let mut take = |name: &str| {
            tensors
                .remove(name)
                .ok_or_else(|| ProblemError::Data(format!("the network has no tensor `{name}`")))
        };
        let mut categorical = Vec::new();
        for (index, entry) in structure.cat.into_iter().enumerate() {
            categorical.push((entry, take(&format!("emb{index}"))?));
        }
        let mut blocks = Vec::new();
        for index in 0..structure.blocks {
            blocks.push(Block {
                scale: take(&format!("b{index}.bn.scale"))?.data,
                shift: take(&format!("b{index}.bn.shift"))?.data,
                up: take(&format!("b{index}.up.w"))?,
                up_bias: take(&format!("b{index}.up.b"))?.data,
                down: take(&format!("b{index}.down.w"))?,
                down_bias: take(&format!("b{index}.down.b"))?.data,
            });
        }
        Ok(Self {
            categorical,
            continuous: structure.cont,
            first: take("first.w")?,
            first_bias: take("first.b")?.data,
            blocks,
            last_scale: take("last.bn.scale")?.data,
            last_shift: take("last.bn.shift")?.data,
            head: take("head.w")?,
            head_bias: take("head.b")?.data,
            outputs: structure.out,
        })
    }

    /// Index of the output called `name`.
    pub fn output(&self, name: &str) -> Option<usize> {
        self.outputs.iter().position(|output| output.name == name)
    }

    /// Output `index` for a configuration; what is missing is `#na#` (categorical) or 0 (number).
    pub fn evaluate(&self, row: &Configuration, index: usize) -> f64 {
        let mut x = Vec::with_capacity(self.first.columns);
        for (entry, embedding) in &self.categorical {
            let text = row
                .get(&entry.name)
                .map_or_else(|| "#na#".to_owned(), ToString::to_string);
            let code = entry
                .codes
                .get(&text)
                .or_else(|| entry.codes.get("#na#"))
                .copied()
                .unwrap_or(0);
            let width = embedding.columns;
            x.extend_from_slice(
                embedding
                    .data
                    .get(code * width..(code + 1) * width)
                    .unwrap_or_default(),
            );
        }
        for entry in &self.continuous {
            let value = row
                .get(&entry.name)
                .and_then(crate::space::Value::as_f64)
                .unwrap_or(0.0);
            x.push(apply(value, &entry.ops) as f32);
        }
        let mut h = self.first.times(&x, &self.first_bias);
        for block in &self.blocks {
            let normed: Vec<f32> = h
                .iter()
                .zip(&block.scale)
                .zip(&block.shift)
                .map(|((h, scale), shift)| h * scale + shift)
                .collect();
            let z = block.up.times(&normed, &block.up_bias);
            let (a, g) = z.split_at(z.len() / 2);
            let gated: Vec<f32> = a.iter().zip(g).map(|(a, g)| a * g.max(0.0)).collect();
            for (h, down) in h.iter_mut().zip(block.down.times(&gated, &block.down_bias)) {
                *h += down;
            }
        }
        for ((h, scale), shift) in h.iter_mut().zip(&self.last_scale).zip(&self.last_shift) {
            *h = (*h * scale + shift).max(0.0);
        }
        let y = self.head.times(&h, &self.head_bias);
        let y = y
            .get(index)
            .map_or(f64::NAN, |y| 1.0 / (1.0 + (-f64::from(*y)).exp()));
        self.outputs
            .get(index)
            .map_or(f64::NAN, |output| apply(y, &output.ops))
    }
}
