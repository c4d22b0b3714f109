//! An address → an answer, or why there is none and whether it is worth asking again.

use std::thread;
use std::time::Duration;

use ureq::Body;
use ureq::http::{HeaderMap, Response};

use super::client::Client;
use super::error::HubErrorKind;
use super::transfer::Event;

/// An attempt that failed.
pub(super) struct Failed {
    pub kind: HubErrorKind,
    /// Is it worth another attempt?
    pub again: bool,
    /// What the hub wants to wait for.
    pub wait: Option<Duration>,
    /// Did it bring anything that is kept?
    pub progressed: bool,
}

impl Failed {
    /// Not worth another attempt.
    pub fn for_good(kind: HubErrorKind) -> Self {
        Self { kind, again: false, wait: None, progressed: false }
    }

    /// Worth another attempt.
    pub fn for_now(kind: HubErrorKind) -> Self {
        Self { again: true, ..Self::for_good(kind) }
    }
}

impl<E: Into<HubErrorKind>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::for_good(error.into())
    }
}

impl Client {
    /// Asks again, after longer and longer waits, until it works, nothing can be hoped for, or patience is at its end.
    pub(super) fn insist<T>(
        &self,
        say: &mut dyn FnMut(Event<'_>),
        mut attempt: impl FnMut(&mut dyn FnMut(Event<'_>)) -> Result<T, Failed>,
    ) -> Result<T, HubErrorKind> {
        let patience = self.settings.patience;
        let mut fruitless = 0;
        loop {
            let failed = match attempt(say) {
                Ok(done) => return Ok(done),
                Err(failed) => failed,
            };
            fruitless = if failed.progressed { 0 } else { fruitless + 1 };
            let wait = failed.wait.unwrap_or(patience.first * 2_u32.saturating_pow(u32::max(fruitless, 1) - 1).min(64));
            if !failed.again || fruitless >= patience.tries || wait > patience.longest {
                return Err(failed.kind);
            }
            say(Event::Again { cause: &failed.kind.to_string(), wait });
            thread::sleep(wait);
        }
    }

    /// One request; an answer that is no success is an error.
    pub(super) fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Response<Body>, Failed> {
        if self.settings.offline {
            return Err(Failed::for_good(HubErrorKind::Offline));
        }
        let mut request = self.agent.get(url).header("Accept-Encoding", "identity");
        if let Some(token) = &self.settings.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.call().map_err(|error| connection(&error))?;
        let status = answer.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        Err(refused(status, answer.headers()))
    }
}

/// Addresses of redirects carry signatures, so that only errors without one are told in their own words.
fn connection(error: &ureq::Error) -> Failed {
    use ureq::Error::{BadUri, ConnectionFailed, HostNotFound, Io, Protocol, Timeout, Tls, TooManyRedirects};
    let lost = |what: String| Failed::for_now(HubErrorKind::Connection(what));
    match error {
        Io(error) => lost(format!("the connection broke: {error}")),
        Timeout(_) => lost("the hub did not answer in time".into()),
        HostNotFound => lost("nobody knows the hub's address: is there a network?".into()),
        ConnectionFailed => lost("no connection to the hub: is there a network?".into()),
        Protocol(_) => lost("the connection broke: the answer is no HTTP".into()),
        Tls(what) => Failed::for_good(HubErrorKind::Connection(format!("no safe connection: {what}"))),
        TooManyRedirects => Failed::for_good(HubErrorKind::Unexpected("it sends from one address to the next".into())),
        BadUri(_) => Failed::for_good(HubErrorKind::Unexpected("it names an address that is none".into())),
        _ => Failed::for_good(HubErrorKind::Connection("no connection to the hub".into())),
    }
}

fn refused(status: u16, headers: &HeaderMap) -> Failed {
    let code = header(headers, "x-error-code").unwrap_or_default();
    match status {
        401 | 403 if code == "GatedRepo" => Failed::for_good(HubErrorKind::Gated(status)),
        401 | 403 => Failed::for_good(HubErrorKind::Forbidden(status)),
        404 => Failed::for_good(HubErrorKind::NotFound(match code {
            "RevisionNotFound" => "revision",
            "EntryNotFound" => "file",
            _ => "repository",
        })),
        429 => {
            let wait = quiet(headers);
            let seconds = wait.map(|wait| wait.as_secs());
            Failed { wait, ..Failed::for_now(HubErrorKind::Busy(seconds)) }
        }
        408 | 425 | 500..=599 => Failed { wait: quiet(headers), ..Failed::for_now(HubErrorKind::Failing(status)) },
        _ => Failed::for_good(HubErrorKind::Unexpected(format!("status {status}"))),
    }
}

/// How long the hub wants to be left alone: `Retry-After: 3`, or `t` of `RateLimit: "api";r=0;t=3`.
fn quiet(headers: &HeaderMap) -> Option<Duration> {
    let after = header(headers, "retry-after").and_then(|value| value.trim().parse().ok());
    let limit = || {
        let parts = header(headers, "ratelimit")?.split(';');
        parts.filter_map(|part| part.trim().strip_prefix("t=")).find_map(|seconds| seconds.parse().ok())
    };
    after.or_else(limit).map(Duration::from_secs)
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Characters of a path that an address can't hold, as `%XX`.
pub(super) fn escaped(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
