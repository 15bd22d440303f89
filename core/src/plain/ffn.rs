//! X-Trend's feed-forward network: `FFN(h, s) = linear3 ELU(linear1 h + linear2 Emb(s))`.
//!
//! Wood, Kessler, Roberts and Zohren 2023, section 3.

use super::{Part, add, elu, linear, map};
use alloc::vec::Vec;

/// One row; without an entity its term is absent.
#[must_use]
pub fn ffn(part: &Part<'_>, x: &[f64], entity: Option<&[f64]>) -> Vec<f64> {
    let mut h = linear(&part.at("linear1"), x);
    if let Some(entity) = entity {
        h = add(&h, &linear(&part.at("linear2"), entity));
    }
    linear(&part.at("linear3"), &map(&h, elu))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain::Weights;
    use alloc::vec;

    #[test]
    fn the_entity_enters_before_the_activation() {
        let mut weights = Weights::default();
        for (name, w) in [("linear1", 2.0), ("linear2", 3.0), ("linear3", 10.0)] {
            weights.insert(&alloc::format!("{name}.weight"), &[1, 1], vec![w]);
        }
        let part = weights.root();
        assert_eq!(ffn(&part, &[1.0], None), [20.0]);
        assert_eq!(ffn(&part, &[1.0], Some(&[1.0])), [50.0]);
        let below = ffn(&part, &[1.0], Some(&[-1.0]))[0];
        assert!((below - 10.0 * libm::expm1(-1.0)).abs() < 1e-15);
    }
}
