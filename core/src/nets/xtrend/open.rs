//! An X-Trend out of a model file.

use super::Form;
use super::encoder::{EntityLstm, Ffn, TemporalBlock};
use super::separate::{Encoder, Ptp, Separate};
use super::shared::Shared;
use crate::bundle::{Bundle, Schema, View, XtrendConfig, XtrendForm, XtrendHead, n_blocks};
use crate::error::OpenError;
use crate::layers::{Branch, GateNorm, Selection, Source, WeightNet, WeightOutput};
use crate::nets::open_plain;
use crate::nets::store::Opener;
use crate::simd::{LANES, Lane};
use alloc::format;
use alloc::vec::Vec;

/// Added to the variance in every layer norm.
pub(super) const EPS: f32 = 1e-5;

/// Reals of a row.
pub(super) fn n_features(schema: &Schema) -> usize {
    schema.inputs.iter().filter(|i| i.categories.is_none()).count()
}

/// The net's parts and the entities' vectors.
pub(super) fn open(bundle: &Bundle, config: &XtrendConfig) -> Result<(Form, View<Lane>), OpenError> {
    let mut from = Opener::new(bundle);
    let f = n_features(bundle.schema());
    let entities = from.rows("run.entities", config.n_entities, config.n_hidden)?;
    let form = match config.form {
        XtrendForm::Shared => Form::Shared(shared(&mut from, config, f)?),
        XtrendForm::Separate => Form::Separate(separate(&mut from, config, f)?),
    };
    open_plain(&mut from, bundle.schema())?;
    from.finish()?;
    Ok((form, entities))
}

fn shared(from: &mut Opener<'_>, config: &XtrendConfig, f: usize) -> Result<Shared, OpenError> {
    let (d, heads) = (config.n_hidden, config.n_heads);
    let narrow = d / 2;
    let joined = LANES * (n_blocks(d) + n_blocks(narrow));
    Ok(Shared {
        selection: gated_selection(from, f, d)?,
        lstm: lstm(from, "run", config, config.n_layers, true)?,
        lstm_norm: from.norm("run.lstm_norm", d, EPS)?,
        self_attention: from.multi_head("run.self_attention", d, heads)?,
        norm1: from.norm("run.norm1", d, EPS)?,
        cross_attention: from.multi_head("run.cross_attention", d, heads)?,
        norm2: from.norm("run.norm2", d, EPS)?,
        decoder: from.linear("run.decoder", 2 * LANES * n_blocks(d), d)?,
        decoder_norm: from.norm("run.decoder_norm", d, EPS)?,
        position: from.linear("run.position", d, narrow)?,
        output: from.linear("run.output", joined, 3)?,
        head: config.head,
    })
}

fn lstm(
    from: &mut Opener<'_>,
    name: &str,
    config: &XtrendConfig,
    n_layers: usize,
    entity: bool,
) -> Result<EntityLstm, OpenError> {
    let d = config.n_hidden;
    let width = n_layers * 2 * LANES * n_blocks(d);
    Ok(EntityLstm {
        states: match entity {
            true => Some(from.rows(&format!("{name}.states"), config.n_entities, width)?),
            false => None,
        },
        stack: from.stack(&format!("{name}.lstm"), d, d, n_layers)?,
    })
}

/// A real's affine part.
fn source(from: &mut Opener<'_>, name: &str, column: usize, width: usize) -> Result<Source, OpenError> {
    Ok(Source::Real {
        column,
        slope: from.rows(&format!("{name}.slope"), 1, width)?,
        offset: from.rows(&format!("{name}.offset"), 1, width)?,
    })
}

/// Seed 002's selection: gated residual networks with one hidden layer.
fn gated_selection(from: &mut Opener<'_>, f: usize, d: usize) -> Result<Selection, OpenError> {
    let weights = WeightNet {
        fc1: from.of_columns("run.vsn.weights.fc1", f, d)?,
        lookups: Vec::new(),
        context: Some(from.linear("run.vsn.weights.entity", d, d)?),
        output: WeightOutput::Grn {
            skip: from.of_columns("run.vsn.weights.skip", f, f)?,
            skip_lookups: Vec::new(),
            skip_norm: None,
            out: from.gate_norm("run.vsn.weights.out", d, f, EPS)?,
        },
        n_variables: f,
    };
    let mut branch = |j: usize| {
        let network = format!("vsn.variables.{j}");
        let name = format!("run.{network}");
        let exact = Branch::Grn {
            hidden: source(from, &format!("{name}.hidden"), j, d)?,
            skip: source(from, &format!("{name}.skip"), j, d)?,
            skip_norm: None,
            out: GateNorm {
                glu: from.halves(&format!("{name}.out.glu"), d, d)?,
                norm: from.norm(&format!("{name}.out.norm"), d, EPS)?,
            },
        };
        from.tabulated(&network, j, d, exact)
    };
    Ok(Selection {
        branches: (0..f).map(&mut branch).collect::<Result<_, OpenError>>()?,
        weights: Some(weights),
        lanes: n_blocks(d),
    })
}

fn separate(from: &mut Opener<'_>, config: &XtrendConfig, f: usize) -> Result<Separate, OpenError> {
    let (d, heads, entity) = (config.n_hidden, config.n_heads, !config.zero_shot);
    let mut encoder = |name: &str, f: usize, entity: bool| {
        Ok::<_, OpenError>(Encoder {
            selection: plain_selection(from, name, f, d, entity)?,
            block: temporal(from, &format!("run.{name}"), config, entity)?,
        })
    };
    let (key, value) = (encoder("key", f, true)?, encoder("value", f + 1, true)?);
    let query = encoder("query", f, entity)?;
    let n_head = config.n_columns() - usize::from(config.head != XtrendHead::Position);
    Ok(Separate {
        mode: config.context_mode,
        key,
        value,
        query,
        self_attention: from.multi_head("run.self_attention", d, heads)?,
        self_ffn: ffn(from, "run.self_ffn", d, d, false)?,
        cross_attention: from.multi_head("run.cross_attention", d, heads)?,
        cross_ffn: ffn(from, "run.cross_ffn", d, d, false)?,
        cross_norm: from.norm("run.cross_norm", d, EPS)?,
        selection: plain_selection(from, "decoder", f, d, entity)?,
        fuse: fuse(from, d, entity)?,
        fuse_norm: from.norm("run.decoder.fuse_norm", d, EPS)?,
        decoder: temporal(from, "run.decoder", config, entity)?,
        head: from.linear("run.head", d, n_head)?,
        ptp: match config.head {
            XtrendHead::Position => None,
            head => Some(Ptp {
                ffn: ptp(from, n_head, d)?,
                gaussian: head == XtrendHead::Gaussian,
            }),
        },
        n_columns: config.n_columns(),
    })
}

fn ffn(from: &mut Opener<'_>, name: &str, d: usize, n_out: usize, entity: bool) -> Result<Ffn, OpenError> {
    ffn_from(from, name, [d, d, n_out], entity)
}

fn fuse(from: &mut Opener<'_>, d: usize, entity: bool) -> Result<Ffn, OpenError> {
    ffn_from(from, "run.decoder.fuse", [2 * LANES * n_blocks(d), d, d], entity)
}

fn ptp(from: &mut Opener<'_>, n_in: usize, d: usize) -> Result<Ffn, OpenError> {
    ffn_from(from, "run.ptp", [n_in, d, 1], false)
}

fn ffn_from(
    from: &mut Opener<'_>,
    name: &str,
    [n_in, d, n_out]: [usize; 3],
    entity: bool,
) -> Result<Ffn, OpenError> {
    Ok(Ffn {
        linear1: from.linear(&format!("{name}.linear1"), n_in, d)?,
        entity: match entity {
            true => Some(from.linear(&format!("{name}.entity"), d, d)?),
            false => None,
        },
        linear3: from.linear(&format!("{name}.linear3"), d, n_out)?,
    })
}

/// The paper's selection: feed-forward layers.
fn plain_selection(
    from: &mut Opener<'_>,
    selection: &str,
    f: usize,
    d: usize,
    entity: bool,
) -> Result<Selection, OpenError> {
    let weights = format!("run.{selection}.vsn.weights");
    let weights = WeightNet {
        fc1: from.of_columns(&format!("{weights}.linear1"), f, d)?,
        lookups: Vec::new(),
        context: match entity {
            true => Some(from.linear(&format!("{weights}.entity"), d, d)?),
            false => None,
        },
        output: WeightOutput::Ffn(from.linear(&format!("{weights}.linear3"), d, f)?),
        n_variables: f,
    };
    let mut branch = |j: usize| {
        let network = format!("{selection}.vsn.variables.{j}");
        let name = format!("run.{network}");
        let exact = Branch::Ffn {
            hidden: source(from, &format!("{name}.hidden"), j, d)?,
            out: from.linear(&format!("{name}.linear3"), d, d)?,
        };
        from.tabulated(&network, j, d, exact)
    };
    Ok(Selection {
        branches: (0..f).map(&mut branch).collect::<Result<_, OpenError>>()?,
        weights: Some(weights),
        lanes: n_blocks(d),
    })
}

fn temporal(
    from: &mut Opener<'_>,
    name: &str,
    config: &XtrendConfig,
    entity: bool,
) -> Result<TemporalBlock, OpenError> {
    let d = config.n_hidden;
    Ok(TemporalBlock {
        lstm: lstm(from, name, config, 1, entity)?,
        norm1: from.norm(&format!("{name}.norm1"), d, EPS)?,
        ffn: ffn(from, &format!("{name}.ffn"), d, d, entity)?,
        norm2: from.norm(&format!("{name}.norm2"), d, EPS)?,
    })
}
