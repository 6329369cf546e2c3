//! A real Postgres for tests: one throw-away server a test process, a fresh migrated database a test.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, mpsc};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::OnceCell;

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// A database of one test's own.
#[derive(Debug)]
pub struct TestDb {
    pub pool: PgPool,
    pub options: PgConnectOptions,
}

impl TestDb {
    /// Ends every connection to this database, in the middle of whatever it does.
    pub async fn kill_connections(&self) {
        let name = self.options.get_database().unwrap();
        let mut admin = PgConnection::connect_with(&self.options.clone().database("postgres"))
            .await
            .unwrap();
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        sqlx::query(sql).bind(name).execute(&mut admin).await.unwrap();
    }
}

pub async fn database() -> TestDb {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static TEMPLATE: OnceCell<()> = OnceCell::const_new();
    let server = server();
    TEMPLATE
        .get_or_init(async || {
            create(&server.clone().database("postgres"), "CREATE DATABASE migrated").await;
            let mut conn = PgConnection::connect_with(&server.clone().database("migrated"))
                .await
                .unwrap();
            crate::store::migrator().run_direct(&mut conn).await.unwrap();
            conn.close().await.unwrap();
        })
        .await;
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    create(
        &server.clone().database("postgres"),
        &format!("CREATE DATABASE {name} TEMPLATE migrated"),
    )
    .await;
    let options = server.clone().database(&name);
    let pool = PgPoolOptions::new()
        .max_connections(4)
        .connect_with(options.clone())
        .await
        .unwrap();
    TestDb { pool, options }
}

async fn create(admin: &PgConnectOptions, sql: &str) {
    // One at a time: a template in use can't be copied.
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = ONE.lock().await;
    let mut conn = PgConnection::connect_with(admin).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

fn server() -> &'static PgConnectOptions {
    static SERVER: OnceLock<PgConnectOptions> = OnceLock::new();
    SERVER.get_or_init(|| {
        let folder = folder();
        let (ready, started) = mpsc::channel();
        let of_thread = folder.clone();
        // The server is told to end with the thread that started it, so that thread lives as long as the process.
        std::thread::spawn(move || serve(&of_thread, &ready));
        started
            .recv()
            .expect("Postgres 15 of Debian starts: `make setup` installs it");
        PgConnectOptions::new_without_pgpass()
            .socket(&folder)
            .port(5432)
            .username("postgres")
    })
}

/// Of this process; those of processes that are gone are removed.
fn folder() -> PathBuf {
    const PREFIX: &str = "haizen-test-postgres-";
    let parent = std::env::temp_dir();
    for entry in std::fs::read_dir(&parent).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        if let Some(pid) = name.strip_prefix(PREFIX)
            && !Path::new("/proc").join(pid).exists()
        {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
    let folder = parent.join(format!("{PREFIX}{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    if is_root() {
        assert!(
            Command::new("chown")
                .arg("postgres:")
                .arg(&folder)
                .status()
                .unwrap()
                .success()
        );
    }
    folder
}

fn serve(folder: &Path, ready: &mpsc::Sender<()>) {
    let data = folder.join("data");
    let init = as_postgres("initdb")
        .args([
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--no-sync",
            "--no-instructions",
            "-D",
        ])
        .arg(&data)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(init.success(), "initdb");
    let mut command = as_postgres("postgres");
    command.arg("-D").arg(&data).arg("-k").arg(folder);
    for setting in [
        "listen_addresses=",
        "fsync=off",
        "full_page_writes=off",
        "synchronous_commit=off",
        "shared_buffers=32MB",
        "max_connections=200",
    ] {
        command.args(["-c", setting]);
    }
    let mut child = command
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for line in BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok)
    {
        if line.contains("ready to accept connections") {
            ready.send(()).unwrap();
        }
    }
    drop(child.wait());
}

/// Postgres refuses to run as root.
fn as_postgres(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command
        .args(["--pdeathsig", "INT", "--"])
        .arg(format!("{BIN}/{program}"));
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}
