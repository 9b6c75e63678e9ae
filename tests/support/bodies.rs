//! A server of fixed texts, for a Prometheus to scrape.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Answers `GET /N` with the text of number N until it is dropped.
#[derive(Debug)]
pub struct Bodies {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Bodies {
    pub fn serve(bodies: Arc<Vec<Vec<u8>>>) -> Self {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let serve = |_| {
            let (listener, stopping, bodies) = (listener.clone(), stopping.clone(), bodies.clone());
            thread::spawn(move || {
                loop {
                    let (stream, _) = listener.accept().unwrap();
                    if stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    // The client may have gone.
                    let _ = answer(stream, &bodies);
                }
            })
        };
        let threads = (0..4).map(serve).collect();
        Self { address, stopping, threads }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Bodies {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        for _ in &self.threads {
            // Wakes one of them.
            let _ = TcpStream::connect(self.address);
        }
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            if !thread::panicking() {
                ended.expect("a thread of the server");
            }
        }
    }
}

fn answer(mut stream: TcpStream, bodies: &[Vec<u8>]) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let number = request.strip_prefix("GET /").and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
    let body = number.map_or(&[][..], |number| &bodies[number]);
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(body)
}
