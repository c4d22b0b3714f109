//! Variables and folders → a client of one hub.

use std::path::PathBuf;
use std::time::Duration;

use hf_hub::{Cache, Repo, RepoType};
use ureq::Agent;
use ureq::config::RedirectAuthHeaders;

use super::error::{HubError, HubErrorKind};

/// The hub that everybody means.
const ENDPOINT: &str = "https://huggingface.co";

/// Where the hub is, where its files go, and on whose behalf.
#[derive(Clone)]
pub struct Settings {
    /// Address of the hub, without a `/` at its end.
    pub endpoint: String,
    /// Folder of all repositories.
    pub cache: PathBuf,
    /// Sent to this hub and to nobody else.
    pub token: Option<String>,
    /// Ask nobody; use the cache only.
    pub offline: bool,
    /// How long to insist.
    pub patience: Patience,
}

/// How often to ask again, and how long to wait before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Requests in a row that bring nothing.
    pub tries: u32,
    /// The first wait; each further one is twice as long.
    pub first: Duration,
    /// The longest that the hub may ask for.
    pub longest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { tries: 6, first: Duration::from_millis(500), longest: Duration::from_mins(5) }
    }
}

impl Settings {
    /// As the variables of Hugging Face tools say: `HF_ENDPOINT`, `HF_TOKEN` (else the file `HF_TOKEN_PATH`, else the token
    /// that `hf auth login` left in `HF_HOME`), `HF_HUB_OFFLINE`.
    pub fn from_env(cache: PathBuf) -> Self {
        let set = |name: &str| std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|v| !v.is_empty());
        let on =
            |name: &str| set(name).is_some_and(|value| !matches!(&*value.to_lowercase(), "0" | "false" | "no" | "off"));
        let file = || crate::fs::read_text(&PathBuf::from(set("HF_TOKEN_PATH")?)).ok();
        // hf-hub panics where there is neither.
        let kept = || (set("HF_HOME").or_else(|| set("HOME")).is_some()).then(|| Cache::from_env().token()).flatten();
        let token = set("HF_TOKEN").or_else(file).or_else(kept).map(|token| token.trim().to_owned());
        Self {
            endpoint: set("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.into()).trim_end_matches('/').to_owned(),
            cache,
            token: token.filter(|token| !token.is_empty()),
            offline: on("HF_HUB_OFFLINE"),
            patience: Patience::default(),
        }
    }
}

/// A repository of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// A data set? Else a model.
    pub data: bool,
    /// `org/name`.
    pub id: String,
}

impl Repository {
    pub(super) fn at(&self, revision: &str) -> Repo {
        let kind = if self.data { RepoType::Dataset } else { RepoType::Model };
        Repo::with_revision(self.id.clone(), kind, revision.to_owned())
    }
}

/// Reaches one hub.
pub struct Client {
    pub(super) settings: Settings,
    pub(super) cache: Cache,
    pub(super) agent: Agent,
}

impl Client {
    /// Opens no connection yet.
    pub fn new(settings: Settings) -> Self {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .user_agent(concat!("curricle/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(seconds(15))
            .timeout_recv_response(seconds(60))
            // A stalled transfer goes on from where it was.
            .timeout_per_read(seconds(60))
            .build();
        let cache = Cache::new(settings.cache.clone());
        Self { settings, cache, agent: config.into() }
    }

    pub(super) fn error(
        &self,
        repository: &Repository,
        revision: &str,
        file: Option<&str>,
        kind: HubErrorKind,
    ) -> HubError {
        let at = if revision == "main" { String::new() } else { format!("@{revision}") };
        HubError {
            source_name: format!("hf:{}{at}", repository.id).into(),
            page: format!("{}/{}", self.settings.endpoint, repository.at(revision).url()).into(),
            file: file.map(Into::into),
            kind,
        }
    }
}
