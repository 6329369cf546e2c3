use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use super::*;

/// How a server treats one request.
#[derive(Clone)]
enum Answer {
    /// The whole file, or the range asked for if the tag still fits.
    Serve,
    /// The same, cut off after so many bytes.
    Cut(usize),
    /// Another file with another tag.
    Other(&'static [u8]),
    Status(&'static str),
    /// Says and sends more than the document says.
    Endless,
    HangUp,
}

/// A real HTTP/1.1 server on a port of its own; answers in turn, the last answer for ever, and tells what was asked.
fn serve(file: &'static [u8], answers: Vec<Answer>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut answers = answers.into_iter().peekable();
        for stream in listener.incoming() {
            let answer = if answers.len() > 1 {
                answers.next()
            } else {
                answers.peek().cloned()
            };
            let (Ok(stream), Some(answer)) = (stream, answer) else {
                return;
            };
            if answer_one(stream, file, &answer, &tell).is_err() {
                return;
            }
        }
    });
    (base, told)
}

fn answer_one(
    mut stream: TcpStream,
    file: &[u8],
    answer: &Answer,
    tell: &mpsc::Sender<String>,
) -> Result<(), mpsc::SendError<String>> {
    let headers: Vec<String> = BufReader::new(&stream)
        .lines()
        .map_while(Result::ok)
        .take_while(|l| !l.is_empty())
        .collect();
    let header = |name: &str| {
        headers
            .iter()
            .find_map(|line| {
                line.split_once(": ")
                    .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            })
            .map(|(_, v)| v)
    };
    let range =
        header("range").and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    tell.send(range.map_or("all".to_owned(), |start| format!("from {start}")))?;
    let (file, tag) = match answer {
        Answer::Other(other) => (*other, "\"other\""),
        _ => (file, "\"tag\""),
    };
    let start = range.filter(|_| header("if-range") == Some(tag)).unwrap_or(0);
    let status = if start > 0 {
        "206 Partial Content"
    } else {
        "200 OK"
    };
    let mut rest = &file[start..];
    let mut length = rest.len();
    match answer {
        Answer::Status(status) => {
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            return Ok(());
        }
        Answer::HangUp => return Ok(()),
        Answer::Cut(after) => rest = &rest[..*after],
        Answer::Endless => length = 1 << 40,
        Answer::Serve | Answer::Other(_) => {}
    }
    let end = file.len() - 1;
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\netag: {tag}\r\ncontent-length: {length}\r\ncontent-range: bytes {start}-{end}/{}\r\nconnection: close\r\n\r\n",
        file.len()
    );
    let _ = stream.write_all(rest);
    Ok(())
}

const FILE: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

fn model() -> ModelRef {
    ModelRef {
        sha256: Digest::of(FILE),
        size: FILE.len() as u64,
        url: "/blobs/dish".into(),
    }
}

struct Store {
    dir: tempfile::TempDir,
    models: Models,
    told: mpsc::Receiver<String>,
}

impl Store {
    fn new(answers: Vec<Answer>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (base, told) = serve(FILE, answers);
        let limits = Limits {
            retry: Duration::from_millis(1),
            retry_limit: Duration::from_millis(2),
            give_up: Duration::from_millis(50),
            ..Limits::default()
        };
        let models = Models::open(dir.path(), Some(base), limits).unwrap();
        Self { dir, models, told }
    }

    /// `ok`, or the code of the failure; then what the server was asked.
    fn ensure(&self) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let outcome = match runtime.block_on(self.models.ensure("dish", &model())) {
            Ok(path) => {
                assert_eq!(std::fs::read(path).unwrap(), FILE);
                "ok"
            }
            Err(failure) => {
                assert!(!self.models.path(&model().sha256).exists());
                failure.code
            }
        };
        let asked: Vec<String> = self.told.try_iter().collect();
        format!("{outcome}: {}", asked.join(", "))
    }
}

#[test]
fn goes_on_where_it_was_cut() {
    let store = Store::new(vec![
        Answer::Cut(10),
        Answer::HangUp,
        Answer::Cut(6),
        Answer::Serve,
    ]);
    assert_eq!(store.ensure(), "ok: all, from 10, from 10, from 16");
    assert_eq!(store.ensure(), "ok: ", "what is here is not asked for again");
    assert_eq!(
        std::fs::read_dir(store.dir.path()).unwrap().count(),
        1,
        "nothing is left beside the model"
    );
}

#[test]
fn goes_on_after_a_kill() {
    let store = Store::new(vec![Answer::Serve]);
    let part = format!("{}.part", model().sha256.as_str());
    std::fs::write(store.dir.path().join(part), &FILE[..7]).unwrap();
    std::fs::write(
        store.dir.path().join(format!("{}.etag", model().sha256.as_str())),
        "\"tag\"",
    )
    .unwrap();
    assert_eq!(store.ensure(), "ok: from 7");
}

#[test]
fn another_file_on_the_server_is_taken_from_its_start() {
    let other: &[u8] = b"other bytes of the very same length!";
    let store = Store::new(vec![Answer::Cut(10), Answer::Other(other), Answer::Serve]);
    assert_eq!(store.ensure(), "ok: all, from 10, all");
    let store = Store::new(vec![Answer::Other(other)]);
    assert_eq!(store.ensure(), "DigestMismatch: all, all");
}

#[test]
fn a_damaged_part_is_taken_for_the_server_s_only_the_second_time() {
    let store = Store::new(vec![Answer::Serve]);
    let part = format!("{}.part", model().sha256.as_str());
    std::fs::write(store.dir.path().join(&part), b"damaged").unwrap();
    std::fs::write(
        store.dir.path().join(format!("{}.etag", model().sha256.as_str())),
        "\"tag\"",
    )
    .unwrap();
    assert_eq!(store.ensure(), "ok: from 7, all");
}

#[test]
fn a_damaged_model_is_fetched_anew() {
    let store = Store::new(vec![Answer::Serve]);
    std::fs::write(
        store.models.path(&model().sha256),
        b"0123456789abcdefghijklmnopqrstuvwxy!",
    )
    .unwrap();
    assert_eq!(store.ensure(), "ok: all");
}

#[test]
fn gives_up_with_the_reason() {
    assert_eq!(Store::new(vec![Answer::Endless]).ensure(), "TooLarge: all");
    let refused = Store::new(vec![Answer::Status("404 Not Found")]).ensure();
    assert_eq!(refused, "DownloadFailed: all, all, all, all, all");
    assert!(
        Store::new(vec![Answer::HangUp])
            .ensure()
            .starts_with("DownloadFailed: all, all")
    );
    let passing = vec![
        Answer::Status("503 Service Unavailable"),
        Answer::Status("404 Not Found"),
        Answer::Serve,
    ];
    assert_eq!(Store::new(passing).ensure(), "ok: all, all, all");
}

#[test]
fn too_large_is_refused_before_a_byte_is_asked_for() {
    let store = Store::new(vec![Answer::Serve]);
    let models = Models {
        limits: Limits {
            size: 10,
            ..Limits::default()
        },
        ..store.models
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    assert_eq!(
        runtime
            .block_on(models.ensure("dish", &model()))
            .unwrap_err()
            .code,
        "TooLarge"
    );
    assert_eq!(store.told.try_iter().count(), 0);
}

#[test]
fn collects_all_but_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let models = Models::open(dir.path(), None, Limits::default()).unwrap();
    let (keep, drop) = (Digest::of(b"keep"), Digest::of(b"drop"));
    for name in ["", ".part", ".etag"] {
        for digest in [&keep, &drop] {
            std::fs::write(dir.path().join(format!("{}{name}", digest.as_str())), b"x").unwrap();
        }
    }
    std::fs::write(dir.path().join("stray"), b"x").unwrap();
    models.collect(&[keep.clone()].into()).unwrap();
    let left: Vec<String> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left.len(), 3);
    assert!(
        left.iter().all(|name| name.starts_with(keep.as_str())),
        "{left:?}"
    );
}
