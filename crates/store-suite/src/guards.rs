//! What conditional writes have seen, looked at again when they are done.

use lethe_fhir::{LocalBases, Resource};
use lethe_store::{Expect, Guard, Write, WriteError};

use crate::{
    Backend, Harness,
    harness::{account_of, delete},
    searches::{criteria, found, named, patient},
};

pub async fn a_guard_holds_until_what_it_saw_changes<B: Backend>(harness: Harness<B>) {
    let guard = |found: Option<&str>| Guard {
        after: 0,
        resource_type: patient(),
        criteria: criteria("Patient?family=yew"),
        found: found.map(|id| id.parse().unwrap()),
    };
    let write = |id: &str| {
        let resource = Resource::from_json(named(id, "Yew", "1980-01-01")).unwrap();
        vec![Write::put(&resource, id.parse().unwrap(), &LocalBases::default(), Expect::Anything).unwrap()]
    };
    let account = account_of(&harness.account);
    let store = harness.store();
    store.write_if(account, vec![guard(None)], write("a")).await.unwrap();
    let refused = store.write_if(account, vec![guard(None)], write("b")).await.unwrap_err();
    assert!(matches!(refused, WriteError::Guard(0)), "{refused}");
    assert_eq!(harness.read("Patient/b").await, None, "nothing was written");
    store.write_if(account, vec![guard(Some("a"))], write("a")).await.unwrap();
    assert!(store.write_if(account, vec![guard(Some("b"))], write("b")).await.is_err());
    harness.put(named("b", "Yew", "1980-01-01")).await;
    assert!(store.write_if(account, vec![guard(Some("a"))], write("a")).await.is_err(), "two fit now");
}

pub async fn a_guard_is_looked_at_when_its_turn_comes<B: Backend>(harness: Harness<B>) {
    harness.put(named("a", "Yew", "1980-01-01")).await;
    let guard = |after: usize, found: Option<&str>| Guard {
        after,
        resource_type: patient(),
        criteria: criteria("Patient?family=yew"),
        found: found.map(|id| id.parse().unwrap()),
    };
    // Away with a, then 20 that do not fit and fill a part of an index, then b.
    let put = |id: &str, family: &str| {
        let resource = Resource::from_json(named(id, family, "1980-01-01")).unwrap();
        Write::put(&resource, id.parse().unwrap(), &LocalBases::default(), Expect::Anything).unwrap()
    };
    let writes = || {
        let mut writes = vec![delete("Patient/a")];
        writes.extend((0..20).map(|number| put(&format!("x{number}"), "Ash")));
        writes.push(put("b", "Yew"));
        writes
    };
    let (account, store) = (account_of(&harness.account), harness.store());
    for (wrong, found) in [(0, None), (1, Some("a")), (21, Some("b")), (22, None), (22, Some("a"))] {
        let guards = vec![guard(0, Some("a")), guard(wrong, found)];
        let refused = store.write_if(account, guards, writes()).await.unwrap_err();
        assert!(matches!(refused, WriteError::Guard(1)), "{wrong} {found:?}: {refused}");
    }
    assert_eq!(harness.read("Patient/b").await, None, "nothing was written");
    let guards = vec![guard(22, Some("b")), guard(21, None), guard(0, Some("a")), guard(1, None)];
    store.write_if(account, guards, writes()).await.unwrap();
    assert_eq!(found(&harness, "Patient?family=yew").await, ["b"]);
}

pub async fn of_many_conditional_creates_at_once_one_stores<B: Backend>(harness: Harness<B>) {
    let account = account_of(&harness.account);
    let creates = (0..20).map(|number| {
        let store = harness.store();
        tokio::spawn(async move {
            let guard = Guard { after: 0, resource_type: patient(), criteria: criteria("Patient?family=yew"), found: None };
            let resource = Resource::from_json(named(&format!("p{number}"), "Yew", "1980-01-01")).unwrap();
            let id = resource.id.clone().unwrap();
            store.write_if(account, vec![guard], vec![Write::put(&resource, id, &LocalBases::default(), Expect::Absent).unwrap()]).await
        })
    });
    let mut stored = 0;
    for create in creates.collect::<Vec<_>>() {
        match create.await.unwrap() {
            Ok(_) => stored += 1,
            Err(WriteError::Guard(0)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((stored, found(&harness, "Patient?family=yew").await.len()), (1, 1));
}
