//! Clients, users, codes and tokens.

use std::sync::Arc;

use lethe_auth::{AccountId, AuthMethods, ClientId, IssuedTokens, KeyedHash, User};
use lethe_store::{AddedUser, NewClient, RefreshUse, UserFilter};
use tokio::task::JoinSet;

use crate::{Backend, Harness, harness::account_of};

const LIFETIME_MS: i64 = 1_000;

fn c1() -> ClientId {
    ClientId("c1".into())
}

fn hash(number: u8) -> KeyedHash {
    KeyedHash([number; 32])
}

async fn add_other_client<B: Backend>(harness: &Harness<B>) -> ClientId {
    let client_id = ClientId("c2".into());
    let client =
        NewClient { client_id: client_id.clone(), name: "a".into(), auth: AuthMethods::Headers, may_hold: false, secret_hash: hash(200) };
    harness.store().add_client(&client).await.unwrap();
    client_id
}

/// A pair whose access token is `number` and whose refresh token is `number + 1`.
fn pair<B: Backend>(harness: &Harness<B>, number: u8) -> IssuedTokens {
    let now_ms = lethe_store::Clock::now(harness.clock.as_ref()).as_unix_ms();
    IssuedTokens {
        family: hash(number + 1),
        access_hash: hash(number),
        access_expires_on_ms: now_ms + LIFETIME_MS,
        refresh_hash: hash(number + 1),
        refresh_expires_on_ms: now_ms + 2 * LIFETIME_MS,
    }
}

async fn put_code<B: Backend>(harness: &Harness<B>, number: u8) {
    let expires_on_ms = pair(harness, number).access_expires_on_ms;
    harness.store().put_code(&hash(number), account_of(&harness.account), expires_on_ms).await.unwrap();
}

async fn is_valid<B: Backend>(harness: &Harness<B>, number: u8) -> bool {
    harness.store().access_token(&hash(number)).await.unwrap().is_some()
}

fn accounts(users: &[User]) -> Vec<AccountId> {
    users.iter().map(|user| user.account_id).collect()
}

pub async fn clients_are_kept_switched_and_given_another_secret<B: Backend>(harness: Harness<B>) {
    let store = harness.store();
    let c2 = add_other_client(&harness).await;
    let (client, secret_hash) = store.client(&c2).await.unwrap().unwrap();
    assert_eq!((client.name.as_str(), client.auth, client.is_active, secret_hash), ("a", AuthMethods::Headers, true, hash(200)));
    let before = store.client(&c1()).await.unwrap();
    assert!(store.set_client_active(&c2, false).await.unwrap());
    assert!(store.set_client_secret(&c2, &hash(201)).await.unwrap());
    let (client, secret_hash) = store.client(&c2).await.unwrap().unwrap();
    assert_eq!((client.is_active, secret_hash), (false, hash(201)));
    assert_eq!(store.client(&c1()).await.unwrap(), before);
    let names: Vec<String> = store.clients().await.unwrap().into_iter().map(|client| client.name).collect();
    assert_eq!(names, ["a", "c1"]);

    let nobody = ClientId("nobody".into());
    assert_eq!(store.client(&nobody).await.unwrap(), None);
    assert!(!store.set_client_active(&nobody, true).await.unwrap());
    assert!(!store.set_client_secret(&nobody, &hash(1)).await.unwrap());
}

pub async fn a_user_is_added_once_even_by_many_at_once<B: Backend>(harness: Harness<B>) {
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let store = harness.store();
        calls.spawn(async move { store.add_user(&c1(), "many").await.unwrap() });
    }
    let outcomes = calls.join_all().await;
    let (added, existing): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|outcome| matches!(outcome, AddedUser::Added(_)));
    assert_eq!((added.len(), existing.len()), (1, 7));
    let AddedUser::Added(user) = &added[0] else { unreachable!() };
    assert!(existing.iter().all(|outcome| *outcome == AddedUser::Exists(user.clone())));
    let c2 = add_other_client(&harness).await;
    let elsewhere = harness.store().add_user(&c2, "many").await.unwrap();
    assert!(matches!(elsewhere, AddedUser::Added(other) if other.account_id != user.account_id));
}

pub async fn users_are_listed_in_pages_and_only_to_their_client<B: Backend>(harness: Harness<B>) {
    let store = harness.store();
    let c2 = add_other_client(&harness).await;
    store.add_user(&c2, "one").await.unwrap();
    store.add_user(&c1(), "three").await.unwrap();
    let list = async |client_id: &ClientId, filter: UserFilter| accounts(&store.users(client_id, &filter).await.unwrap());
    let all = list(&c1(), UserFilter { count: 10, ..UserFilter::default() }).await;
    assert_eq!(all.len(), 3);
    assert!(all.is_sorted());
    assert_eq!(list(&c1(), UserFilter { count: 2, ..UserFilter::default() }).await, all[..2]);
    assert_eq!(list(&c1(), UserFilter { count: 2, after: Some(all[1]), ..UserFilter::default() }).await, all[2..]);

    let by_name = |name: &str| UserFilter { app_user_id: Some(name.into()), count: 10, ..UserFilter::default() };
    let by_account = UserFilter { account_id: Some(all[0]), count: 10, ..UserFilter::default() };
    assert_eq!(list(&c1(), by_name("one")).await, all[..1]);
    assert_eq!(list(&c1(), by_account.clone()).await, all[..1]);
    assert_eq!(list(&c1(), UserFilter { account_id: Some(all[0]), ..by_name("one") }).await, all[..1]);
    let none: [AccountId; 0] = [];
    assert_eq!(list(&c1(), UserFilter { account_id: Some(all[1]), ..by_name("one") }).await, none);
    assert_eq!(list(&c1(), UserFilter { after: Some(all[0]), ..by_name("one") }).await, none);
    assert_eq!(list(&c1(), by_name("nobody")).await, none);
    assert_eq!(list(&c2, by_account).await, none);
}

pub async fn a_user_is_switched_by_its_own_client_and_loses_codes_and_tokens_for_good<B: Backend>(harness: Harness<B>) {
    let store = harness.store();
    let c2 = add_other_client(&harness).await;
    let (account, bystander) = (account_of(&harness.account), account_of(&harness.bystander));
    store.put_tokens(account, &pair(&harness, 10)).await.unwrap();
    store.put_tokens(bystander, &pair(&harness, 20)).await.unwrap();
    put_code(&harness, 30).await;
    assert!(!store.set_user_active(&c2, account, false).await.unwrap());
    assert!(store.user(account).await.unwrap().unwrap().is_active);
    assert!(is_valid(&harness, 10).await, "the control");

    assert!(store.set_user_active(&c1(), account, false).await.unwrap());
    assert!(!store.user(account).await.unwrap().unwrap().is_active);
    store.put_tokens(account, &pair(&harness, 50)).await.unwrap();
    assert!(!is_valid(&harness, 50).await, "issued to a user who is switched off");
    for is_active in [false, true] {
        store.set_user_active(&c1(), account, is_active).await.unwrap();
        assert!(!is_valid(&harness, 10).await);
        assert_eq!(store.use_refresh_token(&hash(11), &c1(), &pair(&harness, 40)).await.unwrap(), RefreshUse::Invalid);
        assert_eq!(store.take_code(&hash(30), &c1(), &pair(&harness, 40)).await.unwrap(), None);
    }
    assert!(is_valid(&harness, 20).await);
    assert!(!store.set_user_active(&c1(), AccountId(999_999), true).await.unwrap());
}

pub async fn a_code_serves_once_in_time_and_its_own_client<B: Backend>(harness: Harness<B>) {
    let c2 = add_other_client(&harness).await;
    for number in [30, 40] {
        put_code(&harness, number).await;
    }
    assert_eq!(harness.store().take_code(&hash(30), &c2, &pair(&harness, 50)).await.unwrap(), None);
    harness.clock.advance_ms(LIFETIME_MS - 1);
    let mut calls = JoinSet::new();
    for number in [50, 60, 70, 80] {
        let (store, issued) = (harness.store(), pair(&harness, number));
        calls.spawn(async move { store.take_code(&hash(30), &c1(), &issued).await.unwrap() });
    }
    let taken: Vec<User> = calls.join_all().await.into_iter().flatten().collect();
    assert_eq!(accounts(&taken), [account_of(&harness.account)]);
    for number in [50, 60, 70, 80] {
        assert!(!is_valid(&harness, number).await, "{number}: what was presented again has lost what it bought");
    }
    harness.clock.advance_ms(1);
    assert_eq!(harness.store().take_code(&hash(40), &c1(), &pair(&harness, 90)).await.unwrap(), None);
}

pub async fn a_code_that_is_presented_again_takes_back_what_it_bought<B: Backend>(harness: Harness<B>) {
    let c2 = add_other_client(&harness).await;
    let store = harness.store();
    for number in [30, 40] {
        put_code(&harness, number).await;
    }
    assert!(store.take_code(&hash(30), &c1(), &pair(&harness, 50)).await.unwrap().is_some());
    assert!(store.take_code(&hash(40), &c1(), &pair(&harness, 60)).await.unwrap().is_some());
    assert_eq!(store.take_code(&hash(30), &c2, &pair(&harness, 70)).await.unwrap(), None);
    assert!(is_valid(&harness, 50).await, "the control: another client says nothing about it");
    assert_eq!(store.take_code(&hash(30), &c1(), &pair(&harness, 80)).await.unwrap(), None);
    assert!(!is_valid(&harness, 50).await && !is_valid(&harness, 80).await);
    assert_eq!(store.use_refresh_token(&hash(51), &c1(), &pair(&harness, 90)).await.unwrap(), RefreshUse::Invalid);
    assert!(is_valid(&harness, 60).await, "what another code bought stays");
}

pub async fn an_access_token_is_valid_only_while_all_it_stands_on_is<B: Backend>(harness: Harness<B>) {
    let store = harness.store();
    store.put_tokens(account_of(&harness.account), &pair(&harness, 10)).await.unwrap();
    let found = store.access_token(&hash(10)).await.unwrap().unwrap();
    assert_eq!((found.user.account_id, found.client.client_id), (account_of(&harness.account), c1()));
    assert!(!is_valid(&harness, 11).await, "a refresh token is no access token");
    assert!(!is_valid(&harness, 12).await);
    store.set_client_active(&c1(), false).await.unwrap();
    assert!(!is_valid(&harness, 10).await);
    assert_eq!(store.use_refresh_token(&hash(11), &c1(), &pair(&harness, 20)).await.unwrap(), RefreshUse::Invalid);
    store.set_client_active(&c1(), true).await.unwrap();
    harness.clock.advance_ms(LIFETIME_MS - 1);
    assert!(is_valid(&harness, 10).await);
    harness.clock.advance_ms(1);
    assert!(!is_valid(&harness, 10).await);
}

pub async fn a_refresh_token_serves_once_and_its_reuse_revokes_the_family<B: Backend>(harness: Harness<B>) {
    let store = harness.store();
    let c2 = add_other_client(&harness).await;
    let account = account_of(&harness.account);
    store.put_tokens(account, &pair(&harness, 10)).await.unwrap();
    store.put_tokens(account, &pair(&harness, 100)).await.unwrap();
    let renew = async |refresh: u8, client_id: &ClientId, next: u8| {
        store.use_refresh_token(&hash(refresh), client_id, &pair(&harness, next)).await.unwrap()
    };
    assert_eq!(renew(11, &c2, 20).await, RefreshUse::Invalid);
    assert_eq!(renew(10, &c1(), 20).await, RefreshUse::Invalid, "an access token is no refresh token");
    assert!(matches!(renew(11, &c1(), 20).await, RefreshUse::Renewed(user) if user.account_id == account));
    assert!(!is_valid(&harness, 10).await && is_valid(&harness, 20).await);
    assert!(matches!(renew(21, &c1(), 30).await, RefreshUse::Renewed(_)));
    assert!(is_valid(&harness, 30).await, "the control");

    assert_eq!(renew(11, &c1(), 40).await, RefreshUse::Reused);
    assert!(!is_valid(&harness, 30).await && !is_valid(&harness, 40).await);
    assert_eq!(renew(31, &c1(), 40).await, RefreshUse::Invalid);
    assert!(is_valid(&harness, 100).await, "another family of the same user");
    harness.clock.advance_ms(2 * LIFETIME_MS);
    assert_eq!(renew(101, &c1(), 40).await, RefreshUse::Invalid, "too late");
}

pub async fn many_uses_of_a_refresh_token_at_once_leave_nothing_valid<B: Backend>(harness: Harness<B>) {
    let store = harness.store();
    store.put_tokens(account_of(&harness.account), &pair(&harness, 10)).await.unwrap();
    let mut calls = JoinSet::new();
    for next in [20, 30, 40, 50] {
        let (store, issued) = (Arc::clone(&store), pair(&harness, next));
        calls.spawn(async move { store.use_refresh_token(&hash(11), &c1(), &issued).await.unwrap() });
    }
    let outcomes = calls.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, RefreshUse::Renewed(_))).count(), 1);
    for number in [10, 20, 30, 40, 50] {
        assert!(!is_valid(&harness, number).await, "{number}");
    }
}

pub async fn what_has_expired_goes_when_its_account_gets_something_new<B: Backend>(harness: Harness<B>) {
    let store = harness.store();
    for (account, number) in [(&harness.account, 10), (&harness.bystander, 20)] {
        let tokens = pair(&harness, number);
        store.put_tokens(account_of(account), &tokens).await.unwrap();
        store.put_code(&hash(number), account_of(account), tokens.access_expires_on_ms).await.unwrap();
    }
    assert_eq!((harness.backend.rows("token").await, harness.backend.rows("auth_code").await), (4, 2));
    harness.clock.advance_ms(LIFETIME_MS);
    store.put_tokens(account_of(&harness.account), &pair(&harness, 30)).await.unwrap();
    put_code(&harness, 30).await;
    // The expired access token and code of this account are gone; its refresh token and all of the bystander's are left.
    assert_eq!((harness.backend.rows("token").await, harness.backend.rows("auth_code").await), (5, 2));
}
