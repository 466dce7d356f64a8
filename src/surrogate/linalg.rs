//! Cholesky factor, triangular solves, growth by one row.
//!
//! Every element of the factor is computed as `(a_ij - l_i0 l_j0 - l_i1 l_j1 - ...) / l_jj` with that order of subtractions, whatever the
//! blocking, the vector width, or whether the row was appended later: a model grown row by row has the same bits as one built at once.
//! Only independent elements share vector lanes; multiply and subtract are never fused.

use super::SurrogateError;

/// Jitter added to the diagonal, relative to its mean, until the matrix can be factored.
const JITTER: [f64; 5] = [0.0, 1e-8, 1e-6, 1e-4, 1e-2];

/// Rows of a panel; its part of a 1000-column matrix stays in a second-level cache.
const PANEL: usize = 32;

/// Lower triangular factor `L` of a symmetric positive definite matrix `A = L L'`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cholesky {
    /// Rows one after another; row `i` has `i + 1` elements.
    rows: Vec<f64>,
    n: usize,
    jitter: f64,
}

impl Cholesky {
    /// Factors the symmetric `n x n` matrix given by its upper triangle in row-major order (the lower one is not read), adding jitter
    /// where rounding made it indefinite.
    ///
    /// # Errors
    /// [`SurrogateError::NotPositiveDefinite`] if the largest jitter does not help.
    pub fn new(matrix: &[f64], n: usize) -> Result<Self, SurrogateError> {
        if n == 0 || matrix.len() != n * n {
            return Err(if n == 0 {
                SurrogateError::Empty
            } else {
                SurrogateError::NotPositiveDefinite(n)
            });
        }
        let scale = matrix.iter().step_by(n + 1).sum::<f64>() / n as f64;
        let mut work = Vec::new();
        for relative in JITTER {
            work.clear();
            work.extend_from_slice(matrix);
            let jitter = relative * scale;
            work.iter_mut().step_by(n + 1).for_each(|d| *d += jitter);
            if simd::factor(&mut work, n) {
                return Ok(Self {
                    rows: transpose(&work, n),
                    n,
                    jitter,
                });
            }
        }
        Err(SurrogateError::NotPositiveDefinite(n))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// What had to be added to the diagonal.
    pub fn jitter(&self) -> f64 {
        self.jitter
    }

    /// Row `i` of `L`, up to and including the diagonal.
    pub fn row(&self, i: usize) -> &[f64] {
        self.rows
            .get(i * (i + 1) / 2..(i + 1) * (i + 2) / 2)
            .unwrap_or_default()
    }

    /// Grows the factored matrix by one row and column: `column` its products with the rows so far, `diagonal` the new corner.
    ///
    /// # Errors
    /// [`SurrogateError::NotPositiveDefinite`] if the grown matrix is not; the factor is unchanged then.
    pub fn append(&mut self, column: &[f64], diagonal: f64) -> Result<(), SurrogateError> {
        let mut row = column.to_vec();
        row.resize(self.n, 0.0);
        self.forward(&mut row);
        let rest = row.iter().fold(diagonal + self.jitter, |rest, l| rest - l * l);
        if !(rest > 0.0 && rest.is_finite()) {
            return Err(SurrogateError::NotPositiveDefinite(self.n + 1));
        }
        self.rows.extend_from_slice(&row);
        self.rows.push(rest.sqrt());
        self.n += 1;
        Ok(())
    }

    /// Replaces `b` by `L^-1 b`.
    pub fn forward(&self, b: &mut [f64]) {
        let mut start = 0;
        for i in 0..self.n.min(b.len()) {
            let row = self.rows.get(start..start + i + 1).unwrap_or_default();
            start += i + 1;
            let (head, tail) = b.split_at_mut(i);
            if let (Some(value), Some((diagonal, row))) = (tail.first_mut(), row.split_last()) {
                *value = row
                    .iter()
                    .zip(head.iter())
                    .fold(*value, |sum, (l, x)| sum - l * x)
                    / diagonal;
            }
        }
    }

    /// Replaces `b` by `L'^-1 b`.
    pub fn backward(&self, b: &mut [f64]) {
        for i in (0..self.n.min(b.len())).rev() {
            let (head, tail) = b.split_at_mut(i);
            if let (Some(value), Some((diagonal, row))) = (tail.first_mut(), self.row(i).split_last()) {
                *value /= diagonal;
                let x = *value;
                head.iter_mut().zip(row).for_each(|(b, l)| *b -= l * x);
            }
        }
    }

    /// Replaces `b` by `A^-1 b`.
    pub fn solve(&self, b: &mut [f64]) {
        self.forward(b);
        self.backward(b);
    }

    /// Replaces the `n x m` row-major matrix `b` by `L^-1 b`.
    pub fn forward_many(&self, b: &mut [f64], m: usize) {
        if m > 0 && b.len() == self.n * m {
            simd::forward_many(&self.rows, self.n, b, m);
        }
    }

    /// `ln det A`.
    pub fn ln_determinant(&self) -> f64 {
        (0..self.n)
            .map(|i| 2.0 * libm::log(self.row(i).last().copied().unwrap_or(1.0)))
            .sum()
    }

    /// `A^-1`, both triangles, row-major.
    pub fn inverse(&self) -> Vec<f64> {
        let n = self.n;
        // Rows of W = L^-1, lower triangular; then A^-1 = W' W.
        let mut w = vec![0.0; n * n];
        w.iter_mut().step_by(n + 1).for_each(|d| *d = 1.0);
        self.forward_many(&mut w, n);
        let mut inverse = vec![0.0; n * n];
        simd::gram(&w, n, &mut inverse);
        for i in 0..n {
            for j in 0..i {
                if let (Some(upper), Some(lower)) =
                    (inverse.get(j * n + i).copied(), inverse.get_mut(i * n + j))
                {
                    *lower = upper;
                }
            }
        }
        inverse
    }
}

/// Rows of `L` from the upper triangle `U = L'`.
fn transpose(upper: &[f64], n: usize) -> Vec<f64> {
    let mut rows = Vec::with_capacity(n * (n + 1) / 2 + n);
    for i in 0..n {
        rows.extend(upper.iter().skip(i).step_by(n).take(i + 1));
    }
    rows
}

/// The three loops that cost something, compiled for the widest vectors of this machine; the results do not depend on the width.
mod simd {
    macro_rules! widened {
        ($($name:ident => $body:ident ($($argument:ident: $kind:ty),*) $(-> $result:ty)?;)*) => {$(
            pub(super) fn $name($($argument: $kind),*) $(-> $result)? {
                #[cfg(target_arch = "x86_64")]
                {
                    #[target_feature(enable = "avx2")]
                    fn wide($($argument: $kind),*) $(-> $result)? {
                        super::$body($($argument),*)
                    }
                    if std::arch::is_x86_feature_detected!("avx2") {
                        // A function compiled for a feature may be called where the feature was just detected; the body is safe code.
                        #[allow(unsafe_code)]
                        return unsafe { wide($($argument),*) };
                    }
                }
                super::$body($($argument),*)
            }
        )*};
    }
    widened! {
        factor => factor_upper(a: &mut [f64], n: usize) -> bool;
        forward_many => forward_tiles(rows: &[f64], n: usize, b: &mut [f64], m: usize);
        gram => gram_upper(w: &[f64], n: usize, out: &mut [f64]);
    }
}

/// Right-looking blocked factorization of the upper triangle in place: `A = U' U`. False if a pivot is not positive.
#[inline(always)]
fn factor_upper(a: &mut [f64], n: usize) -> bool {
    let mut first = 0;
    while first < n {
        let last = (first + PANEL).min(n);
        for k in first..last {
            let (done, rest) = a.split_at_mut(k * n);
            let row = &mut rest[..n];
            for p in first..k {
                let above = &done[p * n..(p + 1) * n];
                let factor = above[k];
                for (value, other) in row[k..].iter_mut().zip(&above[k..]) {
                    *value -= factor * other;
                }
            }
            let pivot = row[k];
            if !(pivot > 0.0 && pivot.is_finite()) {
                return false;
            }
            let root = pivot.sqrt();
            row[k] = root;
            for value in &mut row[k + 1..] {
                *value /= root;
            }
        }
        // Trailing rows, four at a time, eight columns at a time.
        let (panel, trailing) = a.split_at_mut(last * n);
        let panel = &panel[first * n..];
        let mut i = last;
        while i < n {
            let height = (n - i).min(4);
            let block = &mut trailing[(i - last) * n..(i - last + height) * n];
            let mut j = i;
            while j < n {
                if height == 4 && j + 8 <= n {
                    let mut tile = [[0.0; 8]; 4];
                    for (r, line) in tile.iter_mut().enumerate() {
                        line.copy_from_slice(&block[r * n + j..r * n + j + 8]);
                    }
                    for row in panel.chunks_exact(n) {
                        let right: &[f64] = &row[j..j + 8];
                        let left: &[f64] = &row[i..i + 4];
                        for (line, l) in tile.iter_mut().zip(left) {
                            for (t, r) in line.iter_mut().zip(right) {
                                *t -= l * r;
                            }
                        }
                    }
                    for (r, line) in tile.iter().enumerate() {
                        block[r * n + j..r * n + j + 8].copy_from_slice(line);
                    }
                    j += 8;
                } else {
                    for r in 0..height {
                        let mut value = block[r * n + j];
                        for row in panel.chunks_exact(n) {
                            value -= row[i + r] * row[j];
                        }
                        block[r * n + j] = value;
                    }
                    j += 1;
                }
            }
            i += height;
        }
        first = last;
    }
    true
}

/// `L^-1 B` in tiles of four rows and eight columns; the remaining columns one by one.
#[inline(always)]
fn forward_tiles(rows: &[f64], n: usize, b: &mut [f64], m: usize) {
    let start = |i: usize| i * (i + 1) / 2;
    let wide = m - m % 8;
    let mut strip = vec![[0.0_f64; 8]; n];
    for j in (0..wide).step_by(8) {
        for (line, source) in strip.iter_mut().zip(b.chunks_exact(m)) {
            line.copy_from_slice(&source[j..j + 8]);
        }
        let mut i = 0;
        while i < n {
            let height = (n - i).min(4);
            let (done, rest) = strip.split_at_mut(i);
            let block = &mut rest[..height];
            if height == 4 {
                let l: [&[f64]; 4] = std::array::from_fn(|r| &rows[start(i + r)..start(i + r) + i]);
                let mut tile = [[0.0; 8]; 4];
                tile.copy_from_slice(block);
                for (k, x) in done.iter().enumerate() {
                    for (line, l) in tile.iter_mut().zip(&l) {
                        let factor = l[k];
                        for (t, x) in line.iter_mut().zip(x) {
                            *t -= factor * x;
                        }
                    }
                }
                block.copy_from_slice(&tile);
            } else {
                for (r, line) in block.iter_mut().enumerate() {
                    let l = &rows[start(i + r)..start(i + r) + i];
                    for (factor, x) in l.iter().zip(done.iter()) {
                        for (t, x) in line.iter_mut().zip(x) {
                            *t -= factor * x;
                        }
                    }
                }
            }
            // The triangle within the block.
            for r in 0..height {
                let l = &rows[start(i + r) + i..start(i + r) + i + r + 1];
                let (before, current) = block.split_at_mut(r);
                let line = &mut current[0];
                for (factor, x) in l.iter().zip(before.iter()) {
                    for (t, x) in line.iter_mut().zip(x) {
                        *t -= factor * x;
                    }
                }
                for t in line.iter_mut() {
                    *t /= l[r];
                }
            }
            i += height;
        }
        for (line, target) in strip.iter().zip(b.chunks_exact_mut(m)) {
            target[j..j + 8].copy_from_slice(line);
        }
    }
    let mut column = vec![0.0; n];
    for j in wide..m {
        for (value, source) in column.iter_mut().zip(b.chunks_exact(m)) {
            *value = source[j];
        }
        for i in 0..n {
            let row = &rows[start(i)..start(i) + i + 1];
            let (head, tail) = column.split_at_mut(i);
            tail[0] = row[..i]
                .iter()
                .zip(head.iter())
                .fold(tail[0], |sum, (l, x)| sum - l * x)
                / row[i];
        }
        for (value, target) in column.iter().zip(b.chunks_exact_mut(m)) {
            target[j] = *value;
        }
    }
}

/// Upper triangle of `W' W` for a lower triangular `W`, in tiles of four rows and eight columns.
#[inline(always)]
fn gram_upper(w: &[f64], n: usize, out: &mut [f64]) {
    for i in (0..n).step_by(4) {
        let height = (n - i).min(4);
        let mut j = i;
        while j < n {
            let width = (n - j).min(8);
            let mut tile = [[0.0; 8]; 4];
            for row in w.chunks_exact(n).skip(j) {
                let right = &row[j..j + width];
                for (line, l) in tile.iter_mut().zip(&row[i..i + height]) {
                    for (t, r) in line.iter_mut().zip(right) {
                        *t += l * r;
                    }
                }
            }
            for (r, line) in tile.iter().take(height).enumerate() {
                out[(i + r) * n + j..(i + r) * n + j + width].copy_from_slice(&line[..width]);
            }
            j += width;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::rng::stream;

    /// A random matrix with eigenvalues of about 1.
    fn matrix(n: usize) -> Vec<f64> {
        let mut draws = stream(5, "matrix", n as u64);
        let b: Vec<f64> = (0..n * n).map(|_| draws.normal()).collect();
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                a[i * n + j] = (0..n).map(|k| b[i * n + k] * b[j * n + k]).sum::<f64>() / n as f64;
            }
            a[i * n + i] += 0.5;
        }
        a
    }

    #[test]
    fn factor_inverse_and_solves_satisfy_their_definitions() {
        for n in [1, 2, 3, 7, 31, 32, 33, 65, 101] {
            let a = matrix(n);
            let factor = Cholesky::new(&a, n).unwrap();
            assert_eq!(factor.jitter(), 0.0);
            for i in 0..n {
                for j in 0..=i {
                    let product: f64 = factor.row(i).iter().zip(factor.row(j)).map(|(x, y)| x * y).sum();
                    assert!((product - a[i * n + j]).abs() < 1e-12);
                }
            }
            let inverse = factor.inverse();
            for i in 0..n {
                for j in 0..n {
                    let product: f64 = (0..n).map(|k| a[i * n + k] * inverse[k * n + j]).sum();
                    assert!(
                        (product - f64::from(u8::from(i == j))).abs() < 1e-10,
                        "{n} {i} {j}"
                    );
                }
            }
            let x: Vec<f64> = (0..n).map(|i| i as f64 - 2.0).collect();
            let mut b: Vec<f64> = (0..n)
                .map(|i| (0..n).map(|k| a[i * n + k] * x[k]).sum())
                .collect();
            factor.solve(&mut b);
            assert!(b.iter().zip(&x).all(|(got, want)| (got - want).abs() < 1e-9));
        }
    }

    /// Grown row by row, blocked at once, one right side or many: the same bits.
    #[test]
    fn bits_do_not_depend_on_the_way() {
        for n in [5, 40, 77, 130] {
            let a = matrix(n);
            let whole = Cholesky::new(&a, n).unwrap();
            let mut grown = Cholesky::new(&a[..1], 1).unwrap();
            for i in 1..n {
                let column: Vec<f64> = (0..i).map(|k| a[k * n + i]).collect();
                grown.append(&column, a[i * n + i]).unwrap();
            }
            assert!(whole == grown, "{n}");
            let mut plain = a.clone();
            assert!(factor_upper(&mut plain, n));
            assert!(transpose(&plain, n) == whole.rows);
            let m = 19;
            let b: Vec<f64> = (0..n * m).map(|i| ((i * 37) % 101) as f64 - 50.0).collect();
            let mut many = b.clone();
            whole.forward_many(&mut many, m);
            for j in 0..m {
                let mut one: Vec<f64> = (0..n).map(|i| b[i * m + j]).collect();
                whole.forward(&mut one);
                assert!((0..n).all(|i| one[i] == many[i * m + j]));
            }
        }
    }

    #[test]
    fn jitter_rescues_what_rounding_made_singular() {
        let n = 6;
        let factor = Cholesky::new(&vec![1.0; n * n], n).unwrap();
        assert!(factor.jitter() > 0.0);
        assert_eq!(
            Cholesky::new(&[f64::NAN], 1),
            Err(SurrogateError::NotPositiveDefinite(1))
        );
        assert_eq!(Cholesky::new(&[], 0), Err(SurrogateError::Empty));
        let mut small = Cholesky::new(&[1.0], 1).unwrap();
        assert!(small.append(&[2.0], 1.0).is_err());
        assert_eq!(small.len(), 1);
    }
}
