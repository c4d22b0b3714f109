use super::*;

/// Images in a column of another name.
fn named(column: &str) -> DataView {
    DataView { columns: [("images".to_owned(), column.to_owned())].into(), ..DataView::default() }
}

#[test]
fn images_in_objects_and_messages_count_too() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("far.png");
    let of = |row: &str, view: &DataView| {
        let rows = dir.path().join("rows.jsonl");
        fs::write(&rows, format!("{row}\n")).unwrap();
        let digest = |bytes: &str| {
            fs::write(&image, bytes).unwrap();
            Digests::open(dir.path().join("digests.json")).of(&rows, view).unwrap()
        };
        digest("1") != digest("2")
    };
    let layout = |name: &str| DataView { layout: Some(name.into()), ..DataView::default() };
    assert!(of(r#"{"images":[{"path":"far.png","bytes":null}]}"#, &DataView::default()));
    assert!(of(r#"{"messages":[{"content":[{"type":"image","image":"file://far.png"}]}]}"#, &DataView::default()));
    assert!(of(r#"{"m":[{"content":[{"type":"image_url","image_url":{"url":"far.png"}}]}]}"#, &layout("messages")));
    assert!(of(r#"{"image":"far.png"}"#, &layout("sharegpt")));
    assert!(!of(r#"{"text":"far.png"}"#, &layout("sharegpt")));
}

#[test]
fn a_folder_is_its_names_and_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str, files: &[(&str, &str)]| {
        let root = dir.path().join(name);
        for (file, text) in files {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(&root.join(file), text).unwrap();
        }
        Digests::open(dir.path().join("digests.json")).of(&root, &DataView::default()).unwrap()
    };
    let first = make("a", &[("rows.jsonl", "1"), ("images/x", "2")]);
    assert_eq!(first, make("b", &[("images/x", "2"), ("rows.jsonl", "1")]));
    assert_ne!(first, make("c", &[("rows.jsonl", "1"), ("images/y", "2")]));
    assert_ne!(first, make("d", &[("rows.jsonl", "1"), ("images/x", "3")]));
    assert_eq!(first, make("e", &[("rows.jsonl", "1"), ("images/x", "2"), (".cache/z", "4")]));
}

#[test]
fn rows_in_one_file_count_with_the_images_they_name() {
    let dir = tempfile::tempdir().unwrap();
    let rows = dir.path().join("rows.jsonl");
    fs::write(&rows, "{\"picture\":\"a.png\"}\n{\"picture\":[\"b.png\",\"absent.png\"]}\n").unwrap();
    let digest = |column: &str, a: &str, b: &str| {
        fs::write(&dir.path().join("a.png"), a).unwrap();
        fs::write(&dir.path().join("b.png"), b).unwrap();
        Digests::open(dir.path().join("digests.json")).of(&rows, &named(column)).unwrap()
    };
    let first = digest("picture", "1", "2");
    assert_ne!(first, digest("picture", "3", "2"));
    assert_ne!(first, digest("picture", "1", "3"));
    assert_eq!(first, digest("picture", "1", "2"));
    assert_eq!(digest("images", "1", "2"), digest("images", "3", "3"), "no row has that column");
}

#[test]
fn rows_of_a_folder_count_with_the_images_they_name_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("set");
    let elsewhere = dir.path().join("far.png");
    fs::create_dir_all(&root).unwrap();
    let rows = format!("{{\"images\":[\"../near.png\", \"{}\"]}}\n", elsewhere.display());
    fs::write(&root.join("rows.jsonl"), rows).unwrap();
    let digest = |near: &str, far: &str| {
        fs::write(&dir.path().join("near.png"), near).unwrap();
        fs::write(&elsewhere, far).unwrap();
        Digests::open(dir.path().join("digests.json")).of(&root, &DataView::default()).unwrap()
    };
    let first = digest("1", "2");
    assert_ne!(first, digest("3", "2"));
    assert_ne!(first, digest("1", "3"));
    assert_eq!(first, digest("1", "2"));
}

/// Digests at a time when all files have long been settled; remembered in `dir`.
fn later(dir: &Path) -> Digests {
    Digests { clock: || now_ns() + 60_000_000_000, ..Digests::open(dir.join("digests.json")) }
}

/// What is remembered of files and of the images that they name, changed, so that an answer tells where it comes from.
fn mark(dir: &Path, digest: &str) {
    let mut known = read(&dir.join("digests.json"));
    assert!(!known.is_empty(), "nothing is remembered");
    for content in known.values_mut() {
        digest.clone_into(&mut content.digest);
    }
    fs::write(&dir.join("digests.json"), serde_json::to_string(&known).unwrap()).unwrap();
}

fn bytes(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

#[test]
fn a_file_written_just_now_is_not_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, file) = (dir.path(), dir.path().join("rows"));
    fs::write(&file, "1").unwrap();
    let mut now = Digests::open(dir.join("digests.json"));
    assert_eq!(now.of(&file, &DataView::default()).unwrap(), bytes("1"));
    now.save().unwrap();
    assert!(!fs::exists(&dir.join("digests.json")), "it may change again within the same tick of the clock");

    let mut digests = later(dir);
    digests.of(&file, &DataView::default()).unwrap();
    digests.save().unwrap();
    mark(dir, "remembered");
    assert_eq!(later(dir).of(&file, &DataView::default()).unwrap(), "remembered");
    assert_eq!(Digests::open(dir.join("digests.json")).of(&file, &DataView::default()).unwrap(), "remembered");
}

#[test]
fn settled_means_two_seconds_before_it_was_looked_at() {
    let stamp = |modified_ns, changed_ns| Stamp { size: 1, modified_ns, changed_ns, inode: 1 };
    let now = 10_000_000_000;
    assert!(settled(&stamp(0, 7_999_999_999), now));
    assert!(settled(&stamp(7_999_999_999, 0), now));
    assert!(!settled(&stamp(0, 8_000_000_000), now));
    assert!(!settled(&stamp(8_000_000_000, 0), now));
    assert!(!settled(&stamp(0, 99_000_000_000), now), "a disk whose clock is ahead");
}

#[test]
fn a_change_behind_the_time_of_change_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, file) = (dir.path(), dir.path().join("rows"));
    fs::write(&file, "one").unwrap();
    let before = fs::stamp(&file).unwrap();
    let touch_back = || {
        let time = UNIX_EPOCH + std::time::Duration::from_nanos(before.modified_ns as u64);
        fs::set_modified(&file, time).unwrap();
    };
    let ask = || {
        let mut digests = later(dir);
        let digest = digests.of(&file, &DataView::default()).unwrap();
        digests.save().unwrap();
        digest
    };
    assert_eq!(ask(), bytes("one"));

    // Same size, same time of modification, in place: the time of change tells.
    fs::write(&file, "two").unwrap();
    touch_back();
    let after = fs::stamp(&file).unwrap();
    assert_eq!((after.size, after.modified_ns, after.inode), (before.size, before.modified_ns, before.inode));
    assert_eq!(ask(), bytes("two"));

    // Replaced by another file.
    fs::write(&dir.join("other"), "six").unwrap();
    fs::rename(&dir.join("other"), &file).unwrap();
    touch_back();
    assert_ne!(fs::stamp(&file).unwrap().inode, before.inode);
    assert_eq!(ask(), bytes("six"));

    // Nothing changed.
    mark(dir, "remembered");
    assert_eq!(ask(), "remembered");
}

#[test]
fn a_memory_that_cannot_be_read_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, file) = (dir.path(), dir.path().join("rows"));
    fs::write(&file, "1").unwrap();
    let memory = dir.join("digests.json");
    let whole = {
        let mut digests = later(dir);
        digests.of(&file, &DataView::default()).unwrap();
        digests.save().unwrap();
        fs::read_to_string(&memory).unwrap()
    };
    let cut = whole[..whole.len() / 2].to_owned();
    for damaged in [b"".as_slice(), cut.as_bytes(), b"[]", b"\xff\xfe", br#"{"/a":{"stamp":1,"digest":"x"}}"#] {
        fs::write(&memory, damaged).unwrap();
        let mut digests = later(dir);
        assert_eq!(digests.of(&file, &DataView::default()).unwrap(), bytes("1"));
        digests.save().unwrap();
        assert_eq!(fs::read_to_string(&memory).unwrap(), whole);
    }
}

#[test]
fn several_that_write_leave_a_memory_that_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let files: Vec<PathBuf> = (0..40).map(|file| dir.join(format!("{file}"))).collect();
    for file in &files {
        fs::write(file, file.to_str().unwrap()).unwrap();
    }
    thread::scope(|scope| {
        for chunk in files.chunks(10) {
            scope.spawn(move || {
                for file in chunk {
                    let mut digests = later(dir);
                    assert_eq!(digests.of(file, &DataView::default()).unwrap(), bytes(file.to_str().unwrap()));
                    digests.save().unwrap();
                }
            });
        }
    });
    let known = read(&dir.join("digests.json"));
    assert!(!known.is_empty());
    assert!(known.iter().all(|(path, content)| content.digest == bytes(path)));
    let left = fs::list(dir).unwrap();
    assert_eq!(left.len(), files.len() + 1, "{left:?}");
}

#[test]
fn what_others_learned_is_kept_and_what_is_gone_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let file = |name: &str| {
        let file = dir.join(name);
        fs::write(&file, name).unwrap();
        file
    };
    let [a, b, c] = ["a", "b", "c"].map(file);
    let names = || read(&dir.join("digests.json")).into_keys().map(|path| path[path.len() - 1..].to_owned());
    let (mut one, mut two) = (later(dir), later(dir));
    one.of(&a, &DataView::default()).unwrap();
    two.of(&b, &DataView::default()).unwrap();
    one.save().unwrap();
    two.save().unwrap();
    assert_eq!(names().collect::<String>(), "ab");
    fs::remove_file(&a).unwrap();
    one.of(&c, &DataView::default()).unwrap();
    one.save().unwrap();
    assert_eq!(names().collect::<String>(), "bc");
}

#[test]
fn rows_are_searched_for_images_once() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, rows, image) = (dir.path(), dir.path().join("rows.jsonl"), dir.path().join("a.png"));
    fs::write(&rows, "{\"picture\":\"a.png\"}\n").unwrap();
    fs::write(&image, "1").unwrap();
    let ask = |view: &DataView| {
        let mut digests = later(dir);
        let digest = digests.of(&rows, view).unwrap();
        digests.save().unwrap();
        digest
    };
    let (with, without) = (ask(&named("picture")), ask(&named("images")));
    assert_ne!(with, without);
    let known = read(&dir.join("digests.json"));
    let content = &known[rows.to_str().unwrap()];
    assert_eq!(content.images["picture"], ["a.png"]);
    assert_eq!(content.images.len(), 2, "each question has its answer");
    // As remembered, so long as the rows stay as they are; the image itself is looked at each time.
    assert_eq!(ask(&named("picture")), with);
    fs::write(&image, "2").unwrap();
    assert_ne!(ask(&named("picture")), with);
    fs::write(&image, "1").unwrap();
    assert_eq!(ask(&named("picture")), with);
}

#[test]
fn large_files_have_the_digest_of_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("set");
    fs::create_dir_all(&root).unwrap();
    let large: Vec<u8> = (0..20_000_000_u32).map(|at| (at >> 5) as u8).collect();
    fs::write(&root.join("b"), &large).unwrap();
    fs::write(&root.join("a"), "small").unwrap();
    fs::write(&root.join("c"), "").unwrap();
    let hex = |bytes: &[u8]| blake3::hash(bytes).to_hex();
    let (a, b, c) = (hex(b"small"), hex(&large), hex(b""));
    let whole = hex(format!("{a} a\n{b} b\n{c} c\n").as_bytes()).to_string();
    assert_eq!(later(dir.path()).of(&root, &DataView::default()).unwrap(), whole);
}
