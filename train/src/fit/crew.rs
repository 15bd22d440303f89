//! One batch on several threads: fixed shards, one tape and one gradient buffer each, reduced in fixed order.
//!
//! The number of shards follows from the length of the batch and the configuration, never from the number of threads; which
//! thread runs a shard changes nothing in what it computes.

use super::FitError;
use super::source::BatchSource;
use crate::nets::Net;
use crate::ops::dropout;
use crate::ops::product::Compute;
use crate::tape::engine::Graph;
use crate::tape::params::{Gradients, Layout, Params};
use crate::tape::{Mode, Tape};
use std::ops::Range;
use std::sync::Arc;

/// Windows per shard at most: the gates of a step then stay in the second-level cache.
const SHARD_ROWS: usize = 64;
/// Windows per shard at least, unless the batch is smaller.
const SHARD_ROWS_MIN: usize = 8;
/// Windows predicted at a time.
const PREDICT_BATCH: usize = 512;

/// What a batch is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Task {
    /// Forward and backward; the key of dropout is (seed, step, shard).
    Train { pos_weight: f64, seed: u64, step: u64 },
    /// Forward only.
    Predict,
}

/// One batch.
pub(super) struct Job<'a, N> {
    pub(super) net: &'a N,
    pub(super) params: &'a Params<f32>,
    pub(super) source: &'a dyn BatchSource,
    pub(super) set: &'static str,
    pub(super) indices: &'a [usize],
    pub(super) task: Task,
    pub(super) compute: Compute,
}

/// Shards and the number of threads that work on them.
pub(super) struct Crew {
    shards: Vec<Shard>,
    layout: Arc<Layout>,
    threads: usize,
    min_shards: usize,
}

struct Shard {
    tape: Tape<f32>,
    grads: Gradients<f32>,
    x: Vec<f32>,
    y: Vec<f32>,
    logits: Vec<f32>,
    loss: f64,
    fault: Option<FitError>,
}

impl Crew {
    pub(super) fn new(layout: &Arc<Layout>, threads: usize, min_shards: usize) -> Self {
        Self {
            shards: Vec::new(),
            layout: Arc::clone(layout),
            threads,
            min_shards,
        }
    }

    /// Runs a batch over all its shards and returns how many there were.
    fn run<N: Net>(&mut self, job: &Job<'_, N>) -> Result<usize, FitError> {
        let n = n_shards(job.indices.len(), self.min_shards);
        while self.shards.len() < n {
            self.shards.push(Shard::new(&self.layout));
        }
        let per_thread = n.div_ceil(self.threads);
        let work = |group: &mut [Shard], first: usize| {
            for (k, shard) in group.iter_mut().enumerate() {
                shard.work(job, first + k, n);
            }
        };
        std::thread::scope(|scope| {
            let mut groups = self.shards[..n].chunks_mut(per_thread);
            let own = groups.next();
            for (g, group) in groups.enumerate() {
                scope.spawn(move || work(group, (g + 1) * per_thread));
            }
            if let Some(group) = own {
                work(group, 0);
            }
        });
        match self.shards[..n].iter_mut().find_map(|s| s.fault.take()) {
            Some(fault) => Err(fault),
            None => Ok(n),
        }
    }

    /// Loss (a mean over the batch) and gradients of a batch, in shard order.
    pub(super) fn gradients<N: Net>(
        &mut self,
        job: &Job<'_, N>,
    ) -> Result<(f64, &mut Gradients<f32>), FitError> {
        let n = self.run(job)?;
        let (first, others) = self.shards[..n].split_at_mut(1);
        let first = &mut first[0];
        let mut loss = first.loss;
        for other in others {
            loss += other.loss;
            first.grads.add(&other.grads);
        }
        Ok((loss, &mut first.grads))
    }

    /// Logits and labels of a batch, appended.
    fn predict<N: Net>(
        &mut self,
        job: &Job<'_, N>,
        logits: &mut Vec<f32>,
        labels: &mut Vec<f32>,
    ) -> Result<(), FitError> {
        let n = self.run(job)?;
        for shard in &self.shards[..n] {
            logits.extend_from_slice(&shard.logits);
            labels.extend_from_slice(&shard.y);
        }
        Ok(())
    }

    /// Logits and labels of a whole set, `[len, n_outputs]` each.
    pub(super) fn predict_all<N: Net>(
        &mut self,
        net: &N,
        params: &Params<f32>,
        source: &dyn BatchSource,
        set: &'static str,
        compute: Compute,
    ) -> Result<(Vec<f32>, Vec<f32>), FitError> {
        let (mut logits, mut labels) = (Vec::new(), Vec::new());
        let all: Vec<usize> = (0..source.len()).collect();
        for indices in all.chunks(PREDICT_BATCH) {
            let job = Job {
                net,
                params,
                source,
                set,
                indices,
                task: Task::Predict,
                compute,
            };
            self.predict(&job, &mut logits, &mut labels)?;
        }
        Ok((logits, labels))
    }
}

/// Logits and labels of every window of `source`, `[len, n_outputs]` each.
///
/// # Errors
/// When an input is not finite or a label is outside [0, 1].
pub fn predict<N: Net>(
    net: &N,
    params: &Params<f32>,
    source: &dyn BatchSource,
    threads: usize,
) -> Result<(Vec<f32>, Vec<f32>), FitError> {
    let mut crew = Crew::new(net.layout(), threads.max(1), 1);
    crew.predict_all(net, params, source, "given", Compute::F32)
}

/// Shards of a batch of `len` windows.
fn n_shards(len: usize, min_shards: usize) -> usize {
    let most = (len / SHARD_ROWS_MIN).max(1);
    min_shards.max(len.div_ceil(SHARD_ROWS)).min(most)
}

/// Windows of shard `k` of `n`.
fn shard_range(len: usize, k: usize, n: usize) -> Range<usize> {
    len * k / n..len * (k + 1) / n
}

impl Shard {
    fn new(layout: &Arc<Layout>) -> Self {
        Self {
            tape: Tape::default(),
            grads: Gradients::zeros(layout),
            x: Vec::new(),
            y: Vec::new(),
            logits: Vec::new(),
            loss: 0.0,
            fault: None,
        }
    }

    fn work<N: Net>(&mut self, job: &Job<'_, N>, k: usize, n: usize) {
        let indices = &job.indices[shard_range(job.indices.len(), k, n)];
        let (rows, width) = (job.net.n_rows(), job.net.n_features());
        self.x.resize(rows * indices.len() * width, 0.0);
        self.y.resize(indices.len() * job.net.n_outputs(), 0.0);
        job.source.fill(indices, &mut self.x, &mut self.y);
        self.fault = self.find_fault(job, indices);
        if self.fault.is_some() {
            return;
        }
        self.tape.begin(mode(job, k));
        let x = self.tape.input(&[rows, indices.len(), width], &self.x);
        let mut graph = Graph {
            tape: &mut self.tape,
            params: job.params,
        };
        let z = job.net.forward(&mut graph, x);
        match job.task {
            Task::Predict => {
                self.logits.clear();
                self.logits.extend_from_slice(self.tape.value(z));
            }
            Task::Train { pos_weight, .. } => {
                let count = job.indices.len() * job.net.n_outputs();
                let loss = self.tape.bce_with_logits(z, &self.y, pos_weight, count);
                self.loss = f64::from(self.tape.value(loss)[0]);
                self.grads.clear();
                self.tape.backward(loss, job.params, &mut self.grads);
            }
        }
    }

    fn find_fault<N: Net>(&self, job: &Job<'_, N>, indices: &[usize]) -> Option<FitError> {
        if let Some(at) = self.x.iter().position(|x| !x.is_finite()) {
            let (step, column) = (at / job.net.n_features(), at % job.net.n_features());
            return Some(FitError::Input {
                set: job.set,
                window: indices[step % indices.len()],
                row: step / indices.len(),
                column,
                found: self.x[at],
            });
        }
        let at = self.y.iter().position(|y| !(0.0..=1.0).contains(y))?;
        let width = job.net.n_outputs();
        Some(FitError::Label {
            set: job.set,
            window: indices[at / width],
            column: at % width,
            found: self.y[at],
        })
    }
}

fn mode<N>(job: &Job<'_, N>, shard: usize) -> Mode {
    let (training, dropout_key) = match job.task {
        Task::Train { seed, step, .. } => (true, dropout::key(seed, step, shard as u64)),
        Task::Predict => (false, 0),
    };
    Mode {
        training,
        compute: job.compute,
        dropout_key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_the_batch_once_and_keep_their_size() {
        for len in 1..300 {
            for min in 1..6 {
                let n = n_shards(len, min);
                let ranges: Vec<_> = (0..n).map(|k| shard_range(len, k, n)).collect();
                assert_eq!((ranges[0].start, ranges[n - 1].end), (0, len));
                assert!(ranges.windows(2).all(|w| w[0].end == w[1].start));
                let sizes = ranges.iter().map(ExactSizeIterator::len);
                assert!(
                    sizes.clone().min().unwrap() >= SHARD_ROWS_MIN.min(len),
                    "{len} {min}"
                );
                assert!(sizes.max().unwrap() <= SHARD_ROWS);
            }
        }
    }

    #[test]
    fn usual_batches_use_both_cores_of_a_small_machine() {
        assert_eq!(
            [
                n_shards(16, 2),
                n_shards(32, 2),
                n_shards(64, 2),
                n_shards(256, 2)
            ],
            [2, 2, 2, 4]
        );
        assert_eq!(n_shards(5, 2), 1);
    }
}
