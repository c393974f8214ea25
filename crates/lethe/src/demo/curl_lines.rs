//! Lines to paste into another terminal while the demo stays up.

use super::{Shown, account::DemoAccount};
use crate::terminal::Paint;

/// Prints them.
pub(super) fn print(paint: Paint, shown: &Shown) {
    let Shown { server, client, purged, bystander, job_id, .. } = shown;
    let url = &server.public_url;
    let bearer = |account: &DemoAccount| format!("-H 'Authorization: Bearer {}'", account.token);
    let headers = format!(
        "-H 'client_id: {}' -H 'client_secret: {}' -H 'x-oneup-user-id: {}'",
        client.client.client_id,
        client.secret.expose(),
        bystander.id
    );
    let (alice, bob) = (bearer(purged), bearer(bystander));
    let lines = [
        (format!("the job, as {} sees it", purged.name), format!("curl {alice} '{url}/r4/$purge/{job_id}'")),
        ("its certificate".to_owned(), format!("curl {alice} '{url}/r4/$purge/{job_id}/certificate'")),
        (format!("patients of {}'s: none", purged.name), format!("curl {alice} '{url}/r4/Patient'")),
        (format!("patients of {}'s", bystander.name), format!("curl {bob} '{url}/r4/Patient?_count=2'")),
        (
            format!("a new resource for {}", purged.name),
            format!(
                r#"curl {alice} -H 'Content-Type: application/fhir+json' -d '{{"resourceType":"Basic","code":{{"text":"hello"}}}}' '{url}/r4/Basic'"#
            ),
        ),
        (
            format!("purge {}'s Observations, with header credentials", bystander.name),
            format!("curl -X POST {headers} '{url}/r4/$purge?_type=Observation'"),
        ),
        (format!("{}'s jobs", bystander.name), format!("curl {bob} '{url}/r4/$purge'")),
        ("a slip of the pen purges nothing".to_owned(), format!("curl -X POST {bob} '{url}/r4/$purge?_befor=2020'")),
    ];
    println!("\n{}", paint.bold("To go on, in another terminal:"));
    for (what, line) in lines {
        println!("\n   {}\n   {line}", paint.dim(&format!("# {what}")));
    }
    println!("\nThe server stays up until Ctrl-C; then everything is removed.");
}
