//! A hub in this process that may misbehave: HTTP/1.1 over a socket, one request per connection, and a list of who asked what.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// What was asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// Path and query.
    pub path: String,
    /// Headers by their names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Is it about a file, rather than a listing?
    pub fn is_file(&self) -> bool {
        self.path.contains("/resolve/")
    }

    /// `bytes=N-` → N.
    pub fn from(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What is answered.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Break the connection after so many bytes of the body, although all of it was announced.
    pub cut: Option<usize>,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into(), ..Self::default() }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn cut(self, after: usize) -> Self {
        Self { cut: Some(after), ..self }
    }
}

/// A hub on a port of its own.
pub struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers with what `answer` says; it is told how many requests for a file there were before.
    pub fn start(answer: impl Fn(&Request, usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, closed) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::<AtomicBool>::default());
        let (log, ended) = (Arc::clone(&asked), Arc::clone(&closed));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let Some(request) = read(&stream) else { continue };
                let before = log.lock().unwrap().iter().filter(|request| request.is_file()).count();
                log.lock().unwrap().push(request.clone());
                write(stream, &answer(&request, before));
            }
        });
        Self { address, asked, closed, thread: Some(thread) }
    }

    /// Its address, as `HF_ENDPOINT` has it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    /// What was asked of files so far.
    pub fn files_asked(&self) -> Vec<Request> {
        self.asked().into_iter().filter(Request::is_file).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    Some(Request { path, headers })
}

/// A reader that goes away is its own business.
fn write(mut stream: TcpStream, reply: &Reply) {
    let mut head =
        format!("HTTP/1.1 {} X\r\nConnection: close\r\nContent-Length: {}\r\n", reply.status, reply.body.len());
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let body = &reply.body[..reply.cut.unwrap_or(reply.body.len())];
    let _ = stream.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| stream.write_all(body));
    let _ = stream.flush();
}

/// One repository at one commit.
#[derive(Debug, Clone)]
pub struct Repository {
    /// `datasets/org/name`, or `models/org/name`.
    pub name: &'static str,
    /// 40 hex digits.
    pub commit: String,
    /// Path, bytes, and the SHA-256 of a large file.
    pub files: Vec<(&'static str, Vec<u8>, Option<String>)>,
}

impl Repository {
    /// As a good hub answers.
    pub fn reply(&self, request: &Request) -> Reply {
        let path = request.path.split('?').next().unwrap().replace("%20", " ");
        let api = format!("/api/{}", self.name);
        let json = |text: String| Reply::new(200, text).with("Content-Type", "application/json");
        if path.starts_with(&format!("{api}/revision/")) {
            return json(format!("{{\"sha\": \"{}\", \"id\": \"x\"}}", self.commit));
        }
        if path == format!("{api}/tree/{}", self.commit) {
            let entries: Vec<_> = (0..self.files.len()).map(|index| self.entry(index)).collect();
            return json(format!("[{}]", entries.join(",")));
        }
        let own = self.name.strip_prefix("models/").unwrap_or(self.name);
        let Some(file) = path.strip_prefix(&format!("/{own}/resolve/{}/", self.commit)) else {
            return Reply::new(404, "").with("X-Error-Code", "RepoNotFound");
        };
        match self.files.iter().find(|(path, ..)| *path == file) {
            Some((_, bytes, _)) => part(request, bytes, "\"tag\""),
            None => Reply::new(404, "").with("X-Error-Code", "EntryNotFound"),
        }
    }

    /// A line of the listing.
    pub fn entry(&self, index: usize) -> String {
        let (path, bytes, sha256) = &self.files[index];
        let large = sha256
            .as_ref()
            .map(|sha| format!(", \"lfs\": {{\"oid\": \"{sha}\", \"size\": {}, \"pointerSize\": 134}}", bytes.len()));
        let (oid, size) = (format!("{:040x}", index + 1), bytes.len());
        let large = large.unwrap_or_default();
        format!("{{\"type\": \"file\", \"oid\": \"{oid}\", \"size\": {size}, \"path\": \"{path}\"{large}}}")
    }
}

/// A file, or the rest of it from where the request says.
pub fn part(request: &Request, bytes: &[u8], tag: &str) -> Reply {
    match request.from() {
        None => Reply::new(200, bytes),
        Some(start) => Reply::new(206, &bytes[start..])
            .with("Content-Range", format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len())),
    }
    .with("ETag", tag)
}
