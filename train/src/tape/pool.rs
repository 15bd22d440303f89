//! Recycled buffers: after the first step of a training run every large buffer comes from here.

/// Buffers waiting for their next use.
#[derive(Debug, Default)]
pub struct Pool<R> {
    free: Vec<Vec<R>>,
    allocated: usize,
}

impl<R: Copy + Default> Pool<R> {
    /// A buffer of `len` values with arbitrary old content.
    pub fn take(&mut self, len: usize) -> Vec<R> {
        let fits = self.free.iter().enumerate().filter(|(_, b)| b.capacity() >= len);
        let best = fits.min_by_key(|(_, b)| b.capacity()).map(|(i, _)| i);
        let mut buffer = match best {
            Some(i) => self.free.swap_remove(i),
            None => {
                self.allocated += 1;
                Vec::with_capacity(len)
            }
        };
        buffer.resize(len, R::default());
        buffer
    }

    /// A buffer of `len` zeros.
    pub fn take_zeroed(&mut self, len: usize) -> Vec<R> {
        let mut buffer = self.take(len);
        buffer.fill(R::default());
        buffer
    }

    /// Keeps a buffer for later.
    pub fn give(&mut self, buffer: Vec<R>) {
        if buffer.capacity() > 0 {
            self.free.push(buffer);
        }
    }

    /// Number of buffers ever allocated: constant once every size has been seen.
    #[must_use]
    pub fn n_allocated(&self) -> usize {
        self.allocated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_buffer_is_used_again_and_the_smallest_that_fits() {
        let mut pool = Pool::<f32>::default();
        let (large, small) = (pool.take(100), pool.take(10));
        pool.give(large);
        pool.give(small);
        assert!(pool.take(9).capacity() < 100);
        assert_eq!(pool.take(100).len(), 100);
        assert_eq!(pool.n_allocated(), 2);
    }

    #[test]
    fn zeroed_means_zero_also_after_use() {
        let mut pool = Pool::<f32>::default();
        let mut buffer = pool.take(4);
        buffer.fill(3.0);
        pool.give(buffer);
        assert_eq!(pool.take_zeroed(3), [0.0; 3]);
    }
}
