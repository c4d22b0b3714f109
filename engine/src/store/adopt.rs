//! Something made elsewhere → a stage's result. The entry says so for ever: nothing here made it, and nothing here can say
//! that the key is what it was made from.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Artifact, KeyPreimage, Lookup, Store, StoreError};
use crate::fs;

/// Where an adopted result came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// The path that was copied.
    pub from: PathBuf,
    /// What whoever adopted it has to say.
    pub note: Option<String>,
}

impl fmt::Display for Adopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "adopted from `{}`", self.from.display())?;
        self.note.as_ref().map_or(Ok(()), |note| write!(f, ": {note}"))
    }
}

impl Store {
    /// Copies files into the entry of a preimage: `outputs` are places below `artifact/` and the file or folder for each. None if there is a result
    /// already and `replace` does not say that it goes.
    pub fn adopt(
        &self,
        stage: &str,
        preimage: &KeyPreimage,
        outputs: &[(PathBuf, PathBuf)],
        adopted: Adopted,
        replace: bool,
    ) -> Result<Option<Artifact>, StoreError> {
        let mut claim = match self.lookup(stage, preimage)? {
            Lookup::Miss(claim) => claim,
            Lookup::Hit(_) if replace => self.claim(stage, preimage)?,
            Lookup::Hit(_) => return Ok(None),
        };
        for (place, from) in outputs {
            let to = claim.output_dir().join(place);
            if fs::is_dir(from) {
                fs::create_dir_all(&to)?;
                for file in fs::walk(from)? {
                    fs::copy(&file.path, &to.join(&file.name))?;
                }
            } else {
                fs::copy(from, &to)?;
            }
        }
        claim.adopted = Some(Box::new(adopted));
        claim.commit(0.0).map(Some)
    }
}
