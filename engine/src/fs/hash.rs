//! Bytes that can be read at any place → their blake3, with all cores at it. It refuses to know where the bytes lie.

use std::io;

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use blake3::{Hash, Hasher};

use crate::parallel;

/// What one thread reads at a time: a whole subtree of the hash, so a power of two.
pub(super) const PIECE: u64 = 1 << 23;
/// What is read at once.
const BUFFER: usize = 1 << 18;

/// blake3 of `size` bytes, which `read` copies from any offset; more than a [`PIECE`] of them.
///
/// blake3 is a tree over chunks whose left half is always a full one ("BLAKE3: one function, fast everywhere", section 2.1):
/// pieces of a power of two are its subtrees, whoever hashes them and in whatever order.
pub(super) fn hash(size: u64, read: impl Fn(&mut [u8], u64) -> io::Result<()> + Sync) -> io::Result<Hash> {
    assert!(size > PIECE, "one piece has no tree above it");
    let starts: Vec<u64> = (0..size.div_ceil(PIECE)).map(|index| index * PIECE).collect();
    let chains = parallel::each(&starts, |start| subtree(*start, (start + PIECE).min(size), &read))?;
    let (left, right) = chains.split_at(left_half(chains.len()));
    Ok(merge_subtrees_root(&node(left), &node(right), Mode::Hash))
}

fn subtree(start: u64, end: u64, read: &impl Fn(&mut [u8], u64) -> io::Result<()>) -> io::Result<ChainingValue> {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(start);
    let mut buffer = vec![0; BUFFER];
    for at in (start..end).step_by(BUFFER) {
        let part = &mut buffer[..(end - at).min(BUFFER as u64) as usize];
        read(part, at)?;
        hasher.update(part);
    }
    Ok(hasher.finalize_non_root())
}

fn node(chains: &[ChainingValue]) -> ChainingValue {
    match chains {
        [one] => *one,
        several => {
            let (left, right) = several.split_at(left_half(several.len()));
            merge_subtrees_non_root(&node(left), &node(right), Mode::Hash)
        }
    }
}

/// The largest power of two below a count of at least two.
fn left_half(count: usize) -> usize {
    count.next_power_of_two() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hash_as_the_whole_does() {
        let bytes: Vec<u8> = (0..5 * PIECE + 12_345).map(|at| ((at * at) >> 7) as u8).collect();
        let read = |part: &mut [u8], at: u64| {
            part.copy_from_slice(&bytes[at as usize..][..part.len()]);
            Ok(())
        };
        let sizes = [1, 2, 3, 4, 5].map(|pieces| pieces * PIECE);
        for size in sizes.into_iter().flat_map(|size| [size - 1, size, size + 1, size + 12_345]) {
            if size > PIECE {
                assert_eq!(hash(size, read).unwrap(), blake3::hash(&bytes[..size as usize]), "{size} bytes");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let cut = |_: &mut [u8], at| if at < PIECE { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        assert_eq!(hash(3 * PIECE, cut).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
