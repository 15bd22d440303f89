//! The file a training run goes on from: parameters, best parameters, optimiser moments, and where the run stands.
//!
//! A safetensors file of f32 tensors `param/*`, `best/*`, `adam_m/*`, `adam_v/*`, whose metadata holds one JSON document under
//! `tickfuse_checkpoint` with a sha-256 over all tensor bytes. It is replaced atomically: written beside its target, synced,
//! renamed, the directory synced; a reader sees the old or the new file, whenever the writer is killed.

use crate::fit::config::FitConfig;
use crate::fit::state::FitState;
use crate::optim::adamw::{AdamW, AdamWConfig};
use crate::tape::params::{Layout, Params};
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Version this build writes and reads.
const FORMAT: u32 = 2;
/// Key of the document in the metadata.
const KEY: &str = "tickfuse_checkpoint";
/// Prefixes of the four tensor groups.
const GROUPS: [&str; 4] = ["param", "best", "adam_m", "adam_v"];

/// Why a checkpoint was not written, not read, or refused.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The operating system's word.
    #[error("checkpoint {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// The file is not a whole checkpoint.
    #[error("checkpoint {}: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The run differs from the one that wrote the checkpoint.
    #[error("cannot resume: {what}: the checkpoint has {found}, this run {expected}")]
    Mismatch {
        /// Key, `net` or `data`.
        what: String,
        /// This run's value.
        expected: String,
        /// The checkpoint's value.
        found: String,
    },
    /// A tensor is missing or has another shape.
    #[error("cannot resume: tensor `{name}`: expected shape {expected:?}, found {found}")]
    Tensor {
        /// Name in the file.
        name: String,
        /// The net's shape.
        expected: Vec<usize>,
        /// What the file has.
        found: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    sha256: String,
    net: Value,
    config: FitConfig,
    data: String,
    adam_step: u64,
    state: FitState,
}

#[derive(Debug, Clone, PartialEq)]
struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

/// A checkpoint in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    document: Document,
    tensors: Vec<(String, Tensor)>,
}

/// What a run goes on with.
pub(crate) struct Parts {
    pub(crate) params: Params<f32>,
    pub(crate) best: Params<f32>,
    pub(crate) adam: AdamW,
    pub(crate) state: FitState,
}

impl Checkpoint {
    /// Takes copies of a run's tensors; `params` are the present and the best ones.
    #[must_use]
    pub fn new(
        net: Value,
        config: &FitConfig,
        data_fingerprint: &str,
        state: &FitState,
        params: [&Params<f32>; 2],
        adam: &AdamW,
    ) -> Self {
        let layout = params[0].layout();
        let values = [params[0].data(), params[1].data(), &adam.m, &adam.v];
        let mut tensors = Vec::new();
        for (group, values) in GROUPS.iter().zip(values) {
            for spec in layout.specs() {
                let tensor = Tensor {
                    shape: spec.shape.clone(),
                    data: values[spec.range()].to_vec(),
                };
                tensors.push((format!("{group}/{}", spec.name), tensor));
            }
        }
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let document = Document {
            format: FORMAT,
            sha256: hash(&tensors),
            net,
            config: config.clone(),
            data: data_fingerprint.to_owned(),
            adam_step: adam.step,
            state: state.clone(),
        };
        Self { document, tensors }
    }

    /// The configuration of the run that wrote it.
    #[must_use]
    pub fn config(&self) -> &FitConfig {
        &self.document.config
    }

    /// Where that run stood.
    #[must_use]
    pub fn state(&self) -> &FitState {
        &self.document.state
    }

    /// The net of that run, as [`crate::nets::Net::description`] gave it.
    #[must_use]
    pub fn net(&self) -> &Value {
        &self.document.net
    }

    /// Replaces the file at `path` atomically.
    ///
    /// # Errors
    /// When the directory cannot be written; the old file is then untouched.
    pub fn write(&self, path: &Path) -> Result<(), CheckpointError> {
        let bytes = self.to_bytes().map_err(|problem| damaged(path, problem))?;
        replace(path, &bytes).map_err(|source| io(path, source))
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, is cut short, changed, or of another format version.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let bytes = std::fs::read(path).map_err(|source| io(path, source))?;
        Self::from_bytes(&bytes).map_err(|problem| damaged(path, problem))
    }

    fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let document = serde_json::to_string(&self.document).map_err(|e| e.to_string())?;
        let views = self.tensors.iter().map(|(name, tensor)| {
            let bytes: &[u8] = bytemuck::cast_slice(&tensor.data);
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes);
            view.map(|view| (name, view)).map_err(|e| e.to_string())
        });
        let views = views.collect::<Result<Vec<_>, String>>()?;
        let metadata = [(KEY.to_owned(), document)].into_iter().collect();
        safetensors::serialize(views, Some(metadata)).map_err(|e| e.to_string())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let text = |e: safetensors::SafeTensorError| format!("not a whole safetensors file: {e}");
        let (_, header) = safetensors::SafeTensors::read_metadata(bytes).map_err(text)?;
        let entry = header.metadata().as_ref().and_then(|m| m.get(KEY));
        let entry = entry.ok_or("a safetensors file, but not a checkpoint")?;
        let document: Document = serde_json::from_str(entry).map_err(|e| format!("metadata `{KEY}`: {e}"))?;
        if document.format != FORMAT {
            return Err(format!("format: expected {FORMAT}, found {}", document.format));
        }
        let file = safetensors::SafeTensors::deserialize(bytes).map_err(text)?;
        let mut tensors = file
            .iter()
            .map(|(name, view)| read_tensor(name, &view))
            .collect::<Result<Vec<_>, String>>()?;
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let found = hash(&tensors);
        if found != document.sha256 {
            return Err(format!(
                "sha-256 of the tensors: expected {}, found {found}",
                document.sha256
            ));
        }
        Ok(Self { document, tensors })
    }

    /// Whether a run with this net, configuration and data may go on from here.
    ///
    /// # Errors
    /// The first difference, with both values.
    pub fn check(&self, net: &Value, config: &FitConfig, data: &str) -> Result<(), CheckpointError> {
        let differ = |what: &str, expected: &Value, found: &Value| {
            let mismatch = CheckpointError::Mismatch {
                what: what.to_owned(),
                expected: expected.to_string(),
                found: found.to_string(),
            };
            if expected == found { Ok(()) } else { Err(mismatch) }
        };
        differ("net", net, &self.document.net)?;
        differ("data", &data.into(), &self.document.data.as_str().into())?;
        let (ours, theirs) = (config.identity(), self.document.config.identity());
        for key in ours.keys().chain(theirs.keys()) {
            let value = |keys: &serde_json::Map<String, Value>| keys.get(key).cloned().unwrap_or(Value::Null);
            differ(key, &value(&ours), &value(&theirs))?;
        }
        Ok(())
    }

    pub(crate) fn into_parts(
        self,
        layout: &Arc<Layout>,
        config: AdamWConfig,
    ) -> Result<Parts, CheckpointError> {
        let [params, best, m, v] = GROUPS.map(|group| self.group(group, layout));
        let (params, best) = (params?, best?);
        let mut adam = AdamW::new(config, layout);
        (adam.m, adam.v, adam.step) = (m?, v?, self.document.adam_step);
        let with_values = |values: &[f32]| {
            let mut params = Params::init(layout, 0);
            params.data_mut().copy_from_slice(values);
            params
        };
        Ok(Parts {
            params: with_values(&params),
            best: with_values(&best),
            adam,
            state: self.document.state,
        })
    }

    /// The values of one group in the order of `layout`.
    fn group(&self, group: &str, layout: &Layout) -> Result<Vec<f32>, CheckpointError> {
        let mut values = Vec::with_capacity(layout.n_values());
        for spec in layout.specs() {
            let name = format!("{group}/{}", spec.name);
            let tensor = self.tensors.iter().find(|(n, _)| *n == name).map(|(_, t)| t);
            match tensor {
                Some(tensor) if tensor.shape == spec.shape => values.extend_from_slice(&tensor.data),
                other => {
                    return Err(CheckpointError::Tensor {
                        name,
                        expected: spec.shape.clone(),
                        found: other.map_or_else(|| "none".to_owned(), |t| format!("{:?}", t.shape)),
                    });
                }
            }
        }
        Ok(values)
    }
}

fn read_tensor(name: &str, view: &TensorView<'_>) -> Result<(String, Tensor), String> {
    if view.dtype() != Dtype::F32 {
        return Err(format!("tensor `{name}`: expected F32, found {:?}", view.dtype()));
    }
    let (values, _) = view.data().as_chunks::<4>();
    let tensor = Tensor {
        shape: view.shape().to_vec(),
        data: values.iter().map(|&b| f32::from_le_bytes(b)).collect(),
    };
    Ok((name.to_owned(), tensor))
}

/// Hash over names and bytes of all tensors, in the order of their names.
fn hash(tensors: &[(String, Tensor)]) -> String {
    let mut hasher = Sha256::new();
    for (name, tensor) in tensors {
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(bytemuck::cast_slice::<f32, u8>(&tensor.data));
    }
    hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Temporary file beside the target, synced, renamed over it, directory synced.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    std::fs::File::open(directory)?.sync_all()
}

fn io(path: &Path, source: std::io::Error) -> CheckpointError {
    CheckpointError::Io {
        path: path.to_owned(),
        source,
    }
}

fn damaged(path: &Path, problem: String) -> CheckpointError {
    CheckpointError::Damaged {
        path: path.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::state::EarlyStop;
    use crate::metrics::scores::Baselines;
    use crate::optim::schedule::PlateauState;
    use crate::tape::params::Init;

    fn layout() -> Arc<Layout> {
        let mut layout = Layout::default();
        layout.declare("w", &[2, 3], Init::Uniform(1.0));
        layout.declare("b", &[2], Init::Uniform(1.0));
        Arc::new(layout)
    }

    fn checkpoint() -> Checkpoint {
        let layout = layout();
        let state = FitState {
            epoch: 1,
            step_in_epoch: 2,
            step: 7,
            loss_sum: 0.1 + 0.2,
            windows: 12,
            plateau: PlateauState {
                lr: 1e-3,
                best: None,
                bad_epochs: 1,
                cooldown_left: 0,
            },
            early: EarlyStop::default(),
            pos_weight: 1.0,
            train_rate: 1.0 / 3.0,
            baselines: Baselines::default(),
            history: Vec::new(),
        };
        let mut adam = AdamW::new(AdamWConfig::default(), &layout);
        let mut params = Params::init(&layout, 1);
        adam.update(&mut params, &[0.1; 8], 1e-3, None);
        let best = Params::init(&layout, 2);
        let config = FitConfig::default();
        Checkpoint::new(
            Value::Null,
            &config,
            "snapshot 1",
            &state,
            [&params, &best],
            &adam,
        )
    }

    #[test]
    fn a_file_gives_back_every_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.ckpt");
        let written = checkpoint();
        written.write(&path).unwrap();
        written.write(&path).unwrap();
        let read = Checkpoint::read(&path).unwrap();
        assert_eq!(read, written);
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 1, "temporary files are left");
        let parts = read.into_parts(&layout(), AdamWConfig::default()).unwrap();
        assert_eq!(parts.best, Params::init(&layout(), 2));
        assert_eq!((parts.adam.step, parts.state.step), (1, 7));
    }

    #[test]
    fn every_truncation_and_every_changed_tensor_byte_is_noticed() {
        let bytes = checkpoint().to_bytes().unwrap();
        for len in 0..bytes.len() {
            assert!(Checkpoint::from_bytes(&bytes[..len]).is_err(), "cut to {len}");
        }
        let data = bytes.len() - 4 * 8 * 4;
        for at in data..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let problem = Checkpoint::from_bytes(&changed).unwrap_err();
            assert!(problem.contains("sha-256"), "{problem}");
        }
    }

    #[test]
    fn another_net_configuration_or_data_is_refused_by_name() {
        let checkpoint = checkpoint();
        let config = FitConfig::default();
        assert!(checkpoint.check(&Value::Null, &config, "snapshot 1").is_ok());
        let more_threads = FitConfig {
            threads: 2,
            ..config.clone()
        };
        assert!(
            checkpoint
                .check(&Value::Null, &more_threads, "snapshot 1")
                .is_ok()
        );
        let faster = FitConfig {
            lr: 0.01,
            ..config.clone()
        };
        let text = |r: Result<(), CheckpointError>| r.unwrap_err().to_string();
        assert_eq!(
            text(checkpoint.check(&Value::Null, &faster, "snapshot 1")),
            "cannot resume: lr: the checkpoint has 0.001, this run 0.01"
        );
        assert!(text(checkpoint.check(&Value::Null, &config, "snapshot 2")).contains("data"));
        assert!(text(checkpoint.check(&Value::Bool(true), &config, "snapshot 1")).contains("net"));
        let unclipped = FitConfig {
            clip_norm: None,
            ..config
        };
        assert!(text(checkpoint.check(&Value::Null, &unclipped, "snapshot 1")).contains("clip_norm"));
    }

    #[test]
    fn another_shape_is_refused_by_name() {
        let mut other = Layout::default();
        other.declare("w", &[3, 2], Init::Uniform(1.0));
        let result = checkpoint().into_parts(&Arc::new(other), AdamWConfig::default());
        let text = result.err().map(|e| e.to_string()).unwrap();
        assert!(
            text.contains("param/w") && text.contains("[3, 2]") && text.contains("[2, 3]"),
            "{text}"
        );
    }

    #[test]
    fn a_missing_file_and_a_foreign_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.ckpt");
        assert!(
            Checkpoint::read(&path)
                .unwrap_err()
                .to_string()
                .contains("none.ckpt")
        );
        std::fs::write(&path, b"PK not a checkpoint").unwrap();
        assert!(
            Checkpoint::read(&path)
                .unwrap_err()
                .to_string()
                .contains("safetensors")
        );
    }
}
