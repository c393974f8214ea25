//! `lethe serve`, and the commands that talk to it.

mod support;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use serde_json::{Value, json};
use support::{Running, Workplace, serve};

#[test]
fn a_signal_stops_the_server_in_order_and_the_next_one_starts_over_the_same_data() {
    let workplace = Workplace::new();
    for signal in ["TERM", "INT"] {
        let running = Running::start(workplace.lethe(&["serve", "--listen", "127.0.0.1:0"]));
        running.line_with("listens on ");
        running.line_with("lethe client add");
        let mut running = running;
        running.signal(signal);
        assert_eq!(running.wait(), Some(0), "{signal}");
    }
}

#[test]
fn a_second_signal_does_not_wait_for_a_call_that_hangs() {
    let workplace = Workplace::new();
    let (mut running, address) = serve(&workplace);
    let mut call = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    call.write_all(b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    call.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100", "the call is under way and waits for its body");
    running.signal("TERM");
    running.line_with("Stopping");
    running.signal("TERM");
    assert_eq!(running.wait(), Some(1));
}

#[test]
fn one_server_for_one_directory_and_one_port() {
    let workplace = Workplace::new();
    let (_running, address) = serve(&workplace);
    let second = workplace.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains("another lethe serves") && second.stderr.contains("next:"), "{second:?}");
    let other = Workplace::new();
    let taken = other.run(&["serve", "--listen", address.trim_start_matches("http://")]);
    assert_eq!(taken.code, Some(1), "{taken:?}");
    assert!(taken.stderr.contains("cannot listen on 127.0.0.1:") && taken.stderr.contains("--listen"), "{taken:?}");
    assert!(!other.path("lethe-data").exists(), "nothing is made before the port is ours");
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let workplace = Workplace::new();
    workplace.write("file", "");
    let done = workplace.run(&["serve", "--listen", "127.0.0.1:0", "--data", "file/below"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("file/below") && done.stderr.contains("--data"), "{done:?}");
}

#[test]
fn a_purge_is_started_watched_and_listed_from_the_command_line() {
    let workplace = Workplace::new();
    let (_running, server) = serve(&workplace);
    let (client_id, client_secret, user_id) = workplace.add_user();
    let lines: Vec<String> =
        (0..600).map(|n| format!(r#"{{"resourceType":"{}","id":"r{n}"}}"#, if n % 3 == 0 { "Patient" } else { "Basic" })).collect();
    workplace.write("in.ndjson", lines.join("\n"));
    assert_eq!(workplace.json(&["import", "--user", &user_id, "in.ndjson", "--json"])["stored"], 600, "an import beside the server");

    let token = workplace.run(&["user", "token", &user_id]).stdout.trim().to_owned();
    let bearer = ["--server", &server, "--token", &token, "--json"];
    let headers = ["--server", &server, "--client-id", &client_id, "--client-secret", &client_secret, "--user", &user_id, "--json"];

    let purged = workplace.json(&[&["purge", "start", "--type", "Patient", "--reason", "test", "--watch", "--yes"], &bearer[..]].concat());
    assert_eq!((&purged["job"]["status"], &purged["job"]["deletedCount"]), (&json!("successful"), &json!(200)));
    assert_eq!(purged["job"]["typeList"], json!(["Patient"]));

    let started = workplace.json(&[&["purge", "start", "--yes"], &headers[..]].concat());
    let job_id = started["job"]["id"].as_str().unwrap();
    let watched = workplace.json(&[&["purge", "watch", job_id], &headers[..]].concat());
    assert_eq!(watched["job"]["deletedCount"], 400);
    let status = workplace.json(&[&["purge", "status", job_id], &bearer[..]].concat());
    assert_eq!(status, watched);
    let jobs = workplace.json(&[&["purge", "list"], &bearer[..]].concat());
    assert_eq!(jobs["next"], Value::Null, "the object of the API, with all pages in one: {jobs}");
    let ids: Vec<&Value> = jobs["jobs"].as_array().unwrap().iter().map(|job| job.get("job").unwrap_or(job)).map(|job| &job["id"]).collect();
    assert_eq!(ids, [&started["job"]["id"], &purged["job"]["id"]], "newest first");

    for refused in [&["purge", "retry", job_id][..], &["purge", "cancel", job_id]] {
        let done = workplace.run(&[refused, &bearer[..]].concat());
        assert_eq!(done.code, Some(1), "{refused:?}: {done:?}");
        assert!(done.stderr.contains("the server refuses (4"), "{refused:?}: {done:?}");
    }
    let done = workplace.run(&["purge", "list", "--server", &server, "--token", "wrong"]);
    assert!(done.code == Some(1) && done.stderr.contains("401"), "{done:?}");
    let done = workplace.run(&["purge", "list", "--server", "http://127.0.0.1:1", "--token", &token]);
    assert!(done.code == Some(1) && done.stderr.contains("does not answer"), "{done:?}");
    let over_tls = server.replace("http://", "https://");
    let done = workplace.run(&["purge", "list", "--server", &over_tls, "--token", &token]);
    assert!(done.code == Some(1) && done.stderr.contains("does not speak TLS") && done.stderr.contains("http://"), "{done:?}");
    assert!(!done.stderr.contains("InvalidContentType"), "{done:?}");
}

#[test]
fn a_purge_says_its_scope_and_is_not_started_unless_somebody_means_it() {
    let workplace = Workplace::new();
    let (_running, server) = serve(&workplace);
    let (client_id, client_secret, user_id) = workplace.add_user();
    let call = |user| ["--server", &server, "--client-id", &client_id, "--client-secret", &client_secret, "--user", user];
    let jobs = || {
        let listed = workplace.json(&[&["purge", "list", "--json"][..], &call(&user_id)].concat());
        listed["jobs"].as_array().unwrap().len()
    };
    for (arguments, said) in [
        (&["purge", "start"][..], "give --yes"),
        (&["purge", "start", "--json", "--type", "Patient", "--before", "2020"], "give --yes"),
        (&["purge", "start", "--yes", "--type", "Patiant"], "--type: 'Patiant'"),
        (&["purge", "start", "--yes", "--before", "soon"], "--before: "),
    ] {
        let done = workplace.run(&[arguments, &call(&user_id)].concat());
        assert_eq!(done.code, Some(2), "{arguments:?}: {done:?}");
        assert!(done.stderr.contains(said) && done.stderr.contains("nothing was started"), "{arguments:?}: {done:?}");
        assert_eq!(done.stderr.contains("To be purged"), said == "give --yes", "nothing is announced that was not understood: {done:?}");
        assert!(!done.stderr.contains("Purging"), "{done:?}");
    }
    // What only the server can refuse.
    for refused in [
        &["--type", "Patient", "--type-filter", "Observation?status=final"][..],
        &["--patient", "nobody"],
        &["--type-filter", "Patient?_id=p"],
    ] {
        let done = workplace.run(&[&["purge", "start", "--yes"], refused, &call(&user_id)].concat());
        assert!(done.code == Some(1) && done.stderr.contains("nothing was started"), "{refused:?}: {done:?}");
        assert!(!done.stderr.contains("Purging"), "{refused:?}: {done:?}");
    }
    assert_eq!(jobs(), 0);

    let started = workplace.run(&[&["purge", "start", "--yes"][..], &call(&user_id)].concat());
    assert!(started.code == Some(0) && started.stderr.contains(&format!("Purging every resource of user {user_id}.")), "{started:?}");
    let next = started.stderr.lines().find(|line| line.contains("lethe purge watch ")).unwrap();
    assert!(next.ends_with(&format!(" --server {server}")), "{next}");
    assert_eq!(jobs(), 1, "the control");
    let token = workplace.run(&["user", "token", &user_id]).stdout.trim().to_owned();
    let bearer = workplace.run(&["purge", "start", "--server", &server, "--token", &token]);
    assert!(bearer.code == Some(2) && bearer.stderr.contains("of the token's user."), "{bearer:?}");
    let all = workplace.run(&[&["purge", "start"][..], &call("client")].concat());
    assert!(all.code == Some(2) && all.stderr.contains(&format!("of ALL users of the client {client_id}.")), "{all:?}");
}

#[test]
fn a_port_that_was_free_is_free_again_after_a_stop() {
    let workplace = Workplace::new();
    let (mut running, address) = serve(&workplace);
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
    TcpListener::bind(address.trim_start_matches("http://")).unwrap();
}
