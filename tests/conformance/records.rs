//! Records of other versions, through the adapters.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use copy_manager::{
    aws::store::DynamoStore,
    embedded::store::SqliteStore,
    engine::schema::Guarded,
    ports::store::{Change, Condition, Key, READS, Store, Write},
};

use crate::{chance, clock, emulator::Emulator, file};

/// A newer version may write attributes of a kind that this one does not know. In any other record they are a defect.
async fn odd_ones_are_left_alone_where_they_are_newer(store: Arc<dyn Store>) {
    let store = Guarded::new(store);
    let newer = store.get(&Key::new("newer", "REQUEST")).await.unwrap_err();
    assert!(newer.is_newer() && newer.is_passing(), "{newer}");
    let wake = Write::update(Key::new("newer", "REQUEST"), vec![Change::Add("wakes".into(), 1)]);
    assert!(store.write(wake.when(Condition::Present)).await.unwrap_err().is_newer());
    let broken = store.get(&Key::new("broken", "REQUEST")).await.unwrap_err();
    assert!(!broken.is_newer() && !broken.is_passing(), "{broken}");
}

#[tokio::test]
async fn attributes_that_are_not_known_are_left_alone_in_a_file() {
    let (directory, database) = file();
    let rows = format!(
        r#"INSERT INTO items (id, id_type, attributes) VALUES
           ('newer', 'REQUEST', '{{"schema": {}, "odd": {{"a": 1}}}}'), ('broken', 'REQUEST', '{{"odd": {{"a": 1}}}}')"#,
        READS + 1
    );
    rusqlite::Connection::open(directory.path().join("test.sqlite")).unwrap().execute_batch(&rows).unwrap();
    odd_ones_are_left_alone_where_they_are_newer(Arc::new(SqliteStore::new(database, clock()))).await;
}

#[tokio::test]
async fn attributes_that_are_not_known_are_left_alone_in_dynamodb() {
    let Some(emulator) = Emulator::start().await else { return };
    let table = emulator.deploy("odd").await.table_name;
    let client = emulator.clients().await.dynamodb;
    for (id, schema) in [("newer", READS + 1), ("broken", READS)] {
        let put = client.put_item().table_name(&table);
        let put =
            put.item("id", AttributeValue::S(id.into())).item("id_type", AttributeValue::S("REQUEST".into()));
        let put = put.item("schema", AttributeValue::N(schema.to_string()));
        put.item("odd", AttributeValue::M([("a".into(), AttributeValue::Bool(true))].into()))
            .send()
            .await
            .unwrap();
    }
    odd_ones_are_left_alone_where_they_are_newer(Arc::new(DynamoStore::new(client, table, chance()))).await;
}
