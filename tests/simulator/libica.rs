//! Independent clients, `libica` and `wrapica` from `PyPI`, over a real socket in real time.

use std::{path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use copy_manager::simulator::{Settings, Simulator, serve};
use tokio::{net::TcpListener, process::Command, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::support::{skipped, world};

#[expect(clippy::disallowed_methods, reason = "the virtual environment may be shared with another checkout")]
fn python(variable: &str, folder: &str) -> PathBuf {
    let venv = std::env::var(variable).map_or_else(|_| root().join(folder), PathBuf::from);
    venv.join("bin/python")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

async fn has(python: &PathBuf, module: &str) -> bool {
    let import = format!("import importlib.util as u, sys; sys.exit(u.find_spec('{module}') is None)");
    let import = Command::new(python).args(["-c", &import]).stderr(Stdio::null()).status();
    import.await.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn libica_finds_nothing_wrong() {
    let python = python("COPY_MANAGER_VENV", ".venv");
    if !has(&python, "libica").await {
        let python = python.display();
        assert!(std::env::var_os("COPY_MANAGER_TEST_ALL").is_none(), "{python} has no libica");
        return skipped(&format!("the simulator was NOT checked by libica; {python} has none"));
    }
    succeeds(&python, "check.py").await;
}

/// It needs Python 3.12 and is installed where there is one.
#[tokio::test]
async fn wrapica_finds_nothing_wrong() {
    let python = python("COPY_MANAGER_WRAPICA_VENV", ".venv-wrapica");
    if !has(&python, "wrapica").await {
        let python = python.display();
        return skipped(&format!(
            "the simulator was NOT checked by wrapica; {python} has none (it needs Python 3.12)"
        ));
    }
    succeeds(&python, "check_wrapica.py").await;
}

/// Runs a script with the address of a simulator.
async fn succeeds(python: &PathBuf, script: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let settings = Settings {
        public_url: url.clone(),
        job_duration: Duration::from_millis(500),
        delete_delay: Duration::from_millis(200),
        index_delay: Duration::from_millis(100),
        ..Settings::default()
    };
    let simulator = Simulator::new(settings, world()).unwrap();
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&simulator).run(stop.clone()));
    tasks.spawn(serve(listener, simulator, stop.clone()));
    let check = Command::new(python)
        .arg(root().join("tests/libica").join(script))
        .arg(&url)
        .kill_on_drop(true)
        .output();
    let check = tokio::time::timeout(Duration::from_mins(2), check).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&check.stdout), String::from_utf8_lossy(&check.stderr));
    assert!(check.status.success(), "{}\n{out}\n{err}", check.status);
    stop.cancel();
    while tasks.join_next().await.is_some() {}
}
