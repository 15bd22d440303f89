//! The opened model: immutable, shared between threads, ready to run.

use crate::bar_rows::BarRows;
use crate::bundle::{Bundle, Input, OpenOptions as BundleOptions, Scaler, Schema};
use crate::columns::Intake;
use crate::error::{OpenError, RunError};
use crate::features::{FeatureDef, FeatureSet};
use crate::kernels::{Affine, Kernels};
use crate::nets::{Contexts, OpenNet, XtrendNet};
use crate::session::{Sample, Session};
use crate::simd::Level;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// How to open a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOptions {
    /// Level of CPU features; the best one of this machine if absent.
    pub level: Option<Level>,
    /// Whether to check the content hash.
    pub verify_hash: bool,
    /// Whether to run the golden windows.
    pub verify_golden: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            level: None,
            verify_hash: true,
            verify_golden: true,
        }
    }
}

/// A model file, checked, with its kernels chosen. Sessions borrow its weights for as long as they live.
pub struct Model {
    bundle: Bundle,
    pub(crate) net: OpenNet,
    pub(crate) intake: Intake,
    pub(crate) kernels: &'static Kernels,
    pub(crate) scalers: Vec<Affine>,
}

impl Model {
    /// Opens a model file by memory mapping; no weight is copied.
    ///
    /// Nobody may shorten or overwrite the file while the model lives (published files are read-only and replaced
    /// by rename); see [`Model::open_copied`] where that cannot be ruled out.
    ///
    /// # Errors
    /// Every rule of `format.md` has its variant of [`OpenError`].
    #[cfg(feature = "std")]
    pub fn open(path: impl AsRef<std::path::Path>, options: OpenOptions) -> Result<Arc<Self>, OpenError> {
        Self::from_bundle(Bundle::open(path, bundle_options(options))?, options)
    }

    /// Opens a model file through an own copy of its bytes.
    ///
    /// # Errors
    /// As [`Model::open`].
    #[cfg(feature = "std")]
    pub fn open_copied(
        path: impl AsRef<std::path::Path>,
        options: OpenOptions,
    ) -> Result<Arc<Self>, OpenError> {
        Self::from_bundle(Bundle::open_copied(path, bundle_options(options))?, options)
    }

    /// Opens a model from memory, copying the bytes once.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_bytes(bytes: &[u8], options: OpenOptions) -> Result<Arc<Self>, OpenError> {
        Self::from_bundle(Bundle::from_bytes(bytes, bundle_options(options))?, options)
    }

    fn from_bundle(bundle: Bundle, options: OpenOptions) -> Result<Arc<Self>, OpenError> {
        let level = options.level.unwrap_or_else(Level::detect);
        let kernels = Kernels::for_level(level).ok_or(OpenError::LevelUnavailable(level.name()))?;
        let intake = Intake::new(bundle.schema());
        let net = OpenNet::open(&bundle, &intake, kernels)?;
        check_features(bundle.schema())?;
        let scalers = affine(bundle.schema());
        let model = Arc::new(Self {
            bundle,
            net,
            intake,
            kernels,
            scalers,
        });
        if options.verify_golden {
            model.check_golden()?;
        }
        Ok(model)
    }

    /// What the file says about itself.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        self.bundle.schema()
    }

    /// What makes this model's input rows from bars.
    ///
    /// # Errors
    /// The name of the first input that the model does not define from bars.
    pub fn bar_rows(&self) -> Result<BarRows, String> {
        BarRows::new(self.schema())
    }

    /// Bars that a stream must have taken before its answers no longer depend on where it began; `None` for a model that does
    /// not make its rows from bars.
    #[must_use]
    pub fn n_bars(&self) -> Option<usize> {
        let rows = self.bar_rows().ok()?;
        Some(rows.history() + self.schema().lookback())
    }

    /// Level of CPU features in use.
    #[must_use]
    pub fn level(&self) -> Level {
        self.kernels.level()
    }

    /// Content hash as 64 hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> String {
        self.bundle.hash_hex()
    }

    /// The file behind the model.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Touches every page of the file, so that none has to be fetched by the first answers; its bytes. [`Model::open`] has done so
    /// already: of use after a long rest, when the system may have given pages away.
    pub fn prefault(&self) -> usize {
        self.bundle.storage().prefault()
    }

    /// Asks the system to lay the weights on large pages. A copy ([`Model::open_copied`]) can have them, a mapping only on some file
    /// systems.
    ///
    /// # Errors
    /// The system's reason; [`std::io::ErrorKind::Unsupported`] for a model opened from memory. The model serves as before.
    #[cfg(all(feature = "std", target_os = "linux"))]
    pub fn advise_huge_pages(&self) -> std::io::Result<()> {
        self.bundle.storage().advise_huge_pages()
    }

    /// Keeps the weights in memory while the model lives: the system gives none of their pages away.
    ///
    /// # Errors
    /// The system's reason, such as its limit of locked memory (`ulimit -l`); [`std::io::ErrorKind::Unsupported`] for a model opened
    /// from memory. The model serves as before.
    #[cfg(all(feature = "std", unix))]
    pub fn lock_in_memory(&self) -> std::io::Result<()> {
        self.bundle.storage().lock_in_memory()
    }

    /// Whether the weights are the file's own pages.
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        self.bundle.is_mapped()
    }

    /// The contexts that the file brought along and that a session begins with; of an X-Trend only.
    #[must_use]
    pub fn contexts(&self) -> Option<&Contexts> {
        self.net.with_contexts().ok().map(XtrendNet::contexts)
    }

    /// `[contexts at most, rows, columns]` of [`Model::encode_contexts`]; of an X-Trend only. The columns are the real
    /// inputs in the schema's order, and in the paper's form the scaled return of the next step behind them.
    #[must_use]
    pub fn context_shape(&self) -> Option<[usize; 3]> {
        self.net.with_contexts().ok().map(XtrendNet::context_shape)
    }

    /// Encodes contexts to take the place of the file's own: raw rows `[contexts, rows, columns]` as
    /// [`Model::context_shape`] has them, oldest row first, one to as many contexts as it says, and the code of each
    /// one's entity. The same rows as the file's give the same answers, bit for bit.
    ///
    /// Allocates and takes as long as two windows per context: for whoever keeps contexts fresh, not for the thread that
    /// answers, which is handed the result by [`Session::set_contexts`]. Values are refused where they are missing,
    /// whatever the column's policy: who chooses contexts can choose whole ones.
    ///
    /// # Errors
    /// [`RunError::NoContexts`], [`RunError::ContextCount`], [`RunError::ContextLength`], [`RunError::ContextEntity`],
    /// [`RunError::ContextNonFinite`].
    pub fn encode_contexts<S: Sample>(&self, rows: &[S], entities: &[u32]) -> Result<Contexts, RunError> {
        let net = self.net.with_contexts()?;
        net.encode_contexts(self.kernels, &self.intake, rows, entities)
    }

    /// Runs the file's golden windows; `Ok` holds the largest absolute deviation.
    ///
    /// # Errors
    /// [`OpenError::Golden`] where a deviation exceeds the schema's tolerance.
    pub fn check_golden(self: &Arc<Self>) -> Result<f32, OpenError> {
        let golden = self.bundle.golden();
        let (n_outputs, expected) = (self.schema().n_outputs(), &golden.output);
        let mut found = vec![0.0; expected.len()];
        let mut session = Session::new(self, golden.n_windows);
        session
            .run_batch::<f32>(&golden.input, golden.n_windows, &mut found)
            .map_err(|e| OpenError::Schema(format!("golden windows: {e}")))?;
        let tolerance = self.schema().golden_tolerance;
        let mut worst = 0.0_f32;
        for (i, (found, expected)) in found.iter().zip(expected.iter()).enumerate() {
            let deviation = (found - expected).abs();
            if deviation.is_nan() || deviation > tolerance {
                let detail = format!("expected {expected} within {tolerance}, found {found}");
                return Err(OpenError::Golden {
                    window: i / n_outputs,
                    output: i % n_outputs,
                    detail,
                });
            }
            worst = worst.max(deviation);
        }
        Ok(worst)
    }
}

impl core::fmt::Debug for Model {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let schema = self.schema();
        f.debug_struct("Model")
            .field("name", &schema.name)
            .field("hash", &self.hash())
            .field("level", &self.level())
            .finish()
    }
}

fn bundle_options(options: OpenOptions) -> BundleOptions {
    BundleOptions {
        verify_hash: options.verify_hash,
    }
}

/// Refuses feature definitions that are sound one by one but not together.
fn check_features(schema: &Schema) -> Result<(), OpenError> {
    let def = |input: &Input| {
        Some(FeatureDef {
            name: input.name.clone(),
            op: input.feature.clone()?,
        })
    };
    let defs: Vec<FeatureDef> = schema.inputs.iter().filter_map(def).collect();
    if defs.is_empty() {
        return Ok(());
    }
    FeatureSet::new(&defs)
        .map(drop)
        .map_err(|e| OpenError::Schema(format!("inputs: {e}")))
}

fn affine(schema: &Schema) -> Vec<Affine> {
    let one = |input: &Input| {
        let scaler = input.scaler.unwrap_or(Scaler::IDENTITY);
        Affine {
            center: scaler.center,
            recip: scaler.scale.recip(),
        }
    };
    schema.inputs.iter().map(one).collect()
}
