//! Calls the binary.

use std::path::Path;
use std::process::Command;

/// What a call of the binary came to.
pub struct Called {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Messages.
    pub stderr: String,
}

/// Calls the binary in a folder, without colours and with nothing of the caller's environment that matters to it.
pub fn curricle<S: AsRef<str>>(dir: &Path, args: &[S]) -> Called {
    let output = Command::new(env!("CARGO_BIN_EXE_curricle"))
        .args(args.iter().map(AsRef::as_ref))
        .current_dir(dir)
        .env("NO_COLOR", "1")
        .env_remove("CLICOLOR_FORCE")
        .env_remove("CURRICLE_STORE")
        .output()
        .expect("the binary starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
    Called { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
