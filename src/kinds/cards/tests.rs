//! Cards in a table.

use pretty_assertions::assert_eq;

use super::*;
use crate::{
    embedded::{database::Database, store::SqliteStore},
    ports::clock::{Clock as _, SystemClock},
};

const DAY: Duration = Duration::from_hours(24);

fn cards() -> (Cards, Arc<dyn Store>, Timestamp) {
    let clock = Arc::new(SystemClock::new());
    let now = clock.now();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::new(Database::in_memory().unwrap(), clock));
    (Cards::new(store.clone(), 30 * DAY), store, now)
}

fn card(name: &str, at: Timestamp) -> Card {
    Card { name: name.to_owned(), ..Card::unknown(at) }
}

async fn put(cards: &Cards, store: &Arc<dyn Store>, id: &RequestId, card: &Card) {
    let items = cards.items(id, card).unwrap();
    store.transact(items.into_iter().map(Write::put_new).collect()).await.unwrap();
}

#[tokio::test]
async fn a_card_that_was_deleted_stays_so_whatever_is_told_of_it_later() {
    let (cards, store, now) = cards();
    let (id, other) =
        (RequestId::new("pkg.01M8P176469MSSA0NDVMCQHTP0"), RequestId::new("pkg.01M8P176469MSSA0NDVMCQHTP1"));
    let (mine, others) = (card("mine", now), card("mine", now));
    put(&cards, &store, &id, &mine).await;
    put(&cards, &store, &other, &others).await;
    let later = now + jiff::SignedDuration::from_secs(1);
    assert_eq!(cards.all(Shared::Package, None, later).await.unwrap().len(), 2);
    cards.delete(&id, &mine).await.unwrap();
    // Its root may tell how it has ended after that, and a retry may come late.
    let ended = Ended { error: None, ..Ended::lost(later) };
    cards.end(&id, &mine, &ended).await.unwrap();
    cards.again(&id, &mine, 2).await.unwrap();
    cards.delete(&id, &mine).await.unwrap();
    assert_eq!(cards.of(&id).await.unwrap(), None);
    let left: Vec<_> =
        cards.all(Shared::Package, None, later).await.unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(left, std::slice::from_ref(&other));
    assert_eq!(cards.of_name("mine", later, DAY).await.unwrap(), std::slice::from_ref(&other));
    // The other one is as it was, and is told of.
    cards.end(&other, &others, &ended).await.unwrap();
    assert_eq!(cards.of(&other).await.unwrap().unwrap().end, Some(ended.clone()));
    let (_, listed) = cards.all(Shared::Package, None, later).await.unwrap().swap_remove(0);
    assert_eq!(listed.end, Some(ended));
}

#[tokio::test]
async fn a_push_is_in_no_list_of_packages() {
    let (cards, store, now) = cards();
    let push = RequestId::new("psh.01M8P176469MSSA0NDVMCQHTP0");
    let card = card("mine", now);
    put(&cards, &store, &push, &card).await;
    let later = now + jiff::SignedDuration::from_secs(1);
    assert_eq!(cards.all(Shared::Package, None, later).await.unwrap(), []);
    assert_eq!(cards.all(Shared::Push, None, later).await.unwrap(), [(push.clone(), card.clone())]);
    cards.delete(&push, &card).await.unwrap();
    assert_eq!(cards.all(Shared::Push, None, later).await.unwrap(), []);
}
