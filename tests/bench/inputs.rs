//! A large file and many small ones as inputs: a plan that reads them, and one that remembers them.

use std::io::{BufWriter, Read as _, Write as _};
use std::time::Duration;

use crate::case::{Answer, Case, Figure, median, seconds};
use crate::recipes::curricle;
use crate::table::grouped;

/// Bytes of the large file.
const LARGE: usize = 1 << 30;

pub fn cases() -> Vec<Case> {
    vec![Case { rows: 20_000, warm: 0, repeats: 5, ..Case::default() }]
}

pub fn measure(case: &Case) -> Answer {
    let (dir, words) = (&case.folder, "what is asked here is long and has no picture ".repeat(20));
    let mut rows = BufWriter::new(std::fs::File::create(dir.join("large.jsonl")).unwrap());
    for row in 0..LARGE / words.len() {
        writeln!(rows, "{{\"prompt\": \"{words}\", \"answer\": \"{row}\"}}").unwrap();
    }
    rows.flush().unwrap();
    std::fs::create_dir_all(dir.join("many/images")).unwrap();
    let mut rows = BufWriter::new(std::fs::File::create(dir.join("many/rows.jsonl")).unwrap());
    for row in 0..case.rows {
        std::fs::write(dir.join(format!("many/images/{row}.png")), row.to_string()).unwrap();
        writeln!(rows, "{{\"prompt\": \"?\", \"answer\": \"1\", \"images\": [\"images/{row}.png\"]}}").unwrap();
    }
    rows.flush().unwrap();
    // Files that have just changed are not remembered.
    std::thread::sleep(Duration::from_secs(3));

    let read = case.median(|| {
        let mut file = std::fs::File::open(dir.join("large.jsonl")).unwrap();
        let mut buffer = vec![0; 1 << 20];
        while file.read(&mut buffer).unwrap() > 0 {}
    });
    let mut figures = vec![Figure::new("reading 1 GiB of rows, from memory, without a look at them", read * 1e3, "ms")];
    let many = format!("{} images", grouped(case.rows as u64));
    for (file, source, name) in [("large", "large.jsonl", "1 GiB of rows"), ("many", "many", many.as_str())] {
        let recipe = format!(
            "schema = 1\n[data.raw]\nsource = \"file:{source}\"\n\
             [stages.usable]\nkind = \"filter\"\ninputs = {{ data = \"data.raw\" }}\n"
        );
        std::fs::write(dir.join(format!("{file}.toml")), recipe).unwrap();
        let store = dir.join(file).with_extension("store");
        std::fs::create_dir_all(store.join("store/v1")).unwrap();
        let store = store.to_string_lossy().into_owned();
        let plan = || seconds(|| curricle(dir, &["plan", &format!("{file}.toml"), "--store", &store])) * 1e3;
        figures.push(Figure::new(format!("{name}, for the first time"), plan(), "ms"));
        let again = median((0..case.repeats).map(|_| plan()).collect());
        figures.push(Figure::new(format!("{name}, again"), again, "ms").at_most(100.0));
    }
    Answer { peak_mib: None, ..case.answer(figures) }
}
