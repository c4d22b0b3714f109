//! An image file → the flat patches that the vision tower reads. Knows nothing of text or tensors.

/// One image as the vision tower reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct ImagePatches {
    /// Frames, rows and columns, in patches of 14 pixels.
    pub grid: [usize; 3],
    /// `[t * h * w, 3 * 2 * 14 * 14]` row-major, patches in merge-block order (2 × 2 neighbours stand together).
    pub patches: Vec<f32>,
}

impl ImagePatches {
    /// Tokens that the image takes in the text: one per merged 2 × 2 block of patches.
    pub fn tokens(&self) -> usize {
        self.grid.iter().product::<usize>() / 4
    }
}
