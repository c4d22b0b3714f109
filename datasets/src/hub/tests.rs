//! What the hub may do to a download, by a hub in this process that does it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::server::{Reply, Repository as Served, Request, Server, part};
use super::*;
use crate::fs;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const TOKEN: &str = "hf_verysecret";

fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn weights() -> Vec<u8> {
    (0..300_000_u32).flat_map(|n| [n as u8, (n >> 7) as u8]).collect()
}

fn served() -> Served {
    let files = vec![("config.json", b"{}".to_vec(), None), ("data/train 1.parquet", weights(), Some(hex(&weights())))];
    Served { name: "datasets/org/rows", commit: COMMIT.into(), files }
}

/// A cache, and a client that does not wait long.
struct Bench {
    dir: tempfile::TempDir,
    server: Server,
    repository: Repository,
}

impl Bench {
    fn new(answer: impl Fn(&Request, usize) -> Reply + Send + 'static) -> Self {
        let repository = Repository { data: true, id: "org/rows".into() };
        Self { dir: tempfile::tempdir().unwrap(), server: Server::start(answer), repository }
    }

    fn settings(&self) -> Settings {
        let patience = Patience { tries: 3, first: Duration::from_millis(1), longest: Duration::from_secs(2) };
        let (endpoint, cache) = (self.server.endpoint(), self.dir.path().to_owned());
        Settings { endpoint, cache, token: Some(TOKEN.into()), offline: false, patience }
    }

    fn list(&self) -> Result<Snapshot, HubError> {
        Client::new(self.settings()).list(&self.repository, "main", &mut |_| {})
    }

    /// Fetches the large file; gives what was said of repeated attempts.
    fn fetch(&self) -> (Result<(), HubError>, Vec<String>) {
        self.fetch_one(1)
    }

    fn fetch_one(&self, index: usize) -> (Result<(), HubError>, Vec<String>) {
        let (path, bytes, sha) = served().files[index].clone();
        let blob = sha.clone().unwrap_or_else(|| format!("{:040x}", index + 1));
        let file = RemoteFile { path: path.into(), size: bytes.len() as u64, blob, sha256: sha.is_some() };
        let mut said = Vec::new();
        let done = Client::new(self.settings()).fetch(&self.repository, COMMIT, &[file], &mut |event| {
            if let Event::Again { cause, wait } = event {
                said.push(format!("{cause} [{} s]", wait.as_secs()));
            }
        });
        (done, said)
    }

    fn repo(&self) -> PathBuf {
        self.dir.path().join("datasets--org--rows")
    }

    fn shown(&self) -> PathBuf {
        self.repo().join("snapshots").join(COMMIT).join("data/train 1.parquet")
    }

    fn blob(&self) -> PathBuf {
        self.repo().join("blobs").join(hex(&weights()))
    }

    #[track_caller]
    fn is_whole(&self) {
        assert_eq!(fs::read(&self.shown()).unwrap(), weights());
        assert!(!self.blob().with_extension("incomplete").exists());
    }

    #[track_caller]
    fn has_nothing(&self) {
        assert!(!self.shown().exists() && !self.blob().exists(), "no half file under its final name");
    }
}

#[test]
fn files_lie_where_every_other_tool_looks_for_them() {
    let bench = Bench::new(|request, _| served().reply(request));
    let listing = bench.list().unwrap();
    assert_eq!(listing.commit, COMMIT);
    let shown: Vec<_> = listing.files.iter().map(|file| (file.path.as_str(), file.size, file.sha256)).collect();
    assert_eq!(shown, [("config.json", 2, false), ("data/train 1.parquet", 600_000, true)]);
    let client = Client::new(bench.settings());
    let mut done = Vec::new();
    client
        .fetch(&bench.repository, COMMIT, &listing.files, &mut |event| {
            if let Event::File { path, done: here, size } = event {
                done.push((path.to_owned(), here, size));
            }
        })
        .unwrap();
    assert_eq!(done.last(), Some(&("data/train 1.parquet".to_owned(), 600_000, 600_000)));
    bench.is_whole();
    let target = bench.shown().read_link().unwrap();
    assert_eq!(target, Path::new("../../../blobs").join(hex(&weights())));
    let asked = bench.server.files_asked();
    assert!(asked[1].path.ends_with("/resolve/0123456789abcdef0123456789abcdef01234567/data/train%201.parquet"));
    assert_eq!(asked[1].header("authorization"), Some("Bearer hf_verysecret"));
    client.fetch(&bench.repository, COMMIT, &listing.files, &mut |_| {}).unwrap();
    assert_eq!(bench.server.files_asked().len(), 2, "what is here is not asked for again");
}

#[test]
fn a_busy_hub_is_waited_for_as_it_wishes() {
    let bench = Bench::new(|request, before| match before {
        _ if !request.is_file() => served().reply(request),
        0 => Reply::new(429, "slow down").with("Retry-After", "1"),
        1 => Reply::new(429, "").with("RateLimit", "\"api\";r=0;t=0"),
        _ => served().reply(request),
    });
    let (done, said) = bench.fetch();
    done.unwrap();
    let busy = |wait| format!("the hub is busy: it answers 429 and wants {wait} s of quiet [{wait} s]");
    assert_eq!(said, [busy(1), busy(0)]);
    bench.is_whole();
}

#[test]
fn a_hub_that_wants_too_much_quiet_is_left_alone() {
    let bench = Bench::new(|_, _| Reply::new(429, "").with("Retry-After", "3600"));
    let (done, said) = bench.fetch();
    let error = done.unwrap_err();
    assert!(matches!(error.kind, HubErrorKind::Busy(Some(3600))), "{error}");
    assert_eq!((said.len(), bench.server.asked().len()), (0, 1));
}

#[test]
fn trouble_of_the_hub_passes_or_ends_in_an_error() {
    let bench = Bench::new(|request, before| match before {
        0 => Reply::new(500, ""),
        1 => Reply::new(503, ""),
        _ => served().reply(request),
    });
    let (done, said) = bench.fetch();
    done.unwrap();
    assert_eq!(said, ["the hub fails with status 500 [0 s]", "the hub fails with status 503 [0 s]"]);
    bench.is_whole();

    let bench = Bench::new(|_, _| Reply::new(502, ""));
    let error = bench.fetch().0.unwrap_err();
    assert!(matches!(error.kind, HubErrorKind::Failing(502)), "{error}");
    assert_eq!(bench.server.asked().len(), 3, "patience has an end");
    bench.has_nothing();
}

#[test]
fn a_cut_connection_is_gone_on_from_where_it_was() {
    let bench = Bench::new(|request, before| match before {
        0 => served().reply(request).cut(300_000),
        _ => served().reply(request),
    });
    bench.fetch().0.unwrap();
    let asked = bench.server.files_asked();
    let ranges: Vec<_> = asked.iter().map(|request| (request.header("range"), request.header("if-range"))).collect();
    assert_eq!(ranges, [(None, None), (Some("bytes=300000-"), Some("\"tag\""))]);
    bench.is_whole();
}

#[test]
fn every_cut_that_brings_something_renews_patience() {
    let bench = Bench::new(|request, _| {
        let reply = served().reply(request);
        let half = reply.body.len().div_ceil(2).max(1);
        reply.cut(half)
    });
    bench.fetch().0.unwrap();
    assert!(bench.server.files_asked().len() > 10);
    bench.is_whole();
}

#[test]
fn a_killed_fetch_is_gone_on_from_where_it_was() {
    let bench = Bench::new(|request, _| served().reply(request));
    fs::write(&bench.blob().with_extension("incomplete"), &weights()[..1000]).unwrap();
    bench.fetch().0.unwrap();
    assert_eq!(bench.server.files_asked()[0].header("range"), Some("bytes=1000-"));
    bench.is_whole();
}

#[test]
fn what_no_digest_vouches_for_begins_again() {
    let bench = Bench::new(|request, _| served().reply(request));
    let blobs = bench.repo().join("blobs");
    fs::write(&blobs.join(format!("{:040x}.incomplete", 1)), b"}").unwrap();
    bench.fetch_one(0).0.unwrap();
    assert_eq!(bench.server.files_asked()[0].header("range"), None);
    assert_eq!(fs::read(&blobs.join(format!("{:040x}", 1))).unwrap(), b"{}");
}

#[test]
fn a_file_that_changes_between_two_requests_begins_again() {
    let bench = Bench::new(|request, before| match before {
        // The first half is of another file, as its tag says.
        0 => part(request, &vec![7; 600_000], "\"old\"").cut(300_000),
        _ => part(request, &weights(), "\"new\""),
    });
    let (done, said) = bench.fetch();
    done.unwrap();
    assert!(said[1].contains("the file changed between two requests"), "{said:?}");
    assert_eq!(bench.server.files_asked().last().unwrap().header("range"), None);
    bench.is_whole();
}

#[test]
fn a_server_that_knows_no_ranges_is_read_from_the_start() {
    let bench = Bench::new(|_, before| match before {
        0 => Reply::new(200, weights()).cut(10_000),
        _ => Reply::new(200, weights()),
    });
    bench.fetch().0.unwrap();
    bench.is_whole();
}

#[test]
fn a_range_that_starts_elsewhere_is_not_appended() {
    let bench = Bench::new(|request, before| match before {
        0 => served().reply(request).cut(10_000),
        1 => Reply::new(206, &weights()[5_000..])
            .with("Content-Range", "bytes 5000-599999/600000")
            .with("ETag", "\"tag\""),
        _ => served().reply(request),
    });
    bench.fetch().0.unwrap();
    bench.is_whole();
}

#[test]
fn wrong_bytes_are_never_kept() {
    let bench = Bench::new(|request, _| part(request, &vec![7; 600_000], "\"tag\""));
    let error = bench.fetch().0.unwrap_err();
    assert!(matches!(&error.kind, HubErrorKind::Digest { found, .. } if *found == hex(&vec![7; 600_000])), "{error}");
    assert_eq!(bench.server.asked().len(), 2, "damage may be chance once");
    bench.has_nothing();
    assert_eq!(fs::size(&bench.blob().with_extension("incomplete")), Some(0), "nor gone on from");

    let bench = Bench::new(|_, _| Reply::new(200, [weights(), vec![0]].concat()));
    let error = bench.fetch().0.unwrap_err();
    assert!(matches!(error.kind, HubErrorKind::Size { wanted: 600_000, .. }), "{error}");
    bench.has_nothing();

    let bench = Bench::new(|_, _| Reply::new(200, &weights()[..10]));
    let error = bench.fetch().0.unwrap_err();
    assert!(error.to_string().contains("the connection broke at byte 10 of 600000"), "{error}");
    bench.has_nothing();
}

#[test]
fn a_closed_door_says_how_to_open_it() {
    let gated = Bench::new(|_, _| Reply::new(403, "").with("X-Error-Code", "GatedRepo"));
    let error = gated.fetch().0.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot fetch hf:org/rows@{COMMIT} (`data/train 1.parquet`): \
             the hub lets in only those who accepted its terms (status 403)"
        )
    );
    let page = format!("{}/datasets/org/rows", gated.server.endpoint());
    assert!(error.help().starts_with(&format!("accept its terms at {page}, then set `HF_TOKEN`")), "{}", error.help());
    assert_eq!(gated.server.asked().len(), 1, "a closed door is not knocked at twice");

    let private = Bench::new(|_, _| Reply::new(401, "").with("X-Error-Code", "RepoNotFound"));
    let error = private.list().unwrap_err();
    assert!(matches!(error.kind, HubErrorKind::Forbidden(401)), "{error}");
    let said = format!("{error} {} {error:?}", error.help());
    assert!(!said.contains(TOKEN), "{said}");
}

#[test]
fn what_is_not_there_is_named() {
    for (code, what) in [("RevisionNotFound", "revision"), ("EntryNotFound", "file"), ("RepoNotFound", "repository")] {
        let bench = Bench::new(move |_, _| Reply::new(404, "").with("X-Error-Code", code));
        let error = bench.list().unwrap_err();
        assert_eq!(error.to_string(), format!("cannot fetch hf:org/rows: there is no such {what} on the hub"));
        assert_eq!(bench.server.asked().len(), 1);
    }
}

#[test]
fn redirects_are_followed_without_the_token() {
    let store = Server::start(|request, before| match before {
        0 => part(request, &weights(), "\"store\"").cut(400_000),
        _ => part(request, &weights(), "\"store\""),
    });
    // Another name of the same machine is another host.
    let elsewhere = store.endpoint().replace("127.0.0.1", "localhost");
    let bench = Bench::new(move |request, _| {
        if request.is_file() {
            Reply::new(302, "").with("Location", format!("{elsewhere}/resolve/x?signature=1"))
        } else {
            served().reply(request)
        }
    });
    bench.fetch().0.unwrap();
    bench.is_whole();
    let asked = store.asked();
    assert!(asked.iter().all(|request| request.header("authorization").is_none()), "{asked:?}");
    assert_eq!(asked[1].header("range"), Some("bytes=400000-"));

    let renamed = Bench::new(|request, _| match request.path.strip_prefix("/api/datasets/org/rows/") {
        Some(rest) => Reply::new(307, "").with("Location", format!("/api/datasets/new/name/{rest}")),
        None => Served { name: "datasets/new/name", ..served() }.reply(request),
    });
    assert_eq!(renamed.list().unwrap().commit, COMMIT);

    let circle = Bench::new(|request, _| Reply::new(302, "").with("Location", request.path.clone()));
    assert!(matches!(circle.list().unwrap_err().kind, HubErrorKind::Unexpected(_)));
}

#[test]
fn offline_nobody_is_asked() {
    let bench = Bench::new(|request, _| served().reply(request));
    let client = Client::new(Settings { offline: true, ..bench.settings() });
    let error = client.list(&bench.repository, "main", &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "cannot fetch hf:org/rows: `HF_HUB_OFFLINE` is set, and it is not in the cache");
    assert!(bench.server.asked().is_empty());
}

#[test]
fn listings_come_in_pages_and_stay_on_the_hub_that_was_asked() {
    let bench = Bench::new(|request, _| {
        let (served, first) =
            (served(), "<https://elsewhere.example/api/datasets/org/rows/tree/0?cursor=2>; rel=\"next\"");
        if request.path.contains("cursor=2") {
            return Reply::new(200, format!("[{}, {{\"type\": \"directory\", \"path\": \"data\"}}]", served.entry(1)));
        }
        if request.path.contains("/tree/") {
            Reply::new(200, format!("[{}]", served.entry(0))).with("Link", first)
        } else {
            served.reply(request)
        }
    });
    assert_eq!(bench.list().unwrap().files.len(), 2);
    assert_eq!(bench.server.asked().len(), 3);
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    for path in ["../x.json", "/etc/passwd", "a/../../x", "a\\\\x", "a//b", "a\\u0000b"] {
        let bench = Bench::new(move |request, _| {
            if request.path.contains("/tree/") {
                let entry = format!("{{\"type\": \"file\", \"size\": 1, \"oid\": \"{COMMIT}\", \"path\": \"{path}\"}}");
                return Reply::new(200, format!("[{entry}]"));
            }
            served().reply(request)
        });
        let error = bench.list().unwrap_err();
        assert!(matches!(error.kind, HubErrorKind::Hostile(_)), "{path}: {error}");
    }
}

#[test]
fn what_is_no_hub_is_told_from_one() {
    let bench = Bench::new(|_, _| Reply::new(200, "<html>welcome</html>"));
    assert!(bench.list().unwrap_err().to_string().contains("the hub answers what nobody expects"));
    let bench = Bench::new(|_, _| Reply::new(200, "{\"sha\": \"../../x\"}"));
    assert!(matches!(bench.list().unwrap_err().kind, HubErrorKind::Unexpected(_)));
    let nobody = Settings { endpoint: "http://127.0.0.1:9".into(), ..bench.settings() };
    let error = Client::new(nobody).list(&bench.repository, "main", &mut |_| {}).unwrap_err();
    assert!(matches!(error.kind, HubErrorKind::Connection(_)), "{error}");
    assert!(error.help().contains("HF_ENDPOINT"));
}
