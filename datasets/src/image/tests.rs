use super::*;
use crate::reference::{Tensors, golden};

#[test]
fn sizes_follow_the_reference_rules() {
    let config = ImageConfig { max_pixels: 28 * 28 * 64, ..ImageConfig::default() };
    // 42 / 28 = 1.5 and 70 / 28 = 2.5 both go to 2, the even neighbour.
    assert_eq!(config.size(42, 70).unwrap(), (56, 56));
    assert_eq!(config.size(84, 84).unwrap(), (84, 84));
    assert_eq!(config.size(28, 28).unwrap(), (56, 56));
    assert_eq!(config.size(640, 480).unwrap(), (252, 168));
    assert!(matches!(config.size(27, 100), Err(ImageErrorKind::TooSmall { .. })));
    assert!(matches!(config.size(28, 28 * 201), Err(ImageErrorKind::TooLong { .. })));
}

#[test]
fn a_patch_holds_colours_then_frames_then_rows() {
    // One block of 28 × 28 whose red channel is the column and whose green channel is the row.
    let pixels = (0..28 * 28).flat_map(|i| [(i % 28) as u8, (i / 28) as u8, 0]).collect();
    let config = ImageConfig { mean: [0.0; 3], std: [1.0; 3], ..ImageConfig::default() };
    let image = config.patchify(&Rgb { width: 28, height: 28, pixels });
    assert_eq!((image.grid, image.tokens(), image.patches.len()), ([1, 2, 2], 1, 4 * PATCH_VALUES));
    let value = |patch: usize, channel: usize, frame: usize, y: usize, x: usize| {
        let at = ((patch * 3 + channel) * FRAMES + frame) * PATCH * PATCH + y * PATCH + x;
        (image.patches[at] * 255.0).round() as usize
    };
    for (patch, (top, left)) in [(0, 0), (0, 14), (14, 0), (14, 14)].into_iter().enumerate() {
        for frame in 0..FRAMES {
            assert_eq!(value(patch, 0, frame, 3, 5), left + 5);
            assert_eq!(value(patch, 1, frame, 3, 5), top + 3);
            assert_eq!(value(patch, 2, frame, 3, 5), 0);
        }
    }
}

#[test]
fn a_written_png_reads_as_the_same_pixels() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.png");
    let image = Rgb { width: 2, height: 1, pixels: vec![1, 2, 3, 4, 5, 6] };
    fs::write(&path, &encode_png(&image)).unwrap();
    assert_eq!(decode(&path.as_path().into()).unwrap(), image);
}

#[test]
fn configs_of_both_layouts_are_read_and_written() {
    let nested = serde_json::json!({"image_processor": {"size": {"shortest_edge": 3136, "longest_edge": 50176}}});
    let config = ImageConfig::from_json(&nested).unwrap();
    assert_eq!((config.min_pixels, config.max_pixels), (3136, 50176));
    assert_eq!(ImageConfig::from_json(&config.to_json()).unwrap(), config);
    let wrong = ImageConfig::from_json(&serde_json::json!({"patch_size": 16})).unwrap_err();
    assert_eq!(wrong, "`patch_size` is 16, and only 14 is known");
}

#[test]
fn pixel_values_equal_the_reference() {
    let Some(dir) = golden("tiny") else { return };
    let tensors = Tensors::open(&dir.join("golden.safetensors"));
    let config = ImageConfig { min_pixels: 56 * 56, max_pixels: 28 * 28 * 64, ..ImageConfig::default() };
    let names = ["img0_112x84", "img1_200x150", "img2_333x97", "img3_640x480", "img4_57x300"];
    for (index, name) in names.iter().enumerate() {
        let image = config.open(&dir.join(format!("{name}.png")).into()).unwrap();
        let grid: Vec<usize> = tensors.i64(&format!("proc.{index}.grid_thw")).iter().map(|&n| n as usize).collect();
        assert_eq!(image.grid.to_vec(), grid, "{name}");
        let wanted = tensors.f32(&format!("proc.{index}.pixel_values"));
        assert_eq!(image.patches.len(), wanted.len());
        let worst = image.patches.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 2e-6, "{name}: {worst}");
    }
}
