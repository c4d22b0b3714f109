//! Vectors → groups of vectors that lie close together, by HDBSCAN (Campello, Moulavi and Sander 2013, PAKDD; the crate
//! `hdbscan`). Refuses to know what the vectors are of.
//!
//! HDBSCAN compares every vector with every other. Two things keep that in bounds, and both are said by parameters:
//! - Vectors are scaled to length one, so that distance means angle, and thrown onto fewer dimensions by a random projection
//!   (Johnson and Lindenstrauss 1984), which keeps distances up to a few percent where it keeps 50 dimensions or more.
//! - Of many vectors a sample is clustered. Every other vector goes where its nearest sampled vector is.

use hdbscan::{Hdbscan, HdbscanHyperParams, NnAlgorithm};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

use super::rank;

/// More vectors than these make the crate's table of all distances too large.
const TABLE: usize = 2000;

/// How to cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Fewest vectors of a cluster, at least 2; of a sample as many fewer as the sample is smaller.
    pub least: usize,
    /// Neighbours that make a place dense, the vector itself among them; more make more vectors noise.
    pub neighbours: usize,
    /// Dimensions kept.
    pub dimensions: usize,
    /// Vectors clustered.
    pub sample: usize,
    /// Does what belongs to no cluster go where its nearest clustered vector is?
    pub join: bool,
}

/// The cluster of each vector, or none for noise; `vectors` holds them one after the other, `width` numbers each. Clusters are
/// numbered from the largest, of equal ones from the one with the earliest vector.
///
/// # Errors
/// A vector that has a number which is none, as its index.
pub fn clusters(vectors: &[f32], width: usize, settings: &Settings, seed: u64) -> Result<Vec<Option<usize>>, usize> {
    let points = projected(vectors, width, settings.dimensions, seed)?;
    let chosen = sample(points.len(), settings.sample, seed);
    let some: Vec<Vec<f32>> = chosen.iter().map(|&index| points[index].clone()).collect();
    let share = some.len() as f64 / points.len().max(1) as f64;
    let least = ((settings.least as f64 * share).round() as usize).max(2);
    if some.len() < least {
        return Ok(vec![None; points.len()]);
    }
    let algorithm = if some.len() > TABLE { NnAlgorithm::KdTree } else { NnAlgorithm::BruteForce };
    let rules = HdbscanHyperParams::builder()
        .min_cluster_size(least)
        .min_samples(settings.neighbours.clamp(1, some.len()))
        .nn_algorithm(algorithm)
        .build();
    // It refuses only what can't be here: no vectors, vectors of several widths, numbers that are none.
    let labels = Hdbscan::new(&some, rules).cluster().unwrap_or_else(|_| vec![-1; some.len()]);
    let mut found = vec![None; points.len()];
    let mut asked: Vec<bool> = vec![true; points.len()];
    for (&index, label) in chosen.iter().zip(&labels) {
        found[index] = usize::try_from(*label).ok();
        asked[index] = settings.join && *label < 0;
    }
    let known: Vec<(&[f32], Option<usize>)> =
        some.iter().map(Vec::as_slice).zip(labels.iter().map(|&label| usize::try_from(label).ok())).collect();
    let joined: Vec<(usize, Option<usize>)> = (0..points.len())
        .into_par_iter()
        .filter(|&index| asked[index])
        .map(|index| (index, nearest(&points[index], &known, settings.join)))
        .collect();
    for (index, label) in joined {
        found[index] = label;
    }
    Ok(by_size(found))
}

/// Vectors of length one, on at most `dimensions` dimensions.
fn projected(vectors: &[f32], width: usize, dimensions: usize, seed: u64) -> Result<Vec<Vec<f32>>, usize> {
    let all: Vec<&[f32]> = vectors.chunks_exact(width.max(1)).collect();
    if let Some(index) = all.iter().position(|vector| vector.iter().any(|value| !value.is_finite())) {
        return Err(index);
    }
    let unit = |vector: &[f32]| {
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        vector.iter().map(|value| if length > 0.0 { value / length } else { 0.0 }).collect::<Vec<f32>>()
    };
    if width <= dimensions {
        return Ok(all.par_iter().map(|vector| unit(vector)).collect());
    }
    // Signs do as well as Gaussian numbers (Achlioptas 2003).
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let size = 1.0 / (dimensions as f32).sqrt();
    let signs: Vec<f32> = (0..dimensions * width).map(|_| if random.random::<bool>() { size } else { -size }).collect();
    let project = |vector: &&[f32]| {
        let vector = unit(vector);
        signs.chunks_exact(width).map(|signs| vector.iter().zip(signs).map(|(a, b)| a * b).sum()).collect()
    };
    Ok(all.par_iter().map(project).collect())
}

/// Which vectors are clustered, in order.
fn sample(count: usize, most: usize, seed: u64) -> Vec<usize> {
    let mut all: Vec<usize> = (0..count).collect();
    if count > most {
        all.sort_by_key(|index| rank(seed, &["cluster", &index.to_string()]));
        all.truncate(most);
        all.sort_unstable();
    }
    all
}

/// The cluster of the nearest known vector; with `clustered`, of the nearest that has one.
fn nearest(point: &[f32], known: &[(&[f32], Option<usize>)], clustered: bool) -> Option<usize> {
    let distance = |other: &[f32]| point.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let candidates = known.iter().filter(|(_, label)| !clustered || label.is_some());
    let distances = candidates.map(|(other, label)| (distance(other), *label));
    distances.min_by(|a, b| a.0.total_cmp(&b.0)).and_then(|(_, label)| label)
}

fn by_size(labels: Vec<Option<usize>>) -> Vec<Option<usize>> {
    let mut sizes: Vec<(usize, usize, usize)> = Vec::new();
    for (index, label) in labels.iter().enumerate() {
        let Some(label) = *label else { continue };
        match sizes.iter_mut().find(|(known, ..)| *known == label) {
            Some((_, size, _)) => *size += 1,
            None => sizes.push((label, 1, index)),
        }
    }
    sizes.sort_by(|a, b| b.1.cmp(&a.1).then(a.2.cmp(&b.2)));
    labels.into_iter().map(|label| sizes.iter().position(|(known, ..)| Some(*known) == label)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 40;

    /// Points around a direction for each size.
    fn points(sizes: &[usize]) -> Vec<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut direction = || (0..WIDTH).map(|_| random.random::<f32>() - 0.5).collect::<Vec<_>>();
        let centres: Vec<_> = sizes.iter().map(|_| direction()).collect();
        let mut all = Vec::new();
        for (centre, size) in centres.iter().zip(sizes) {
            for _ in 0..*size {
                let away = direction();
                all.extend(centre.iter().zip(away).map(|(c, a)| 3.0 * (c + 0.15 * a)));
            }
        }
        all
    }

    fn settings() -> Settings {
        Settings { least: 10, neighbours: 5, dimensions: 64, sample: 10_000, join: false }
    }

    fn sizes(found: &[Option<usize>]) -> Vec<usize> {
        let most = found.iter().flatten().max().map_or(0, |most| most + 1);
        (0..most).map(|cluster| found.iter().filter(|label| **label == Some(cluster)).count()).collect()
    }

    #[test]
    fn clusters_are_found_and_numbered_by_size() {
        let all = points(&[30, 60, 45]);
        let found = clusters(&all, WIDTH, &settings(), 1).unwrap();
        assert_eq!(sizes(&found), [60, 45, 30]);
        assert!(
            found[..30].iter().all(|label| *label == Some(2)) && found[30..90].iter().all(|label| *label == Some(0))
        );
    }

    #[test]
    fn fewer_dimensions_and_a_sample_find_the_same() {
        let all = points(&[300, 600, 450]);
        let whole = clusters(&all, WIDTH, &settings(), 1).unwrap();
        let less = Settings { dimensions: 12, sample: 270, least: 50, ..settings() };
        assert_eq!(clusters(&all, WIDTH, &less, 1).unwrap(), whole);
        assert_eq!(sizes(&whole), [600, 450, 300]);
    }

    /// Two bundles of directions near each other, and three directions on the other side, alone.
    #[test]
    fn what_lies_alone_is_noise_unless_it_joins_its_nearest() {
        let bundle = |x: f32, y: f32| (0..20).flat_map(move |at| [x, y + 0.002 * at as f32]);
        let alone = [-1.0, 0.0, -0.3, -1.0, -0.8, 0.7];
        let all: Vec<f32> = bundle(1.0, 0.0).chain(bundle(1.0, 0.6)).chain(alone).collect();
        let found = clusters(&all, 2, &settings(), 1).unwrap();
        assert_eq!(sizes(&found), [20, 20]);
        assert!(found[40..].iter().all(Option::is_none), "{:?}", &found[40..]);
        let joined = clusters(&all, 2, &Settings { join: true, ..settings() }, 1).unwrap();
        // Two of them join the second bundle, which is the larger one then.
        assert_eq!(joined[40..], [Some(0), Some(1), Some(0)]);
        assert!(
            joined[..20].iter().all(|label| *label == Some(1)) && joined[20..40].iter().all(|label| *label == Some(0))
        );
    }

    #[test]
    fn too_few_vectors_make_no_cluster_and_a_number_that_is_none_is_named() {
        assert_eq!(clusters(&[1.0, 2.0], 2, &settings(), 1), Ok(vec![None]));
        assert_eq!(clusters(&[], 2, &settings(), 1), Ok(vec![]));
        assert_eq!(clusters(&[1.0, 2.0, 0.0, f32::NAN], 2, &settings(), 1), Err(1));
    }
}
