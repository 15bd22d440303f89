//! A borrowed matrix with arbitrary strides: what products are asked for with.

/// A borrowed matrix with arbitrary strides.
#[derive(Debug, Clone, Copy)]
pub struct Mat<'a, R> {
    pub(super) data: &'a [R],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
}

impl<'a, R: Copy> Mat<'a, R> {
    /// Row-major `data` of shape `[rows, cols]`.
    ///
    /// # Panics
    /// When `data` has another length.
    #[must_use]
    pub fn new(data: &'a [R], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "matrix [{rows}, {cols}]");
        Self {
            data,
            rows,
            cols,
            row_stride: cols,
            col_stride: 1,
        }
    }

    /// The transposed view.
    #[must_use]
    pub fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// Number of rows and columns.
    #[must_use]
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// The values in storage order.
    #[must_use]
    pub fn data(&self) -> &'a [R] {
        self.data
    }

    /// The same matrix over other values of the same number.
    #[must_use]
    pub fn with_data<'b>(&self, data: &'b [R]) -> Mat<'b, R> {
        assert_eq!(data.len(), self.data.len(), "matrix {:?}", self.shape());
        Mat { data, ..*self }
    }

    /// The value at `row`, `col`.
    #[must_use]
    pub fn at(&self, row: usize, col: usize) -> R {
        self.data[row * self.row_stride + col * self.col_stride]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transposed_view_reads_the_same_values() {
        let data = [1, 2, 3, 4, 5, 6];
        let m = Mat::new(&data, 2, 3);
        assert_eq!((m.at(1, 0), m.t().at(0, 1)), (4, 4));
        assert_eq!(m.t().shape(), [3, 2]);
        assert_eq!(m.t().with_data(&[0, 0, 7, 0, 0, 0]).at(2, 0), 7);
    }

    #[test]
    #[should_panic(expected = "matrix [2, 3]")]
    fn a_length_that_does_not_fit_panics_with_the_shape() {
        let _ = Mat::new(&[1, 2, 3], 2, 3);
    }
}
