//! Images by path, as base64, and as bytes: where they may be, what they may be, and that they come back.

use super::*;
use crate::image::{ImageConfig, encode_png};
use crate::resize::Rgb;

fn png() -> Vec<u8> {
    encode_png(&Rgb { width: 28, height: 28, pixels: (0..28 * 28 * 3).map(|at| (at % 251) as u8).collect() })
}

fn base64(bytes: &[u8]) -> String {
    crate::image::data_uri("", bytes).replace("data:;base64,", "")
}

fn one(columns: &str) -> Result<Row, String> {
    let dir = folder(&[("a.jsonl", &format!("{{\"prompt\":\"p\",{columns}}}"))]);
    match load(dir.path(), &RowsView::default()) {
        Ok(mut rows) => Ok(rows.remove(0)),
        Err(error) => Err(error.to_string().replace(&*dir.path().to_string_lossy(), "DIR")),
    }
}

#[test]
fn base64_and_bytes_are_the_same_image() {
    let (png, text) = (png(), base64(&png()));
    let wanted = ImageSource::embedded(png.clone(), "any");
    for columns in [
        format!(r#""images":"{text}""#),
        format!(r#""images":["{text}"]"#),
        format!(r#""images":"data:image/png;base64,{text}""#),
        format!(r#""images":[{{"bytes":"{text}","path":"/somewhere/a.png"}}]"#),
        format!(r#""images":{{"bytes":"data:;base64,{text}","path":null}}"#),
    ] {
        let row = one(&columns).unwrap();
        assert_eq!(row.images, std::slice::from_ref(&wanted), "{columns}");
        assert_eq!(crate::image::read(&row.images[0]).unwrap(), png);
    }
    let patches = ImageConfig { min_pixels: 28 * 28, ..ImageConfig::default() }.open(&wanted).unwrap();
    assert_eq!(patches.grid, [1, 2, 2]);
}

#[test]
fn what_is_no_image_is_refused_with_its_place() {
    for (columns, says) in [
        (r#""images":"data:image/png;base64,%%%""#, "no valid base64"),
        (r#""images":"iVBORw0KGgo%""#, "begun like base64, and no valid base64"),
        (r#""images":"https://example.org/a.png""#, "the address `https://example.org/a.png`; download it"),
        (r#""images":[null]"#, "an image is null"),
        (r#""images":[{"bytes":null,"path":null}]"#, "an object of `bytes`, `path`, and must have"),
        (r#""images":[{"url":"a"}]"#, "an object of `url`, and must have"),
        (r#""images":7"#, "an image is `7`, and must be a path, base64, or bytes"),
        (r#""images":[" "]"#, "an image is empty"),
        (r#""images":["no.png"]"#, "image `DIR/no.png` does not exist"),
    ] {
        let said = one(columns).unwrap_err();
        assert!(
            said.starts_with("cannot read rows from `DIR/a.jsonl:1`: ") && said.contains(says),
            "{columns}: {said}"
        );
    }
    let garbage = one(&format!(r#""images":"{}""#, "x".repeat(5000) + "!")).unwrap_err();
    assert!(garbage.contains("too long for a path"), "{garbage}");
}

#[test]
fn bombs_and_garbage_in_bytes_are_refused_by_the_decoder() {
    let open = |bytes: Vec<u8>| {
        let image = ImageSource::embedded(bytes, "a.parquet:7");
        ImageConfig::default().open(&image).unwrap_err().to_string()
    };
    let mut bomb = png();
    // 65535 × 65535 pixels, says its header.
    bomb[16..24].copy_from_slice(&[0, 0, 255, 255, 0, 0, 255, 255]);
    let said = open(bomb);
    assert!(said.contains(" in a.parquet:7`: "), "{said}");
    assert!(said.contains("pixels are decoded") || said.contains("it is no whole PNG file"), "{said}");
    assert!(open(b"hello".to_vec()).contains("it begins like no image"));
    assert!(open(Vec::new()).contains("the file is empty"));
    assert!(open(png()[..60].to_vec()).contains("it is no whole PNG file"));
}

#[test]
fn only_rows_of_json_that_are_not_confined_may_name_images_elsewhere() {
    let far = folder(&[("far.png", "")]);
    let far = far.path().join("far.png");
    let rows = |name: &str, view: &RowsView| {
        let csv = name.ends_with("csv");
        let text = |image: &str| {
            let json = format!("{{\"prompt\":\"p\",\"images\":\"{image}\"}}\n");
            if csv { format!("prompt,images\np,{image}\n") } else { json }
        };
        let dir = folder(&[("set/near.png", ""), ("beside.png", "")]);
        let read = |image: &str| {
            crate::fs::write(&dir.path().join("set").join(name), text(image).as_bytes()).unwrap();
            load(&dir.path().join("set"), view)
                .map(|rows| rows[0].images[0].clone())
                .map_err(|error| error.kind.to_string())
        };
        assert_eq!(read("near.png").unwrap(), dir.path().join("set/near.png").into());
        assert_eq!(read("./near.png").unwrap().name(), "near.png");
        [read("../beside.png"), read(&far.to_string_lossy())]
    };
    assert!(rows("a.jsonl", &RowsView::default()).iter().all(Result::is_ok));
    for (name, confined, whose) in [
        ("a.csv", false, "rows of CSV"),
        ("a.jsonl.gz", false, "rows of packed JSON"),
        ("a.jsonl", true, "rows from a hub"),
    ] {
        for said in rows(name, &RowsView { confined, ..RowsView::default() }) {
            let said = said.unwrap_err();
            assert!(said.contains("lies outside the folder of the rows") && said.contains(whose), "{said}");
        }
    }
    // A file beside its images is not looked into for its key: the folder is.
    let dir = folder(&[("a.csv", "prompt,images\np,near.png\n"), ("near.png", "")]);
    let said = load(&dir.path().join("a.csv"), &RowsView::default()).unwrap_err().to_string();
    assert!(said.contains("the CSV file names the image `near.png`") && said.contains("name the folder"), "{said}");
}

#[test]
fn written_rows_carry_their_images_with_them() {
    let far = folder(&[("far.PNG", "7")]);
    let out = folder(&[("images/own.png", "1")]);
    let images: Vec<ImageSource> = vec![
        out.path().join("images/own.png").into(),
        far.path().join("far.PNG").into(),
        ImageSource::embedded(png(), "x:1"),
    ];
    let row = Row { id: "1".into(), prompt: "p".into(), images, ..Row::default() };
    let mut writer = jsonl::Writer::create(out.path()).unwrap();
    writer.write(&row).unwrap();
    assert!(!out.path().join("rows.jsonl").exists(), "nothing is half written");
    writer.write(&Row { id: "2".into(), ..row.clone() }).unwrap();
    assert_eq!(writer.rows(), 2);
    writer.finish().unwrap();
    drop(far);
    let moved = tempfile::tempdir().unwrap();
    let moved = moved.path().join("moved");
    std::fs::rename(out.path(), &moved).unwrap();
    let read = load(&moved, &RowsView { confined: true, ..RowsView::default() }).unwrap();
    let bytes: Vec<_> = read[1].images.iter().map(|image| crate::image::read(image).unwrap()).collect();
    assert_eq!(bytes, [b"1".to_vec(), b"7".to_vec(), png()]);
    assert_eq!(read[0].images, read[1].images);
    assert_eq!(std::fs::read_dir(moved.join("images")).unwrap().count(), 3, "each image is copied once");
}
