//! A fixture's folder: its net, its tensors, its tolerances.

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use std::path::PathBuf;
use std::sync::Arc;
use tickfuse_core::bundle::Net as Config;
use tickfuse_train::nets::Net;
use tickfuse_train::nets::quantile_tft::QuantileTftNet;
use tickfuse_train::nets::tft::TftNet;
use tickfuse_train::nets::xtrend::XtrendNet;
use tickfuse_train::ops::real::Real;
use tickfuse_train::tape::engine::Engine;
use tickfuse_train::tape::params::{Layout, Params};

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

pub(crate) fn path(net: &str, file: &str) -> PathBuf {
    fixtures().join("nets").join(net).join(file)
}

pub(crate) fn json(net: &str, file: &str) -> serde_json::Value {
    let path = path(net, file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// A deviation the manifest accepts.
pub(crate) fn tolerance(file: &str, kind: &str) -> f64 {
    let text = std::fs::read_to_string(fixtures().join("MANIFEST.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&text).unwrap();
    manifest["files"][file]["tolerance"][kind].as_float().unwrap()
}

/// A net of any family.
pub(crate) enum AnyNet {
    Tft(Box<TftNet>),
    QuantileTft(Box<QuantileTftNet>),
    Xtrend(XtrendNet),
}

/// Hands a call to the net inside.
macro_rules! inside {
    ($self:ident, $net:ident => $call:expr) => {
        match $self {
            AnyNet::Tft($net) => $call,
            AnyNet::QuantileTft($net) => $call,
            AnyNet::Xtrend($net) => $call,
        }
    };
}

impl Net for AnyNet {
    fn n_rows(&self) -> usize {
        inside!(self, net => net.n_rows())
    }

    fn n_features(&self) -> usize {
        inside!(self, net => net.n_features())
    }

    fn n_outputs(&self) -> usize {
        inside!(self, net => net.n_outputs())
    }

    fn n_answers(&self) -> usize {
        inside!(self, net => net.n_answers())
    }

    fn layout(&self) -> &Arc<Layout> {
        inside!(self, net => net.layout())
    }

    fn description(&self) -> serde_json::Value {
        inside!(self, net => net.description())
    }

    fn forward<E: Engine>(&self, engine: &mut E, x: E::Var) -> E::Var {
        inside!(self, net => net.forward(engine, x))
    }
}

/// The net of a folder, for columns of these names; X-Trend's are features and the entity.
pub(crate) fn net(name: &str, inputs: &[String]) -> AnyNet {
    match serde_json::from_value(json(name, "config.json")).unwrap() {
        Config::Tft(config) => AnyNet::Tft(Box::new(TftNet::new(config, inputs, 0.0).unwrap())),
        Config::QuantileTft(config) => {
            AnyNet::QuantileTft(Box::new(QuantileTftNet::new(config, inputs.len(), 0.0).unwrap()))
        }
        Config::Xtrend(config) => AnyNet::Xtrend(XtrendNet::new(config, inputs.len() - 1, 0.0).unwrap()),
        Config::Lstm(_) => panic!("{name}: an LSTM is compared elsewhere"),
    }
}

/// The names of `inputs.json`.
pub(crate) fn input_names(name: &str) -> Vec<String> {
    let inputs = json(name, "inputs.json");
    let names = inputs.as_array().unwrap().iter();
    names.map(|i| i["name"].as_str().unwrap().to_owned()).collect()
}

/// A safetensors file.
pub(crate) struct Tensors(Vec<u8>);

impl Tensors {
    pub(crate) fn open(net: &str, file: &str) -> Self {
        let path = path(net, file);
        Self(std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    /// The JSON document under `training` of the metadata.
    pub(crate) fn training(&self) -> serde_json::Value {
        let (_, header) = SafeTensors::read_metadata(&self.0).unwrap();
        serde_json::from_str(&header.metadata().as_ref().unwrap()["training"]).unwrap()
    }

    pub(crate) fn shape(&self, name: &str) -> Vec<usize> {
        self.file().tensor(name).unwrap().shape().to_vec()
    }

    pub(crate) fn values(&self, name: &str) -> Vec<f64> {
        let file = self.file();
        let view = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let data = view.data();
        let narrow = |b: &[u8; 4]| f64::from(f32::from_le_bytes(*b));
        match view.dtype() {
            Dtype::F32 => data.as_chunks().0.iter().map(narrow).collect(),
            Dtype::F64 => data
                .as_chunks()
                .0
                .iter()
                .map(|&b| f64::from_le_bytes(b))
                .collect(),
            Dtype::I64 => data
                .as_chunks()
                .0
                .iter()
                .map(|&b| i64::from_le_bytes(b) as f64)
                .collect(),
            other => panic!("{name}: {other:?}"),
        }
    }

    /// Names and shapes under a prefix, sorted.
    fn shapes(&self, prefix: &str) -> Vec<(String, Vec<usize>)> {
        let file = self.file();
        let all = file.iter().filter_map(|(name, view)| {
            let name = name.strip_prefix(prefix)?;
            Some((name.to_owned(), view.shape().to_vec()))
        });
        let mut all: Vec<_> = all.collect();
        all.sort();
        all
    }

    /// The tensors under a prefix as the net's parameters: the same names and shapes, nothing more.
    pub(crate) fn params<R: Real>(&self, net: &impl Net, prefix: &str) -> Params<R> {
        let specs = net.layout().specs().iter();
        let mut declared: Vec<_> = specs.map(|s| (s.name.clone(), s.shape.clone())).collect();
        declared.sort();
        assert_eq!(declared, self.shapes(prefix));
        let mut params = Params::init(net.layout(), 0);
        for (name, _) in declared {
            let values = self.values(&format!("{prefix}{name}")).into_iter();
            params.set(&name, &values.map(R::from_f64).collect::<Vec<R>>());
        }
        params
    }
}
