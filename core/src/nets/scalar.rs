//! The network of one real variable as a function of that scalar, folded, in f64, with its derivative: what tables are made of.
//!
//! ```text
//! h = elu(slope x + offset)
//! y = W h + b                                               feed-forward
//! y = LN(skip(x) + value * sigmoid(gate)),  [value | gate] = W h + b      gated; skip(x) affine, maybe normalised
//! ```

use super::fold::{Mat, elu, sigmoid};
use alloc::vec;
use alloc::vec::Vec;

/// `slope x + offset`.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) slope: Vec<f64>,
    pub(super) offset: Vec<f64>,
}

/// What makes a network a gated residual one.
#[derive(Debug, Clone)]
pub(super) struct Residual {
    pub(super) skip: Line,
    /// Gain and shift.
    pub(super) skip_norm: Option<[Vec<f64>; 2]>,
    pub(super) norm: [Vec<f64>; 2],
    pub(super) eps: f64,
}

/// A network of one scalar.
#[derive(Debug, Clone)]
pub(super) struct ScalarNet {
    hidden: Line,
    /// `[n_hidden, n_out]`, `n_out` twice as wide where there is a gate.
    weight: Mat,
    bias: Vec<f64>,
    residual: Option<Residual>,
}

/// Vectors with their derivatives.
#[derive(Debug, Clone)]
pub(super) struct Dual {
    pub(super) value: Vec<f64>,
    pub(super) slope: Vec<f64>,
}

impl Line {
    fn at(&self, x: f64) -> Dual {
        let value = self.slope.iter().zip(&self.offset).map(|(s, o)| s * x + o);
        Dual {
            value: value.collect(),
            slope: self.slope.clone(),
        }
    }
}

impl Dual {
    fn zip(&self, other: &Self, f: impl Fn([f64; 2], [f64; 2]) -> [f64; 2]) -> Self {
        let one = self.value.iter().zip(&self.slope);
        let two = other.value.iter().zip(&other.slope);
        let pairs = one.zip(two).map(|((a, da), (b, db))| f([*a, *da], [*b, *db]));
        let (value, slope) = pairs.map(|[y, dy]| (y, dy)).unzip();
        Self { value, slope }
    }

    /// Behind a layer norm.
    fn normalised(&self, [gain, shift]: &[Vec<f64>; 2], eps: f64) -> Self {
        let n = self.value.len() as f64;
        let mean = |x: &[f64]| x.iter().sum::<f64>() / n;
        let (m, dm) = (mean(&self.value), mean(&self.slope));
        let centred = |x: &[f64], m: f64| x.iter().map(|v| v - m).collect::<Vec<_>>();
        let (c, dc) = (centred(&self.value, m), centred(&self.slope, dm));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let inverse = 1.0 / libm::sqrt(dot(&c, &c) / n + eps);
        let d_inverse = -inverse * inverse * inverse * dot(&c, &dc) / n;
        let value = c.iter().zip(gain).zip(shift);
        let slope = c.iter().zip(&dc).zip(gain);
        Self {
            value: value.map(|((c, g), s)| c * inverse * g + s).collect(),
            slope: slope
                .map(|((c, dc), g)| (dc * inverse + c * d_inverse) * g)
                .collect(),
        }
    }
}

/// `value * sigmoid(gate) + skip`.
fn gated(both: &Dual, skip: &Dual) -> Dual {
    let n = skip.value.len();
    let half = |from: usize| Dual {
        value: both.value[from..from + n].to_vec(),
        slope: both.slope[from..from + n].to_vec(),
    };
    let glu = half(0).zip(&half(n), |[v, dv], [g, dg]| {
        let open = sigmoid(g);
        [v * open, dv * open + v * open * (1.0 - open) * dg]
    });
    glu.zip(skip, |[y, dy], [s, ds]| [y + s, dy + ds])
}

impl ScalarNet {
    /// `weight [n_out, n_hidden]`.
    pub(super) fn new(hidden: Line, weight: &Mat, bias: &[f64], residual: Option<Residual>) -> Self {
        Self {
            hidden,
            weight: weight.transposed(),
            bias: bias.to_vec(),
            residual,
        }
    }

    /// Width of the answer.
    pub(super) fn n_out(&self) -> usize {
        match &self.residual {
            Some(residual) => residual.skip.slope.len(),
            None => self.bias.len(),
        }
    }

    /// The answer and its derivative; at the bend of an ELU, where its second derivative jumps, the first has one value.
    pub(super) fn at(&self, x: f64) -> Dual {
        let out = self.output(&self.hidden.at(x));
        let Some(residual) = &self.residual else {
            return out;
        };
        let mut skip = residual.skip.at(x);
        if let Some(norm) = &residual.skip_norm {
            skip = skip.normalised(norm, residual.eps);
        }
        gated(&out, &skip).normalised(&residual.norm, residual.eps)
    }

    /// `W elu(z) + b`; sums run over whole rows, which a compiler can do side by side.
    fn output(&self, z: &Dual) -> Dual {
        let (mut value, mut slope) = (self.bias.clone(), vec![0.0; self.bias.len()]);
        for ((z, dz), row) in z.value.iter().zip(&z.slope).zip(self.weight.iter_rows()) {
            let (h, dh) = (elu(*z), if *z > 0.0 { *dz } else { dz * libm::exp(*z) });
            let sums = value.iter_mut().zip(&mut slope).zip(row);
            for ((value, slope), w) in sums {
                *value += w * h;
                *slope += w * dh;
            }
        }
        Dual { value, slope }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain::{Weights, ffn, grn_one_layer};
    use alloc::format;

    /// Reproducible numbers in -1 to 1.
    fn noise(seed: usize, n: usize) -> Vec<f64> {
        let one = |i: usize| libm::sin((seed * 1009 + i * 37) as f64 * 12.9898) * 43_758.547 % 1.0;
        (0..n).map(one).collect()
    }

    fn linear(weights: &mut Weights, name: &str, [n_out, n_in]: [usize; 2], seed: usize) -> (Mat, Vec<f64>) {
        let (w, b) = (noise(seed, n_out * n_in), noise(seed + 1, n_out));
        weights.insert(&format!("{name}.weight"), &[n_out, n_in], w.clone());
        weights.insert(&format!("{name}.bias"), &[n_out], b.clone());
        (Mat::new(n_out, n_in, w), b)
    }

    fn line((weight, offset): (Mat, Vec<f64>)) -> Line {
        let slope = weight.transposed().row(0).to_vec();
        Line { slope, offset }
    }

    fn assert_near(found: &[f64], expected: &[f64]) {
        let apart = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f64::max) < 1e-12);
    }

    fn assert_slopes(net: &ScalarNet) {
        for x in [-7.3, -1.1, -0.2, 0.03, 0.9, 4.4] {
            let (found, h) = (net.at(x), 1e-6);
            let [low, high] = [x - h, x + h].map(|x| net.at(x).value);
            for i in 0..net.n_out() {
                let expected = (high[i] - low[i]) / (2.0 * h);
                assert!(
                    (found.slope[i] - expected).abs() < 1e-5 * expected.abs().max(1.0),
                    "{} {expected} at {x}",
                    found.slope[i]
                );
            }
        }
    }

    #[test]
    fn a_gated_network_answers_as_the_oracle_does() {
        let mut weights = Weights::default();
        let hidden = line(linear(&mut weights, "fc1", [7, 1], 1));
        let skip = line(linear(&mut weights, "skip", [5, 1], 3));
        let (weight, bias) = linear(&mut weights, "fc2", [10, 7], 5);
        let norm = [noise(7, 5), noise(8, 5)];
        weights.insert("layer_norm.weight", &[5], norm[0].clone());
        weights.insert("layer_norm.bias", &[5], norm[1].clone());
        let residual = Residual {
            skip,
            skip_norm: None,
            norm,
            eps: 1e-3,
        };
        let net = ScalarNet::new(hidden, &weight, &bias, Some(residual));
        for x in [-9.0, -0.4, 0.0, 1.7] {
            let expected = grn_one_layer(&weights.root(), &[x], None, 1e-3);
            assert_near(&net.at(x).value, &expected);
        }
        assert_slopes(&net);
    }

    #[test]
    fn a_feed_forward_network_answers_as_the_oracle_does() {
        let mut weights = Weights::default();
        let hidden = line(linear(&mut weights, "linear1", [7, 1], 11));
        let (weight, bias) = linear(&mut weights, "linear3", [5, 7], 13);
        let net = ScalarNet::new(hidden, &weight, &bias, None);
        for x in [-9.0, -0.4, 0.0, 1.7] {
            let expected = ffn(&weights.root(), &[x], None);
            assert_near(&net.at(x).value, &expected);
        }
        assert_slopes(&net);
    }

    #[test]
    fn a_normalised_skip_has_its_derivative() {
        let mut weights = Weights::default();
        let hidden = line(linear(&mut weights, "a", [3, 1], 21));
        let skip = line(linear(&mut weights, "b", [4, 1], 23));
        let (weight, bias) = linear(&mut weights, "c", [8, 3], 25);
        let residual = Residual {
            skip,
            skip_norm: Some([noise(27, 4), noise(28, 4)]),
            norm: [noise(29, 4), noise(30, 4)],
            eps: 1e-2,
        };
        assert_slopes(&ScalarNet::new(hidden, &weight, &bias, Some(residual)));
    }
}
