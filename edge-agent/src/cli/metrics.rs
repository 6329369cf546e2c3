//! `run --metrics-address`: the run's figures for Prometheus, without a web server.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// The page as it was last made; its thread ends with the process.
#[derive(Debug)]
pub(super) struct Metrics {
    page: Arc<Mutex<String>>,
    address: SocketAddr,
}

/// Whoever takes longer to ask or to read is let go: the next one waits behind it.
const PATIENCE: Duration = Duration::from_secs(2);
/// What a scraper sends is far shorter.
const LONGEST_REQUEST: usize = 8 * 1024;

impl Metrics {
    pub(super) fn serve(address: SocketAddr) -> Result<Self> {
        let listener =
            TcpListener::bind(address).with_context(|| format!("listen on {address} for Prometheus"))?;
        let page = Arc::<Mutex<String>>::default();
        let metrics = Self {
            page: Arc::clone(&page),
            address: listener.local_addr()?,
        };
        thread::Builder::new().name("metrics".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                let page = page.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // Whoever hung up has what it wanted, or asks again.
                drop(answer(stream, &page));
            }
        })?;
        Ok(metrics)
    }

    pub(super) fn set(&self, page: String) {
        *self.page.lock().unwrap_or_else(PoisonError::into_inner) = page;
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn answer(mut stream: TcpStream, page: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < LONGEST_REQUEST {
        match stream.read(&mut part)? {
            0 => break,
            read => request.extend(part.iter().take(read)),
        }
    }
    stream.write_all(response(&request, page).as_bytes())
}

fn response(request: &[u8], page: &str) -> String {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let asked = (words.next(), words.next());
    let (status, kind, body) = match asked {
        (Some(b"GET"), Some(b"/metrics")) => ("200 OK", "text/plain; version=0.0.4; charset=utf-8", page),
        (Some(b"GET"), _) => ("404 Not Found", "text/plain", "The figures are under /metrics.\n"),
        _ => ("405 Method Not Allowed", "text/plain", "Only GET.\n"),
    };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_what_is_asked() {
        let status = |request: &str| {
            response(request.as_bytes(), "up 1\n")
                .lines()
                .next()
                .map(str::to_owned)
        };
        let table = [
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK"),
            ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"),
            (
                "POST /metrics HTTP/1.1\r\n\r\n",
                "HTTP/1.1 405 Method Not Allowed",
            ),
            ("", "HTTP/1.1 405 Method Not Allowed"),
        ];
        for (request, wanted) in table {
            assert_eq!(status(request).as_deref(), Some(wanted), "{request}");
        }
    }

    #[test]
    fn serves_the_page_that_was_last_set() {
        let metrics = Metrics::serve(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        for page in ["up 1\n", "up 2\n"] {
            metrics.set(page.to_owned());
            let mut stream = TcpStream::connect(metrics.address()).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert!(text.ends_with(&format!("\r\n\r\n{page}")), "{text}");
        }
    }
}
