//! What each comparison finds, entered into the report; and the order in which they are made.
//!
//! A comparison that misses a tensor ends early and is entered as absent; whatever else goes wrong ends them all.

use std::path::Path;

use burn::tensor::{Device, Tensor};

use super::fixtures::Fixtures;
use super::inputs::Inputs;
use super::report::{Entry, Outcome, Quantity, Report};
use super::{VerifyError, complete, forward, inputs, learn};
use crate::device;
use crate::model::{ModelConfig, Qwen2_5Vl, weights};

/// Everything that a comparison may look at.
pub(super) struct Subject {
    pub fixtures: Fixtures,
    pub config: ModelConfig,
    pub model: Qwen2_5Vl,
    pub device: Device,
}

/// Why a comparison was not made.
pub(super) enum Stop {
    /// The fixtures lack what it needs.
    Absent(String),
    /// Something is wrong.
    Fatal(VerifyError),
}

impl From<&str> for Stop {
    fn from(missing: &str) -> Self {
        Self::Absent(missing.to_owned())
    }
}

impl From<VerifyError> for Stop {
    fn from(error: VerifyError) -> Self {
        Self::Fatal(error)
    }
}

/// A difference that was measured.
pub(super) struct Difference {
    pub largest: f64,
    pub entries: usize,
    pub at: String,
}

impl Difference {
    /// The largest difference of two lists of numbers, each over its unit, of the entries that count; `name` says where an
    /// entry stands.
    pub fn of(
        ours: &[f32],
        theirs: &[f32],
        unit: impl Fn(usize) -> f64,
        counts: impl Fn(usize) -> bool,
        name: impl Fn(usize) -> String,
    ) -> Self {
        let (mut largest, mut place, mut entries) = (0.0, None, 0);
        for (index, (a, b)) in ours.iter().zip(theirs).enumerate().filter(|(index, _)| counts(*index)) {
            let difference = (f64::from(*a) - f64::from(*b)).abs() / unit(index);
            let difference = if difference.is_nan() { f64::INFINITY } else { difference };
            entries += 1;
            if difference > largest {
                (largest, place) = (difference, Some(index));
            }
        }
        Self { largest, entries, at: place.map(name).unwrap_or_default() }
    }

    /// How many entries of two lists are unequal, an entry too many on either side counting too.
    pub fn unequal<T: PartialEq>(ours: &[T], theirs: &[T], name: impl Fn(usize) -> String) -> Self {
        let entries = ours.len().max(theirs.len());
        let mut places = (0..entries).filter(|&index| ours.get(index) != theirs.get(index));
        let first = places.next();
        let count = places.count() + usize::from(first.is_some());
        Self { largest: count as f64, entries, at: first.map(name).unwrap_or_default() }
    }

    /// The larger of two, of the entries of both.
    pub fn or(self, other: Self) -> Self {
        let entries = self.entries + other.entries;
        let larger = if other.largest > self.largest { other } else { self };
        Self { entries, ..larger }
    }

    /// Of no entry.
    pub fn none() -> Self {
        Self { largest: 0.0, entries: 0, at: String::new() }
    }

    /// The sum of two counts.
    pub fn and(self, other: Self) -> Self {
        let at = if self.at.is_empty() { other.at } else { self.at };
        Self { largest: self.largest + other.largest, entries: self.entries + other.entries, at }
    }
}

/// The unit of [`super::Measure::Absolute`].
pub(super) fn plain(_index: usize) -> f64 {
    1.0
}

/// The units of [`super::Measure::Scaled`], for states of `width` entries each.
pub(super) fn scaled(theirs: &[f32], width: usize) -> impl Fn(usize) -> f64 {
    let square = |state: &[f32]| state.iter().map(|entry| f64::from(*entry).powi(2)).sum::<f64>() / width as f64;
    let units: Vec<f64> = theirs.chunks(width).map(|state| square(state).sqrt().max(1.0)).collect();
    move |index| units[index / width]
}

/// The report as it grows.
#[derive(Default)]
pub(super) struct Sheet(Report);

impl Sheet {
    /// Enters what a comparison found.
    pub fn enter(&mut self, quantity: Quantity, found: Result<Difference, Stop>) -> Result<(), VerifyError> {
        let outcome = match found {
            Ok(Difference { entries: 0, .. }) => Outcome::Absent("nothing to compare".to_owned()),
            Ok(Difference { largest, entries, at }) => Outcome::Compared { largest, entries, at },
            Err(Stop::Absent(missing)) => Outcome::Absent(missing),
            Err(Stop::Fatal(error)) => return Err(error),
        };
        self.0.entries.push(Entry { quantity, outcome });
        Ok(())
    }
}

/// Makes every comparison.
pub(super) fn fill(folder: &Path, against: &Path) -> Result<Report, VerifyError> {
    let device = device::resolve("cpu")?;
    if !folder.is_dir() {
        let expected = "it should be the folder of a checkpoint";
        return Err(VerifyError::Absent { path: folder.to_owned(), expected });
    }
    let fixtures = Fixtures::open(against)?;
    let config = ModelConfig::read(folder).map_err(|error| VerifyError::Checkpoint(error.to_string()))?;
    let model = weights::load(folder, &config, &device).map_err(|error| VerifyError::Checkpoint(error.to_string()))?;
    let subject = Subject { fixtures, config, model, device };

    let mut sheet = Sheet::default();
    let batch = match Inputs::read(&subject, "batch") {
        Ok(batch) => Ok(batch),
        Err(Stop::Absent(missing)) => Err(missing),
        Err(Stop::Fatal(error)) => return Err(error),
    };
    let batch = batch.as_ref().map_err(String::as_str);
    inputs::compare_files(&subject, folder, batch, &mut sheet)?;
    inputs::compare_positions(&subject, batch, &mut sheet)?;
    forward::compare(&subject, batch, &mut sheet)?;
    learn::compare(&subject, batch, &mut sheet)?;
    complete::compare(&subject, folder, &mut sheet)?;
    if sheet.0.compared() == 0 {
        return Err(VerifyError::Nothing(against.to_owned()));
    }
    Ok(sheet.0)
}

/// The values of a tensor.
pub(super) fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data_as::<f32>().iter::<f32>().collect()
}

#[cfg(test)]
mod tests {
    use super::{Difference, plain, scaled};

    fn all(ours: &[f32], theirs: &[f32]) -> Difference {
        Difference::of(ours, theirs, plain, |_| true, |index| index.to_string())
    }

    #[test]
    fn what_is_no_number_is_infinitely_far() {
        let found = all(&[1.0, f32::NAN, 9.0], &[1.0, 1.0, 2.0]);
        assert_eq!((found.largest, found.entries, found.at.as_str()), (f64::INFINITY, 3, "1"));
        for (a, b) in [(f32::INFINITY, f32::INFINITY), (1.0, f32::NAN), (1.0, f32::INFINITY)] {
            assert!(all(&[a], &[b]).largest.is_infinite());
            let found = Difference::of(&[a], &[b], scaled(&[b], 1), |_| true, |index| index.to_string());
            assert!(found.largest.is_infinite());
        }
    }

    #[test]
    fn some_entries_count_and_large_states_have_a_larger_unit() {
        let found = Difference::of(&[1.0, 3.0], &[1.5, 0.0], plain, |index| index == 0, |index| index.to_string());
        assert_eq!((found.largest, found.entries, found.at.as_str()), (0.5, 1, "0"));
        // The root mean square of (1, 7) is 5.
        let theirs = [0.1, 0.2, 1.0, 7.0];
        let found = Difference::of(&[0.1, 0.6, 1.0, 4.0], &theirs, scaled(&theirs, 2), |_| true, |i| i.to_string());
        assert!((found.largest - 0.6).abs() < 1e-9 && found.at == "3", "{} at {}", found.largest, found.at);
    }

    #[test]
    fn an_entry_too_many_is_unequal() {
        let found = Difference::unequal(&[1, 2, 3], &[1, 5], |index| index.to_string());
        assert_eq!((found.largest, found.entries, found.at.as_str()), (2.0, 3, "1"));
        assert!(Difference::unequal(&[1], &[1], |index| index.to_string()).at.is_empty());
    }
}
