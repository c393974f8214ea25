//! A purge job as the API shows it, and watching it to its end.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::Value;

use crate::{
    api_client::{Answer, ApiClient},
    progress::{Progress, rate},
    terminal::grouped,
};

/// Between two looks at a running job.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A job in the words of the API.
#[derive(Clone, Debug)]
pub(crate) struct JobView(Value);

impl JobView {
    /// From an answer to kick-off, status, retry or cancel.
    ///
    /// # Errors
    /// It holds no job.
    pub(crate) fn of(answer: &Answer) -> Result<Self> {
        let json = answer.json()?;
        Ok(Self(json.get("job").context("the answer holds no job: is this a Lethe server?")?.clone()))
    }

    /// All of it.
    pub(crate) fn members(&self) -> &Value {
        &self.0
    }

    /// # Errors
    /// The job has none.
    pub(crate) fn id(&self) -> Result<&str> {
        self.0["id"].as_str().context("the job has no id")
    }

    /// # Errors
    /// The job has none.
    pub(crate) fn status(&self) -> Result<&str> {
        self.0["status"].as_str().context("the job has no status")
    }

    /// A number that is `null` until the plan is stored.
    pub(crate) fn count(&self, name: &str) -> Option<u64> {
        self.0[name].as_u64()
    }

    /// As the API gives it, one member a line, and in `counts` one type a line.
    pub(crate) fn to_lines(&self) -> Vec<String> {
        let mut lines = vec![r#"{"job": {"#.to_owned()];
        lines.extend(member_lines(&self.0, 2));
        lines.push("}}".to_owned());
        lines
    }

    fn phase(&self) -> &str {
        self.0["phase"].as_str().unwrap_or("")
    }
}

fn member_lines(object: &Value, indent: usize) -> Vec<String> {
    let members = object.as_object().into_iter().flatten();
    let mut lines = Vec::new();
    for (name, value) in members {
        end_with_comma(&mut lines);
        let pad = " ".repeat(indent);
        if name == "counts" && value.as_object().is_some_and(|counts| !counts.is_empty()) {
            lines.push(format!("{pad}{name:?}: {{"));
            lines.extend(member_lines(value, indent + 2));
            lines.push(format!("{pad}}}"));
        } else {
            lines.push(format!("{pad}{name:?}: {value}"));
        }
    }
    lines
}

fn end_with_comma(lines: &mut [String]) {
    if let Some(last) = lines.last_mut() {
        last.push(',');
    }
}

/// Shows the progress of a job until it has ended; returns the last answer.
///
/// # Errors
/// The server cannot be reached or refuses.
pub(crate) async fn watch_to_end(client: &ApiClient, path: &str) -> Result<(Answer, JobView)> {
    let mut progress = Progress::of_unknown_length("purge");
    loop {
        let answer = client.send(client.request(Method::GET, path)).await?.success()?;
        let job = JobView::of(&answer)?;
        if let Some(planned) = job.count("resourceCount") {
            let deleted = job.count("deletedCount").unwrap_or_default();
            progress.set_length(planned);
            let per_second = grouped(rate(deleted, progress.elapsed()));
            progress.set(deleted, &format!("{} of {} removed, {per_second}/s, {}", grouped(deleted), grouped(planned), job.phase()));
        } else {
            progress.set(0, job.phase());
        }
        if job.status()? != "in progress" {
            progress.finish();
            return Ok((answer, job));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_lines_of_a_job_are_its_json() {
        let job =
            json!({ "id": "x", "typeList": [], "counts": { "Binary": { "planned": 1 }, "Patient": { "planned": 2 } }, "failure": null });
        let lines = JobView(job.clone()).to_lines();
        assert_eq!(serde_json::from_str::<Value>(&lines.concat()).unwrap(), json!({ "job": job }));
        assert_eq!(lines.len(), 9, "{lines:#?}");
    }
}
