//! What passes say of themselves, left on the device until all of it is read at once. Refuses to know what it means.
//!
//! A read waits for everything that the device has still to do, and leaves it idle until the next order comes; so a step
//! reads once, after its last backward pass. On a CPU reading costs nothing.

use burn::tensor::{Device, Tensor, Transaction};

use super::lanes::Summand;

/// Values `[k]` of passes, in the order in which they were told.
#[derive(Debug, Clone, Default)]
pub struct Told(Vec<Tensor<1>>);

impl From<Tensor<1>> for Told {
    /// What one pass has to say, off the tape.
    fn from(values: Tensor<1>) -> Self {
        Self(vec![values.inner()])
    }
}

impl Told {
    /// Everything that was told, on the host.
    ///
    /// # Panics
    /// Where the device failed before.
    pub fn read(self) -> Vec<Vec<f32>> {
        let all = self.0.into_iter().fold(Transaction::default(), Transaction::register);
        all.execute().into_iter().map(|values| values.iter::<f32>().collect()).collect()
    }
}

impl Summand for Told {
    fn plus(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    fn to_device(self, device: &Device) -> Self {
        Self(self.0.into_iter().map(|values| values.to_device(device)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_read_in_order() {
        let device = crate::device::host();
        let told = |values: &[f32]| Told::from(Tensor::<1>::from_floats(values, &device));
        let both = told(&[1.0, 2.0]).plus(told(&[]).plus(told(&[3.0]))).to_device(&device);
        assert_eq!(both.read(), [vec![1.0, 2.0], vec![], vec![3.0]]);
        assert_eq!(Told::default().read(), Vec::<Vec<f32>>::new());
    }
}
