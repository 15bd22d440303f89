//! The matrix product of training against a foreign one: `ndarray` with `matrixmultiply`.

use ndarray::{Array2, ArrayView2};
use proptest::prelude::*;
use tickfuse_train::ops::gemm::{Scratch, gemm_f32};
use tickfuse_train::ops::mat::Mat;

fn foreign(a: &[f32], b: &[f32], (m, k, n): (usize, usize, usize)) -> Array2<f64> {
    let wide = |x: &[f32]| x.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
    let (a, b) = (wide(a), wide(b));
    let a = ArrayView2::from_shape((m, k), &a).unwrap();
    a.dot(&ArrayView2::from_shape((k, n), &b).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_product_equals_the_foreign_one(
        m in 1_usize..70,
        k in 1_usize..300,
        n in 1_usize..90,
        seed in any::<u32>(),
    ) {
        let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32 / (1 << 23) as f32 - 1.0;
        let a: Vec<f32> = (0..m * k).map(value).collect();
        let b: Vec<f32> = (0..k * n).map(|i| value(i + 7919)).collect();
        let mut c = vec![0.0; m * n];
        gemm_f32(Mat::new(&a, m, k), Mat::new(&b, k, n), false, &mut c, &mut Scratch::default());
        for (found, expected) in c.iter().zip(&foreign(&a, &b, (m, k, n))) {
            let deviation = (f64::from(*found) - expected).abs();
            prop_assert!(deviation <= 1e-6 * k as f64, "expected {expected}, found {found}");
        }
    }
}
