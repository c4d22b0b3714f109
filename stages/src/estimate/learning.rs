//! Which parts of a model learn → what has to be differentiated, and how many numbers have gradients. Knows no tensor.

use crate::model::lora::Lora;
use crate::train::freeze::Part;

use super::sizes::Sizes;

/// What a training stage moves.
#[derive(Debug, Clone, Copy)]
pub struct Learning<'a> {
    /// Parts that stay as they are.
    pub frozen: &'a [Part],
    /// Fresh adapters, which learn in place of the weights.
    pub lora: Option<&'a Lora>,
    /// Parameters of an adapter that the model has already, which then learns alone.
    pub adapter: u64,
    /// Do rows have images? Else the tower is never asked.
    pub images: bool,
}

impl Learning<'_> {
    /// Does an adapter learn in place of the weights?
    pub fn adapters(&self) -> bool {
        self.lora.is_some() || self.adapter > 0
    }

    /// Do the weights of this part learn?
    pub fn weights(&self, part: Part) -> bool {
        !self.adapters() && !self.frozen.contains(&part)
    }

    /// Does anything of this part learn? Of an adapter that the model has already, only that it is the text's is likely.
    pub fn learns(&self, part: Part) -> bool {
        let layer = match part {
            Part::Vision => "visual.blocks.0.attn.qkv",
            Part::Merger => "visual.merger.mlp.0",
            Part::Text => "model.layers.0.mlp.up_proj",
            Part::Head => "lm_head",
            Part::Embed => return self.weights(part),
        };
        match self.lora {
            Some(lora) => lora.adapts(layer, self.frozen),
            None if self.adapter > 0 => part == Part::Text && !self.frozen.contains(&part),
            None => self.weights(part),
        }
    }

    /// Is the tower differentiated?
    pub fn through_vision(&self) -> bool {
        self.images && self.learns(Part::Vision)
    }

    /// Is the merger differentiated?
    pub fn through_merger(&self) -> bool {
        self.images && (self.learns(Part::Vision) || self.learns(Part::Merger))
    }

    /// Are the text's layers differentiated? All of them, as soon as anything before or in the first learns.
    pub fn through_text(&self) -> bool {
        self.learns(Part::Text) || self.learns(Part::Embed) || self.through_merger()
    }

    /// Parameters that learn.
    pub fn trained(&self, sizes: &Sizes) -> u64 {
        match self.lora {
            Some(lora) => sizes.adapters(lora, self.frozen),
            None if self.adapter > 0 => self.adapter,
            None => sum(sizes, |part| self.weights(part)),
        }
    }

    /// Those of them that a pass reaches: rows of text reach neither tower nor merger.
    pub fn reached(&self, sizes: &Sizes) -> u64 {
        if self.adapters() || self.images {
            return self.trained(sizes);
        }
        sum(sizes, |part| self.weights(part) && !matches!(part, Part::Vision | Part::Merger))
    }
}

fn sum(sizes: &Sizes, takes: impl Fn(Part) -> bool) -> u64 {
    Part::ALL.into_iter().filter(|part| takes(*part)).map(|part| sizes.part(part)).sum()
}
