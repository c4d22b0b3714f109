//! The part of `assume` that only estimates look at: sizes of models and rows that this machine has not. Refuses to judge
//! them; a kind says what it misses.

use std::sync::Arc;

use super::{Fields, Recipe};
use crate::stage::{Extent, Length};

/// Of a model: `config`, the fields of its `config.json` that say how large it is.
pub(super) fn model(fields: &mut Fields<'_, '_>) -> Option<Arc<Extent>> {
    let config = fields.table("config")?.value.to_json();
    Some(Arc::new(Extent { config: Some(Arc::new(config)), ..Extent::default() }))
}

/// Of rows: how long answers are, how large images. How many rows there are, and how long their prompts, their type says.
pub(super) fn data(fields: &mut Fields<'_, '_>) -> Option<Arc<Extent>> {
    let mut number = |key| fields.count(key).map(|at| at.value as f64);
    let (answer, pixels) = (number("answer_tokens"), number("pixels"));
    let known = Extent { answer: answer.map(Length::always), images: pixels.map(|_| 1.0), pixels, ..Extent::default() };
    (known != Extent::default()).then(|| Arc::new(known))
}

impl Recipe {
    /// What the recipe says of the model or the rows behind a reference.
    pub(crate) fn assumed(&self, reference: &str) -> Option<Arc<Extent>> {
        match *reference.split('.').collect::<Vec<_>>() {
            ["models", name] => self.models.get(name)?.extent.clone(),
            ["data", name] | ["data", name, _] => self.data.get(name)?.extent.clone(),
            _ => None,
        }
    }
}
