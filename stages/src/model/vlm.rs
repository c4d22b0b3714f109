//! The whole model: image tokens take their places among the embedded words, the decoder reads both, the head scores.
//!
//! Reference: `Qwen2_5_VLForConditionalGeneration`. Freezing a part is done by not tracking its parameters; nothing here
//! knows about it.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, IndexingUpdateOp, Tensor};

use super::adapters::Site;
use super::batch::{Batch, VisionBatch};
use super::cache::KvCache;
use super::config::ModelConfig;
use super::dtype::{cast, to};
use super::linear::Linear;
use super::resize::with_mean_rows;
use super::text::{Context, TextModel};
use super::vision::VisionTower;
use crate::fused;

/// Qwen2.5-VL.
#[derive(Module, Debug)]
pub struct Qwen2_5Vl {
    pub(super) visual: VisionTower,
    pub(super) text: TextModel,
    lm_head: Option<Linear>,
}

impl Qwen2_5Vl {
    /// The architecture with zero weights; [`super::weights::load`] and [`ModelConfig::init`] fill them.
    pub fn new(config: &ModelConfig, device: &Device) -> Self {
        let text = &config.text;
        Self {
            visual: VisionTower::new(&config.vision, device),
            text: TextModel::new(text, device),
            lm_head: (!config.tie_word_embeddings)
                .then(|| Linear::new(text.hidden_size, text.vocab_size, false, device)),
        }
    }

    /// The vision tower, with its merger.
    pub fn visual(&self) -> &VisionTower {
        &self.visual
    }

    /// The language model.
    pub fn text(&self) -> &TextModel {
        &self.text
    }

    /// Adds `more` mean rows to the embedding, and to the head where it has weights of its own.
    pub(super) fn grow(&mut self, more: usize) {
        self.text.embed_tokens = with_mean_rows(&self.text.embed_tokens, more);
        if let Some(head) = &mut self.lm_head {
            // The head's rows are the columns of its weight.
            let rows = Param::from_tensor(head.weight.val().transpose());
            head.weight = Param::from_tensor(with_mean_rows(&rows, more).val().transpose());
        }
    }

    /// Every linear layer, under its name on the hub.
    pub(super) fn sites(&mut self) -> Vec<Site<'_>> {
        let mut sites = self.visual.sites();
        sites.extend(self.text.sites());
        sites.extend(self.lm_head.as_mut().map(|head| head.site("lm_head".to_owned())));
        sites
    }

    /// Embedded words with the images' tokens in their places, `[B·T, D]`.
    pub fn embed(&self, batch: &Batch) -> Tensor<2> {
        let words_nd = self.text.embed(batch.ids_bt.clone());
        match &batch.vision {
            None => words_nd,
            Some(vision) => vision.place(words_nd, self.visual.forward(vision)),
        }
    }

    /// Hidden states after the final norm, `[B, T, D]`.
    pub fn hidden(&self, batch: &Batch) -> Tensor<3> {
        self.hidden_cached(batch, None)
    }

    /// As [`Self::hidden`], filling a cache.
    pub(super) fn hidden_cached(&self, batch: &Batch, cache: Option<&mut KvCache>) -> Tensor<3> {
        let h_nd = self.text.forward(self.embed(batch), batch.context(), cache);
        let [_, d] = h_nd.dims();
        h_nd.reshape([batch.rows, batch.width, d])
    }

    /// Scores of the next token, `[B, T, D] → [B, T, V]`.
    pub fn logits(&self, h_btd: Tensor<3>) -> Tensor<3> {
        let [b, t, d] = h_btd.dims();
        let logits_nv = self.logits_of(h_btd.reshape([b * t, d]));
        let [_, v] = logits_nv.dims();
        logits_nv.reshape([b, t, v])
    }

    /// Scores for chosen hidden states, `[N, D] → [N, V]`; cheaper than [`Self::logits`] where few positions count.
    ///
    /// In float32, whatever the model's number format: a ratio of probabilities from rounded scores is worth little.
    pub fn logits_of(&self, h_nd: Tensor<2>) -> Tensor<2> {
        self.head().logits(h_nd)
    }

    /// The head as it is.
    fn head(&self) -> Head {
        match &self.lm_head {
            Some(head) => Head::Own(head.clone()),
            None => Head::Tied(self.text.embed_tokens.val()),
        }
    }

    /// The head of a plain model in float32, for more than one call of [`Head::logits`] with about `rows` states each.
    ///
    /// On a CPU a few states meet the turned table many times faster than the table; a single one does not.
    pub(super) fn wide_head(&self, rows: usize) -> Head {
        if let Some(head) = &self.lm_head {
            return Head::Own(cast(head.clone(), DType::F32));
        }
        let table_vd = to(self.text.embed_tokens.val(), DType::F32);
        if rows == 1 || !fused::here(&table_vd) {
            return Head::Tied(table_vd);
        }
        let ([v, d], turned_dv) = (table_vd.dims(), table_vd.transpose());
        // A place to copy to is what puts the columns together.
        let zeros_dv = Tensor::zeros([d, v], &turned_dv.device());
        Head::Turned(zeros_dv.slice_assign([0..d, 0..v], turned_dv))
    }

    /// The number format of the weights.
    pub fn dtype(&self) -> DType {
        self.text.embed_tokens.val().dtype()
    }
}

/// Hidden states → scores.
pub(super) enum Head {
    /// A map of its own.
    Own(Linear),
    /// The table of the embedding, `[V, D]`.
    Tied(Tensor<2>),
    /// The same by columns, `[D, V]`.
    Turned(Tensor<2>),
}

impl Head {
    /// `[N, D] → [N, V]`, in float32.
    pub fn logits(&self, h_nd: Tensor<2>) -> Tensor<2> {
        let h_nd = to(h_nd, DType::F32);
        match self {
            Self::Own(head) => head.forward(h_nd),
            Self::Tied(table_vd) => product(h_nd, to(table_vd.clone(), DType::F32).transpose()),
            Self::Turned(table_dv) => product(h_nd, table_dv.clone()),
        }
    }
}

fn product(h_nd: Tensor<2>, table_dv: Tensor<2>) -> Tensor<2> {
    if fused::here(&h_nd) { fused::linear(h_nd, table_dv, None) } else { h_nd.matmul(table_dv) }
}

impl VisionBatch {
    /// Embedded words `[B·T, D]` with image tokens `[tokens, D]` in their places.
    pub(super) fn place(&self, words_nd: Tensor<2>, images: Tensor<2>) -> Tensor<2> {
        let keep_n1 = to(self.keep_n1.clone(), words_nd.dtype());
        (words_nd * keep_n1).select_assign(0, self.slots.clone(), images, IndexingUpdateOp::Add)
    }

    /// The gradient of [`Self::place`]: of the words, and of the image tokens.
    pub(super) fn replace(&self, cotangent_nd: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let keep_n1 = to(self.keep_n1.clone(), cotangent_nd.dtype());
        (cotangent_nd.clone() * keep_n1, cotangent_nd.select(0, self.slots.clone()))
    }
}

impl Batch {
    /// What the decoder's layers need of this batch.
    pub fn context(&self) -> Context<'_> {
        Context { rows: self.rows, rotary: &self.rotary, seen: &self.seen, learning: false }
    }
}
