//! Token ids and image grids → three-axis positions.
//!
//! Reference: `get_rope_index`. Text advances all axes together; an image keeps the time still and spreads over height and
//! width; what follows starts above the largest of them. Host only.

use super::config::MERGE;
use super::rope::Position;

/// Positions of one unpadded row, and the position of the token that would follow it.
///
/// # Panics
/// Where the pad tokens of the images are not exactly those of the grids.
pub fn positions(ids: &[u32], grids: &[[usize; 3]], image_token: u32) -> (Vec<Position>, i64) {
    let mut found = Vec::with_capacity(ids.len());
    let (mut next, mut grids, mut at) = (0_i64, grids.iter(), 0);
    while at < ids.len() {
        if ids[at] != image_token {
            found.push([next; 3]);
            (next, at) = (next + 1, at + 1);
            continue;
        }
        let Some(&[t, h, w]) = grids.next() else {
            panic!("token {at} stands for an image that the row does not have")
        };
        let (h, w) = (h / MERGE, w / MERGE);
        let end = at + t * h * w;
        assert!(
            end <= ids.len() && ids[at..end].iter().all(|&id| id == image_token),
            "the image at token {at} has fewer pad tokens than its {t} × {h} × {w} units"
        );
        for _ in 0..t {
            found.extend((0..h).flat_map(|y| (0..w).map(move |x| [next, next + y as i64, next + x as i64])));
        }
        (next, at) = (next + h.max(w) as i64, end);
    }
    assert!(grids.next().is_none(), "the row has an image without pad tokens");
    (found, next)
}

#[cfg(test)]
mod tests {
    use super::positions;

    #[test]
    fn an_image_spreads_and_the_text_goes_on_above_it() {
        let ids = [7, 9, 9, 9, 9, 9, 9, 7, 7];
        let (found, next) = positions(&ids, &[[1, 4, 6]], 9);
        assert_eq!(
            found,
            [[0, 0, 0], [1, 1, 1], [1, 1, 2], [1, 1, 3], [1, 2, 1], [1, 2, 2], [1, 2, 3], [4, 4, 4], [5, 5, 5]]
        );
        assert_eq!(next, 6);
    }

    #[test]
    #[should_panic(expected = "fewer pad tokens")]
    fn a_cut_image_is_refused() {
        let _ = positions(&[9, 9, 9], &[[1, 4, 4]], 9);
    }
}
