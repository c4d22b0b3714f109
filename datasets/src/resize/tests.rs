use super::loops::HALF;
use super::*;

/// A picture with smooth and jagged parts, from a formula.
fn picture(width: usize, height: usize) -> Rgb {
    let pixel = |i: usize| {
        let (x, y) = (i % width, i / width);
        [(x * 255 / width) as u8, (y * 7 % 256) as u8, ((x * 31 + y * 17) % 256) as u8]
    };
    Rgb { width, height, pixels: (0..width * height).flat_map(pixel).collect() }
}

#[test]
fn weights_of_every_position_add_up_to_one() {
    for (from, to) in [(7, 28), (200, 56), (57, 56), (300, 308), (1, 28), (5600, 28)] {
        for taps in taps(from, to) {
            let sum: i32 = taps.weights.iter().sum();
            assert!((sum - (1 << PRECISION_BITS)).abs() <= taps.weights.len() as i32, "{from} → {to}: {sum}");
        }
    }
}

#[test]
fn flat_stays_flat_and_same_size_stays_the_same() {
    let flat = Rgb { width: 30, height: 40, pixels: vec![200; 30 * 40 * 3] };
    assert!(bicubic(flat, 84, 28).pixels.iter().all(|&value| value == 200));
    assert_eq!(bicubic(picture(28, 56), 28, 56), picture(28, 56));
}

/// One value by one, as the formula stands.
fn plainly(image: &Rgb, width: usize, height: usize) -> Rgb {
    let sum = |taps: &Taps, value: &dyn Fn(usize) -> u8| {
        let weighted = taps.weights.iter().enumerate().map(|(i, weight)| i32::from(value(taps.first + i)) * weight);
        ((HALF + weighted.sum::<i32>()) >> PRECISION_BITS).clamp(0, 255) as u8
    };
    let mut wide = Rgb { width, height: image.height, pixels: Vec::new() };
    let columns = taps(image.width, width);
    for row in image.pixels.chunks_exact(image.width * 3) {
        for taps in &columns {
            wide.pixels.extend((0..3).map(|channel| sum(taps, &|x| row[x * 3 + channel])));
        }
    }
    let mut out = Rgb { width, height, pixels: Vec::new() };
    for taps in &taps(image.height, height) {
        out.pixels.extend((0..width * 3).map(|at| sum(taps, &|y| wide.pixels[y * width * 3 + at])));
    }
    out
}

#[test]
fn every_way_of_computing_gives_the_same_bytes() {
    for (from, to) in [
        ((100, 60), (84, 56)),
        ((1, 300), (28, 140)),
        ((300, 1), (112, 28)),
        ((47, 31), (308, 252)),
        ((33, 90), (28, 84)),
    ] {
        let image = picture(from.0, from.1);
        let wanted = plainly(&image, to.0, to.1);
        assert_eq!(resize(image.clone(), to.0, to.1, Passes::PORTABLE), wanted, "{from:?} → {to:?}");
        assert_eq!(resize(image, to.0, to.1, Passes::fastest()), wanted, "{from:?} → {to:?}");
    }
}
