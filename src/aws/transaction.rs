//! Transactions: what is sent, and what a cancelled one means.

use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{BuildError, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{CancellationReason, ConditionCheck, Delete, Put, TransactWriteItem, Update},
};

use super::{
    error::{classify, of_entry},
    expressions::Expressions,
    items,
};
use crate::ports::{
    Class, Error, Result,
    store::{Action, Transacted, Write},
};

const OPERATION: &str = "TransactWriteItems";

/// One write of a transaction.
pub(super) fn action(table: &str, write: &Write) -> Result<TransactWriteItem> {
    build(table, write).map_err(|error| {
        Error::new(Class::Invalid, OPERATION, "an action lacks what it needs").caused_by(error)
    })
}

fn build(table: &str, write: &Write) -> Result<TransactWriteItem, BuildError> {
    let mut expressions = Expressions::default();
    let condition = expressions.condition(&write.conditions);
    let update = match &write.action {
        Action::Update(changes) => expressions.update(changes),
        Action::Put(_) | Action::Delete | Action::Check => None,
    };
    let (names, values) = (expressions.take_names(), expressions.take_values());
    let item = TransactWriteItem::builder();
    let item = match &write.action {
        Action::Put(attributes) => item.put(
            Put::builder()
                .table_name(table)
                .set_item(Some(items::encode(&write.key, attributes)))
                .set_condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .build()?,
        ),
        Action::Update(_) => item.update(
            Update::builder()
                .table_name(table)
                .set_key(Some(items::key(&write.key)))
                .set_update_expression(update)
                .set_condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .build()?,
        ),
        Action::Delete => item.delete(
            Delete::builder()
                .table_name(table)
                .set_key(Some(items::key(&write.key)))
                .set_condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .build()?,
        ),
        Action::Check => item.condition_check(
            ConditionCheck::builder()
                .table_name(table)
                .set_key(Some(items::key(&write.key)))
                .set_condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .build()?,
        ),
    };
    Ok(item.build())
}

/// What became of a transaction that did not happen. A condition that did not hold is an answer;
/// everything else that cancels a transaction is an error.
pub(super) fn cancelled(error: SdkError<TransactWriteItemsError, HttpResponse>) -> Result<Transacted> {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error()
    else {
        return Err(classify(OPERATION, error));
    };
    let reasons = cancelled.cancellation_reasons();
    let refused: Vec<usize> = reasons
        .iter()
        .enumerate()
        .filter(|(_, reason)| reason.code() == Some("ConditionalCheckFailed"))
        .map(|(position, _)| position)
        .collect();
    if !refused.is_empty() {
        return Ok(Transacted::Refused(refused));
    }
    let codes = reasons.iter().filter_map(CancellationReason::code).filter(|code| *code != "None");
    // Being told to slow down weighs more than a conflict, and a mistake of ours more than both.
    let worst = codes.map(|code| of_entry(OPERATION, code)).max_by_key(|error| match error.class {
        Class::Transient => 0,
        Class::Throttled => 1,
        _ => 2,
    });
    Err(worst.unwrap_or_else(|| Error::new(Class::Transient, OPERATION, "cancelled without a reason")))
}
