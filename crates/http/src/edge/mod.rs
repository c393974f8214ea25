//! What every call goes through before and after its verb: path, format, time, log; and how its parts are read.

mod address;
mod body;
mod indentation;
mod json_object;
mod live_call;
mod negotiation;
mod observation;
mod path;
mod query;
mod reply;

pub use address::{HostBases, InstancePath, MemberPath, TypePath, VersionPath};
pub use body::{BodyKind, JsonBody, body_kind, demand_json, is_json_patch, read_body};
pub use json_object::{json_object, not_json};
pub use live_call::time_live_call;
pub use negotiation::{Layout, negotiate};
pub use observation::{answer_panic, limit_time, log_call};
pub use path::{no_such_path, normalise_path, wrong_method};
pub use query::{Pairs, encode_pairs, parse_pairs};
pub use reply::{http_date, read_http_date, reply, with_header};
