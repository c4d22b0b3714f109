//! What each query may see: as ranges, and as the table that devices without our operators need.

use std::sync::OnceLock;

use burn::tensor::{Device, Int, Tensor, TensorData};
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

/// Made on the device from each query's first and last key: the table itself is no load for the bus.
fn table(sight: &Sight, [b, t, s]: [usize; 3], device: &Device) -> Option<Tensor<3>> {
    let planes = if sight.from.is_empty() && sight.upto.is_empty() { 1 } else { b };
    let queries = (0..planes).flat_map(|plane| (0..t).map(move |query| sight.range(plane, query, [t, s])));
    let (first, end): (Vec<i32>, Vec<i32>) = queries.map(|[first, end]| (first as i32, end as i32)).unzip();
    if first.iter().all(|&first| first == 0) && end.iter().all(|&end| end == s as i32) {
        return None;
    }
    let (n, device) = (planes * t, &device.clone().inner());
    let column = |values: Vec<i32>| Tensor::<2, Int>::from_data(TensorData::new(values, [n, 1]), device);
    let keys_1s = Tensor::<2, Int>::from_data(TensorData::new((0..s as i32).collect(), [1, s]), device);
    let hidden_ns = keys_1s.clone().lower(column(first)).bool_or(keys_1s.greater_equal(column(end)));
    Some(Tensor::<2>::zeros([n, s], device).mask_fill(hidden_ns, HIDDEN).reshape([planes, 1, t * s]))
}
