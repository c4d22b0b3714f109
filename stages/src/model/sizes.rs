//! Sizes of tensors → fewer sizes: a GPU's back end compiles and tunes its kernels anew for what it has not met.
//!
//! Tokens of a row, columns of the cache and rows that are written are rounded up; what comes in addition is padding that
//! nobody sees. A CPU has nothing to tune, and takes every size as it is. Refuses to know tensors.

/// How sizes are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// As they are.
    Exact,
    /// Rounded up to one of a few.
    Few,
}

impl Sizes {
    /// What suits a device.
    #[cfg(feature = "compute")]
    pub fn of(device: &burn::tensor::Device) -> Self {
        if crate::device::on_cpu(device) { Self::Exact } else { Self::Few }
    }

    /// Columns for `n` tokens: multiples of 16 up to 128, from there on four sizes between a power of two and the next.
    /// So at most 15 columns or a quarter are in vain; 28 sizes reach to 4,096.
    #[must_use]
    pub fn columns(self, n: usize) -> usize {
        match self {
            Self::Exact => n,
            Self::Few => n.next_multiple_of((n.next_power_of_two() / 8).max(16)),
        }
    }

    /// Rows for `n` that are written, of which there are never more than `most`: powers of two. A step reads all weights for
    /// any number of rows, so a few in vain cost little.
    #[must_use]
    pub fn rows(self, n: usize, most: usize) -> usize {
        match self {
            Self::Exact => n,
            Self::Few => n.next_power_of_two().min(most.max(n)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Sizes;

    #[test]
    fn columns_are_few_and_a_quarter_too_many_at_most() {
        let mut sizes = BTreeSet::new();
        for n in 1..=4096 {
            let columns = Sizes::Few.columns(n);
            assert!(
                columns >= n && columns.is_multiple_of(16) && columns == Sizes::Few.columns(columns),
                "{n}: {columns}"
            );
            assert!(columns - n < (n / 4).max(16), "{n}: {columns}");
            assert!(columns >= Sizes::Few.columns(n - 1), "{n}: {columns}");
            sizes.insert(columns);
        }
        assert_eq!((sizes.len(), sizes.last()), (28, Some(&4096)));
        assert_eq!([1, 16, 17, 129, 513, 1025].map(|n| Sizes::Few.columns(n)), [16, 16, 32, 160, 640, 1280]);
        assert_eq!((Sizes::Exact.columns(17), Sizes::Few.columns(0)), (17, 0));
    }

    #[test]
    fn rows_are_powers_of_two_or_all_there_may_be() {
        assert_eq!([1, 2, 3, 5, 24, 33, 48].map(|n| Sizes::Few.rows(n, 48)), [1, 2, 4, 8, 32, 48, 48]);
        assert_eq!([1, 3, 48].map(|n| Sizes::Exact.rows(n, 48)), [1, 3, 48]);
    }
}
