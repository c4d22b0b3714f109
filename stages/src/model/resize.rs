//! A tokenizer with more tokens than the model has rows → a model with a row for each.
//!
//! New rows of the embedding, and of an untied head, are the mean of the rows that were there: a token that nobody has
//! seen begins as the average token. transformers' `resize_token_embeddings` by default draws them from a normal
//! distribution with the rows' mean and covariance instead; `mean_resizing=True` of it has this mean. Rows are only ever
//! added, and none while spare ones are left (the released models have some), so no token changes its id or its row.

use burn::module::Param;
use burn::tensor::Tensor;

use super::config::ModelConfig;
use super::vlm::Qwen2_5Vl;

impl Qwen2_5Vl {
    /// The model and its configuration with rows for at least `tokens` tokens; as they are, where there are enough.
    #[must_use]
    pub fn with_tokens(mut self, mut config: ModelConfig, tokens: usize) -> (Self, ModelConfig) {
        let Some(more) = tokens.checked_sub(config.text.vocab_size).filter(|more| *more > 0) else {
            return (self, config);
        };
        self.grow(more);
        config.text.vocab_size = tokens;
        (self, config)
    }
}

/// `[V, D] → [V + more, D]`, the new rows the mean of the old ones.
pub(super) fn with_mean_rows(table: &Param<Tensor<2>>, more: usize) -> Param<Tensor<2>> {
    let rows_vd = table.val();
    let [_, width] = rows_vd.dims();
    let mean_nd = rows_vd.clone().mean_dim(0).expand([more, width]);
    Param::from_tensor(Tensor::cat(vec![rows_vd, mean_nd], 0))
}

#[cfg(test)]
mod tests {
    use crate::model::weights::export;
    use crate::model::{ModelConfig, fixture};

    fn untied() -> ModelConfig {
        ModelConfig { tie_word_embeddings: false, ..fixture::config() }
    }

    #[test]
    fn new_rows_are_the_mean_and_old_ones_stay() {
        let before = untied().init(3, &fixture::device());
        let (after, config) = before.clone().with_tokens(untied(), 43);
        assert_eq!(config.text.vocab_size, 43);
        let (before, after) = (export(&before), export(&after));
        for name in ["model.embed_tokens.weight", "lm_head.weight"] {
            let ((_, old), (shape, new)) = (&before[name], &after[name]);
            assert_eq!((shape.as_slice(), &new[..old.len()]), (&[43, 16][..], &old[..]), "{name}");
            for (place, value) in new[old.len()..].iter().enumerate() {
                let mean = old.iter().skip(place % 16).step_by(16).sum::<f32>() / 40.0;
                assert!((value - mean).abs() < 1e-6, "{name}: {value} {mean}");
            }
        }
        assert!(
            before
                .iter()
                .all(|(name, tensor)| name.contains("embed") || name.contains("head") || after[name] == *tensor)
        );
    }

    #[test]
    fn spare_rows_are_used_first() {
        let model = untied().init(3, &fixture::device());
        let (same, config) = model.clone().with_tokens(untied(), 40);
        assert_eq!((export(&same), config), (export(&model), untied()));
        assert_eq!(model.with_tokens(fixture::config(), 7).1.text.vocab_size, 40);
    }
}
