//! Parameters and their gradients: named tensors in one flat vector each, in the order the network declared them.

use crate::ops::real::Real;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::ops::Range;
use std::sync::Arc;

/// A parameter of a [`Layout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParamId(usize);

/// How a parameter starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Uniform in `(-bound, bound)`.
    Uniform(f64),
    /// Normal with mean 0 and this deviation.
    Normal(f64),
    /// Normal with mean 0 and deviation 1, and a first row of zeros: an embedding with a padding.
    NormalPadded,
    /// The same value everywhere.
    Constant(f64),
}

/// Name, shape and start of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamSpec {
    /// Stable name, `PyTorch`'s where there is one.
    pub name: String,
    /// Shape, outermost first.
    pub shape: Vec<usize>,
    /// Start value.
    pub init: Init,
    range: Range<usize>,
}

impl ParamSpec {
    /// Where the tensor lies in the flat vector.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Whether this is a bias or a gain: one dimension.
    #[must_use]
    pub fn is_vector(&self) -> bool {
        self.shape.len() == 1
    }
}

/// All parameters of a network, in declaration order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layout {
    specs: Vec<ParamSpec>,
    len: usize,
}

impl Layout {
    /// Declares one more parameter.
    ///
    /// # Panics
    /// When the name is taken.
    pub fn declare(&mut self, name: impl Into<String>, shape: &[usize], init: Init) -> ParamId {
        let name = name.into();
        assert!(
            self.specs.iter().all(|s| s.name != name),
            "parameter `{name}` is declared twice"
        );
        let end = self.len + shape.iter().product::<usize>();
        let range = std::mem::replace(&mut self.len, end)..end;
        self.specs.push(ParamSpec {
            name,
            shape: shape.to_vec(),
            init,
            range,
        });
        ParamId(self.specs.len() - 1)
    }

    /// The declared parameters.
    #[must_use]
    pub fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    /// Number of values over all parameters.
    #[must_use]
    pub fn n_values(&self) -> usize {
        self.len
    }

    /// The specification of `id`.
    #[must_use]
    pub fn spec(&self, id: ParamId) -> &ParamSpec {
        &self.specs[id.0]
    }
}

/// One named tensor, borrowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NamedTensor<'a, R> {
    /// Stable name.
    pub name: &'a str,
    /// Shape, outermost first.
    pub shape: &'a [usize],
    /// Row-major values.
    pub data: &'a [R],
}

/// Parameter values.
#[derive(Debug, Clone, PartialEq)]
pub struct Params<R> {
    layout: Arc<Layout>,
    data: Vec<R>,
}

impl<R: Real> Params<R> {
    /// Start values drawn from `seed`; each parameter has its own stream, so adding one leaves the others as they were.
    #[must_use]
    pub fn init(layout: &Arc<Layout>, seed: u64) -> Self {
        let mut data = Vec::with_capacity(layout.n_values());
        for (stream, spec) in (0u64..).zip(layout.specs()) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(stream);
            let padding = spec.shape.last().map_or(0, |&n| n);
            data.extend((0..spec.range().len()).map(|k| match spec.init {
                Init::Uniform(bound) => R::from_f64(bound * (2.0 * unit(&mut rng) - 1.0)),
                Init::NormalPadded if k < padding => R::ZERO,
                Init::NormalPadded => R::from_f64(normal(&mut rng)),
                Init::Normal(deviation) => R::from_f64(deviation * normal(&mut rng)),
                Init::Constant(value) => R::from_f64(value),
            }));
        }
        Self {
            layout: Arc::clone(layout),
            data,
        }
    }

    /// Values of `id`, row-major.
    #[must_use]
    pub fn values(&self, id: ParamId) -> &[R] {
        &self.data[self.layout.spec(id).range()]
    }

    /// Shape of `id`.
    #[must_use]
    pub fn shape(&self, id: ParamId) -> &[usize] {
        &self.layout.spec(id).shape
    }

    /// The declaration.
    #[must_use]
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// All values in declaration order.
    #[must_use]
    pub fn data(&self) -> &[R] {
        &self.data
    }

    /// All values in declaration order.
    pub fn data_mut(&mut self) -> &mut [R] {
        &mut self.data
    }

    /// The named tensors in declaration order.
    pub fn tensors(&self) -> impl Iterator<Item = NamedTensor<'_, R>> {
        self.layout.specs().iter().map(|s| NamedTensor {
            name: &s.name,
            shape: &s.shape,
            data: &self.data[s.range()],
        })
    }

    /// The tensor called `name`.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<NamedTensor<'_, R>> {
        self.tensors().find(|t| t.name == name)
    }

    /// Overwrites the tensor called `name`.
    ///
    /// # Panics
    /// When there is no such tensor or the length differs.
    pub fn set(&mut self, name: &str, values: &[R]) {
        let spec = self.layout.specs().iter().find(|s| s.name == name);
        let range = spec.unwrap_or_else(|| panic!("no parameter `{name}`")).range();
        assert_eq!(range.len(), values.len(), "values of `{name}`");
        self.data[range].copy_from_slice(values);
    }

    /// The same values in another float type.
    #[must_use]
    pub fn cast<S: Real>(&self) -> Params<S> {
        Params {
            layout: Arc::clone(&self.layout),
            data: self.data.iter().map(|x| S::from_f64(x.to_f64())).collect(),
        }
    }
}

/// Uniform in [0, 1) with 53 bits.
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Standard normal (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v) = (1.0 - unit(rng), unit(rng));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Gradients of all parameters, and which of them any operation has written.
#[derive(Debug, Clone)]
pub struct Gradients<R> {
    layout: Arc<Layout>,
    data: Vec<R>,
    touched: Vec<bool>,
}

impl<R: Real> Gradients<R> {
    /// Zero gradients.
    #[must_use]
    pub fn zeros(layout: &Arc<Layout>) -> Self {
        Self {
            layout: Arc::clone(layout),
            data: vec![R::ZERO; layout.n_values()],
            touched: vec![false; layout.specs().len()],
        }
    }

    /// Back to zero and untouched.
    pub fn clear(&mut self) {
        self.data.fill(R::ZERO);
        self.touched.fill(false);
    }

    /// The gradient of `id`, to add to.
    pub fn add_to(&mut self, id: ParamId) -> &mut [R] {
        self.touched[id.0] = true;
        &mut self.data[self.layout.spec(id).range()]
    }

    /// Adds the gradients of another part of the batch.
    pub fn add(&mut self, other: &Self) {
        for (sum, &x) in self.data.iter_mut().zip(&other.data) {
            *sum += x;
        }
        for (touched, &other) in self.touched.iter_mut().zip(&other.touched) {
            *touched |= other;
        }
    }

    /// All gradients in declaration order.
    #[must_use]
    pub fn data(&self) -> &[R] {
        &self.data
    }

    /// All gradients in declaration order.
    pub fn data_mut(&mut self) -> &mut [R] {
        &mut self.data
    }

    /// Gradients as named tensors in declaration order.
    pub fn tensors(&self) -> impl Iterator<Item = NamedTensor<'_, R>> {
        self.layout.specs().iter().map(|s| NamedTensor {
            name: &s.name,
            shape: &s.shape,
            data: &self.data[s.range()],
        })
    }

    /// Names of the parameters that received no gradient: declared, but not part of the loss.
    pub fn untouched(&self) -> impl Iterator<Item = &str> {
        let specs = self.layout.specs().iter().zip(&self.touched);
        specs
            .filter(|(_, touched)| !**touched)
            .map(|(s, _)| s.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> (Arc<Layout>, ParamId, ParamId) {
        let mut layout = Layout::default();
        let a = layout.declare("a", &[2, 3], Init::Uniform(0.5));
        let b = layout.declare("b", &[3], Init::Constant(2.0));
        (Arc::new(layout), a, b)
    }

    #[test]
    fn values_follow_declaration_order_and_the_seed() {
        let (layout, a, b) = two();
        let (p, q) = (Params::<f32>::init(&layout, 7), Params::<f32>::init(&layout, 8));
        assert_eq!(p, Params::init(&layout, 7));
        assert_ne!(p.values(a), q.values(a));
        assert!(p.values(a).iter().all(|x| x.abs() < 0.5));
        assert_eq!(p.values(b), [2.0; 3]);
        let names: Vec<&str> = p.tensors().map(|t| t.name).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn normal_start_values_have_their_deviation_and_a_padding_is_zero() {
        let mut layout = Layout::default();
        let a = layout.declare("a", &[100, 100], Init::Normal(0.5));
        let b = layout.declare("b", &[3, 4], Init::NormalPadded);
        let p = Params::<f64>::init(&Arc::new(layout), 7);
        let square = p.values(a).iter().map(|x| x * x).sum::<f64>() / 1e4;
        assert!((square.sqrt() - 0.5).abs() < 0.01, "{square}");
        assert!(p.values(a).iter().sum::<f64>().abs() / 1e4 < 0.02);
        assert_eq!(p.values(b)[..4], [0.0; 4]);
        assert!(p.values(b)[4..].iter().all(|&x| x != 0.0));
    }

    #[test]
    fn declaring_more_leaves_the_start_of_the_others() {
        let (layout, a, _) = two();
        let mut longer = (*layout).clone();
        longer.declare("c", &[5], Init::Uniform(1.0));
        let (p, q) = (
            Params::<f32>::init(&layout, 7),
            Params::<f32>::init(&Arc::new(longer), 7),
        );
        assert_eq!(p.values(a), q.values(a));
    }

    #[test]
    fn a_parameter_nobody_wrote_is_reported() {
        let (layout, a, _) = two();
        let mut grads = Gradients::<f32>::zeros(&layout);
        grads.add_to(a)[0] = 1.0;
        assert_eq!(grads.untouched().collect::<Vec<_>>(), ["b"]);
        grads.clear();
        assert_eq!(grads.untouched().count(), 2);
    }

    #[test]
    #[should_panic(expected = "`a` is declared twice")]
    fn a_name_is_declared_once() {
        let mut layout = Layout::default();
        layout.declare("a", &[1], Init::Constant(0.0));
        layout.declare("a", &[1], Init::Constant(0.0));
    }
}
