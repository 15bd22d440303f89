//! Intermediate values worth comparing, kept by name while a net runs.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// What a block of a net answered, or the weights it used.
#[derive(Debug, Clone, PartialEq)]
pub struct Intermediate {
    /// Dimensions, time first; an axis behind one of length zero is left out.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f64>,
}

/// Intermediates by name.
pub type Notes = BTreeMap<String, Intermediate>;

/// A number, or rows of such.
pub(super) trait Nested {
    fn shape(&self, shape: &mut Vec<usize>);
    fn flatten(&self, values: &mut Vec<f64>);
}

impl Nested for f64 {
    fn shape(&self, _: &mut Vec<usize>) {}

    fn flatten(&self, values: &mut Vec<f64>) {
        values.push(*self);
    }
}

impl<T: Nested> Nested for Vec<T> {
    fn shape(&self, shape: &mut Vec<usize>) {
        shape.push(self.len());
        if let Some(first) = self.first() {
            first.shape(shape);
        }
    }

    fn flatten(&self, values: &mut Vec<f64>) {
        for part in self {
            part.flatten(values);
        }
    }
}

/// Keeps `value` under `name`.
pub(super) fn keep(notes: &mut Notes, name: impl Into<String>, value: &impl Nested) {
    let (mut shape, mut values) = (Vec::new(), Vec::new());
    value.shape(&mut shape);
    value.flatten(&mut values);
    notes.insert(name.into(), Intermediate { shape, values });
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn nested_rows_keep_their_shape() {
        let mut notes = Notes::new();
        keep(&mut notes, "a", &vec![vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0]]);
        keep(&mut notes, "none", &Vec::<Vec<f64>>::new());
        assert_eq!(notes["a"].shape, [2, 3]);
        assert_eq!(notes["a"].values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(notes["none"].shape, [0]);
    }
}
