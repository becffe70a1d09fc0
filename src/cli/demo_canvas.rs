//! `demo canvas`: a simulated school, replicated into a PostgreSQL that is there; a change of a table's definition under
//! a view; and an audit.
//!
//! The platform is a process of this program, and so is each command: what is shown is what anybody would type.

use std::{fs, process::ExitCode};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    demo_share::{Running, Stage},
    exit::Ended,
    output,
};
use crate::app::demo_database;

/// Tables that are shown.
const TABLES: &str = "users,courses,enrollments";

/// Replicates, changes, compares.
pub(super) async fn run(keep: bool) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let Some(url) =
        std::env::var_os("DATABASE_URL").and_then(|url| url.into_string().ok()).filter(|url| !url.is_empty())
    else {
        let why = "set DATABASE_URL to a PostgreSQL without a replica, as postgresql://postgres@127.0.0.1:5432/postgres";
        return Err(Ended::Refused(why.to_owned()).into());
    };
    let database = demo_database(&url)?;
    if !database.is_free().await? {
        let why = "the database of DATABASE_URL holds a replica already, or what is left of one: take another database";
        return Err(Ended::Refused(why.to_owned()).into());
    }
    let folder = std::env::temp_dir().join(format!("copy-manager-demo-canvas.{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(folder.join("world.json"), json!({ "projects": [] }).to_string())?;

    let simulate =
        ["simulate", "--listen", "127.0.0.1:0", "--dap-listen", "127.0.0.1:0", "--world", "world.json"];
    let mut platform = Running::start("simulator", &folder, &simulate, &[])?;
    let address = format!("http://{}", platform.address("simulated DAP is ready").await?);
    let environment = vec![
        ("DAP_API_URL", address.clone()),
        ("DAP_CLIENT_ID", "us-east-1#simulator".to_owned()),
        ("DAP_CLIENT_SECRET", "simulator-secret".to_owned()),
        ("DAP_CONNECTION_STRING", url),
    ];
    let stage = Stage { folder, environment };
    let time = async |commit: u32| -> anyhow::Result<()> {
        let moved =
            reqwest::Client::new().post(format!("{address}/_control")).json(&json!({ "commit": commit }));
        moved.send().await?.error_for_status().context("the simulated platform has not moved on")?;
        Ok(())
    };

    time(0).await?;
    stage.run(&["canvas", "sync", "--table", TABLES, "--once"]).await?;
    output::talk(
        "\nsomebody makes a view over courses, and hours later the platform has changes and a new schema",
    );
    database.make_view().await?;
    time(2).await?;
    stage.run(&["canvas", "plan", "--table", "courses"]).await?;
    let told: Value =
        serde_json::from_str(&stage.run(&["canvas", "sync", "--table", TABLES, "--once"]).await?)?;
    stage.run(&["canvas", "status"]).await?;
    let audit = stage.run(&["canvas", "audit", "--table", "courses", "--once"]).await?;
    let audit: Value = serde_json::from_str(&audit)?;
    let differs = ["missing", "extra", "different"]
        .into_iter()
        .any(|what| audit.pointer(&format!("/tables/0/audit/{what}")) != Some(&json!(0)));
    if told.get("complete_with_update") != Some(&json!(["courses"])) || differs {
        bail!("the replica is not what it should be");
    }
    if !keep {
        database.drop_view().await?;
        stage.run(&["canvas", "drop", "--table", TABLES, "--once"]).await?;
        database.clear().await?;
    }
    output::data(format_args!(
        "\nthree tables were replicated, changed under a view, and audited without a difference in {:.1} s",
        start.elapsed().as_secs_f64()
    ))?;
    drop(platform);
    drop(fs::remove_dir_all(&stage.folder));
    Ok(ExitCode::SUCCESS)
}
