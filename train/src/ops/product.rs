//! Products as a training step asks for them: in full precision, or with operands rounded to bfloat16.
//!
//! [`Compute::Bf16`] rounds both operands of every product to the nearest bfloat16 and sums in f32; parameters, gates,
//! cell states, gradients and optimiser state stay f32. The rounding is *emulated*: it shows what bf16 training does to a
//! model, and costs a little time instead of saving any.

use super::mat::Mat;
use super::real::Real;
use serde::{Deserialize, Serialize};

/// How the operands of a product are represented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compute {
    /// As they are.
    #[default]
    F32,
    /// Rounded to bfloat16; sums stay f32.
    Bf16,
}

/// The products of one thread with their working memory.
#[derive(Default)]
pub struct Products<R: Real> {
    compute: Compute,
    scratch: R::Scratch,
    left: Vec<R>,
    right: Vec<R>,
}

impl<R: Real> Products<R> {
    /// Sets the representation of operands from here on.
    pub fn set_compute(&mut self, compute: Compute) {
        self.compute = compute;
    }

    /// `C (+)= A · B`, `C` row-major.
    pub fn gemm(&mut self, a: Mat<'_, R>, b: Mat<'_, R>, accumulate: bool, c: &mut [R]) {
        if self.compute == Compute::F32 {
            return R::gemm(a, b, accumulate, c, &mut self.scratch);
        }
        let (a, b) = (rounded(a, &mut self.left), rounded(b, &mut self.right));
        R::gemm(a, b, accumulate, c, &mut self.scratch);
    }

    /// Prepares a right operand that is used for many products.
    pub fn pack(&mut self, b: Mat<'_, R>, packed: &mut R::Packed) {
        let b = match self.compute {
            Compute::F32 => b,
            Compute::Bf16 => rounded(b, &mut self.right),
        };
        R::pack(b, packed);
    }

    /// `C (+)= A · B` with a prepared `B`.
    pub fn gemm_packed(&mut self, a: Mat<'_, R>, b: &R::Packed, accumulate: bool, c: &mut [R]) {
        let a = match self.compute {
            Compute::F32 => a,
            Compute::Bf16 => rounded(a, &mut self.left),
        };
        R::gemm_packed(a, b, accumulate, c, &mut self.scratch);
    }
}

fn rounded<'a, R: Real>(m: Mat<'_, R>, buffer: &'a mut Vec<R>) -> Mat<'a, R> {
    buffer.resize(m.data().len(), R::ZERO);
    R::round_bf16(m.data(), buffer);
    m.with_data(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_products_round_operands_and_not_the_sum() {
        let (a, b) = ([1.0f32 + 1.0 / 512.0, 3.0], [1.0f32, 1.0 / 1024.0]);
        let mut products = Products::<f32>::default();
        products.set_compute(Compute::Bf16);
        let mut c = [0.0];
        products.gemm(Mat::new(&a, 1, 2), Mat::new(&b, 2, 1), false, &mut c);
        assert_eq!(c[0], 1.0 + 3.0 / 1024.0);
        let mut packed = <f32 as Real>::Packed::default();
        products.pack(Mat::new(&b, 2, 1), &mut packed);
        let mut again = [0.0];
        products.gemm_packed(Mat::new(&a, 1, 2), &packed, false, &mut again);
        assert_eq!(c, again);
    }
}
