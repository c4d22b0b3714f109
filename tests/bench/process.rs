//! A case → a process of its own → its answer. Refuses to know what is measured.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::case::{Answer, Case};

/// Short messages; peers fetch nothing, draw nothing and leave nothing beside their scripts.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("RUST_BACKTRACE", "0"),
    ("HF_HUB_OFFLINE", "1"),
    ("HF_DATASETS_OFFLINE", "1"),
    ("HF_HUB_DISABLE_PROGRESS_BARS", "1"),
    ("TRANSFORMERS_VERBOSITY", "error"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
];

/// Our side.
pub fn ours(case: &Case) -> Result<Answer, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    answer(Command::new(program).arg("--case"), case)
}

fn answer(command: &mut Command, case: &Case) -> Result<Answer, String> {
    let json = serde_json::to_string(case).map_err(|error| error.to_string())?;
    command.arg(json).envs(ENVIRONMENT);
    for name in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
        command.env(name, case.threads.to_string());
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let last = stdout.lines().last().and_then(|line| serde_json::from_str(line).ok());
    match last {
        Some(answer) if output.status.success() => Ok(answer),
        _ => {
            eprintln!("bench: `{}` of `{}` failed: {}\n{stderr}", case.name, case.part, output.status);
            Err(format!("{}, see the messages", output.status))
        }
    }
}

/// The interpreter with the peers' packages, if there is one.
pub struct Peers {
    python: PathBuf,
    /// Their versions, or why there is none.
    found: Result<String, String>,
}

impl Peers {
    /// Asks `$PYTHON` (else `python3`) for the packages.
    pub fn find() -> Self {
        let python = PathBuf::from(std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into()));
        let ask = "import importlib.metadata as m; \
                   print(', '.join(f'{n} {m.version(n)}' for n in ('torch', 'transformers', 'trl', 'datasets', 'pillow')))";
        let found = match Command::new(&python).args(["-c", ask]).output() {
            Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = &found {
            let lock = "tests/bench/peers/requirements.lock.txt";
            eprintln!("bench: SKIPPED ALL PEERS: `{}`: {why}; PYTHON names a Python with {lock}", python.display());
        }
        Self { python, found }
    }

    /// Their side; none where there is no peer.
    pub fn measure(&self, case: &Case, script: &str) -> Option<Result<Answer, String>> {
        self.found.as_ref().ok()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/peers").join(script);
        Some(answer(Command::new(&self.python).arg(script), case))
    }
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Ok(versions) => f.write_str(versions),
            Err(why) => write!(f, "SKIPPED: {why}"),
        }
    }
}
