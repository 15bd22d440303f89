//! The tensors of a net in f64, looked up by name under a growing prefix.

use super::PlainTensors;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Display;

/// All tensors of a net.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights(BTreeMap<String, (Vec<usize>, Vec<f64>)>);

impl Weights {
    /// Plain tensors, widened.
    #[must_use]
    pub fn from_plain(tensors: &PlainTensors) -> Self {
        let mut weights = Self::default();
        for (name, tensor) in tensors {
            let wide = tensor.data.iter().map(|v| f64::from(*v)).collect();
            weights.insert(name, &tensor.shape, wide);
        }
        weights
    }

    /// Adds a tensor in PyTorch layout.
    pub fn insert(&mut self, name: &str, shape: &[usize], data: Vec<f64>) {
        self.0.insert(name.into(), (shape.to_vec(), data));
    }

    /// All of them, no prefix.
    #[must_use]
    pub fn root(&self) -> Part<'_> {
        Part {
            weights: self,
            name: String::new(),
        }
    }
}

/// The tensors under a prefix: those of one layer.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    weights: &'a Weights,
    name: String,
}

impl<'a> Part<'a> {
    /// A layer inside this one.
    #[must_use]
    pub fn at(&self, child: impl Display) -> Self {
        let name = match self.name.as_str() {
            "" => format!("{child}"),
            name => format!("{name}.{child}"),
        };
        Self { name, ..*self }
    }

    /// The values of the tensor `child`, where there is one.
    #[must_use]
    pub fn find(&self, child: &str) -> Option<&'a [f64]> {
        Some(&self.weights.0.get(&self.at(child).name)?.1)
    }

    /// The values of the tensor `child`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn values(&self, child: &str) -> &'a [f64] {
        self.find(child)
            .unwrap_or_else(|| panic!("no tensor `{}`", self.at(child).name))
    }

    /// The dimensions of the tensor `child`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn shape(&self, child: &str) -> &'a [usize] {
        let name = self.at(child).name;
        let Some((shape, _)) = self.weights.0.get(&name) else {
            panic!("no tensor `{name}`");
        };
        shape
    }

    /// Row `code` of the table `weight`.
    ///
    /// # Panics
    /// When the table has no such row.
    #[must_use]
    pub fn row(&self, code: usize) -> &'a [f64] {
        let width = self.shape("weight")[1];
        &self.values("weight")[code * width..][..width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_finds_tensors_under_its_prefix_only() {
        let mut weights = Weights::default();
        weights.insert("a.b.weight", &[2, 1], [3.0, 4.0].to_vec());
        let part = weights.root().at("a").at("b");
        assert_eq!(part.values("weight"), [3.0, 4.0]);
        assert_eq!(part.row(1), [4.0]);
        assert_eq!(part.find("bias"), None);
        assert_eq!(weights.root().find("weight"), None);
    }

    #[test]
    #[should_panic(expected = "no tensor `a.weight`")]
    fn a_missing_tensor_is_named() {
        let _ = Weights::default().root().at("a").values("weight");
    }
}
