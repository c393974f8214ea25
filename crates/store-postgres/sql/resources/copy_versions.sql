copy version
(
    account_id, type_id, seq, id, version_number, last_updated_ms, kind, previous_seq, replaced_by_seq, body,
    index_values, index_keys, words, provenance_targets
)
from stdin (format binary)
