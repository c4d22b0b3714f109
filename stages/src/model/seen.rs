//! What each query may see: as ranges, and as the table that devices without our operators need.

use std::sync::OnceLock;

use burn::tensor::{Device, Tensor, TensorData};
use curricle_kernels::attention::Sight;

/// Added to a score that must not count. Finite, so that a row with nothing to see stays a number.
const HIDDEN: f32 = -1e9;

/// Who sees whom in one batch.
#[derive(Debug, Clone)]
pub struct Seen {
    /// None where only a table says it.
    sight: Option<Sight>,
    /// Added to the scores, `[1 or B, 1, T·S]`; none where all is seen. Made when it is asked for.
    table: OnceLock<Option<Tensor<3>>>,
}

impl From<Sight> for Seen {
    fn from(sight: Sight) -> Self {
        Self { sight: Some(sight), table: OnceLock::new() }
    }
}

impl Seen {
    /// What only a table says.
    pub fn only(table: Tensor<3>) -> Self {
        Self { sight: None, table: OnceLock::from(Some(table)) }
    }

    /// Ranges of keys, where they say it all.
    pub fn sight(&self) -> Option<&Sight> {
        self.sight.as_ref()
    }

    /// 0 for what is seen and a large negative number for the rest, of `T` queries against `S` keys in `B` rows.
    pub fn table(&self, shape: [usize; 3], device: &Device) -> Option<&Tensor<3>> {
        self.table.get_or_init(|| table(self.sight.as_ref()?, shape, device)).as_ref()
    }
}

fn table(sight: &Sight, [b, t, s]: [usize; 3], device: &Device) -> Option<Tensor<3>> {
    let planes = if sight.from.is_empty() && sight.upto.is_empty() { 1 } else { b };
    let mut values = Vec::with_capacity(planes * t * s);
    for plane in 0..planes {
        for query in 0..t {
            let [start, end] = sight.range(plane, query, [t, s]);
            values.extend((0..s).map(|key| if (start..end).contains(&key) { 0.0 } else { HIDDEN }));
        }
    }
    let hides = values.contains(&HIDDEN);
    hides.then(|| Tensor::from_data(TensorData::new(values, [planes, 1, t * s]), &device.clone().inner()))
}
