//! How windows are answered: one of three ways, chosen by the net and by what its windows share.

use super::rows::{Series, Window};
use crate::bundle::Missing;
use crate::columns::answer::Finish;
use crate::columns::{CenterScale, Head, IntakeWork, RawWindow, RowChecks};
use crate::error::RunError;
use crate::flags::Flags;
use crate::model::Model;
use crate::nets::{
    Contexts, LstmNeighbours, LstmNet, Neighbours, OpenNet, RowTerms, RowsNeighbours, RowsNet, RowsWork,
};
use crate::session::{Sample, Session, impute};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// One way with its buffers.
#[allow(
    clippy::large_enum_variant,
    reason = "one per thread, and it stays where it is"
)]
pub(super) enum Way {
    /// LSTM stacks.
    Stack(Stack),
    /// Nets whose rows have terms of their own.
    Terms(Terms),
    /// Every window by itself.
    Whole(Whole),
}

/// Rows projected once.
pub(super) struct Stack {
    own: LstmNeighbours,
    /// Scaled rows on their way.
    x: Vec<f32>,
    missing: Vec<Missing>,
    targets: Vec<CenterScale>,
    finish: Finish,
}

/// Terms of rows, for the statics of one first row.
pub(super) struct Terms {
    intake: IntakeWork,
    checks: Option<RowChecks>,
    head: Head,
    work: RowsWork,
    terms: RowTerms,
    own: RowsNeighbours,
    finish: Finish,
}

/// A session that reads one window after the other.
pub(super) struct Whole {
    session: Session,
    intake: IntakeWork,
    checks: Option<RowChecks>,
}

impl Way {
    /// The way of this model, with room for `n_places` rows.
    pub(super) fn new(model: &Arc<Model>, n_places: usize) -> Self {
        match &model.net {
            OpenNet::Lstm(net) => Self::Stack(Stack {
                own: net.neighbours(n_places),
                x: vec![0.0; n_places * net.x_stride],
                missing: model.schema().inputs.iter().map(|i| i.missing).collect(),
                targets: model.intake.fixed_targets(),
                finish: Finish::new(model.schema()),
            }),
            OpenNet::Rows(net) => Terms::new(model, net, n_places).map_or_else(
                || {
                    Self::Whole(Whole {
                        session: Session::new(model, 1),
                        intake: model.intake.work(),
                        checks: model.intake.row_checks(),
                    })
                },
                Self::Terms,
            ),
        }
    }

    /// Refuses what [`Session::run`] would refuse of any window.
    pub(super) fn check<S: Sample>(&mut self, model: &Model, series: Series<'_, S>) -> Result<(), RunError> {
        let net = &model.schema().net;
        let lengths = [net.lookback(), net.n_ahead()];
        match self {
            Self::Stack(way) => series.check_reals(model, &way.missing),
            Self::Terms(way) => series.check(&model.intake, way.checks.as_ref(), lengths, &mut way.intake),
            Self::Whole(way) => series.check(&model.intake, way.checks.as_ref(), lengths, &mut way.intake),
        }
    }

    /// What a window's first row says, and whether terms hold no longer by that.
    pub(super) fn read_head<S: Sample>(
        &mut self,
        model: &Model,
        window: Window<'_, S>,
    ) -> Result<(Flags, bool), RunError> {
        let Self::Terms(way) = self else {
            return Ok((Flags::NONE, false));
        };
        let window = RawWindow {
            values: window.values,
            n_encoder: model.schema().lookback(),
            n_decoder: 0,
            index: window.index,
        };
        way.head.read(&model.intake, window)
    }

    /// Terms are those of the first row that was read last, from now on.
    pub(super) fn begin(&mut self, model: &Model) {
        if let (Self::Terms(way), OpenNet::Rows(net)) = (self, &model.net) {
            way.head.keep();
            net.begin(model.kernels, &mut way.work, way.head.row(&model.intake));
        }
    }

    /// Moves what lies at these places to the front.
    pub(super) fn keep(&mut self, model: &Model, places: Range<usize>) {
        match (self, &model.net) {
            (Self::Stack(way), OpenNet::Lstm(net)) => net.keep(places, &mut way.own),
            (Self::Terms(way), _) => way.terms.keep(places),
            _ => {}
        }
    }

    /// The terms of neighbouring rows, to places from `place` on, and remarks about them.
    pub(super) fn add<S: Sample>(
        &mut self,
        model: &Model,
        series: Series<'_, S>,
        rows: Range<usize>,
        place: usize,
        remarks: &mut [Flags],
    ) -> Result<(), RunError> {
        match (self, &model.net) {
            (Self::Stack(way), OpenNet::Lstm(net)) => {
                way.add(model, net, series, rows, place, remarks);
                Ok(())
            }
            (Self::Terms(way), OpenNet::Rows(net)) => way.add(model, net, series, rows, place, remarks),
            _ => Ok(()),
        }
    }

    /// Answers of windows whose rows' terms are there, the first of which is `first`; flags are added to.
    pub(super) fn answer<S: Sample>(
        &mut self,
        model: &Model,
        series: Series<'_, S>,
        first: usize,
        windows: Neighbours,
        out: &mut [f32],
        flags: &mut [Flags],
    ) -> Result<(), RunError> {
        let n_out = model.schema().n_outputs();
        match (self, &model.net) {
            (Self::Stack(way), OpenNet::Lstm(net)) => way.answer(model, net, windows, out, flags),
            (Self::Terms(way), OpenNet::Rows(net)) => way.answer(model, net, windows, out, flags),
            (Self::Whole(way), _) => {
                for (i, (out, flags)) in out.chunks_exact_mut(n_out).zip(flags).enumerate() {
                    let values = series.window(first + i).values;
                    flags.insert(way.session.run(values, out)?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Attends to these contexts from the next series on.
    pub(super) fn set_contexts(&mut self, model: &Model, contexts: &Contexts) -> Result<(), RunError> {
        let net = model.net.with_contexts()?;
        match self {
            Self::Terms(Terms {
                work: RowsWork::Xtrend(work),
                ..
            }) => net.set_contexts(work, contexts),
            Self::Whole(way) => way.session.set_contexts(contexts),
            _ => Err(RunError::NoContexts),
        }
    }
}

impl Stack {
    fn add<S: Sample>(
        &mut self,
        model: &Model,
        net: &LstmNet,
        series: Series<'_, S>,
        rows: Range<usize>,
        place: usize,
        remarks: &mut [Flags],
    ) {
        let (n, n_features, stride) = (rows.len(), series.n_features, net.x_stride);
        let x = &mut self.x[..n * stride];
        let each = x.chunks_exact_mut(stride).zip(remarks);
        for (row, (x, remark)) in rows.zip(each) {
            *remark = Flags::NONE;
            if !S::scale(model.kernels, series.row(row), &model.scalers, x, stride) {
                impute(x, stride, n_features);
                remark.insert(Flags::IMPUTED);
            }
        }
        net.project(model.kernels, x, place..place + n, &mut self.own);
    }

    fn answer(
        &mut self,
        model: &Model,
        net: &LstmNet,
        windows: Neighbours,
        out: &mut [f32],
        flags: &mut [Flags],
    ) {
        let (kernels, scalings, n_out) = (model.kernels, &model.intake.scalings, self.finish.n_columns());
        let Self {
            own, targets, finish, ..
        } = self;
        net.run_side_by_side(kernels, windows, own, |window, z| {
            let out = &mut out[window * n_out..][..n_out];
            flags[window].insert(finish.step(kernels, scalings, targets, z, out));
        });
    }
}

impl Terms {
    /// Where windows share what the net makes of their rows.
    fn new(model: &Model, net: &RowsNet, n_places: usize) -> Option<Self> {
        let own = net
            .neighbours()
            .filter(|_| net.shares_terms() && model.intake.shares_rows())?;
        Some(Self {
            intake: model.intake.work_of(n_places),
            checks: model.intake.row_checks(),
            head: Head::new(&model.intake),
            work: net.work(),
            terms: net.terms(n_places),
            own,
            finish: Finish::new(model.schema()),
        })
    }

    fn add<S: Sample>(
        &mut self,
        model: &Model,
        net: &RowsNet,
        series: Series<'_, S>,
        rows: Range<usize>,
        place: usize,
        remarks: &mut [Flags],
    ) -> Result<(), RunError> {
        let (intake, places) = (&model.intake, place..place + rows.len());
        for (to, (row, remark)) in rows.zip(remarks).enumerate() {
            let (values, at) = (series.row(row), series.place(row));
            *remark = intake.read_behind(values, at, &self.head, &mut self.intake, to)?;
        }
        let rows = intake.rows(&self.intake);
        net.add_terms(model.kernels, &mut self.work, rows, places, &mut self.terms);
        Ok(())
    }

    fn answer(
        &mut self,
        model: &Model,
        net: &RowsNet,
        windows: Neighbours,
        out: &mut [f32],
        flags: &mut [Flags],
    ) {
        let (kernels, scalings, n_out) = (model.kernels, &model.intake.scalings, self.finish.n_columns());
        let targets = self.head.targets();
        let heads = net.run_side_by_side(kernels, &self.work, &mut self.terms, windows, &mut self.own);
        let each = out.chunks_exact_mut(n_out).zip(flags);
        for ((out, flags), head) in each.zip(heads.chunks_exact(heads.len() / windows.n)) {
            let z = bytemuck::must_cast_slice(head);
            flags.insert(self.finish.step(kernels, scalings, targets, z, out));
        }
    }
}
