//! A run over the tables of a replica that is there already, each of which has changed a little.

#[path = "../support/replica.rs"]
#[expect(dead_code, reason = "scenarios use the rest")]
mod memory;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use copy_manager::{
    config::DEFAULT,
    dap::{
        self, Dap, Ways,
        places::{InStore, Rates},
        settings::Limits,
    },
    domain::replica::settings::CanvasSettings,
    planes::table::Replicated,
    ports::{
        self,
        chance::Dice,
        messages::{Messages, Target},
    },
    simulator::{
        dap::{DapSettings, DapSimulator, world::DapWorld},
        in_process::InProcess,
    },
};
use secrecy::SecretString;
use serde_json::{Value, json};

use self::memory::Memory;
use crate::{bills, house::House, meter};

const TABLES: usize = 100;

/// Who is told of a run, and says nothing.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl Messages for Silent {
    async fn send(&self, _: &Target, _: &str, _: &str) -> ports::Result<()> {
        Ok(())
    }
}

/// A table of a few rows, one of which changes.
fn table(n: usize) -> Value {
    let row = |id: u64, name: &str| json!({ "key": { "id": id }, "value": { "name": name } });
    let commit = |day: u64, changes: Value| json!({ "at": format!("2025-12-{day:02}T00:00:00Z"), "version": 1, "changes": changes });
    json!({
        "namespace": "canvas", "name": format!("t{n:03}"), "rowsPerPart": 100,
        "key": { "id": { "type": "integer", "format": "int64" } },
        "schemas": [{ "version": 1, "value": { "name": { "type": "string" } } }],
        "commits": [
            commit(1, json!([row(1, "a"), row(2, "b"), row(3, "c")])),
            commit(2, json!([row(1, "changed")])),
        ],
    })
}

fn settings() -> CanvasSettings {
    let default: toml::Table = DEFAULT.parse().unwrap();
    let mut canvas = default["canvas"].clone();
    canvas.as_table_mut().unwrap().retain(|_, value| value.as_str() != Some(""));
    canvas.try_into().unwrap()
}

/// What the second run takes.
pub(crate) async fn run() -> BTreeMap<String, f64> {
    let (mut house, meter) = bills::metered(House::new(&[], &[], &[], |_| ()).await).await;
    let world: DapWorld =
        serde_json::from_value(json!({ "tables": (0..TABLES).map(table).collect::<Vec<_>>() })).unwrap();
    let at = DapSettings { epoch: house.clock.epoch, ..DapSettings::default() };
    let platform = DapSimulator::new(at, world).unwrap();
    let settings = settings();
    let of = dap::Settings {
        base_url: "http://127.0.0.1:1235".to_owned(),
        client_id: "us-east-1#simulator".to_owned(),
        client_secret: SecretString::from("simulator-secret"),
        url_hosts: Vec::new(),
        limits: Limits::NONE,
        minute: settings.minute,
        ..dap::Settings::default()
    };
    let transport = Arc::new(InProcess::to(platform.router()));
    let ways = Ways { calls: transport.clone(), files: transport };
    let dice = Arc::new(Dice::from_seed(5));
    let rates = Rates { limits: Limits::NONE, minute: settings.minute };
    let store =
        Arc::new(meter::Metered(Arc::new(house.store()) as Arc<dyn ports::store::Store>, meter.clone()));
    let places = InStore::new(store, house.clock.clone(), dice.clone(), &of.client_id, rates);
    let source = Dap::new(ways, Arc::new(places), house.clock.clone(), dice, &of).unwrap();
    house.replicated = vec![Replicated {
        settings: Arc::new(settings),
        source: Arc::new(source),
        replica: Arc::new(Memory::default()),
        messages: Arc::new(Silent),
    }];
    let _logged = meter::logs(&meter);
    let instance = house.instance();
    for (token, commit) in [("one", 0), ("two", 1)] {
        platform.control(json!({ "commit": commit })).unwrap();
        meter.clear();
        let detail = json!({ "taskToken": token, "payload": {} });
        let event =
            json!({ "id": token, "source": "test", "detail-type": "CanvasReplicaSync", "detail": detail });
        house.queue.push(event.to_string()).await.unwrap();
        let output = house.success(token, Duration::from_hours(1)).await;
        assert_eq!(output["complete"].as_array().unwrap().len(), TABLES);
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    drop(instance);
    bills::by_event(meter.figures(&house, &[], 1))
}
