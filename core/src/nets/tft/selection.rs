//! The selection networks of the `tft` family: folded into tables and lines when written, opened again.

use crate::bundle::{Input, Schema, TftConfig, Variable, n_blocks};
use crate::error::OpenError;
use crate::layers::{Branch, GateNorm, Lookup, Norm, Selection, Source, WeightNet, WeightOutput};
use crate::nets::fold::{Mat, Plain, add, elu, normalised, sigmoid};
use crate::nets::scalar::{Line, Residual, ScalarNet};
use crate::nets::shapes::{GrnSize, Skip};
use crate::nets::store::{Opener, Packer};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Where the inputs stand in a scaled row: reals among the reals, codes among the codes.
pub(super) struct Columns {
    places: Vec<(String, usize)>,
    n_reals: usize,
}

impl Columns {
    pub(super) fn new(schema: &Schema) -> Self {
        let (mut n_reals, mut n_codes) = (0, 0);
        let mut place = |input: &Input| {
            let next = if input.categories.is_some() {
                &mut n_codes
            } else {
                &mut n_reals
            };
            *next += 1;
            (input.name.clone(), *next - 1)
        };
        let places = schema.inputs.iter().map(&mut place).collect();
        Self { places, n_reals }
    }

    fn of(&self, name: &str) -> usize {
        let found = self.places.iter().find(|(known, _)| known == name);
        found.expect("validated: variables read inputs").1
    }
}

/// The selection under `run.{name}`, or nothing without variables.
pub(super) fn open(
    from: &mut Opener<'_>,
    config: &TftConfig,
    columns: &Columns,
    name: &str,
    variables: &[Variable],
    temporal: bool,
) -> Result<Option<Selection>, OpenError> {
    if variables.is_empty() {
        return Ok(None);
    }
    let weights = match variables {
        [_] => None,
        _ => Some(open_weights(from, config, columns, name, variables, temporal)?),
    };
    let shared = temporal && config.rules.share_variable_networks;
    let mut branch = |v: &Variable| {
        let network = format!("{name}.variables.{}", v.name);
        let exact = open_branch(from, config, columns, &format!("run.{network}"), v, shared)?;
        match v.is_categorical() {
            true => Ok(exact),
            false => from.tabulated(&network, columns.of(&v.columns[0]), config.n_hidden, exact),
        }
    };
    let branches = variables.iter().map(&mut branch).collect::<Result<_, _>>()?;
    Ok(Some(Selection {
        weights,
        branches,
        lanes: n_blocks(config.n_hidden),
    }))
}

fn open_weights(
    from: &mut Opener<'_>,
    config: &TftConfig,
    columns: &Columns,
    name: &str,
    variables: &[Variable],
    temporal: bool,
) -> Result<WeightNet, OpenError> {
    let (name, n, eps) = (
        format!("run.{name}.weights"),
        variables.len(),
        config.rules.norm_eps,
    );
    let size = config.weight_size(variables, temporal);
    let tables = |from: &mut Opener<'_>, part: &str, width| {
        let categorical = variables.iter().filter_map(|v| Some((v, v.n_categories?)));
        let mut lookups = Vec::new();
        for (v, n_categories) in categorical {
            let table = from.rows(&format!("{name}.{part}.{}", v.name), n_categories, width)?;
            lookups.extend(v.columns.iter().map(|c| Lookup {
                column: columns.of(c),
                table: table.clone(),
            }));
        }
        Ok::<_, OpenError>(lookups)
    };
    let lookups = tables(from, "fc1_tables", size.n_hidden)?;
    let skip_lookups = tables(from, "skip_tables", n)?;
    Ok(WeightNet {
        fc1: from.of_columns(&format!("{name}.fc1"), columns.n_reals, size.n_hidden)?,
        lookups,
        context: match temporal {
            true => Some(from.linear(&format!("{name}.context"), config.n_hidden, size.n_hidden)?),
            false => None,
        },
        output: WeightOutput::Grn {
            skip: from.of_columns(&format!("{name}.skip"), columns.n_reals, n)?,
            skip_lookups,
            skip_norm: open_skip_norm(from, &name, size.skip, n, eps)?,
            out: from.gate_norm(&format!("{name}.out"), size.n_hidden, n, eps)?,
        },
        n_variables: n,
    })
}

fn open_skip_norm(
    from: &mut Opener<'_>,
    name: &str,
    skip: Skip,
    n: usize,
    eps: f32,
) -> Result<Option<Norm>, OpenError> {
    match skip {
        Skip::Resample => from.norm(&format!("{name}.skip_norm"), n, eps).map(Some),
        _ => Ok(None),
    }
}

fn open_branch(
    from: &mut Opener<'_>,
    config: &TftConfig,
    columns: &Columns,
    name: &str,
    variable: &Variable,
    shared: bool,
) -> Result<Branch, OpenError> {
    let (n, eps) = (config.n_hidden, config.rules.norm_eps);
    let form = Form::of(config, variable, shared);
    let size = config.variable_size(variable.width);
    Ok(match form {
        Form::Table => Branch::Table(Lookup {
            column: columns.of(&variable.columns[0]),
            table: from.rows(&format!("{name}.table"), variable.n_categories.unwrap_or(0), n)?,
        }),
        Form::Norm => Branch::Norm {
            source: open_source(from, columns, &format!("{name}.skip"), variable, n)?,
            norm: from.norm(&format!("{name}.skip_norm"), n, eps)?,
        },
        Form::Grn => Branch::Grn {
            hidden: open_source(from, columns, &format!("{name}.hidden"), variable, size.n_hidden)?,
            skip: open_source(from, columns, &format!("{name}.skip"), variable, n)?,
            skip_norm: open_skip_norm(from, name, size.skip, n, eps)?,
            out: GateNorm {
                glu: from.halves(&format!("{name}.out.glu"), size.n_hidden, n)?,
                norm: from.norm(&format!("{name}.out.norm"), n, eps)?,
            },
        },
    })
}

fn open_source(
    from: &mut Opener<'_>,
    columns: &Columns,
    name: &str,
    variable: &Variable,
    width: usize,
) -> Result<Source, OpenError> {
    let offset = from.rows(&format!("{name}.offset"), 1, width)?;
    Ok(match variable.n_categories {
        None => Source::Real {
            column: columns.of(&variable.columns[0]),
            slope: from.rows(&format!("{name}.slope"), 1, width)?,
            offset,
        },
        Some(n) => {
            let table = from.rows(&format!("{name}.table"), n, width)?;
            let lookup = |c: &String| Lookup {
                column: columns.of(c),
                table: table.clone(),
            };
            Source::Codes {
                lookups: variable.columns.iter().map(lookup).collect(),
                offset,
            }
        }
    })
}

/// What a variable's network becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A lone categorical: its answers.
    Table,
    /// A bag of categoricals behind the resampled skip.
    Norm,
    /// A network.
    Grn,
}

impl Form {
    fn of(config: &TftConfig, variable: &Variable, shared: bool) -> Self {
        match (variable.columns.len(), config.has_network(variable, shared)) {
            (1, _) if variable.is_categorical() => Self::Table,
            (_, false) => Self::Norm,
            (_, true) => Self::Grn,
        }
    }
}

/// The vector of a variable before its network: affine in a real, a row per category.
enum Entry {
    Real { slope: Vec<f64>, offset: Vec<f64> },
    Codes(Mat),
}

impl Entry {
    fn of(plain: Plain<'_>, variable: &Variable) -> Self {
        if variable.is_categorical() {
            let mut table = plain.mat(&format!(
                "input_embeddings.embeddings.{}.weight",
                variable.table()
            ));
            if variable.padding {
                table.row_mut(0).fill(0.0);
            }
            return Self::Codes(table);
        }
        let (slope, offset) = plain.linear(&format!("prescalers.{}", variable.name));
        Self::Real {
            slope: slope.transposed().row(0).to_vec(),
            offset,
        }
    }

    /// `W entry`, without a bias.
    fn through(&self, weight: &Mat) -> Self {
        match self {
            Self::Real { slope, offset } => Self::Real {
                slope: weight.apply(slope),
                offset: weight.apply(offset),
            },
            Self::Codes(table) => Self::Codes(table.mul(&weight.transposed())),
        }
    }

    /// A real's vector with a bias.
    fn line(&self, bias: &[f64]) -> Option<Line> {
        match self {
            Self::Real { slope, offset } => Some(Line {
                slope: slope.clone(),
                offset: add(offset, bias),
            }),
            Self::Codes(_) => None,
        }
    }
}

/// The skip of a network as a matrix, its bias, and the norm behind it.
struct SkipParts {
    weight: Mat,
    bias: Vec<f64>,
    norm: Option<[Vec<f64>; 2]>,
}

impl SkipParts {
    fn of(plain: Plain<'_>, name: &str, size: GrnSize) -> Self {
        match size.skip {
            Skip::Identity => Self {
                weight: Mat::identity(size.n_out),
                bias: vec![0.0; size.n_out],
                norm: None,
            },
            Skip::Linear => {
                let (weight, bias) = plain.linear(&format!("{name}.skip"));
                Self {
                    weight,
                    bias,
                    norm: None,
                }
            }
            Skip::Resample => Self::resampled(plain, &format!("{name}.resample_norm"), size.n_in, size.n_out),
        }
    }

    /// Interpolation times `2 sigmoid(mask)`, then the norm.
    fn resampled(plain: Plain<'_>, name: &str, n_in: usize, n_out: usize) -> Self {
        let mask: Vec<f64> = plain
            .vec(&format!("{name}.mask"))
            .into_iter()
            .map(|m| 2.0 * sigmoid(m))
            .collect();
        Self {
            weight: Mat::interpolation(n_out, n_in).scaled_rows(&mask),
            bias: vec![0.0; n_out],
            norm: Some(plain.norm(&format!("{name}.norm"))),
        }
    }
}

/// Packs the selection whose plain tensors stand under `{name}_variable_selection`.
pub(super) fn pack(
    to: &mut Packer,
    plain: Plain<'_>,
    config: &TftConfig,
    columns: &Columns,
    name: &str,
    variables: &[Variable],
    temporal: bool,
) {
    let from = format!("{name}_variable_selection");
    if variables.len() > 1 {
        pack_weights(to, plain, config, columns, name, variables, temporal);
    }
    let shared = temporal && config.rules.share_variable_networks;
    for v in variables {
        let network = match shared {
            true => format!("shared_single_variable_grns.{}", v.name),
            false => format!("{from}.single_variable_grns.{}", v.name),
        };
        let name = format!("{name}.variables.{}", v.name);
        pack_branch(to, plain, config, &name, &network, v, shared);
    }
}

fn pack_weights(
    to: &mut Packer,
    plain: Plain<'_>,
    config: &TftConfig,
    columns: &Columns,
    name: &str,
    variables: &[Variable],
    temporal: bool,
) {
    let (from, name) = (
        format!("{name}_variable_selection.flattened_grn"),
        format!("run.{name}.weights"),
    );
    let size = config.weight_size(variables, temporal);
    let (fc1, fc1_bias) = plain.linear(&format!("{from}.fc1"));
    let skip = SkipParts::of(plain, &from, size);
    let mut gather = |part: &str, weight: &Mat, bias: &[f64]| {
        let (mut reals, mut bias, mut at) = (Mat::zeros(weight.n_rows, columns.n_reals), bias.to_vec(), 0);
        for v in variables {
            match Entry::of(plain, v).through(&weight.columns(at, v.width)) {
                Entry::Real { slope, offset } => {
                    reals.add_column(columns.of(&v.columns[0]), &slope);
                    bias = add(&bias, &offset);
                }
                Entry::Codes(table) => to.rows(format!("{name}.{part}_tables.{}", v.name), &table),
            }
            at += v.width;
        }
        to.of_columns(&format!("{name}.{part}"), &reals, &bias);
        bias
    };
    let bias = gather("fc1", &fc1, &fc1_bias);
    gather("skip", &skip.weight, &skip.bias);
    if temporal {
        let context = plain.mat(&format!("{from}.context.weight"));
        to.linear(&format!("{name}.context"), &context, &bias);
    }
    if let Some([gain, shift]) = &skip.norm {
        to.norm(&format!("{name}.skip_norm"), gain, shift);
    }
    let tail = plain.grn_tail(&from);
    let norm = plain.norm(&format!("{from}.gate_norm.add_norm.norm"));
    to.gate_norm(&format!("{name}.out"), &tail.weight, &tail.bias, &norm);
}

fn pack_branch(
    to: &mut Packer,
    plain: Plain<'_>,
    config: &TftConfig,
    network_name: &str,
    from: &str,
    variable: &Variable,
    shared: bool,
) {
    let name = &format!("run.{network_name}");
    let entry = Entry::of(plain, variable);
    let size = config.variable_size(variable.width);
    let network = config.has_network(variable, shared);
    let skip = match network {
        true => SkipParts::of(plain, from, size),
        false => SkipParts::resampled(plain, from, variable.width, config.n_hidden),
    };
    match Form::of(config, variable, shared) {
        Form::Table => {
            let Entry::Codes(table) = entry else { return };
            let eps = f64::from(config.rules.norm_eps);
            let answer = |row: &[f64]| answer(plain, from, &skip, network, row, eps);
            let data: Vec<f64> = table.iter_rows().flat_map(answer).collect();
            to.rows(
                format!("{name}.table"),
                &Mat::new(table.n_rows, config.n_hidden, data),
            );
        }
        Form::Norm => {
            pack_source(
                to,
                &format!("{name}.skip"),
                &entry.through(&skip.weight),
                &skip.bias,
            );
            pack_skip_norm(to, name, &skip);
        }
        Form::Grn => {
            let (fc1, bias) = plain.linear(&format!("{from}.fc1"));
            let (hidden, base) = (entry.through(&fc1), entry.through(&skip.weight));
            pack_source(to, &format!("{name}.hidden"), &hidden, &bias);
            pack_source(to, &format!("{name}.skip"), &base, &skip.bias);
            pack_skip_norm(to, name, &skip);
            let tail = plain.grn_tail(from);
            let norm = plain.norm(&format!("{from}.gate_norm.add_norm.norm"));
            to.gate_norm(&format!("{name}.out"), &tail.weight, &tail.bias, &norm);
            if let (Some(hidden), Some(base)) = (hidden.line(&bias), base.line(&skip.bias)) {
                let eps = f64::from(config.rules.norm_eps);
                let residual = Residual {
                    skip: base,
                    skip_norm: skip.norm,
                    norm,
                    eps,
                };
                to.scalar(network_name, || {
                    ScalarNet::new(hidden, &tail.weight, &tail.bias, Some(residual))
                });
            }
        }
    }
}

fn pack_skip_norm(to: &mut Packer, name: &str, skip: &SkipParts) {
    if let Some([gain, shift]) = &skip.norm {
        to.norm(&format!("{name}.skip_norm"), gain, shift);
    }
}

fn pack_source(to: &mut Packer, name: &str, entry: &Entry, bias: &[f64]) {
    match entry {
        Entry::Real { slope, offset } => {
            to.row(format!("{name}.slope"), slope);
            to.row(format!("{name}.offset"), &add(offset, bias));
        }
        Entry::Codes(table) => {
            to.row(format!("{name}.offset"), bias);
            to.rows(format!("{name}.table"), table);
        }
    }
}

/// The answer of a categorical's network for one embedding.
fn answer(
    plain: Plain<'_>,
    from: &str,
    skip: &SkipParts,
    network: bool,
    embedding: &[f64],
    eps: f64,
) -> Vec<f64> {
    let mut base = add(&skip.weight.apply(embedding), &skip.bias);
    if let Some([gain, shift]) = &skip.norm {
        base = normalised(&base, [gain, shift], eps);
    }
    if !network {
        return base;
    }
    let (fc1, bias) = plain.linear(&format!("{from}.fc1"));
    let hidden: Vec<f64> = add(&fc1.apply(embedding), &bias).into_iter().map(elu).collect();
    let tail = plain.grn_tail(from);
    let gated = add(&tail.weight.apply(&hidden), &tail.bias);
    let (value, gate) = gated.split_at(base.len());
    let sum: Vec<f64> = (0..base.len())
        .map(|i| base[i] + value[i] * sigmoid(gate[i]))
        .collect();
    let [gain, shift] = plain.norm(&format!("{from}.gate_norm.add_norm.norm"));
    normalised(&sum, [&gain, &shift], eps)
}
