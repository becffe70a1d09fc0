//! The table, in DynamoDB: keys `id` and `id_type`, index `due` (`deploy/stateful.yaml`).
//!
//! The SDK may try a write again after its answer was lost, and then finds its own condition
//! broken: a writer recognises its own write in the item that `Refused` carries. An update of nothing but
//! removals does not make an item that is not there.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    operation::{
        delete_item::DeleteItemError, put_item::PutItemError, query::builders::QueryFluentBuilder,
        update_item::UpdateItemError,
    },
    types::{
        AttributeValue, KeysAndAttributes, ReturnValue, ReturnValuesOnConditionCheckFailure,
        error::ConditionalCheckFailedException,
    },
};
use tokio::time::sleep;

use super::{
    error::classify,
    expressions::Expressions,
    items::{self, Attributes, ID, ID_TYPE},
    transaction,
};
use crate::ports::{
    Class, Error, Result,
    chance::Chance,
    store::{
        Action, CREATED_AT, Change, Condition, DAY, DUE_AT, DUE_SHARD, Due, Item, Key, MAX_ITEM_BYTES,
        Recent, Store, Transacted, Value, Write, Written, apply, bytes_of,
    },
};

/// How many keys one `BatchGetItem` takes.
const MAX_KEYS: usize = 100;
/// The waits before keys that were left unprocessed are asked for again.
const ASK_AGAIN: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1600)];

/// The table in DynamoDB.
#[derive(Debug)]
pub struct DynamoStore {
    client: Client,
    table: String,
    chance: Arc<dyn Chance>,
}

impl DynamoStore {
    /// The table of that name.
    pub fn new(client: Client, table: impl Into<String>, chance: Arc<dyn Chance>) -> Self {
        Self { client, table: table.into(), chance }
    }

    async fn put(&self, item: Item, conditions: &[Condition]) -> Result<Written> {
        check_size(&item.key, &item.attributes)?;
        let mut expressions = Expressions::default();
        let condition = expressions.condition(conditions);
        let answer = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(items::encode(&item.key, &item.attributes)))
            .set_condition_expression(condition)
            .set_expression_attribute_names(expressions.take_names())
            .set_expression_attribute_values(expressions.take_values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Written::Done(Some(item))),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => refused(failed),
                _ => Err(classify("PutItem", error)),
            },
        }
    }

    async fn update(&self, key: &Key, changes: &[Change], conditions: &[Condition]) -> Result<Written> {
        let mut expressions = Expressions::default();
        let condition = expressions.condition(conditions);
        let update = expressions.update(changes);
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(items::key(key)))
            .set_update_expression(update)
            .set_condition_expression(condition)
            .set_expression_attribute_names(expressions.take_names())
            .set_expression_attribute_values(expressions.take_values())
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(Written::Done(answer.attributes.map(items::decode).transpose()?)),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => refused(failed),
                _ => Err(classify("UpdateItem", error)),
            },
        }
    }

    async fn delete(&self, key: &Key, conditions: &[Condition]) -> Result<Written> {
        let mut expressions = Expressions::default();
        let condition = expressions.condition(conditions);
        let answer = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(items::key(key)))
            .set_condition_expression(condition)
            .set_expression_attribute_names(expressions.take_names())
            .set_expression_attribute_values(expressions.take_values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Written::Done(None)),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(failed)) => refused(failed),
                _ => Err(classify("DeleteItem", error)),
            },
        }
    }

    /// Asks for at most [`MAX_KEYS`] keys, and again for those that were left out.
    async fn get_batch(&self, keys: &[Key]) -> Result<Vec<Item>> {
        let mut wanted: Vec<Attributes> = keys.iter().map(items::key).collect();
        let mut found = Vec::with_capacity(wanted.len());
        let mut waits = ASK_AGAIN.into_iter();
        loop {
            let request =
                KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build().map_err(
                    |error| Error::new(Class::Invalid, "BatchGetItem", "no keys").caused_by(error),
                )?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.table, request)
                .send()
                .await
                .map_err(|error| classify("BatchGetItem", error))?;
            for attributes in answer.responses.into_iter().flat_map(HashMap::into_values).flatten() {
                found.push(items::decode(attributes)?);
            }
            wanted = answer
                .unprocessed_keys
                .into_iter()
                .flat_map(HashMap::into_values)
                .flat_map(|left| left.keys)
                .collect();
            if wanted.is_empty() {
                return Ok(found);
            }
            match waits.next() {
                Some(wait) => sleep(wait).await,
                None => {
                    return Err(Error::new(Class::Throttled, "BatchGetItem", "keys were left unprocessed"));
                }
            }
        }
    }

    /// Entries of one shard of the index `due` whose time is as the condition on `#at` says.
    async fn entries(
        &self,
        shard: u8,
        when: &str,
        at: i64,
        earliest_first: bool,
        limit: usize,
    ) -> Result<Vec<Due>> {
        let mut entries = self
            .query_index("due")
            .key_condition_expression(format!("#shard = :shard AND {when}"))
            .expression_attribute_names("#shard", DUE_SHARD)
            .expression_attribute_names("#at", DUE_AT)
            .expression_attribute_values(":shard", AttributeValue::N(shard.to_string()))
            .expression_attribute_values(":at", AttributeValue::N(at.to_string()))
            .scan_index_forward(earliest_first)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX).max(1))
            .into_paginator()
            .items()
            .send();
        let mut due = Vec::new();
        while due.len() < limit {
            match entries.next().await {
                Some(entry) => due.push(decode_due(entry.map_err(|error| classify("Query", error))?)?),
                None => break,
            }
        }
        Ok(due)
    }

    fn query_index(&self, index: &str) -> QueryFluentBuilder {
        self.client.query().table_name(&self.table).index_name(index)
    }
}

#[async_trait]
impl Store for DynamoStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(items::key(key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| classify("GetItem", error))?;
        answer.item.map(items::decode).transpose()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>> {
        let mut keys = keys.to_vec();
        keys.sort();
        keys.dedup();
        let mut found = Vec::with_capacity(keys.len());
        for batch in keys.chunks(MAX_KEYS) {
            found.append(&mut self.get_batch(batch).await?);
        }
        Ok(found)
    }

    async fn query(&self, id: &str, prefix: &str) -> Result<Vec<Item>> {
        let mut request = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .expression_attribute_names("#id", ID)
            .expression_attribute_values(":id", AttributeValue::S(id.to_owned()));
        // DynamoDB refuses an empty prefix.
        request = if prefix.is_empty() {
            request.key_condition_expression("#id = :id")
        } else {
            request
                .key_condition_expression("#id = :id AND begins_with(#type, :prefix)")
                .expression_attribute_names("#type", ID_TYPE)
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
        };
        let found = request.into_paginator().items().send().try_collect().await;
        let found: Vec<Attributes> = found.map_err(|error| classify("Query", error))?;
        found.into_iter().map(items::decode).collect()
    }

    async fn write(&self, write: Write) -> Result<Written> {
        let Write { key, action, conditions } = write;
        match action {
            Action::Put(attributes) => self.put(Item { key, attributes }, &conditions).await,
            Action::Update(changes) => self.update(&key, &changes, &conditions).await,
            Action::Delete => self.delete(&key, &conditions).await,
            Action::Check => {
                let current = self.get(&key).await?;
                let check = Write { key, action: Action::Check, conditions };
                Ok(match apply(current.as_ref(), &check)? {
                    Written::Done(_) => Written::Done(None),
                    refused @ Written::Refused(_) => refused,
                })
            }
        }
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted> {
        if writes.is_empty() {
            return Ok(Transacted::Done);
        }
        for write in &writes {
            if let Action::Put(attributes) = &write.action {
                check_size(&write.key, attributes)?;
            }
        }
        let actions =
            writes.iter().map(|write| transaction::action(&self.table, write)).collect::<Result<_>>()?;
        let answer = self
            .client
            .transact_write_items()
            .set_transact_items(Some(actions))
            // The SDK's own further attempts carry the same token, so they cannot happen twice.
            .client_request_token(self.chance.uuid().to_string())
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Transacted::Done),
            Err(error) => transaction::cancelled(error),
        }
    }

    async fn due(&self, shard: u8, until: i64, limit: usize) -> Result<Vec<Due>> {
        self.entries(shard, "#at <= :at", until, true, limit).await
    }

    async fn due_after(&self, shard: u8, after: i64, limit: usize) -> Result<Vec<Due>> {
        self.entries(shard, "#at > :at", after, false, limit).await
    }

    async fn recent(&self, day: i64, before: i64, limit: usize) -> Result<Vec<Recent>> {
        let mut entries = self
            .query_index("recent")
            .key_condition_expression("#day = :day AND #at < :before")
            .expression_attribute_names("#day", DAY)
            .expression_attribute_names("#at", CREATED_AT)
            .expression_attribute_values(":day", AttributeValue::N(day.to_string()))
            .expression_attribute_values(":before", AttributeValue::N(before.to_string()))
            .scan_index_forward(false)
            // One more tells that no other was made in the same millisecond as the last.
            .limit(i32::try_from(limit).unwrap_or(i32::MAX).saturating_add(1))
            .into_paginator()
            .items()
            .send();
        let mut recent: Vec<Recent> = Vec::new();
        while let Some(entry) = entries.next().await {
            let mut attributes = entry.map_err(|error| classify("Query", error))?;
            let key = items::take_key(&mut attributes)?;
            let created_at = number(&attributes, CREATED_AT)
                .ok_or_else(|| items::unreadable(format!("{key} in the index `recent` without a number")))?;
            if recent.len() >= limit && recent.last().is_none_or(|last| last.created_at != created_at) {
                break;
            }
            recent.push(Recent { key, created_at });
        }
        Ok(recent)
    }
}

fn refused(failed: &ConditionalCheckFailedException) -> Result<Written> {
    Ok(Written::Refused(failed.item().cloned().map(items::decode).transpose()?))
}

/// Says the same about a large item as [`apply`] does, and before it is sent.
fn check_size(key: &Key, attributes: &BTreeMap<String, Value>) -> Result<()> {
    if bytes_of(key, attributes) > MAX_ITEM_BYTES {
        let message = format!("item {key} is larger than 400 KB");
        return Err(Error::new(Class::Invalid, "PutItem", message));
    }
    Ok(())
}

fn decode_due(mut attributes: Attributes) -> Result<Due> {
    let key = items::take_key(&mut attributes)?;
    match number(&attributes, DUE_AT) {
        Some(due_at) => Ok(Due { key, due_at }),
        None => Err(items::unreadable(format!("{key} in the due index without a number"))),
    }
}

fn number(attributes: &Attributes, name: &str) -> Option<i64> {
    attributes.get(name)?.as_n().ok()?.parse().ok()
}
