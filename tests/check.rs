//! `check`, `graph`, `kinds`, `schema` and `init` through the command line, and the gallery of mistakes in `errors/`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::curricle;

fn gallery() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors")
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
}

/// Every bad recipe gets exactly the message beside it. `BLESS=1` writes the messages instead; read them before you
/// commit them: each has to say where, why and what to do.
#[test]
fn every_mistake_of_the_gallery_is_explained() {
    let dir = gallery();
    let bless = std::env::var_os("BLESS").is_some();
    let mut names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    names.sort_unstable();
    assert!(names.len() >= 40, "the gallery has {} recipes", names.len());
    let mut wrong = Vec::new();
    for path in names {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let args: Vec<_> =
            ["check".to_owned(), name.clone()].into_iter().chain(lines(&path.with_extension("args"))).collect();
        let called = curricle(&dir, &args);
        let expected = path.with_extension("stderr");
        if bless {
            fs::write(&expected, &called.stderr).unwrap();
        }
        if called.code != Some(3) {
            wrong.push(format!("{name}: ended with {:?}, not 3:\n{}", called.code, called.stderr));
        } else if fs::read_to_string(&expected).unwrap_or_default() != called.stderr {
            wrong.push(format!("{name}: says\n{}", called.stderr));
        } else if !called.stdout.is_empty() {
            wrong.push(format!("{name}: prints to standard output"));
        }
    }
    assert!(wrong.is_empty(), "{} of the gallery differ (BLESS=1 rewrites):\n{}", wrong.len(), wrong.join("\n"));
}
