//! The engine's wish for a hub → the client that reaches it.

use curricle_datasets::hub::{Client, Event, HubError, HubErrorKind, RemoteFile, Repository, Settings};
use curricle_engine::hub::{Hub, HubName, Listed, Listing, Progress, RepoKind, Shelf, Trouble, TroubleKind};

/// The Hugging Face hub, or another that speaks as it does.
pub struct HuggingFace {
    client: Client,
}

impl HuggingFace {
    /// As the variables say, with the cache that the engine looks into. Asks nobody yet.
    pub fn from_env(shelf: &Shelf) -> Self {
        Self { client: Client::new(Settings::from_env(shelf.root().to_owned())) }
    }
}

impl Hub for HuggingFace {
    fn list(&self, name: &HubName, revision: &str, say: &mut dyn FnMut(Progress<'_>)) -> Result<Listing, Trouble> {
        let listed = self.client.list(&repository(name), revision, &mut |event| say(progress(event)));
        let snapshot = listed.map_err(|error| trouble(&error))?;
        let file = |RemoteFile { path, size, blob, sha256 }| Listed { path, size, blob, sha256 };
        Ok(Listing { commit: snapshot.commit, files: snapshot.files.into_iter().map(file).collect() })
    }

    fn fetch(
        &self,
        name: &HubName,
        commit: &str,
        files: &[Listed],
        say: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), Trouble> {
        let file = |Listed { path, size, blob, sha256 }: Listed| RemoteFile { path, size, blob, sha256 };
        let files: Vec<_> = files.iter().cloned().map(file).collect();
        let fetched = self.client.fetch(&repository(name), commit, &files, &mut |event| say(progress(event)));
        fetched.map_err(|error| trouble(&error))
    }
}

fn repository(name: &HubName) -> Repository {
    Repository { data: name.kind == RepoKind::Data, id: name.repo.clone() }
}

fn progress(event: Event<'_>) -> Progress<'_> {
    match event {
        Event::File { path, done, size } => Progress::File { path, done, size },
        Event::Again { cause, wait } => Progress::Again { cause, wait_s: wait.as_secs_f64() },
    }
}

fn trouble(error: &HubError) -> Trouble {
    let kind = match &error.kind {
        HubErrorKind::Offline => TroubleKind::Offline,
        HubErrorKind::Gated(_) | HubErrorKind::Forbidden(_) | HubErrorKind::NotFound(_) | HubErrorKind::Hostile(_) => {
            TroubleKind::Refused
        }
        HubErrorKind::Full(_) | HubErrorKind::Disk(_) => TroubleKind::Disk,
        _ => TroubleKind::Hub,
    };
    Trouble { kind, message: error.to_string(), help: error.help() }
}
